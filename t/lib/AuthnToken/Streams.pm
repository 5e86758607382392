# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A pace of HTTP/2: a hundred requests at once, each a stream of the one
# connection, then the next hundred.  What the server says it has not begun
# (RFC 9113, 6.8 and 8.7) is asked once more, as any client does.
package AuthnToken::Streams;

use strict;
use warnings;

use AuthnToken::Pace ();
use IO::Socket::INET ();
use Time::HiRes qw(time sleep);

our @ISA = ('AuthnToken::Pace');

my $AT_ONCE = 100;
# One login: more would wait for a place to hash a password.
my @order = ((qw(good fresh bad)) x 33, 'login');
my $REFUSED_STREAM = 7;
my $GOAWAY = 7;
# After so long a hundred counts as never answered.
my $PATIENCE = 40;

# run($port, $rate, $tokens, $out): until it is ended.
sub run {
    my ($port, $rate, $tokens, $out) = @_;
    my %token = AuthnToken::Pace::read_tokens($tokens);
    my $connection;

    # Only the process that sends needs it.
    require Protocol::HTTP2::Client;
    $SIG{PIPE} = 'IGNORE';
    open my $report, '>', $out or die "$out: $!\n";
    $report->autoflush;
    while (1) {
        my $begin = time;
        my @open = map { make_one($_, \%token) } @order;
        while (@open) {
            $connection = connect_to($port)
                if !$connection || $connection->{over};
            @open = send_all($connection, $report, @open);
        }
        my $rest = $begin + $AT_ONCE / $rate - time;
        sleep $rest if $rest > 0;
    }
}

sub make_one {
    my ($kind, $token) = @_;
    my %one = (kind => $kind, sent => time, bytes => '',
        headers => [ 'x-pace' => AuthnToken::Pace::address() ]);
    my $body = '{"username":"alice","password":"wonder-land"}';

    if ($kind eq 'login') {
        $one{data} = $body;
        push @{ $one{headers} }, 'content-type' => 'application/json',
            'content-length' => length $body;
    }
    else {
        push @{ $one{headers} }, authorization => 'Token '
            . AuthnToken::Pace::next_token($kind, $token);
    }
    return \%one;
}

sub connect_to {
    my ($port) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port, Timeout => 10);

    return { socket => $socket, over => !$socket, input => '', last => undef,
        client => Protocol::HTTP2::Client->new(keepalive => 1,
            on_error => sub { }) };
}

# send_all($connection, $report, @all): those to be sent again.
sub send_all {
    my ($connection, $report, @all) = @_;
    my $client = $connection->{client};
    my $end = time + $PATIENCE;
    my %open;

    for my $one (@all) {
        $one->{code} = $connection->{over} ? 'refused' : undef;
        next if $connection->{over};
        $one->{stream} = 2 * $connection->{sent}++ + 1;
        $client->request(':scheme' => 'http', ':authority' => '127.0.0.1',
            ':path' => $one->{data} ? '/api-token-auth/' : '/api/',
            ':method' => $one->{data} ? 'POST' : 'GET',
            headers => $one->{headers},
            $one->{data} ? (data => $one->{data}) : (),
            on_done => sub { answer($one, @_) },
            on_error => sub {
                $one->{code} = $_[0] == $REFUSED_STREAM ? 'again' : 'reset';
            });
    }
    flush($connection);
    while (!$connection->{over} && grep { !$_->{code} } @all) {
        my $ready = '';
        vec($ready, fileno $connection->{socket}, 1) = 1;
        last if time > $end;
        receive($connection) if select $ready, undef, undef, 1;
    }
    for my $one (@all) {
        $one->{code} //= !$connection->{over} ? 'none'
            : $connection->{over} eq 'leave'
            && $one->{stream} > $connection->{last} ? 'again' : 'cut';
        AuthnToken::Pace::note_one($one, $one->{code}, $report)
            if $one->{code} ne 'again';
    }
    # One that did not answer has its say no more.
    $connection->{over} = 1
        if defined $connection->{last} || grep { $_->{code} eq 'none' } @all;
    return grep { $_->{code} eq 'again' } @all;
}

sub answer {
    my ($one, $headers, $data) = @_;
    my %header = @{ $headers || [] };

    $one->{code} = $header{':status'} // 'cut';
    $one->{bytes} = $data // '';
    return;
}

# flush($connection): all there is in one go, so that no stream is over
# before the last one begins.
sub flush {
    my ($connection) = @_;
    my $bytes = '';

    while (my $frame = $connection->{client}->next_frame) {
        $bytes .= $frame;
    }
    while (length $bytes) {
        my $sent = syswrite $connection->{socket}, $bytes;
        if (!defined $sent) {
            $connection->{over} ||= 'cut';
            return;
        }
        substr $bytes, 0, $sent, '';
    }
    return;
}

# receive($connection): what is there, in whole frames; of a GOAWAY the
# client tells nobody which streams it leaves out.
sub receive {
    my ($connection) = @_;
    my $input = \$connection->{input};

    if (!sysread $connection->{socket}, $$input, 65536, length $$input) {
        $connection->{over} = defined $connection->{last} ? 'leave' : 'cut';
        return;
    }
    while (length $$input >= 9) {
        my ($high, $low, $type) = unpack 'CnC', $$input;
        my $size = 9 + ($high << 16 | $low);
        last if length $$input < $size;
        my $frame = substr $$input, 0, $size, '';
        $connection->{last} = unpack('x9 N', $frame) & 0x7FFF_FFFF
            if $type == $GOAWAY;
        $connection->{client}->feed($frame);
    }
    flush($connection);
    return;
}

1;
