# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# token-manage: a user sees, makes, rotates and revokes his own tokens, with
# one of them; none is good for more than the one that asked. And what
# becomes of those that were rotated away.
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use HTTP::Date qw(str2time time2str);
use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes ();

my $conf = <<'CONF';
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenScope read write
</Location>
<Location "/tokens/">
    SetHandler token-manage
    AuthType Token
    AuthName "tokens"
    Require valid-user
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    AuthTokenExpiryHeader On
    Require valid-user
</Location>
<Location "/api/strict">
    AuthType Token
    AuthTokenExpiryHeader Off
    AuthTokenRotationGrace 0
    Require valid-user
</Location>
<Location "/open/">
    SetHandler token-manage
</Location>
<LocationMatch "^/match/">
    SetHandler token-manage
    AuthType Token
    Require valid-user
</LocationMatch>
<Location "/few/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenMaxPerUser 3
</Location>
<Location "/refuse/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenMaxPerUser 3 refuse
</Location>
<LocationMatch "^/quota-">
    AuthType Token
    Require valid-user
</LocationMatch>
<Location "/quota-evict/">
    SetHandler token-manage
    AuthTokenMaxPerUser 3
</Location>
<Location "/quota-refuse/">
    SetHandler token-manage
    AuthTokenMaxPerUser 3 refuse
</Location>
<Location "/idle/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenIdleTimeout 60
</Location>
CONF
my $site = AuthnToken::Test->new(files => { 'htdocs/api/strict' => 'strict' },
    conf => "AuthTokenFlushInterval 1\n$conf");
$site->start;

# call($method, $path, $token, $fields): a response of token-manage; a text
# is sent as it is.
sub call {
    my ($method, $path, $token, $fields) = @_;
    return $site->request($method, $path, { auth($token), defined $fields
        ? ('Content-Type' => 'application/json') : () }, $fields);
}

sub body { return decode_json($_[0]->content) }

