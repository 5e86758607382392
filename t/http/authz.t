# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Require token-scope and Require token-client: whom they let in, alone and
# together with other lines, and the 403 of RFC 6750 for a token that lacks
# the scope, which nobody else may get.
# profiles: sqlite3-event sqlite3-prefork pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Process;
use AuthnToken::Test;
use Digest::SHA qw(sha256_hex);
use MIME::Base64 qw(encode_base64);
use Test::More;

my $description = 'The token does not have the scope that is needed';

# name => lines, in a <Location "/name/"> of AuthType Token.
my %place = (
    read => 'Require token-scope read',
    either => 'Require token-scope admin write',
    client => 'Require token-client backup "my laptop"',
    'two-lines' => "Require token-scope admin\nRequire token-scope write",
    json => "AuthTokenErrorBody json\nRequire token-scope write",
    'send-403' => "AuthzSendForbiddenOnFailure On\nRequire token-scope write",
    'send-403-bob' => "AuthzSendForbiddenOnFailure On\nRequire user bob",
    'no-bearer' => "AuthTokenScheme Token\nRequire token-scope write",
    'with-basic' => "AuthTokenScheme Token Bearer Basic\n"
        . "AuthTokenLoginProvider file\nAuthUserFile \@\@HTPASSWD\@\@\n"
        . 'Require token-scope write',
    nameless => "AuthName None\nRequire token-scope write",
    bob => 'Require user bob',
    'any-bob' => "Require token-scope write\nRequire user bob",
    'any-alice' => "<RequireAny>\nRequire token-scope write\n"
        . "Require user alice\n</RequireAny>",
    'all' => "<RequireAll>\nRequire token-scope read\n"
        . "Require token-client backup\nRequire user alice\n</RequireAll>",
    'all-bob' => "<RequireAll>\nRequire token-scope read\n"
        . "Require user bob\n</RequireAll>",
    'both' => "<RequireAll>\nRequire token-scope read\n"
        . "Require token-scope write\n</RequireAll>",
    'not' => "<RequireAll>\nRequire valid-user\n"
        . "Require not token-scope read\n</RequireAll>",
    'not-x' => "<RequireAll>\nRequire not token-scope x\n"
        . "Require user bob\n</RequireAll>",
    'not-and' => "<RequireAll>\nRequire not token-scope x\n"
        . "Require token-scope write\n</RequireAll>",
    'not-client' => "<RequireAll>\nRequire valid-user\n"
        . "Require not token-client curl\n</RequireAll>",
    none => "<RequireAll>\nRequire valid-user\n<RequireNone>\n"
        . "Require token-scope read\nRequire token-client curl\n"
        . "</RequireNone>\n</RequireAll>",
    'none-x' => "<RequireAll>\n<RequireNone>\nRequire token-scope x\n"
        . "</RequireNone>\nRequire user bob\n</RequireAll>",
    nested => "<RequireAll>\nRequire valid-user\n<RequireAny>\n"
        . "Require method GET HEAD OPTIONS\nRequire token-scope write\n"
        . "</RequireAny>\nRequire user alice\n</RequireAll>",
    optional => "<RequireAny>\nRequire token-scope write\n"
        . "Require all granted\n</RequireAny>",
    alias => 'Require writers',
    limit => "<Limit POST PUT DELETE>\nRequire token-scope write\n</Limit>\n"
        . "<LimitExcept POST PUT DELETE>\nRequire token-scope read\n"
        . '</LimitExcept>',
    'limit-except' => "<Limit GET OPTIONS>\nRequire token-scope read\n"
        . "</Limit>\n<LimitExcept GET OPTIONS>\n"
        . "Require token-scope write\n</LimitExcept>",
    'limit-only' => "<Limit POST>\nRequire token-scope write\n</Limit>",
    'except-only' => "<LimitExcept GET>\nRequire token-scope write\n"
        . '</LimitExcept>',
    'satisfy-any' => "Require token-scope write\nSatisfy Any\n"
        . "Order deny,allow\nDeny from all\nAllow from env=door",
    'satisfy-all' => "Require token-scope write\nSatisfy All\n"
        . "Order deny,allow\nDeny from all\nAllow from env=door",
    provider => "AuthType Basic\nAuthBasicProvider token file\n"
        . "AuthUserFile \@\@HTPASSWD\@\@\nRequire token-scope write",
    'provider-json' => "AuthType Basic\nAuthBasicProvider token\n"
        . "AuthTokenErrorBody json\nRequire token-scope write",
    page => "Require token-scope write\nErrorDocument 403 /open/env",
    'page-inside' => "Require token-scope write\n"
        . 'ErrorDocument 403 /read/env',
    'page-outside' => "Require token-scope write\n"
        . 'ErrorDocument 403 /bob/env',
    'page-same' => "Require token-scope write\n"
        . 'ErrorDocument 403 /page-same/env',
    'page-of-401' => "Require user bob\nErrorDocument 401 /either/env",
    index => 'Require token-scope read',
    anon => "AuthType Basic\nAuthBasicProvider anon\nAnonymous \"*\"\n"
        . "Anonymous_MustGiveEmail Off\nRequire token-scope read",
    'anon-client' => "AuthType Basic\nAuthBasicProvider anon\n"
        . "Anonymous \"*\"\nAnonymous_MustGiveEmail Off\n"
        . 'Require token-client backup',
);

