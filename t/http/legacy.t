#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The road of docs/django.md, from the keys of Django REST framework to tokens
# that end, rotate, and are of one client each, without a day on which clients
# must change; and Django behind httpd, which takes its word on the user.
# profiles: sqlite3-event pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Django;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Digest::SHA qw(sha256_hex);
use Test::More;

plan skip_all => 'no Python 3 with Django REST framework and psycopg2'
    if !AuthnToken::Django::python(qw(django rest_framework psycopg2));

syntax();
road();
finish();

sub syntax {
    my $site = AuthnToken::Test->new(name => 'syntax', conf => '',
        htaccess => { schema => "AuthTokenSchema drf\n",
            legacy => "AuthTokenLegacy drf\n" });
    my $try = sub {
        my ($text, $wrong) = @_;
        $site->conf("$text\n");
        my ($exit, $out) = $site->configtest;
        return is($exit, 0, "good: $text") || diag $out if !$wrong;
        return like $out =~ s/\s+/ /gr, $wrong, "refused: $text";
    };
    my $schemas = 'must be native, drf, knox, knox 4, oauth-toolkit or'
        . ' oauth-toolkit 2';
    my $legacies = 'must be drf, knox, knox 4, oauth-toolkit, oauth-toolkit 2'
        . ' or none';
    $try->("AuthTokenSchema $_") for 'native', 'DRF', 'knox', 'knox 4',
        'oauth-toolkit', 'oauth-toolkit 2';
    $try->("AuthTokenLegacy $_") for 'drf', 'None', 'knox 4', 'oauth-toolkit';
    $try->("<VirtualHost 127.0.0.1:\@\@PORT\@\@>\nAuthTokenSchema drf\n"
        . "AuthTokenLegacy none\n</VirtualHost>");
    $try->("AuthTokenSchema $_", qr/AuthTokenSchema "$_": $schemas/)
        for 'django', 'knox 5', 'drf 3', 'none';
    $try->("AuthTokenLegacy $_", qr/AuthTokenLegacy "$_": $legacies/)
        for 'django', 'knox 5';
    $try->('AuthTokenLegacy native', qr/AuthTokenLegacy ".*": $legacies/);
    $try->('AuthTokenSchema', qr/AuthTokenSchema takes 1-2 arguments/);
    $try->("<Location /x/>\n$_ drf\n</Location>",
        qr/$_ not allowed (?:here|in <Location> context)/)
        for qw(AuthTokenSchema AuthTokenLegacy);
    $site->conf("<Directory \"\@\@DOCROOT\@\@\">\nAllowOverride All\n"
        . "</Directory>\n");
    $site->start;
    for my $name (qw(Schema Legacy)) {
        $site->expect_log(qr/AuthToken$name not allowed here/);
        is $site->get('/' . lc($name) . '/')->code, 500,
            "AuthToken$name in .htaccess is an error";
        $site->log_like(qr/AuthToken$name not allowed here/, 'the log says so');
    }
    $site->done;
    return;
}

# --- the road ---

sub conf {
    my ($text, $django) = @_;
    return $text . <<"CONF" . <<'CONF';
AuthTokenCacheTTL 0
<Location "/behind/">
    ProxyPass "${\ $django->url('/behind/') }"
    AuthType Token
    Require valid-user
    RequestHeader set X-Remote-User "expr=%{REMOTE_USER}"
</Location>
CONF
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider django
</Location>
<Location "/api/">
    AuthType Token
    AuthTokenExpiryHeader On
    Require valid-user
</Location>
<Location "/tokens/">
    SetHandler token-manage
    AuthType Token
    Require valid-user
</Location>
CONF
}

sub log_in {
    my ($site, $user, $password, %more) = @_;
    my $response = $site->request('POST', '/api-token-auth/', {},
        { username => $user, password => $password, %more });
    my ($token) = $response->content =~ /"token": ?"(\w+)"/;
    $site->secret($token, 'a token') if $token;
    return ($token, $response->content);
}

