# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A token bound to networks is good from there alone, whoever asked for it
# before: the address is mod_remoteip's, and the verdict is of this request.
use strict;
use warnings;

use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Test::More;

my $site = AuthnToken::Test->new(modules => [qw(remoteip)], conf => <<'CONF'
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
<Location "/tokens/">
    SetHandler token-manage
    AuthType Token
    Require valid-user
</Location>
<Location "/basic/">
    AuthType Basic
    AuthName "basic"
    AuthBasicProvider token
    Require valid-user
</Location>
CONF
    . AuthnToken::Conf::default_text(1));
$site->start;

sub make {
    my ($networks) = @_;
    my $made = $site->httoken('--json', '-n', $networks, 'create', 'alice');
    my $token = AuthnToken::Client::json(undef,
        HTTP::Response->new(200, 'OK', undef, $made->{out}));
    $site->secret($token->{token}, 'token with networks');
    return $token;
}

# from($address, $token): what a request from there gets.
sub from {
    my ($address, $token, $path) = @_;
    return $site->get($path // '/api/', auth($token),
        'X-Forwarded-For' => $address);
}

my $bound = make('10.0.0.0/8, 2001:db8::/32');
my $token = $bound->{token};
for my $round (1 .. 2) {
    is from($_, $token)->code, 200, "$_ is inside ($round)"
        for qw(10.0.0.0 10.255.255.255 2001:db8::1 2001:db8:ffff::);
    is from($_, $token)->code, 401, "$_ is outside ($round)"
        for qw(9.255.255.255 11.0.0.0 192.0.2.1 2001:db9:: ::1);
}
is $site->get('/api/', auth($token))->code, 401, 'loopback is outside';
like from('192.0.2.1', $token)->header('WWW-Authenticate'),
    qr/error="invalid_token", error_description="The token is unknown, /,
    'the wire does not say why';
$site->log_like(qr/:info\].* token \Q$bound->{id}\E of user alice refused: network/,
    'the log does');
is $site->get('/basic/', 'X-Forwarded-For' => $_->[0], Authorization =>
    'Basic ' . MIME::Base64::encode_base64("x:$token", ''))->code, $_->[1],
    "Basic from $_->[0]" for [ '10.1.1.1', 404 ], [ '192.0.2.1', 401 ];
$site->allow_log(qr/AH0161[78]: /);

# What it makes is bound as it is.
my $child = $site->request('POST', '/tokens/', { auth($token),
    'X-Forwarded-For' => '10.0.0.1', 'Content-Type' => 'application/json' },
    '{}');
is $child->code, 201, 'it makes a further token';
my $made = $site->json($child)->{token};
$site->secret($made, 'child');
is from('10.0.0.1', $made)->code, 200, 'which is good inside';
is from('192.0.2.1', $made)->code, 401, 'and not outside';

# Rows by hand.
for my $wrong ('10.0.0.0/33', 'example.org', '10.1', '10.0.0.0/8;', ' ',
    'x' x 300) {
    my $faulty = make('10.0.0.0/8');
    $site->dbh->do('UPDATE auth_token SET networks = ? WHERE digest LIKE ?',
        {}, $wrong, "$faulty->{id}%");
    is from('10.0.0.1', $faulty->{token})->code, 401,
        'a faulty row refuses: ' . substr $wrong, 0, 20;
}
$site->done;
finish();
