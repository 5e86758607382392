# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# 10,000 requests of one token, on connections to every child, are at most
# one write of its last use in an AuthTokenFlushInterval.
# profiles: sqlite3-event pgsql-event
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Test::More;
use Time::HiRes qw(time);

my $REQUESTS = 10_000;
my $INTERVAL = 2;
my $CONNECTIONS = 8;
my $BATCH = 50;

my $pg = AuthnToken::Test::database() eq 'pgsql';
# A log with a line a request would be most of the work.
my $site = AuthnToken::Test->new(loglevel => 'info',
    conf => "AuthTokenFlushInterval ${INTERVAL}s\nMaxKeepAliveRequests 0\n"
        . AuthnToken::Conf::default_text(1))->start;
my $token = $site->login('alice', 'wonder-land')->{token};
my $dbh = $site->dbh;

# Each write of a row leaves one here, whoever makes it.
$dbh->do($_) for 'CREATE TABLE written (digest text)', triggers();

sub triggers {
    return (<<'SQL', <<'SQL') if $pg;
CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO written VALUES (NEW.digest); RETURN NEW; END$$
SQL
CREATE TRIGGER note AFTER UPDATE ON auth_token
    FOR EACH ROW EXECUTE FUNCTION note_write()
SQL
    return <<'SQL';
CREATE TRIGGER note AFTER UPDATE ON auth_token
    BEGIN INSERT INTO written VALUES (NEW.digest); END
SQL
}

sub written { return ($dbh->selectrow_array('SELECT count(*) FROM written'))[0] }

# burst($connection, $count): so many requests in one packet; how many were
# answered with 200.
sub burst {
    my ($connection, $count) = @_;
    my $request = join "\r\n", 'GET /api/data.json HTTP/1.1', 'Host: x',
        "Authorization: Token $token", '', '';
    my $good = 0;

    $connection->write($request x $count);
    for (1 .. $count) {
        my $response = $connection->read('GET', 10) or return $good;
        $good++ if $response->code == 200;
    }
    return $good;
}

my $mark = $pg ? $site->pg->log_mark : 0;
my @connections = map { $site->connection } 1 .. $CONNECTIONS;
my $start = time;
my ($sent, $good) = (0, 0);
# A fast machine sends more of them: it is to be more than one interval.
while ($sent < $REQUESTS || time - $start < 1.5 * $INTERVAL) {
    $good += burst($connections[ $sent / $BATCH % $CONNECTIONS ], $BATCH);
    $sent += $BATCH;
}
is $good, $sent, "$REQUESTS requests of one token, or more, are good";
ok poll(sub { written() }, 3 * $INTERVAL), 'its last use is written';
# Those of the last interval are written in the next one.
select undef, undef, undef, 2 * $INTERVAL;
my $intervals = 1 + int((time - $start) / $INTERVAL);
my $written = written();
note "$sent requests, $written writes in $intervals intervals";
cmp_ok $written, '<=', $intervals, 'at most one write an interval';
if ($pg) {
    my $statements = () = $site->pg->statements(
        qr/ \Q@{[ $site->dbname ]}\E LOG:  execute .*UPDATE auth_token\b/s, $mark);
    is $statements, $written, 'and no statement that writes nothing';
    my $lookups = () = $site->pg->lookups($site->dbname, $mark);
    cmp_ok $lookups, '<=', 1, 'nor more than one that asks';
}
$site->done;
finish();