# The manual's pattern, as it stands there.
my ($pattern) = grep { /Require method GET HEAD OPTIONS/ }
    AuthnToken::Process::slurp("$AuthnToken::Site::top/docs/directives.md")
        =~ /^```apache\n(.*?)^```$/msg;
ok $pattern, 'the manual has a pattern for tokens that only read';
$pattern =~ s{/etc/apache2/htpasswd}{\@\@HTPASSWD\@\@};

my $conf = <<'CONF' . $pattern;
SetEnvIf X-Door open door
<AuthzProviderAlias token-scope writers "admin write">
</AuthzProviderAlias>
<Location "/open/">
    Require all granted
</Location>
<Directory "@@DOCROOT@@/tenant">
    AllowOverride AuthConfig
    Require all denied
</Directory>
ScriptAliasMatch "^/[\w-]+/env$" "@@TMP@@/cgi-bin/env"
Alias "/index" "@@DOCROOT@@/index-of"
CONF
for my $name (sort keys %place) {
    $conf .= "<Location \"/$name/\">\nAuthType Token\nAuthName \"$name\"\n"
        . "$place{$name}\n</Location>\n";
}
$conf .= <<'CONF';
<Location "/index/secret.html">
    Require token-scope admin
</Location>
<Location "/index/closed/index.html">
    Require token-scope admin
</Location>
CONF

my $tenant = "AuthType Token\nAuthName \"tenant\"\n";
my $site = AuthnToken::Test->new(conf => $conf,
    modules => [qw(access_compat authn_anon autoindex)],
    htaccess => {
        'tenant' => $tenant . "Require token-scope write\n",
        'tenant/any' => "Require token-scope write\nRequire user alice\n",
        'tenant/client' => "Require token-client \"my laptop\"\n",
        'tenant/none' => "<RequireAll>\nRequire valid-user\n<RequireNone>\n"
            . "Require token-scope x\n</RequireNone>\nRequire user bob\n"
            . "</RequireAll>\n",
        'tenant/limit' => "<LimitExcept GET>\nRequire token-scope write\n"
            . "</LimitExcept>\n<Limit GET>\nRequire token-scope read\n"
            . "</Limit>\n",
        'tenant/json' => "AuthTokenErrorBody json\n",
        'tenant/bad' => "Require token-scope\n",
        'read' => "RewriteEngine On\n"
            . "RewriteRule ^to-write\$ /either/env [PT,L]\n"
            . "RewriteRule ^to-env\$ /read/env [PT,L]\n",
        'with-basic' => "RewriteEngine On\n"
            . "RewriteRule ^to-(anon.*) /\$1/env [PT,L]\n",
    },
    files => {
        (map { ("htdocs/tenant/$_" . 'index.html' => "tenant\n") }
            '', map { "$_/" } qw(any client none limit json bad)),
    });
