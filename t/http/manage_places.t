# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# token-manage below and around other sections: a path means what it is under
# the <Location> that has the handler, or the answer is 500 and nothing is
# done.
use strict;
use warnings;

use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use JSON::PP qw(decode_json);
use Test::More;

my $conf = <<'CONF';
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenScope read write
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    Require valid-user
</Location>
# Protected from outside, and by sections within.
<LocationMatch "^/(my|bare|if|expr|where|two|three|regex|wild)(/|$)">
    AuthType Token
    AuthName "tokens"
    Require valid-user
</LocationMatch>
<Location "/my/">
    SetHandler token-manage
</Location>
<Location "/my/self/rotate">
    Require token-scope write
</Location>
<Location "/my/self">
    AuthTokenExpiryHeader On
</Location>
<LocationMatch "^/my/s">
    AuthTokenErrorBody json
</LocationMatch>
<Location "/my/*">
    AuthTokenErrorBody json
</Location>
<Location "/bare">
    SetHandler token-manage
    <If "true">
        AuthTokenErrorBody json
    </If>
</Location>
<Location "/bare/self">
    AuthTokenExpiryHeader On
</Location>
<Location "/expr/">
    SetHandler "token-%{tolower:MANAGE}"
</Location>
<Location "/expr/self">
    AuthTokenExpiryHeader On
</Location>
# What there is no one reading of.
<Location "/if/">
    <If "true">
        SetHandler token-manage
    </If>
</Location>
<If "%{REQUEST_URI} =~ m#^/where/#">
    SetHandler token-manage
</If>
<Location "/where/">
    AuthTokenExpiryHeader On
</Location>
<Location "/two/">
    SetHandler token-manage
</Location>
<Location "/two/self">
    SetHandler token-manage
</Location>
<Location "/three/self">
    SetHandler token-manage
</Location>
<Location "/three">
    SetHandler token-manage
</Location>
<LocationMatch "^/regex/">
    SetHandler token-manage
</LocationMatch>
<Location "/regex/self">
    AuthTokenExpiryHeader On
</Location>
<Location "/wild/*">
    SetHandler token-manage
</Location>
<Location "/wild/*/rotate">
    SetHandler token-manage
</Location>
<Location "/wild/self">
    AuthTokenExpiryHeader On
</Location>
<VirtualHost *:@@PORT@@>
    ServerName first.example
</VirtualHost>
<VirtualHost *:@@PORT@@>
    ServerName second.example
    <Location "/my/self">
        AuthTokenExpiryHeader Off
    </Location>
    <Location "/bare/self">
        SetHandler none
    </Location>
    <Location "/only/">
        SetHandler token-manage
        AuthType Token
        AuthName "tokens"
        Require valid-user
    </Location>
    <Location "/only/self">
        AuthTokenExpiryHeader On
    </Location>
</VirtualHost>
CONF
my $site = AuthnToken::Test->new(conf => $conf);
$site->start;

# call($method, $path, $token, @headers): a response of token-manage.
sub call {
    my ($method, $path, $token, @headers) = @_;
    return $site->request($method, $path, { auth($token), @headers,
        $method eq 'POST' ? ('Content-Type' => 'application/json') : () },
        $method eq 'POST' ? {} : undef);
}

sub body { return decode_json($_[0]->content) }

sub is_good {
    my ($login) = @_;
    return $site->get('/api/', auth($login->{token}))->code == 200;
}

sub login {
    my ($client, %fields) = @_;
    return $site->login('bob', 'builder', client => $client, %fields);
}

sub rows {
    return ($site->dbh->selectrow_array('SELECT count(*) FROM auth_token'
        . ' WHERE revoked_at IS NULL AND superseded_at IS NULL'))[0];
}

my $other = login('other');

# --- sections within ---
for my $place ([ '/my' ], [ '/bare' ], [ '/expr' ],
    [ '/my', Host => 'second.example' ],
    [ '/only', Host => 'second.example' ]) {
    my ($base, @host) = @$place;
    my $name = join ' ', $base, @host;
    my $token = login('nested')->{token};
    my $before = rows();

    is call('DELETE', "$base/self/rotate", $token, @host)->code, 405,
        "$name: DELETE of /self/rotate is refused";
    is rows(), $before, '... and revokes nothing';
    if ($name eq '/bare') {
        is call('GET', '/bare', $token)->code, 200,
            'without a slash at the end the list is there, too';
    }
    is scalar @{ body(call('GET', "$base/", $token, @host))->{tokens} },
        $before, "$name: GET of / is the list";
    is body(call('GET', "$base/self", $token, @host))->{client}, 'nested',
        "$name: GET of /self is that one";
    my $response = call('POST', "$base/self/rotate", $token, @host);
    is $response->code, 200, "$name: POST of /self/rotate rotates";
    is rows(), $before, '... and makes no further token';
    my $heir = body($response);
    is call('DELETE', "$base/self", $heir->{token}, @host)->code, 204,
        "$name: DELETE of /self revokes that one";
    ok !is_good($heir), '... which is good no more';
    ok is_good($other), '... and no other';
}
$site->expect_log(qr/AH01631: user bob: authorization failure/);
is call('POST', '/my/self/rotate', login('narrow', scope => 'read')->{token})
    ->code, 403, 'the section within says who may rotate';
is call('GET', '/bare/self', $other->{token}, Host => 'second.example')
    ->code, 404, 'a handler taken away is no reading';

# --- no one reading ---
for my $place (qw(/if /where /two /three /regex /wild)) {
    my $lost = login('lost');
    my $before = rows();

    $site->expect_log(qr/token-manage cannot tell what \Q$place\E\/self/);
    is call('DELETE', "$place/self", $lost->{token})->code, 500,
        "$place: DELETE of /self is refused";
    is call('POST', "$place/self/rotate", $lost->{token})->code, 500,
        "$place: POST of /self/rotate is refused";
    is rows(), $before, '... and nothing is done';
}
is call('GET', '/two/', $other->{token})->code, 200,
    'outside of the inner handler the outer one is at work';
$site->done;
finish();
