# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# AuthType Token: which credentials open the door, what a refusal says on
# the wire, in the environment and in the log, and that a location without
# need of a user still looks at the credential it is shown.
use strict;
use warnings;

use AuthnToken::Test;
use Digest::SHA qw(sha256_hex);
use MIME::Base64 qw(encode_base64);
use Test::More;

my $site = AuthnToken::Test->new(modules => [qw(ssl)], conf => <<'CONF');
# Rows are changed by hand here, and the next request must see it.
AuthTokenTable 0
AuthTokenRotationGrace 0
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenScope read write
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    Require valid-user
</Location>
<Location "/json/">
    AuthType tOkEn
    AuthName "say \"json\""
    AuthTokenErrorBody json
    Require valid-user
</Location>
<Location "/bare/">
    AuthType Token
    AuthTokenScheme Bearer
    Require valid-user
</Location>
<Location "/basic/">
    AuthType Token
    AuthName "basic"
    AuthTokenScheme Token Bearer Basic
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    Require valid-user
</Location>
<Location "/tokens-as-basic/">
    AuthType Token
    AuthName "tokens"
    AuthTokenScheme Basic
    Require valid-user
</Location>
<Location "/nameless/">
    AuthType Token
    AuthTokenScheme Basic
    Require valid-user
</Location>
<Location "/optional/">
    AuthType Token
    AuthName "optional"
    Require all granted
</Location>
<Location "/bob/">
    AuthType Token
    AuthName "bob"
    Require user bob
</Location>
<Location "/lax/">
    AuthType Token
    AuthName "lax"
    AuthTokenAuthoritative Off
    Require valid-user
</Location>
<Location "/any/">
    AuthType Token
    AuthName "any"
    Require valid-user
    Require expr "%{HTTP:X-Door} == 'open'"
</Location>
ScriptAliasMatch "^/(?:api|json|basic|optional|bob|bare)/env$" "@@TMP@@/cgi-bin/env"
CONF
$site->start;

my $login = $site->login('alice', 'wonder-land');
my $token = $login->{token};
my $wrong = substr($token, 0, -1) . ($token =~ /a$/ ? 'b' : 'a');
# Well-formed, and never issued.
my $unknown = do {
    my $result = $site->httoken('create', 'nobody');
    (my $text = $result->{out}) =~ s/\s.*//s;
    $site->dbh->do('DELETE FROM auth_token WHERE username = ?', {}, 'nobody');
    $text;
};
$site->secret($unknown, 'unknown token');

sub auth { return (Authorization => $_[0]) }
sub basic { return auth('Basic ' . encode_base64(join(':', @_), '')) }
sub challenges { return [ $_[0]->header('WWW-Authenticate') ] }
sub env {
    my ($path, @headers) = @_;
    my %env = map { /^(\w+)=(.*)$/ ? ($1 => $2) : () }
        split /\n/, $site->get($path, @headers)->content;
    return \%env;
}

# --- what opens the door ---

is $site->get('/api/', auth("$_ $token"))->code, 200,
    "a good token is let in with \"$_\""
    for 'Token', 'Bearer', 'token', 'BEARER', 'tOkEn', 'Token   ';

my $env = env('/api/env', auth("Token $token"));
is $env->{REMOTE_USER}, 'alice', 'REMOTE_USER is the owner';
is $env->{AUTH_TYPE}, 'Token', 'AUTH_TYPE is the scheme used';
is $env->{AUTHENTICATE_TOKEN_ID}, substr(sha256_hex($token), 0, 16),
    'AUTHENTICATE_TOKEN_ID is the head of the digest';
is $env->{AUTHENTICATE_TOKEN_CLIENT}, $login->{client},
    'AUTHENTICATE_TOKEN_CLIENT is the client';
is $env->{AUTHENTICATE_TOKEN_SCOPE}, 'read write',
    'AUTHENTICATE_TOKEN_SCOPE is the scope';
is $env->{AUTHENTICATE_TOKEN_EXPIRES}, $login->{expires},
    'AUTHENTICATE_TOKEN_EXPIRES is the end';
ok !exists $env->{TOKEN_REASON}, 'a granted request has no TOKEN_REASON';
ok !exists $env->{HTTP_AUTHORIZATION}, 'a CGI does not see the token';
is env('/api/env', auth("Bearer $token"))->{AUTH_TYPE}, 'Bearer',
    'AUTH_TYPE is Bearer for Bearer';
like(($site->access_lines(qr{GET /api/env}))[0],
    qr/"alice" \Q$login->{id}\E -$/, 'the access log has user and id');

