#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# httpd's authn providers on both sides: those that a login asks for the
# password, and "token" as a provider of AuthType Basic, alone, in a row with
# others, and under another name.
use strict;
use warnings;

use AuthnToken::Test;
use Digest::SHA qw(sha1_base64 sha256_hex);
use MIME::Base64 qw(encode_base64);
use Test::More;

my $json = JSON::PP->new->utf8->canonical;
my $down = '{"detail":"The database does not answer. Try again later."}';
my $not_logged_in = '{"non_field_errors":["Unable to log in with provided '
    . 'credentials."]}';

# A password like a token, its checksum right, that was never issued as one.
my $like_token = 'tok_' . '0' x 30 . check('0' x 30);
my %staff = (carol => 'christmas', alice => 'other-land',
    eve => $like_token);
my %table = (dora => 'explorer', alice => 'third-land');

sub sha { return '{SHA}' . sha1_base64($_[0]) . '=' }

# check($random): the six characters of a token's end.
sub check {
    my ($random) = @_;
    require Compress::Zlib;
    my @base62 = (0 .. 9, 'A' .. 'Z', 'a' .. 'z');
    my $crc = Compress::Zlib::crc32($random);
    my $digits = '';
    for (1 .. 6) {
        $digits = $base62[ $crc % 62 ] . $digits;
        $crc = int($crc / 62);
    }
    return $digits;
}

my $file = 'AuthUserFile @@HTPASSWD@@';
my $query = 'AuthDBDUserPWQuery "SELECT password FROM users WHERE name = %s"';
my %login = (
    file => "AuthTokenLoginProvider file\n$file",
    dbd => "AuthTokenLoginProvider dbd\n$query",
    staff => 'AuthTokenLoginProvider staff',
    table => 'AuthTokenLoginProvider table',
    'upper-case' => "AuthTokenLoginProvider FILE\n$file",
    'file-staff' => "AuthTokenLoginProvider file staff\n$file",
    'file-dbd' => "AuthTokenLoginProvider file dbd\n$file\n$query",
    'dbd-file' => "AuthTokenLoginProvider dbd file\n$file\n$query",
    'two-lines' => "AuthTokenLoginProvider file\nAuthTokenLoginProvider "
        . "staff table\n$file",
    'no-file' => 'AuthTokenLoginProvider file',
    'lost-file' => "AuthTokenLoginProvider file\n"
        . 'AuthUserFile @@TMP@@/conf/lost',
    'lost-first' => "AuthTokenLoginProvider file staff\n"
        . 'AuthUserFile @@TMP@@/conf/lost',
    'lost-second' => "AuthTokenLoginProvider staff file\n"
        . 'AuthUserFile @@TMP@@/conf/lost',
    'no-query' => 'AuthTokenLoginProvider dbd',
    corp => 'AuthTokenLoginProvider corp',
    'corp-file' => "AuthTokenLoginProvider corp file\n$file",
);
# AuthType Basic, its realm the name.
my %basic = (
    token => 'AuthBasicProvider token',
    'token-file' => "AuthBasicProvider token file\n$file",
    'file-token' => "AuthBasicProvider file token\n$file",
    'token-staff' => 'AuthBasicProvider token staff',
    'token-staff-off' => "AuthBasicProvider token staff\n"
        . 'AuthTokenAuthoritative Off',
    corp => 'AuthBasicProvider corp',
    'corp-staff' => 'AuthBasicProvider corp staff',
    'strict-staff' => "AuthBasicProvider strict staff\n"
        . 'AuthTokenAuthoritative Off',
    optional => "AuthBasicProvider token\nAuthBasicAuthoritative Off",
);

my $conf = <<'CONF';
AuthTokenLoginLimit 0 60s
<AuthnProviderAlias file staff>
    AuthUserFile @@TMP@@/conf/staff
