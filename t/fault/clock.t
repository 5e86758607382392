# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# httpd's clock reaches the end of a token, is set back an hour, leaps a year,
# and returns.  SQLite's clock moves with it; PostgreSQL's is another host's.
# profiles: sqlite3-event sqlite3-prefork pgsql-event
use strict;
use warnings;

use AuthnToken::Clock;
use AuthnToken::Fault;
use AuthnToken::Pace;
use AuthnToken::Postgres;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth make_token);
use Digest::SHA qw(sha256_hex);
use Test::More;
use Time::HiRes qw(time);

my $HOUR = 3600;
my $YEAR = 365 * 86400;
my $pgsql = AuthnToken::Test::database() eq 'pgsql';

plan skip_all => 'a cluster that can be stopped needs initdb'
    if $pgsql && !AuthnToken::Postgres::program('initdb');
my $clock = AuthnToken::Clock->new
    or plan skip_all => "no clock: $AuthnToken::Clock::error";
my $pg = $pgsql ? AuthnToken::Postgres->new : undef;
my ($site, $dbh);

sub begin {
    my (%arg) = @_;
    $site = fault_site(env => $clock->env, $pg ? (pg => $pg) : (), %arg,
        conf => "AuthTokenFlushInterval 1s\n$arg{conf}");
    $site->allow_log(qr/AH00485: scoreboard is full/);
    $site->start;
    $dbh = $site->dbh;
    return;
}

# moment($second): as SQL.
sub moment {
    my ($second) = @_;
    return !defined $second ? 'NULL'
        : $pgsql ? "to_timestamp($second)" : $second;
}

# add(column => second...): a token of carol.
sub add {
    my (%row) = @_;
    my $token = $site->secret(make_token(), 'a token of carol');
    my $digest = sha256_hex($token);
    my $now = $clock->now;

    %row = (created_at => $now - 100, expires_at => $now + 10 * $YEAR, %row);
    my $idle = delete $row{idle_timeout} // 'NULL';
    my $family = delete $row{family} // substr $digest, 0, 16;
    my @columns = sort keys %row;
    $dbh->do('INSERT INTO auth_token (' . join(', ', qw(digest username
        family idle_timeout), @columns) . ') VALUES (' . join(', ',
        "'$digest'", "'carol'", "'$family'", $idle,
        map { moment($row{$_}) } @columns) . ')');
    return $token;
}

sub change {
    my ($token, $what) = @_;
    my $digest = sha256_hex($token);
    return $dbh->do(($what eq 'DELETE' ? 'DELETE FROM auth_token'
        : "UPDATE auth_token SET $what") . " WHERE digest = '$digest'");
}

sub code { return $site->get('/api/', auth($_[0]))->code }

# around($second, $token): the codes just before and then.
sub around {
    my ($second, $token) = @_;
    my @codes;

    for my $at ([ $second - 1, 999_999 ], [ $second ]) {
        $clock->stop(@$at);
        push @codes, code($token);
    }
    return \@codes;
}

sub last_use {
    my ($token) = @_;
    my $digest = sha256_hex($token);
    my $column = $pgsql ? 'extract(epoch from last_used_at)' : 'last_used_at';
    my ($use) = $dbh->selectrow_array(
        "SELECT $column FROM auth_token WHERE digest = '$digest'");
    return $use // 0;
}

sub is_there {
    my ($token) = @_;
    my $digest = sha256_hex($token);
    return $dbh->selectrow_array(
        "SELECT count(*) FROM auth_token WHERE digest = '$digest'");
}

# --- at the second itself ---

begin(name => 'boundaries', conf => "AuthTokenCacheTTL 1h\n");
$site->expect_log(qr/\[authn_token:warn\] .* family/) if !$pgsql;
my $now = $clock->now;
my $end = $now + 1000;
my ($known, $fresh, $last) = map { add(expires_at => $end) } 1 .. 3;
is code($known), 200, 'a token is known';
is_deeply around($end, $known), [ 200, 401 ],
    'known, it is good to the end, and expired then';
is code($last), 401, 'never seen, it is expired then';
ok !!$site->access_lines(qr/ expired$/), 'and that is why';
$clock->stop($end - 1, 999_999);
is code($fresh), 200, 'never seen, it is good just before';
is code($known), 200, 'a clock that goes back makes it good again';

($known, $fresh, $last) = map { add(created_at => $now,
    idle_timeout => 100) } 1 .. 3;
$clock->stop($now + 50);
is code($known), 200, 'a token is used';
is code($last), 200, 'and another';
is_deeply around($now + 100, $fresh), [ 200, 200 ],
    'used in its last second, it is not idle in the next';
is_deeply around($now + 150, $known), [ 200, 200 ], 'nor is another';
is code($last), 401, 'not used for its idle timeout, it is';
$clock->stop($now + 250);
is code($known), 401, 'and so is one later';

my $away = $now + 500;
my $heir = add();
my $old = add(superseded_at => $away,
    family => substr sha256_hex($heir), 0, 16);
is code($heir), 200, 'an heir is good';
is_deeply around($away + 60, $old), [ 200, 401 ],
    'rotated away, a token is good to the end of the grace';
is code($heir), $pgsql ? 200 : 401, $pgsql
    ? 'PostgreSQL knows better, and keeps the heir'
    : 'and its use then revokes the family';
