# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# One request of a client can be several inside httpd: index look-ups,
# includes, rewrites, error documents.  The token is checked once, no
# challenge comes twice, and the environment is there at the end.  The stock
# module set has mod_allowmethods, with which httpd authenticates each of
# them anew.
use strict;
use warnings;

use AuthnToken::Test;
use Test::More;

my $site = AuthnToken::Test->new(
    modules => [qw(include negotiation autoindex actions)],
    files => {
        'htdocs/api/page.shtml' => '<!--#include virtual="data.json" -->'
            . '<!--#include virtual="/api/env" -->'
            . '<!--#echo var="AUTHENTICATE_TOKEN_ID" -->',
        'htdocs/api/list.html.en' => "list\n",
        'htdocs/other.html' => "other\n",
    },
    htaccess => { 'api' => <<'HTACCESS' },
RewriteEngine On
RewriteRule "^rewritten$" "/api/env" [L]
RewriteRule "^by-env$" "/api/env?scope=%{ENV:AUTHENTICATE_TOKEN_SCOPE}" [L]
RewriteRule "^elsewhere$" "/second/env" [L]
RewriteRule "^strictly$" "/strict/env" [L]
FallbackResource disabled
HTACCESS
    conf => <<'CONF');
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenScope read
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    Require valid-user
    AllowMethods GET HEAD POST
    Options +Includes +Indexes +MultiViews
    AddLanguage en .en
    AddOutputFilter INCLUDES .shtml
    AddHandler server-parsed .shtml
</Location>
<Location "/second/">
    AuthType Token
    AuthName "second"
    AuthTokenScheme Bearer
    Require valid-user
</Location>
<Location "/strict/">
    AuthType Token
    AuthName "strict"
    AuthTokenRotationGrace 0
    Require valid-user
</Location>
<Location "/open-index/">
    Require all granted
</Location>
<Location "/open-index/index.html">
    AuthType Token
    AuthName "index"
    AuthTokenErrorBody json
    Require valid-user
</Location>
Alias "/open-index" "@@DOCROOT@@/api"
<Location "/errors/">
    AuthType Token
    AuthName "errors"
    Require valid-user
    ErrorDocument 401 /api/data.json
</Location>
<Location "/errors-env/">
    AuthType Token
    AuthName "errors"
    Require valid-user
    ErrorDocument 401 /open/env
</Location>
<Location "/basic/">
    AuthType Basic
    AuthName "basic"
    AuthBasicProvider token
    AuthTokenForward Off
    Require valid-user
</Location>
<Location "/hidden/">
    AuthType Token
    AuthName "hidden"
    AuthTokenForward Off
    Require valid-user
</Location>
<Directory "@@TMP@@/cgi-bin">
    CGIPassAuth On
</Directory>
Alias "/hidden" "@@DOCROOT@@/api"
Alias "/basic" "@@DOCROOT@@/api"
ScriptAliasMatch "^/(?:api|second|strict|open|hidden|basic)/env$" "@@TMP@@/cgi-bin/env"
CONF
$site->start;

my $login = $site->login('alice', 'wonder-land');
my $token = $login->{token};
my @good = (Authorization => "Token $token");

# checks(sub): how often the database was asked meanwhile.
sub checks {
    my ($work) = @_;
    $site->log_mark;
    $work->();
    return scalar $site->log_lines(qr/ token \Q$login->{id}\E of user \w+ (?:granted|refused)/);
}

sub basic {
    require MIME::Base64;
    return (Authorization => 'Basic '
        . MIME::Base64::encode_base64("x:$_[0]", ''));
}

for my $case ([ '/api/' => "api index\n", 'a directory with an index' ],
    [ '/api/list.html' => "list\n", 'a negotiated file' ],
    [ '/api/rewritten' => qr/REMOTE_USER=alice/, 'a rewritten path' ],
    [ '/api/page.shtml' => qr/"data":true.*\Q$login->{id}\E/s, 'an include' ],
    ) {
    my ($path, $body, $what) = @$case;
    my $response;
    is checks(sub { $response = $site->get($path, @good) }), 1,
        "$what: the token is checked once";
    is $response->code, 200, "$what: answered";
    ref $body ? like $response->content, $body, "$what: whole"
        : is $response->content, $body, "$what: whole";
}

# --- the environment behind a redirect ---

{
    my $body = $site->get('/api/rewritten', @good)->content;
    like $body, qr/^AUTHENTICATE_TOKEN_ID=\Q$login->{id}\E$/m,
        'a redirected request has the token id';
    like $body, qr/^AUTHENTICATE_TOKEN_SCOPE=read$/m, 'and the scope';
    like $body, qr/^AUTH_TYPE=Token$/m, 'and the scheme';
    is $site->get('/api/elsewhere', @good)->code, 401,
        'another location applies its own policy: Token is not accepted';
    is $site->get('/api/elsewhere', Authorization => "Bearer $token")->code,
        200, 'another location that accepts the scheme asks nobody again';
    like $site->get('/api/by-env', @good)->content,
        qr/^QUERY_STRING=scope=read$/m,
        'a rewrite rule in .htaccess sees the environment';
}

