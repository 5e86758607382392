# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The directives of the fast path: good values, bad ones with their message,
# where they may stand, and how an inner one is merged with an outer one.
# profiles: sqlite3-event
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use Digest::SHA qw(sha256_hex);
use Test::More;

my $bcrypt = 'abcdefghijklmnopqrstuu5s0ZBUXlYQpBmqHxBpu1DBH2xJkmEGG';
my $range = 'must be a number with s, min, h or d, from';

# message($name, $value, $text): as the administrator reads it.
sub message {
    my ($name, $value, $text) = @_;
    return qr/$name "\Q$value\E": \Q$text\E/;
}

my %case = (
    AuthTokenTable => {
        good => [qw(0 1 8 16384 100000)],
        bad => [ map { [ $_ => message('AuthTokenTable', $_, 'must be a number'
                . ' of slots from 1 to 4194304, or 0 for no table') ] }
            qw(4194305 -1 many 1k 99999999999999999999) ],
        where => 'server',
    },
    AuthTokenQueryTimeout => {
        good => [qw(1s 1 60s 1min)],
        bad => [ map { [ $_ => message('AuthTokenQueryTimeout', $_,
                "$range 1s to 60s") ] } qw(0 61s 2min -1s 500ms soon) ],
        where => 'host',
    },
    AuthTokenPollInterval => {
        good => [qw(0 1s 1h 60min)],
        bad => [ map { [ $_ => message('AuthTokenPollInterval', $_,
                "$range 0s to 3600s") ] } qw(3601s 2h -1s often) ],
        where => 'host',
    },
    AuthTokenCacheTTL => {
        good => [qw(0 1s 5min 1d)],
        bad => [ map { [ $_ => message('AuthTokenCacheTTL', $_,
                "$range 0s to 86400s") ] } qw(86401s 2d -1 long) ],
        where => 'directory',
    },
    AuthTokenStaleWindow => {
        good => [qw(0 1s 5min 1d)],
        bad => [ map { [ $_ => message('AuthTokenStaleWindow', $_,
                "$range 0s to 86400s") ] } qw(86401s 2d -1 long) ],
        where => 'directory',
    },
    AuthTokenLoginLimit => {
        good => [ '5 60s', '0 1s', '10000 1d', '1 1min' ],
        bad => [
            [ '10001 60s' => message('AuthTokenLoginLimit', 10001,
                'must be a number of failures from 1 to 10000, or 0 for no '
                . 'limit, and a time') ],
            [ 'few 60s' => qr/AuthTokenLoginLimit "few": must be a number/ ],
            [ '-1 60s' => qr/AuthTokenLoginLimit "-1": must be a number/ ],
            [ '5 0' => qr/AuthTokenLoginLimit "0": $range 1s to 86400s/ ],
            [ '5 2d' => qr/AuthTokenLoginLimit "2d": $range 1s to 86400s/ ],
            [ '5' => qr/AuthTokenLoginLimit takes two arguments/ ],
        ],
        where => 'directory',
    },
    AuthTokenUnknownHash => {
        good => [ "\$2y\$04\$$bcrypt", "\$2y\$17\$$bcrypt",
            '"{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc="', 'None',
            '$apr1$abcdefgh$UNfUdbs50/8x3KxGZyxFF.', '$5$salt$hash',
            '$6$rounds=1000$salt$hash' ],
        bad => [ map { [ $_ => qr/AuthTokenUnknownHash: must be a hash as htpasswd prints it \(bcrypt up to cost 17, SHA-256, SHA-512, apr1 or SHA\), or none/ ] }
            "\$2y\$18\$$bcrypt", "\$2y\$03\$$bcrypt", "\$2y\$5\$$bcrypt",
            "\$2y\$05\$${bcrypt}x", "\$2b\$05\$$bcrypt", '{SHA}short',
            '$apr1$saltonly', '$1$salt$hash', '"$6$a b$hash"', 'secret' ],
        where => 'directory',
    },
);

my $site = AuthnToken::Test->new(name => 'syntax', conf => '');

sub passes {
    my ($text, $name) = @_;
    $site->conf($text);
    my ($exit, $out) = $site->configtest;
    is $exit, 0, $name or diag $out;
    return;
}

sub fails {
    my ($text, $message, $name) = @_;
    $site->conf($text);
    my ($exit, $out) = $site->configtest;
    isnt $exit, 0, "$name is refused";
    $out =~ s/\s+/ /g;
    like $out, $message, "$name: with its message";
    return;
}

sub in_location { return "<Location \"/x/\">\n$_[0]\n</Location>\n" }

sub in_host {
    return "<VirtualHost 127.0.0.1:\@\@PORT\@\@>\n$_[0]\n</VirtualHost>\n";
}

for my $name (sort keys %case) {
    my $case = $case{$name};
    my $directory = $case->{where} =~ /directory/;
    my $wrap = $directory ? \&in_location : sub { "$_[0]\n" };

    passes($wrap->("$name $_"), "$name $_ is good") for @{ $case->{good} };
    fails($wrap->("$name $_->[0]"), $_->[1], "$name \"$_->[0]\"")
        for @{ $case->{bad} };

    my $line = "$name $case->{good}[1]";
    if ($case->{where} eq 'server') {
        fails(in_host($line), qr/cannot occur within|not allowed here/,
            "$name in a virtual host");
    }
    else {
        passes("$line\n", "$name may stand in the server's configuration");
        passes(in_host($line), "$name may stand in a virtual host");
    }
    fails(in_location($line), qr/not allowed (?:here|in <Location> context)/,
        "$name in a location") if !$directory;
}
$site->done;

