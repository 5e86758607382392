# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: pgsql-event
#
# The roles of docs/database.md, made by its own text: httpd's role owns
# nothing, and may do all that the module does.
use strict;
use warnings;

use AuthnToken::Postgres;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Test::More;

my $pg = AuthnToken::Postgres->new;
my $site = AuthnToken::Test->new(pg => $pg, conf => <<CONF . <<'CONF');
DBDParams "host=$pg->{host} port=$pg->{port} dbname=\@\@DBNAME\@\@ user=httpd \\
connect_timeout=2"
CONF
AuthTokenTable 100
AuthTokenFlushInterval 1
AuthTokenAudit On
AuthTokenPurge 1h
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenMaxPerUser 2
</Location>
<Location "/tokens/">
    SetHandler token-manage
    AuthType Token
    Require valid-user
</Location>
<Location "/api/">
    AuthType Token
    Require valid-user
</Location>
CONF
my $manual = AuthnToken::Process::slurp('docs/database.md');
my @sql = map { split /;\n/ } $manual =~ /```sql\n(.*?)```/sg;
my ($create) = grep { /^CREATE ROLE httpd / } @sql;
my @rest = grep { /^(?:ALTER ROLE httpd|GRANT) / } @sql;
my $dbh = $pg->dbh($site->dbname);
$dbh->do($_) for $create, @rest;
is scalar(grep { /^GRANT / } @rest), 2, 'the manual has two GRANTs';
$site->start;

my $token = $site->login('alice', 'wonder-land');
is $site->get('/api/', auth($token->{token}))->code, 200, 'login, check';
my $response = $site->request('POST', '/tokens/self/rotate',
    { auth($token->{token}), 'Content-Type' => 'application/json' }, '{}');
is $response->code, 200, 'rotation';
my $heir = $site->json($response);
$site->secret($heir->{token}, 'heir');
is $site->get('/api/', auth($heir->{token}))->code, 200, 'the heir is good';
ok poll(sub { $dbh->selectrow_array('SELECT count(*) FROM auth_token'
    . ' WHERE last_used_at IS NOT NULL') >= 1 }, 10), 'last uses';
$site->login('alice', 'wonder-land') for 1 .. 3;
$site->log_like(qr/ evicted: /, 'eviction');
my $last = $site->login('alice', 'wonder-land')->{token};
is $site->request('DELETE', '/tokens/self', { auth($last) })->code, 204,
    'revocation';
is join(' ', @{ $dbh->selectcol_arrayref('SELECT DISTINCT event FROM'
    . ' auth_token_event ORDER BY 1') }), 'evicted issued revoked rotated',
    'events';
$dbh->do("UPDATE auth_token SET expires_at = now() - interval '2 h',"
    . " revoked_at = now() - interval '2 h'");
$site->restart;
ok poll(sub { !$dbh->selectrow_array('SELECT count(*) FROM auth_token') },
    20), 'removal';
$dbh->disconnect;
$site->done;
undef $site;
undef $pg;
finish();
