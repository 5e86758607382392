# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event pgsql-event sqlite3-event-asan
#
# curl, wget, HTTPie and requests as people type them: each way to log in
# and to show a token, those that ask first without, those that send a body,
# and the trap of .netrc.  At the end, what a page of another origin meets.
use strict;
use warnings;

use AuthnToken::Process qw(poll run temp_dir which);
use AuthnToken::Test;
use JSON::PP ();
use Test::More;

delete @ENV{ grep { /proxy|^(?:REQUESTS|CURL|WGET|HTTPIE)_|^WGETRC/i }
    keys %ENV };
my $home = temp_dir();
my $site = AuthnToken::Test->new(modules => [qw(dav dav_fs)],
    conf => <<'CONF');
AuthTokenTable 0
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
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
DAVLockDB "@@TMP@@/run/davlock"
<Location "/dav/">
    AuthType Token
    AuthName "dav"
    DAV On
    Require valid-user
</Location>
Alias "/dav" "@@TMP@@/db/dav"
<Directory "@@TMP@@/db/dav">
    Require all granted
</Directory>
<Location "/page/">
    AuthType Token
    AuthName "page"
    AuthTokenErrorBody json
    Header always set Access-Control-Allow-Origin "https://page.example"
    Header always set Access-Control-Allow-Headers "Authorization"
    Header always set Access-Control-Expose-Headers "WWW-Authenticate"
    <RequireAny>
        Require method OPTIONS
        Require valid-user
    </RequireAny>
</Location>
<Location "/page/bob/">
    AuthzSendForbiddenOnFailure On
    AuthMerging Off
    Require user bob
</Location>
ScriptAliasMatch "^/(?:api|basic|page|page/bob)/env$" "@@TMP@@/cgi-bin/env"
AliasMatch "^/(?:basic|page)/(data\.json)$" "@@DOCROOT@@/api/$1"
CONF
mkdir $site->tmp . '/db/dav' or die "dav: $!\n";
AuthnToken::Process::own(AuthnToken::Server::user(),
    $site->tmp . '/db/dav');
$site->start;

my $base = 'http://127.0.0.1:' . $site->port;
my $login = $site->login('alice', 'wonder-land');
my $token = $login->{token};
(my $wrong = $token) =~ s/(.)\z/$1 eq 'a' ? 'b' : 'a'/e;

# command($program, @arguments, { env }): in a home of its own.
sub command {
    my @arguments = @_;
    my $opt = ref $arguments[-1] ? pop @arguments : {};
    return run(@arguments, { timeout => 60, %$opt,
        env => { HOME => $home, LC_ALL => 'C.UTF-8', TERM => 'dumb',
            %{ $opt->{env} || {} } } });
}

# answered($path, $expected, $name, $code): passes when the code, which gets
# the path as a URL of its own, makes these requests: "401 -, 200 alice".
my $number = 0;
sub answered {
    my ($path, $expected, $name, $code) = @_;
    my $mark = "$path?n=" . ++$number;
    my $value = $code->("$base$mark");
    my $seen = '';

    # httpd writes its lines when the client is gone already.
    poll(sub {
        $seen = join ', ', map { /HTTP[^"]*" (\d+) .* "([^"]*)" \S+ \S+$/
            ? "$1 $2" : $_ }
            $site->log->lines('access', qr/"\w+ \Q$mark\E HTTP/);
        return $seen eq $expected;
    }, 3);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is $seen, $expected, $name;
    return $value;
}

# is_token($text, $name): the answer of a login; its token is good.
sub is_token {
    my ($text, $name) = @_;
    my $json = eval { JSON::PP::decode_json($text) } || {};
    my $new = $json->{token} // '';
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $site->secret($new, 'a token');
    like $new, qr/^tok_\w{36}$/, "$name: a token is issued";
    is $site->get('/api/env', Authorization => "Token $new")->code, 200,
        "$name: and good";
    return;
}

my $netrc = "$home/.netrc";
sub with_netrc {
    my ($code) = @_;
    AuthnToken::Conf::put($netrc,
        "machine 127.0.0.1 login alice password $token\n", 0600);
    my $value = $code->();
    unlink $netrc or die "$netrc: $!\n";
    return $value;
}

