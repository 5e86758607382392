#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# .htaccess is not a way up.  Its owner may protect what is his with tokens,
# and narrow what the administrator allows; he cannot mint tokens, choose the
# database or its statements, or what tokens are good for.
use strict;
use warnings;

use AuthnToken::Test;
use Digest::SHA qw(sha1_base64);
use Test::More;

my $json = JSON::PP->new->utf8->canonical;
my @alice = (username => 'alice', password => 'wonder-land');
my @mallory = (username => 'mallory', password => 'evil-land');

# The tenant's own users, and where he would like them to get tokens.
my $file = 'AuthUserFile "@@TMP@@/conf/tenant"';
my $protect = "AuthType Token\nAuthName \"tenant\"\nRequire valid-user\n";

# [name, directory, text of .htaccess, line of the log]: SetHandler and its
# kin; all are refused.
my @handlers = (
    [ 'SetHandler', 'set', "SetHandler token-login\n$file\n" ],
    [ 'SetHandler within <Files>', 'files',
        "<Files \"*\">\nSetHandler token-login\n$file\n</Files>\n" ],
    [ 'SetHandler within <If>', 'if',
        "<If \"true\">\nSetHandler token-login\n$file\n</If>\n" ],
    [ 'AddHandler', 'add', "AddHandler token-login .html\n$file\n" ],
    [ 'ForceType', 'type', "ForceType token-login\n$file\n" ],
    [ "a RewriteRule's handler", 'rewrite', "RewriteEngine On\n"
        . "RewriteRule . - [H=token-login]\n$file\n" ],
    [ 'SetHandler without a password file', 'bare',
        "SetHandler token-login\n" ],
);

# directive => a good value; those that .htaccess may not have.
my %forbidden = (
    AuthTokenPrefix => 'evil',
    AuthTokenForward => 'On',
    AuthTokenLoginProvider => 'file',
    AuthTokenLifetime => '3650d',
    AuthTokenScope => 'admin',
);
my %database = (
    DBDriver => 'sqlite3',
    DBDParams => '/dev/shm/evil.db',
    DBDPrepareSQL => '"SELECT 1" authn_token',
    DBDInitSQL => '"SELECT 1"',
);
my %foreign = (%forbidden, %database);

my %htaccess = (
    # Below what the administrator made a login, and above it.
    '/' => "$file\nRewriteEngine On\n"
        . "RewriteRule ^rewritten\$ /api-token-auth/ [PT]\n",
    'api-token-auth' => "SetHandler server-status\n$file\n"
        . "AuthType Basic\nAuthName \"x\"\nAuthBasicProvider file\n"
        . "Require all denied\nErrorDocument 400 \"caught\"\n",
    'broken-login' => "NoSuchDirective\n",
    # Where he may.
    'own' => $protect,
    'own/bearer' => "AuthTokenScheme Bearer\n",
    'own/json' => "AuthTokenErrorBody json\n",
    'own/both' => "AuthType Basic\nAuthBasicProvider token file\n"
        . "AuthTokenAuthoritative Off\n$file\n",
    'narrow' => "AuthTokenScheme Bearer\nAuthTokenErrorBody html\n",
    'config' => $protect,
    'list' => $protect . "AuthTokenScheme Bearer\n",
    'fileinfo' => "AuthTokenScheme Bearer\n",
    # Where the administrator's login is a directory.
    'directory/login/empty' => '',
    'directory/login/mapped' => "$file\n",
    (map { ("minted/$_->[1]" => $_->[2]) } @handlers),
    'minted/expr' => "SetHandler \"expr=token-%{tolower:LOGIN}\"\n$file\n",
    (map { ("directive/$_" => "$_ $foreign{$_}\n") } keys %foreign),
    (map { ("listed/$_" => "$_ $forbidden{$_}\n") } keys %forbidden),
);

