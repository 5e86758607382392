#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Clients of a Django REST framework site, each as it is: HTTPie, curl and a
# Python program log in by JSON, form and multipart, take the key out of the
# answer, use it, and tell a wrong password from a key that is no longer good.
# profiles: sqlite3-event pgsql-event
use strict;
use warnings;

use AuthnToken::Django;
use AuthnToken::Process qw(run temp_dir which);
use AuthnToken::Test;
use Digest::SHA qw(sha256_hex);
use Test::More;

plan skip_all => 'no Python 3 with Django REST framework and psycopg2'
    if !AuthnToken::Django::python(qw(django rest_framework psycopg2));

delete @ENV{ grep { /proxy|^(?:REQUESTS|CURL|HTTPIE)_/i } keys %ENV };
my $home = temp_dir();
my $key = substr sha256_hex(rand), 0, 40;
my $site = AuthnToken::Test->new(name => 'clients', conf => <<'CONF');
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
CONF
AuthnToken::Django::make($site, 'drf_site.py', { users => [
    { name => 'alice', password => 'pw one', key => $key } ] });
$site->secret($_, 'a secret') for $key, 'pw one';
$site->start;

my $base = 'http://127.0.0.1:' . $site->port;
my $login = "$base/api-token-auth/";
my $json = qq({"token":"$key"});

sub command {
    my $result = run(@_, { timeout => 60, env => { HOME => $home,
        LC_ALL => 'C.UTF-8', TERM => 'dumb' } });
    diag $result->{err} if $result->{exit};
    return $result->{out};
}

SKIP: {
    my $http = which('http') or skip 'no HTTPie found', 1;
    my @http = ($http, '--ignore-stdin', '--pretty=none', '--print=b');
    my @as = ('username=alice', 'password=pw one');
    is command(@http, @$_, 'POST', $login, @as), $json,
        "HTTPie @$_ logs in" for [], ['--form'], ['--multipart'];
    is command(@http, 'POST', $login, 'username=alice', 'password=wrong'),
        '{"non_field_errors":["Unable to log in with provided credentials."]}',
        '... or not';
    like command($http, '--ignore-stdin', '--print=h', "$base/api/",
        "Authorization:Token $key"), qr{^HTTP/1.1 200 }, '... uses the key';
    like command($http, '--ignore-stdin', '--print=hb', '-A', 'bearer', '-a',
        $key, "$base/api/"), qr/^HTTP.*credentials were not provided/s,
        '... but not as a Bearer, which that site does not have';
}
SKIP: {
    my $curl = which('curl') or skip 'no curl found', 1;
    my @curl = ($curl, '-sS');
    is command(@curl, $login, @$_), $json, "curl $_->[0] logs in" for
        [ '-d', 'username=alice&password=pw one' ],
        [ '-F', 'username=alice', '-F', 'password=pw one' ],
        [ '--data-urlencode', 'username=alice', '--data-urlencode',
            'password=pw one' ],
        [ '-H', 'Content-Type: application/json', '-d',
            '{"username":"alice","password":"pw one"}' ];
    is command(@curl, '-o', '/dev/null', '-w', '%{http_code}', '-H',
        "Authorization: Token $key", "$base/api/"), '200',
        '... uses the key';
    is command(@curl, '-w', ' %{http_code}', '-H',
        'Authorization: Token ' . '0' x 40, "$base/api/"),
        '{"detail":"Invalid token."} 401', '... and sees that it is not good';
}
SKIP: {
    my $python = AuthnToken::Django::python('requests')
        or skip 'no Python 3 with requests found', 1;
    my $program = <<'PYTHON';
import sys, requests
base = sys.argv[1]
good = {"username": "alice", "password": "pw one"}
for kind in ("json", "data"):
    answer = requests.post(base + "/api-token-auth/", **{kind: good})
    print(kind, answer.status_code, list(answer.json()) == ["token"])
answer = requests.post(base + "/api-token-auth/",
                       json={"username": "alice", "password": "x"})
print("wrong", answer.status_code, answer.json()["non_field_errors"][0])
session = requests.Session()
token = requests.post(base + "/api-token-auth/", json=good).json()["token"]
session.headers["Authorization"] = "Token " + token
print("api", session.get(base + "/api/").status_code)
session.headers["Authorization"] = "Token " + token[::-1]
answer = session.get(base + "/api/")
print("bad", answer.status_code, answer.headers["WWW-Authenticate"],
      answer.json()["detail"])
PYTHON
    is command($python, '-c', $program, $base), <<'TEXT', 'requests';
json 200 True
data 200 True
wrong 400 Unable to log in with provided credentials.
api 200
bad 401 Token Invalid token.
TEXT
}
finish();