SKIP: {
    my $curl = which('curl') or skip 'no curl found', 1;
    my @curl = ($curl, '-s', '-S', '-w', "\n%{http_code}");
    my $text = sub { (my $out = command(@curl, @_)->{out}) =~ s/\n\d+\z//;
        return $out };
    my @as = (username => 'alice', password => 'wonder-land');

    is_token($text->('--json', JSON::PP::encode_json({ @as }),
        "$base/api-token-auth/"), 'curl --json');
    is_token($text->('-d', 'username=alice', '--data-urlencode',
        'password=wonder-land', "$base/api-token-auth/"), 'curl -d');
    is_token($text->('-F', 'username=alice', '-F', 'password=wonder-land',
        "$base/api-token-auth/"), 'curl -F');
    is_token($text->('-H', 'Transfer-Encoding: chunked', '-d',
        'username=alice&password=wonder-land', "$base/api-token-auth/"),
        'curl, chunked');
    is_token($text->('-H', 'Expect: 100-continue', '-d',
        'username=alice&password=wonder-land', "$base/api-token-auth/"),
        'curl, Expect: 100-continue');
    # A stale token beside the password is no hindrance.
    is_token($text->('-H', "Authorization: Token $wrong", '-d',
        'username=alice&password=wonder-land', "$base/api-token-auth/"),
        'curl, with an old token');
    my $twice = $site->httoken('list', 'alice', '--json')->{out};
    like $twice, qr/"client": ?"curl"/, 'curl: the client is named curl';

    for my $case ([ 'curl -H Token', '/api/env', '200 alice',
            '-H', "Authorization: Token $token" ],
        [ 'curl -H Bearer', '/api/env', '200 alice',
            '-H', "Authorization: Bearer $token" ],
        [ 'curl --oauth2-bearer', '/api/env', '200 alice',
            '--oauth2-bearer', $token ],
        [ 'curl --oauth2-bearer, wrong', '/api/env', '401 -',
            '--oauth2-bearer', $wrong ],
        [ 'curl -u, the token as password', '/basic/env', '200 alice',
            '-u', "me:$token" ],
        [ 'curl -u, the password itself', '/basic/env', '200 bob',
            '-u', 'bob:builder' ],
        [ 'curl -u, where Basic is not accepted', '/api/env', '401 -',
            '-u', "me:$token" ],
        [ 'curl -u, wrong', '/basic/env', '401 -', '-u', "me:$wrong" ],
        [ 'curl --anyauth, asks without first', '/basic/env',
            '401 -, 200 alice', '--anyauth', '-u', "me:$token" ],
        [ 'curl -n, from .netrc', '/basic/env', '200 alice', '-n' ],
        [ 'curl -n, a header beats .netrc', '/api/env', '200 alice', '-n',
            '-H', "Authorization: Token $token" ]) {
        my ($name, $path, $expected, @arguments) = @$case;
        my $result = with_netrc(sub { answered($path, $expected, $name,
            sub { command(@curl, @arguments, @_) }) });
        my ($status) = $expected =~ /(\d+) \w*-?$/;
        is +($result->{out} =~ /\n(\d+)\z/)[0], $status,
            "$name: curl sees $status";
    }

    # An upload: curl announces it, and does not send it in vain.
    my $file = "$home/upload";
    AuthnToken::Conf::put($file, 'x' x 2_000_000);
    my $result = command($curl, '-s', '-S', '-v', '-T', $file, '-H',
        "Authorization: Token $wrong", "$base/dav/wrong");
    like $result->{err}, qr/^> Expect: 100-continue/m,
        'curl -T: asks before it sends the body';
    like $result->{err}, qr{^< HTTP/1.1 401 }m, 'curl -T, wrong: 401';
    unlike $result->{err}, qr{^< HTTP/1.1 100 }m,
        'curl -T, wrong: and the body is not sent';
    $result = command($curl, '-s', '-S', '-v', '-T', $file, '-H',
        "Authorization: Token $token", "$base/dav/right");
    like $result->{err}, qr{^< HTTP/1.1 100 .*^< HTTP/1.1 201 }ms,
        'curl -T: 100, and then 201';
    is -s $site->tmp . '/db/dav/right', 2_000_000,
        'curl -T: all of it arrives';
    ok !-e $site->tmp . '/db/dav/wrong', 'curl -T, wrong: nothing arrives';
    # With Expect taken away the body is on its way when 401 comes.
    $result = command(@curl, '-T', $file, '-H', 'Expect:', '-H',
        "Authorization: Token $wrong", "$base/dav/wrong");
    like $result->{out}, qr/\n401\z/, 'curl -T without Expect, wrong: 401';
    cmp_ok $result->{elapsed}, '<', 5, 'and soon';
}

