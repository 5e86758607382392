# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event pgsql-event
#
# pip on a package index of files (PEP 503): the token in the index's URL or
# in ~/.netrc, as password of __token__; a wrong one is tried once.
use strict;
use warnings;

use AuthnToken::Process qw(poll run temp_dir which);
use AuthnToken::Test;
use Test::More;

delete @ENV{ grep { /proxy|^PIP_|^REQUESTS_|^CURL_/i } keys %ENV };
my ($python) = grep { $_ && -x $_
        && run($_, '-m', 'pip', '--version')->{exit} == 0 }
    '/usr/bin/python3', which('python3');
plan skip_all => 'no Python 3 with pip found' if !$python;

my $home = temp_dir();
my $site = AuthnToken::Test->new(conf => <<'CONF');
AuthTokenTable 0
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<Location "/simple/">
    AuthType Token
    AuthName "packages"
    AuthTokenScheme Token Bearer Basic
    Require valid-user
</Location>
<Location "/provider/">
    AuthType Basic
    AuthName "packages"
    AuthBasicProvider token
    Require valid-user
</Location>
Alias "/provider" "@@DOCROOT@@/simple"
CONF

# One package of one wheel, as small as a wheel can be.
my $wheel = 'demo-1.0-py3-none-any.whl';
my $dir = $site->docroot . '/simple/demo';
mkdir $_ or die "$_: $!\n" for $site->docroot . '/simple', $dir;
my $made = run($python, '-c', <<'PYTHON', "$dir/$wheel");
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1], "w")
info = "demo-1.0.dist-info/"
wheel.writestr("demo.py", "answer = 42\n")
wheel.writestr(info + "METADATA",
    "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\n"
    "Root-Is-Purelib: true\nTag: py3-none-any\n")
wheel.writestr(info + "RECORD", "")
wheel.close()
PYTHON
die "wheel: $made->{err}" if $made->{exit};
AuthnToken::Conf::put("$dir/index.html",
    qq{<!DOCTYPE html><html><body><a href="$wheel">$wheel</a></body></html>\n});
$site->start;

my $host = '127.0.0.1:' . $site->port;
my $token = $site->login('alice', 'wonder-land')->{token};
(my $wrong = $token) =~ s/(.)\z/$1 eq 'a' ? 'b' : 'a'/e;

# pip($into, $index, %env): downloads the package; { exit, out, err }.
sub pip {
    my ($into, $index, %env) = @_;
    return run($python, '-m', 'pip', '--no-input', '--no-cache-dir',
        '--disable-pip-version-check', 'download', '--no-deps',
        '--dest', "$home/$into", '--index-url', $index, 'demo',
        { timeout => 60, env => { HOME => $home, LC_ALL => 'C.UTF-8',
            PIP_CONFIG_FILE => '/dev/null', %env } });
}

# asked($path): statuses and users of the requests for it, "200 alice".
sub asked {
    my ($pattern, $count) = @_;
    my @lines;
    poll(sub { @lines = $site->log->lines('access', $pattern);
        @lines >= $count }, 3);
    return [ map { /HTTP[^"]*" (\d+) .* "([^"]*)" \S+ \S+$/ ? "$1 $2" : $_ }
        @lines ];
}

my $result = pip('url', "http://__token__:$token\@$host/simple/");
is $result->{exit}, 0, 'the token in the URL: pip downloads the package'
    or diag $result->{out}, $result->{err};
ok -s "$home/url/$wheel", 'the wheel is there';
is_deeply asked(qr{"GET /simple/demo/ }, 1), ['200 alice'],
    'the index was asked for once, by the owner of the token';
is_deeply asked(qr{"GET /simple/demo/\Q$wheel\E }, 1), ['200 alice'],
    'and so was the wheel';

$result = pip('provider', "http://__token__:$token\@$host/provider/");
is $result->{exit}, 0, 'AuthBasicProvider token serves pip as well'
    or diag $result->{out}, $result->{err};
is_deeply asked(qr{"GET /provider/demo/ }, 1), ['200 alice'],
    'and there, too, the user is the owner, not __token__';

AuthnToken::Conf::put("$home/.netrc",
    "machine 127.0.0.1 login __token__ password $token\n", 0600);
$result = pip('netrc', "http://$host/simple/");
is $result->{exit}, 0, 'the token in .netrc: pip downloads the package'
    or diag $result->{out}, $result->{err};
ok -s "$home/netrc/$wheel", 'the wheel is there';
unlink "$home/.netrc" or die "netrc: $!\n";

my $before = @{ asked(qr{"GET /simple/}, 4) };
$result = pip('wrong', "http://__token__:$wrong\@$host/simple/");
isnt $result->{exit}, 0, 'a wrong token: pip fails';
like $result->{out} . $result->{err},
    qr/401|User for|No matching distribution/, 'and says why';
my $asked = asked(qr{"GET /simple/}, $before + 1);
is_deeply [ @$asked[ $before .. $#$asked ] ], ['401 -'],
    'after a single request';
$result = pip('none', "http://$host/simple/");
isnt $result->{exit}, 0, 'no token: pip fails';
ok !-e "$home/none/$wheel", 'and gets nothing';
finish();
