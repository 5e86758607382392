# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event pgsql-event sqlite3-event-asan
#
# A token that asks for another is judged when the headers are there.  It may
# have been revoked, rotated or removed by the time the body is, or on another
# host: then it makes nothing.
use strict;
use warnings;

use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use JSON::PP qw(decode_json);
use Test::More;

my $conf = <<'CONF';
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenScope read write
</Location>
<LocationMatch "^/(?:tokens|few)/">
    AuthType Token
    AuthName "tokens"
    Require valid-user
</LocationMatch>
<Location "/tokens/">
    SetHandler token-manage
</Location>
<Location "/few/">
    SetHandler token-manage
    AuthTokenMaxPerUser 50
</Location>
CONF

sub login { return $_[0]->login('alice', 'wonder-land') }

sub body_of { return decode_json($_[0]->content) }

sub call {
    my ($site, $method, $path, $token, $fields) = @_;
    return $site->request($method, $path, { auth($token), $fields
        ? ('Content-Type' => 'application/json') : () }, $fields);
}

# late($path, $token, $meanwhile): the answer to a request whose body comes
# when that is done.
sub late {
    my ($site, $path, $token, $meanwhile) = @_;
    my $connection = $site->connection;

    $connection->write("POST $path HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Token $token\r\nConnection: close\r\n"
        . "Content-Type: application/json\r\nContent-Length: 2\r\n"
        . "Expect: 100-continue\r\n\r\n");
    # Only who was let in is asked for the body.
    AuthnToken::Process::poll(sub { $connection->fill(5);
        $connection->{buffer} =~ /\r\n\r\n/ }, 10);
    like $connection->{buffer}, qr{^HTTP/1.1 100 }, "$path: the body is due";
    $connection->{buffer} = '';
    $meanwhile->();
    $connection->write('{}');
    return $connection->read('POST', 10);
}

for my $audit (qw(Off On)) {
    my $site = AuthnToken::Test->new(name => "AuthTokenAudit $audit",
        conf => "AuthTokenAudit $audit\n$conf")->start;
    my $count = sub { $site->dbh->selectrow_array(
        'SELECT count(*) FROM auth_token') };

    for my $place ('/tokens/', '/few/') {
        my ($own, $stolen) = (login($site), login($site));
        my $rows = $count->();
        my $answer = late($site, $place, $stolen->{token}, sub {
            is call($site, 'DELETE', "/tokens/$stolen->{id}",
                $own->{token})->code, 204, "$place: it is revoked meanwhile";
        });
        is $answer->code, 409, "$place: then it makes no token";
        is $count->(), $rows, '... and there is none';

        my $rotated = login($site);
        $answer = late($site, $place, $rotated->{token}, sub {
            my $heir = call($site, 'POST', '/tokens/self/rotate',
                $rotated->{token}, '{}');
            $site->secret(body_of($heir)->{token}, 'an heir');
        });
        is $answer->code, 409, "$place: nor does one that was rotated";

        my $asker = login($site);
        $answer = late($site, "$place$own->{id}/rotate", $asker->{token},
            sub { call($site, 'DELETE', "/tokens/$asker->{id}",
                $own->{token}) });
        is $answer->code, 409, "$place: a revoked one rotates no other";
        is call($site, 'GET', '/tokens/', $own->{token})->code, 200,
            '... which is as it was';

        my $gone = login($site);
        is call($site, 'GET', '/tokens/', $gone->{token})->code, 200,
            "$place: one is known";
        $site->dbh->do('DELETE FROM auth_token WHERE digest LIKE ?', undef,
            "$gone->{id}%");
        is call($site, 'POST', $place, $gone->{token}, '{}')->code, 409,
            "$place: whose row is gone makes none";

        my $good = call($site, 'POST', $place, $own->{token}, '{}');
        is $good->code, 201, "$place: a good one does";
        $site->secret(body_of($good)->{token}, 'a further token');
        my $next = late($site, "$place$own->{id}/rotate",
            body_of($good)->{token}, sub { });
        is $next->code, 200, "$place: and rotates another";
        $site->secret(body_of($next)->{token}, 'an heir');
    }
    $site->done;
}

# --- an idle timeout is kept ---

{
    my $site = AuthnToken::Test->new(name => 'idle', conf => $conf)->start;
    my ($short, $none, $shorter) = map { login($site) } 1 .. 3;
    my %idle = ($short->{id} => 1000, $shorter->{id} => 500);

    $site->dbh->do("UPDATE auth_token SET idle_timeout = $idle{$_}"
        . ' WHERE digest LIKE ?', undef, "$_%") for keys %idle;
    is call($site, 'POST', "/tokens/$none->{id}/rotate", $short->{token},
        '{}')->code, 403, 'a token that can be idle gets none that cannot';
    my $heir = call($site, 'POST', "/tokens/$shorter->{id}/rotate",
        $short->{token}, '{}');
    is $heir->code, 200, '... but one that is idle sooner';
    $site->secret(body_of($heir)->{token}, 'an heir');
    is call($site, 'POST', "/tokens/$short->{id}/rotate",
        body_of($heir)->{token}, '{}')->code, 403, '... and not later';
}
finish();
