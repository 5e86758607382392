# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Behind pgbouncer in transaction mode: its connections to PostgreSQL are
# replaced, it restarts itself, and PostgreSQL behind it does.
# profiles: pgsql-event
use strict;
use warnings;

use AuthnToken::Fault;
use AuthnToken::Pace;
use AuthnToken::Postgres;
use AuthnToken::Process qw(poll run which);
use AuthnToken::Test;
use Test::More;

plan skip_all => 'no pgbouncer found' if !which('pgbouncer');
plan skip_all => 'no psql found' if !AuthnToken::Postgres::program('psql');
plan skip_all => 'a cluster that can be stopped needs initdb'
    if !AuthnToken::Postgres::program('initdb');

my $pg = AuthnToken::Postgres->new;
my $port = $pg->pgbouncer('transaction', server_lifetime => 1,
    server_check_delay => 0, server_login_retry => 1);
my $site = fault_site(name => 'pooler', pg => $pg, conf => <<CONF)->start;
DBDParams "host=127.0.0.1 port=$port dbname=\@\@DBNAME\@\@ \\
user=authn_token connect_timeout=2"
CONF
my $pace = AuthnToken::Pace->start($site);

# order($command): to pgbouncer itself.
sub order {
    my ($command) = @_;
    my $result = run(AuthnToken::Postgres::program('psql'), '-X', '-h',
        '127.0.0.1', '-p', $port, '-U', 'postgres', 'pgbouncer', '-c',
        $command, { timeout => 20 });
    die "$command: $result->{err}" if $result->{exit};
    return;
}

rehearse($pace, 'connections replaced each second', sub {
    $pace->span(3);
    return;
}, spares => [qw(good fresh login)]);
rehearse($pace, 'RECONNECT', sub {
    for (1 .. 5) {
        order('RECONNECT');
        $pace->more(10);
    }
    return;
}, spares => [qw(good fresh login)]);
rehearse($pace, 'PostgreSQL away for 3 s behind the pooler', sub {
    $pg->stop;
    $pace->span(3);
    $pg->start;
    return;
}, bites => [qw(fresh login)]);
# Two attempts are made, of AuthTokenQueryTimeout each.
rehearse($pace, 'the pooler paused for 6 s', sub {
    order('PAUSE');
    $pace->span(6);
    order('RESUME');
    return;
}, bites => [qw(fresh)]);
end_pace($pace, $site);
finish();
