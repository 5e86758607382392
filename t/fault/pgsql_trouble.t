# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL is there and does not do what it should: locked, frozen, full,
# read-only, or with another table than before.
# profiles: pgsql-event
use strict;
use warnings;

use AuthnToken::Fault;
use AuthnToken::Pace;
use AuthnToken::Postgres;
use AuthnToken::Process qw(poll run);
use AuthnToken::Test;
use Test::More;

plan skip_all => 'a cluster that can be changed needs initdb'
    if !AuthnToken::Postgres::program('initdb');

my $pg = AuthnToken::Postgres->new(conf => "max_connections = 30\n");
my $site = fault_site(name => 'trouble', pg => $pg,
    conf => "DBDMax 4\n")->start;
my $pace = AuthnToken::Pace->start($site, fresh => 2500);
my $root = $pg->dbh;

rehearse($pace, 'table locked for 3 s', sub {
    my $holder = $site->dbh;
    $holder->begin_work;
    $holder->do('LOCK TABLE auth_token IN ACCESS EXCLUSIVE MODE');
    $pace->span(3);
    $holder->rollback;
    return;
}, bites => [qw(fresh login)]);

rehearse($pace, 'server processes frozen for 4 s', sub {
    $pg->freeze($site->dbname);
    $pace->span(4);
    $pg->thaw;
    return;
});

rehearse($pace, 'all of PostgreSQL frozen for 4 s', sub {
    $pg->freeze;
    $pace->span(4);
    $pg->thaw;
    return;
}, bites => [qw(fresh login)]);

rehearse($pace, 'no connection left for 3 s', sub {
    my @hold;
    poll(sub {
        $root->do('SELECT pg_terminate_backend(pid) FROM pg_stat_activity'
            . ' WHERE usename = ? AND application_name <> ?', {},
            AuthnToken::Postgres::ROLE, 'hold');
        while (my $dbh = eval { $site->dbh }) {
            $dbh->do(q{SET application_name = 'hold'});
            push @hold, $dbh;
        }
        return !$root->selectrow_array('SELECT count(*) FROM'
            . ' pg_stat_activity WHERE usename = ? AND application_name <> ?',
            {}, AuthnToken::Postgres::ROLE, 'hold');
    }, 20) or die "httpd keeps its connections\n";
    $pace->span(3);
    undef @hold;
    return;
}, bites => [qw(fresh login)]);

rehearse($pace, 'read-only for 3 s', sub {
    for my $change ('SET default_transaction_read_only = on',
        'RESET default_transaction_read_only') {
        $root->do("ALTER SYSTEM $change");
        $root->do('SELECT pg_reload_conf()');
        $pace->span(3) if $change =~ /^SET/;
    }
    return;
}, spares => [qw(good fresh)], bites => ['login']);

rehearse($pace, 'columns added and taken away', sub {
    my $dbh = $site->dbh;
    for my $change ('ADD COLUMN note text', 'ALTER client TYPE varchar(200)',
        'DROP COLUMN note', 'ALTER client TYPE text') {
        $dbh->do("ALTER TABLE auth_token $change");
        $pace->more(15);
    }
    return;
}, spares => [qw(good fresh login)]);

rehearse($pace, 'table made anew in a transaction', sub {
    my $dbh = $site->dbh;
    $dbh->begin_work;
    $dbh->do('ALTER TABLE auth_token RENAME TO auth_token_old');
    $dbh->do('CREATE TABLE auth_token (LIKE auth_token_old INCLUDING ALL)');
    $dbh->do('INSERT INTO auth_token SELECT * FROM auth_token_old');
    $dbh->do('DROP TABLE auth_token_old');
    $dbh->commit;
    return;
}, spares => [qw(good fresh login)]);

rehearse($pace, 'table away for 2 s', sub {
    my $dbh = $site->dbh;
    $dbh->do('ALTER TABLE auth_token RENAME TO auth_token_old');
    $pace->span(2);
    $dbh->do('ALTER TABLE auth_token_old RENAME TO auth_token');
    return;
}, bites => [qw(fresh login)]);

# A tablespace of its own that is full; PostgreSQL itself has room.
SKIP: {
    my $small = "$pg->{dir}/small";
    mkdir $small or die "$small: $!\n";
    my $mount = run('mount', '-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', $small);
    skip 'no small file system can be mounted', 10 if $mount->{exit};
    AuthnToken::Process::own($pg->{user}, $small);
    $root->do("CREATE TABLESPACE small LOCATION '$small'");
    $root->do('GRANT CREATE ON TABLESPACE small TO PUBLIC');
    $site->dbh->do('ALTER TABLE auth_token SET TABLESPACE small');
    rehearse($pace, 'disk full for 3 s', sub {
        open my $fh, '>', "$small/ballast" or die "$small: $!\n";
        1 while syswrite $fh, 'x' x 4096;
        close $fh;
        # What room there still is within its pages.
        my $dbh = $site->dbh;
        1 while eval { $dbh->do('INSERT INTO auth_token SELECT'
            . q{ md5(random()::text) || md5(random()::text), 'dave', '', '',}
            . q{ '', 'x', now(), now() FROM generate_series(1, 20)}); };
        1 while eval { $dbh->do('INSERT INTO auth_token SELECT'
            . q{ md5(random()::text) || md5(random()::text), 'dave', '', '',}
            . q{ '', 'x', now(), now()}); };
        $pace->span(3);
        unlink "$small/ballast";
        return;
    }, spares => [qw(good fresh)], bites => ['login']);
    $site->dbh->do('ALTER TABLE auth_token SET TABLESPACE pg_default');
    $root->do('DROP TABLESPACE small');
    run('umount', '-l', $small);
}
end_pace($pace, $site);
finish();
