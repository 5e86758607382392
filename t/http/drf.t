#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# AuthTokenSchema drf beside Django REST framework itself, on one database
# that Django made: the same request gets the same answer from both, byte for
# byte, and a token of one is good for the other.
# profiles: sqlite3-event pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Django;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use MIME::Base64 qw(encode_base64);
use Test::More;

plan skip_all => 'no Python 3 with Django REST framework and psycopg2'
    if !AuthnToken::Django::python(qw(django rest_framework psycopg2));

my ($key, $gone_key) = map { join '', map { sprintf '%x', rand 16 } 1 .. 40 }
    1, 2;
my $site = AuthnToken::Test->new(name => 'drf', conf => <<'CONF');
AuthTokenSchema drf
AuthTokenLoginLimit 0 60s
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider django
</Location>
<Location "/api/">
    AuthType Token
    AuthTokenScheme Token
    AuthTokenErrorBody json
    Require valid-user
</Location>
<Location "/fresh/">
    AuthType Token
    AuthTokenCacheTTL 0
    Require valid-user
</Location>
<Location "/basic/">
    AuthType Basic
    AuthName "basic"
    AuthBasicProvider token
    Require valid-user
</Location>
<Location "/manage/">
    SetHandler token-manage
    AuthType Token
    Require valid-user
</Location>
AliasMatch "^/(?:fresh|basic)/$" "@@DOCROOT@@/api/index.html"
CONF
my $django = AuthnToken::Django->serve($site, 'drf_site.py', { users => [
    { name => 'alice', password => 'wonder land', key => $key },
    { name => 'bob', password => 'builder' },
    { name => 'gone', password => 'was here', active => JSON::PP::false,
        key => $gone_key },
    { name => 'carol', password => '12.5' },
] });
$site->secret($_, 'a secret') for 'wonder land', 'builder', 'was here', $key,
    $gone_key;
$site->start;

my $dbh = $site->dbh;

# answer($response): what a client could see.
sub answer {
    my ($response, @headers) = @_;
    my %seen = map { $_ => join ', ', $response->header($_) } @headers;
    my $body = $response->content;
    $body =~ s/("JSON parse error - ).*("\}$)/$1...$2/s;
    $body =~ s/("Multipart form parse error - ).*("\}$)/$1...$2/s;
    return { status => $response->code, body => $body, %seen };
}

# same($name, $method, $path, \%headers, $body): of both.
sub same {
    my ($name, $method, $path, $headers, $body) = @_;
    my @seen = $path =~ m{^/api-token-auth/} ? qw(Content-Type Allow)
        : qw(Content-Type WWW-Authenticate);
    my @answer = map { answer($site->request($method, $_, { %$headers },
        $body), @seen) } $site->url($path), $django->url($path);
    if ($answer[1]{status} == 200 && $path =~ m{^/api/}) {
        return is $answer[0]{status}, 200, "$name: good for both";
    }
    return is_deeply $answer[0], $answer[1], "$name: $answer[1]{status}";
}

sub login {
    my ($name, $body, $type, %headers) = @_;
    return same($name, 'POST', '/api-token-auth/',
        { defined $type ? ('Content-Type' => $type) : (), %headers }, $body);
}

my $type = 'application/json';
my $form = 'application/x-www-form-urlencoded';
my $good = '{"username": "alice", "password": "wonder land"}';

# --- a login: the table of the wire's contract ---

login('JSON', $good, $type);
login('a form', 'username=alice&password=wonder+land', $form);
login('a form with a raw blank', 'username=alice&password=wonder land', $form);
login('multipart', join("\r\n", '--b', 'Content-Disposition: form-data;'
    . ' name="username"', '', 'alice', '--b', 'Content-Disposition: form-data;'
    . ' name="password"', '', 'wonder land', '--b--', ''),
    'multipart/form-data; boundary=b');
login('another charset', $good, "$type; charset=latin1");
login('the type in capitals', $good, 'Application/JSON');
login('a name with blanks', '{"username":" alice ","password":"wonder land"}',
    $type);
login($_->[0], qq({"username":"$_->[1]","password":"$_->[2]"}), $type) for
    [ 'a wrong password', 'alice', 'wrong' ],
    [ 'an unknown user', 'nobody', 'x' ],
    [ 'an inactive user', 'gone', 'was here' ],
    [ 'a password with more blanks', 'alice', ' wonder land ' ],
    [ 'a password of blanks', 'alice', '  ' ],
    [ 'a password of 5,000 bytes', 'alice', 'x' x 5000 ],
    [ 'a name of 300 bytes', 'x' x 300, 'x' ],
    [ 'no password', 'alice', '' ], [ 'no name', '', 'x' ],
    [ 'a blank name', '   ', 'x' ], [ 'a NUL', 'a\u0000b', 'x' ],
    [ 'a NUL in the password', 'alice', 'x\u0000' ];
login($_, $_, $type) for '{"username":"alice"}', '{"password":"x"}', '{}', '',
    '{"username":null,"password":"x"}', '{"username":"alice","password":null}',
    '{"username":true,"password":"x"}', '{"username":["a"],"password":"x"}',
    '{"username":"alice","password":{"a":1}}', '[]', '"text"', '7', 'null',
    '{"username":"carol","password":12.5}', '{"username":7,"password":7}',
    'garbage', '{"username":"alice",}', '{"username":"alice"', "$good x",
    '{"username":"x","username":"alice","password":"wonder land"}',
    '{"username":"alice","password":"wonder land","scope":"all","client":7}';
