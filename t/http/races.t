# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: pgsql-event
#
# Changes that meet: a revocation of all that comes while a rotation has not
# ended gets its heir, too.  The table of events, locked, holds each change
# where it is wanted.
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Digest::SHA qw(sha256_hex);
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More;

my $site = AuthnToken::Test->new(conf => <<'CONF')->start;
AuthTokenAudit On
AuthTokenQueryTimeout 20s
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenScope read write
</Location>
<Location "/tokens/">
    SetHandler token-manage
    AuthType Token
    AuthName "tokens"
    Require valid-user
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    AuthTokenCacheTTL 0
    AuthTokenRotationGrace 0
    Require valid-user
</Location>
CONF
$site->allow_log(qr/it may have been stolen/);
my $dbh = $site->dbh;

sub code_of { return $site->get('/api/', auth($_[0]))->code }
sub login { return $site->login('alice', 'wonder-land')->{token} }

# send_to($method, $path, $token): a request whose answer is read later.
sub send_to {
    my ($method, $path, $token) = @_;
    my $connection = $site->connection;
    my $body = $method eq 'POST' ? "Content-Type: application/json\r\n"
        . "Content-Length: 2\r\n\r\n{}" : "\r\n";

    $connection->write("$method $path HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Token $token\r\nConnection: close\r\n$body");
    return $connection;
}

sub waiting {
    my ($count) = @_;
    return poll(sub {
        my ($now) = $dbh->selectrow_array('SELECT count(*) FROM pg_locks l'
            . ' JOIN pg_database d ON d.oid = l.database AND NOT l.granted'
            . ' AND d.datname = current_database()');
        return $now == $count;
    }, 10);
}

# while_rotating($token, $revoke): what a rotation of the token answers that
# the revocation finds half done.
sub while_rotating {
    my ($what, $token, $revoke) = @_;

    $dbh->begin_work;
    $dbh->do('LOCK TABLE auth_token_event IN SHARE MODE');
    my $rotation = send_to('POST', '/tokens/self/rotate', $token);
    ok waiting(1), "$what: a rotation is half done";
    my $end = $revoke->();
    ok waiting(2), "$what: the revocation waits for it";
    $dbh->commit;
    my $answer = $rotation->read('POST', 10);
    is $answer->code, 200, "$what: the rotation is answered";
    $end->();
    my $heir = decode_json($answer->content)->{token};
    $site->secret($heir, 'an heir');
    is code_of($heir), 401, "$what: its heir is revoked";
    return;
}

{
    my ($thief, $mine) = (login(), login());
    while_rotating('all', $thief, sub {
        my $revocation = send_to('DELETE', '/tokens/', $mine);
        return sub {
            is $revocation->read('DELETE', 10)->code, 204, 'all: 204';
        };
    });
    is code_of($_), 401, 'all: so are all others' for $thief, $mine;
}

{
    my $thief = login();
    while_rotating('httoken', $thief, sub {
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            my $result = $site->httoken('revoke', '--user', 'alice');
            POSIX::_exit($result->{exit} ? 1 : 0);
        }
        return sub {
            waitpid $pid, 0;
            is $?, 0, 'httoken: it says so';
        };
    });
}

{
    my $old = login();
    my $answer = $site->request('POST', '/tokens/self/rotate', { auth($old),
        'Content-Type' => 'application/json' }, '{}');
    my $token = decode_json($answer->content)->{token};
    $site->secret($token, 'an heir');
    while_rotating('family', $token, sub {
        my $use = send_to('GET', '/api/', $old);
        return sub {
            is $use->read('GET', 10)->code, 401,
                'family: who shows the old token is refused';
        };
    });
}

# Who waits for the user's lock gets it in turn: what is revoked makes nothing.
for my $path ('/tokens/', '/tokens/ID/rotate') {
    my ($thief, $mine, $other) = map { login() } 1 .. 3;
    my $target = $path =~ s/ID/substr sha256_hex($other), 0, 16/er;

    $dbh->begin_work;
    $dbh->do(q{SELECT pg_advisory_xact_lock(7236838, hashtext('alice'))});
    my $revocation = send_to('DELETE', '/tokens/'
        . substr(sha256_hex($thief), 0, 16), $mine);
    ok waiting(1), "$path: a revocation is about to be";
    my $request = send_to('POST', $target, $thief);
    ok waiting(2), "$path: its token asks for another";
    $dbh->commit;
    is $revocation->read('DELETE', 10)->code, 204, "$path: it is revoked";
    is $request->read('POST', 10)->code, 409, "$path: and makes none";
}
$dbh->disconnect;
finish();