sub code_of {
    my ($token, $path) = @_;
    return $site->get($path // '/api/', auth($token))->code;
}

# set($id, $what): changes a row behind everybody's back.
sub set {
    my ($id, $what) = @_;
    $site->dbh->do("UPDATE auth_token SET $what WHERE digest LIKE ?", {},
        "$id%") == 1 or die "no token $id\n";
    return;
}

sub ago {
    my ($seconds) = @_;
    return AuthnToken::Test::database() eq 'pgsql'
        ? "now() - interval '$seconds s'" : time - $seconds;
}

my $alice = $site->login('alice', 'wonder-land');
my $other = $site->login('alice', 'wonder-land', client => 'other');
my $bob = $site->login('bob', 'builder');
my $token = $alice->{token};

# --- seeing ---
{
    my $response = call('GET', '/tokens/', $token);
    is $response->code, 200, 'GET lists';
    is $response->header('Cache-Control'), 'no-store', 'no cache keeps it';
    my $list = body($response)->{tokens};
    is_deeply [ sort map { $_->{id} } @$list ],
        [ sort $alice->{id}, $other->{id} ], 'the user\'s own tokens';
    my ($mine) = grep { $_->{current} } @$list;
    is $mine->{id}, $alice->{id}, 'and says which one asks';
    is_deeply [ sort keys %$mine ], [ sort qw(id client scope created expires
        last_used current) ], 'with these fields';
    is $mine->{expires}, $alice->{expires}, 'the end is that of the login';
    unlike $response->content, qr/tok_/, 'no token is shown';
    is_deeply body(call('GET', '/tokens/self', $token)),
        { %$mine, last_used => body(call('GET', '/tokens/self',
            $token))->{last_used} }, 'GET /self is one of them';
    is body(call('GET', "/tokens/$other->{id}", $token))->{client}, 'other',
        'GET /ID another';
    is call('GET', "/tokens/$bob->{id}", $token)->code, 404,
        'another user\'s is not found';
    is call('HEAD', '/tokens/', $token)->code, 200, 'HEAD is GET';
}
{
    my $page = call('GET', '/tokens/?limit=1', $token);
    is scalar @{ body($page)->{tokens} }, 1, 'limit shortens the page';
    like $page->header('Link'),
        qr{^</tokens/\?limit=1&offset=1>; rel="next"$}, 'and links the next';
    my $next = call('GET', '/tokens/?limit=1&offset=1', $token);
    is $next->header('Link'), undef, 'the last has no next';
    isnt body($next)->{tokens}[0]{id}, body($page)->{tokens}[0]{id},
        'each token is on one page';
    is call('GET', "/tokens/?$_", $token)->code, 400, "?$_ is refused"
        for qw(limit=0 limit=x limit=-1 offset=-1 offset=1x);
}

# --- where and how ---
for my $path (qw(nonsense self/x SELF 0123456789abcde 0123456789ABCDEF
    self/rotate/x), "$alice->{id}x") {
    is call($_, "/tokens/$path", $token)->code, 404, "$_ $path: not found"
        for qw(GET DELETE);
}
is code_of($token), 200, 'nothing was revoked by that';
is call('PUT', '/tokens/', $token)->code, 405, 'PUT is not allowed';
is call('PUT', '/tokens/', $token)->header('Allow'),
    'GET, HEAD, POST, DELETE, OPTIONS', 'Allow says what is';
is call('POST', '/tokens/self', $token, {})->code, 405, 'POST /self neither';
is call('GET', '/tokens/self/rotate', $token)->code, 405,
    'nor GET /self/rotate';
is call('OPTIONS', '/tokens/', $token)->code, 200, 'OPTIONS is answered';
is $site->post('/tokens/', [ client => 'x' ], auth($token))->code, 415,
    'a form cannot make a token';
is call('POST', '/tokens/self/rotate', $token)->code, 415,
    'nor can a request without a type rotate one';
is call('POST', '/tokens/', $token, '{"client"')->code, 400,
    'JSON that is none is an error';
is call('POST', '/tokens/', $token, '[]')->code, 400, 'so is a list';
is call('POST', '/tokens/', $token, '{"client":"' . 'x' x 20_000 . '"}')
    ->code, 413, 'and a body that is too long';
is $site->get('/tokens/')->code, 401, 'without a token: 401';
is $site->get('/tokens/', auth($token), Accept => 'text/html')->code, 406,
    'JSON or nothing';
$site->expect_log(qr/token-manage refused at .*no token was asked for/);
is $site->get('/open/', auth($token))->code, 403, 'unprotected: 403';
$site->expect_log(qr/token-manage cannot tell what/);
is $site->get('/match/', auth($token))->code, 500, 'LocationMatch: 500';

# --- a further token ---
{
    my $response = call('POST', '/tokens/', $token,
        { client => 'ci', scope => 'read', expires_in => 600 });
    is $response->code, 201, 'POST makes a token';
    my $made = body($response);
    is $made->{scope}, 'read', 'with the scope asked for';
    cmp_ok abs(str2time($made->{expires}) - time - 600), '<=', 2,
        'and the end';
    is code_of($made->{token}), 200, 'it is good at once';
    is call('POST', '/tokens/', $made->{token}, { scope => 'write' })->code,
        400, 'it cannot make one of a wider scope';
    my $child = body(call('POST', '/tokens/', $made->{token},
        { expires_in => 86_400 }));
    is $child->{scope}, 'read', 'what it makes has its own scope';
    cmp_ok str2time($child->{expires}), '<=', str2time($made->{expires}),
        'and ends no later';
    is call('POST', "/tokens/$alice->{id}/rotate", $made->{token}, {})->code,
        403, 'it cannot rotate one of a wider scope';
    is call('POST', "/tokens/$bob->{id}/rotate", $token, {})->code, 404,
        'nobody rotates another user\'s';
    is call('DELETE', "/tokens/$child->{id}", $token)->code, 204,
        'DELETE /ID revokes';
    is code_of($child->{token}), 401, 'and that counts at once';
    is call('DELETE', "/tokens/$child->{id}", $token)->code, 404,
        'once';
    is call('DELETE', "/tokens/$bob->{id}", $token)->code, 404,
        'another user\'s cannot be revoked';
    is code_of($bob->{token}), 200, 'and is good';
    is call('DELETE', '/tokens/self', $made->{token})->code, 204,
        'DELETE /self revokes the one that asks';
    is code_of($made->{token}), 401, 'which is good no more';
    $site->log_like(qr/:notice\].* token \Q$made->{id}\E of user alice, client ci revoked by its owner/,
        'the log says who did it');
}

