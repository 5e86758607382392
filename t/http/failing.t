# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event pgsql-event
#
# A statement that fails again and again, because its table is missing, takes
# no memory: whoever can make it fail would else fill the host's.
use strict;
use warnings;

use AuthnToken::Process ();
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Test::More;

my $REQUESTS = 2000;
# kB.  With each failure kept it was 20 to 60 MB.
my $BOUND = 6000;

my $one_child = <<'CONF';
StartServers 1
ServerLimit 1
ThreadsPerChild 4
MinSpareThreads 1
MaxSpareThreads 4
MaxRequestWorkers 4
CONF

# memory($site): what its child has of its own, in kB.
sub memory {
    my ($site) = @_;
    my ($pid) = $site->child_pids;
    my ($kb) = AuthnToken::Process::slurp("/proc/$pid/smaps_rollup")
        =~ /^Private_Dirty:\s+(\d+)/m;
    return $kb;
}

sub takes_nothing {
    my ($what, $conf, $request, $code) = @_;
    my $site = AuthnToken::Test->new(name => $what, loglevel => 'crit',
        mpm_conf => $one_child,
        conf => $conf . AuthnToken::Conf::default_text(1))->start;
    my ($token) = $site->httoken('create', 'alice')->{out} =~ /(tok_\w+)/;
    $site->secret($token, 'token of alice');
    my $ask = sub { $request->($site, $token) };

    my %seen;
    $seen{ $ask->() }++ for 1 .. 200;
    my $before = memory($site);
    $seen{ $ask->() }++ for 1 .. $REQUESTS;
    my $after = memory($site);
    is_deeply [ keys %seen ], [$code], "$what: each is $code";
    cmp_ok $after - $before, '<', $BOUND, "$what: and takes no memory";
    note "$what: $before kB, $after kB";
    $site->discard;
    return;
}

takes_nothing('no table of users', <<'CONF', sub {
AuthTokenTable 0
AuthTokenUserQuery "SELECT 1 FROM people WHERE name = %s"
CONF
    my ($site, $token) = @_;
    return $site->get('/api/', auth($token))->code;
}, 503);
takes_nothing('no table of keys', "AuthTokenTable 0\nAuthTokenLegacy drf\n",
    sub {
        my ($site, $token) = @_;
        return $site->get('/api/', auth('0' x 40))->code;
    }, 503);
finish();
