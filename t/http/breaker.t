# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A database that is down, hangs when it is connected to, or takes no more
# connections: whoever needs it gets 503 at once, whoever does not goes on,
# and nobody waits.  The bounds of time here are generous; they are about
# not hanging.
# profiles: pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Postgres;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth make_token);
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

# ask_at_once($site, $count, $token, $seconds, @hosts): so many requests on so
# many connections, none waiting for another, to one host after the other;
# [seconds, code] of each, in the order they were answered.
sub ask_at_once {
    my ($site, $count, $token, $seconds, @hosts) = @_;
    my $start = time;
    my @open = map { $site->connection } 1 .. $count;
    my @answers;

    @hosts = ('x') if !@hosts;
    for my $connection (@open) {
        push @hosts, my $host = shift @hosts;
        $connection->write("GET /api/ HTTP/1.1\r\nHost: $host\r\n"
            . "Connection: close\r\n"
            . 'Authorization: Token ' . ($token // make_token())
            . "\r\n\r\n");
    }
    poll(sub {
        my @left;
        for my $connection (@open) {
            $connection->fill(0);
            my $response = $connection->take('GET');
            push @answers, [ time - $start, $response->code ] if $response;
            push @left, $connection if !$response;
        }
        @open = @left;
        return !@open;
    }, $seconds // 60);
    return @answers;
}

# per_child($site, $pattern): how many such lines each child wrote.
sub per_child {
    my ($site, $pattern) = @_;
    my %count;
    /\[pid (\d+)/ && $count{$1}++ for $site->log->lines('error', $pattern);
    return \%count;
}

my $opens = qr/\[authn_token:error\].* the token database does not answer: /;
my $closes = qr/\[authn_token:notice\].* the token database answers again/;

# --- down, and back ---

for my $mpm (qw(event prefork)) {
    my $pg = AuthnToken::Postgres->new;
    my $site = AuthnToken::Test->new(db => 'pgsql', pg => $pg, mpm => $mpm,
        name => "$mpm, down")->start;
    my $known = $site->login('alice', 'wonder-land')->{token};
    my $other = $site->login('bob', 'builder')->{token};

    $site->allow_log(qr/\[dbd:/, $opens);
    is $site->get('/api/', auth($known))->code, 200,
        "$mpm: a token is good before";
    for my $round (1, 2) {
        my $name = "$mpm, outage $round";
        $site->log_mark;
        $pg->stop($round == 1 ? 'fast' : 'immediate');
        my $down = $site->get('/api/', auth($other));
        # In the second round it may be in the table.
        if ($round == 1) {
            is $down->code, 503, "$name: what must be asked gets 503";
            is $down->header('Retry-After'), 2,
                "$name: and is told when to come back";
        }
        my @answers = ask_at_once($site, 24);
        is_deeply [ grep { $_ != 503 } map { $_->[1] } @answers ], [],
            "$name: 24 unknown tokens at once get 503";
        is scalar @answers, 24, "$name: all of them are answered";
        cmp_ok $answers[-1][0], '<', 10, "$name: and none of them waits";
        @answers = ask_at_once($site, 24, $known);
        is_deeply [ map { $_->[1] } @answers ], [ (200) x 24 ],
            "$name: 24 requests of a token that is known go on";
        my $login = $site->post('/api-token-auth/',
            { username => 'alice', password => 'wonder-land' });
        is $login->code, 503, "$name: a login gets 503";
        is $login->header('Retry-After'), 2, "$name: and is told to wait";

        is_deeply [ grep { $_ > 1 } values %{ per_child($site, $opens) } ],
            [], "$name: a child says once that it is down";
        cmp_ok scalar(keys %{ per_child($site, $opens) }), '>', 0,
            "$name: and it is said";

        $pg->start;
        my $back = time;
        ok poll(sub {
            my @code = map { $_->[1] } ask_at_once($site, 12, $other);
            my @new = map { $_->[1] } ask_at_once($site, 4);
            return !grep { $_ == 503 } @code, @new;
        }, 30), "$name: it is found again without a restart";
        cmp_ok time - $back, '<', 10, "$name: soon after it came back";
        # Each child that had said it was down.
        ok poll(sub {
            ask_at_once($site, 8);
            my ($opened, $closed) = map { per_child($site, $_) }
                $opens, $closes;
            return !grep { !$closed->{$_} } keys %$opened;
        }, 30), "$name: each child says that it answers again";
        is_deeply [ grep { $_ > 1 } values %{ per_child($site, $closes) } ],
            [], "$name: once";
    }
    $site->done;
}

# --- connecting hangs ---

for my $mpm (qw(event prefork)) {
    # The kernel takes the connections, nobody ever reads.
    my $hole = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64)
        or die "listen: $!\n";
    my $port = $hole->sockport;
    my $site = AuthnToken::Test->new(db => 'pgsql', mpm => $mpm,
        name => "$mpm, hanging", dbd => "host=127.0.0.1 port=$port "
            . 'dbname=x user=x connect_timeout=2',
        conf => "DBDMin 0\nDBDKeep 0\n" . AuthnToken::Conf::default_text(1))
        ->start;
    my $count = $mpm eq 'event' ? 16 : 12;

    $site->allow_log(qr/\[dbd:/, $opens);
    # prefork ends a child within its signal's handler: one that was opening
    # a connection waits there for a lock of apr_reslist that it has itself.
    $site->allow_log(qr/AH00046: child process \d+ still did not exit/)
        if $mpm eq 'prefork';
    for my $round (1, 2) {
        my $name = "$mpm, hanging, round $round";
        my @answers = ask_at_once($site, $count);
        is_deeply [ map { $_->[1] } @answers ], [ (503) x $count ],
            "$name: all get 503";
        cmp_ok $answers[-1][0], '<', 20,
            "$name: nobody waits for the others' connects";
        # A probe takes the two seconds of connect_timeout.
        next if $mpm eq 'prefork' && $round == 1;
        my $children = () = $site->child_pids;
        cmp_ok scalar(grep { $_->[0] >= 1.9 } @answers), '<=', $children,
            "$name: in each child only the probe waits";
    }
    $site->done;
}

# --- the same, for hosts that share connections and have tables of their own ---

{
    my $hole = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64)
        or die "listen: $!\n";
    my $port = $hole->sockport;
    my @schemas = qw(drf knox oauth-toolkit);
    my $site = AuthnToken::Test->new(db => 'pgsql', name => 'schemas, hanging',
        dbd => "host=127.0.0.1 port=$port dbname=x user=x connect_timeout=2",
        conf => "DBDMin 0\nDBDKeep 0\n" . AuthnToken::Conf::default_text(1)
            . join '', map { "<VirtualHost *>\n    ServerName $_\n"
                . "    AuthTokenLegacy $_\n</VirtualHost>\n" } @schemas)
        ->start;

    $site->allow_log(qr/\[dbd:/, $opens);
    my @answers = ask_at_once($site, 16, undef, 60, @schemas);
    my $children = () = $site->child_pids;
    is_deeply [ map { $_->[1] } @answers ], [ (503) x 16 ],
        'schemas, hanging: all get 503';
    cmp_ok scalar(grep { $_->[0] >= 1.9 } @answers), '<=', $children,
        'schemas, hanging: in each child one of all hosts waits';
    $site->done;
}

# --- connecting hangs where it went well before ---

{
    my $pg = AuthnToken::Postgres->new;
    my $site = AuthnToken::Test->new(db => 'pgsql', pg => $pg,
        name => 'frozen', conf => "DBDMin 0\nDBDMax 10\n"
            . AuthnToken::Conf::default_text(1))->start;

    $site->allow_log(qr/\[dbd:/, $opens);
    $site->get('/api/', auth(make_token())) for 1 .. 40;
    my @children = $site->child_pids;
    my @connections = $pg->backend_pids($site->dbname);
    $pg->freeze;
    my @answers = ask_at_once($site, 24);
    $pg->thaw;
    is_deeply [ map { $_->[1] } @answers ], [ (503) x 24 ],
        'frozen: all get 503';
    # A connect takes the two seconds of connect_timeout, a statement those
    # of AuthTokenQueryTimeout.
    cmp_ok scalar(grep { $_->[0] >= 1.9 } @answers), '<=',
        @connections + @children,
        'frozen: in each child one thread connects, and no other waits for it';
    $site->done;
}

# --- no connection left ---

{
    my $pg = AuthnToken::Postgres->new(
        conf => "max_connections = 12\nsuperuser_reserved_connections = 3");
    my $site = AuthnToken::Test->new(db => 'pgsql', pg => $pg,
        name => 'no connection left',
        conf => "DBDMin 0\nDBDKeep 0\n" . AuthnToken::Conf::default_text(1));
    my ($token) = $site->httoken('create', 'carol')->{out} =~ /(\w+)/;
    my @taken;

    $site->secret($token, 'token of carol');
    $site->allow_log(qr/\[dbd:/, $opens);
    eval { push @taken, $pg->dbh($site->dbname,
        user => AuthnToken::Postgres::ROLE()) for 1 .. 12; 1 };
    $site->start;
    my @answers = ask_at_once($site, 16, $token);
    is_deeply [ map { $_->[1] } @answers ], [ (503) x 16 ],
        'no connection left: 503, no error, no 401';
    cmp_ok $answers[-1][0], '<', 10, 'no connection left: nobody waits';
    $_->disconnect for @taken;
    ok poll(sub { $site->get('/api/', auth($token))->code == 200 }, 20),
        'with connections free again the token is good';
    $site->done;
}

# --- more requests than connections ---

{
    my $site = AuthnToken::Test->new(db => 'pgsql', name => 'few connections',
        conf => "AuthTokenTable 0\nDBDMax 1\nDBDKeep 1\n"
            . AuthnToken::Conf::default_text(1))->start;
    my $token = $site->login('alice', 'wonder-land')->{token};
    my %count;

    for (1 .. 10) {
        $count{ $_->[1] }++ for ask_at_once($site, 16, $token);
    }
    is_deeply [ grep { $_ != 200 && $_ != 503 } keys %count ], [],
        'more requests than connections: 200, or 503 to come back';
    cmp_ok $count{200} // 0, '>', 80, 'most of them find a connection';
    $site->log_unlike($opens, 'and nobody says that the database is down');
    $site->done;
}

finish();
