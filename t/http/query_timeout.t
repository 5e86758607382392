# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A server process of PostgreSQL that is stopped, a whole cluster that is, a
# lock that is held: a statement takes AuthTokenQueryTimeout and no worker is
# lost.  The bounds of time here are generous; without the directive the
# waits would never end.
# profiles: pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Postgres;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Test::More;
use Time::HiRes qw(time);

my $conf = "AuthTokenTable 0\nAuthTokenQueryTimeout 1s\n"
    . AuthnToken::Conf::default_text(1);
my $overdue = qr/no answer within AuthTokenQueryTimeout/;
my $pg = AuthnToken::Postgres->new;

# ask_at_once($site, $count, $token): [seconds, code] of each answer.
sub ask_at_once {
    my ($site, $count, $token) = @_;
    my $start = time;
    my @open = map { $site->connection } 1 .. $count;
    my @answers;

    $_->write("GET /api/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "Authorization: Token $token\r\n\r\n") for @open;
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
    }, 60);
    return @answers;
}

for my $mpm (qw(event prefork)) {
    my $site = AuthnToken::Test->new(db => 'pgsql', pg => $pg, mpm => $mpm,
        name => $mpm, conf => $conf)->start;
    my $token = $site->login('alice', 'wonder-land')->{token};
    my $is_back = sub {
        return poll(sub {
            return !grep { $_->[1] != 200 } ask_at_once($site, 8, $token);
        }, 40);
    };

    $site->allow_log(qr/\[dbd:/, qr/the token database does not answer/);
    # See breaker.t: a child of prefork that was opening a connection.
    $site->allow_log(qr/AH00046: child process \d+ still did not exit/)
        if $mpm eq 'prefork';
    is_deeply [ map { $_->[1] } ask_at_once($site, 8, $token) ],
        [ (200) x 8 ], "$mpm: all is well before";

    # The pool's connections are dead to the world, new ones are not.
    my @frozen = $pg->freeze($site->dbname);
    cmp_ok scalar @frozen, '>', 0, "$mpm: backends are stopped";
    my @answers = ask_at_once($site, 12, $token);
    is scalar @answers, 12, "$mpm: backends stopped: all are answered";
    is_deeply [ grep { $_ != 200 && $_ != 503 } map { $_->[1] } @answers ],
        [], "$mpm: backends stopped: the answer is good or 503";
    cmp_ok $answers[-1][0], '<', 20, "$mpm: backends stopped: in time";
    $site->log_like($overdue, "$mpm: backends stopped: the log says why");
    ok $is_back->(), "$mpm: new connections are made while they are stopped";
    $pg->thaw;

    # Nobody answers at all; the kernel still takes connections.
    $pg->freeze;
    for my $round (1, 2) {
        @answers = ask_at_once($site, 12, $token);
        is_deeply [ map { $_->[1] } @answers ], [ (503) x 12 ],
            "$mpm: cluster stopped, round $round: all get 503";
        cmp_ok $answers[-1][0], '<', 25,
            "$mpm: cluster stopped, round $round: in time";
    }
    my $login = $site->post('/api-token-auth/',
        { username => 'alice', password => 'wonder-land' });
    is $login->code, 503, "$mpm: cluster stopped: a login gets 503";
    $pg->thaw;
    ok $is_back->(), "$mpm: when it goes on, so does all";

    # A lock that somebody holds.
    my $holder = $site->dbh;
    $holder->begin_work;
    $holder->do('LOCK TABLE auth_token IN ACCESS EXCLUSIVE MODE');
    @answers = ask_at_once($site, 12, $token);
    is_deeply [ map { $_->[1] } @answers ], [ (503) x 12 ],
        "$mpm: table locked: all get 503";
    cmp_ok $answers[-1][0], '<', 25, "$mpm: table locked: in time";
    $holder->rollback;
    ok $is_back->(), "$mpm: the lock gone, all is well";
    $site->done;
}

# A child that is to end when its requests have.
for my $mpm (qw(event prefork)) {
    my $site = AuthnToken::Test->new(db => 'pgsql', pg => $pg, mpm => $mpm,
        name => "draining-$mpm", conf => "AuthTokenTable 0\n"
            . "AuthTokenQueryTimeout 3s\n"
            . AuthnToken::Conf::default_text(1))->start;
    my $token = $site->login('alice', 'wonder-land')->{token};
    my @old = $site->child_pids;

    $site->allow_log(qr/\[dbd:/, qr/the token database does not answer/);
    is_deeply [ map { $_->[1] } ask_at_once($site, 8, $token) ],
        [ (200) x 8 ], "$mpm, draining: all is well before";
    $pg->freeze($site->dbname);
    my $connection = $site->connection;
    $connection->write("GET /api/ HTTP/1.1\r\nHost: x\r\n"
        . "Connection: close\r\nAuthorization: Token $token\r\n\r\n");
    $site->graceful;
    my %left = map { $_ => 1 } @old;
    my $response = $connection->read('GET', 30);
    ok $response && $response->code =~ /^(?:200|503)$/,
        "$mpm, draining: a request that waits is answered";
    ok poll(sub { !grep { $left{$_} } $site->child_pids }, 30),
        "$mpm, draining: and its child ends";
    $pg->thaw;
    $site->done;
}

# A pooler that accepts, and has no server behind it.
SKIP: {
    skip 'no pgbouncer here', 3 if !AuthnToken::Process::which('pgbouncer');
    my $site = AuthnToken::Test->new(db => 'pgsql', pg => $pg,
        pgbouncer => 'transaction', name => 'pgbouncer',
        conf => "DBDMin 0\n$conf");
    my ($token) = $site->httoken('create', 'carol')->{out} =~ /(\w+)/;

    $site->secret($token, 'token of carol');
    $site->allow_log(qr/\[dbd:/, qr/the token database does not answer/);
    $site->start;
    is $site->get('/api/', auth($token))->code, 200,
        'pgbouncer: all is well before';
    $pg->freeze;
    # Children that have no connection yet.
    $site->restart;
    my @answers = ask_at_once($site, 12, $token);
    is_deeply [ map { $_->[1] } @answers ], [ (503) x 12 ],
        'pgbouncer: no server behind it: all get 503';
    cmp_ok @answers ? $answers[-1][0] : 99, '<', 25,
        'pgbouncer: no server behind it: in time';
    $pg->thaw;
    ok poll(sub { $site->get('/api/', auth($token))->code == 200 }, 60),
        'pgbouncer: the server is back, and so are tokens';
    $site->done;
}

finish();