# --- in .htaccess: 500, in whatever way it is allowed ---

{
    my $text = sub { return "$_[0] $case{$_[0]}{good}[1]\n" };
    my $each = AuthnToken::Test->new(name => '.htaccess',
        htaccess => { map { ("h/$_" => $text->($_)) } sort keys %case },
        conf => "<Directory \"\@\@DOCROOT\@\@/h\">\nAllowOverrideList "
            . join(' ', sort keys %case) . "\n</Directory>\n")->start;
    # httpd itself knows that some are never for a directory.
    $each->allow_log(qr/AH02304: Discarding directive/);

    for my $name (sort keys %case) {
        my $not = $case{$name}{where} =~ /directory/
            ? qr/$name is not allowed in \.htaccess: who gets tokens/
            : qr/$name not allowed (?:here|in \.htaccess)/;
        $each->expect_log($not);
        is $each->get("/h/$name/")->code, 500,
            "$name in .htaccess is an error";
        $each->log_like($not, "$name in .htaccess: the log says so");
    }
    $each->done;
}

# --- merged ---

{
    my $merged = AuthnToken::Test->new(name => 'merged', conf => <<'CONF');
AuthTokenPollInterval 0
AuthTokenCacheTTL 0
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<LocationMatch "^/login/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenLoginLimit 2 60s
    AuthTokenUnknownHash "$2y$04$abcdefghijklmnopqrstuu5s0ZBUXlYQpBmqHxBpu1DBH2xJkmEGG"
</LocationMatch>
<Location "/login/stricter/">
    AuthTokenLoginLimit 1 60s
</Location>
<Location "/login/free/">
    AuthTokenLoginLimit 0 60s
</Location>
<Location "/login/free/apr1/">
    AuthTokenUnknownHash "$apr1$abcdefgh$UNfUdbs50/8x3KxGZyxFF."
</Location>
<Location "/login/free/none/">
    AuthTokenUnknownHash none
</Location>
<LocationMatch "^/(?:server|outer)/">
    AuthType Token
    AuthName "api"
    Require valid-user
</LocationMatch>
<Location "/outer/">
    AuthTokenCacheTTL 1h
</Location>
<Location "/outer/inner/">
    AuthTokenCacheTTL 0
</Location>
<Location "/outer/same/">
    AuthTokenStaleWindow 10s
</Location>
AliasMatch "^/(?:server|outer|outer/inner|outer/same)/$" \
    "@@DOCROOT@@/api/index.html"
Listen 127.0.0.1:@@PORT2@@
<VirtualHost 127.0.0.1:@@PORT2@@>
    AuthTokenCacheTTL 1h
    AuthTokenUnknownHash "{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc="
</VirtualHost>
LogLevel authn_token:debug
CONF
    $merged->start;
    my $token = $merged->login('alice', 'wonder-land')->{token};
    my %auth = (Authorization => "Token $token");
    my $host = $merged->url('/server/', $merged->port(2));
    my @place = (qw(/server/ /outer/ /outer/inner/ /outer/same/), $host);

    is $merged->get($_, %auth)->code, 200, "the token is good" for @place;
    # Behind our back, so that only those who ask see it.
    $merged->dbh->do('UPDATE auth_token SET expires_at = 1');
    is $merged->get('/outer/', %auth)->code, 200,
        "a location's AuthTokenCacheTTL replaces the server's";
    is $merged->get('/outer/same/', %auth)->code, 200,
        'an inner location inherits it';
    is $merged->get($host, %auth)->code, 200,
        "a virtual host's replaces the server's";
    is $merged->get('/outer/inner/', %auth)->code, 401,
        "an inner location's replaces the outer one's";
    is $merged->get('/server/', %auth)->code, 401,
        "the server's holds where nothing else is said";

    my %wrong = (username => 'bob', password => 'not-the-one');
    $merged->secret('not-the-one', 'a password');
    my $try = sub { $merged->post("/login/$_[0]", \%wrong)->code };
    is $try->('free/'), 400, "AuthTokenLoginLimit 0: try $_ is allowed"
        for 1 .. 4;
    is_deeply [ map { $try->('') } 1 .. 4 ], [ 400, 400, 429, 429 ],
        'AuthTokenLoginLimit 2: the third try is refused';
    $wrong{username} = 'alice';
    is_deeply [ map { $try->('stricter/') } 1 .. 2 ], [ 400, 429 ],
        'an inner AuthTokenLoginLimit replaces the outer one';

    # Which hash an unknown user costs.
    my $nobody = sub {
        my ($url, $what) = @_;
        $merged->log_mark;
        is $merged->post($url, { username => 'nobody',
            password => 'not-the-one' })->code, 400, "$url: refused";
        $merged->log_lines(qr/login of user nobody refused/);
        my ($how) = map { /: a hash as (\S+)\.\.\. was computed/ }
            $merged->log->lines('error');
        is $how // 'none', $what, '... as AuthTokenUnknownHash says';
    };
    $nobody->('/api-token-auth/', '$2y$05$');
    $nobody->('/login/free/', '$2y$04$');
    $nobody->('/login/free/apr1/', '$apr1$a');
    $nobody->('/login/free/none/', 'none');
    $nobody->($merged->url('/api-token-auth/', $merged->port(2)), '{SHA}0D');
    $merged->done;
}

finish();
