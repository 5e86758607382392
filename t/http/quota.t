# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# AuthTokenMaxPerUser is exact for 50 logins of one user at once, which no
# hashing of a password puts one behind the other, also where PostgreSQL's
# default is another isolation of transactions.
# profiles: sqlite3-event pgsql-event
use strict;
use warnings;

use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use JSON::PP qw(decode_json);
use Test::More;

my $LOGINS = 50;
my $MAX = 10;

my $site = AuthnToken::Test->new(modules => ['authn_anon'],
    mpm_conf => <<'MPM', conf => <<'CONF')->start;
StartServers 2
ServerLimit 2
ThreadsPerChild 32
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
AsyncRequestWorkerFactor 4
MPM
DBDMax 33
<Location "/evict/">
    SetHandler token-login
    AuthTokenLoginProvider anon
    Anonymous *
    Anonymous_MustGiveEmail Off
    Anonymous_LogEmail Off
    AuthTokenMaxPerUser 10
</Location>
<Location "/refuse/">
    SetHandler token-login
    AuthTokenLoginProvider anon
    Anonymous *
    Anonymous_MustGiveEmail Off
    Anonymous_LogEmail Off
    AuthTokenMaxPerUser 10 refuse
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    Require valid-user
</Location>
CONF

# at_once($path, $user): so many logins, all of which wait in httpd for the
# last byte of their body; { code => n }, and the tokens.
sub at_once {
    my ($path, $user) = @_;
    my $body = qq({"username":"$user","password":"costs-nothing"});
    my $request = "POST $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        . "Content-Type: application/json\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";
    my $last = chop $request;
    my @connections = map { $site->connection } 1 .. $LOGINS;
    my (%codes, @tokens);

    $_->write($request) for @connections;
    select undef, undef, undef, 0.5;
    $_->write($last) for @connections;
    for my $connection (@connections) {
        my $response = $connection->read('POST', 30);
        $codes{ $response ? $response->code : 'none' }++;
        next if !$response || $response->code != 200;
        push @tokens, decode_json($response->content)->{token};
        $site->secret($tokens[-1], 'token');
    }
    return (\%codes, @tokens);
}

sub rows {
    my ($user, $condition) = @_;
    return ($site->dbh->selectrow_array('SELECT count(*) FROM auth_token'
        . " WHERE username = ? AND $condition", {}, $user))[0];
}

$site->secret('costs-nothing', 'password');
sub check_round {
    my ($round) = @_;
    my $user = "evict$round";
    my ($codes, @tokens) = at_once('/evict/', $user);

    is_deeply $codes, { 200 => $LOGINS },
        "evict $round: each of $LOGINS logins at once has a token";
    is rows($user, 'revoked_at IS NULL'), $MAX, "of which $MAX are left";
    is rows($user, 'revoked_at IS NOT NULL'), $LOGINS - $MAX,
        'and the others revoked';
    is scalar(grep { $site->get('/api/', auth($_))->code == 200 } @tokens),
        $MAX, "$MAX are good";
    is $site->log_lines(qr/of user $user\b.* evicted/), $LOGINS - $MAX,
        'and the log names each of the others';

    $user = "refuse$round";
    ($codes, @tokens) = at_once('/refuse/', $user);
    is_deeply $codes, { 200 => $MAX, 403 => $LOGINS - $MAX },
        "refuse $round: $MAX of $LOGINS have a token";
    is rows($user, 'revoked_at IS NULL'), $MAX, 'as the database says';
    is rows($user, 'revoked_at IS NOT NULL'), 0, 'none was revoked';
    is scalar(grep { $site->get('/api/', auth($_))->code == 200 } @tokens),
        $MAX, 'and all are good';
    return;
}

check_round($_) for 1 .. 3;
if ($site->pg) {
    for my $isolation ('repeatable read', 'serializable') {
        $site->dbh->do('ALTER DATABASE ' . $site->dbname
            . " SET default_transaction_isolation = '$isolation'");
        $site->restart;
        check_round(" $isolation");
    }
}
$site->done;
finish();