sub road {
    my ($key, $gone) = map { substr sha256_hex(rand), 0, 40 } 1, 2;
    my $site = AuthnToken::Test->new(name => 'road', conf => '',
        modules => [qw(proxy_http)]);
    my $django = AuthnToken::Django->serve($site, 'drf_site.py', { users => [
        { name => 'alice', password => 'wonder-land', key => $key },
        { name => 'gone', password => 'was-here', key => $gone,
            active => JSON::PP::false },
    ] });
    my $dbh = $site->dbh;
    my $code = sub { $site->get($_[1] // '/api/', auth($_[0]))->code };
    $site->secret($_, 'a key') for $key, $gone;

    # 1. In front of Django.
    $site->conf(conf("AuthTokenSchema drf\n", $django));
    $site->start;
    is $code->($key), 200, 'step 1: a key is good';
    is +(log_in($site, 'alice', 'wonder-land'))[0], $key,
        '... and given again';

    # 2. Native tokens beside the keys.
    $site->httoken('init');
    $site->conf(conf("AuthTokenSchema native\nAuthTokenLegacy drf\n",
        $django));
    $site->restart;
    is $code->($key), 200, 'step 2: a key is good';
    is $code->($gone), 401, '... but not that of an inactive user';
    is $code->('0' x 40), 401, '... nor an unknown one';
    my ($token, $body) = log_in($site, 'alice', 'wonder-land');
    like $token, qr/^tok_/, '... a login gives a native token';
    is $body, qq({"token":"$token"}), '... in the shape that clients know';
    my ($second) = log_in($site, 'alice', 'wonder-land', client => 'phone',
        username => 'alice');
    isnt $second, $token, '... each client has its own';
    is $code->($second), 200, '... good';
    like $site->get('/tokens/', auth($key))->content, qr/"client":"phone"/,
        '... which the old key can list';
    is $site->request('POST', '/tokens/self/rotate', { auth($second) },
        {})->code, 200, '... and the new one can rotate';
    my %json = (auth($key), 'Content-Type' => 'application/json');
    is $site->request($_->[0], "/tokens/$_->[1]", { %json },
        $_->[0] eq 'POST' ? {} : undef)->code, $_->[2],
        "... and the old key gets $_->[2] for $_->[0] $_->[1]"
        for [ 'GET', 'self', 404 ], [ 'DELETE', 'self', 404 ],
            [ 'POST', 'self/rotate', 404 ], [ 'DELETE', '', 204 ],
            [ 'DELETE', '', 404 ];
    is $code->($token), 401, '... which ends native tokens';
    is $code->($key), 200, '... and not itself';
    ($token) = log_in($site, 'alice', 'wonder-land');

    # 3. The keys as rows of ours.
    my $run = $site->httoken('import', 'drf', '-e', '7d');
    is $run->{out}, "1 token imported, 0 known already.\n",
        'step 3: the keys of active users are imported' or diag $run->{err};
    is $site->httoken('import', 'drf')->{out},
        "0 tokens imported, 1 known already.\n", '... once';
    $dbh->do('DELETE FROM authtoken_token');
    my $response = $site->get('/api/', auth($key));
    is $response->code, 200, '... good without their row in Django';
    ok $response->header('Token-Expires'), '... with an end';
    my $id = substr sha256_hex($key), 0, 16;
    like $site->httoken('list', 'alice')->{out}, qr/^$id +alice +drf /m,
        '... in the list';
    is $site->request('DELETE', "/tokens/$id", { auth($token),
        'Content-Type' => 'application/json' })->code, 204,
        '... and their owner can revoke them';
    is $code->($key), 401, '... so that they are not good any more';
    is $dbh->selectrow_array("SELECT count(*) FROM auth_token WHERE"
        . ' digest = ?', undef, sha256_hex($key)), 1, '... nor in clear';

    # 4. The end of the road.
    $site->conf(conf('', $django));
    $site->restart;
    is $code->($token), 200, 'step 4: a native token is good';
    is $code->($key), 401, '... a key is not even looked for';
    $site->log_like(qr/refused: malformed/, '... the log says so');

    behind($site, $token);
    $dbh->disconnect;
    return;
}

# --- Django behind httpd ---

sub behind {
    my ($site, $token) = @_;
    my %forged = ('X-Remote-User' => 'gone', 'X-Remote_User' => 'gone');
    my $answer = $site->get('/behind/', auth($token));
    is $answer->content, '{"user":"alice"}', 'Django sees the user'
        or diag $answer->as_string;
    is $site->get('/behind/', %forged)->code, 401,
        'a header alone makes nobody a user';
    is $site->get('/behind/', auth($token), %forged)->content,
        '{"user":"alice"}', 'nor another one of who is';
    return;
}