# --- rotation ---
{
    my $old = $site->login('alice', 'wonder-land', client => 'rot',
        scope => 'read', expires_in => 1000);
    is code_of($old->{token}), 200, 'a token in use';
    my $response = call('POST', '/tokens/self/rotate', $old->{token}, '');
    is $response->code, 200, 'is rotated';
    my $new = body($response);
    is_deeply [ @$new{qw(client scope)} ], [ 'rot', 'read' ],
        'its heir is like it';
    cmp_ok abs(str2time($new->{expires}) - time - 1000), '<=', 2,
        'and lives as long';
    is code_of($new->{token}), 200, 'the heir is good';
    is code_of($old->{token}), 200, 'the old one is, for the grace';
    is call('POST', '/tokens/self/rotate', $old->{token}, {})->code, 409,
        'it has no second heir';
    is call('POST', '/tokens/', $old->{token}, {})->code, 409,
        'and makes no token';
    $site->log_like(qr/:notice\].* token \Q$old->{id}\E of user alice, client rot rotated: its heir is \Q$new->{id}\E/,
        'the log names both');
    my $heir = body(call('POST', '/tokens/self/rotate', $new->{token},
        { expires_in => 100 }));
    # Perl's own time is the kernel's last tick, which httpd is past.
    cmp_ok str2time($heir->{expires}), '<=', Time::HiRes::time() + 100,
        'expires_in shortens';
    my $same = body(call('POST', '/tokens/self/rotate', $heir->{token},
        { expires_in => 86_400 }));
    cmp_ok str2time($same->{expires}), '<=', time + 101,
        'and never lengthens';
    # Used after its grace: thieves have it, or the heir.
    set($old->{id}, 'superseded_at = ' . ago(59));
    is code_of($old->{token}), 200, 'within the grace it is good';
    $site->expect_log(qr/:warn\].* token \Q$old->{id}\E of user alice, client rot was used from 127\.0\.0\.1 after it had been rotated/);
    is code_of($old->{token}, '/api/strict'), 401,
        'where the grace is over it is reuse';
    is code_of($_->{token}), 401, 'the whole family is revoked'
        for $old, $new, $heir, $same;
    is code_of($token), 200, 'other families are not';
    my ($both) = $site->dbh->selectrow_array('SELECT count(*) FROM auth_token'
        . ' WHERE family = ? AND revoked_at IS NOT NULL'
        . ' AND superseded_at IS NOT NULL', {}, $old->{id});
    is $both, 3, 'superseded and revoked stay two facts';
    is $site->log_lines(qr/was used from/), 1, 'one warning';
}
{
    my $old = $site->login('alice', 'wonder-land');
    my @connections = map { $site->connection } 1 .. 8;
    for my $connection (@connections) {
        $connection->write("POST /tokens/self/rotate HTTP/1.1\r\n"
            . "Host: x\r\nAuthorization: Token $old->{token}\r\n"
            . "Content-Type: application/json\r\nContent-Length: 2\r\n"
            . "Connection: close\r\n\r\n{}");
    }
    my %count;
    for my $connection (@connections) {
        my $response = $connection->read('POST', 10);
        $count{ $response ? $response->code : 'none' }++;
    }
    is_deeply \%count, { 200 => 1, 409 => 7 },
        'of eight rotations at once one wins';
    my ($heirs) = $site->dbh->selectrow_array('SELECT count(*) FROM'
        . ' auth_token WHERE family = ? AND superseded_at IS NULL', {},
        $old->{id});
    is $heirs, 1, 'and there is one heir';
}

