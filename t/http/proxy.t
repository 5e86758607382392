# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event pgsql-event sqlite3-prefork sqlite3-event-asan
#
# In front of other servers: a forward proxy asks for Proxy-Authorization,
# with 407, and keeps it to itself; a reverse proxy passes the token on to
# its backend, or with AuthTokenForward Off does not.
use strict;
use warnings;

use AuthnToken::Process qw(run which temp_dir);
use AuthnToken::Test;
use MIME::Base64 qw(encode_base64);
use Test::More;

delete @ENV{ grep { /proxy|^CURL_/i } keys %ENV };

# The other server: it prints what it was sent.
my $target = AuthnToken::Test->new(name => 'target', module => 0,
    db => 'none', conf => <<'CONF');
<Directory "@@TMP@@/cgi-bin">
    CGIPassAuth On
</Directory>
SetEnvIf Proxy-Authorization "(.+)" SEEN_PROXY_AUTHORIZATION=$1
SetEnvIf Authorization "(.+)" SEEN_AUTHORIZATION=$1
CONF
$target->start;
my $there = 'http://127.0.0.1:' . $target->port;
my $login_conf = <<'CONF';
AuthTokenTable 0
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
CONF

sub wrong {
    my ($token) = @_;
    $token =~ s/(.)\z/$1 eq 'a' ? 'b' : 'a'/e;
    return $token;
}

sub basic { return 'Basic ' . encode_base64("$_[0]:$_[1]", '') }

# --- a forward proxy ---

