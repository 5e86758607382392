# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A hundred streams at once of one HTTP/2 connection, while the database is
# away, httpd restarts and a child is killed.
# profiles: sqlite3-event pgsql-event
use strict;
use warnings;

use AuthnToken::Fault;
use AuthnToken::Postgres;
use AuthnToken::Streams;
use AuthnToken::Test;
use Test::More;

my $pgsql = AuthnToken::Test::database() eq 'pgsql';

plan skip_all => 'no Protocol::HTTP2'
    if !eval { require Protocol::HTTP2::Client };
plan skip_all => 'a cluster that can be stopped needs initdb'
    if $pgsql && !AuthnToken::Postgres::program('initdb');
my $pg = $pgsql ? AuthnToken::Postgres->new : undef;
my $site = fault_site(name => 'http2', modules => ['http2'],
    $pg ? (pg => $pg) : (), conf => "Protocols h2c http/1.1\n");
if (!$site->have_module('http2')) {
    $site->discard;
    plan skip_all => 'httpd has no mod_http2';
}
$site->allow_log(qr/AH00485: scoreboard is full/,
    qr/AH00052: child pid \d+ exit signal Killed/);
$site->start;
my $pace = AuthnToken::Streams->start($site, rate => 200, fresh => 8000);
my @spares = (spares => [qw(good fresh login)]);

rehearse($pace, 'nothing', sub { $pace->more(400); return }, @spares);
like +($site->access_lines(qr{"GET /api/ HTTP}))[-1], qr{ HTTP/2\.0" },
    'HTTP/2 is what is spoken';
rehearse($pace, 'away for 5 s', sub {
    my $dbh = $pg ? undef : $site->dbh;
    $pg ? $pg->stop : $dbh->do('ALTER TABLE auth_token RENAME TO away');
    $pace->span(5);
    $pg ? $pg->start : $dbh->do('ALTER TABLE away RENAME TO auth_token');
    return;
}, bites => [qw(fresh login)]);
rehearse($pace, 'frozen for 4 s', sub {
    $pg->freeze;
    $pace->span(4);
    $pg->thaw;
    return;
}) if $pg;
rehearse($pace, '10 graceful restarts', sub {
    $site->graceful for 1 .. 10;
    return;
}, @spares);
my %cut = map { $_ => [qw(cut refused)] } qw(good fresh bad login);
rehearse($pace, 'each child killed, one after the other', sub {
    for my $pid ($site->child_pids) {
        kill 'KILL', $pid;
        $pace->more(200);
    }
    return;
}, allow => \%cut);
end_pace($pace, $site);
finish();