my $site = AuthnToken::Test->new(name => 'tenants', conf => <<'CONF',
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<Location "/broken-login/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
# What an administrator should not write: good for all below.
<Directory "@@DOCROOT@@/minted">
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenScope read
</Directory>
<Directory "@@DOCROOT@@/directory">
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Directory>
<Directory "@@DOCROOT@@/directory/login">
    SetHandler token-login
</Directory>
<Directory "@@DOCROOT@@/directory/login/good">
    AllowOverride None
</Directory>
<Directory "@@DOCROOT@@/narrow">
    AuthType Token
    AuthName "narrow"
    AuthTokenErrorBody json
    Require valid-user
</Directory>
<Directory "@@DOCROOT@@/config">
    AllowOverride AuthConfig
</Directory>
<Directory "@@DOCROOT@@/list">
    AllowOverride None
    AllowOverrideList AuthType AuthName Require AuthTokenScheme
</Directory>
<Directory "@@DOCROOT@@/fileinfo">
    AllowOverride FileInfo
</Directory>
<Directory "@@DOCROOT@@/listed">
    AllowOverride None
    AllowOverrideList AuthTokenForward AuthTokenLoginProvider \
        AuthTokenLifetime AuthTokenScope AuthTokenPrefix
</Directory>
CONF
    files => { 'conf/tenant' => "mallory:{SHA}" . sha1_base64('evil-land')
        . "=\nalice:{SHA}" . sha1_base64('evil-land') . "=\n" });

# The texts name the site's directory, which is made just now.
for my $place (sort keys %htaccess) {
    my $path = $site->docroot;
    for my $part (grep { length } split m{/}, $place) {
        $path .= "/$part";
        -d $path or mkdir $path, 0755 or die "$path: $!\n";
    }
    my $tmp = $site->tmp;
    AuthnToken::Conf::put("$path/.htaccess",
        $htaccess{$place} =~ s/\@\@TMP\@\@/$tmp/gr);
    AuthnToken::Conf::put("$path/index.html", "page of $place\n");
}
mkdir $site->docroot . '/directory/login/good', 0755;
expect("AH02304: Discarding directive `AuthTokenPrefix' not allowed in "
    . 'AllowOverrideList');
$site->start;
$site->secret($_, 'a password')
    for 'evil-land', values %AuthnToken::Conf::user;

# expect($text): a line of the log with these words must come.
sub expect {
    my ($text) = @_;
    return $site->expect_log(qr/\Q$text\E/);
}

sub count {
    my $dbh = $site->dbh;
    my ($count) = $dbh->selectrow_array('SELECT count(*) FROM auth_token');
    $dbh->disconnect;
    return $count;
}