# --- what does not ---

my @bad = (
    [ "Token $wrong" => 'malformed', 'a wrong checksum' ],
    [ "Token $unknown" => 'unknown', 'a token never issued' ],
    [ "Token " . lc $token => 'malformed', 'a token in lower case' ],
    [ "Token $token $token" => 'malformed', 'two tokens' ],
    [ "Token $token," => 'malformed', 'a comma' ],
    [ "Token \"$token\"" => 'malformed', 'a token in quotes' ],
    [ "Token token=$token" => 'malformed', 'a parameter' ],
    [ "Token x$token" => 'malformed', 'a longer prefix' ],
    [ 'Token abc' => 'malformed', 'a short word' ],
    [ 'Token ' . 'a' x 512 => 'malformed', '512 bytes' ],
    [ 'Token ' . 'a' x 513 => 'malformed', '513 bytes' ],
    [ 'Token ' . 'a' x 8000 => 'malformed', '8000 bytes' ],
    [ "Token \xff\xfe" => 'malformed', 'bytes that are not UTF-8' ],
    [ "Token \xc3\xa9" => 'malformed', 'a letter that is not ASCII' ],
    [ 'Token' => 'malformed', 'a scheme alone' ],
    [ 'Token ' => 'malformed', 'a scheme and a space' ],
    [ 'Token %00' => 'malformed', 'an escaped NUL' ],
    [ "Token ';DROP TABLE auth_token;--" => 'malformed', 'SQL' ],
);
for my $number (0 .. $#bad) {
    my ($value, $reason, $what) = @{ $bad[$number] };
    my $response = $site->get("/api/env?bad=$number", auth($value));
    is $response->code, 401, "$what is refused";
    is_deeply challenges($response), [ 'Token', 'Bearer realm="api", '
        . 'error="invalid_token", error_description="The token is unknown, '
        . 'expired or revoked"' ], "$what: the challenge says no more";
    like(($site->access_lines(qr{\?bad=$number .* 401 }))[-1], qr/- \Q$reason\E$/,
        "$what: the access log has TOKEN_REASON $reason");
}
for my $value ("Tokenx $token", "Token\t$token", "Basic abc", "Digest x",
    "ApiKey $token", $token, ":Token $token", "Token:$token") {
    (my $shown = $value) =~ s/\Q$token\E/TOKEN/;
    $shown =~ s/\t/<TAB>/;
    my $response = $site->get('/api/', auth($value));
    is $response->code, 401, "\"$shown\" is refused";
    is_deeply challenges($response), [ 'Token', 'Bearer realm="api"' ],
        "\"$shown\" is no credential here: a challenge without error";
}
{
    my $raw = $site->raw("GET /api/ HTTP/1.1\r\nHost: x\r\nConnection: close"
        . "\r\nAuthorization: Token $token\r\nAuthorization: Token $token"
        . "\r\n\r\n");
    like $raw->{bytes}, qr{^HTTP/1.1 401 }, 'two header lines are refused';
    $raw = $site->raw("GET /api/ HTTP/1.1\r\nHost: x\r\nConnection: close"
        . "\r\nAuthorization: Token\r\n $token\r\n\r\n");
    like $raw->{bytes}, qr{^HTTP/1.1 (?:200|400) },
        'a folded header is one line, or httpd refuses it';
    $raw = $site->raw("GET /api/ HTTP/1.1\r\nHost: x\r\nConnection: close"
        . "\r\nAuthorization: Token a\0b\r\n\r\n");
    like $raw->{bytes}, qr{^HTTP/1.1 400 }, 'a NUL is httpd\'s to refuse';
}
is_deeply challenges($site->get('/api/')), [ 'Token', 'Bearer realm="api"' ],
    'no credential: one challenge line a scheme, without error';
is $site->get('/api/?token=' . ('x' x 9) . "&access_token=1")->code, 401,
    'a query is no credential';

# --- states of the record ---

