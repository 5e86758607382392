# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A token with an idle timeout whose last use this host knows, and the
# database not yet: token-manage takes it for what it is, a token in use.
use strict;
use warnings;

use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use JSON::PP qw(decode_json);
use Test::More;

my $site = AuthnToken::Test->new(conf => <<'CONF')->start;
AuthTokenFlushInterval 1h
<LocationMatch "^/(login|idle)/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</LocationMatch>
<Location "/idle/">
    AuthTokenIdleTimeout 60
</Location>
<LocationMatch "^/(api|tokens|evict|refuse)/">
    AuthType Token
    AuthName "api"
    Require valid-user
</LocationMatch>
<Location "/tokens/">
    SetHandler token-manage
</Location>
<Location "/evict/">
    SetHandler token-manage
    AuthTokenMaxPerUser 2
</Location>
<Location "/refuse/">
    SetHandler token-manage
    AuthTokenMaxPerUser 2 refuse
</Location>
CONF

sub call {
    my ($method, $path, $login) = @_;
    return $site->request($method, $path, { auth($login->{token}),
        $method eq 'POST' ? ('Content-Type' => 'application/json') : () },
        $method eq 'POST' ? {} : undef);
}

sub is_good {
    my ($login) = @_;
    return $site->get('/api/', auth($login->{token}))->code == 200;
}

# made($path, $seconds): a token of that login, made so long ago.
sub made {
    my ($path, $seconds) = @_;
    my $login = $site->login('alice', 'wonder-land', path => $path);
    age($login, $seconds);
    return $login;
}

sub age {
    my ($login, $seconds) = @_;
    my $moment = AuthnToken::Test::database() eq 'pgsql'
        ? "now() - interval '$seconds s'" : time - $seconds;
    $site->dbh->do("UPDATE auth_token SET created_at = $moment WHERE digest"
        . ' LIKE ?', {}, "$login->{id}%") == 1 or die;
    return;
}

# used($path): one that was used just now; what the database knows makes it
# idle for long.
sub used {
    my ($path) = @_;
    my $login = made($path, 0);
    is_good($login) or die;
    age($login, 1000);
    return $login;
}

sub used_at {
    my ($login) = @_;
    return ($site->dbh->selectrow_array('SELECT last_used_at FROM auth_token'
        . ' WHERE digest LIKE ?', {}, "$login->{id}%"))[0];
}

sub listed {
    my ($asking) = @_;
    return map { $_->{id} }
        @{ decode_json(call('GET', '/tokens/', $asking)->content)->{tokens} };
}

sub forget_all { return $site->dbh->do('DELETE FROM auth_token') }

my $plain = made('/login/', 0);
{
    my $idle = used('/idle/');
    is used_at($idle), undef, 'a use that the database was not told of';
    ok grep({ $_ eq $idle->{id} } listed($idle)),
        'the token that asks is in its list';
    ok defined used_at($idle), '... for its use is written first';
    listed($plain);
    is used_at($plain), undef, 'not that of a token that cannot be idle';
}
{
    my $idle = used('/idle/');
    is call('POST', '/tokens/self/rotate', $idle)->code, 200,
        'the token that asks can be rotated';
    my $other = used('/idle/');
    is call('POST', "/tokens/$other->{id}/rotate", $plain)->code, 200,
        'so can another one that is in use';
    my $unused = made('/idle/', 1000);
    is call('POST', "/tokens/$unused->{id}/rotate", $plain)->code, 409,
        'one that is idle cannot';
}

# --- how many ---
for my $path (qw(/idle/ /login/)) {
    forget_all();
    my $asking = used($path);
    my $other = made('/login/', 100);
    is call('POST', '/evict/', $asking)->code, 201,
        "$path: the token that asks makes a further one";
    ok is_good($asking), '... and is not evicted for being unused';
    ok !is_good($other), '... but the other one, unused for longer';
}
{
    forget_all();
    my $asking = used('/idle/');
    made('/login/', 100);
    is call('POST', '/refuse/', $asking)->code, 403,
        'the token that asks is counted';
}
$site->done;
finish();
