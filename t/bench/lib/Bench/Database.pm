# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# One PostgreSQL cluster with as many rows for each who is measured: our
# tokens, the users of mod_authn_dbd, the tokens of Django REST framework.
# The rows that are used are spread evenly among the others; all have real
# digests.
package Bench::Database;

use strict;
use warnings;

use AuthnToken::Postgres ();
use AuthnToken::Process qw(run);
use Bench::Tokens ();
use Time::HiRes qw(sleep time);

# Like a server that has been given its memory, a quarter as PostgreSQL's manual
# says, with nothing on record.
my $conf = 'shared_buffers = ' . quarter_of_memory() . "MB\n" . <<'CONF';
max_connections = 300
log_statement = none
maintenance_work_mem = 512MB
max_wal_size = 8GB
wal_level = minimal
max_wal_senders = 0
checkpoint_timeout = 1h
autovacuum = off
max_parallel_maintenance_workers = 2
CONF

sub quarter_of_memory {
    my ($kb) = AuthnToken::Process::slurp('/proc/meminfo') =~
        /^MemTotal: +(\d+) kB/m or die "no MemTotal\n";
    return int $kb / 4096;
}

# new(httoken => path, conf => 'further lines of postgresql.conf')
sub new {
    my ($class, %arg) = @_;
    my $pg = AuthnToken::Postgres->new(conf => $conf . ($arg{conf} // ''));
    return bless { %arg, pg => $pg, rows => {} }, $class;
}

# params($database): over the local socket, without TCP.
sub params {
    my ($self, $database) = @_;
    return $self->{pg}->params($database, host => $self->{pg}{dir});
}

sub dbh {
    my ($self, $database) = @_;
    return $self->{pg}->dbh($database, user => AuthnToken::Postgres::ROLE);
}

# tokens($rows, $known): a database with so many rows in auth_token, of
# which the tokens 1 .. $known are known.  Made once for each size.
sub tokens {
    my ($self, $rows, $known) = @_;
    my $name = "tokens_${rows}_$known";

    return $name if $self->{rows}{$name};
    $self->{pg}->create_database($name);
    my $made = run($self->{httoken}, '-d', 'pgsql', '-p',
        $self->params($name), 'init');
    die "httoken init: $made->{out}$made->{err}" if $made->{exit};
    my $dbh = $self->dbh($name);
    # mod_dbd prepares the statements of all, or has no connection.
    $dbh->do('CREATE TABLE account (username text COLLATE "C" PRIMARY KEY,'
        . ' password text NOT NULL)');
    known($dbh, 'digest text', $rows, $known, \&Bench::Tokens::digest);
    without_indexes($dbh, 'auth_token', sub {
        $dbh->do(<<"SQL");
INSERT INTO auth_token (digest, username, client, scope, family, created_at,
    expires_at)
SELECT digest, 'user' || i, 'bench', 'read write', left(digest, 16), now(),
    now() + interval '30 days'
FROM (
    SELECT i, COALESCE(known.digest,
        encode(sha256(('filler ' || i)::bytea), 'hex')) AS digest
    FROM generate_series(1, $rows) AS i
    LEFT JOIN known ON known.place = i
) AS made
SQL
    });
    return $self->finish($dbh, $name, 'auth_token', $rows);
}

# dead($name, $rows): so many more of them, which ended long ago.
sub dead {
    my ($self, $name, $rows) = @_;
    my $dbh = $self->dbh($name);

    $dbh->do(<<"SQL");
INSERT INTO auth_token (digest, username, family, created_at, expires_at)
SELECT digest, 'user' || i, left(digest, 16), now() - interval '90 days',
    now() - interval '60 days' + i * interval '1 s'
FROM (
    SELECT i, encode(sha256(('dead ' || i)::bytea), 'hex') AS digest
    FROM generate_series(1, $rows) AS i
) AS made
SQL
    $dbh->do('VACUUM ANALYZE auth_token');
    $dbh->disconnect;
    return;
}

# count_dead($name): how many of these are left.
sub count_dead {
    my ($self, $name) = @_;
    my $dbh = $self->dbh($name);
    my ($count) = $dbh->selectrow_array(
        'SELECT count(*) FROM auth_token WHERE expires_at < now()');
    $dbh->disconnect;
    return $count;
}

# restart($mode, $seconds): away for so long; [from, to], when it was not there
# for everybody.
sub restart {
    my ($self, $mode, $seconds) = @_;
    my $from = time;

    $self->{pg}->stop($mode);
    sleep $seconds;
    $self->{pg}->start;
    return [ $from, time ];
}

# checkpoint: what was filled in shall not be recovered after a crash.
sub checkpoint {
    my ($self) = @_;
    my $dbh = $self->{pg}->dbh;
    $dbh->do('CHECKPOINT');
    $dbh->disconnect;
    return;
}

# autovacuum($on): as it is where rows are removed in earnest.
sub autovacuum {
    my ($self, $on) = @_;
    my $dbh = $self->{pg}->dbh;
    $dbh->do('ALTER SYSTEM SET autovacuum = ' . ($on ? 'on' : 'off'));
    $dbh->do('SELECT pg_reload_conf()');
    $dbh->disconnect;
    return;
}

# users($rows, $known): the same with the users of mod_authn_dbd.
sub users {
    my ($self, $name, $rows, $known) = @_;
    my $dbh = $self->dbh($name);

    return $name if $self->{rows}{"$name users"}++;
    known($dbh, 'username text, password text', $rows, $known,
        \&Bench::Tokens::user, \&Bench::Tokens::password_hash);
    without_indexes($dbh, 'account', sub {
        $dbh->do(<<"SQL");
INSERT INTO account
SELECT COALESCE(username, 'filler' || i),
    COALESCE(password, '{SHA}' || encode(substr(sha256(i::text::bytea), 1,
        20), 'base64'))
FROM generate_series(1, $rows) AS i
LEFT JOIN known ON known.place = i
SQL
    });
    return $self->finish($dbh, $name, 'account', $rows);
}

# django($rows, $known): rows for the tables that Django has made.
sub django {
    my ($self, $name, $rows, $known) = @_;
    my $dbh = $self->dbh($name);

    known($dbh, 'key text', $rows, $known, \&Bench::Tokens::django);
    without_indexes($dbh, 'auth_user', sub {
        $dbh->do(<<"SQL");
INSERT INTO auth_user (id, password, is_superuser, username, first_name,
    last_name, email, is_staff, is_active, date_joined)
SELECT i, '!', false, 'user' || i, '', '', '', false, true, now()
FROM generate_series(1, $rows) AS i
SQL
    });
    without_indexes($dbh, 'authtoken_token', sub {
        $dbh->do(<<"SQL");
INSERT INTO authtoken_token (key, created, user_id)
SELECT COALESCE(key, left(encode(sha256(('filler ' || i)::bytea), 'hex'),
    40)), now(), i
FROM generate_series(1, $rows) AS i
LEFT JOIN known ON known.place = i
SQL
    });
    $self->finish($dbh, $name, 'auth_user', $rows);
    return $self->finish($self->dbh($name), $name, 'authtoken_token', $rows);
}

# known($dbh, $columns, $rows, $known, @of): the rows that will be used, each
# with its place among all of them.
sub known {
    my ($dbh, $columns, $rows, $known, @of) = @_;
    my $stride = int($rows / $known) or die "$known of $rows rows?\n";

    $dbh->do('DROP TABLE IF EXISTS known');
    $dbh->do("CREATE TEMPORARY TABLE known (n bigint, $columns)");
    $dbh->do('COPY known FROM STDIN');
    for my $n (1 .. $known) {
        $dbh->pg_putcopydata(join("\t", $n, map { $_->($n) } @of) . "\n");
    }
    $dbh->pg_putcopyend;
    $dbh->do("ALTER TABLE known ADD place bigint GENERATED ALWAYS AS"
        . " (n * $stride) STORED");
    $dbh->do('ANALYZE known');
    return;
}

# without_indexes($dbh, $table, $work): an index that is made when the rows
# are there is made sooner, and better.
sub without_indexes {
    my ($dbh, $table, $work) = @_;
    my $indexes = $dbh->selectall_arrayref(<<'SQL', {}, $table);
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), conname,
    pg_get_constraintdef(pg_constraint.oid)
FROM pg_index LEFT JOIN pg_constraint ON conindid = indexrelid
    AND conrelid = indrelid
WHERE indrelid = $1::regclass
SQL

    for my $index (@$indexes) {
        my ($name, undef, $constraint) = @$index;
        $dbh->do($constraint
            ? qq{ALTER TABLE $table DROP CONSTRAINT "$constraint" CASCADE}
            : "DROP INDEX $name");
    }
    $work->();
    for my $index (@$indexes) {
        my (undef, $definition, $constraint, $text) = @$index;
        $dbh->do($constraint
            ? qq{ALTER TABLE $table ADD CONSTRAINT "$constraint" $text}
            : $definition);
    }
    return;
}

# finish: as autovacuum would leave it.
sub finish {
    my ($self, $dbh, $name, $table, $rows) = @_;

    $dbh->do("VACUUM ANALYZE $table");
    my ($count) = $dbh->selectrow_array("SELECT count(*) FROM $table");
    die "$table has $count rows instead of $rows\n" if $count != $rows;
    $dbh->disconnect;
    $self->{rows}{$name} = $rows;
    return $name;
}

1;