# --- error documents ---

{
    my $response = $site->get('/errors/x', Authorization => 'Token abc');
    is $response->code, 401, 'an error document inside another realm: 401';
    is_deeply [ $response->header('WWW-Authenticate') ], [ 'Token',
        'Bearer realm="errors", error="invalid_token", error_description='
        . '"The token is unknown, expired or revoked"' ],
        'its own challenge is not added';
    $response = $site->get('/errors-env/x', Authorization => 'Token abc');
    is $response->code, 401, 'an error document that is a script: 401';
    like $response->content, qr/^TOKEN_REASON=malformed$/m,
        'the script knows the reason';
    like $response->content, qr/^REDIRECT_STATUS=401$/m, 'and the status';
    # httpd joins lines of one name when a script answers.
    is join(', ', $response->header('WWW-Authenticate')), 'Token, Bearer '
        . 'realm="errors", error="invalid_token", error_description='
        . '"The token is unknown, expired or revoked"',
        'and each challenge once';
    like(($site->access_lines(qr{GET /errors-env/x}))[-1], qr/- malformed$/,
        'the access log has the reason');
}

{
    my $response = $site->get('/open-index/');
    is $response->code, 401, 'a protected index of an open directory: 401';
    is $response->header('Content-Type'), 'application/json',
        'AuthTokenErrorBody json, through mod_dir';
    is $response->content, '{"detail":"Authentication credentials were not '
        . 'provided."}', 'and the body is JSON';
}

# --- the header taken away ---

{
    my $path = '/hidden/env';
    unlike $site->get($path, @good)->content, qr/HTTP_AUTHORIZATION/,
        'AuthTokenForward Off: a CGI with CGIPassAuth sees no token';
    like $site->get('/api/env', @good)->content,
        qr/^HTTP_AUTHORIZATION=Token /m, 'On: it does';
    is $site->get('/hidden/', @good)->content, "api index\n",
        'Off: an index is found all the same';
    is $site->get('/hidden/rewritten', @good)->code, 200,
        'Off: a redirect is authenticated all the same';
    unlike $site->get('/hidden/rewritten', @good)->content,
        qr/HTTP_AUTHORIZATION/, 'Off: and the token stays away behind it';
    unlike $site->get('/basic/env', basic($token))->content,
        qr/HTTP_AUTHORIZATION/, 'Off: with the provider, too';
    is $site->get('/basic/', basic($token))->content, "api index\n",
        'Off: with the provider an index is found';
    unlike $site->get('/basic/rewritten', basic($token))->content,
        qr/HTTP_AUTHORIZATION/, 'Off: the provider\'s stays away, too';
}

# --- what a place trusts ---

is $site->get('/api/strictly', @good)->code, 200,
    'a place without AuthTokenRotationGrace takes a good token';
{
    my $old = $site->login('bob', 'builder');
    my @old = (Authorization => "Token $old->{token}");
    $site->dbh->do('UPDATE auth_token SET superseded_at = '
        . (AuthnToken::Test::database() eq 'pgsql' ? 'now()'
            : q{CAST(strftime('%s', 'now') AS INTEGER)})
        . ' WHERE digest LIKE ?', undef, "$old->{id}%");
    is $site->get('/api/env', @old)->code, 200,
        'one that was rotated is good where there is a grace';
    is $site->get('/api/strictly', @old)->code, 401,
        '... and not behind that where there is none';
}
$site->allow_log(qr/it may have been stolen/);
$site->log_like(qr/refused: reuse/, '... and the log says why');

# --- without mod_allowmethods ---

{
    my $plain = AuthnToken::Test->new(modules => ['-allowmethods'],
        name => 'no mod_allowmethods',
        htaccess => { 'api' => "RewriteEngine On\n"
            . qq{RewriteRule "^rewritten\$" "data.json" [L]\n} },
        conf => AuthnToken::Conf::default_text(1)
            . qq{<Location "/api/">\nAuthTokenExpiryHeader On\n</Location>\n}
        )->start;
    my @token = (Authorization => 'Token '
        . $plain->login('alice', 'wonder-land')->{token});

    ok $plain->get("/api/$_", @token)->header('Token-Expires'),
        "Token-Expires: /api/$_" for qw(data.json rewritten);
    is scalar(() = $plain->log_lines(
        qr/of user alice granted/)), 2,
        '... where httpd authenticates a request once';
}
finish();