SKIP: {
    my $wget = which('wget') or skip 'no wget found', 1;
    my @wget = ($wget, '-q', '-O', '-', '--tries=1');
    my $result = answered('/api/env', '200 alice', 'wget --header',
        sub { command(@wget, '--header', "Authorization: Token $token",
            @_) });
    is $result->{exit}, 0, 'wget --header: exit 0';
    $result = answered('/basic/env', '401 -, 200 alice',
        'wget --user: asks without first, then Basic', sub { command(@wget,
            '--user=me', "--password=$token", @_) });
    is $result->{exit}, 0, 'wget --user: exit 0';
    $result = answered('/api/env', '401 -',
        'wget --user, no Basic challenge: gives up', sub { command(@wget,
            '--user=me', "--password=$token", @_) });
    is $result->{exit}, 6, 'wget --user, no Basic challenge: exit 6';
    is_token(command(@wget, '--post-data',
        'username=alice&password=wonder-land', "$base/api-token-auth/")
        ->{out}, 'wget --post-data');
}

SKIP: {
    my $http = which('http') or skip 'no HTTPie found', 1;
    my @http = ($http, '--ignore-stdin', '--body', '--pretty=none');
    my $url = "$base/api-token-auth/";
    my @as = ('username=admin', 'password=whatever');
    $site->secret('whatever', 'password of admin');
    is_token(command(@http, 'POST', $url, @as)->{out}, 'HTTPie');
    is_token(command(@http, '--form', 'POST', $url, @as)->{out},
        'HTTPie --form');
    is_token(command(@http, '--multipart', 'POST', $url, @as)->{out},
        'HTTPie --multipart');
    answered('/api/env', '200 alice', 'HTTPie, Authorization: Token', sub {
        command(@http, @_, "Authorization: Token $token") });
    answered('/api/env', '200 alice', 'HTTPie -A bearer', sub {
        command(@http, '-A', 'bearer', '-a', $token, @_) });
    answered('/basic/env', '200 alice', 'HTTPie -a, as Basic', sub {
        command(@http, '-a', "me:$token", @_) });

    # HTTPie (requests) replaces a header typed by hand by what .netrc has.
    $site->log_mark;
    answered('/api/env', '401 -', 'HTTPie and .netrc: 401 where Basic is '
        . 'not accepted', sub { my ($to) = @_; with_netrc(sub {
            command(@http, $to, "Authorization: Token $token") }) });
    $site->log_like(qr/scheme Basic is not accepted here/,
        'HTTPie and .netrc: the log says why');
    answered('/basic/env', '200 alice', 'HTTPie and .netrc: good where Basic'
        . ' is accepted', sub { my ($to) = @_; with_netrc(sub {
            command(@http, $to, 'Authorization: Token x') }) });
}

