#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# What is wrong with a configuration is said by "apachectl configtest": the
# directive, its value and the cure.  And what is right passes.
# profiles: sqlite3-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Test;
use Test::More;

my $site = AuthnToken::Test->new(name => 'configtest');
my $bare = AuthnToken::Test->new(name => 'configtest without a database',
    db => 'none');

# without_dbd($site): as it would be where mod_dbd is not loaded.
sub without_dbd {
    my ($one) = @_;
    my $path = $one->{config}{vars}{t_conf_file};
    my $text = AuthnToken::Process::slurp($path);
    $text =~ s/^LoadModule (?:authn_)?dbd_module.*\n//mg;
    AuthnToken::Conf::put($path, $text);
    return;
}

# says($name, $conf, $message, $one): configtest fails and says so; the
# message is searched for as text, or as a pattern.
sub says {
    my ($name, $conf, $message, $one) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $one //= $site;
    $one->conf($conf) if defined $conf;
    my ($exit, $text) = $one->configtest;
    my $pattern = ref $message ? $message : qr/\Q$message\E/;
    return is_deeply [ $exit, $text =~ $pattern ? $message : $text ],
        [ 1, $message ], $name;
}

# passes($name, $conf, $one)
sub passes {
    my ($name, $conf, $one) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $one //= $site;
    $one->conf($conf) if defined $conf;
    my ($exit, $text) = $one->configtest;
    return is_deeply [ $exit, $text ], [ 0, "Syntax OK\n" ], $name;
}

sub location {
    my (@lines) = @_;
    return join "\n", '<Location "/x/">', @lines, '</Location>', '';
}

# login(@lines): a login that is complete but for these.
sub login {
    my (@lines) = @_;
    return location('SetHandler token-login', 'AuthTokenLoginProvider file',
        'AuthUserFile "@@HTPASSWD@@"', @lines);
}

# What is right.
passes('the shortest configuration passes', undef);
passes('all directives with good values pass', "AuthTokenPrefix a1Z\n"
    . login('AuthTokenLifetime 90', 'AuthTokenScope read write:all a.b/c!')
    . location('AuthType Token', 'AuthName x', 'Require valid-user',
        'AuthTokenScheme Token Bearer Basic', 'AuthTokenAuthoritative Off',
        'AuthTokenErrorBody json', 'AuthTokenForward Off',
        'AuthTokenLoginProvider file', 'AuthTokenScope none'));
for my $good ('AuthTokenLifetime 1', 'AuthTokenLifetime 1s',
    'AuthTokenLifetime 5min', 'AuthTokenLifetime 12h',
    'AuthTokenLifetime 3660d', 'AuthTokenScheme basic',
    'AuthTokenScheme BEARER token', 'AuthTokenErrorBody HTML',
    'AuthTokenAuthoritative on', 'AuthTokenForward OFF',
    'AuthTokenScope None', 'AuthTokenLoginProvider File') {
    passes("$good passes", login($good));
}
passes("AuthTokenPrefix $_ passes", "AuthTokenPrefix $_\n")
    for 'a', '0', 'x' x 16;
passes('an alias passes that is defined before', "<AuthnProviderAlias file "
    . "staff>\nAuthUserFile \"\@\@HTPASSWD\@\@\"\n</AuthnProviderAlias>\n"
    . login('AuthTokenLoginProvider STAFF'));

# Providers.
says('an unknown provider is named', login('AuthTokenLoginProvider ldapp'),
    'AuthTokenLoginProvider "ldapp": no such authn provider: load its module '
    . '(e.g. mod_authn_file for file) or define the alias before');
says('so is one beside a good one', login('AuthTokenLoginProvider file x'),
    'AuthTokenLoginProvider "x": no such authn provider');
says('and an alias that is defined later', login('AuthTokenLoginProvider '
    . 'staff') . "<AuthnProviderAlias file staff>\nAuthUserFile x\n"
    . "</AuthnProviderAlias>\n",
    'AuthTokenLoginProvider "staff": no such authn provider');
for my $name (qw(token TOKEN)) {
    says("the provider $name makes no token",
        login("AuthTokenLoginProvider $name"), "AuthTokenLoginProvider "
        . "\"$name\": token is this module's own provider: a token cannot be "
        . 'exchanged for a token');
}
says('AuthTokenLoginProvider needs a name',
    location('AuthTokenLoginProvider'), 'AuthTokenLoginProvider requires at '
    . 'least one argument, authn providers that check passwords: file, dbd');