$clock->ahead(0);
$site->done;

# --- while requests come ---

# holds($name): at this moment, of what everything else is made.
sub holds {
    my ($name, $known) = @_;
    my $other = add();
    my $revoked = add();
    my $ended = add(expires_at => $clock->now - 10);
    my $use = $clock->now;

    is code($known), 200, "$name: a known token is good";
    is code($other), 200, "$name: a new one, too";
    is code($revoked), 200, "$name: and one more";
    is code($ended), 401, "$name: one that has ended is not";
    is code(make_token()), 401, "$name: nor an unknown one";
    change($revoked, 'revoked_at = ' . ($pgsql ? 'now()' : $clock->now));
    ok poll(sub { code($revoked) == 401 }, 10),
        "$name: revoked elsewhere, it is refused";
    # A first one is lost when the table is emptied meanwhile, as by a leap.
    ok poll(sub { code($other) == 200 && last_use($other) >= $use }, 10),
        "$name: a use is written by this clock";
    cmp_ok last_use($other), '<=', $clock->now, "$name: and no other";
    my $issued = $site->login('alice', 'wonder-land')->{token};
    is code($issued), 200, "$name: a login's token is good";
    return $issued;
}

# One that was let in by a table it should have left.
sub holds_no_longer {
    my ($name, $back) = @_;
    my $token = add();
    my $from = time;

    is code($token), 200, "$name: a token is known";
    change($token, 'DELETE');
    poll(sub { time > $from + 2.5 }, 5);
    $clock->ahead($clock->{ahead} - $back);
    is code($token), 401, "$name: deleted, it is not good for longer";
    return;
}

# What locks out now does so for as long as it is meant to.
sub opens {
    my ($name, $move) = @_;
    my $try = sub {
        my ($password) = @_;
        return $site->post('/few/', { username => 'bob',
            password => $password })->code;
    };

    is $try->('wrong'), 400, "$name: a wrong password" for 1 .. 2;
    is $try->('builder'), 429, "$name: no more of them";
    $clock->ahead($move);
    ok poll(sub { $try->('builder') == 200 }, 15),
        "$name: the right one is let in soon";
    return;
}

begin(name => 'moves', conf => <<'CONF');
AuthTokenPurge 730d
<Location "/few/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenLoginLimit 2 3s
</Location>
CONF
my $pace = AuthnToken::Pace->start($site, fresh => 4000);
my $lasting = add();
my @issued = holds('no move', $lasting);
my @spares = (spares => [qw(good fresh login)]);

holds_no_longer('set back by 3 s', 3);
$clock->ahead(0);
opens('set back by 200 s', -200);
rehearse($pace, 'set back by an hour', sub {
    $clock->ahead(-$HOUR);
    push @issued, holds('an hour back', $lasting);
    return;
}, @spares);
opens('an hour back', -$HOUR - 200);
$clock->ahead(-$HOUR);
my $half = add(expires_at => $clock->now + $HOUR / 2);
is code($half), 200, 'what ended half an hour ago is good by this clock';
rehearse($pace, 'and forward again', sub {
    $clock->ahead(0);
    is code($half), 401, 'and expired when that is set right';
    push @issued, holds('forward again', $lasting);
    return;
}, @spares);

# Set while the database is away: all there is are the ages of the table.
for my $move (-$HOUR, $HOUR / 2) {
    my $name = "away, and the clock moved by $move s";
    is code($lasting), 200, "$name: a token is known";
    rehearse($pace, $name, sub {
        $pg ? $pg->stop : $dbh->do('ALTER TABLE auth_token RENAME TO away');
        $clock->ahead($move);
        $pace->span(3);
        is code($lasting), 200, "$name: a known token is good";
        $pg ? $pg->start : $dbh->do('ALTER TABLE away RENAME TO auth_token');
        $dbh = $site->dbh;
        my $mended = time;
        poll(sub { code(add()) == 200 }, 10);
        $clock->ahead(0);
        return $mended;
    }, bites => [qw(fresh login)]);
}

my $short = add(expires_at => $clock->now + $HOUR);
is code($short), 200, 'a token of an hour is good';
# Those of the pace are of an hour, too.
rehearse($pace, 'a leap of a year, and back', sub {
    $clock->ahead($YEAR);
    push @issued, holds('a year ahead', $lasting);
    is code($short), 401, 'a year ahead: that of an hour is not';
    ok !!$site->access_lines(qr/ expired$/), 'a year ahead: that is why';
    opens('a year ahead', $YEAR + 200);
    $site->graceful;
    push @issued, holds('a year ahead, restarted', $lasting);
    $clock->ahead(0);
    is code($short), 200, 'back again: it is';
    push @issued, holds('back again', $lasting);
    return;
}, allow => { good => [401], fresh => [401] }, spares => ['login']);
is_deeply [ map { code($_) } @issued ], [ (200) x @issued ],
    'what logins gave meanwhile is good';
end_pace($pace, $site);
# Looked for once a minute: waited for once only.
if ($pgsql) {
    my $dead = add(expires_at => $clock->now - 3 * $YEAR);
    ok poll(sub { !is_there($dead) }, 70), 'a dead row is removed';
}
finish();
