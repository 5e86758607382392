# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: pgsql-event
#
# Behind pgbouncer in transaction mode each statement may run on another
# connection to PostgreSQL, and these come and go: checks and logins are good
# all the same, for a statement that was prepared elsewhere is sent whole, and
# soon none is prepared.
use strict;
use warnings;

use AuthnToken::Conf ();
use AuthnToken::Postgres;
use AuthnToken::Process qw(poll which);
use AuthnToken::Test;
use DBI ();
use Test::More;

plan skip_all => 'no pgbouncer found' if !which('pgbouncer');
plan skip_all => 'a cluster whose log can be read needs initdb'
    if !AuthnToken::Postgres::program('initdb');

my $pg = AuthnToken::Postgres->new;
# Two connections, used in turn, and each for no longer than a second.
my $port = $pg->pgbouncer('transaction', default_pool_size => 2,
    server_round_robin => 1, server_lifetime => 1, server_check_delay => 0,
    min_pool_size => 2, server_login_retry => 1);
my $site = AuthnToken::Test->new(pg => $pg, conf => <<CONF
DBDParams "host=127.0.0.1 port=$port dbname=\@\@DBNAME\@\@ \\
user=authn_token connect_timeout=2"
AuthTokenTable 0
DBDMin 4
DBDKeep 4
DBDMax 8
CONF
    . AuthnToken::Conf::default_text(1));
$site->start;

# backends($from): the PostgreSQL processes that looked for a token.
sub backends {
    my ($from) = @_;
    my %pid = map { /^\S+ \S+ \S+ \[(\d+)\]/ ? ($1 => 1) : () }
        $pg->lookups($site->dbname, $from);
    return scalar keys %pid;
}

# checks($n, $token): so many, eight at a time; { status => how many }
sub checks {
    my ($n, $token) = @_;
    my %count;

    while ($n > 0) {
        my @connections = map { $site->connection } 1 .. ($n < 8 ? $n : 8);
        for my $connection (@connections) {
            $connection->write("GET /api/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                . "Authorization: Token $token\r\nConnection: close\r\n\r\n");
        }
        for my $connection (@connections) {
            my $response = $connection->read('GET', 10);
            $count{ $response ? $response->code : 'none' }++;
        }
        $n -= @connections;
    }
    return \%count;
}

my $token = $site->login('alice', 'wonder-land')->{token};
my $mark = $pg->log_mark;
is_deeply checks(200, $token), { 200 => 200 },
    '200 checks on two connections that take turns are all good';
cmp_ok backends($mark), '>=', 2, 'more than one connection served them';

# Lifetime: the connections are replaced while checks go on.
my %count;
my $all = 0;
poll(sub {
    my $now = checks(8, $token);
    $count{$_} += $now->{$_} for keys %$now;
    $all += 8;
    return backends($mark) >= 5;
}, 10);
is_deeply \%count, { 200 => $all },
    'while pgbouncer replaces its connections no check fails';
cmp_ok backends($mark), '>=', 5, 'they were replaced';

# Cut by PostgreSQL: pgbouncer hands out new ones.
my $cut = $pg->dbh->selectrow_array('SELECT count(pg_terminate_backend(pid))'
    . ' FROM pg_stat_activity WHERE usename = ?', {},
    AuthnToken::Postgres::ROLE);
cmp_ok $cut, '>=', 1, 'connections behind pgbouncer are cut';
is_deeply checks(40, $token), { 200 => 40 }, 'and 40 checks are good';

for my $round (1 .. 10) {
    my $again = $site->login('bob', 'builder')->{token};
    is $site->get('/api/', Authorization => "Bearer $again")->code, 200,
        "login $round is good, and so is its token";
}
is $site->get('/api/', Authorization => 'Token tok_x')->code, 401,
    'a bad token is refused';
is_deeply [ $pg->statements(qr/: SET\b|\bPREPARE (?!authn_token_)/,
        $mark) ], [], 'no statement leaves anything but what has our name';
ok poll(sub {
    $mark = $pg->log_mark;
    checks(80, $token);
    return !$pg->statements(qr/statement: PREPARE/, $mark);
}, 30), 'after some time nothing is left on a connection any more';

# The whole of PostgreSQL restarted behind it.
$site->allow_log(qr/\[authn_token:error\] .* database does not answer: /,
    qr/\[authn_token:notice\] .* database answers again/,
    qr/\[dbd:(?:error|crit)\] .* AH0(?:062[89]|063\d|2655): /);
$pg->restart;
ok poll(sub { $site->get('/api/', Authorization => "Token $token")->code
    == 200 }, 10), 'PostgreSQL restarted behind pgbouncer: good again';
is_deeply checks(40, $token), { 200 => 40 }, 'and stays so';
is $site->get('/')->code, 200, 'the rest is served';
$site->done;
# The servers go now, in this order, and not by chance at the very end.
undef $site;
undef $pg;
finish();
