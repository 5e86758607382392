#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# What each directive does where it is set, where it is inherited, where it
# is set again and where it is taken back.  Values that are refused are in
# configtest.t, .htaccess in htaccess.t.
use strict;
use warnings;

use AuthnToken::Test;
use Compress::Zlib ();
use Digest::SHA qw(sha1_base64 sha256_hex);
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::Local qw(timegm);

my $json = JSON::PP->new->utf8->canonical;
my @base62 = (0 .. 9, 'A' .. 'Z', 'a' .. 'z');

# made_up($prefix): a token nobody issued, its checksum right.
sub made_up {
    my ($prefix) = @_;
    my $crc = Compress::Zlib::crc32('0' x 30);
    my $check = '';
    for (1 .. 6) {
        $check = $base62[ $crc % 62 ] . $check;
        $crc = int($crc / 62);
    }
    return $prefix . '_' . '0' x 30 . $check;
}

# eve's password looks like a token of the main server.
my $like_token = made_up('main');
my %staff = (carol => 'christmas', eve => $like_token);

my $site = AuthnToken::Test->new(name => 'directives', modules => ['headers'],
    conf => <<'CONF',
AuthTokenPrefix main
<AuthnProviderAlias file staff>
    AuthUserFile @@TMP@@/conf/staff
</AuthnProviderAlias>

# Logins, one within the other.
<Location "/login/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenLifetime 1h
    AuthTokenScope read
    AuthTokenScope write read
</Location>
<Location "/login/inner/">
    AuthTokenLifetime 2min
    AuthTokenScope admin
    AuthTokenLoginProvider staff
</Location>
<Location "/login/inner/deep/">
    AuthTokenScope none
</Location>
<Location "/login/both/">
    AuthTokenLoginProvider file staff
    AuthTokenScope none
</Location>
<Location "/login/both/again/">
    AuthTokenScope again
    AuthTokenLifetime 90
</Location>
<Location "/login/units/s/">
    AuthTokenLifetime 90s
</Location>
<Location "/login/units/h/">
    AuthTokenLifetime 12h
</Location>
<Location "/login/units/d/">
    AuthTokenLifetime 30d
</Location>
<Location "/defaults/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>

# Protected places, one within the other.
<Location "/cgi-bin/env/">
    AuthType Token
    AuthName "outer"
    CGIPassAuth On
    Require valid-user
</Location>
<Location "/cgi-bin/env/set/">
    AuthTokenScheme Bearer
    AuthTokenScheme Token
    AuthTokenErrorBody json
    AuthTokenForward Off
</Location>
<Location "/cgi-bin/env/set/again/">
    AuthTokenScheme Token
    AuthTokenErrorBody html
    AuthTokenForward On
</Location>
<Location "/cgi-bin/env/basic/">
    AuthType Basic
    AuthBasicProvider token staff
</Location>
<Location "/cgi-bin/env/basic/off/">
    AuthTokenAuthoritative Off
</Location>
<Location "/cgi-bin/env/basic/off/on/">
    AuthTokenAuthoritative On
</Location>
# <If> comes after all of them.
<If "%{QUERY_STRING} == 'if'">
    AuthTokenErrorBody json
    AuthTokenScheme Basic
    AuthTokenLoginProvider staff
</If>

<VirtualHost *:@@PORT@@>
    ServerName main.test
</VirtualHost>
<VirtualHost *:@@PORT@@>
    ServerName one.test
    AuthTokenPrefix one
</VirtualHost>
<VirtualHost *:@@PORT@@>
    ServerName two.test
    AuthTokenPrefix Two2
    <Location "/login/">
        AuthTokenLifetime 5min
    </Location>
    <Location "/cgi-bin/env/">
        AuthTokenErrorBody json
    </Location>
</VirtualHost>
<VirtualHost *:@@PORT@@>
    ServerName case.test
    AuthTokenPrefix ONE
</VirtualHost>
CONF
    files => { 'conf/staff' => join '', map { "$_:{SHA}"
        . sha1_base64($staff{$_}) . "=\n" } sort keys %staff })->start;
$site->secret($_, 'a password')
    for values %staff, values %AuthnToken::Conf::user;