SKIP: {
    skip 'no mod_auth_digest here', 1 if !$site->have_module('auth_digest');
    my $digest = AuthnToken::Test->new(name => 'Digest',
        modules => ['auth_digest']);
    says('AuthDigestProvider token is refused, as a token has no hash of a '
        . 'realm', location('AuthType Digest', 'AuthName x',
            'AuthDigestProvider token'),
        qr/'token' Authn provider doesn't support Digest/, $digest);
}

# Words.
# httpd writes bytes beyond ASCII, and backslashes, with a backslash.
for my $prefix ('a_b', 'x' x 17, 'a-b', 'a b', "\xc3\xa4") {
    my $shown = $prefix eq "\xc3\xa4" ? '\xc3\xa4' : $prefix;
    says("AuthTokenPrefix '$shown' is refused", "AuthTokenPrefix \"$prefix\"\n",
        "AuthTokenPrefix \"$shown\": must be 1 to 16 letters and digits");
}
for my $scheme ('Digest', 'Tokens', 'Token,Bearer') {
    says("AuthTokenScheme $scheme is refused",
        location("AuthTokenScheme $scheme"),
        "AuthTokenScheme \"$scheme\": must be Token, Bearer or Basic");
}
says('a scheme named twice is refused',
    location('AuthTokenScheme Token Bearer token'),
    'AuthTokenScheme "token": named twice');
says('also on two lines',
    location('AuthTokenScheme Token', 'AuthTokenScheme Bearer Token'),
    'AuthTokenScheme "Token": named twice');
for my $body ('xml', 'json,html') {
    says("AuthTokenErrorBody $body is refused",
        location("AuthTokenErrorBody $body"),
        "AuthTokenErrorBody \"$body\": must be html or json");
}
for my $time ('0', '0d', 'abc', '5w', '5m', '5 d', '-1d', '1.5h', '+5',
    '3661d', '999999999999999999999', '1ms') {
    says("AuthTokenLifetime '$time' is refused",
        login("AuthTokenLifetime \"$time\""),
        "AuthTokenLifetime \"$time\": must be a number with s, min, h or "
        . 'd, from 1s to 3660d');
}
for my $case ([ q('a"b'), 'a"b' ], [ q("a b"), 'a b' ],
    [ q('a\\b'), 'a\\\\b' ], [ "a\xc3\xa9", 'a\xc3\xa9' ],
    [ "read 'x\"'", 'x"' ]) {
    my ($arg, $shown) = @$case;
    says("AuthTokenScope '$shown' is refused", login("AuthTokenScope $arg"),
        "AuthTokenScope \"$shown\": a word may have visible ASCII characters "
        . 'but for quotes and backslash (RFC 6749, 3.3)');
}
# To httpd an empty last argument is none.
for my $case ([ AuthTokenLifetime => 'takes one argument' ],
    [ AuthTokenErrorBody => 'takes one argument' ],
    [ AuthTokenScheme => 'requires at least one argument' ],
    [ AuthTokenScope => 'requires at least one argument' ],
    [ AuthTokenLoginProvider => 'requires at least one argument' ]) {
    my ($name, $message) = @$case;
    says("$name \"\" is refused", location("$name \"\""), "$name $message");
}
says('AuthTokenPrefix "" is refused', "AuthTokenPrefix \"\"\n",
    'AuthTokenPrefix takes one argument, what tokens begin with');

# Flags and arguments: httpd's own words.
for my $flag (qw(AuthTokenAuthoritative AuthTokenForward)) {
    says("$flag is On or Off", location("$flag maybe"),
        "$flag must be On or Off");
    says("$flag needs its value", location($flag), "$flag must be On or Off");
}
says("$_ needs one argument", location($_), "$_ takes one argument")
    for qw(AuthTokenErrorBody AuthTokenLifetime);
says("$_ takes no second one", location("$_ 1d 2d"), "$_ takes one argument")
    for qw(AuthTokenErrorBody AuthTokenLifetime);
says('AuthTokenPrefix needs one argument', "AuthTokenPrefix\n",
    'AuthTokenPrefix takes one argument, what tokens begin with');
says('AuthTokenPrefix takes no second one', "AuthTokenPrefix a b\n",
    'AuthTokenPrefix takes one argument');
says("$_ needs an argument", location($_),
    "$_ requires at least one argument")
    for qw(AuthTokenScheme AuthTokenScope);

# Contexts.
says('AuthTokenPrefix is not for a <Location>',
    location('AuthTokenPrefix a'), 'AuthTokenPrefix not allowed ');
for my $directive ('AuthTokenLifetime 1d', 'AuthTokenScope a',
    'AuthTokenLoginProvider file', 'AuthTokenForward Off',
    'AuthTokenScheme Token', 'AuthTokenErrorBody json',
    'AuthTokenAuthoritative Off') {
    my ($name) = split ' ', $directive;
    says("$name is not for a whole server", "$directive\n",
        "$name not allowed ");
    says("$name is not for a whole virtual host",
        "<VirtualHost *:1>\n$directive\n</VirtualHost>\n",
        "$name not allowed ");
}

# What is missing.
my $protected = location('AuthType Token', 'AuthName x', 'Require valid-user');
my $where = "tokens and Django's users are in a database";
my $no_dbd = "$where: load mod_dbd (a2enmod dbd)";
my $no_driver = "$where: set DBDriver sqlite3 or pgsql, and DBDParams";
for my $case ([ 'AuthType Token', $protected ],
    [ 'AuthType token', $protected =~ s/Token/token/r ],
    [ 'SetHandler token-login', login() ],
    [ 'AuthBasicProvider token', location('AuthType Basic', 'AuthName x',
        'AuthBasicProvider token') ],
    [ 'AuthBasicProvider file token', location('AuthType Basic',
        'AuthName x', 'AuthBasicProvider file token') ],
    [ 'AuthBasicProvider django', location('AuthType Basic', 'AuthName x',
        'AuthBasicProvider django') ],
    [ 'AuthType Token', "<VirtualHost *:1>\n<Directory \"/x\">\n<Files "
        . "\"x\">\nAuthType Token\n</Files>\n</Directory>\n"
        . "</VirtualHost>\n" ]) {
    my ($what, $conf) = @$case;
    my $place = qr/\Q$what\E \(\S+httpd\.conf, line \d+\)/;
    says("$what needs DBDriver", $conf, qr/$place: \Q$no_driver\E/, $bare);
    without_dbd($bare);
    says("$what needs mod_dbd", undef, qr/$place: \Q$no_dbd\E/, $bare);
    ok !$bare->start(may_fail => 1), "with $what httpd does not start";
    like $bare->output, qr/$place: \Q$no_dbd\E/, 'and says why';
}
says('a login needs providers', location('SetHandler token-login'),
    qr/SetHandler\ token-login\ \(\S+httpd\.conf,\ line\ \d+\):\ nobody\ could
    \ log\ in:\ name\ the\ providers\ that\ check\ passwords,
    \ e\.g\.\ AuthTokenLoginProvider\ file/x);
{
    my $path = $site->{config}{vars}{t_conf_file};
    my @lines = split /\n/, AuthnToken::Process::slurp($path);
    my ($line) = grep { $lines[ $_ - 1 ] eq 'SetHandler token-login' }
        1 .. @lines;
    says('and the line that is meant is the one', undef,
        "SetHandler token-login ($path, line $line): nobody");
}

# What configtest cannot see, the log says at the first request.
{
    my $half = AuthnToken::Test->new(name => 'half a login',
        conf => login() . "<Location \"/y/\">\nSetHandler token-login\n"
            . "</Location>\n<Location \"/z/\">\nAuthType Token\n"
            . "AuthTokenScheme Token Basic\nRequire valid-user\n"
            . "</Location>\n");
    passes('a login without providers beside another passes', undef, $half);
    $half->start;
    is $half->post('/y/', { username => 'alice' })->code, 500,
        'and answers 500';
    $half->expect_log(qr/authn_token:error\] .* token-login refused at \/y\/: /
        . 'no AuthTokenLoginProvider there');
    is $half->get('/z/')->code, 500,
        'AuthTokenScheme Basic without AuthName answers 500';
    $half->expect_log(qr/authn_token:error\] .* AuthTokenScheme Basic needs an /
        . 'AuthName: \/z\/');
}

# Loaded, and not used.
passes('loaded and unused, nothing is asked for', '', $bare);
without_dbd($bare);
passes('not even mod_dbd', undef, $bare);
ok $bare->start(may_fail => 1), 'and httpd starts';
is $bare->get('/')->code, 200, 'and serves';
is $bare->get('/api/')->code, 200, 'whatever there is';
passes('directives alone ask for nothing either', "AuthTokenPrefix x\n"
    . location('AuthTokenErrorBody json'), $bare);

finish();
