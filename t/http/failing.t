# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event pgsql-event
#
# A statement that fails again and again, because its table is missing or takes
# no row, takes no memory: whoever can make it fail would else fill the host's.
use strict;
use warnings;

use AuthnToken::Conf ();
use AuthnToken::Process ();
use AuthnToken::Server ();
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Test::More;

my $REQUESTS = 2000;
# kB.  With each failure kept it was 20 to 170 MB.
my $BOUND = 6000;

# Changes of SQLite's schema or file, and kB: it was 4 to 6 MB.
my $CHANGES = 300;
my $BOUND_CHANGES = 3000;

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
    my ($what, $conf, $request, $code, $break) = @_;
    my $site = AuthnToken::Test->new(name => $what, loglevel => 'crit',
        mpm_conf => $one_child,
        conf => $conf . AuthnToken::Conf::default_text(1))->start;
    my ($token) = $site->httoken('create', 'alice')->{out} =~ /(tok_\w+)/;
    $site->secret($token, 'token of alice');
    my $ask = sub { $request->($site, $token) };
    if ($break) {
        $ask->();
        my $dbh = $site->dbh;
        $dbh->do($_) for $break->(AuthnToken::Test::database());
        $dbh->disconnect;
    }

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

# changes_take_nothing($what, $change): a good request after each change.
sub changes_take_nothing {
    my ($what, $change) = @_;
    my $site = AuthnToken::Test->new(name => $what, mpm_conf => $one_child,
        conf => "AuthTokenTable 0\nDBDMin 1\nDBDKeep 1\nDBDMax 1\n"
        . "AuthTokenPollInterval 0\n"
        . "AuthTokenUserQuery \"SELECT 1 WHERE %s > ''\"\n"
        . AuthnToken::Conf::default_text(1))->start;
    my $token = $site->login('alice', 'wonder-land')->{token};
    my %seen;
    my $round = sub {
        $change->($site, $_[0]);
        $seen{ $site->get('/api/', auth($token))->code }++;
    };

    $round->($_) for 1 .. 60;
    my $before = memory($site);
    $round->($_) for 61 .. 60 + $CHANGES;
    my $after = memory($site);
    is_deeply [ keys %seen ], [200], "$what: each request is good";
    cmp_ok $after - $before, '<', $BOUND_CHANGES, "$what: takes no memory";
    note "$what: $before kB, $after kB";
    $site->done;
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

sub login {
    my ($site) = @_;
    return $site->post('/api-token-auth/',
        { username => 'bob', password => 'builder' })->code;
}

takes_nothing('no table of events', "AuthTokenAudit On\n", \&login, 503,
    sub { 'DROP TABLE auth_token_event' });
# As where the disk is full.
takes_nothing('a table that takes no row', '', \&login, 503, sub {
    return $_[0] eq 'sqlite3' ? <<'LITE' : <<'PG';
CREATE TRIGGER no_row BEFORE INSERT ON auth_token
BEGIN SELECT raise(ABORT, 'database or disk is full'); END
LITE
ALTER TABLE auth_token ADD CHECK (false) NOT VALID
PG
});
if (AuthnToken::Test::database() eq 'sqlite3') {
    changes_take_nothing('another schema', sub {
        my ($site, $n) = @_;
        my $dbh = $site->dbh;
        $dbh->do("CREATE TABLE other$n (x)");
        $dbh->do("DROP TABLE other$n");
        $dbh->disconnect;
    });
    changes_take_nothing('another file', sub {
        my ($site) = @_;
        my $file = $site->db_params;
        my $dbh = $site->dbh;
        $dbh->do("VACUUM INTO '$file.copy'");
        $dbh->disconnect;
        AuthnToken::Process::own(AuthnToken::Server::user(), "$file.copy");
        unlink "$file-wal", "$file-shm";
        rename "$file.copy", $file or die "$file: $!\n";
    });
}
finish();