mkdir $site->docroot . '/index-of';
mkdir $site->docroot . '/index-of/closed';
AuthnToken::Conf::put($site->docroot . "/index-of/$_", "$_\n")
    for qw(open.html secret.html closed/index.html page.shtml);
$site->start;
# What httpd itself says of each refusal by a Require line.
$site->allow_log(qr/\[authz_core:error\] .* AH01631: /);

# make($user, @options): a token and its id.
sub make {
    my ($user, @options) = @_;
    my $made = $site->httoken('create', $user, @options);
    my ($token) = $made->{out} =~ /(tok_\w+)/ or die $made->{err};
    $site->secret($token, 'a token');
    $site->secret("x:$token", 'a Basic credential');
    return $token;
}

my $reader = make('alice', -c => 'curl', -s => 'read');
my $writer = make('alice', -c => 'backup', -s => 'read write');
my $only_writer = make('alice', -c => 'my laptop', -s => 'write');
my $admin = make('bob', -c => 'my', -s => 'admin');
my $bare = make('alice', -c => 'bare');
my $near = make('alice', -c => 'Backup',
    -s => 'Read reads rea read:all writer wwrite admi');
my $reader_id = substr sha256_hex($reader), 0, 16;

sub auth { return (Authorization => "Bearer $_[0]") }
sub basic { return (Authorization => 'Basic '
    . encode_base64("$_[0]:$_[1]", '')) }
sub challenges { return [ $_[0]->header('WWW-Authenticate') ] }
sub challenge {
    my ($realm, $scope) = @_;
    return qq(Bearer realm="$realm", error="insufficient_scope", )
        . qq(error_description="$description", scope="$scope");
}

# is_in, is_lacking, is_out($name, $response, ...)
sub is_in {
    my ($name, $response) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply [ $response->code, challenges($response) ], [ 200, [] ],
        "$name: let in, without a challenge";
}

sub is_lacking {
    my ($name, $response, $realm, $scope) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply [ $response->code, challenges($response) ],
        [ 403, [ challenge($realm, $scope) ] ],
        "$name: 403, its challenge asks for \"$scope\"";
}

sub is_out {
    my ($name, $response, $realm) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply [ $response->code, challenges($response) ],
        [ 401, [ 'Token', "Bearer realm=\"$realm\"" ] ],
        "$name: refused as httpd does it";
}

sub get { return $site->get("/$_[0]/env", auth($_[1])) }

# --- words and names ---

is_in('the scope', get('read', $reader));
is_in('the scope among others', get('read', $writer));
is_in('"Token" as scheme', $site->get('/read/env',
    Authorization => "Token $reader"));
is_in('the second of two words', get('either', $writer));
is_in('the first of two words', get('either', $admin));
is_lacking('neither of two words', get('either', $reader), 'either',
    'admin write');
is_lacking('no scope at all', get('read', $bare), 'read', 'read');
is_lacking('words that are nearly it', get('read', $near), 'read', 'read');
is_lacking('two words that are nearly it', get('either', $near), 'either',
    'admin write');
is_out('no token', $site->get('/read/env'), 'read');
is $site->get('/read/env', Authorization => 'Token x')->code, 401,
    'a bad token is 401 as ever';
is_in('the client', get('client', $writer));
is_in('the client with a blank', get('client', $only_writer));
is_out('another client', get('client', $reader), 'client');
is_out('half of a name', get('client', $admin), 'client');
is_out('a client in another case', get('client', $near), 'client');
is_out('a client wanted, no token', $site->get('/client/env'), 'client');

# --- what the refusal says ---

