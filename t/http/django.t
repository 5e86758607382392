#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The provider "django" and Django itself, on a database that Django made:
# they let in the same users with the same passwords, for each of its hashers.
# profiles: sqlite3-event pgsql-event
use strict;
use warnings;
use utf8;

use AuthnToken::Django;
use AuthnToken::Postgres ();
use AuthnToken::Test;
use Encode qw(encode_utf8);
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(time);

binmode Test::More->builder->$_, ':utf8'
    for qw(output failure_output todo_output);

plan skip_all => 'no Python 3 with Django, argon2, bcrypt and psycopg2'
    if !AuthnToken::Django::python(qw(django argon2 bcrypt psycopg2));

my @hashers = qw(PBKDF2 PBKDF2SHA1 Argon2 BCryptSHA256 BCrypt Scrypt MD5 SHA1
    UnsaltedSHA1 UnsaltedMD5 Crypt);
my %right = map { $_ => "pässwörd 密碼🔑 of $_" } @hashers;
my $long = join '', map { chr(ord('a') + $_ % 26) } 1 .. 500;

# [ name, password, hasher, inactive ]
my @users = (
    (map { [ $_, $right{$_}, $_ ] } @hashers),
    (map { [ "$_-long", $long, $_ ] } qw(PBKDF2 Argon2 BCrypt Scrypt SHA1)),
    [ 'default', 'as Django does it', '' ],
    [ 'empty', '', 'PBKDF2' ],
    [ 'gone', 'was here before', 'PBKDF2', 1 ],
    [ 'gone-md5', 'was here before', 'MD5', 1 ],
    [ 'nobody-knows', undef, '' ],
    [ 'bob', 'not the builder', 'PBKDF2' ],
    [ 'costly', 'costly password', 'MD5' ],
    [ 'odd', 'odd password', 'MD5' ],
    [ "o'neil\"; %s", 'quoted password', 'MD5' ],
    [ 'ünïcode', 'named password', 'MD5' ],
    (map { [ $_, 'with all its work', $_ ] }
        qw(PBKDF2PasswordHasher Argon2PasswordHasher)),
);

# Basic: [ name, password, what it is ]
my @cases = (
    (map { [ $_, $right{$_}, 'the right password' ] } @hashers),
    (map { [ $_, "$right{$_}!", 'a wrong password' ] }
        qw(PBKDF2 Argon2 BCryptSHA256 Scrypt MD5 Crypt)),
    (map { [ "$_-long", $long, 'the right one of 500 characters' ] }
        qw(PBKDF2 Argon2 BCrypt Scrypt SHA1)),
    (map { [ "$_-long", substr($long, 0, 499) . '!', 'a wrong last one' ] }
        qw(PBKDF2 BCrypt)),
    (map { [ $_, '', 'no password' ] } qw(empty MD5)),
    (map { [ $_, "$right{$_}\0", 'a NUL behind the right one' ] }
        qw(PBKDF2 BCrypt)),
    [ 'PBKDF2', "$right{PBKDF2}\0x", 'a NUL and more behind the right one' ],
    [ 'default', 'as Django does it', 'the right password' ],
    [ 'default', 'as Django does not', 'a wrong password' ],
    (map { [ $_, 'was here before', 'the right password, inactive' ] }
        qw(gone gone-md5)),
    [ 'nobody-knows', 'something', 'a password where none is set' ],
    [ 'nobody', 'something', 'a user who does not exist' ],
    [ 'pbkdf2', $right{PBKDF2}, 'a name in another case' ],
    [ "o'neil\"; %s", 'quoted password', 'a name with quotes' ],
    [ 'ünïcode', 'named password', 'a name with other letters' ],
    (map { [ $_, 'with all its work', 'the right password' ] }
        qw(PBKDF2PasswordHasher Argon2PasswordHasher)),
);

my $site = AuthnToken::Test->new(name => 'django', conf => <<'CONF');
AuthTokenLoginLimit 0 60s
<Location "/cgi-bin/env/basic">
    AuthType Basic
    AuthName "basic"
    AuthBasicProvider django
    Require valid-user
