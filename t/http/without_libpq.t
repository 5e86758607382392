# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A module that was built where libpq was not found: it cannot keep
# AuthTokenQueryTimeout with PostgreSQL, and says so when httpd starts.
# profiles: pgsql-event
use strict;
use warnings;

use AuthnToken::Postgres;
use AuthnToken::Process;
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Test::More;

my $top = $AuthnToken::Site::top;
my $build = $ENV{AUTHN_TOKEN_BUILD} // $top;
my $warning = qr/built without libpq: AuthTokenQueryTimeout is not kept/;

# without_libpq($dir): the module as it is, but for the one file that asks.
sub without_libpq {
    my ($dir) = @_;
    my @objects = grep { !m{/token_deadline\.o$} }
        glob "$build/.libs/*.o $build/src/.libs/*.o";
    my @flags = map { split ' ' } qx(apr-1-config --cppflags --includes),
        qx(apu-1-config --includes);
    my $run = AuthnToken::Process::run($ENV{CC} // 'gcc', qw(-shared -fPIC),
        @flags, "-I$top/src", '-o', "$dir/module.so", @objects,
        "$top/src/token_deadline.c", qw(-lcrypto -lz -ljansson),
        (map { "-l:$_" } needed()), { timeout => 120 });
    die "no module without libpq: $run->{err}" if $run->{exit};
    return "$dir/module.so";
}

# What the module as it is needs beyond these: libargon2, where it has it.
sub needed {
    return qx(readelf -d $build/.libs/mod_authn_token.so)
        =~ /NEEDED.*\[(libargon2[^\]]*)\]/g;
}

my $pg = AuthnToken::Postgres->new;
my $module = without_libpq(AuthnToken::Process::temp_dir());

my $site = AuthnToken::Test->new(db => 'pgsql', pg => $pg,
    module => $module, name => 'pgsql');
$site->allow_log($warning);
$site->start;
$site->log_like($warning, 'the start warns of it');
my $token = $site->login('alice', 'wonder-land')->{token};
is $site->get('/api/', auth($token))->code, 200, 'all else works';
my @said = AuthnToken::Process::slurp($site->tmp . '/logs/error_log')
    =~ /$warning/g;
is scalar @said, 1, 'it is said once';
$site->done;

$site = AuthnToken::Test->new(db => 'sqlite3', module => $module,
    name => 'sqlite3');
$site->start;
$site->log_unlike($warning, 'nothing is amiss with SQLite');
$site->done;

finish();