{
    $site->log_mark;
    my $response = $site->get('/either/env?one', auth($reader));
    like $response->header('Vary'), qr/\bAuthorization\b/,
        'the 403 varies by Authorization';
    like $response->content, qr/<title>403 Forbidden/, 'it has a page';
    my @lines = $site->log_lines(qr/lacks the scope/);
    is scalar @lines, 1, 'one line of the log is about it';
    like $lines[0], qr/\[authn_token:info\] .* \ token\ \Q$reader_id\E\ of\ user
        \ alice\ refused:\ it\ lacks\ the\ scope\ admin\ write/x,
        'with id, user and scope';
    like(($site->access_lines(qr{/env\?one }))[-1],
        qr/ 403 .*"alice" \Q$reader_id\E scope$/,
        'the access log has TOKEN_REASON scope');
    get('read', $reader);
    unlike get('read', $reader)->content, qr/^TOKEN_REASON=/m,
        'a request that was let in has no TOKEN_REASON';
}
{
    my $response = get('json', $reader);
    is_lacking('json', $response, 'json', 'write');
    is $response->content, '{"detail":"You do not have permission to perform '
        . 'this action."}', 'json: the body';
    is $response->header('Content-Type'), 'application/json',
        'json: the type';
    $response = $site->head('/json/env', auth($reader));
    is_lacking('json, HEAD', $response, 'json', 'write');
    is $response->content, '', 'json, HEAD: no body';
    is_in('json, let in', get('json', $writer));
}
is_lacking('AuthzSendForbiddenOnFailure On', get('send-403', $reader),
    'send-403', 'write');
is_deeply [ map { ($_->code, challenges($_)) } get('send-403-bob', $reader) ],
    [ 403, [] ], 'AuthzSendForbiddenOnFailure On, another reason: httpd\'s';
is_deeply [ map { ($_->code, challenges($_)) }
    $site->get('/no-bearer/env', Authorization => "Token $reader") ],
    [ 403, [] ], 'without Bearer: 403 and no challenge';
is_lacking('beside Basic', get('with-basic', $reader), 'with-basic', 'write');
is_lacking('a token as Basic password',
    $site->get('/with-basic/env', basic('x', $reader)), 'with-basic',
    'write');
is_in('a token as Basic password that has it',
    $site->get('/with-basic/env', basic('x', $writer)));
{
    my $response = $site->get('/with-basic/env', basic('bob', 'builder'));
    is $response->code, 401, 'a user with a password has no scope';
    is_deeply challenges($response), [ 'Token', 'Bearer realm="with-basic"',
        'Basic realm="with-basic", charset="UTF-8"' ],
        'and is challenged as ever';
    $site->secret('builder', 'a password');
}
{
    my $raw = $site->raw("POST /read/env HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Token $bare\r\nContent-Length: 100000\r\n\r\nabc",
        timeout => 10);
    like $raw->{bytes}, qr{^HTTP/1.1 403 }, 'a body withheld: answered';
    ok $raw->{closed}, 'and the connection is closed';
}

# --- with other lines ---

is_lacking('two lines', get('two-lines', $reader), 'two-lines',
    'admin write');
is_in('two lines, one is enough', get('two-lines', $only_writer));
is_out('another reason', get('bob', $reader), 'bob');
is_lacking('any of scope and user', get('any-bob', $reader), 'any-bob',
    'write');
is_in('any, by its user', get('any-bob', $admin));
is_in('any, by the second line', get('any-alice', $reader));
is_in('any, by the first', get('any-alice', $writer));
is_in('all', get('all', $writer));
is_out('all, but another client', get('all', $reader), 'all');
is_lacking('all, but no scope', get('all', $bare), 'all', 'read');
is_out('all, but another user', get('all-bob', $reader), 'all-bob');
is_in('both words', get('both', $writer));
is_lacking('both words, one missed', get('both', $reader), 'both', 'write');
is_lacking('both words, the other missed', get('both', $only_writer), 'both',
    'read');
is_in('not the word', get('not', $only_writer));
is_out('not, and has it', get('not', $reader), 'not');
is_out('not, has it not, and another reason', get('not-x', $reader), 'not-x');
is_in('not, has it not', get('not-x', make('bob')));
is_lacking('not, and another missed', get('not-and', $reader), 'not-and',
    'write');
is_in('not, and another had', get('not-and', $writer));
is_in('not the client', get('not-client', $writer));
is_out('not, and is the client', get('not-client', $reader), 'not-client');
is_in('none of them', get('none', $only_writer));
is_out('none, and has one', get('none', $reader), 'none');
is_out('none, has it not, and another reason', get('none-x', $reader),
    'none-x');
