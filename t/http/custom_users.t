#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A Django site with a user model of its own, e-mail as name and UUIDs as
# keys: the statements of docs/django.md, taken from its text, read it.
# profiles: sqlite3-event pgsql-event
use strict;
use warnings;

use AuthnToken::Django;
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Digest::SHA qw(sha256_hex);
use Test::More;

plan skip_all => 'no Python 3 with Django REST framework and psycopg2'
    if !AuthnToken::Django::python(qw(django rest_framework psycopg2));

my $pg = AuthnToken::Test::database() eq 'pgsql';
my $manual = AuthnToken::Process::slurp('docs/django.md');
my ($queries) = $manual =~
    /^```apache\n(AuthTokenSchema drf\nAuthTokenQuery validate .*?)^```/ms;
ok $queries, 'the manual has statements for other users';
if (!$pg) {
    # As the manual says for SQLite.
    $queries =~ s/floor\(extract\(epoch FROM t\.created\)\)/CAST(strftime('%%s', t.created) AS INTEGER)/;
    $queries =~ s/now\(\)/strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')/;
    $queries =~ s/\(%s\)::text/%s/;
}
my ($key, $gone) = map { substr sha256_hex(rand), 0, 40 } 1, 2;
my $site = AuthnToken::Test->new(name => 'people', conf => $queries . <<'CONF');
AuthTokenCacheTTL 0
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider django
</Location>
<Location "/api/">
    AuthType Token
    Require valid-user
    Header set X-User "expr=%{REMOTE_USER}"
</Location>
CONF
AuthnToken::Django::make($site, 'drf_site.py', { users => [
    { name => 'alice@example.org', password => 'wonder-land', key => $key },
    { name => 'bob@example.org', password => 'builder' },
    { name => 'gone@example.org', password => 'was-here', key => $gone,
        active => JSON::PP::false },
] }, DJANGO_PEOPLE => 1);
$site->secret($_, 'a key') for $key, $gone;
$site->start;

my $response = $site->get('/api/', auth($key));
is $response->code, 200, 'a key is good';
is $response->header('X-User'), 'alice@example.org', 'its user is the e-mail';
is $site->get('/api/', auth($gone))->code, 401, 'not of an inactive user';

sub log_in {
    return $site->request('POST', '/api-token-auth/', {},
        { username => $_[0], password => $_[1] });
}
is log_in('alice@example.org', 'wonder-land')->content,
    qq({"token":"$key"}), 'a login gives the key';
my ($new) = log_in('bob@example.org', 'builder')->content
    =~ /^\{"token":"([0-9a-f]{40})"\}$/;
ok $new, 'or makes one';
$site->secret($new, 'a new key');
is $site->get('/api/', auth($new))->header('X-User'), 'bob@example.org',
    'which is good';
is log_in('gone@example.org', 'was-here')->code, 400,
    'not for an inactive user';
is log_in('alice@example.org', 'wrong')->code, 400, 'nor a wrong password';
finish();