for my $case ([ expired => 'expires_at', -1 ], [ revoked => 'revoked_at', 0 ],
    [ reuse => 'superseded_at', 0 ]) {
    my ($reason, $column, $offset) = @$case;
    my $other = $site->login('bob', 'builder');
    is $site->get('/api/', auth("Token $other->{token}"))->code, 200,
        "a token is good before it is $reason";
    my $moment = time + $offset;
    $moment = "to_timestamp($moment)" if AuthnToken::Test::database() eq 'pgsql';
    $site->dbh->do("UPDATE auth_token SET $column = $moment"
        . " WHERE digest LIKE ?", {}, "$other->{id}%");
    $site->expect_log(qr/token \Q$other->{id}\E .*was used from \S+ after it/)
        if $reason eq 'reuse';
    my $response = $site->get('/api/', auth("Bearer $other->{token}"));
    is $response->code, 401, "a token that is $reason is refused";
    like challenges($response)->[1], qr/error="invalid_token"/,
        "$reason: and the wire says only that it is invalid";
    $site->log_like(qr/\[authn_token:info\].* token \Q$other->{id}\E of user bob refused: $reason/,
        "$reason: the log says why");
}
{
    my $bound = $site->login('bob', 'builder');
    $site->dbh->do("UPDATE auth_token SET networks = '10.0.0.0/8'"
        . " WHERE digest LIKE ?", {}, "$bound->{id}%");
    is $site->get('/api/', auth("Token $bound->{token}"))->code, 401,
        'a token bound to networks is refused';
}

# --- JSON ---

{
    my $response = $site->get('/json/env', auth("Token $wrong"));
    is $response->code, 401, 'json: a bad token is refused';
    is $response->content, '{"detail":"Invalid token."}', 'json: the body';
    is $response->header('Content-Type'), 'application/json',
        'json: the type, without a charset';
    is_deeply challenges($response), [ 'Token', 'Bearer realm="say \"json\"",'
        . ' error="invalid_token", error_description="The token is unknown, '
        . 'expired or revoked"' ], 'json: quotes in AuthName are escaped';
    my %body = (
        '' => 'Authentication credentials were not provided.',
        'Token' => 'Invalid token header. No credentials provided.',
        'Token a b' =>
            'Invalid token header. Token string should not contain spaces.',
        "Token \xff" => 'Invalid token header. Token string should not '
            . 'contain invalid characters.',
        'Basic abc' => 'Authentication credentials were not provided.',
    );
    for my $value (sort keys %body) {
        is $site->get('/json/', $value eq '' ? () : auth($value))->content,
            qq({"detail":"$body{$value}"}), "json: the body for \"$value\"";
    }
    $response = $site->head('/json/');
    is $response->code, 401, 'json: HEAD is refused';
    is $response->content, '', 'json: and has no body';
    is $site->get('/json/env', auth("Token $token"))->code, 200,
        'json: a good token is let in, AuthType in any case';
}
is_deeply challenges($site->get('/bare/')), ['Bearer'],
    'without AuthName the Bearer challenge is bare';

# --- Basic ---

is $site->get('/basic/env', basic('alice', $token))->code, 200,
    'a token as Basic password is let in';
$env = env('/basic/env', basic('__token__', $token));
is $env->{REMOTE_USER}, 'alice', 'Basic: the owner is the user, not the name';
is $env->{AUTH_TYPE}, 'Basic', 'Basic: AUTH_TYPE says so';
is env('/basic/env', basic('', $token))->{REMOTE_USER}, 'alice',
    'Basic: an empty name will do';
$env = env('/basic/env', basic('bob', 'builder'));
is $env->{REMOTE_USER}, 'bob', 'Basic: a password is asked of the providers';
ok !exists $env->{AUTHENTICATE_TOKEN_ID}, 'Basic: and there is no token id';
{
    my $response = $site->get('/basic/', basic('bob', 'wrong'));
    is $response->code, 401, 'Basic: a wrong password is refused';
    is_deeply challenges($response), [ 'Token', 'Bearer realm="basic"',
        'Basic realm="basic", charset="UTF-8"' ],
        'Basic: its challenge comes last, as it stands in the configuration';
    is $site->get('/basic/', basic('nobody', 'builder'))->code, 401,
        'Basic: an unknown user is refused';
    is $site->get('/basic/', basic('bob', $unknown))->code, 401,
        'Basic: an unknown token is refused';
    is $site->get('/basic/', basic('bob', $wrong))->code, 401,
        'Basic: a wrong checksum is a wrong password';
    is $site->get('/basic/', auth('Basic !!!!'))->code, 401,
        'Basic: what is not Base64 is refused';
    is $site->get('/basic/', auth('Basic ' . encode_base64("a\0:b", '')))
        ->code, 401, 'Basic: a NUL is refused';
    is $site->get('/basic/', auth('Basic ' . encode_base64("bob\xff:b", '')))
        ->code, 401, 'Basic: what is not UTF-8 is refused';
    is $site->get('/basic/', auth('Basic ' . encode_base64('nocolon', '')))
        ->code, 401, 'Basic: a missing colon is refused';
    is $site->get('/tokens-as-basic/x', basic('x', $token))->code, 404,
        'Basic alone: a token passes';
    is $site->get('/tokens-as-basic/x', basic('bob', 'builder'))->code, 401,
        'Basic alone: a password does not, where no provider is named';
    is $site->get('/tokens-as-basic/x', auth("Token $token"))->code, 401,
        'Basic alone: another scheme does not';
    $site->expect_log(qr/AuthTokenScheme Basic needs an AuthName/);
    is $site->get('/nameless/')->code, 500,
        'Basic without AuthName is an error of the configuration';
}