is_in('nested, by the method', get('nested', $reader));
is_lacking('nested, another method', $site->post('/nested/env', '',
    auth($reader)), 'nested', 'write');
is_in('nested, by the scope', $site->post('/nested/env', '', auth($writer)));
is_out('nested, by another reason', get('nested', $admin), 'nested');
is_in('optional, anonymous', $site->get('/optional/env'));
is_in('optional, without the scope', get('optional', $reader));
is_in('an alias', get('alias', $writer));
is_lacking('an alias', get('alias', $reader), 'alias', 'admin write');

# --- Satisfy ---

for my $case ([ 'satisfy-any', 'the door is open', [ 'X-Door' => 'open' ],
    \&is_in ], [ 'satisfy-any', 'the scope', [ auth($writer) ], \&is_in ],
    [ 'satisfy-any', 'both', [ auth($writer), 'X-Door' => 'open' ], \&is_in ],
    [ 'satisfy-any', 'an open door, no scope',
        [ auth($reader), 'X-Door' => 'open' ], \&is_in ],
    [ 'satisfy-any', 'neither', [], \&is_out ],
    [ 'satisfy-any', 'a token without the scope', [ auth($reader) ],
        \&is_lacking ],
    [ 'satisfy-all', 'both', [ auth($writer), 'X-Door' => 'open' ], \&is_in ],
    [ 'satisfy-all', 'an open door, no scope',
        [ auth($reader), 'X-Door' => 'open' ], \&is_lacking ]) {
    my ($place, $what, $headers, $check) = @$case;
    $check->("$place, $what", $site->get("/$place/env", @$headers), $place,
        'write');
}
$site->allow_log(qr/\[access_compat:error\] .* AH01797: client denied/);
is_deeply [ map { ($_->code, challenges($_)) } get('satisfy-all', $reader) ],
    [ 403, [] ], 'satisfy-all, the door is shut: httpd\'s own 403';

# --- methods ---

# httpd does not know the last two.
my @reads = qw(GET HEAD OPTIONS);
my @writes = qw(POST PUT DELETE PATCH PROPFIND MKCOL PURGE FROBNICATE);
for my $place ('api', 'limit-except') {
    for my $method (@reads, @writes) {
        my $reads = grep { $_ eq $method } @reads;
        my $ask = sub { $site->request($method, "/$place/env", { @_ }) };
        is_out("$place, $method without a token", $ask->(), $place);
        if ($reads) {
            is_in("$place, $method with read", $ask->(auth($reader)));
            is_lacking("$place, $method with neither", $ask->(auth($bare)),
                $place, $place eq 'api' ? 'read write' : 'read');
        }
        else {
            is_lacking("$place, $method with read", $ask->(auth($reader)),
                $place, 'write');
            is_lacking("$place, $method with neither", $ask->(auth($bare)),
                $place, 'write');
        }
        is_in("$place, $method with both", $ask->(auth($writer)));
    }
}
is_in('the pattern: write alone reads, too', get('api', $only_writer));
for my $case ([ POST => 1 ], [ GET => 0 ], [ FROBNICATE => 0 ]) {
    my ($method, $writes) = @$case;
    my $response = $site->request($method, '/limit/env', { auth($reader) });
    $writes ? is_lacking("limit, $method", $response, 'limit', 'write')
        : is_in("limit, $method", $response);
}

for my $case ([ 'limit-only', 'PUT', 'POST' ],
    [ 'except-only', 'GET', 'PUT' ]) {
    my ($place, $open, $closed) = @$case;
    is $site->request($open, "/$place/env")->code, 200,
        "$place: a method without a rule is open, as the manual says";
    is $site->request($closed, "/$place/env")->code, 401,
        "$place: one with a rule is not";
}

# --- .htaccess ---

