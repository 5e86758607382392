# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: pgsql-event
#
# PostgreSQL comes and goes, changes its tables, drops its connections, and
# no valid token is refused for it: what cannot be answered is 503, and good
# again as soon as the database is.
use strict;
use warnings;

use AuthnToken::Postgres;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(make_token);
use Compress::Raw::Zlib ();
use Digest::SHA qw(sha1);
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'a cluster that can be stopped needs initdb'
    if !AuthnToken::Postgres::program('initdb');

# One cluster, stopped and started at will; each part has its own database.
my $pg = AuthnToken::Postgres->new;

# Three children of six threads, a connection for each thread, and somewhat
# fewer requests at once.
my $threads = 15;
my $mpm = <<'CONF';
StartServers 3
ServerLimit 3
ThreadsPerChild 6
MinSpareThreads 1
MaxSpareThreads 18
MaxRequestWorkers 18
CONF
my $login_conf = AuthnToken::Conf::default_text(1);
# mod_authn_dbd in the same server, for comparison.
my $stock_conf = <<'CONF';
<Location "/stock/">
    AuthType Basic
    AuthName "stock"
    AuthBasicProvider dbd
    AuthDBDUserPWQuery "SELECT password FROM users WHERE username = %s"
    Require valid-user
</Location>
Alias "/stock" "@@DOCROOT@@/api"
CONF
# Each check is to reach the database; of the connections mod_dbd may have,
# one is left to other modules.
my $pool_conf = "AuthTokenTable 0\nAuthTokenPurge 0\nDBDMin 6\nDBDKeep 6\nDBDMax 8\n";

# What mod_dbd says of a database that is away.
my @dbd_down = (qr/\[dbd:(?:error|crit)\] .* AH0062[89]: /,
    qr/\[dbd:(?:error|crit)\] .* AH0063[0-9]: /,
    qr/\[dbd:error\] .* AH02655: Failed to acquire DBD connection/);
my $down = qr/\[authn_token:error\] .*
    token\ database\ (?:does\ not\ answer|stores\ no\ token):\ /x;
my $up = qr/\[authn_token:notice\] .* token database answers again/;

# make_stock_users($site): alice, for mod_authn_dbd.
sub make_stock_users {
    my ($site) = @_;
    my $dbh = $site->dbh;

    $dbh->do('CREATE TABLE users (username text PRIMARY KEY, password text)');
    # htpasswd -nbs alice wonder-land
    $dbh->do('INSERT INTO users VALUES (?, ?)', {}, 'alice',
        '{SHA}' . encode_base64(sha1('wonder-land'), ''));
    $dbh->disconnect;
    return;
}

sub token_header { return (Authorization => "Token $_[0]") }

sub basic_header {
    return (Authorization => 'Basic ' . encode_base64("$_[0]:$_[1]", ''));
}

