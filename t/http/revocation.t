# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A token that is revoked, by httoken or on another host, is refused by every
# child soon after, and does not come back.
# profiles: sqlite3-event pgsql-event sqlite3-prefork sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Digest::SHA qw(sha256_hex);
use Test::More;

my $conf = AuthnToken::Conf::default_text(1) . <<'CONF';
<LocationMatch "^/(?:fresh|brief)/">
    AuthType Token
    AuthName "api"
    Require valid-user
</LocationMatch>
<Location "/fresh/">
    AuthTokenCacheTTL 0
</Location>
<Location "/brief/">
    AuthTokenCacheTTL 2s
</Location>
AliasMatch "^/(?:fresh|brief)/$" "@@DOCROOT@@/api/index.html"
CONF

sub id { return substr sha256_hex($_[0]), 0, 16 }
sub token_of { return $_[0]->login('alice', 'wonder-land')->{token} }

# all_refuse($site, $token): asks on many connections at once, which hold
# more than one child.
sub all_refuse {
    my ($site, $token) = @_;
    my @held = map { $site->connection } 1 .. 8;
    my @code = map { $_->request('GET', '/api/', { auth($token) })->code }
        @held;
    $_->close for @held;
    return !grep { $_ != 401 } @code;
}

# --- on the same host, and on another one ---

{
    my $site = AuthnToken::Test->new(name => 'host 1', conf => $conf)->start;
    my $far = AuthnToken::Test->new(name => 'host 2', conf => $conf,
        table => 0, dbd => $site->db_params)->start;
    my $token = token_of($site);
    my $other = token_of($site);

    $far->secret($_, 'token of alice') for $token, $other;
    for my $each ($site, $far) {
        my $name = $each->name;
        is $each->get('/api/', auth($_))->code, 200, "$name: it is good"
            for $token, $token, $other;
    }
    is $site->httoken('revoke', id($token))->{exit}, 0,
        'httoken revokes a token';
    for my $each ($site, $far) {
        my $name = $each->name;
        ok poll(sub { $each->get('/api/', auth($token))->code == 401 }, 15),
            "$name: it is refused long before AuthTokenCacheTTL";
        ok all_refuse($each, $token), "$name: by every child";
        is_deeply [ grep { $_ != 401 }
            map { $each->get('/api/', auth($token))->code } 1 .. 40 ], [],
            "$name: it never comes back";
        is $each->get('/fresh/', auth($token))->code, 401,
            "$name: nor where the database is asked";
        is $each->get('/api/', auth($other))->code, 200,
            "$name: the other token is good";
        $each->log_like(qr/token @{[ id($token) ]} .* refused: revoked/,
            "$name: the log says why");
    }

    # The row says it is good again: a backup that was put back, an answer
    # that was late.
    $site->dbh->do('UPDATE auth_token SET revoked_at = NULL');
    is $site->get('/fresh/', auth($token))->code, 401,
        'what is buried stays so for a while, whatever the database says';
    ok all_refuse($site, $token), 'in every child';

    is $site->httoken('revoke', '--user', 'alice')->{exit}, 0,
        'httoken revokes all of a user';
    for my $each ($site, $far) {
        ok poll(sub { $each->get('/api/', auth($other))->code == 401 }, 15),
            $each->name . ': the other token is refused';
        ok all_refuse($each, $other), $each->name . ': by every child';
    }

    # Whoever is started or restarted now knows nothing, and asks.
    $site->dbh->do('UPDATE auth_token SET revoked_at = NULL');
    $site->graceful;
    is $site->get('/api/', auth($token))->code, 200,
        'a graceful restart forgets what was buried, and the row decides';
    $site->httoken('revoke', id($token));
    ok poll(sub { $site->get('/api/', auth($token))->code == 401 }, 15),
        'the new generation polls, too';
    $_->done for $site, $far;
}

# --- without the poll ---

{
    my $site = AuthnToken::Test->new(name => 'no poll',
        conf => "AuthTokenPollInterval 0\n$conf")->start;
    my $token = token_of($site);

    is $site->get("/$_/", auth($token))->code, 200, "no poll: /$_/ is open"
        for qw(api brief);
    $site->httoken('revoke', id($token));
    is $site->get('/api/', auth($token))->code, 200,
        'without the poll it is not seen at once';
    ok poll(sub { $site->get('/brief/', auth($token))->code == 401 }, 15),
        'but within AuthTokenCacheTTL';
    is $site->get('/api/', auth($token))->code, 401,
        'and whoever sees it tells the others';
    $site->done;
}

# --- a slower poll ---

{
    my $site = AuthnToken::Test->new(name => 'slow poll',
        conf => "AuthTokenPollInterval 3s\n$conf")->start;
    my $token = token_of($site);
    $site->get('/api/', auth($token));
    $site->httoken('revoke', id($token));
    ok poll(sub { $site->get('/api/', auth($token))->code == 401 }, 20),
        'a slower poll sees it, too';
    $site->done;
}