SKIP: {
    my ($python) = grep { $_ && -x $_
            && run($_, '-c', 'import requests')->{exit} == 0 }
        '/usr/bin/python3', which('python3');
    skip 'no Python 3 with requests found', 1 if !$python;
    # The script at /api/env reads no body.
    $site->allow_log(qr/\[cgid?:error\] .* AH02651: Error writing request /);
    my $result = command($python, '-c', <<'PYTHON', $base, {
import sys, requests
base = sys.argv[1]
login = requests.post(base + "/api-token-auth/",
    json={"username": "alice", "password": "wonder-land"})
print("login", login.status_code)
token = login.json()["token"]
session = requests.Session()
session.headers["Authorization"] = "Token " + token
for i in range(3):
    print("session", session.get(base + "/api/env").status_code)
print("slash", session.get(base + "/api").status_code)
print("basic", requests.get(base + "/basic/env",
    auth=("me", token)).status_code)
print("stream", requests.post(base + "/api/env",
    data=(b"x" * 1000 for i in range(100)),
    headers={"Authorization": "Token " + token}).status_code)
bad = requests.get(base + "/api/env",
    headers={"Authorization": "Bearer " + token + "x"})
print("bad", bad.status_code, bad.headers["WWW-Authenticate"])
PYTHON
    });
    is $result->{out}, <<"OUT", 'requests: each way works' or diag $result->{err};
login 200
session 200
session 200
session 200
slash 200
basic 200
stream 200
bad 401 Token, Bearer realm="api", error="invalid_token", error_description="The token is unknown, expired or revoked"
OUT
}

# --- a page of another origin ---

{
    my @origin = (Origin => 'https://page.example');
    my @good = (Authorization => "Token $token");
    my $response = $site->options('/page/data.json', @origin,
        'Access-Control-Request-Method' => 'GET',
        'Access-Control-Request-Headers' => 'authorization');
    like $response->code, qr/^2/, 'page: a preflight needs no credential';
    is $response->header('Access-Control-Allow-Headers'), 'Authorization',
        'page: and is told that Authorization may be sent';
    is $site->options('/api/data.json', @origin)->code, 401,
        'page: without Require method OPTIONS it is refused';
    $response = $site->options('/api-token-auth/', @origin,
        'Access-Control-Request-Method' => 'POST',
        'Access-Control-Request-Headers' => 'content-type');
    like $response->code, qr/^2/, 'page: a login\'s preflight is answered';

    $response = $site->get('/page/data.json', @origin, @good);
    is $response->code, 200, 'page: a good token is let in';
    is $response->header('Access-Control-Allow-Origin'),
        'https://page.example', 'page: and the page may read the answer';
    my $etag = $response->header('ETag');
    $response = $site->get('/page/data.json', @origin,
        Authorization => "Token $wrong");
    is $response->code, 401, 'page: a wrong token is refused';
    is $response->content, '{"detail":"Invalid token."}', 'page: in JSON';
    is $response->header('Access-Control-Allow-Origin'),
        'https://page.example', 'page: and the page may read the refusal';
    is $response->header('Access-Control-Expose-Headers'),
        'WWW-Authenticate', 'page: and its challenge';
    is scalar(my @lines = $response->header('WWW-Authenticate')), 2,
        'page: which is there';

    # What a browser may answer out of its cache.
    $site->allow_log(qr/AH0163[01]: /,
        qr/\[authn_token:error\] .* token database does not answer: /,
        qr/\[authn_token:notice\] .* token database answers again/);
    my $vary = sub {
        my ($code, $got) = @_;
        is $got->code, $code, "cache: an answer of $code";
        like $got->header('Vary') // '', qr/\bAuthorization\b/,
            "cache: $code varies by Authorization";
    };
    $vary->(200, $site->get('/page/data.json', @good));
    $vary->(304, $site->get('/page/data.json', @good,
        'If-None-Match' => $etag));
    $vary->(401, $site->get('/page/data.json'));
    $vary->(401, $site->get('/page/data.json',
        Authorization => "Token $wrong"));
    $vary->(403, $site->get('/page/bob/env', @good));
    my $dbh = $site->dbh;
    $dbh->do('ALTER TABLE auth_token RENAME TO auth_token_away');
    $response = $site->get('/page/data.json', @origin, @good);
    $vary->(503, $response);
    is $response->header('Access-Control-Allow-Origin'),
        'https://page.example', 'page: it may read a 503, too';
    is $response->header('Retry-After'), '2', 'page: and when to come back';
    $dbh->do('DROP TABLE IF EXISTS auth_token');
    $dbh->do('ALTER TABLE auth_token_away RENAME TO auth_token');
}
finish();