# login($path, %opt): the answer of a login as alice; user, password, host.
sub login {
    my ($path, %opt) = @_;
    my $response = $site->post($path,
        { username => $opt{user} // 'alice',
            password => $opt{password} // 'wonder-land' },
        Host => $opt{host} // 'main.test');
    my $answer = eval { $json->decode($response->content) } // {};
    $site->secret($answer->{token}, 'a token') if $answer->{token};
    $answer->{status} = $response->code;
    return $answer;
}

# left($answer): the seconds it is good for.
sub left {
    my ($answer) = @_;
    my ($year, $month, @rest) = ($answer->{expires} // '') =~
        /\A(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z\z/ or return -1;
    return timegm(reverse(@rest), $month - 1, $year) - time;
}

# lasts($seconds, $answer, $name)
sub lasts {
    my ($seconds, $answer, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $left = left($answer);
    return ok(abs($left - $seconds) <= 5, $name) || diag("$left s left");
}

# get($path, $credential, $host)
sub get {
    my ($path, $credential, $host) = @_;
    return $site->get("/cgi-bin/env/$path", Host => $host // 'main.test',
        $credential ? (Authorization => $credential) : ());
}

sub basic { return 'Basic ' . encode_base64("$_[0]:$_[1]", '') }

sub challenges {
    my ($response) = @_;
    return [ map { (split ' ')[0] } $response->header('WWW-Authenticate') ];
}

# AuthTokenLifetime
lasts(30 * 86_400, login('/defaults/'), 'AuthTokenLifetime is 30 days');
lasts(3600, login('/login/'), 'AuthTokenLifetime 1h is an hour');
lasts(3600, login('/login/both/'), 'inherited, it is an hour still');
lasts(120, login('/login/inner/', user => 'carol', password => 'christmas'),
    'set again, to two minutes, it is two minutes');
lasts(120, login('/login/inner/deep/', user => 'carol',
    password => 'christmas'), 'which are inherited in turn');
lasts(90, login('/login/both/again/'), 'a number alone is seconds');
lasts(90, login('/login/units/s/'), 's is seconds, too');
lasts(12 * 3600, login('/login/units/h/'), 'h is hours');
lasts(30 * 86_400, login('/login/units/d/'), 'd is days');
lasts(300, login('/login/', host => 'two.test'),
    "a virtual host's own goes over the server's");
lasts(3600, login('/login/', host => 'one.test'), "else the server's holds");

# AuthTokenScope
is login('/defaults/')->{scope}, '', 'AuthTokenScope is none';
is login('/login/')->{scope}, 'read write',
    'AuthTokenScope on two lines adds up, each word once';
is login('/login/units/s/')->{scope}, 'read write', 'it is inherited';
is login('/login/inner/', user => 'carol', password => 'christmas')->{scope},
    'admin', 'set again, it replaces what was inherited';
is login('/login/inner/deep/', user => 'carol', password => 'christmas')
    ->{scope}, '', 'none takes all of it back';
is login('/login/both/again/')->{scope}, 'again',
    'and it can be set again after that';
is login('/login/', host => 'two.test')->{scope}, 'read write',
    "a virtual host has the server's";

# AuthTokenLoginProvider
is login('/login/units/s/')->{status}, 200,
    'AuthTokenLoginProvider is inherited';
is login('/login/inner/')->{status}, 400,
    'set again, it replaces what was inherited';
is login('/login/inner/', user => 'carol', password => 'christmas')->{status},
    200, 'with what was set';
is login('/login/inner/deep/', user => 'carol', password => 'christmas')
    ->{status}, 200, 'which is inherited in turn';
is login('/login/both/', user => 'carol', password => 'christmas')->{status},
    200, 'two may be named';
is login('/login/both/')->{status}, 200, 'and each is asked';
is login('/login/', user => 'carol', password => 'christmas')->{status}, 400,
    'and outside of it nothing has changed';

# AuthTokenScheme
my $token = login('/login/')->{token};
is_deeply challenges(get('')), [qw(Token Bearer)],
    'AuthTokenScheme is Token Bearer';
is get('', "$_ $token")->code, 200, "$_ is accepted" for qw(Token Bearer);
is get('', basic('x', $token))->code, 401, 'Basic is not';
is_deeply challenges(get('set/')), [qw(Bearer Token)],
    'AuthTokenScheme on two lines adds up, in their order';
is_deeply challenges(get('set/deep/')), [qw(Bearer Token)],
    'it is inherited';
is_deeply challenges(get('set/again/')), ['Token'],
    'set again, it replaces what was inherited';
is get('set/again/', "Bearer $token")->code, 401,
    'and what is not named is refused';
is get('set/again/', "Token $token")->code, 200, 'and what is, is not';
is_deeply challenges(get('?if')), ['Basic'],
    '<If> goes over all of them';
is get('?if', basic('carol', 'christmas'))->code, 200,
    'with the login providers that are set there';

# AuthTokenErrorBody
my $none = '{"detail":"Authentication credentials were not provided."}';
like get('')->content, qr/^<!DOCTYPE HTML/, 'AuthTokenErrorBody is html';
is get('set/')->content, $none, 'json makes it JSON';
is get('set/')->header('Content-Type'), 'application/json',
    'and its type says so';
is get('set/deep/')->content, $none, 'it is inherited';
like get('set/again/')->content, qr/^<!DOCTYPE HTML/, 'html takes it back';
is get('', undef, 'two.test')->content, $none,
    "a virtual host's own goes over the server's";
is get('?if')->content, $none, 'and <If> goes over both';

# AuthTokenForward
my $sent = qr/^HTTP_AUTHORIZATION=Token \Q$token\E$/m;
like get('', "Token $token")->content, $sent, 'AuthTokenForward is On';
unlike get('set/', "Token $token")->content, qr/AUTHORIZATION/,
    'Off takes the header away';
unlike get('set/deep/', "Token $token")->content, qr/AUTHORIZATION/,
    'it is inherited';
like get('set/again/', "Token $token")->content, $sent, 'On gives it back';
for my $where ('', 'set/', 'set/again/') {
    like get($where, "Token $token")->content, qr/^REMOTE_USER=alice$/m,
        "the user is known at '$where'";
}

# AuthTokenAuthoritative
$site->allow_log(qr/AH01617: user eve: authentication failure/);
is get('basic/', basic('eve', $like_token))->code, 401,
    'AuthTokenAuthoritative is On';
is get('basic/off/', basic('eve', $like_token))->code, 200,
    'Off lets the next provider judge an unknown token';
is get('basic/off/deep/', basic('eve', $like_token))->code, 200,
    'it is inherited';
is get('basic/off/on/', basic('eve', $like_token))->code, 401,
    'On takes it back';

# AuthTokenPrefix
{
    my %prefix = ('main.test' => 'main', 'one.test' => 'one',
        'two.test' => 'Two2', 'case.test' => 'ONE', 'other.test' => 'main');
    my %token;
    for my $host (sort keys %prefix) {
        my $answer = login('/login/', host => $host);
        $token{$host} = $answer->{token} // '';
        like $token{$host}, qr/\A$prefix{$host}_[0-9A-Za-z]{36}\z/,
            "$host issues tokens that begin with $prefix{$host}_";
        is $answer->{id}, substr(sha256_hex($token{$host}), 0, 16),
            "$host: and the id is of all of it";
    }
    for my $host (sort keys %prefix) {
        for my $other (sort keys %token) {
            my $same = $prefix{$host} eq $prefix{$other};
            $site->log_mark;
            is get('', "Token $token{$other}", $host)->code,
                $same ? 200 : 401, "$host: a token of $other is "
                . ($same ? 'good' : 'refused');
            next if $same;
            $site->log_like(qr/token - of user - refused: malformed/,
                "$host: as malformed");
        }
    }
    my $unknown = made_up('one');
    $site->secret($unknown, 'a token nobody issued');
    $site->log_mark;
    is get('', "Token $unknown", 'one.test')->code, 401,
        'a token of the right prefix that nobody issued is refused';
    $site->log_like(qr/refused: unknown/, 'as unknown');
}

finish();
