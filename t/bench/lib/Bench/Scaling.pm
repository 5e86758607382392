# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The numbers of docs/scaling.md: what rows, and the statements that the
# module itself sends, cost PostgreSQL at several sizes, with partitions and
# without; and what follows for a fleet.  Times are a client's, one at a time.
package Bench::Scaling;

use strict;
use warnings;

use AuthnToken::Conf ();
use AuthnToken::Process qw(poll run);
use AuthnToken::Site ();
use Bench::Database ();
use Bench::Fleet ();
use Bench::Wrk ();
use Time::HiRes qw(time);

# With WAL as where it is archived or followed by a standby.
my $conf = <<'CONF';
wal_level = replica
max_wal_senders = 4
full_page_writes = on
shared_buffers = 1GB
CONF

my $site_conf = <<'CONF';
AuthTokenCacheTTL 0
AuthTokenFlushInterval 1s
AuthTokenPurge 1d
DBDMax 2
CONF

# Each by a part of its text.
my %known = (
    lookup => qr/^SELECT left.* WHERE digest = /,
    issue => qr/^INSERT INTO auth_token \(/,
    evict => qr/^UPDATE .* digest IN \(SELECT/,
    poll => qr/^SELECT .* WHERE revoked_at >=/,
    flush => qr/json_each_text/,
    purge => qr/^WITH mine .*expires_at </,
);

# run($report, $rows, $httoken): adds its lines.
sub run_all {
    my ($report, $rows, $httoken) = @_;
    my $self = bless { report => $report, httoken => $httoken,
        database => Bench::Database->new(httoken => $httoken,
            conf => $conf) }, __PACKAGE__;
    my @cases = ([ $rows / 10, 0 ], [ $rows, 0 ], [ 10 * $rows, 0 ],
        map { [ $rows, $_ ] } 4, 16, 64, 256);

    $self->{statement} = $self->statements;
    $self->grown($rows / 10);
    $self->fillfactor($rows, $_) for 100, 90, 80;
    $self->case(@$_) for @cases;
    $self->tables;
    $self->fleet($_) for 0, 16, 64;
    return;
}

# statements: the module's, from the server's log.
sub statements {
    my ($self) = @_;
    my $pg = $self->{database}{pg};
    my $dbh = $pg->dbh;
    my $site = AuthnToken::Site->new(db => 'pgsql', pg => $pg,
        conf => AuthnToken::Conf::default_text(1) . $site_conf);
    my (%found, @sent);

    $dbh->do(q{ALTER SYSTEM SET log_statement = 'all'});
    $dbh->do('SELECT pg_reload_conf()');
    my $mark = $pg->log_mark;
    $site->start;
    my $token = $site->login('alice', 'wonder-land')->{token};
    $site->get('/api/', Authorization => "Token $token");
    poll(sub {
        @sent = $pg->sent($mark);
        for my $name (keys %known) {
            ($found{$name}) = grep { $_->{text} =~ $known{$name} } @sent;
        }
        return !grep { !$found{$_} } keys %known;
    }, 20) or die 'not sent: ', join(' ', grep { !$found{$_} } keys %known);
    $site->discard;
    $dbh->do('ALTER SYSTEM RESET log_statement');
    $dbh->do('SELECT pg_reload_conf()');
    $dbh->disconnect;
    return \%found;
}

# --- rows ---

my $rows_of = <<'SQL';
INSERT INTO auth_token (digest, username, client, scope, family, created_at,
    expires_at, superseded_at, revoked_at)
SELECT d, 'user' || i / 3, 'client ' || i % 50, 'read write', left(d, 16),
    now() - part * interval '30 days', now() + (1 - part) * interval '30 days',
    CASE WHEN i % 10 = 0 THEN now() - interval '1 h' - part * interval '30 d'
    END,
    CASE WHEN i % 50 = 1 THEN now() - interval '1 h' - part * interval '30 d'
    END
FROM (SELECT i, i / ROWS::float8 part,
    encode(sha256(('scaling ' || i)::bytea), 'hex') d
    FROM generate_series(1, ROWS) i) made
SQL

# make($name, $rows, $partitions, $grown, $with): a handle; the table is
# filled before its indexes are made, or after, as one that has grown is.
sub make {
    my ($self, $name, $rows, $partitions, $grown, $with) = @_;
    my $database = $self->{database};
    my $params = $database->params($database->{pg}->create_database($name));
    my $print = run($self->{httoken}, '-d', 'pgsql', '-p', $params, 'init',
        '--print')->{out};
    my ($table) = $print =~ /^(CREATE TABLE IF NOT EXISTS auth_token \(.*?^\))/ms
        or die "no table in: $print";
    my $dbh = $database->dbh($name);
    my $fill = $rows_of =~ s/ROWS/$rows/gr;

    $table =~ s/ PRIMARY KEY// if !$grown;
    $dbh->do($table . ($partitions ? ' PARTITION BY HASH (digest)' : '')
        . ($with ? " WITH ($with)" : ''));
    $dbh->do("CREATE TABLE auth_token_$_ PARTITION OF auth_token FOR VALUES"
        . " WITH (MODULUS $partitions, REMAINDER $_)")
        for 0 .. $partitions - 1;
    $dbh->do($fill) if !$grown;
    $dbh->do('ALTER TABLE auth_token ADD PRIMARY KEY (digest)') if !$grown;
    my $made = run($self->{httoken}, '-d', 'pgsql', '-p', $params, 'init');
    die "httoken init: $made->{out}$made->{err}" if $made->{exit};
    $dbh->do($fill) if $grown;
    $dbh->do('VACUUM ANALYZE auth_token');
    return $dbh;
}

# bytes($dbh): of a row in the table, and in all of its indexes.
sub bytes {
    my ($dbh, $rows) = @_;
    my ($table, $index) = $dbh->selectrow_array(<<'SQL');
SELECT sum(pg_table_size(oid)), sum(pg_indexes_size(oid))
FROM pg_class WHERE relkind = 'r' AND relname ~ '^auth_token(_[0-9]+)?$'
SQL
    return map { sprintf '%.0f bytes', $_ / $rows } $table, $index;
}

sub add {
    my ($self, $name, $measured, $beside, $ratio) = @_;
    $self->{report}->add(name => $name, measured => $measured,
        beside => $beside, ratio => $ratio);
    return;
}

# grown: what indexes take that were not made at once.
sub grown {
    my ($self, $rows) = @_;
    my $dbh = $self->make('grown', $rows, 0, 1);
    my ($table, $index) = bytes($dbh, $rows);
    $self->add('a row that was added to the table, and its index entries',
        $table, $index);
    $dbh->disconnect;
    return;
}

# fillfactor: whether uses find room in their pages, and so leave the indexes
# alone.
sub fillfactor {
    my ($self, $rows, $factor) = @_;
    my $dbh = $self->make("fillfactor_$factor", $rows, 0, 0,
        "fillfactor = $factor");
    my $hot = sub { return $dbh->selectrow_array('SELECT'
        . " pg_stat_get_tuples_hot_updated('auth_token'::regclass),"
        . " pg_stat_get_tuples_updated('auth_token'::regclass)") };
    my ($table) = bytes($dbh, $rows);
    my @share;

    for my $round (1 .. 2) {
        my @before = $hot->();
        $dbh->do("UPDATE auth_token SET last_used_at = now() WHERE"
            . ' substr(digest, 1, 1) = ?', {}, $round);
        $dbh->do('SELECT pg_stat_force_next_flush()');
        $dbh->do('VACUUM auth_token');
        my @now = $hot->();
        push @share, sprintf '%.0f%%',
            100 * ($now[0] - $before[0]) / ($now[1] - $before[1]);
    }
    $self->add("fillfactor $factor, $table a row: uses that touch no index, of"
        . ' a sixteenth of the rows, and of another', @share);
    $dbh->disconnect;
    return;
}

# --- statements ---

# times($dbh, $name, $mode, \@values): the median, in seconds; as it comes to
# be on a connection that is kept, or planned each time.
sub times {
    my ($self, $dbh, $name, $mode, $values) = @_;
    my $statement = $self->{statement}{$name};
    my @took;

    $dbh->do("SET plan_cache_mode = $mode");
    $dbh->do("PREPARE it$statement->{types} AS $statement->{text}");
    for my $value (@$values) {
        my $start = time;
        $dbh->do("EXECUTE it($value)");
        push @took, time - $start;
    }
    $dbh->do('DEALLOCATE it');
    # The first ones are planned in any mode.
    splice @took, 0, 8 if @took > 16;
    return Bench::Wrk::median(@took);
}

sub ms { return sprintf '%.2f ms', 1000 * $_[0] }

sub us { return sprintf '%.1f us', 1_000_000 * $_[0] }

# both($dbh, $name, $where, $values, $label): kept, beside planned each time.
sub both {
    my ($self, $dbh, $name, $where, $label, $values) = @_;
    my ($kept, $whole) = map { $self->times($dbh, $name, $_, $values->()) }
        'auto', 'force_custom_plan';
    $self->add("$where: $label", ms($kept), ms($whole));
    return $whole;
}

sub commas { return scalar reverse reverse(sprintf "%.0f", $_[0])
    =~ s{(\d{3})(?=\d)}{$1,}gr }

sub case {
    my ($self, $rows, $partitions) = @_;
    my $dbh = $self->make("rows_${rows}_$partitions", $rows, $partitions);
    my $where = commas($rows) . ' rows'
        . ($partitions ? ", $partitions partitions" : '');
    my $cost = $self->{cost}{"$rows $partitions"} = {};
    my $sample = $rows < 40_000 ? 100 : 4_000_000 / $rows;
    my @digest = @{ $dbh->selectcol_arrayref('SELECT digest FROM auth_token'
        . " TABLESAMPLE SYSTEM ($sample) LIMIT 30000") };
    my $n = 0;
    my $some = sub { map { $digest[ 7919 * ++$n % @digest ] } 1 .. $_[0] };

    $self->add("$where: a row, and its index entries", bytes($dbh, $rows));
    $self->add("$where: pages read for a lookup", pages($dbh,
        $self->{statement}{lookup}, map { "'$_'" } $some->(1)));
    $cost->{lookup} = $self->both($dbh, 'lookup', $where, 'lookup',
        sub { [ map { "'$_'" } $some->(200) ] });
    $cost->{poll} = $self->both($dbh, 'poll', $where, 'poll without a row',
        sub { [ (q{'1', '1'}) x 30 ] });
    $cost->{login} = $self->both($dbh, 'issue', $where, 'login: the row',
            sub { [ map { issue(++$n) } 1 .. 40 ] })
        + $self->both($dbh, 'evict', $where, 'login: AuthTokenMaxPerUser',
            sub { [ map { "'user" . 1000 * $_ . "', '', '49'" } 1 .. 40 ] });
    $self->poll_rows($dbh, $where, $cost);
    $self->flush($dbh, $where, $cost, $some);
    $self->purge($dbh, $where, $cost);
    $dbh->disconnect;
    return;
}

sub issue {
    my ($n) = @_;
    my $digest = Digest::SHA::sha256_hex("issue $$ $n");
    return "'$digest', 'new $n', 'c', '', '', '" . substr($digest, 0, 16)
        . "', '" . int(time) . "', '" . int(time + 86_400) . "', '0'";
}

# pages($dbh, $statement, $values): of the second run of it.
sub pages {
    my ($dbh, $statement, $values) = @_;
    my $plan;

    $dbh->do("PREPARE it$statement->{types} AS $statement->{text}");
    for (1 .. 2) {
        $plan = join "\n", @{ $dbh->selectcol_arrayref(
            "EXPLAIN (ANALYZE, BUFFERS) EXECUTE it($values)") };
    }
    $dbh->do('DEALLOCATE it');
    return ($plan =~ /Buffers: shared hit=(\d+)/)[0];
}

# A poll that has thousands to tell.
sub poll_rows {
    my ($self, $dbh, $where, $cost) = @_;
    my $many = 5000;

    $dbh->begin_work;
    $dbh->do('UPDATE auth_token SET revoked_at = now() WHERE digest IN'
        . " (SELECT digest FROM auth_token WHERE digest < '4' LIMIT $many)");
    my $took = $self->times($dbh, 'poll', 'auto', [ (q{'11', '11'}) x 5 ]);
    $dbh->rollback;
    $cost->{row} = ($took - $cost->{poll}) / $many;
    $cost->{row} = 0 if $cost->{row} < 0;
    $self->add("$where: a poll, each row", us($cost->{row}));
    return;
}

# --- upkeep ---

sub wal {
    my ($dbh) = @_;
    return ($dbh->selectrow_array(
        q{SELECT pg_current_wal_lsn() - '0/0'::pg_lsn}))[0];
}

# flush: the uses of 500 tokens, as they come after a checkpoint, and again.
sub flush {
    my ($self, $dbh, $where, $cost, $some) = @_;
    my $admin = $self->{database}{pg}->dbh($dbh->{pg_db});
    my @batches = map { [ $some->(500) ] } 1 .. 12;
    my $second = int time;
    my %bytes;

    $admin->do('CHECKPOINT');
    $admin->disconnect;
    for my $round ('first', 'again') {
        my $before = wal($dbh);
        $cost->{flush} = $self->times($dbh, 'flush', 'auto', [ map {
            q('{) . join(',', map { qq("$_":$second) } @$_) . q(}')
        } @batches ]);
        $bytes{$round} = (wal($dbh) - $before) / 500 / @batches;
        $second++;
    }
    $self->add("$where: 500 last uses", ms($cost->{flush}));
    $self->add("$where: WAL of one, after a checkpoint, and later",
        map { sprintf '%.0f bytes', $bytes{$_} } 'first', 'again');
    return;
}

# purge: 1,000 rows; a look that finds none; and those that are passed over,
# for they were rotated away and their families live.
sub purge {
    my ($self, $dbh, $where, $cost) = @_;
    my $many = 10_000;
    my $dead = q{expires_at = now() - interval '60 d'};
    my $look = sub { $self->times($dbh, 'purge', 'force_custom_plan',
        [ map { qq('2592000', '$_') } @_ ]) };

    $cost->{look} = $look->((1000) x 5);
    $dbh->begin_work;
    $dbh->do("UPDATE auth_token SET $dead, superseded_at = NULL WHERE digest"
        . q{ IN (SELECT digest FROM auth_token WHERE digest > 'c' LIMIT 4000)});
    my $took = $look->((1000) x 3);
    $cost->{purge} = $took / 1000;
    $dbh->rollback;
    $dbh->begin_work;
    $dbh->do("UPDATE auth_token t SET $dead, superseded_at = now() - interval"
        . q{ '60 d', revoked_at = NULL, family = f FROM (SELECT o.digest AS d,}
        . q{ h.family AS f FROM (SELECT digest, row_number() OVER () n FROM}
        . " auth_token WHERE digest < '8' LIMIT $many) o JOIN (SELECT family,"
        . ' row_number() OVER () n FROM auth_token WHERE digest > ? AND'
        . ' superseded_at IS NULL AND revoked_at IS NULL AND expires_at >'
        . " now() LIMIT $many) h USING (n)) x WHERE t.digest = d", {}, '8');
    my $walk = ($look->(1000) - $cost->{look}) / $many;
    $dbh->rollback;
    $self->add("$where: a look for dead rows", ms($cost->{look}));
    $self->add("$where: 1,000 dead rows removed", ms($took));
    $self->add("$where: a dead row that must stay, each look", us($walk));
    return;
}

# --- the fleet ---

my $HOSTS = 1000;
my $RATE = 200;                 # requests a second of each
my $IN_USE = 1e7;               # tokens, of 10^9
my $SLOTS = 262_144;

# miss($same, $zipf, $ttl): of one host; users come to any host, or always to
# the same one.
sub miss {
    my ($same, $zipf, $ttl) = @_;
    return Bench::Fleet::misses(slots => $SLOTS, rate => $RATE, ttl => $ttl,
        zipf => $zipf, tokens => $same ? $IN_USE / $HOSTS : $IN_USE);
}

sub tables {
    my ($self) = @_;

    for my $zipf (0, 1) {
        for my $ttl (60, 300) {
            $self->add('simulated: misses, AuthTokenCacheTTL ' . $ttl . 's, '
                . ($zipf ? 'Zipf' : 'uniform') . ': any host, the same host',
                map { sprintf '%.1f%%', 100 * miss($_, $zipf, $ttl) } 0, 1);
        }
    }
    return;
}

# used($same, $seconds): tokens that a host sees in so long.
sub used {
    my ($same, $seconds) = @_;
    my $tokens = $same ? $IN_USE / $HOSTS : $IN_USE;
    return $tokens * (1 - exp(-$RATE * $seconds / $tokens));
}

# fleet: processors of PostgreSQL's that all hosts take, behind pgbouncer,
# all tokens used alike.
sub fleet {
    my ($self, $partitions) = @_;
    my ($key) = sort { ($b =~ /(\d+)/)[0] <=> ($a =~ /(\d+)/)[0] }
        grep { / $partitions$/ } keys %{ $self->{cost} };
    my $table = $partitions ? "$partitions partitions" : 'no partitions';
    my %default = (tokens => 1e9, hosts => $HOSTS, rate => $HOSTS * $RATE,
        lifetime => 30 * 86_400, rotation => 0, cost => $self->{cost}{$key},
        same => 0, ttl => 60, flush => 30, poll => 1, purging => $HOSTS);
    my %better = (same => 1, ttl => 300, flush => 3600, poll => 5,
        purging => 2);

    for my $case ([ 'defaults' ], [ 'as advised', %better ],
        [ 'as advised, rotated weekly', %better, rotation => 7 * 86_400 ]) {
        my ($title, @more) = @$case;
        my %arg = (%default, @more);
        my $load = Bench::Fleet::load(%arg,
            miss => miss($arg{same}, 0, $arg{ttl}),
            active => used($arg{same}, $arg{flush}));
        my $sum = 0;
        for my $what (sort keys %$load) {
            my ($times, $each) = @{ $load->{$what} };
            $sum += $times * $each;
            $self->add("reckoned: $table, $title: $what",
                commas($times) . '/s',
                sprintf '%.2f processors', $times * $each);
        }
        $self->add("reckoned: $table, $title: all", '',
            sprintf '%.1f processors', $sum);
    }
    return;
}

1;
