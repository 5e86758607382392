#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: conf/schema says what httoken and httpd make, and a database takes
# it, twice. PostgreSQL is asked where there is one.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
chdir $top or die "$top: $!\n";
unshift @INC, "$top/t/lib";
my $httoken = $ENV{AUTHN_TOKEN_HTTOKEN} // "$top/httoken";
plan skip_all => 'httoken is not built' if !-x $httoken;

my @COLUMNS = qw(digest username client scope networks family created_at
    expires_at last_used_at superseded_at revoked_at idle_timeout);

for my $driver (qw(pgsql sqlite3)) {
    my $made = qx('$httoken' -d $driver init --print);
    my $written = slurp("conf/schema/native-$driver.sql");
    is($?, 0, "httoken prints the schema of $driver without a database");
    is(plain($written), plain($made),
        "native-$driver.sql says what httoken makes");
    for my $column (@COLUMNS) {
        like($written, qr/^    -- [^\n]+\n    \Q$column\E /m,
            "native-$driver.sql explains $column");
    }
}

# What httpd's role may do is said twice.
my @grants = slurp('docs/database.md') =~ /^(GRANT .*) TO httpd;$/mg;
cmp_ok(scalar @grants, '>', 1, 'docs/database.md grants');
is_deeply([ slurp('conf/schema/native-pgsql.sql') =~
            /^--     (GRANT .*) TO httpd_role;$/mg ], \@grants,
    'native-pgsql.sql grants the same');

# So is which versions are good: what needs them is in token_dialect.c.
for my $driver ([ 'pgsql', 'PostgreSQL 12', 'AS MATERIALIZED' ],
    [ 'sqlite3', 'SQLite 3.35', 'LITE_RETURNING' ])
{
    my ($name, $version, $why) = @$driver;
    my $said = join '\s+', map { "\\(?\Q$_" } split(/ /, $version),
        qw(or later);
    like(slurp('src/token_dialect.c'), qr/\b$why\b/, "$version is needed");
    for my $file ("conf/schema/native-$name.sql", 'docs/database.md',
        'README.md')
    {
        like(slurp($file), qr/$said/, "$file says so");
    }
}

SKIP: {
    skip 'there is no sqlite3', 4 if !found('sqlite3');
    my $file = tempdir(CLEANUP => 1) . '/tokens.db';
    my $sql = 'conf/schema/native-sqlite3.sql';
    for my $time (qw(once twice)) {
        my $said = qx(sqlite3 -bail $file <$sql 2>&1);
        is("$?$said", '0', "sqlite3 takes it $time");
    }
    my $said = qx('$httoken' -f $file init 2>&1);
    like($said, qr/was there already/, 'httoken init finds it complete');
    is(indexes(scalar qx(sqlite3 $file .indexes)),
        'auth_token_event_at auth_token_event_username auth_token_expires_at'
        . ' auth_token_family auth_token_revoked_at auth_token_superseded_at auth_token_username',
        'it has all indexes');
}

SKIP: {
    skip 'there is no PostgreSQL', 4
        if !eval { require AuthnToken::Postgres; 1 }
        || !AuthnToken::Postgres->available;
    my $pg = AuthnToken::Postgres->shared;
    my $name = $pg->create_database;
    my $dbh = $pg->dbh($name, user => 'authn_token');
    for my $time (qw(once twice)) {
        ok(eval { $dbh->do(slurp('conf/schema/native-pgsql.sql')); 1 },
            "PostgreSQL takes it $time") or diag($@);
    }
    my $params = $pg->params($name);
    my $said = qx('$httoken' -d pgsql -p '$params' init 2>&1);
    like($said, qr/was there already/, 'httoken init finds it complete');
    my $indexes = $dbh->selectcol_arrayref('SELECT indexname FROM pg_indexes'
        . " WHERE tablename LIKE 'auth_token%'");
    is(indexes(join "\n", @$indexes),
        'auth_token_event_at auth_token_event_username auth_token_expires_at'
        . ' auth_token_family auth_token_revoked_at auth_token_superseded_at auth_token_username',
        'it has all indexes');
    $dbh->disconnect;
}
done_testing();

# Without comments and white space that means nothing.
sub plain {
    my ($sql) = @_;
    $sql =~ s/--[^\n]*//g;
    $sql =~ s/\s+/ /g;
    $sql =~ s/ ?([(),;]) ?/$1/g;
    $sql =~ s/^ | $//g;
    $sql =~ s/;/;\n/g;
    return $sql;
}

sub indexes {
    my ($text) = @_;
    return join ' ', sort grep { /^auth_token_(?!pkey)/ } split ' ', $text;
}

sub slurp {
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    return scalar <$in>;
}

sub found {
    my ($tool) = @_;
    return grep { -x "$_/$tool" } split /:/, $ENV{PATH};
}
