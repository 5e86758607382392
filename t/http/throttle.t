# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Whoever guesses is slowed down before a password is hashed or a statement
# sent: by user and address, by address alone; and nobody else is.
# profiles: pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(make_token);
use Test::More;

my $conf = <<'CONF';
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
<LocationMatch "^/(?:api-token-auth|brief)/">
    SetHandler token-login
    AuthTokenLoginProvider dbd
    AuthDBDUserPWQuery "SELECT password FROM users WHERE name = %s"
    AuthTokenLoginLimit 3 60s
</LocationMatch>
<Location "/brief/">
    AuthTokenLoginLimit 2 2s
</Location>
<LocationMatch "^/(?:api|json)/">
    AuthType Token
    AuthName "api"
    Require valid-user
</LocationMatch>
<Location "/json/">
    AuthTokenErrorBody json
</Location>
<Location "/status">
    SetHandler server-status
</Location>
CONF

my %password = (alice => 'wonder-land', bob => 'builder',
    map { $_ => "secret-of-$_" } qw(carol dave erin frank grace heidi));

# make_site(%arg): its users are in the database, so that its log shows when
# a password was looked up.
sub make_site {
    my (%arg) = @_;
    my $site = AuthnToken::Test->new(db => 'pgsql', modules => ['remoteip'],
        conf => $conf, %arg);
    my $dbh = $site->dbh;

    $dbh->do('CREATE TABLE users (name text, password text)');
    # mod_authn_dbd takes plain SHA-1 as htpasswd -s writes it.
    require Digest::SHA;
    $dbh->do('INSERT INTO users VALUES (?, ?)', {}, $_,
        '{SHA}' . Digest::SHA::sha1_base64($password{$_}) . '=')
        for sort keys %password;
    $site->secret('guessed-wrong', 'a guessed password');
    return $site->start;
}

