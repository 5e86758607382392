# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Children are killed while they write to SQLite's file and answer requests:
# the file is whole, nobody waits, and what was given out is there.
# profiles: sqlite3-event
use strict;
use warnings;

use AuthnToken::Fault;
use AuthnToken::Pace;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use Test::More;

my $site = fault_site(name => 'kill')->start;
$site->allow_log(qr/AH00052: child pid \d+ exit signal Killed/,
    qr/AH10392: children are killed successively/);
my $pace = AuthnToken::Pace->start($site, rate => 80);
my $killed = 0;

# What a killed child had in hand is cut off; others are not touched.
my %cut = map { $_ => ['cut'] } qw(good fresh bad login);
# As many passwords are hashed already, or wait for it, as may at once.
push @{ $cut{login} }, 429;
rehearse($pace, 'children killed at work', sub {
    # More logins than the pace has, so that somebody always writes.
    for my $round (1 .. 12) {
        my @open = map { $site->connection } 1 .. 6;
        my $body = '{"username":"bob","password":"builder"}';
        $_->write("POST /api-token-auth/ HTTP/1.1\r\nHost: x\r\n"
            . "Content-Type: application/json\r\nContent-Length: "
            . length($body) . "\r\n\r\n$body") for @open;
        my @children = $site->child_pids;
        $killed++ if @children && kill 'KILL', $children[ rand @children ];
        $_->close for @open;
        $pace->more(12);
    }
    return;
}, allow => \%cut);
is $killed, 12, '12 children were killed';
is $site->dbh->selectrow_array('PRAGMA integrity_check'), 'ok',
    'the file is whole';
end_pace($pace, $site);
finish();
