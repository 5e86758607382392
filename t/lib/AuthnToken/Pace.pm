# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Requests at a steady pace, from a process of their own, while a test breaks
# things: tokens that are known and good, good ones nobody has shown before,
# bad ones, and logins.  It writes down when each was sent and what came back;
# what that should have been is Fault's matter.
package AuthnToken::Pace;

use strict;
use warnings;

use AuthnToken::Process qw(poll temp_dir);
use AuthnToken::Token qw(make_token);
use Cwd ();
use Digest::SHA qw(sha256_hex);
use Errno qw(EINPROGRESS);
use File::Basename qw(dirname);
use IO::Handle ();
use JSON::PP ();
use Socket;
use Time::HiRes qw(time);

my $lib = Cwd::abs_path(dirname(__FILE__) . '/..');
my @order = qw(good fresh bad good fresh bad good fresh bad login);
# After so long a request counts as never answered.
my $PATIENCE = 40;

# needs: what a site's configuration must have: each bad token comes from an
# address of its own, or it would be the throttle that refuses it; and the one
# who logs in keeps all tokens, in transactions that count them.
sub needs {
    return <<'CONF';
RemoteIPHeader X-Pace
RemoteIPInternalProxy 127.0.0.1
<Location "/api-token-auth/">
    AuthTokenMaxPerUser 10000
</Location>
CONF
}