</Location>
<AuthnProviderAlias django users>
</AuthnProviderAlias>
<Location "/cgi-bin/env/alias">
    AuthType Basic
    AuthName "alias"
    AuthBasicProvider users
    Require valid-user
</Location>
<Location "/cgi-bin/env/token">
    AuthType Token
    AuthName "token"
    AuthTokenScheme Token Basic
    AuthTokenLoginProvider django
    Require valid-user
</Location>
<Location "/login/django">
    SetHandler token-login
    AuthTokenLoginProvider django
</Location>
<Location "/login/both">
    SetHandler token-login
    AuthTokenLoginProvider django file
    AuthUserFile @@HTPASSWD@@
</Location>
CONF
$site->httoken('init');
my $said = ask_django();

# ask_django: its users are made, and its word on the cases.
sub ask_django {
    return AuthnToken::Django::make($site, 'django_site.py', {
        users => [ map { { name => $_->[0], password => $_->[1],
            hasher => $_->[2],
            active => $_->[3] ? JSON::PP::false : JSON::PP::true } } @users ],
        cases => [ map { [ @$_[0, 1] ] } @cases ],
    });
}

# do_sql(@statements): as the owner of Django's tables.
sub do_sql {
    my $dbh = $site->dbh;
    $dbh->do($_) for @_;
    $dbh->disconnect;
    return;
}

my $reason = q(UPDATE auth_user SET password = '%s' WHERE username = '%s');
do_sql(sprintf($reason, 'pbkdf2_sha256$99999999$salt$' . 'A' x 43 . '=',
    'costly'), sprintf($reason, 'plain$odd password', 'odd'));
for my $user (@users) {
    $site->secret(encode_utf8($user->[1]), "password of $user->[0]")
        if defined $user->[1];
    my $hash = $said->{hashes}{ $user->[0] };
    $site->secret($hash, "hash of $user->[0]") if defined $hash;
}
$site->secret(encode_utf8($_->[1]), 'a password') for @cases;
$site->allow_log(qr/AH01617: user \S+: authentication failure/,
    qr/AH01618: user \S+ not found/);
$site->start;

# basic($where, $user, $password): status, REMOTE_USER, seconds.
sub basic {
    my ($where, $user, $password) = @_;
    my $begun = time;
    my $response = $site->get("/cgi-bin/env/$where", Authorization => 'Basic '
        . encode_base64(encode_utf8("$user:$password"), ''));
    my ($who) = $response->content =~ /^REMOTE_USER=(.*)$/m;
    return ($response->code, $who, time - $begun);
}

# log_in($where, $user, $password): the answer's status and body.
sub log_in {
    my ($where, $user, $password) = @_;
    my $response = $site->post("/login/$where",
        { username => $user, password => $password });
    $site->secret($1, 'a token') if $response->content =~ /"(tok_\w+)"/;
    return $response;
}

# Django and the provider agree.
for my $i (0 .. $#cases) {
    my ($user, $password, $what) = @{ $cases[$i] };
    next if exists $said->{hashes}{$user} && !$said->{hashes}{$user};
    my ($code, $who) = basic('basic', $user, $password);
    # HMAC fills short keys up with NULs, so Django takes one behind the
    # right password for nothing; nobody types one.
    my $good = $said->{answers}[$i] && $password !~ /\0/;
    is_deeply [ $code, $who ],
        $good ? [ 200, encode_utf8($user) ] : [ 401, undef ],
        "$what of $user is " . ($good ? 'let in' : 'refused');
}
cmp_ok scalar(grep { $_ } @{ $said->{answers} }), '>', 15,
    'many of these are let in by Django';

# The other ways in.
is +(basic('alias', 'PBKDF2', $right{PBKDF2}))[0], 200,
    'django may have an alias';
is +(basic('token', 'Argon2', $right{Argon2}))[0], 200,
    'AuthTokenScheme Basic asks it, too';
is +(basic('token', 'Argon2', "$right{Argon2}\0"))[0], 401,
    'which refuses a NUL as a malformed header';
my $token = $site->json(log_in('django', 'Scrypt', $right{Scrypt}))->{token};
sub opens {
    return $site->get('/cgi-bin/env/token',
        Authorization => "Token $token")->code;
}
is opens(), 200, 'a login of Django gives a token, which opens the door';
is log_in('django', 'Scrypt', "$right{Scrypt}!")->code, 400,
    'a wrong password gives none';