{
    # Longer than a poll looks back beside its interval.
    my $site = AuthnToken::Test->new(name => 'first poll',
        conf => "AuthTokenPollInterval 13s\n$conf")->start;
    my $token = token_of($site);
    is $site->get('/api/', auth($token))->code, 200, 'a token is known';
    $site->httoken('revoke', id($token));
    ok poll(sub { $site->get('/api/', auth($token))->code == 401 }, 40),
        'the first poll sees what was revoked before it';
    $site->done;
}

# --- a statement that took long ---

{
    # Its rows bear its beginning.
    my $site = AuthnToken::Test->new(name => 'long',
        conf => "AuthTokenCacheTTL 600s\n$conf")->start;
    my $token = token_of($site);
    is $site->get('/api/', auth($token))->code, 200, 'a token is known';
    $site->dbh->do('UPDATE auth_token SET revoked_at = '
        . (AuthnToken::Test::database() eq 'pgsql'
            ? q{now() - interval '40 seconds'}
            : q{CAST(strftime('%s', 'now') AS INTEGER) - 40}));
    ok poll(sub { $site->get('/api/', auth($token))->code == 401 }, 40),
        'what a statement of a minute revokes is seen long before '
        . 'AuthTokenCacheTTL';
    $site->done;
}

# --- more than a poll names ---

{
    my $site = AuthnToken::Test->new(name => 'many', conf => $conf)->start;
    my ($token, $good) = (token_of($site), token_of($site));
    is $site->get('/api/', auth($_))->code, 200, 'a token is known'
        for $token, $good;
    my $dbh = $site->dbh;
    my $now = AuthnToken::Test::database() eq 'pgsql' ? 'now()'
        : q{CAST(strftime('%s', 'now') AS INTEGER)};
    $dbh->do('INSERT INTO auth_token (digest, username, family, created_at,'
        . ' expires_at, revoked_at) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL'
        . ' SELECT i + 1 FROM n WHERE i < 20100) SELECT '
        . (AuthnToken::Test::database() eq 'pgsql'
            ? q{lpad(i::text, 64, '0')} : q{printf('%064d', i)})
        . ", 'many', 'ffffffffffffffff', $now, $now, $now FROM n");
    $site->expect_log(qr/ 20000 tokens or more were revoked or rotated/);
    ok poll(sub { $site->log_lines(qr/the table of tokens is emptied/) }, 20),
        'a poll that is full empties the table';
    $site->httoken('revoke', id($token));
    ok poll(sub { $site->get('/api/', auth($token))->code == 401 }, 20),
        'a revocation beside so many counts';
    is $site->get('/api/', auth($good))->code, 200, 'who is good stays so';
    $site->done;
}

# --- a poll that takes too long, the further back the longer ---

SKIP: {
    skip 'SQLite has no deadline', 4
        if AuthnToken::Test::database() ne 'pgsql';
    my $site = AuthnToken::Test->new(name => 'overdue',
        conf => <<"CONF" . $conf)->start;
AuthTokenCacheTTL 600s
AuthTokenQueryTimeout 1s
AuthTokenQuery poll "SELECT digest, username, client, scope, networks, \\
    date_part('epoch', created_at), date_part('epoch', expires_at), \\
    date_part('epoch', last_used_at), date_part('epoch', superseded_at), \\
    date_part('epoch', revoked_at), family, idle_timeout FROM auth_token, \\
    (SELECT (%s)::float8 AS near, \\
        pg_sleep(CASE WHEN (%s)::float8 > 10 THEN 9 ELSE 0 END) IS NULL \\
        AS slept) AS w \\
    WHERE revoked_at >= now() - make_interval(secs => near) AND NOT slept"
CONF
    $site->allow_log(qr/ does not answer: no answer within /);
    $site->expect_log(qr/ tells what was revoked in the last 10 s, but not /);
    my $token = token_of($site);
    is $site->get('/api/', auth($token))->code, 200, 'a token is known';
    $site->httoken('revoke', id($token));
    ok poll(sub { $site->log_lines(qr/not in the last \d+ s within/) }, 40),
        'a poll that is overdue is given up';
    ok poll(sub { $site->get('/api/', auth($token))->code == 401 }, 15),
        'and what it would have named is asked for again';
    $site->done;
}

# --- polled by a child that is killed ---

{
    my $site = AuthnToken::Test->new(name => 'killed', conf => $conf)->start;
    my $token = token_of($site);

    $site->get('/api/', auth($token));
    for my $pid ($site->child_pids) {
        kill 'KILL', $pid;
        poll(sub { $site->get('/api/', auth($token))->code == 200 }, 20);
    }
    $site->httoken('revoke', id($token));
    ok poll(sub { $site->get('/api/', auth($token))->code == 401 }, 40),
        'another child goes on polling where the first was killed';
    $site->done;
}

finish();
