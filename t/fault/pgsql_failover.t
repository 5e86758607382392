# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL's primary is killed and its standby promoted: libpq finds the one
# that takes writes, and no token that was given out is lost.
# profiles: pgsql-event
use strict;
use warnings;

use AuthnToken::Fault;
use AuthnToken::Pace;
use AuthnToken::Postgres;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use Test::More;

plan skip_all => 'a standby needs initdb and pg_basebackup'
    if grep { !AuthnToken::Postgres::program($_) } qw(initdb pg_basebackup);

my $pg = AuthnToken::Postgres->new;
my $standby = $pg->standby;
my $ports = join ',', $pg->port, $standby->port;
my $site = fault_site(name => 'failover', pg => $pg, conf => <<CONF)->start;
DBDParams "host=127.0.0.1,127.0.0.1 port=$ports dbname=\@\@DBNAME\@\@ \\
user=authn_token connect_timeout=2 target_session_attrs=read-write"
CONF
my $pace = AuthnToken::Pace->start($site);

rehearse($pace, 'primary killed, standby promoted 3 s later', sub {
    kill 'KILL', $pg->pid;
    poll(sub { !$pg->pid }, 10);
    $pace->span(3);
    $standby->promote;
    return;
}, bites => [qw(fresh login)]);
end_pace($pace, $site);
finish();
