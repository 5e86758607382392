# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event sqlite3-prefork sqlite3-event-asan
#
# AuthTokenForward Off: no application gets a token, whatever httpd made of
# the request before, and whatever a tenant wrote into his .htaccess; while
# authentication, the other passwords of a site and <If> have the header.
use strict;
use warnings;

use AuthnToken::Test;
use MIME::Base64 qw(encode_base64);
use Test::More;

my $cgi = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nenv\n";
my %htaccess = (
    none => "AuthType None\nRequire all granted\n",
    basic => "AuthType Basic\nAuthName \"x\"\nAuthBasicProvider file\n"
        . "AuthUserFile \"/dev/null\"\nRequire all granted\n",
    setenv => "SetEnvIf Authorization \"(.+)\" STOLEN=\$1\n",
    expr => "SetEnvIfExpr \"%{HTTP:Authorization} =~ /(.+)/\" STOLEN=\$1\n",
);
my $site = AuthnToken::Test->new(
    modules => [qw(include proxy proxy_http)],
    files => {
        'htdocs/pages/page.shtml' => '<!--#include virtual="off/b.cgi" -->',
    },
    htaccess => { (map { ("tenants/$_" => "CGIPassAuth On\n$htaccess{$_}") }
        keys %htaccess), 'pages/off' => '',
        api => "RewriteEngine On\nRewriteRule \"^rewritten\$\""
            . " \"/api/data.json\" [L]\n" },
    conf => <<'CONF');
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<Directory "@@TMP@@/cgi-bin">
    CGIPassAuth On
</Directory>

<Directory "@@DOCROOT@@/tenants">
    AllowOverride AuthConfig FileInfo
    AuthType Token
    AuthName "tenants"
    AuthTokenForward Off
    Require valid-user
    Options +ExecCGI
    AddHandler cgi-script .cgi
</Directory>

# The site is open; what its front controller does is for users.
<Location "/">
    FallbackResource /app/env
</Location>
<LocationMatch "^/(?:app|backend)/">
    AuthType Token
    AuthName "app"
    AuthTokenForward Off
    Require valid-user
    FallbackResource disabled
</LocationMatch>
ScriptAliasMatch "^/(?:app|plain)/env$" "@@TMP@@/cgi-bin/env"
<Location "/backend/">
    ProxyPass "http://127.0.0.1:@@PORT@@/plain/"
</Location>
<Location "/plain/">
    FallbackResource disabled
</Location>
<Location "/indexed/">
    DirectoryIndex /backend/env
</Location>
Alias "/indexed" "@@DOCROOT@@/open"

<LocationMatch "^/pages/">
    AuthType Token
    AuthName "pages"
    Require valid-user
    Options +Includes +ExecCGI
    CGIPassAuth On
    AddOutputFilter INCLUDES .shtml
    AddHandler cgi-script .cgi
</LocationMatch>
<Location "/pages/off/">
    AuthTokenForward Off
</Location>

<Location "/api/">
    AuthName "api"
    AuthTokenForward Off
    AuthUserFile @@HTPASSWD@@
    Require valid-user
    FallbackResource disabled
    <If "%{HTTP:Authorization} =~ m#^Token #">
        AuthType Token
    </If>
    <Else>
        AuthType Basic
        AuthBasicProvider file
    </Else>
</Location>
CONF
for my $tenant (keys %htaccess) {
    AuthnToken::Conf::put($site->docroot . "/tenants/$tenant/t.cgi", $cgi,
        0755);
}
AuthnToken::Conf::put($site->docroot . '/pages/off/b.cgi', $cgi, 0755);
$site->start;

my $token = $site->login('alice', 'wonder-land')->{token};
my @good = (Authorization => "Token $token");
my @basic = basic('alice', 'wonder-land');

sub basic {
    return (Authorization => 'Basic ' . encode_base64("$_[0]:$_[1]", ''));
}

sub keeps_token {
    my ($path, $what, @header) = @_;
    my $response = $site->get($path, @header);

    is $response->code, 200, "$what: answered";
    like $response->content, qr/^REQUEST_METHOD=/m, "$what: by a script";
    unlike $response->content, qr/\Q$header[1]\E|\Q$token\E/,
        "$what: which has no token";
    return $response->content;
}

# --- a tenant's .htaccess ---

for my $tenant (sort keys %htaccess) {
    keeps_token("/tenants/$tenant/t.cgi", "$tenant, $_->[0]",
        Authorization => $_->[1])
        for [ 'Token', $good[1] ], [ 'Bearer', "Bearer $token" ];
}
keeps_token('/tenants/none/t.cgi', 'none, Basic', basic('x', $token));
for my $tenant (qw(none basic)) {
    like $site->get("/tenants/$tenant/t.cgi", @basic)->content,
        qr/^HTTP_AUTHORIZATION=\Q$basic[1]\E$/m,
        "$tenant: a password that is no token is the tenant's";
}
like keeps_token('/tenants/setenv/t.cgi', 'setenv', @good),
    qr/^REMOTE_USER=alice$/m, 'setenv: the token counted all the same';

# --- one request in the place of another ---

keeps_token('/app/env', 'asked directly', @good);
like keeps_token('/nothing/here', 'FallbackResource', @good),
    qr/^AUTHENTICATE_TOKEN_CLIENT=/m, 'FallbackResource: for its user';
is $site->get('/nothing/here')->code, 401, 'FallbackResource: for no other';
keeps_token('/backend/env', 'proxied', @good);
keeps_token('/indexed/', 'DirectoryIndex that is proxied', @good);
keeps_token('/pages/page.shtml', 'included by a page that has the header',
    @good);

# --- <If> by the header ---

for my $path (qw(data.json rewritten), '') {
    is_deeply [ map { $_->code } $site->get("/api/$path", @good),
        $site->get("/api/$path", @basic), $site->get("/api/$path") ],
        [ 200, 200, 401 ], "<If> by the header: /api/$path";
}
finish();
