# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A client that keeps its connection: a counted number of requests in a known
# order, which wrk has not.  One at a time, for counting instructions and for
# latencies; or many in one packet and by several processes, for filling the
# table.
package Bench::Client;

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

# request($path, $header): its bytes.
sub request {
    my ($path, $header) = @_;
    return "GET $path HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        . (defined $header ? "Authorization: $header\r\n" : '') . "\r\n";
}

# new($port, local => '127.0.0.2'): a connection.
sub new {
    my ($class, $port, %opt) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port, Timeout => 10,
        $opt{local} ? (LocalAddr => $opt{local}) : ())
        or die "no connection to port $port: $!\n";

    return bless { socket => $socket, buffer => '' }, $class;
}

# send(@requests): status => how often.
sub send {
    my ($self, @requests) = @_;
    my %seen;

    syswrite $self->{socket}, join '', @requests or die "send: $!\n";
    $seen{ $self->answer }++ for @requests;
    return \%seen;
}

# times(@requests): one after the other; [status, seconds] of each.
sub times {
    my ($self, @requests) = @_;
    my @times;

    for my $request (@requests) {
        my $start = clock_gettime(CLOCK_MONOTONIC);
        syswrite $self->{socket}, $request or die "send: $!\n";
        my $status = $self->answer;
        push @times, [ $status, clock_gettime(CLOCK_MONOTONIC) - $start ];
    }
    return @times;
}

# answer: reads one and gives its status; {head} and {body} are the rest.
sub answer {
    my ($self) = @_;
    my $have = \$self->{buffer};
    my $end;

    $self->more while ($end = index $$have, "\r\n\r\n") < 0;
    my $head = substr $$have, 0, $end;
    my ($status) = $head =~ m{^HTTP/1\.1 (\d+)} or die "no HTTP: $head\n";
    my ($length) = $head =~ /^Content-Length: (\d+)/mi;
    $length //= $status == 204 ? 0 : die "no length: $head\n";
    $self->more while length $$have < $end + 4 + $length;
    $self->{head} = $head;
    $self->{body} = substr $$have, $end + 4, $length;
    substr $$have, 0, $end + 4 + $length, '';
    return $status;
}

sub more {
    my ($self) = @_;
    sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer}
        or die "the server closed the connection\n";
    return;
}

# one_by_one($port, @requests): dies when one is not answered with 200.
sub one_by_one {
    my ($port, @requests) = @_;
    my $self = __PACKAGE__->new($port);

    for my $request (@requests) {
        my ($status) = keys %{ $self->send($request) };
        die "$status for $request" if $status != 200;
    }
    return;
}

# fill($port, $processes, $make, $from, $to): the requests $make->($n), 50 in
# a packet; dies when one is not answered with 200.
sub fill {
    my ($port, $processes, $make, $from, $to) = @_;
    my @pids;

    for my $k (0 .. $processes - 1) {
        defined(my $pid = fork) or die "fork: $!\n";
        if (!$pid) {
            POSIX::_exit(fill_part($port, $processes, $make, $from + $k, $to)
                ? 0 : 1);
        }
        push @pids, $pid;
    }
    for my $pid (@pids) {
        waitpid $pid, 0;
        die "filling went wrong\n" if $?;
    }
    return;
}

sub fill_part {
    my ($port, $step, $make, $n, $to) = @_;

    return eval {
        my $self = __PACKAGE__->new($port);
        while ($n <= $to) {
            my @batch;
            for (; $n <= $to && @batch < 50; $n += $step) {
                push @batch, $make->($n);
            }
            my $seen = $self->send(@batch);
            delete $seen->{200};
            die join(' ', %$seen), "\n" if %$seen;
        }
        1;
    } || !syswrite STDERR, "filling: $@";
}

1;