# --- how many ---
{
    call('DELETE', '/tokens/', $bob->{token});
    my @tokens = map { $site->login('bob', 'builder', path => '/few/') }
        1 .. 5;
    is scalar(grep { code_of($_->{token}) == 200 } @tokens), 3,
        'of five tokens three are left';
    is code_of($tokens[-1]{token}), 200, 'the last one is good';
    $site->log_like(qr/:notice\].* token [0-9a-f]{16} of user bob, client \S+ evicted/,
        'the log names the evicted');
    my $response = $site->post('/refuse/',
        [ username => 'bob', password => 'builder' ]);
    is $response->code, 403, 'refuse: the fourth is refused';
    is body($response)->{detail},
        'You have too many tokens. Revoke one first.', 'and told why';
    set($tokens[-1]{id}, 'expires_at = ' . ago(10));
    is $site->post('/refuse/', [ username => 'bob', password => 'builder' ])
        ->code, 200, 'an expired one does not count';
}

# at_once($path, $token, $n): so many requests for a further token, none of
# which is written before all have asked how many there are; { code => n }.
sub at_once {
    my ($path, $token, $n) = @_;
    my $dbh = $site->dbh;
    my $pg = AuthnToken::Test::database() eq 'pgsql';
    my %codes;

    $dbh->begin_work;
    # Reading goes on, writing waits.
    $dbh->do($pg ? 'LOCK TABLE auth_token IN SHARE MODE'
        : 'UPDATE auth_token SET client = client');
    my @connections = map { $site->connection } 1 .. $n;
    $_->write("POST $path HTTP/1.1\r\nHost: x\r\nContent-Type:"
        . " application/json\r\nAuthorization: Token $token\r\n"
        . "Connection: close\r\nContent-Length: 2\r\n\r\n{}")
        for @connections;
    if ($pg) {
        my $watch = $site->pg->dbh;
        ok poll(sub { ($watch->selectrow_array('SELECT count(*) FROM'
            . q{ pg_stat_activity WHERE wait_event_type = 'Lock'}))[0]
            >= $n }, 2), "$path: $n requests wait";
    }
    $dbh->commit;
    $codes{ $_->read('POST', 10)->code }++ for @connections;
    return \%codes;
}

for my $case ([ '/quota-evict/', { 201 => 6 } ],
    [ '/quota-refuse/', { 201 => 2, 403 => 4 } ]) {
    my ($path, $wanted) = @$case;
    $site->dbh->do('DELETE FROM auth_token WHERE username = ?', {}, 'admin');
    my $first = $site->login('admin', 'whatever');
    code_of($first->{token});
    # Used last of all, the one that asks is not evicted.
    set($first->{id}, 'last_used_at = ' . ago(-60));
    is_deeply at_once($path, $first->{token}, 6), $wanted,
        "$path: six at once get what one after the other would";
    my ($live) = $site->dbh->selectrow_array('SELECT count(*) FROM auth_token'
        . ' WHERE username = ? AND revoked_at IS NULL', {}, 'admin');
    is $live, 3, "$path: and three tokens are left";
}

# --- last use, idle ---
{
    my $idle = $site->login('admin', 'whatever', path => '/idle/');
    is code_of($idle->{token}), 200, 'an idle timeout: good at first';
    my $used;
    ok poll(sub { ($used) = $site->dbh->selectrow_array(
        'SELECT last_used_at FROM auth_token WHERE digest LIKE ?', {},
        "$idle->{id}%"); defined $used }, 10), 'its last use is written';
    set($idle->{id}, 'created_at = ' . ago(1000) . ', last_used_at = '
        . ago(990));
    is code_of($idle->{token}), 200,
        'this host knows better than the database';
    my $cold = $site->login('admin', 'whatever', path => '/idle/');
    set($cold->{id}, 'created_at = ' . ago(60));
    is code_of($cold->{token}), 401, 'unused for the timeout it is expired';
    $site->log_like(qr/token \Q$cold->{id}\E of user admin refused: expired/,
        'and the log says so');
}
is $site->get('/api/', auth($token))->header('Token-Expires'),
    time2str(str2time($alice->{expires})), 'Token-Expires tells the end';
is $site->get('/api/strict', auth($token))->header('Token-Expires'), undef,
    'where it is asked for';

is call('DELETE', '/tokens/', $token)->code, 204, 'DELETE / revokes all';
is code_of($_->{token}), 401, 'own tokens' for $alice, $other;
$site->done;
finish();