like log_in('django', 'PBKDF2', "$right{PBKDF2}\0")->content,
    qr/Null characters are not allowed/, 'nor one with \u0000';
is log_in('django', 'gone', 'was here before')->code, 400,
    'nor does a user who is inactive get one';
is log_in('both', 'alice', 'wonder-land')->code, 200,
    'whom Django does not know the next provider may let in';
is log_in('both', 'bob', 'builder')->code, 400,
    'but not whom it knows by another password';
is +(basic('basic', 'x' x 700, 'x'))[0], 401, 'no name is too long';
is $site->get('/cgi-bin/env/basic', Authorization => 'Basic '
    . encode_base64("caf\xe9:x", ''))->code, 401, 'or not to be told in UTF-8';

# Rows that are not checked.
is +(basic('basic', 'odd', 'odd password'))[0], 401,
    'a password that is stored as it is opens nothing';
$site->log_like(qr/authn_token:info\] .* user odd of Django refused: his hash/,
    'the log says why');
is +(basic('basic', 'costly', 'costly password'))[0], 401,
    'a hash of a hundred million iterations is not computed';
$site->expect_log(qr/:warn\] .* user costly of Django refused: his hash would /);
$site->allow_log(qr/AH01617: user o'neil/);

# The time of a refusal does not tell whose it was.
{
    my %case = (unknown => [ 'nobody', 'x' ], wrong => [ 'PBKDF2', 'x' ],
        fast => [ 'MD5', 'x' ], inactive => [ 'gone', 'was here before' ],
        unusable => [ 'nobody-knows', 'x' ], costly => [ 'costly', 'x' ]);
    my ($right) = sort { $a <=> $b }
        map { seconds('PBKDF2', $right{PBKDF2}) } 1 .. 5;
    my %time = map { $_ => seconds(@{ $case{$_} }) } sort keys %case;
    note join ', ', map { sprintf '%s %.0f ms', $_, 1000 * $time{$_} }
        sort keys %time;
    cmp_ok $time{$_}, '>', 10 * $right, "$_: that takes a default hash's time"
        for sort keys %time;
}

# seconds($user, $password): that a login takes.
sub seconds {
    my $begun = time;
    log_in('django', @_);
    return time - $begun;
}

# A table that is not there is nobody else's trouble.
do_sql('ALTER TABLE auth_user RENAME TO auth_user_away');
my $untold = "the database does not tell Django's users: ";
my $missing = qr/:error\] .* $untold.*auth_user.* \(is this Django's database;/;
is log_in('django', 'MD5', $right{MD5})->code, 503,
    'without its table a login is 503';
is +(basic('basic', 'MD5', $right{MD5}))[0], 500, 'and Basic 500';
is log_in('both', 'alice', 'wonder-land')->code, 503,
    'the next provider is not asked';
$site->log_like($missing, 'the log names the table');
$site->expect_log($missing, qr/no authn provider could check a password/);
is opens(), 200, 'tokens are good';
do_sql('ALTER TABLE auth_user_away RENAME TO auth_user');
is log_in('django', 'MD5', $right{MD5})->code, 200,
    'when it is back, passwords are as well';
$site->log_unlike(qr/the token database (?:answers|does not answer)/,
    'the token database was never down');

# What must be granted.
SKIP: {
    skip 'SQLite knows no grants', 2 if !$site->pg;
    my $role = AuthnToken::Postgres::ROLE;
    my $dbh = $site->pg->dbh($site->dbname);
    $dbh->do($_) for 'ALTER TABLE auth_user OWNER TO postgres',
        'REVOKE ALL ON auth_user FROM PUBLIC',
        "GRANT SELECT (username, password, is_active) ON auth_user TO $role";
    is log_in('django', 'MD5', $right{MD5})->code, 200,
        'SELECT on three columns is enough';
    $dbh->do("REVOKE SELECT (is_active) ON auth_user FROM $role");
    is log_in('django', 'MD5', $right{MD5})->code, 503, 'on two it is not';
    $dbh->disconnect;
}
finish();
