# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# AuthTokenAudit: what becomes of tokens is a row of auth_token_event.  No
# token is issued without one; no revocation waits for one.
# profiles: sqlite3-event pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Test::More;

syntax();
rows();
finish();

sub syntax {
    my $site = AuthnToken::Test->new(name => 'syntax', conf => '',
        htaccess => { h => "AuthTokenAudit On\n" });
    for my $case ([ 'AuthTokenAudit On' => 0 ], [ 'AuthTokenAudit Off' => 0 ],
        [ "<VirtualHost 127.0.0.1:\@\@PORT\@\@>\nAuthTokenAudit On\n"
            . '</VirtualHost>' => 0 ],
        [ 'AuthTokenAudit Maybe' => qr/AuthTokenAudit must be On or Off/ ],
        [ "<Location /x/>\nAuthTokenAudit On\n</Location>"
            => qr/AuthTokenAudit not allowed (?:here|in <Location> context)/ ]) {
        my ($text, $wrong) = @$case;
        $site->conf("$text\n");
        my ($exit, $out) = $site->configtest;
        if ($wrong) {
            like $out =~ s/\s+/ /gr, $wrong, "refused: $text";
        }
        else {
            is $exit, 0, "good: $text" or diag $out;
        }
    }
    $site->conf("<Directory \"\@\@DOCROOT\@\@/h\">\nAllowOverride All\n"
        . "</Directory>\n");
    $site->start;
    $site->expect_log(qr/AuthTokenAudit not allowed here/);
    is $site->get('/h/')->code, 500, 'in .htaccess it is an error';
    $site->log_like(qr/AuthTokenAudit not allowed here/, 'the log says so');
    $site->done;
    return;
}

sub rows {
    my $site = AuthnToken::Test->new(name => 'rows', conf => <<'CONF'
AuthTokenAudit On
AuthTokenCacheTTL 0
<Location "/tokens/">
    SetHandler token-manage
    AuthType Token
    Require valid-user
    AuthTokenRotationGrace 0
</Location>
<Location "/two/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenMaxPerUser 2
</Location>
<Location "/any/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenMaxPerUser 0
</Location>
<Location "/api/">
    AuthTokenRotationGrace 0
</Location>
Listen 127.0.0.1:@@PORT2@@
<VirtualHost 127.0.0.1:@@PORT2@@>
    AuthTokenAudit Off
</VirtualHost>
CONF
        . AuthnToken::Conf::default_text(1))->start;
    my $dbh = $site->dbh;
    my $events = sub {
        return join ' ', map { "$_->[0]:$_->[1]" } sort {
            $a->[0] cmp $b->[0] || $a->[1] cmp $b->[1] }
            @{ $dbh->selectall_arrayref('SELECT event, id FROM'
            . ' auth_token_event WHERE username = ? AND client = ? AND'
            . ' address = ?', undef, @_, '127.0.0.1') };
    };
    my $sorted = sub { join ' ', sort @_ };
    my $json = sub { $site->json($_[0]) };
    my $make = sub {
        my ($path, $user, $password, $client) = @_;
        return $site->login($user, $password, client => $client,
            path => $path);
    };

    my $first = $make->('/api-token-auth/', 'alice', 'wonder-land', 'one');
    is $events->('alice', 'one'), "issued:$first->{id}", 'a login is noted';
    my $any = $make->('/any/', 'alice', 'wonder-land', 'any');
    is $events->('alice', 'any'), "issued:$any->{id}",
        'so is one without a limit';
    my $now = time;
    my ($at) = $dbh->selectrow_array('SELECT '
        . (AuthnToken::Test::database() eq 'pgsql'
            ? 'extract(epoch FROM at)::bigint' : 'at')
        . ' FROM auth_token_event WHERE client = ?', undef, 'one');
    cmp_ok abs($at - $now), '<', 60, 'with its time';

    my $heir = $json->($site->request('POST', '/tokens/self/rotate',
        { auth($first->{token}) }, {}));
    $site->secret($heir->{token}, 'heir');
    is $events->('alice', 'one'), $sorted->("issued:$first->{id}",
        "rotated:$first->{id}", "issued:$heir->{id}"),
        'a rotation is noted: the old one, and the heir';
    $site->expect_log(qr/it may have been stolen/);
    is $site->get('/api/', auth($first->{token}))->code, 401,
        'the old one is used after its grace';
    is $events->('alice', 'one'), $sorted->("issued:$first->{id}",
        "rotated:$first->{id}", "issued:$heir->{id}", "reused:$first->{id}",
        "revoked:$first->{id}", "revoked:$heir->{id}"),
        'that is noted, and that its family is revoked';
    is $site->get('/api/', auth($first->{token}))->code, 401, 'once more';
    is scalar(split ' ', $events->('alice', 'one')), 6, 'that is no event';

    my @bob = map { $make->('/two/', 'bob', 'builder', 'b') } 1 .. 2;
    $dbh->do('UPDATE auth_token SET created_at = '
        . (AuthnToken::Test::database() eq 'pgsql'
            ? "created_at - interval '9 s'" : 'created_at - 9')
        . ' WHERE digest LIKE ?', undef, "$bob[0]{id}%");
    push @bob, $make->('/two/', 'bob', 'builder', 'b');
    is $events->('bob', 'b'), $sorted->((map { "issued:$_->{id}" } @bob),
        "evicted:$bob[0]{id}"), 'an eviction is noted';
    is $site->request('DELETE', "/tokens/$bob[1]{id}",
        { auth($bob[2]{token}), 'Content-Type' => 'application/json' })->code,
        204, 'one is revoked by its owner';
    like $events->('bob', 'b'), qr/revoked:\Q$bob[1]{id}\E$/,
        'that is noted';

    my $quiet = $make->($site->url('/api-token-auth/', $site->port(2)),
        'alice', 'wonder-land', 'quiet');
    is $events->('alice', 'quiet'), '', 'a host where it is Off notes none';
    my ($tokens) = $dbh->selectrow_array('SELECT count(*) FROM auth_token');

    # Without its table.
    $dbh->do('DROP TABLE auth_token_event');
    $site->expect_log(qr/the token database (?:stores no token|notes no event)/);
    is $site->request('POST', $_, {}, { username => 'alice',
        password => 'wonder-land' })->code, 503,
        "$_: no token is issued that is not noted"
        for qw(/api-token-auth/ /any/);
    $site->log_like(qr/stores no token: .*auth_token_event.*httoken init/,
        'the log has the cause and the cure');
    is $dbh->selectrow_array('SELECT count(*) FROM auth_token'), $tokens,
        'there is none in the table';
    is $site->request('DELETE', '/tokens/self', { auth($bob[2]{token}),
        'Content-Type' => 'application/json' })->code, 204,
        'but one can be revoked';
    is $site->get('/api/', auth($bob[2]{token}))->code, 401, '... and is';
    $site->log_like(qr/notes no event \(what it tells of is done\): .*auth_token_event/,
        'the log says that the note is missing');
    $site->done;
    return;
}