# try_login($site, $user, $password, from => address, path): the answer.
sub try_login {
    my ($site, $user, $password, %opt) = @_;
    return $site->post($opt{path} // '/api-token-auth/',
        { username => $user, password => $password // 'guessed-wrong' },
        'X-Forwarded-For' => $opt{from} // '192.0.2.1');
}

sub looked_up {
    my ($site, $from) = @_;
    my $db = $site->dbname;
    return scalar $site->pg->statements(
        qr/ \Q$db\E LOG:  execute .*password FROM users/s, $from);
}

sub asked {
    my ($site, $from) = @_;
    return scalar $site->pg->lookups($site->dbname, $from);
}

sub good_token {
    my ($site, $user, %opt) = @_;
    my $answer = try_login($site, $user, $password{$user}, %opt);
    return $site->secret($site->json($answer)->{token}, "token of $user");
}

# --- logins ---

for my $mpm (qw(event prefork)) {
    my $site = make_site(mpm => $mpm, name => $mpm);
    my $mark = $site->pg->log_mark;

    is try_login($site, 'alice')->code, 400, "$mpm: failure $_ is a 400"
        for 1 .. 3;
    is looked_up($site, $mark), 3, "$mpm: each looked a password up";
    $mark = $site->pg->log_mark;
    my $answer = try_login($site, 'alice');
    is $answer->code, 429, "$mpm: the fourth try is a 429";
    my $wait = $answer->header('Retry-After');
    like $wait, qr/^\d+$/, "$mpm: and says when to come back";
    cmp_ok $wait, '<=', 60, "$mpm: within the time of the limit";
    cmp_ok $wait, '>', 0, "$mpm: and not now";
    is $answer->content, '{"detail":"Request was throttled. Expected '
        . "available in $wait second" . ($wait == 1 ? '' : 's') . '."}',
        "$mpm: with a body as Django REST framework has it";
    is $answer->header('Cache-Control'), 'no-store', "$mpm: not stored";
    is try_login($site, 'alice', $password{alice})->code, 429,
        "$mpm: the right password is not tried, either";
    is looked_up($site, $mark), 0, "$mpm: no provider was asked";
    $site->log_like(qr/login of user alice not tried: too many failures/,
        "$mpm: the log says why");

    is try_login($site, 'alice', $password{alice}, from => '192.0.2.2')
        ->code, 200, "$mpm: from another address the same user logs in";
    is try_login($site, 'bob', $password{bob})->code, 200,
        "$mpm: another user of that address logs in";
    is try_login($site, 'alice', undef, from => '2001:db8:1:2::1')->code,
        400, "$mpm: IPv6: failure $_ is a 400" for 1 .. 3;
    is try_login($site, 'alice', undef, from => '2001:db8:1:2::ffff')->code,
        429, "$mpm: IPv6: a neighbour in the same /64 is the same";
    is try_login($site, 'alice', undef, from => '2001:db8:1:3::1')->code,
        400, "$mpm: IPv6: the next /64 is another";
    $site->done;
}

{
    my $site = make_site(name => 'one address');

    # Success is not counted, and forgives nothing.
    is_deeply [ map { try_login($site, 'bob', $password{bob})->code }
        1 .. 20 ], [ (200) x 20 ], '20 logins that succeed are not counted';
    is try_login($site, 'bob')->code, 400, "failure $_ of bob is a 400"
        for 1, 2;
    is try_login($site, 'bob', $password{bob})->code, 200,
        'a success in between is let in';
    is try_login($site, 'bob')->code, 400, 'the third failure is a 400';
    is try_login($site, 'bob', $password{bob})->code, 429,
        'and no success before it was forgiveness';

    # Four times as many from one address, whoever is named.
    for my $user (qw(carol dave erin)) {
        is_deeply [ map { try_login($site, $user)->code } 1 .. 3 ],
            [ (400) x 3 ], "three failures of $user are 400";
    }
    my $mark = $site->pg->log_mark;
    is try_login($site, 'frank', $password{frank})->code, 429,
        'twelve failures shut the address for everybody';
    is try_login($site, "nobody$_")->code, 429,
        "also for the unknown nobody$_" for 1 .. 3;
    is looked_up($site, $mark), 0, 'without asking a provider';
    is try_login($site, 'frank', $password{frank}, from => '192.0.2.9')
        ->code, 200, 'frank logs in from elsewhere';
    is try_login($site, 'bob', $password{bob}, from => '192.0.2.9')->code,
        200, 'and nobody is shut out but from there';

    # Those that wait for each other's hashes are counted, too.
    my $from = '192.0.2.10';
    my $hashes = int(`getconf _NPROCESSORS_ONLN` / 2) || 1;
    my $lock = $site->dbh;
    my $body = '{"username":"alice","password":"guessed-wrong"}';
    $lock->begin_work;
    $lock->do('LOCK TABLE users');
    $mark = $site->pg->log_mark;
    my @open = map { $site->connection } 1 .. 5 * $hashes;
    $_->write("POST /api-token-auth/ HTTP/1.1\r\nHost: x\r\n"
        . "X-Forwarded-For: $from\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body") for @open;
    my $other = $site->pg->dbh;
    ok poll(sub { ($other->selectrow_array('SELECT count(*) FROM'
            . q{ pg_stat_activity WHERE wait_event_type = 'Lock'}))[0] }, 10),
        'many tries at once: the first waits for its password';
    $lock->commit;
    my %code;
    $code{ $_->read('POST')->code }++ for @open;
    is_deeply [ sort keys %code ], [ 400, 429 ],
        'many tries at once: refused, or not tried';
    cmp_ok looked_up($site, $mark), '<', 3 + $hashes,
        'many tries at once are no more than in turn';

    # What is no try is not counted.
    $from = '192.0.2.20';
    for my $body ({}, { username => 'grace' }, { password => 'x' },
        { username => 'grace', password => 'x', scope => 'none such' }) {
        is $site->post('/api-token-auth/', $body,
            'X-Forwarded-For' => $from)->code, 400,
            'a body without name, password or good scope is a 400'
            for 1 .. 4;
    }
    is try_login($site, 'grace', $password{grace}, from => $from)->code, 200,
        'and none of these counted';

    # The window ends by itself.
    $from = '192.0.2.30';
    is_deeply [ map { try_login($site, 'heidi', undef, from => $from,
        path => '/brief/')->code } 1 .. 3 ], [ 400, 400, 429 ],
        'two failures, then 429';
    ok poll(sub {
        try_login($site, 'heidi', $password{heidi}, from => $from,
            path => '/brief/')->code == 200;
    }, 15), 'when the window ends the right password is let in';

    # A server behind which many are: one of its counters is not another's.
    like $site->get('/status?auto')->content, qr/^AuthTokenThrottled: \d\d/m,
        'the status page counts what was throttled';
    $site->done;
}

# --- tokens ---

for my $mpm (qw(event prefork)) {
    my $site = make_site(mpm => $mpm, name => "tokens, $mpm");
    my $known = good_token($site, 'alice');
    my $fresh = good_token($site, 'bob');
    my $ask = sub {
        my ($token, $from, $path) = @_;
        return $site->get($path // '/api/',
            Authorization => "Token $token",
            'X-Forwarded-For' => $from // '192.0.2.66');
    };
    my $mark = $site->pg->log_mark;

    is $ask->($known)->code, 200, "$mpm: a good token is let in";
    is_deeply [ grep { $_ != 401 } map { $ask->(make_token())->code }
        1 .. 100 ], [], "$mpm: 100 unknown tokens are 401";
    is asked($site, $mark), 101, "$mpm: each was asked for";
    $mark = $site->pg->log_mark;
    my $answer = $ask->(make_token(), undef, '/json/');
    is $answer->code, 429, "$mpm: the next one is a 429";
    like $answer->header('Retry-After'), qr/^[1-9]\d?$/,
        "$mpm: and says when to come back";
    my $wait = $answer->header('Retry-After');
    $wait .= $wait == 1 ? ' second.' : ' seconds.';
    is $answer->content,
        qq({"detail":"Request was throttled. Expected available in $wait"}),
        "$mpm: in JSON where that is set";
    ok !defined $answer->header('WWW-Authenticate'),
        "$mpm: and is no challenge";
    is $ask->(make_token())->code, 429, "$mpm: likewise the one after it";
    is asked($site, $mark), 0, "$mpm: without SQL";
    is $ask->($known)->code, 200,
        "$mpm: a token that is in the table goes on from the same address";
    is $ask->(substr($known, 0, -1) . '-')->code, 401,
        "$mpm: a malformed one is a 401 as ever";
    is $ask->($fresh, '192.0.2.67')->code, 200,
        "$mpm: another address is not concerned";
    is $ask->(make_token(), '192.0.2.67')->code, 401,
        "$mpm: nor are its wrong tokens";
    $site->log_like(qr/not looked up: too many bad tokens from this address/,
        "$mpm: the log says why");
    $site->done;
}

finish();
