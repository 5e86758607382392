# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A token that asks for another is judged by its row when that is made.  What
# was done to the row by hand, while the table of this httpd has it as good,
# counts then, and is known to the table from there on.
# profiles: sqlite3-event pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Digest::SHA qw(sha256_hex);
use JSON::PP qw(decode_json);
use Test::More;

my $TYPE = 'Content-Type: application/json';
# The table of this httpd does not see by itself what is done to a row.
my $site = AuthnToken::Test->new(conf => <<'CONF')->start;
AuthTokenLegacy drf
AuthTokenCacheTTL 1h
AuthTokenPollInterval 3600s
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
<LocationMatch "^/(tokens|free|api)/">
    AuthType Token
    AuthName "api"
    Require valid-user
</LocationMatch>
<Location "/tokens/">
    SetHandler token-manage
</Location>
<Location "/free/">
    SetHandler token-manage
    AuthTokenMaxPerUser 0
</Location>
CONF
my $dbh = $site->dbh;
my $pg = AuthnToken::Test::database() eq 'pgsql';

# With AuthTokenLegacy drf a login answers the token alone.
sub login {
    my $token = $site->login('alice', 'wonder-land')->{token};
    return { token => $token, id => substr sha256_hex($token), 0, 16 };
}

sub code_of { return $site->get('/api/', auth($_[0]{token}))->code }

# begin($path, $token): a POST whose handler waits for the body.
sub begin {
    my ($path, $token) = @_;
    my $connection = $site->connection;

    $connection->write("POST $path HTTP/1.1\r\nHost: x\r\n$TYPE\r\n"
        . "Authorization: Token $token\r\nContent-Length: 2\r\n"
        . "Expect: 100-continue\r\nConnection: close\r\n\r\n");
    my $answer = $connection->read('POST', 10);
    is $answer && $answer->code, 100, "$path: the token is good at first";
    return $connection;
}

# end($connection): its answer; a token in it is a secret.
sub end {
    my ($connection) = @_;

    $connection->write('{}');
    my $answer = $connection->read('POST', 10);
    $site->secret(decode_json($answer->content)->{token}, 'a token made')
        if $answer->code =~ /^20[01]$/;
    return $answer;
}

sub rows {
    my ($where) = @_;
    return ($dbh->selectrow_array('SELECT count(*) FROM auth_token'
        . ($where ? " WHERE $where" : '')))[0];
}

sub change {
    my ($statement, $token) = @_;
    $dbh->do("$statement WHERE digest LIKE ?", {}, "$token->{id}%") == 1
        or die "no token $token->{id}\n";
    return;
}

my $past = $pg ? "now() - interval '9 s'" : time - 9;
my $mine = login();
my %end = (
    'revoked by hand' => sub {
        change("UPDATE auth_token SET revoked_at = $past", $_[0]);
    },
    'ended by hand' => sub {
        change("UPDATE auth_token SET expires_at = $past", $_[0]);
    },
    'deleted by hand' => sub { change('DELETE FROM auth_token', $_[0]) },
);
for my $what (sort keys %end) {
    for my $path ('/tokens/', '/free/', "/tokens/$mine->{id}/rotate") {
        my $asker = login();
        is code_of($asker), 200, "$what: a token in use";
        my $connection = begin($path, $asker->{token});
        $end{$what}->($asker);
        my $before = rows();
        my $answer = end($connection);
        is $answer->code, 409, "$what, POST $path: 409";
        is decode_json($answer->content)->{detail},
            'The token was rotated or revoked already.', "$what: says why";
        is rows(), $before, "$what: nothing is made";
        is code_of($asker), 401,
            "$what: the table has heard of it";
        $site->log_like(qr/:info\].* token \Q$asker->{id}\E of user alice makes none: /,
            "$what: the log says so");
    }
}
is rows("digest LIKE '$mine->{id}%' AND superseded_at IS NULL"), 1,
    'nor was the other token rotated';

# --- those that are good ---
for my $path (qw(/tokens/ /free/)) {
    is end(begin($path, $mine->{token}))->code, 201,
        "$path: a good token makes one, however late the body";
}
{
    my $other = login();
    is end(begin("/tokens/$other->{id}/rotate", $mine->{token}))->code, 200,
        'and rotates another';
    is end(begin('/tokens/self/rotate', $mine->{token}))->code, 200,
        'and itself';
}

# --- a key of Django's, which has no row here ---
{
    my $key = '0123456789' x 4;

    $dbh->do('CREATE TABLE auth_user (id integer PRIMARY KEY,'
        . ' username varchar(150), is_active boolean)');
    $dbh->do('CREATE TABLE authtoken_token (key varchar(40) PRIMARY KEY,'
        . ' created ' . ($pg ? 'timestamptz' : 'datetime')
        . ', user_id integer)');
    $dbh->do(q{INSERT INTO auth_user VALUES (1, 'alice', true)});
    $dbh->do('INSERT INTO authtoken_token VALUES (?, ?, 1)', {}, $key,
        '2026-01-01 00:00:00');
    is end(begin('/tokens/', $key))->code, 201,
        'a key of Django REST framework makes a token';
    my $connection = begin('/tokens/', $key);
    $dbh->do('DELETE FROM authtoken_token');
    is end($connection)->code, 409, 'one that Django deleted makes none';
}
$dbh->disconnect;
finish();
