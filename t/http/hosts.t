# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Two hosts with one database: what one does to a token counts on the other,
# at once or within AuthTokenPollInterval, which alone makes it so. And one
# host at a time purges.
# profiles: sqlite3-event pgsql-event sqlite3-prefork
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use JSON::PP qw(decode_json);
use Test::More;

# How soon a poll each second must be seen, on a machine that is busy.
our $SOON = 10;
my $GRACE = 1;

my $conf = <<"CONF" . AuthnToken::Conf::default_text(1) . <<'CONF';
AuthTokenCacheTTL 1h
AuthTokenRotationGrace $GRACE
AuthTokenPurge 1h
CONF
<Location "/tokens/">
    SetHandler token-manage
    AuthType Token
    AuthName "tokens"
    Require valid-user
</Location>
<Location "/graceful/">
    AuthType Token
    AuthName "api"
    AuthTokenRotationGrace 60s
    Require valid-user
</Location>
Alias "/graceful/" "@@DOCROOT@@/api/"
CONF
my $pg = AuthnToken::Test::database() eq 'pgsql';

# hosts($name, $more): two servers with tables of their own, one database.
sub hosts {
    my ($name, $more) = @_;
    my $one = AuthnToken::Test->new(name => "$name: host 1",
        conf => $more . $conf)->start;
    my $two = AuthnToken::Test->new(name => "$name: host 2", table => 0,
        conf => $more . $conf, dbd => $one->db_params)->start;
    return ($one, $two);
}

sub code_of {
    my ($site, $token, $path) = @_;
    return $site->get($path // '/api/', auth($token))->code;
}

# new_token($site, @others): a token of the one, a secret to all.
sub new_token {
    my ($site, @others) = @_;
    my $login = $site->login('alice', 'wonder-land');
    $_->secret($login->{token}, 'token of alice') for @others;
    return $login;
}

sub manage {
    my ($site, $method, $path, $token) = @_;
    my $response = $site->request($method, "/tokens/$path",
        { auth($token), 'Content-Type' => 'application/json' },
        $method eq 'POST' ? '{}' : undef);
    die "$method $path: ", $response->as_string if $response->code >= 300;
    return length $response->content ? decode_json($response->content) : 1;
}

sub reason {
    my ($site, $id) = @_;
    my @lines = $site->log_lines(qr/token \Q$id\E .* refused: (?:\w+)/);
    return join ' ', map { /refused: (\w+)/ } $lines[-1] // ();
}

# --- what crosses; each answers whether it was seen on the other host ---

sub crosses_revocation {
    my ($here, $there) = @_;
    my $login = new_token($here, $there);
    die 'no login' if code_of($there, $login->{token}) != 200;
    manage($here, 'DELETE', 'self', $login->{token});
    return code_of($here, $login->{token}) == 401
        && poll(sub { code_of($there, $login->{token}) == 401 }, $SOON);
}

sub crosses_rotation {
    my ($here, $there) = @_;
    my $old = new_token($here, $there);
    die 'no login' if code_of($there, $old->{token}) != 200;
    my $new = manage($here, 'POST', 'self/rotate', $old->{token});
    $_->secret($new->{token}, 'heir of alice') for $here, $there;

    is code_of($there, $new->{token}), 200,
        $there->name . ': the heir is good at once';
    is code_of($there, $old->{token}, '/graceful/'), 200,
        $there->name . ': the old one is within its grace';
    # Where there is a grace its use after it is no reuse, so nothing else
    # than the poll can have told this host.
    my $seen = poll(sub { code_of($there, $old->{token}) == 401 }, $SOON);
    if ($seen) {
        $there->expect_log(
            qr/:warn\].* token \Q$old->{id}\E .* was used from 127\.0\.0\.1 after it had been rotated/);
        is reason($there, $old->{id}), 'reuse',
            $there->name . ': past its grace it is reuse';
        is code_of($there, $new->{token}), 401,
            $there->name . ': where the family is dead at once';
        ok poll(sub { code_of($here, $new->{token}) == 401 }, $SOON),
            $here->name . ': and here soon';
        is reason($here, $new->{id}), 'revoked',
            $here->name . ': revoked by the other host';
    }
    return $seen;
}