{
    my $site = AuthnToken::Test->new(name => 'forward proxy',
        modules => [qw(proxy proxy_http proxy_connect)],
        conf => $login_conf . <<"CONF");
ProxyRequests On
ProxyVia Off
AllowCONNECT @{[ $target->port ]}
<Proxy "*">
    AuthType Token
    AuthName "proxy"
    AuthTokenScheme Token Bearer Basic
    AuthTokenLoginProvider file
    AuthUserFile \@\@HTPASSWD\@\@
    Require valid-user
</Proxy>
CONF
    $site->start;
    # The proxy asks for nothing where it is no proxy.
    my $login = $site->login('alice', 'wonder-land');
    my $token = $login->{token};
    my $host = '127.0.0.1:' . $target->port;

    # via($header, %more): the answer to a GET through the proxy.
    my $via = sub {
        my ($value, %more) = @_;
        my $path = delete $more{path} // '/cgi-bin/env';
        my $text = "GET $there$path HTTP/1.1\r\nHost: $host\r\n"
            . "Connection: close\r\n";
        $text .= "$_: $more{$_}\r\n" for sort keys %more;
        $text .= "Proxy-Authorization: $value\r\n" if defined $value;
        return $site->raw("$text\r\n", timeout => 10)->{responses}[0];
    };

    my $response = $via->(undef);
    is $response->code, 407, 'forward: without a credential 407';
    is_deeply [ $response->header('Proxy-Authenticate') ], [ 'Token',
        'Bearer realm="proxy"', 'Basic realm="proxy", charset="UTF-8"' ],
        'forward: with a challenge of each kind, a line each';
    is $response->header('WWW-Authenticate'), undef,
        'forward: and none of the other name';
    unlike $response->header('Vary') // '', qr/Authorization/,
        'forward: nor does it vary by a header of the target\'s';

    for my $case ([ 'Token', "Token $token", 'alice' ],
        [ 'Bearer', "Bearer $token", 'alice' ],
        [ 'a token as Basic password', basic('x', $token), 'alice' ],
        [ 'a password', basic('bob', 'builder'), 'bob' ]) {
        my ($name, $value, $user) = @$case;
        (my $mark = "/cgi-bin/env?$name") =~ tr/ /-/;
        $response = $via->($value, path => $mark);
        is $response->code, 200, "forward, $name: let through";
        like $response->content, qr/^REQUEST_METHOD=GET$/m,
            "forward, $name: and the target answers";
        unlike $response->content, qr/PROXY_AUTHORIZATION/,
            "forward, $name: and never sees Proxy-Authorization";
        like(($site->access_lines(qr/"GET \Q$there$mark\E /))[0] // '',
            qr/ - $user .* 200 /, "forward, $name: for $user");
    }
    $response = $via->("Token $token", Authorization => 'Bearer for-target');
    is $response->code, 200, 'forward: both headers are sent';
    like $response->content, qr/^SEEN_AUTHORIZATION=Bearer for-target$/m,
        'forward: Authorization is for the target, and goes there';
    unlike $response->content, qr/PROXY_AUTHORIZATION/,
        'forward: Proxy-Authorization is not';
    $response = $via->(undef, Authorization => "Token $token");
    is $response->code, 407, 'forward: Authorization is no substitute';

    $response = $via->('Token ' . wrong($token));
    is $response->code, 407, 'forward: a wrong token is 407';
    like join(' ', $response->header('Proxy-Authenticate')),
        qr/Bearer realm="proxy", error="invalid_token"/,
        'forward: and the challenge says so';
    $site->log_like(qr/token - of user - refused: malformed/,
        'forward: the log says why');
    is $via->("Token $token", path => '/index.html')->content,
        "front page\n", 'forward: what the target sends comes through';

    # CONNECT
    my $connect = "CONNECT $host HTTP/1.1\r\nHost: $host\r\n";
    my $raw = $site->raw("$connect\r\n", timeout => 5,
        until => qr/\r\n\r\n/);
    like $raw->{bytes}, qr{^HTTP/1.1 407 .*^Proxy-Authenticate: Token\r$}ms,
        'CONNECT: without a credential 407';
    $raw = $site->raw("${connect}Proxy-Authorization: Token "
        . wrong($token) . "\r\n\r\n", timeout => 5, until => qr/\r\n\r\n/);
    like $raw->{bytes}, qr{^HTTP/1.1 407 }, 'CONNECT: wrong token, 407';
    my $connection = $site->connection;
    $connection->write("${connect}Proxy-Authorization: Bearer $token\r\n\r\n");
    AuthnToken::Process::poll(sub { $connection->fill(5);
        $connection->{buffer} =~ /\r\n\r\n/ }, 5);
    like $connection->{buffer}, qr{^HTTP/1.\d 200 }, 'CONNECT: let through';
    $connection->{buffer} = '';
    $response = $connection->request('GET', '/cgi-bin/env');
    is $response->code, 200, 'CONNECT: and the tunnel works';
    unlike $response->content, qr/PROXY_AUTHORIZATION/,
        'CONNECT: nothing of the credential is in it';
    $connection->close;

    SKIP: {
        my $curl = which('curl') or skip 'no curl found', 3;
        my @curl = ($curl, '-s', '-S', '-w', "\n%{http_code}", '-x',
            'http://127.0.0.1:' . $site->port);
        my $home = temp_dir();
        my $run = sub { run(@curl, @_, { timeout => 30,
            env => { HOME => $home } })->{out} };
        like $run->('-U', "x:$token", "$there/cgi-bin/env"), qr/\n200\z/,
            'curl -x -U: let through';
        like $run->('--proxy-header', "Proxy-Authorization: Token $token",
            '-p', "$there/cgi-bin/env"), qr/\n200\z/,
            'curl -x -p --proxy-header: through a tunnel';
        like $run->('--proxy-anyauth', '-U', "x:$token",
            "$there/cgi-bin/env"), qr/\n200\z/,
            'curl --proxy-anyauth: asks first, then lets itself through';
    }

    $site->allow_log(
        qr/\[authn_token:error\] .* token database does not answer: /,
        qr/\[authn_token:notice\] .* token database answers again/,
        # A tunnel's worker may not hear of a stop.
        qr/AH00046: child process \d+ still did not exit/);
    my $dbh = $site->dbh;
    $dbh->do('ALTER TABLE auth_token RENAME TO auth_token_away');
    $response = $via->("Token $token");
    is $response->code, 503, 'forward: with the database away, 503';
    is $response->header('Retry-After'), '2', 'forward: and when to return';
    $dbh->do('DROP TABLE IF EXISTS auth_token');
    $dbh->do('ALTER TABLE auth_token_away RENAME TO auth_token');
    is $via->("Token $token")->code, 200, 'forward: then good again';
    $site->done;
}

# --- a forward proxy's errors ---

{
    my $site = AuthnToken::Test->new(name => 'errors of a forward proxy',
        modules => [qw(proxy proxy_http)], conf => $login_conf . <<'CONF');
ProxyRequests On
<Proxy "*">
    AuthType Token
    AuthName "proxy"
    AuthTokenErrorBody json
    AuthTokenForward Off
    Require valid-user
</Proxy>
ErrorDocument 503 /users/env
<Location "/users/">
    AuthType Token
    AuthName "users"
    Require valid-user
</Location>
ScriptAlias "/users/env" "@@TMP@@/cgi-bin/env"
<Directory "@@TMP@@/cgi-bin">
    CGIPassAuth On
</Directory>
CONF
    $site->start;
    my $token = $site->login('alice', 'wonder-land')->{token};
    my $via = sub {
        return $site->raw("GET http://127.0.0.1:1/ HTTP/1.1\r\n"
            . "Host: 127.0.0.1:1\r\nConnection: close\r\n"
            . "Proxy-Authorization: $_[0]\r\n\r\n",
            timeout => 10)->{responses}[0];
    };

    my $response = $via->('Token abc');
    is $response->code, 407, 'errors: a bad token is 407';
    is $response->header('Content-Type'), 'application/json',
        'errors: AuthTokenErrorBody json, the type';
    is $response->content, '{"detail":"Invalid token."}', 'errors: the body';
    $response = $via->("Token $token");
    is $response->code, 503, 'errors: nobody is there';
    unlike $response->content, qr/REMOTE_USER|\Q$token\E/,
        'errors: the proxy\'s user is none of the server\'s, whose page it is';
    $site->allow_log(qr/AH00957|AH01114/);
    $site->done;
}

# --- a reverse proxy ---

{
    my $site = AuthnToken::Test->new(name => 'reverse proxy',
        modules => [qw(proxy proxy_http)], conf => $login_conf . <<"CONF");
ProxyPass "/on/" "$there/cgi-bin/"
ProxyPass "/off/" "$there/cgi-bin/"
ProxyPass "/basic/" "$there/cgi-bin/"
<LocationMatch "^/(on|off)/">
    AuthType Token
    AuthName "backend"
    Require valid-user
    RequestHeader set X-Remote-User "expr=%{REMOTE_USER}"
    RequestHeader set X-Token-Id "expr=%{ENV:AUTHENTICATE_TOKEN_ID}"
</LocationMatch>
<Location "/off/">
    AuthTokenForward Off
</Location>
<Location "/basic/">
    AuthType Basic
    AuthName "backend"
    AuthBasicProvider token
    AuthTokenForward Off
    Require valid-user
</Location>
CONF
    $site->start;
    my $login = $site->login('alice', 'wonder-land');
    my $token = $login->{token};
    my @good = (Authorization => "Token $token");
    my $response = $site->get('/on/env', @good);
    is $response->code, 200, 'reverse: let through';
    like $response->content, qr/^HTTP_AUTHORIZATION=Token \Q$token\E$/m,
        'reverse: the backend gets the token by default';
    $response = $site->get('/off/env', @good);
    is $response->code, 200, 'reverse, AuthTokenForward Off: let through';
    unlike $response->content, qr/AUTHORIZATION=|\Q$token\E/,
        'reverse, AuthTokenForward Off: the backend does not get it';
    for my $path ('/on/env', '/off/env') {
        my $got = $site->get($path, @good, 'X-Remote-User' => 'root',
            'X-Token-Id' => 'none')->content;
        like $got, qr/^HTTP_X_REMOTE_USER=alice$/m,
            "reverse, $path: the backend is told the user, whatever is sent";
        like $got, qr/^HTTP_X_TOKEN_ID=\Q$login->{id}\E$/m,
            "reverse, $path: and the id of the token";
    }
    $response = $site->get('/basic/env', Authorization => basic('x', $token));
    is $response->code, 200, 'reverse, AuthBasicProvider token: let through';
    unlike $response->content, qr/AUTHORIZATION=/,
        'reverse, AuthBasicProvider token: the backend does not get it';
    is $site->get('/on/env?refused',
        Authorization => 'Token ' . wrong($token))->code, 401,
        'reverse: a wrong token is refused';
    is $site->get('/off/env?refused')->code, 401, 'reverse: so is none';
    is $site->post('/on/env?refused', 'x' x 100_000,
        Authorization => 'Bearer x')->code, 401,
        'reverse: so is a body with a wrong one';
    $response = $site->post('/off/env?posted', 'x' x 100_000, @good);
    like $response->content, qr/^CONTENT_LENGTH=100000$/m,
        'reverse: a body with a good one goes through';
    $target->access_lines(qr/env\?posted/);
    is scalar(my @lines = $target->log->lines('access', qr/refused/)), 0,
        'reverse: and the backend never heard of the others';
    # The script reads no body.
    $target->allow_log(qr/\[cgid?:error\] .* AH02651: Error writing request /);
    $site->done;
}
finish();
