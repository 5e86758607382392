# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A socket to a server, for what no HTTP library would send: bytes go out as
# they are given, bytes come back as they came, with the time and whether the
# server closed.  It reads as much HTTP as is needed to find the end of an
# answer on a connection that is kept open.
package AuthnToken::Raw;

use strict;
use warnings;

use AuthnToken::Process ();
use HTTP::Response;
use IO::Socket::INET;
use Time::HiRes qw(time);

# new($port, $host): an open connection.
sub new {
    my ($class, $port, $host) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => $host // '127.0.0.1',
        PeerPort => $port, Timeout => 5 * $AuthnToken::Process::patience)
        or die "connect to $port: $!\n";
    return bless { socket => $socket, buffer => '', closed => 0,
        start => time }, $class;
}

# exchange($port, $bytes, timeout => 2, until => qr//, half_close => 0):
# sends, reads until the server closes, the pattern matches or the time is
# over; { bytes, closed, elapsed, responses => [HTTP::Response...] }.
sub exchange {
    my ($class, $port, $bytes, %opt) = @_;
    my $self = $class->new($port);
    my $wait = $opt{timeout} // 2;
    # Less than a second is no wait for an answer, but one for silence.
    $wait *= $AuthnToken::Process::patience if $wait >= 1;
    my $end = time + $wait;

    $self->write($bytes);
    shutdown $self->{socket}, 1 if $opt{half_close};
    while (!$self->{closed} && time < $end) {
        last if $opt{until} && $self->{buffer} =~ $opt{until};
        $self->fill($end - time);
    }
    my $all = $self->{buffer};
    my $elapsed = time - $self->{start};
    my @responses;
    while (my $response = $self->take('GET')) {
        push @responses, $response;
    }
    return { bytes => $all, closed => $self->{closed},
        elapsed => $elapsed, responses => \@responses };
}

# write($bytes): a peer that has closed already is no error here.
sub write {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $sent = syswrite $self->{socket}, $bytes;
        return 0 if !defined $sent;
        substr $bytes, 0, $sent, '';
    }
    return 1;
}

# fill($seconds): reads once; false when nothing came.
sub fill {
    my ($self, $seconds) = @_;
    my $ready = '';

    return 0 if $self->{closed} || $seconds < 0;
    vec($ready, fileno $self->{socket}, 1) = 1;
    return 0 if select($ready, undef, undef, $seconds) < 1;
    my $got = sysread $self->{socket}, $self->{buffer}, 65_536,
        length $self->{buffer};
    return 1 if $got;
    $self->{closed} = 1;
    return 0;
}

# read($method, $seconds): the next whole answer, or undef.
sub read {
    my ($self, $method, $seconds) = @_;
    my $end = time + ($seconds // 5);

    while (1) {
        my $response = $self->take($method // 'GET');
        return $response if $response;
        last if $self->{closed} || time > $end;
        $self->fill($end - time);
    }
    return;
}

# request($method, $path, \%headers, $body): one request of the ordinary
# kind on this connection and its answer.
sub request {
    my ($self, $method, $path, $headers, $body) = @_;
    my $text = "$method $path HTTP/1.1\r\nHost: 127.0.0.1\r\n";

    for my $name (sort keys %{ $headers || {} }) {
        my $value = $headers->{$name};
        $text .= "$name: $_\r\n" for ref $value ? @$value : $value;
    }
    $text .= 'Content-Length: ' . length($body) . "\r\n" if defined $body;
    $self->write("$text\r\n" . ($body // ''));
    return $self->read($method);
}

# closed($seconds): true when the server closes within the time.
sub closed {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds // 2);

    while (!$self->{closed} && time < $end) {
        $self->fill($end - time);
    }
    return $self->{closed};
}

sub close {
    my ($self) = @_;
    return $self->{socket}->close;
}

# take($method): one whole answer off the buffer, undef when there is none.
sub take {
    my ($self, $method) = @_;
    my ($head) = $self->{buffer} =~ m{\A(HTTP/1.*?\r?\n\r?\n)}s or return;
    my $response = HTTP::Response->parse($head);
    my $rest = substr $self->{buffer}, length $head;
    my $body = '';

    if ($method eq 'HEAD' || $response->code =~ /^(?:1\d\d|204|304)$/) {
        $body = '';
    }
    elsif (($response->header('Transfer-Encoding') // '') =~ /chunked/i) {
        ($body, $rest) = unchunk($rest) or return;
        return if !defined $body;
    }
    elsif (defined(my $length = $response->header('Content-Length'))) {
        return if length $rest < $length;
        $body = substr $rest, 0, $length, '';
    }
    else {
        return if !$self->{closed};
        ($body, $rest) = ($rest, '');
    }
    $self->{buffer} = $rest;
    $response->content($body);
    return $response;
}

# unchunk($bytes): the body and what follows it, or nothing when unfinished.
sub unchunk {
    my ($bytes) = @_;
    my $body = '';

    while ($bytes =~ s/\A([0-9A-Fa-f]+)[^\r\n]*\r\n//) {
        my $size = hex $1;
        if ($size == 0) {
            return if $bytes !~ s/\A(?:[^\r\n]+\r\n)*\r\n//;
            return ($body, $bytes);
        }
        return if length $bytes < $size + 2;
        $body .= substr $bytes, 0, $size, '';
        $bytes =~ s/\A\r\n// or return;
    }
    return;
}

1;