sub tenant { return $site->get("/tenant/$_[0]", auth($_[1])) }
is_lacking('.htaccess', tenant('', $reader), 'tenant', 'write');
is_in('.htaccess', tenant('', $writer));
is_out('.htaccess, no token', $site->get('/tenant/'), 'tenant');
is_in('.htaccess, any', tenant('any/', $reader));
is_lacking('.htaccess, any', tenant('any/', $admin), 'tenant', 'write');
is_in('.htaccess, client', tenant('client/', $only_writer));
is_out('.htaccess, client', tenant('client/', $reader), 'tenant');
is_out('.htaccess, none', tenant('none/', $reader), 'tenant');
is_in('.htaccess, limit', tenant('limit/', $reader));
is_lacking('.htaccess, limit', $site->request('DELETE', '/tenant/limit/',
    { auth($reader) }), 'tenant', 'write');
is tenant('json/', $reader)->content, '{"detail":"You do not have permission '
    . 'to perform this action."}', '.htaccess, json: the body';
is tenant('bad/', $writer)->code, 500, '.htaccess, a bad line is 500';
$site->expect_log(qr{tenant/bad/\.htaccess: Require token-scope: name at }
    . 'least one word');

# --- the provider token of mod_auth_basic ---

is_in('provider', $site->get('/provider/env', basic('x', $writer)));
is_deeply [ map { ($_->code, challenges($_)) }
    $site->get('/provider/env', basic('x', $reader)) ], [ 403, [] ],
    'provider, no scope: 403, and no challenge where Bearer is not accepted';
is_deeply [ map { ($_->code, challenges($_)) }
    $site->get('/provider/env', basic('bob', 'builder')) ],
    [ 401, ['Basic realm="provider"'] ],
    'provider, a password: refused as httpd does it';
