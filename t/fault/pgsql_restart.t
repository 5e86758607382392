# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL restarts, is away for a while, and is away when httpd starts.
# profiles: pgsql-event
use strict;
use warnings;

use AuthnToken::Fault;
use AuthnToken::Pace;
use AuthnToken::Postgres;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use IO::Socket::INET ();
use Test::More;

plan skip_all => 'a cluster that can be stopped needs initdb'
    if !AuthnToken::Postgres::program('initdb');

my $pg = AuthnToken::Postgres->new;
my $site = fault_site(name => 'restart', pg => $pg)->start;
my $pace = AuthnToken::Pace->start($site, fresh => 1500);

rehearse($pace, "restart, $_", sub { $pg->restart($_); return })
    for qw(fast immediate);
rehearse($pace, 'stopped for 5 s', sub {
    $pg->stop;
    $pace->span(5);
    $pg->start;
    return;
}, bites => [qw(fresh login)]);
rehearse($pace, 'a server that takes connections and is silent', sub {
    $pg->stop;
    my $hole = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $pg->port, ReuseAddr => 1, Listen => 128)
        or die "listen: $!\n";
    $pace->span(4);
    close $hole;
    $pg->start;
    return;
}, bites => [qw(fresh login)]);
end_pace($pace, $site);

# Away when httpd starts: nothing is known to it.
my $known = $site->login('alice', 'wonder-land')->{token};
$pg->stop;
ok $site->restart, 'absent: httpd starts without PostgreSQL';
is $site->get('/api/', auth($known))->code, 503, 'absent: a check is 503';
$pg->start;
ok poll(sub { $site->get('/api/', auth($known))->code == 200 }, 15),
    'absent: good when it is there';
finish();