# crosses_reuse: an old token is used past its grace here, where it
# was rotated; whether its heir dies there.
sub crosses_reuse {
    my ($here, $there) = @_;
    my $old = new_token($here, $there);
    my $new = manage($here, 'POST', 'self/rotate', $old->{token});
    $_->secret($new->{token}, 'heir of alice') for $here, $there;
    die 'no heir' if code_of($there, $new->{token}) != 200;

    $here->expect_log(
        qr/:warn\].* token \Q$old->{id}\E .* was used from 127\.0\.0\.1 after it had been rotated/);
    ok poll(sub { code_of($here, $old->{token}) == 401 }, $SOON),
        $here->name . ': the old one is refused past its grace';
    is code_of($here, $new->{token}), 401, $here->name . ': with its family';
    return poll(sub { code_of($there, $new->{token}) == 401 }, $SOON);
}

my @what = ([ 'a revocation', \&crosses_revocation ],
    [ 'a rotation', \&crosses_rotation ], [ 'a reuse', \&crosses_reuse ]);

# --- with the poll, both ways; and without it ---

{
    my ($one, $two) = hosts('poll', "AuthTokenPollInterval 1s\n");
    for my $pair ([ $one, $two ], [ $two, $one ]) {
        my ($here, $there) = @$pair;
        my $login = new_token($here, $there);
        is code_of($there, $login->{token}), 200,
            $here->name . ': a login counts on the other host at once';
        ok $_->[1]->($here, $there),
            $here->name . ": $_->[0] counts on the other host" for @what;
        is code_of($there, $login->{token}), 200,
            $here->name . ': a bystander stays good';
    }
    $_->done for $one, $two;
}
{
    my ($one, $two) = hosts('no poll', "AuthTokenPollInterval 0\n");
    local $SOON = 4;
    my @seen = map { $_->[0] } grep { $_->[1]->($one, $two) } @what;
    is_deeply \@seen, [], 'without the poll nothing crosses';
    $_->done for $one, $two;
}

# --- the purge ---

# dead($dbh, $count): rows that are dead for long enough.
sub dead {
    my ($dbh, $count) = @_;
    my ($number, $ago) = $pg
        ? (q{lpad(i::text, 64, '0')}, q{now() - interval '2 hours'})
        : (q{printf('%064d', i)}, time - 7200);
    $dbh->do('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n'
        . " WHERE i < $count) INSERT INTO auth_token (digest, username,"
        . " family, created_at, expires_at) SELECT $number, 'x', 'x', $ago,"
        . " $ago FROM n");
    return;
}

sub left { return ($_[0]->selectrow_array(
    q{SELECT count(*) FROM auth_token WHERE username = 'x'}))[0] }

sub removed {
    my $sum = 0;
    for my $site (@_) {
        $sum += $_ for map { /\] (\d+) rows of tokens dead/ }
            $site->{log}->lines('error', qr/rows of tokens dead/);
    }
    return $sum;
}

{
    my $COUNT = 6000;
    my ($one, $two) = hosts('purge', '');
    my $dbh = $one->dbh;

    $_->stop for $one, $two;
    dead($dbh, $COUNT);
    if ($pg) {
        # As if a third host were at it.
        $dbh->do('SELECT pg_advisory_lock(7236838, 1)');
        my $mark = $one->pg->log_mark;
        $_->start for $one, $two;
        ok poll(sub { 4 <= (() = $one->pg->statements(
            qr/execute .*DELETE FROM auth_token/s, $mark)) }, 20),
            'purge: two hosts begin, while another is at it';
        select undef, undef, undef, 0.5;
        is left($dbh), $COUNT, 'purge: and remove nothing';
        $dbh->do('SELECT pg_advisory_unlock(7236838, 1)');
        $_->stop for $one, $two;
    }
    $_->start for $one, $two;
    ok poll(sub { !left($dbh) }, 40), 'purge: all dead rows are removed';
    ok poll(sub { removed($one, $two) >= $COUNT }, 10),
        'purge: it is said how many';
    is removed($one, $two), $COUNT, 'purge: and each was removed once';
    $_->done for $one, $two;
}
finish();