# together($site, $n, $path, $header, $table): so many requests under way at
# once, each on a connection of its own.  With the name of a table, it is
# locked until all of them wait in the database: so each of httpd's
# connections to PostgreSQL is used.  { status => how many }
sub together {
    my ($site, $n, $path, $header, $table) = @_;
    my ($lock, %count, $waiting);

    if ($table) {
        $lock = $site->pg->dbh($site->dbname);
        $lock->begin_work;
        $lock->do("LOCK TABLE $table IN ACCESS EXCLUSIVE MODE");
    }
    my @connections = map { $site->connection } 1 .. $n;
    for my $connection (@connections) {
        $connection->write("GET $path HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            . "Authorization: $header\r\nConnection: close\r\n\r\n");
    }
    if ($lock) {
        my $watch = $site->pg->dbh;
        poll(sub { ($waiting) = $watch->selectrow_array('SELECT count(*)'
            . q{ FROM pg_stat_activity WHERE wait_event_type = 'Lock'});
            $waiting == $n }, 5);
        $lock->commit;
        $lock->disconnect;
        is $waiting, $n, "$n requests wait in PostgreSQL at once";
    }
    for my $connection (@connections) {
        my $response = $connection->read('GET', 20);
        $count{ $response ? $response->code : 'none' }++;
    }
    return \%count;
}

# quick($work): its value, and a test that it took no longer than 5 s.
sub quick {
    my ($name, $work) = @_;
    my $start = time;
    my $value = $work->();
    cmp_ok time - $start, '<', 5, "$name: answered without a long wait";
    return $value;
}

# recovers($site, $token, $name): good within 2 s.
sub recovers {
    my ($site, $token, $name) = @_;
    my $start = time;
    my $code = poll(sub { $site->get('/api/', token_header($token))->code
        == 200 }, 10);
    my $took = time - $start;
    ok $code && $took < 2, "$name: good within 2 s, httpd untouched";
    note sprintf '%s: %.3f s', $name, $took;
    return;
}

# --- restarted between requests ---

for my $mode (qw(fast immediate)) {
    my $site = AuthnToken::Test->new(pg => $pg, name => "restart, $mode",
        modules => ['authn_dbd'], mpm_conf => $mpm,
        conf => $pool_conf . $login_conf . $stock_conf);
    make_stock_users($site);
    $site->start;

    my $token = $site->login('alice', 'wonder-land')->{token};
    my $stock = (basic_header('alice', 'wonder-land'))[1];
    is_deeply together($site, $threads, '/api/', "Token $token",
        'auth_token'), { 200 => $threads }, "$mode: all connections are warm";
    is_deeply together($site, $threads, '/stock/', $stock, 'users'),
        { 200 => $threads }, "$mode: mod_authn_dbd is warm as well";
    cmp_ok scalar $pg->backend_pids($site->dbname), '>=', $threads,
        "$mode: $threads connections are pooled";

    ok $pg->restart($mode), "$mode: PostgreSQL is restarted";
    is_deeply together($site, $threads, '/api/', "Token $token",
        'auth_token'), { 200 => $threads },
        "$mode: the first requests after it are all good";
    my %count;
    $count{ $site->get('/api/', token_header($token))->code }++ for 1 .. 100;
    is_deeply \%count, { 200 => 100 },
        "$mode: 0 of 100 requests with a valid token are refused";

    # Kept as the comparison.  mod_dbd prepares a module's named statements
    # once, when it connects; apr_dbd resets a broken connection without
    # them, and mod_authn_dbd takes the error for "no such user".
    my $refused = together($site, $threads, '/stock/', $stock);
    is_deeply $refused, { 401 => $threads },
        "$mode: mod_authn_dbd refuses all valid users";
    note "$mode: mod_authn_dbd: ", explain $refused;
    is $site->get('/stock/', Authorization => $stock)->code, 401,
        "$mode: and goes on to do so";
    is $site->get('/api/', token_header($token))->code, 200,
        "$mode: and does not harm us on the shared connections";
    $site->allow_log(qr/\[auth_basic:error\] .* AH01618: user alice not /);
    $site->log_unlike($down, "$mode: the database was never seen as down");

    is $pg->restart($mode), 1, "$mode: PostgreSQL is restarted again";
    is $site->login('alice', 'wonder-land')->{client}, 'harness',
        "$mode: the first login after it is good";
    $site->done;
}

# By a Unix socket libpq reads a last warning of an immediate shutdown, fails,
# and does not say that the connection is lost before it fails again.
{
    my $site = AuthnToken::Test->new(pg => $pg, name => 'socket',
        mpm_conf => $mpm, unix_socket => 1, conf => $pool_conf . $login_conf);
    $site->start;
    my $token = $site->login('alice', 'wonder-land')->{token};
    is_deeply together($site, $threads, '/api/', "Token $token",
        'auth_token'), { 200 => $threads }, 'socket: all connections are warm';
    is $pg->restart('immediate'), 1, 'socket: PostgreSQL is restarted';
    is_deeply together($site, $threads, '/api/', "Token $token",
        'auth_token'), { 200 => $threads },
        'socket: the first requests after it are all good';
    $site->log_unlike($down, 'socket: the database was never seen as down');
    $site->done;
}

# --- stopped, started, and absent from the start ---

{
    my $site = AuthnToken::Test->new(pg => $pg, name => 'down',
        mpm_conf => $mpm, conf => $pool_conf . $login_conf . <<'CONF');
<Location "/json/">
    AuthType Token
    AuthTokenErrorBody json
    Require valid-user
</Location>
CONF
    $site->allow_log(@dbd_down, $down, $up);
    $site->start;
    my $token = $site->login('alice', 'wonder-land')->{token};
    is_deeply together($site, $threads, '/api/', "Token $token",
        'auth_token'), { 200 => $threads }, 'down: all connections are warm';

    ok $pg->stop, 'down: PostgreSQL is stopped';
    for my $round (1 .. 3) {
        is_deeply quick("round $round", sub {
            together($site, $threads, '/api/', "Token $token") }),
            { 503 => $threads }, "down, round $round: all are 503, none 401";
    }
    my $response = quick('a check',
        sub { $site->get('/json/', token_header($token)) });
    is $response->code, 503, 'down: a check is 503';
    is $response->header('Retry-After'), '2', 'down: with Retry-After';
    is $response->header('WWW-Authenticate'), undef,
        'down: without a challenge';
    like $response->content, qr/"detail":"The token database does not /,
        'down: the JSON body says why';
    is $site->get('/api/', token_header('tok_bad'))->code, 401,
        'down: what cannot be a token is refused all the same';
    is $site->get('/api/')->code, 401, 'down: so is no token';
    is $site->get('/open/')->code, 200, 'down: what is open stays open';
    $response = quick('a login', sub { $site->post('/api-token-auth/',
        { username => 'alice', password => 'wonder-land' }) });
    is $response->code, 503, 'down: a login is 503';
    is $response->header('Retry-After'), '2', 'down: with Retry-After, too';
    is $site->post('/api-token-auth/',
        { username => 'alice', password => 'wrong-password' })->code, 400,
        'down: a login with a wrong password is refused as always';
    $site->log_like($down, 'down: the log says so');
    cmp_ok scalar $site->log_lines($down), '<=', 3,
        'down: once for each child';

    ok $pg->start, 'up: PostgreSQL is started';
    recovers($site, $token, 'up');
    my %count;
    poll(sub { together($site, $threads, '/api/', "Token $token")->{200}
        == $threads }, 5);
    is_deeply together($site, $threads, '/api/', "Token $token",
        'auth_token'), { 200 => $threads }, 'up: all connections are good';
    $site->log_like($up, 'up: the log says so');

    $pg->stop;
    my $start = time;
    ok $site->restart, 'absent: httpd starts without PostgreSQL';
    cmp_ok time - $start, '<', 10, 'absent: in good time';
    is quick('absent', sub { $site->get('/api/', token_header($token)) })
        ->code, 503, 'absent: a check is 503';
    is $site->get('/')->code, 200, 'absent: httpd serves the rest';
    $pg->start;
    recovers($site, $token, 'absent, then there');
    # Each child finds that out by itself.
    poll(sub { $site->post('/api-token-auth/', { username => 'alice',
        password => 'wrong-password' })->code == 400
            && together($site, $threads, '/api/', "Token $token")->{200}
                == $threads }, 5);
    my $login;
    poll(sub { $login = eval { $site->login('bob', 'builder') } }, 5);
    is $login && $login->{client}, 'harness',
        'absent, then there: a login is good';
    $site->done;
}

# --- a poll that failed ---

{
    my $site = AuthnToken::Test->new(pg => $pg, name => 'poll',
        mpm_conf => $mpm, conf => "AuthTokenPollInterval 3600\n$login_conf");
    my $mark = $pg->log_mark;
    my $polled = sub {
        return scalar grep { $_->{text} =~ /revoked_at >= / } $pg->sent($mark);
    };

    $site->allow_log($down, $up, @dbd_down);
    $pg->stop;
    ok $site->start, 'poll: httpd starts without PostgreSQL';
    $site->log_like($down, 'poll: it fails');
    $pg->start;
    ok poll($polled, 10),
        'poll: what was revoked is asked for when it is there, not in an hour';
    $site->done;
}

# --- the table missing, made, dropped, changed; connections cut ---

{
    my $site = AuthnToken::Test->new(pg => $pg, name => 'table', table => 0,
        mpm_conf => $mpm, conf => $pool_conf . $login_conf);
    my $missing = qr/\[authn_token:error\] .* does\ not\ answer:\ .*
        "httoken\ init"/x;
    my $relation = qr/relation "auth_token" does not exist/;
    $site->allow_log($down, $up);
    $site->expect_log($missing);
    $site->start;
    is $site->get('/api/', token_header(make_token()))->code, 503,
        'no table: a check is 503';
    is $site->post('/api-token-auth/',
        { username => 'alice', password => 'wonder-land' })->code, 503,
        'no table: a login is 503';
    my @lines = $site->log_lines($missing);
    ok @lines >= 1 && @lines <= 3,
        'no table: each child says once what to do about it';
    $site->log_like(qr/$down.*$relation/, 'no table: the log has the cause');

    my $result = $site->httoken('init');
    is $result->{exit}, 0, 'made: httoken init makes it';
    my $token = $site->login('alice', 'wonder-land')->{token};
    is $site->get('/api/', token_header($token))->code, 200,
        'made: works without a restart';
    is_deeply together($site, $threads, '/api/', "Token $token",
        'auth_token'), { 200 => $threads }, 'made: on each connection';

    my $dbh = $site->dbh;
    for my $change ('ALTER TABLE auth_token ALTER username TYPE varchar(300)',
        'ALTER TABLE auth_token ADD COLUMN note text',
        'CREATE INDEX auth_token_note ON auth_token (note)',
        'ALTER TABLE auth_token DROP COLUMN note',
        'ALTER TABLE auth_token ALTER client TYPE varchar(200)') {
        $dbh->do($change);
        my ($what) = $change =~ /^((?:\w+ ){3,5})/;
        is_deeply together($site, $threads, '/api/', "Token $token"),
            { 200 => $threads }, "$what: no request fails";
    }
    is $site->login('bob', 'builder')->{client}, 'harness',
        'changed: a login is good';

    my @pids = $pg->backend_pids($site->dbname);
    $pg->dbh->do('SELECT pg_terminate_backend(pid) FROM pg_stat_activity'
        . ' WHERE datname = ? AND usename = ?', {}, $site->dbname,
        AuthnToken::Postgres::ROLE);
    poll(sub { my %now = map { $_ => 1 } $pg->backend_pids($site->dbname);
        !grep { $now{$_} } @pids }, 5);
    is_deeply together($site, $threads, '/api/', "Token $token",
        'auth_token'), { 200 => $threads },
        'backends terminated: no request fails';

    $dbh = $site->dbh;
    $dbh->do('DROP TABLE auth_token');
    $site->log_mark;
    is $site->get('/api/', token_header($token))->code, 503,
        'dropped: a check is 503, not 401';
    is $site->httoken('init')->{exit}, 0, 'remade: by httoken init';
    is $site->get('/api/', token_header($token))->code, 401,
        'remade: the token that was lost is refused';
    $token = $site->login('alice', 'wonder-land')->{token};
    is_deeply together($site, $threads, '/api/', "Token $token",
        'auth_token'), { 200 => $threads }, 'remade: a new one is good';

    $pg->dbh->do('ALTER DATABASE "' . $site->dbname
        . '" SET default_transaction_read_only = on');
    $pg->restart;
    is $site->get('/api/', token_header($token))->code, 200,
        'read only: a check is good';
    is $site->post('/api-token-auth/',
        { username => 'alice', password => 'wonder-land' })->code, 503,
        'read only: a login is 503';
    $site->log_like(qr/$down.*read-only transaction/,
        'read only: the log has the cause');
    is $site->get('/api/', token_header($token))->code, 200,
        'read only: the checks go on';
    $site->done;
}

# --- what PostgreSQL gets to see, and how long a connection is held ---

{
    my $site = AuthnToken::Test->new(pg => $pg, name => 'one connection',
        modules => ['authn_dbd'], mpm_conf => <<'MPM',
StartServers 1
ServerLimit 1
ThreadsPerChild 8
MinSpareThreads 1
MaxSpareThreads 8
MaxRequestWorkers 8
MPM
        files => { 'htdocs/api/big' => 'x' x 40_000_000 },
        conf => "AuthTokenTable 0\nAuthTokenPurge 0\nDBDMin 1\nDBDKeep 1\nDBDMax 1\n"
            . $login_conf . $stock_conf);
    make_stock_users($site);
    $site->start;
    my $token = $site->login('alice', 'wonder-land')->{token};

    my $mark = $pg->log_mark;
    (my $wrong = $token) =~ s/(.)\z/$1 eq 'a' ? 'b' : 'a'/e;
    for my $text ('x', 'tok_bad', $wrong, "$token$token", 'a' x 4000) {
        is $site->get('/api/', token_header($text))->code, 401,
            'malformed (' . length($text) . ' bytes): refused';
    }
    is $site->get('/api/', Authorization => "Token $token, Token $token")
        ->code, 401, 'malformed (two): refused';
    is_deeply [ $pg->statements(qr/./, $mark) ], [],
        'malformed: PostgreSQL gets no statement at all';
    is $site->get('/api/', token_header(make_token()))->code, 401,
        'an unknown token is refused';
    is scalar(my @asked = poll(sub { $pg->statements(qr/auth_token/, $mark) },
        5)), 1, 'by one statement';
    unlike $pg->log_text, qr/\Q$token\E|wonder-land/,
        'no statement in PostgreSQL\'s log has a token or a password';
    unlike $pg->log_text,
        qr/\bPREPARE (?!authn_token_[0-9a-f]{8}_\d+ ).*auth_token/,
        'what is kept on a connection is named after its text';

    my $slow = sub {
        my ($path, $header) = @_;
        my $connection = $site->connection;
        $connection->write("GET $path HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            . "Authorization: $header\r\n\r\n");
        poll(sub { $connection->fill(5);
            $connection->{buffer} =~ m{^HTTP/1.1 200 .*\r\n\r\n}s }, 5)
            or die "no head of $path\n";
        return $connection;
    };
    my $check = "GET /api/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        . "Authorization: Token $token\r\nConnection: close\r\n\r\n";
    my $download = $slow->('/api/big', "Token $token");
    my $raw = $site->raw($check, timeout => 5);
    like $raw->{bytes}, qr{^HTTP/1.1 200 },
        'a slow download does not hold the one connection';
    $download->close;
    # The comparison, and the proof that the download above was slow enough:
    # mod_authn_dbd keeps its connection until the response is through.
    $download = $slow->('/stock/big',
        (basic_header('alice', 'wonder-land'))[1]);
    my $waiting = $site->connection;
    $waiting->write($check);
    is $waiting->read('GET', 0.5), undef, 'one that mod_authn_dbd let in does';
    $download->close;
    is $waiting->read('GET', 10)->code, 200, 'until it is over';
    $site->done;
}
finish();