</AuthnProviderAlias>
<AuthnProviderAlias dbd table>
    AuthDBDUserPWQuery "SELECT password FROM users WHERE name = %s"
</AuthnProviderAlias>
<AuthnProviderAlias token corp>
    AuthTokenAuthoritative Off
</AuthnProviderAlias>
<AuthnProviderAlias token strict>
    AuthTokenAuthoritative On
</AuthnProviderAlias>
<Location "/cgi-bin/env/scheme-basic">
    AuthType Token
    AuthName "scheme"
    AuthTokenScheme Token Basic
    AuthTokenLoginProvider staff table
    Require valid-user
</Location>
CONF
$conf .= "<Location \"/login/$_\">\nSetHandler token-login\n$login{$_}\n"
    . "</Location>\n" for sort keys %login;
$conf .= "<Location \"/cgi-bin/env/$_\">\nAuthType Basic\nAuthName \"$_\"\n"
    . "$basic{$_}\nRequire valid-user\n</Location>\n" for sort keys %basic;

# The first connection to a WAL locks it for a moment, and mod_dbd does not
# wait to prepare mod_authn_dbd's statement: it connects at the next request.
my @locked = (
    qr/\[dbd:error\] .* AH00632: .* statements: database is locked$/,
    qr/\[dbd:error\] .* AH00633: failed to initialise$/,
    qr/\[dbd:crit\] .* AH00636: child init failed!$/,
);

my $site = AuthnToken::Test->new(name => 'providers', conf => $conf,
    files => { 'conf/staff' => join '',
        map { "$_:" . sha($staff{$_}) . "\n" } sort keys %staff });
# Our table is there before the first statement of mod_authn_dbd.
$site->httoken('init');
make_users($site);

# make_users($site): mod_authn_dbd's table, in the database of the tokens.
sub make_users {
    my ($one) = @_;
    my $dbh = $one->dbh;
    $dbh->do('CREATE TABLE users (name text PRIMARY KEY, password text)');
    $dbh->do('INSERT INTO users VALUES (?, ?)', {}, $_, sha($table{$_}))
        for sort keys %table;
    $dbh->disconnect;
    return;
}
$site->start;
$site->secret($_, 'a password')
    for values %staff, values %table, values %AuthnToken::Conf::user;

sub count {
    my $dbh = $site->dbh;
    my ($count) = $dbh->selectrow_array('SELECT count(*) FROM auth_token');
    $dbh->disconnect;
    return $count;
}