# lets_in($path, $name): alice gets a token there; it.
sub lets_in {
    my ($path, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $response = $site->post($path, {@alice});
    my $answer = eval { $json->decode($response->content) } // {};
    $site->secret($answer->{token}, 'a token') if $answer->{token};
    is $answer->{client} // $response->as_string, 'harness', $name;
    return $answer->{token};
}

# no_token($path, $status, $name): neither the tenant's user nor the
# administrator's gets one there.
sub no_token {
    my ($path, $status, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $before = count();
    my @seen = map { $site->post($path, $_)->code } {@mallory}, {@alice};
    return is_deeply [ @seen, count() ], [ $status, $status, $before ], $name;
}

# Who would mint.
my $refused = qr/authn_token:error\] .* token-login refused at /;
for my $case (@handlers) {
    my ($name, $dir) = @$case;
    $site->log_mark;
    no_token("/minted/$dir/index.html", 403, "$name in .htaccess mints none");
    $site->log_like("$refused/minted/$dir/index.html: an .htaccess "
        . 'file applies there and might choose who may log in; put '
        . 'SetHandler token-login into a <Location>, or AllowOverride None '
        . 'into its <Directory>', "$name: the log says why, and the cure");
}
$site->expect_log($refused);
no_token('/minted/set/', 403, 'nor for a directory');
no_token('/minted/set/new', 403, 'nor for what is not there');
is $site->get('/minted/set/')->code, 403, 'nor is any other answer given';
{
    # httpd, by its version, may not even take an expression from .htaccess.
    my $before = count();
    $site->post('/minted/expr/index.html', $_) for {@alice}, {@mallory};
    is count(), $before, 'SetHandler with an expression mints none';
}

# What he may not say.
for my $directive (sort keys %foreign) {
    is $site->get("/directive/$directive/")->code, 500,
        "$directive in .htaccess is an error";
    expect("/directive/$directive/.htaccess: $directive not allowed here");
}
for my $directive (sort keys %forbidden) {
    my $code = $site->get("/listed/$directive/")->code;
    is $code, 500, "$directive in .htaccess is one even where "
        . 'AllowOverrideList names it';
    # Of that one httpd itself says at its start that it cannot be named.
    expect("/listed/$directive/.htaccess: $directive "
        . ($directive eq 'AuthTokenPrefix' ? 'not allowed here'
            : 'is not allowed in .htaccess: who gets tokens, and what for, '
            . "is set in the server's configuration"));
}
is $site->get('/fileinfo/')->code, 500,
    'AuthTokenScheme needs AllowOverride AuthConfig';
expect('/fileinfo/.htaccess: AuthTokenScheme not allowed here');

# The administrator's logins.
{
    my $token = lets_in('/api-token-auth/',
        "an .htaccess below the administrator's login changes nothing");
    lets_in('/api-token-auth/index.html', 'nor for a file that is there');
    lets_in('/broken-login/', 'nor does one that is broken');
    my $response = $site->post('/api-token-auth/', {@mallory});
    is_deeply [ $response->code, $response->content ],
        [ 400, '{"non_field_errors":["Unable to log in with provided '
            . 'credentials."]}' ], "the tenant's users get no token there";
    my $before = count();
    unlike $site->post('/rewritten', {@mallory})->content, qr/tok_/,
        'nor when .htaccess rewrites to the login';
    is count(), $before, 'and no row is written';
    no_token($_, 403, "nor at $_, where .htaccess applies to the login")
        for '/directory/login/empty/', '/directory/login/mapped/index.html',
            '/directory/login/';
    unlink $site->docroot . '/.htaccess';
    lets_in('/directory/login/',
        'a login in a <Directory> works where no .htaccess is on the way');
    lets_in('/directory/login/good/x', 'and where AllowOverride is None');
    no_token('/directory/login/empty/', 403,
        'but not where one lies, be it empty');
}

# What he may say.
{
    my $token = lets_in('/api-token-auth/', 'alice has a token');
    my $get = sub {
        my ($path, $credential) = @_;
        my $response = $site->get($path,
            $credential ? (Authorization => $credential) : ());
        return [ $response->code,
            [ map { (split ' ')[0] } $response->header('WWW-Authenticate') ] ];
    };
    my $basic = sub {
        return 'Basic ' . MIME::Base64::encode_base64("$_[0]:$_[1]", '');
    };

    for my $dir (qw(own config)) {
        is_deeply $get->("/$dir/"), [ 401, [qw(Token Bearer)] ],
            "$dir: three lines of .htaccess protect a directory";
        is_deeply $get->("/$dir/", "$_ $token"), [ 200, [] ],
            "$dir: and $_ opens it" for qw(Token Bearer);
        is_deeply $get->("/$dir/", 'Token ' . $token =~ s/.\z//r),
            [ 401, [qw(Token Bearer)] ], "$dir: unless it is cut off";
    }
    for my $dir (qw(own/bearer narrow list)) {
        is_deeply $get->("/$dir/", "Token $token"), [ 401, ['Bearer'] ],
            "$dir: AuthTokenScheme in .htaccess takes a scheme away";
        is_deeply $get->("/$dir/", "Bearer $token"), [ 200, [] ],
            "$dir: and leaves the other";
    }
    my $response = $site->get('/own/json/');
    is_deeply [ $response->code, $response->content ], [ 401,
        '{"detail":"Authentication credentials were not provided."}' ],
        'AuthTokenErrorBody json in .htaccess makes the body JSON';
    like $site->get('/own/')->content, qr/^<!DOCTYPE HTML/,
        'which it is not beside it';
    like $site->get('/narrow/')->content, qr/^<!DOCTYPE HTML/,
        'AuthTokenErrorBody html in .htaccess takes it back';

    is_deeply $get->('/own/both/', $basic->('x', $token)), [ 200, [] ],
        'AuthBasicProvider token works in .htaccess';
    is_deeply $get->('/own/both/', $basic->(@mallory[ 1, 3 ])), [ 200, [] ],
        'beside the users of his own, for what is his own';
    is_deeply $get->('/own/both/', $basic->('mallory', 'no')),
        [ 401, ['Basic'] ], 'whose wrong passwords are refused';
    $site->expect_log(qr/AH01617: user mallory: authentication failure/);
}

# Nobody but the administrator's user got a token by all this.
{
    my $dbh = $site->dbh;
    my $owners = $dbh->selectcol_arrayref(
        'SELECT DISTINCT username FROM auth_token');
    my ($scopes) = $dbh->selectrow_array(
        q{SELECT count(*) FROM auth_token WHERE scope <> ''});
    $dbh->disconnect;
    is_deeply $owners, ['alice'], "all tokens are of the server's own users";
    is $scopes, 0, 'and none has a scope';
    ok !-e '/dev/shm/evil.db', 'no other database was made';
}

finish();