# start($site, rate => 40, fresh => 1000): requests are under way when it
# returns, and have been good.
sub start {
    my ($class, $site, %arg) = @_;
    my $dir = temp_dir();
    my $self = bless { site => $site, out => "$dir/samples",
        samples => [], issued => [], read => 0 }, $class;

    open my $fh, '>', "$dir/tokens" or die "$dir/tokens: $!\n";
    print {$fh} map { "$_->[0] $_->[1]\n" }
        make_rows($site, $arg{fresh} // 1000);
    close $fh or die "$dir/tokens: $!\n";
    $self->{process} = AuthnToken::Process->spawn(
        command => [ $^X, "-I$lib", "-M$class", '-e',
            $class . '::run(@ARGV)', $site->port, $arg{rate} // 40,
            "$dir/tokens", $self->{out} ], out => "$dir/output");
    $self->{output} = "$dir/output";
    $self->more(40);
    return $self;
}

# make_rows($site, $count): [kind, token] of rows put there in one go.
sub make_rows {
    my ($site, $count) = @_;
    my $dbh = $site->dbh;
    my ($now, $hour) = $site->pg
        ? ('now()', "interval '1 hour'") : (q{strftime('%s','now')}, 3600);
    my @rows;
    my $insert = $dbh->prepare('INSERT INTO auth_token (digest, username,'
        . " family, created_at, expires_at, revoked_at) VALUES (?, 'carol',"
        . " ?, $now - $hour, CASE ? WHEN 'expired' THEN $now - $hour"
        . " ELSE $now + $hour END, CASE ? WHEN 'revoked' THEN $now - $hour"
        . ' END)');

    $dbh->begin_work;
    for my $kind (('good') x 4, 'expired', 'revoked', ('fresh') x $count) {
        my $token = make_token();
        my $digest = sha256_hex($token);
        $insert->execute($digest, substr($digest, 0, 16), $kind, $kind);
        push @rows, [ $kind =~ /^(?:good|fresh)$/ ? $kind : 'bad', $token ];
        # Each one would be looked for in each line of the logs.
        $site->secret($token, "a $kind token") if @rows <= 20;
    }
    $dbh->commit;
    return @rows;
}

# --- the process that sends ---

# run($port, $rate, $tokens, $out): until it is ended.
sub run {
    my ($port, $rate, $tokens, $out) = @_;
    my %token = read_tokens($tokens);
    my $due = time;

    $SIG{PIPE} = 'IGNORE';
    open my $report, '>', $out or die "$out: $!\n";
    $report->autoflush;
    my ($turn, @open) = (0);
    while (1) {
        if (time >= $due) {
            my $kind = $order[ $turn++ % @order ];
            push @open, send_one($port, $kind, \%token, $report);
            # What the machine could not send in time is not made up for.
            $due = time if $due < time - 1;
            $due += 1 / $rate;
        }
        @open = wait_for($due - time, $report, @open);
    }
}

# read_tokens($path): the tokens of each kind.
sub read_tokens {
    my ($path) = @_;
    my %token;

    open my $in, '<', $path or die "$path: $!\n";
    while (<$in>) {
        my ($kind, $token) = split;
        push @{ $token{$kind} }, $token;
    }
    return %token;
}

# address: whom a request seems to come from.
sub address { return join '.', 10, map { int rand 256 } 1 .. 3 }

sub send_one {
    my ($port, $kind, $token, $report) = @_;
    my $text = $kind eq 'login' ? undef : next_token($kind, $token);
    my $body = '{"username":"alice","password":"wonder-land"}';
    my $head = "Host: 127.0.0.1\r\nConnection: close\r\nX-Pace: "
        . address() . "\r\n";
    my %one = (kind => $kind, sent => time, bytes => '', rest => defined $text
        ? "GET /api/ HTTP/1.1\r\n${head}Authorization: Token $text\r\n\r\n"
        : "POST /api-token-auth/ HTTP/1.1\r\n${head}Content-Type: "
            . 'application/json' . "\r\nContent-Length: " . length($body)
            . "\r\n\r\n$body");

    socket $one{socket}, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
    $one{socket}->blocking(0);
    if (!connect($one{socket}, sockaddr_in($port, INADDR_LOOPBACK))
        && $! != EINPROGRESS) {
        note_one(\%one, 'refused', $report);
        return;
    }
    return \%one;
}

sub next_token {
    my ($kind, $token) = @_;

    if ($kind eq 'fresh') {
        return shift @{ $token->{fresh} } // die "no fresh token is left\n";
    }
    # Of the bad ones each other is unknown.
    return make_token() if $kind eq 'bad' && $token->{turn}++ % 2;
    push @{ $token->{$kind} }, shift @{ $token->{$kind} };
    return $token->{$kind}[0];
}

# wait_for($seconds, $report, @open): those that are still open after that,
# or earlier when one of them has news.
sub wait_for {
    my ($seconds, $report, @open) = @_;
    my ($read, $write) = ('', '');

    for my $one (@open) {
        vec(length $one->{rest} ? $write : $read,
            fileno $one->{socket}, 1) = 1;
    }
    select $read, $write, undef, $seconds > 0 ? $seconds : 0;
    return grep { !is_over($_, $read, $write, $report) } @open;
}

sub is_over {
    my ($one, $read, $write, $report) = @_;
    my $fd = fileno $one->{socket};

    if (vec $write, $fd, 1) {
        my $sent = syswrite $one->{socket}, $one->{rest};
        return note_one($one, 'refused', $report) if !defined $sent;
        substr $one->{rest}, 0, $sent, '';
    }
    elsif (vec $read, $fd, 1) {
        my $got = sysread $one->{socket}, $one->{bytes}, 8192,
            length $one->{bytes};
        return note_one($one, get_code($one->{bytes}), $report) if !$got;
    }
    return time - $one->{sent} > $PATIENCE
        ? note_one($one, 'none', $report) : 0;
}

# get_code($bytes): the status of a whole answer, or "cut".
sub get_code {
    my ($bytes) = @_;
    my ($code, $head, $body)
        = $bytes =~ m{\AHTTP/1\.1 (\d{3}) (.*?\r\n)\r\n(.*)\z}s or return 'cut';

    return 'cut' if $head =~ /^Content-Length: (\d+)/mi && length $body < $1;
    return $code;
}

sub note_one {
    my ($one, $code, $report) = @_;
    my ($token) = $one->{kind} eq 'login'
        ? $one->{bytes} =~ /"token":\s*"(\w+)"/ : ();

    printf {$report} "%s %.4f %.4f %s %s\n", $one->{kind}, $one->{sent},
        time - $one->{sent}, $code, $token // '-';
    return 1;
}

# --- what the test sees of it ---

# samples: all so far, in the order of their answers.
sub samples {
    my ($self) = @_;

    die 'the pace was lost: ', AuthnToken::Process::slurp($self->{output})
        if !$self->{process}->alive;
    open my $in, '<', $self->{out} or return @{ $self->{samples} };
    seek $in, $self->{read}, 0;
    while (my $line = <$in>) {
        last if $line !~ /\n\z/;
        $self->{read} += length $line;
        my %sample;
        @sample{qw(kind sent took code token)} = split ' ', $line;
        push @{ $self->{samples} }, \%sample;
        push @{ $self->{issued} }, $sample{token} if $sample{token} ne '-';
    }
    return @{ $self->{samples} };
}

# more($n): when so many more requests were sent from now on and answered.
sub more {
    my ($self, $n) = @_;
    my $from = time;
    return poll(sub { $n <= grep { $_->{sent} >= $from } $self->samples }, 60)
        || die "the pace is too slow\n";
}

# span($seconds): lets a fault last.
sub span {
    my ($self, $seconds) = @_;
    my $end = time + $seconds;
    poll(sub { time >= $end }, $seconds + 1);
    return;
}

# calm($from, $kinds, $seconds): waits until for 1.5 s all of these kinds was
# 200; true, or false when that takes longer than so many seconds.
sub calm {
    my ($self, $from, $kinds, $seconds) = @_;
    my %counts = map { $_ => 1 } @$kinds;

    return poll(sub {
        my $since = $from;
        my $last = $from;
        for my $sample (grep { $_->{sent} > $from } $self->samples) {
            $since = $sample->{sent} if $counts{ $sample->{kind} }
                && $sample->{code} ne '200' && $sample->{sent} > $since;
            $last = $sample->{sent} if $sample->{sent} > $last;
        }
        return $last - $since >= 1.5;
    }, $seconds);
}

# summary($from, $end): of what was answered since $from, by kind: codes
# => { code => how many }, wait => the longest, out => from the first that
# was not 200 to the last one, back => how long after $end that was sent.
sub summary {
    my ($self, $from, $end) = @_;
    my %of = map { $_ => { codes => {}, wait => 0, out => 0, back => 0 } }
        qw(good fresh bad login);
    my %first;

    for my $sample (sort { $a->{sent} <=> $b->{sent} }
        grep { $_->{sent} + $_->{took} >= $from } $self->samples) {
        my ($kind, $sent) = @$sample{qw(kind sent)};
        my $sum = $of{$kind};
        $sum->{codes}{ $sample->{code} }++;
        $sum->{wait} = $sample->{took} if $sample->{took} > $sum->{wait};
        next if $sample->{code} eq ($kind eq 'bad' ? '401' : '200');
        $first{$kind} //= $sent;
        $sum->{out} = $sent - $first{$kind};
        $sum->{back} = $sent - $end if $sent > $end;
    }
    return \%of;
}

# issued: the tokens that logins were given.
sub issued {
    my ($self) = @_;
    $self->samples;
    return @{ $self->{issued} };
}

sub stop {
    my ($self) = @_;
    $self->samples;
    $self->{process}->end('TERM', 5);
    return;
}

1;