# lets_in($where, $user, $password, $name): a token of that user.
sub lets_in {
    my ($where, $user, $password, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $response = $site->post("/login/$where",
        { username => $user, password => $password });
    my $answer = eval { $json->decode($response->content) } // {};
    my $token = $answer->{token} or return is $response->as_string, '', $name;

    $site->secret($token, "token of $user");
    my $dbh = $site->dbh;
    my ($owner) = $dbh->selectrow_array(
        'SELECT username FROM auth_token WHERE digest = ?', {},
        sha256_hex($token));
    $dbh->disconnect;
    is $owner, $user, $name;
    return $token;
}

# refuses($where, $user, $password, $name)
sub refuses {
    my ($where, $user, $password, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $before = count();
    my $response = $site->post("/login/$where",
        { username => $user, password => $password });
    return is_deeply [ $response->code, $response->content, count() ],
        [ 400, $not_logged_in, $before ], $name;
}

# fails($where, $user, $password, $name): nobody can tell: come back later.
sub fails {
    my ($where, $user, $password, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $before = count();
    my $response = $site->post("/login/$where",
        { username => $user, password => $password });
    return is_deeply [ $response->code, $response->content,
        $response->header('Retry-After'), count() ],
        [ 503, $down, 2, $before ], $name;
}

# Providers of a login.
lets_in('file', 'alice', 'wonder-land', 'file lets in a user of its file');
lets_in('file', 'admin', 'whatever', 'also one with a bcrypt hash');
refuses('file', 'alice', 'other-land', 'and no other password');
refuses('file', 'carol', 'christmas', "nor another file's user");
lets_in('upper-case', 'alice', 'wonder-land',
    "a provider's name may be in another case");

lets_in('dbd', 'dora', 'explorer', 'dbd lets in a user of its table');
lets_in('dbd', 'dora', 'explorer', 'again') for 1 .. 3;
refuses('dbd', 'dora', 'wonder-land', 'and no other password');
refuses('dbd', 'bob', 'builder', 'nor a user of the file');
refuses('dbd', "dora' OR '1'='1", 'explorer',
    'nor a name with quotes of SQL');

lets_in('staff', 'carol', 'christmas', 'an alias of file lets in its users');
refuses('staff', 'bob', 'builder', 'and no others');
lets_in('table', 'dora', 'explorer', 'an alias of dbd lets in its users');
refuses('table', 'bob', 'builder', 'and no others');

# Several in a row.
lets_in('file-staff', 'bob', 'builder', 'the first of two knows its user');
lets_in('file-staff', 'carol', 'christmas',
    'whom the first does not know the second lets in');
lets_in('file-staff', 'alice', 'wonder-land',
    "a user of both has the first one's password");
refuses('file-staff', 'alice', 'other-land',
    "the first one's refusal is the last word");
refuses('file-staff', 'nobody', 'christmas', 'a user of neither is refused');
lets_in('file-dbd', 'dora', 'explorer', 'dbd may be the second');
lets_in('dbd-file', 'bob', 'builder', 'or the first');
refuses('dbd-file', 'alice', 'wonder-land', 'whose refusal stands, too');
lets_in('two-lines', 'dora', 'explorer',
    'providers on two lines are asked in their order');
refuses('two-lines', 'alice', 'third-land', 'the first one first');

# Providers that cannot tell.
my $unable =
    qr/authn_token:error\] .* no authn provider could check a password/;
fails('no-file', 'alice', 'wonder-land',
    'a provider that is not set up gives 503');
$site->expect_log(qr/AH01619: AuthUserFile not specified/);
fails('lost-file', 'alice', 'wonder-land', 'so does a file that is lost');
$site->expect_log(qr/AH01620: Could not open password file/);
$site->log_like($unable, 'the log says that no provider could tell');
$site->expect_log($unable);
fails('lost-file', 'nobody', 'x', 'for whomever');
fails('lost-first', 'carol', 'christmas',
    'the second is not asked when the first cannot tell');
lets_in('lost-second', 'carol', 'christmas',
    'nor is the second when the first can');
fails('lost-second', 'bob', 'builder', 'but for users of its own');
fails('no-query', 'dora', 'explorer', 'dbd without a query gives 503');
$site->expect_log(qr/AH01654: No AuthDBDUserPWQuery has been specified/);

# The provider of ours, and who is who.
my $token = lets_in('file', 'alice', 'wonder-land', 'alice has a token');
my $revoked = lets_in('file', 'bob', 'builder', 'bob had one');
{
    my $dbh = $site->dbh;
    my $now = AuthnToken::Test::database() eq 'pgsql' ? 'now()' : time;
    $dbh->do("UPDATE auth_token SET revoked_at = $now WHERE digest = ?", {},
        sha256_hex($revoked));
    $dbh->disconnect;
}
my $foreign = 'tok_' . '1' x 30 . check('1' x 30);
my $typo = $token =~ s/(.)\z/$1 eq 'a' ? 'b' : 'a'/er;
$site->secret($_, 'a token that is none') for $foreign, $typo;

# request($where, $user, $password): the answer and its environment.
sub request {
    my ($where, $user, $password) = @_;
    my $credential = encode_base64("$user:$password", '');
    my $response = $site->get("/cgi-bin/env/$where",
        Authorization => "Basic $credential");
    my %env = $response->content =~ /^(\w+)=(.*)$/mg;
    return ($response, \%env);
}

# enters($where, $user, $password, $owner, $name)
sub enters {
    my ($where, $user, $password, $owner, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($response, $env) = request($where, $user, $password);
    is_deeply [ $response->code, $env->{REMOTE_USER}, $env->{AUTH_TYPE} ],
        [ 200, $owner, 'Basic' ], $name;
    return $env;
}

# stays_out($where, $user, $password, $name)
sub stays_out {
    my ($where, $user, $password, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($response) = request($where, $user, $password);
    return is_deeply [ $response->code, $response->header('WWW-Authenticate') ],
        [ 401, qq(Basic realm="$where") ], $name;
}

$site->allow_log(@locked);
$site->allow_log(qr/AH01617: user \S+: authentication failure/,
    qr/AH01618: user \S+ not found/);
{
    my $env = enters('token', 'alice', $token, 'alice',
        'AuthBasicProvider token lets in who has a token for a password');
    is $env->{AUTHENTICATE_TOKEN_ID}, substr(sha256_hex($token), 0, 16),
        "the request has the token's id";
    is $env->{AUTHENTICATE_TOKEN_CLIENT}, 'harness', 'its client';
    is $env->{AUTHENTICATE_TOKEN_SCOPE}, '', 'its scope';
    like $env->{AUTHENTICATE_TOKEN_EXPIRES}, qr/\A\d{4}-.*Z\z/, 'and its end';
}
{
    my ($response) = request('token', 'alice', $token);
    like $response->header('Vary') // '', qr/\bAuthorization\b/,
        'no cache may hand the answer to others';
}
enters('token', '__token__', $token, 'alice',
    "whatever the name beside it is, the user is the token's owner");
enters('token', 'bob', $token, 'alice', 'even when it is another user');
stays_out('token', 'alice', 'wonder-land', 'a password is no token');
stays_out('token', 'bob', $revoked, 'a revoked token is refused');
stays_out('token', 'alice', $foreign, 'an unknown one, too');
stays_out('token', 'alice', $typo, 'one with a wrong checksum, too');
stays_out('token', 'alice', "$token ", 'and a token with a blank behind it');
is $site->get('/cgi-bin/env/token', Authorization => "Token $token")->code,
    401, 'AuthType Basic takes no other scheme';
$site->expect_log(qr/AH01614: client used wrong authentication scheme/);
$site->log_like(qr/authn_token:info\] .* token [0-9a-f]{16} of user bob /
    . 'refused: revoked', 'the log says why a token was refused');
like +($site->access_lines(qr/"bob" - revoked$/))[0] // '', qr/ 401 /,
    'and so does the environment of the access log';

enters('token-file', 'bob', 'builder', 'bob',
    'token and file let in who has a password');
enters('token-file', 'alice', $token, 'alice', 'or a token');
enters('token-file', 'bob', $token, 'alice', 'whoever he says he is');
stays_out('token-file', 'alice', 'builder', 'but not with a wrong password');
stays_out('token-file', 'bob', $revoked, 'nor with a revoked token');
stays_out('token-file', 'alice', $typo, 'nor with a token misspelt');
enters('file-token', '__token__', $token, 'alice',
    'with file first, users it does not know are asked for a token');
stays_out('file-token', 'alice', $token,
    'but users it knows are asked for their password');

# AuthTokenAuthoritative, with a password that looks like a token.
stays_out('token-staff', 'eve', $like_token,
    'an unknown token is not tried as a password');
enters('token-staff-off', 'eve', $like_token, 'eve',
    'unless AuthTokenAuthoritative is Off');
enters('token-staff-off', 'carol', 'christmas', 'carol',
    'which does not matter to other passwords');
enters('token-staff-off', 'carol', $token, 'alice', 'or to good tokens');
stays_out('token-staff-off', 'carol', $foreign,
    'an unknown token that is no password either is refused');
stays_out('token-staff-off', 'bob', $revoked,
    'and a revoked token is refused at once');

# An alias.
enters('corp', 'x', $token, 'alice', 'token may have an alias');
stays_out('corp', 'x', $foreign, 'which refuses what it does not know');
enters('corp-staff', 'eve', $like_token, 'eve',
    "AuthTokenAuthoritative Off within the alias lets others judge");
enters('corp-staff', 'eve', $token, 'alice', 'what is no token of ours');
stays_out('strict-staff', 'eve', $like_token,
    "the alias's AuthTokenAuthoritative On wins over the location's Off");
stays_out('corp-staff', 'bob', $revoked, 'a revoked token is ours to refuse');

# The login's providers under AuthTokenScheme Basic.
enters('scheme-basic', 'carol', 'christmas', 'carol',
    'AuthTokenScheme Basic lets in by AuthTokenLoginProvider');
enters('scheme-basic', 'dora', 'explorer', 'dora', 'by the second of them');
enters('scheme-basic', 'x', $token, 'alice', 'and by a token');
is +(request('scheme-basic', 'alice', 'third-land'))[0]->code, 401,
    "the first provider's refusal stands there, too";
is +(request('scheme-basic', $token, ''))[0]->code, 401,
    'a token for a name is refused, and not written into the log';

# A token makes no token.
$site->log_mark;
refuses('corp', 'alice', $token, 'a token is no password for a login');
refuses('file', $token, 'x', 'nor a name that the log would repeat');
refuses('corp', 'alice', 'wonder-land', 'nor does its alias know passwords');
refuses('corp-file', 'bob', $token, 'nor is it one beside other providers');
refuses('corp-file', 'nobody', $token, 'nor for a name nobody has');
lets_in('corp-file', 'bob', 'builder', 'which are asked as before');
$site->log_unlike(qr/token [0-9a-f]{16} of user \S+ granted/,
    'no token was even looked up there');
$site->done;

# The first start: our table is made before mod_authn_dbd has statements.
{
    $site = AuthnToken::Test->new(name => 'a first start', conf => $conf);
    AuthnToken::Conf::put($site->tmp . '/conf/staff', '');
    make_users($site);
    $site->allow_log(@locked);
    $site->start;
    $site->secret($_, 'a password') for values %table;
    is dbd_answers(), '200 ' x 12,
        "making our table leaves mod_authn_dbd's statements alive";
    $site->done;
}

# A failure of ours, which makes us prepare our statements again.
SKIP: {
    skip 'PostgreSQL keeps statements as they are', 13
        if AuthnToken::Test::database() ne 'sqlite3';
    $site = AuthnToken::Test->new(name => 'a failing statement',
        conf => $conf);
    AuthnToken::Conf::put($site->tmp . '/conf/staff', '');
    $site->httoken('init');
    make_users($site);
    my $dbh = $site->dbh;
    $dbh->do(q{CREATE TRIGGER trap BEFORE INSERT ON auth_token
        WHEN NEW.username = 'bob' BEGIN SELECT RAISE(ABORT, 'trap'); END});
    $dbh->disconnect;
    $site->allow_log(@locked, qr/the token database stores no token: trap/);
    $site->start;
    $site->secret($_, 'a password')
        for values %table, values %AuthnToken::Conf::user;
    fails('file', 'bob', 'builder', 'a row that the database refuses is 503')
        for 1 .. 12;
    is dbd_answers(), '200 ' x 12,
        "and mod_authn_dbd's statements are alive after it";
}

# dbd_answers: the statuses of twelve logins by dbd, which more than one
# child serves.
sub dbd_answers {
    my $seen = '';
    for (1 .. 12) {
        my $response = $site->post('/login/dbd',
            { username => 'dora', password => 'explorer' });
        $site->secret($_, 'a token') for $response->content =~ /"(tok_\w+)"/;
        $seen .= $response->code . ' ';
    }
    return $seen;
}

finish();