# --- optional authentication ---

is $site->get('/optional/env')->code, 200, 'optional: anonymous is let in';
ok !exists env('/optional/env')->{REMOTE_USER}, 'optional: and has no user';
is env('/optional/env', auth("Token $token"))->{REMOTE_USER}, 'alice',
    'optional: a good token makes a user';
is $site->get('/optional/env', auth("Token $wrong"))->code, 401,
    'optional: a bad token is refused';
is $site->get('/optional/env', basic('a', 'b'))->code, 200,
    'optional: another scheme is nobody\'s credential';
like $site->get('/optional/env')->header('Vary'), qr/\bAuthorization\b/,
    'optional: even the anonymous answer varies';

# --- authorization ---

{
    my $response = $site->get('/bob/env', auth("Token $token"));
    is $response->code, 401, 'the wrong user is refused as httpd does it';
    is_deeply challenges($response), [ 'Token', 'Bearer realm="bob"' ],
        'the wrong user: challenged once, without error';
    is $site->get('/any/x', 'X-Door' => 'open')->code, 404,
        'RequireAny: another way in needs no token';
    is $site->get('/any/x')->code, 401, 'RequireAny: no way in is 401';
    $site->allow_log(qr/AH01630|AH01631/);
}
{
    $site->expect_log(qr/AH01796: AuthType Token configured without/);
    is $site->get('/lax/x', auth("Token $unknown"))->code, 500,
        'not authoritative: an unknown token is left to others (there are none)';
    is $site->get('/lax/x', auth("Token $token"))->code, 404,
        'not authoritative: a good one is let in';
}

# --- Vary, methods, bodies ---

for my $case ([ '/api/', "Token $token", 200 ], [ '/api/', "Token $wrong", 401 ],
    [ '/api/', undef, 401 ], [ '/api/none', "Token $token", 404 ],
    [ '/bob/env', "Token $token", 401 ]) {
    my ($path, $value, $code) = @$case;
    my $response = $site->get($path, $value ? auth($value) : ());
    is $response->code, $code, "GET $path is $code";
    like $response->header('Vary') // '', qr/\bAuthorization\b/,
        "a $code varies by Authorization";
}
{
    my $first = $site->get('/api/', auth("Token $token"));
    my $again = $site->get('/api/', auth("Token $token"),
        'If-None-Match' => $first->header('ETag'));
    is $again->code, 304, 'a revalidation is answered';
    like $again->header('Vary') // '', qr/\bAuthorization\b/,
        'a 304 varies by Authorization';
    is $site->head('/api/', auth("Token $token"))->code, 200, 'HEAD works';
    is $site->options('/api/', auth("Token $token"))->code, 200,
        'OPTIONS works';
    is $site->options('/api/')->code, 401, 'OPTIONS without a token is 401';
}
{
    my $raw = $site->raw("POST /api/env HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 100000\r\n\r\nabc", timeout => 10);
    like $raw->{bytes}, qr{^HTTP/1.1 401 }, 'a body withheld: answered';
    ok $raw->{closed}, 'a body withheld: and the connection is closed';
    $raw = $site->raw("POST /api/env HTTP/1.1\r\nHost: x\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n5\r\nab", timeout => 10);
    like $raw->{bytes}, qr{^HTTP/1.1 401 }, 'a chunked body withheld likewise';
    ok $raw->{closed}, 'a chunked body withheld: closed, too';
    $raw = $site->raw("PUT /api/env HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        timeout => 5, until => qr{\r\n\r\n});
    like $raw->{bytes}, qr{^HTTP/1.1 401 }, 'Expect: 401 comes before the body';
    my $connection = $site->connection;
    is $connection->request('OPTIONS', '/api/', {}, '<xml/>')->code, 401,
        'a short body that is here is passed over';
    is $connection->request('GET', '/api/',
        { Authorization => "Token $token" })->code, 200,
        'and the connection is kept for the next try';
}
finish();