login('twice in a form', 'username=x&username=alice&password=wonder+land',
    $form);
login('neither in a form', 'x=y', $form);
login('no type and no body', '', undef);
login('no boundary', 'x', 'multipart/form-data');
login("the type $_", 'x', $_) for 'text/plain', 'application/xml',
    'application/vnd.api+json';
login("Accept: $_", $good, $type, Accept => $_) for '*/*', $type,
    'application/json, */*;q=0.5', 'text/html', 'application/xml',
    'application/json; indent=4', 'application/*', 'text/html, */*;q=0.1';
login('a stale token', $good, $type, auth('0' x 40));
same("$_", 'POST', "/api-token-auth/?$_", { 'Content-Type' => $type }, $good)
    for 'format=json', 'format=xml', 'username=x', 'x=y&format=json';
same("the method $_", $_, '/api-token-auth/', {}) for
    qw(GET PUT PATCH DELETE OPTIONS);
same('the method HEAD', 'HEAD', '/api-token-auth/', {});
same('an error, indented', 'GET', '/api-token-auth/',
    { Accept => 'application/json; indent=2' });

# --- a request ---

sub check { return same($_[0], 'GET', '/api/', $_[1]) }

check('no header', {});
check($_, { Authorization => $_ }) for 'Bearer x', 'Basic eDp5', 'Tokenabc',
    'Token: abc', 'Token', 'Token ', 'Token a b', "Token \xff\xfe",
    "Token \xc3\xa9", 'Token ' . '0' x 40, 'Token ' . uc $key,
    "Token \"$key\"", "Token token=$key", 'Token ' . 'x' x 4000,
    "Token $gone_key", "Token $key", "token $key", "TOKEN $key",
    "Token \t  $key ", 'Token ' . 'é';
check('two headers', { Authorization => [ "Token $key", "Token $key" ] });
check('another header', { 'X-Api-Key' => $key });
same('a token in the query', 'GET', "/api/?token=" . '0' x 40, {});
same("the method $_ without a token", $_, '/api/', {})
    for qw(HEAD OPTIONS DELETE POST);

# --- the same tokens ---

my $bob = $site->json($site->request('POST', '/api-token-auth/', {},
    { username => 'bob', password => 'builder' }))->{token};
$site->secret($bob, 'key of bob');
like $bob, qr/^[0-9a-f]{40}$/, 'a first login makes a key like those of DRF';
is $site->request('POST', $django->url('/api-token-auth/'), {},
    { username => 'bob', password => 'builder' })->content,
    qq({"token":"$bob"}), 'which DRF gives for its own login';
is $site->get($django->url('/api/'), auth($bob))->content,
    '{"user":"bob"}', 'and takes';
is $site->get('/api/', auth($bob))->code, 200, 'so do we';
is $site->get('/basic/', Authorization => 'Basic '
    . encode_base64("x:$bob", ''))->code, 200, 'as a Basic password, too';
$site->log_like(qr/:notice\].* token [0-9a-f]{16} issued to user bob/,
    'the log says that it was issued');
$site->log_like(qr/:notice\].* token [0-9a-f]{16} given again to user alice/,
    'or given again');

# Inactive, and deleted by Django.
is $site->get('/fresh/', auth($bob))->code, 200, 'a good one';
$dbh->do("UPDATE auth_user SET is_active = (1 = 0) WHERE username = 'bob'");
is $site->get('/fresh/', auth($bob))->code, 401,
    'is refused when its user is not active';
$dbh->do("UPDATE auth_user SET is_active = (1 = 1) WHERE username = 'bob'");
is $site->get('/fresh/', auth($bob))->code, 200, 'good again when he is';
$dbh->do('DELETE FROM authtoken_token WHERE key = ?', undef, $bob);
is $site->get('/fresh/', auth($bob))->code, 401, 'and refused without its row';
$site->log_like(qr/of user bob refused: inactive/, 'the log has the reasons');

# Many first logins at once: one key.
my $body = qq({"username":"bob","password":"builder"});
my @raw = map { $site->connection } 1 .. 6;
$_->write("POST /api-token-auth/ HTTP/1.1\r\nHost: localhost\r\nConnection:"
    . " close\r\nContent-Type: $type\r\nContent-Length: " . length($body)
    . "\r\n\r\n$body") for @raw;
my %keys;
for my $raw (@raw) {
    my $got = $raw->read('POST', 20);
    $keys{$1}++ if $got && $got->content =~ /"token":"([0-9a-f]{40})"/;
}
$site->secret($_, 'a key') for keys %keys;
is scalar(keys %keys), 1, 'first logins at once get one key'
    or diag explain \%keys;
is $dbh->selectrow_array("SELECT count(*) FROM authtoken_token t JOIN auth_user"
    . " u ON u.id = t.user_id WHERE u.username = 'bob'"), 1,
    'there is one row';

# What there is not.
$site->expect_log(qr/token-manage refused at/);
is $site->get('/manage/', auth($key))->code, 500, 'no token-manage';
$site->log_like(qr/tokens of AuthTokenSchema drf are managed by Django alone/,
    'the log says why');
$dbh->disconnect;
undef $django;
finish();
