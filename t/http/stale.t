# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# While the database is down, what was checked before is good for a while
# longer than AuthTokenCacheTTL; what was revoked or has ended is not.
# profiles: pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Postgres;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Digest::SHA qw(sha256_hex);
use Test::More;

my $conf = AuthnToken::Conf::default_text(1) . <<'CONF';
<LocationMatch "^/(?:long|short|none)/">
    AuthType Token
    AuthName "api"
    AuthTokenCacheTTL 1s
    Require valid-user
</LocationMatch>
<Location "/long/">
    AuthTokenStaleWindow 1h
</Location>
<Location "/short/">
    AuthTokenStaleWindow 4s
</Location>
<Location "/none/">
    AuthTokenStaleWindow 0
</Location>
<Location "/status">
    SetHandler server-status
</Location>
AliasMatch "^/(?:long|short|none)/$" "@@DOCROOT@@/api/index.html"
CONF

sub is_stale {
    my ($site) = @_;
    my ($count) = $site->get('/status?auto')->content
        =~ /^AuthTokenStaleHits: (\d+)$/m;
    return $count;
}

my $pg = AuthnToken::Postgres->new;
my $site = AuthnToken::Test->new(db => 'pgsql', pg => $pg, conf => $conf)
    ->start;
$site->allow_log(qr/\[dbd:/, qr/the token database does not answer/);

my $good = $site->login('alice', 'wonder-land')->{token};
my $never = $site->login('alice', 'wonder-land')->{token};
my $revoked = $site->login('bob', 'builder')->{token};
my $ending = $site->login('bob', 'builder', expires_in => 8)->{token};

my $idle = $site->login('bob', 'builder');
$site->dbh->do('UPDATE auth_token SET idle_timeout = 4 WHERE digest LIKE ?',
    undef, "$idle->{id}%");

is $site->get('/long/', auth($_))->code, 200, 'a token is good before'
    for $good, $revoked, $ending, $idle->{token};
$site->httoken('revoke', substr sha256_hex($revoked), 0, 16);
ok poll(sub { $site->get('/long/', auth($revoked))->code == 401 }, 15),
    'one of them is revoked';
# All that count as known are known from now on.
is $site->get('/api/', auth($good))->code, 200, 'another is good';
$pg->stop;

is $site->get('/long/', auth($never))->code, 503,
    'a token that was never checked cannot be judged';
ok poll(sub {
    my $code = $site->get('/none/', auth($good))->code;
    return $code == 503;
}, 15), 'with AuthTokenStaleWindow 0 it ends with AuthTokenCacheTTL';
is $site->get('/none/', auth($good))->header('Retry-After'), 2,
    'and the client is told to come back';
is $site->get('/long/', auth($good))->code, 200,
    'within the window the same token is good';
cmp_ok is_stale($site), '>', 0, 'and counted as a stale hit';
is $site->get('/long/', auth($revoked))->code, 401,
    'a revoked token is not';
ok poll(sub { $site->get('/short/', auth($good))->code == 503 }, 20),
    'after the window it is not, either';
is $site->get('/long/', auth($good))->code, 200,
    'each place has a window of its own';
is $site->get('/api/', auth($good))->code, 200,
    'and where it is fresh still, nobody looks at the window';
ok poll(sub { $site->get('/long/', auth($ending))->code == 401 }, 20),
    'a token that ends within the window is refused from then on';
is $site->get('/long/', auth($revoked))->code, 401,
    'the revoked one is refused all the time';
# More than four seconds have passed; that one took eight.
is $site->get('/long/', auth($idle->{token}))->code, 503,
    'one that is idle may have been used on another host';
$site->log_like(qr/of user bob refused: expired/, 'the log says expired');
my $id = substr sha256_hex($revoked), 0, 16;
$site->log_like(qr/token $id .* refused: revoked/, 'and revoked');

$pg->start;
ok poll(sub { $site->get('/long/', auth($never))->code == 200 }, 15),
    'with the database back, all is asked again';
ok poll(sub { $site->get('/none/', auth($good))->code == 200 }, 15),
    'the good one is good everywhere';
is $site->get('/long/', auth($revoked))->code, 401,
    'the revoked one is still refused';
is $site->get('/long/', auth($ending))->code, 401,
    'and so is the one that has ended';
# The child that is asked may not have seen the database yet.
ok poll(sub { $site->get('/long/', auth($idle->{token}))->code == 401 }, 15),
    'and the idle one, for nobody used it';

finish();