like $site->get('/provider-json/env', basic('x', $reader))->content,
    qr/^\{"detail":"You do not/, 'provider, json: the body';

# --- sub-requests, redirects and error documents ---

{
    my $listing = $site->get('/index/', auth($reader));
    is_in('a listing', $listing);
    like $listing->content, qr/open\.html/, 'a listing has what is allowed';
    unlike $listing->content, qr/secret\.html/, 'and hides the rest';
    is_lacking('what it hides', $site->get('/index/secret.html',
        auth($reader)), 'index', 'admin');
    is $site->get('/index/closed/', auth($reader))->code, 403,
        'an index that is not allowed is 403';
    is_in('a rewritten path', $site->get('/read/to-env', auth($reader)));
    is_in('a rewritten path, allowed there',
        $site->get('/read/to-write', auth($writer)));
    is_lacking('a rewritten path, not allowed there',
        $site->get('/read/to-write', auth($reader)), 'either', 'admin write');
    for my $place ('anon', 'anon-client') {
        is_deeply [ map { ($_->code, challenges($_)) }
            $site->get("/with-basic/to-$place", basic('alice', $writer)) ],
            [ 401, ["Basic realm=\"$place\""] ],
            "a token's owner who is another user behind a redirect ($place)";
    }
}
for my $case ([ 'page', 'open to all' ], [ 'page-inside', 'for him' ]) {
    my ($place, $what) = @$case;
    my $response = $site->get("/$place/env?$place", auth($reader));
    is_lacking("an error document $what", $response, $place, 'write');
    like $response->content, qr/^TOKEN_REASON=scope$/m,
        "an error document $what knows the reason";
    like(($site->access_lines(qr{/env\?$place }))[-1], qr/ 403 .* scope$/,
        "an error document $what: so does the access log");
}
is_lacking('an error document for others', get('page-outside', $reader),
    'page-outside', 'write');
is_lacking('an error document of the same place', get('page-same', $reader),
    'page-same', 'write');
is_out('an error document for which he lacks the scope, of a 401',
    get('page-of-401', $reader), 'page-of-401');
{
    # One connection, one child: what was noted does not stay.
    my $connection = $site->connection;
    for my $round (1 .. 3) {
        is_lacking("round $round, refused", $connection->request('GET',
            '/either/env', { auth($reader) }), 'either', 'admin write');
        is_in("round $round, let in", $connection->request('GET',
            '/read/env', { auth($reader) }));
        is_out("round $round, another reason", $connection->request('GET',
            '/bob/env', { auth($reader) }), 'bob');
    }
}

# --- counters ---

{
    my $status = AuthnToken::Test->new(name => 'counters', conf =>
        AuthnToken::Conf::default_text(1) . <<'CONF')->start;
<Location "/write/">
    AuthType Token
    Require token-scope write
</Location>
<Location "/status">
    SetHandler server-status
</Location>
CONF
    my $token = $status->login('alice', 'wonder-land')->{token};
    $status->allow_log(qr/AH01631/);
    is_deeply [ map { ($_->code, challenges($_)) }
        $status->get('/write/', auth($token)) ], [ 403,
        [ 'Bearer error="insufficient_scope", error_description="'
            . $description . '", scope="write"' ] ],
        'without AuthName the challenge has no realm';
    my $page = $status->get('/status?auto')->content;
    like $page, qr/^AuthTokenRefusedScope: 1$/m, 'the refusal is counted';
    like $page, qr/^AuthTokenRefusedPassword: 0$/m, 'as nothing else';
    like $status->get('/status')->content, qr/<dt>1 refused: scope</,
        'people see it, too';
    $status->done;
}

# --- a forward proxy ---

{
    my $proxy = AuthnToken::Test->new(name => 'proxy',
        modules => [qw(proxy proxy_http)], conf =>
        AuthnToken::Conf::default_text(1) . <<'CONF')->start;
ProxyRequests On
<Proxy "*">
    AuthType Token
    AuthName "proxy"
    Require token-scope write
</Proxy>
CONF
    my $token = $proxy->login('alice', 'wonder-land')->{token};
    my $there = '127.0.0.1:' . $proxy->port;
    $proxy->allow_log(qr/AH01631/);
    my ($response) = @{ $proxy->raw("GET http://$there/open/ HTTP/1.1\r\n"
        . "Host: $there\r\nConnection: close\r\nProxy-Authorization: Token "
        . "$token\r\n\r\n", timeout => 10)->{responses} };
    is $response->code, 403, 'a forward proxy refuses with 403';
    is_deeply [ $response->header('Proxy-Authenticate') ],
        [ challenge('proxy', 'write') ], 'with the challenge of a proxy';
    is_deeply challenges($response), [], 'and no other';
    $proxy->done;
}

# --- values that are refused ---

{
    my $test = AuthnToken::Test->new(name => 'configtest');
    my $rule = 'a word may have visible ASCII characters but for quotes and '
        . 'backslash (RFC 6749, 3.3)';
    my $client = 'must be the name of a client, not empty and without control '
        . 'characters';
    for my $case ([ 'token-scope', ': name at least one word' ],
        [ 'not token-scope', ': name at least one word' ],
        [ 'token-scope ""', " \"\": $rule" ],
        [ 'token-scope "read write"', " \"read write\": $rule" ],
        [ 'token-scope read \'a"b\'', " \"a\"b\": $rule" ],
        [ "token-scope \xc3\xa4", " \"\\xc3\\xa4\": $rule" ],
        [ 'token-scope a\\\\b', " \"a\\\\b\": $rule" ],
        [ 'token-client', ': name at least one client' ],
        [ 'token-client a ""', " \"\": $client" ],
        [ "token-client \"a\x01\"", qr/ "a[^"]*": \Q$client\E/ ]) {
        my ($line, $says) = @$case;
        my ($name) = $line =~ /(token-\w+)/;
        $says = qr/\Q$says\E/ if !ref $says;
        $test->conf("<Location \"/x/\">\n<RequireAll>\nRequire all granted\n"
            . "Require $line\n</RequireAll>\n</Location>\n");
        my ($exit, $text) = $test->configtest;
        (my $shown = $line) =~ s/([^ -~])/sprintf '<%02X>', ord $1/ge;
        is $exit, 1, "Require $shown is refused";
        like $text, qr/Require $name$says/, "Require $shown: and says why";
    }
    for my $line ('token-scope a', 'not token-scope a', 'token-scope READ:a/b!',
        'token-client x "y z"', "token-client \"\xc3\xa4\"") {
        $test->conf("<Location \"/x/\">\n<RequireAll>\nRequire all granted\n"
            . "Require $line\n</RequireAll>\n</Location>\n");
        is +($test->configtest)[0], 0, 'Require ' . ($line =~ s/[^ -~]/?/gr)
            . ' passes';
    }
}
finish();
