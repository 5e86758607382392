# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event pgsql-event
#
# npm on a registry of files: _authToken in .npmrc opens the door, for
# scoped packages and for its cache's questions too; a wrong one is E401 at
# once and in npm's own words.
use strict;
use warnings;

use AuthnToken::Conf ();
use AuthnToken::Process qw(poll run temp_dir which);
use AuthnToken::Test;
use Digest::SHA qw(sha512_base64);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;

my $npm = which('npm') or plan skip_all => 'no npm found';
my $tar = which('tar') or plan skip_all => 'no tar found';
delete @ENV{ grep { /proxy|^npm_|^NODE_/i } keys %ENV };

my $home = temp_dir();
my $site = AuthnToken::Test->new(conf => <<'CONF');
AuthTokenTable 0
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
# npm asks for @scope%2fname.
AllowEncodedSlashes On
RewriteEngine On
RewriteRule "^/(npm|basic)/(tiny|@scope/name)$" "/$1/$2/packument.json" [PT]
<Location "/npm/">
    AuthType Token
    AuthName "npm"
    Require valid-user
</Location>
<Location "/basic/">
    AuthType Token
    AuthName "npm"
    AuthTokenScheme Basic
    Require valid-user
</Location>
Alias "/basic" "@@DOCROOT@@/npm"
CONF

# publish($name, $registry): a package of one file in a tarball, and the
# packument that names it.
sub publish {
    my ($name, $registry) = @_;
    my $root = $site->docroot . '/npm';
    my $source = temp_dir();
    (my $file = $name) =~ s{.*/}{};
    my $manifest = { name => $name, version => '1.0.0',
        main => 'index.js' };

    mkdir "$source/package" or die "package: $!\n";
    AuthnToken::Conf::put("$source/package/package.json",
        JSON::PP::encode_json($manifest));
    AuthnToken::Conf::put("$source/package/index.js",
        "module.exports = 42\n");
    my $path = $root;
    for my $part ('', split(m{/}, $name), '-') {
        $path .= "/$part" if length $part;
        -d $path or mkdir $path or die "$path: $!\n";
    }
    my $result = run($tar, '-czf', "$path/$file-1.0.0.tgz", '-C', $source,
        'package');
    die "tar: $result->{err}" if $result->{exit};
    my $digest = sha512_base64(
        AuthnToken::Process::slurp("$path/$file-1.0.0.tgz"));
    $digest .= '=' while length($digest) % 4;
    AuthnToken::Conf::put("$root/$name/packument.json",
        JSON::PP::encode_json({ name => $name,
            'dist-tags' => { latest => '1.0.0' },
            versions => { '1.0.0' => { %$manifest, dist => {
                tarball => "$registry$name/-/$file-1.0.0.tgz",
                integrity => "sha512-$digest" } } } }));
    return;
}

$site->start;
my $host = '127.0.0.1:' . $site->port;
publish($_, "http://$host/npm/") for 'tiny', '@scope/name';
my $login = $site->login('alice', 'wonder-land');
my $token = $login->{token};
(my $wrong = $token) =~ s/(.)\z/$1 eq 'a' ? 'b' : 'a'/e;

# npm($place, $rc, @arguments): run with this .npmrc in a directory of its
# own; { exit, out, err }.
sub npm {
    my ($place, $rc, @arguments) = @_;
    -d "$home/$place" or mkdir "$home/$place" or die "$place: $!\n";
    AuthnToken::Conf::put("$home/$place/.npmrc", $rc, 0600);
    AuthnToken::Conf::put("$home/$place/package.json",
        qq({"name":"$place","version":"1.0.0","private":true}\n))
        if !-e "$home/$place/package.json";
    return run($npm, @arguments, '--prefix', "$home/$place",
        '--userconfig', "$home/$place/.npmrc", '--globalconfig',
        "$home/none", '--cache', "$home/cache", '--no-audit', '--no-fund',
        '--no-update-notifier', '--ignore-scripts', '--loglevel', 'error',
        { timeout => 60, dir => "$home/$place",
            env => { HOME => $home, LC_ALL => 'C' } });
}

sub rc {
    my ($text, $path) = @_;
    $path //= 'npm';
    return "registry=http://$host/$path/\n//$host/$path/:$text\n"
        . "fetch-retries=0\n";
}

# asked($pattern, $count): statuses and users of such requests.
sub asked {
    my ($pattern, $count) = @_;
    my @lines;
    poll(sub { @lines = $site->log->lines('access', $pattern);
        @lines >= $count }, 3);
    return [ map { /HTTP[^"]*" (\d+) .* "([^"]*)" \S+ \S+$/ ? "$1 $2" : $_ }
        @lines ];
}

my $result = npm('one', rc("_authToken=$token"), 'install', 'tiny');
is $result->{exit}, 0, '_authToken: npm installs a package'
    or diag $result->{out}, $result->{err};
is AuthnToken::Process::slurp("$home/one/node_modules/tiny/index.js"),
    "module.exports = 42\n", '_authToken: and it is there';
is_deeply asked(qr{"GET /npm/tiny HTTP}, 1), ['200 alice'],
    '_authToken: one request for the packument, by the owner';
is_deeply asked(qr{"GET /npm/tiny/-/tiny-1.0.0.tgz }, 1), ['200 alice'],
    '_authToken: one for the tarball';

$result = npm('one', rc("_authToken=$token"), 'install', '@scope/name');
is $result->{exit}, 0, 'scoped: npm installs a package'
    or diag $result->{out}, $result->{err};
is_deeply asked(qr{"GET /npm/\@scope%2fname HTTP}, 1), ['200 alice'],
    'scoped: asked for with %2f';

# A second directory, and a cache that is filled: npm revalidates.
$result = npm('two', rc("_authToken=$token"), 'install', 'tiny',
    '--prefer-online');
is $result->{exit}, 0, 'again: npm installs it' or diag $result->{err};
is_deeply asked(qr{"GET /npm/tiny HTTP}, 2), [ '200 alice', '304 alice' ],
    'again: its cache asks with the token, and gets 304';

$result = npm('three', rc("_authToken=$wrong"), 'view', 'tiny', 'version',
    '--prefer-online');
isnt $result->{exit}, 0, 'a wrong token: npm fails';
like $result->{err}, qr/E401/, 'a wrong token: with E401';
like $result->{err}, qr/authentication token seems to be invalid/,
    'a wrong token: and blames the token, for Bearer is offered';
is_deeply asked(qr{"GET /npm/tiny HTTP}, 3),
    [ '200 alice', '304 alice', '401 -' ], 'a wrong token: one request';

my $auth = encode_base64("anybody:$token", '');
$result = npm('four', rc("_auth=$auth", 'basic'), 'view', 'tiny', 'version');
is $result->{exit}, 0, '_auth: the token as a Basic password is good'
    or diag $result->{err};
like $result->{out}, qr/^1\.0\.0$/m, '_auth: and the answer is seen';
is_deeply asked(qr{"GET /basic/tiny HTTP}, 1), ['200 alice'],
    '_auth: the user is the owner of the token';

is $site->httoken('revoke', $login->{id})->{exit}, 0, 'revoked: by httoken';
$result = npm('two', rc("_authToken=$token"), 'view', 'tiny', 'version',
    '--prefer-online');
like $result->{err}, qr/E401/, 'revoked: npm is refused';
finish();
