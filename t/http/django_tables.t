#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# AuthTokenSchema knox and oauth-toolkit: tokens of django-rest-knox 4 and 5
# and of Django OAuth Toolkit before and since version 3 are good by their
# rows, until they end or their user is not active, and nothing is changed on
# the way.  OAuth Toolkit's tables are made by its own migrations; knox's, and
# the column that version 3 added, by hand.
# profiles: sqlite3-event pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Django;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Digest::SHA qw(sha256_hex sha512_hex);
use Test::More;

plan skip_all => 'no Python 3 with Django OAuth Toolkit and psycopg2'
    if !AuthnToken::Django::python(qw(django rest_framework oauth2_provider
        psycopg2));

my $pg = AuthnToken::Test::database() eq 'pgsql';

# --- what both tests share ---

my $protected = <<'CONF';
<LocationMatch "^/(?:fresh|kept|sliding)/">
    AuthType Token
    AuthName "api"
    Require valid-user
    Header set X-User "expr=%{REMOTE_USER}"
    Header set X-Client "expr=%{reqenv:AUTHENTICATE_TOKEN_CLIENT}"
    Header set X-Scope "expr=%{reqenv:AUTHENTICATE_TOKEN_SCOPE}"
</LocationMatch>
<LocationMatch "^/(?:fresh|sliding)/">
    AuthTokenCacheTTL 0
</LocationMatch>
<Location "/sliding/">
    AuthTokenIdleTimeout 1h
    AuthTokenLifetime 2h
</Location>
<Location "/read/">
    AuthType Token
    AuthName "api"
    Require token-scope read
</Location>
AliasMatch "^/(?:fresh|kept|sliding|read)/$" "@@DOCROOT@@/api/index.html"
<Location "/login/">
    SetHandler token-login
    AuthTokenLoginProvider django
    AuthTokenLifetime 10h
</Location>
CONF

# moment($seconds): as Django writes it, so many seconds from now.
sub moment {
    my ($seconds) = @_;
    my @t = gmtime(time + $seconds);
    return sprintf '%04d-%02d-%02d %02d:%02d:%02d.000000%s', $t[5] + 1900,
        $t[4] + 1, @t[3, 2, 1, 0], $pg ? '+00' : '';
}

sub site {
    my ($name, $schema, %task) = @_;
    my $site = AuthnToken::Test->new(name => $name,
        conf => "AuthTokenSchema $schema\n$protected");
    AuthnToken::Django::make($site, 'drf_site.py', { users => [
        { name => 'alice', password => 'wonder-land' },
        { name => 'gone', password => 'was-here', active => JSON::PP::false },
    ], %task }, DJANGO_OAUTH => $task{oauth} ? 1 : 0);
    return $site;
}

# verdicts($site, $name, %token): [status, user, client, scope] of each.
sub seen {
    my ($site, $token, $path) = @_;
    my $response = $site->get($path // '/fresh/', auth($token));
    return join ' ', map { $_ // '-' } $response->code,
        $response->code == 200 ? map { $response->header("X-$_") || '-' }
            qw(User Client Scope) : ();
}

sub active {
    my ($dbh, $name, $is) = @_;
    $dbh->do("UPDATE auth_user SET is_active = (1 = $is) WHERE"
        . ' username = ?',
        undef, $name);
    return;
}

knox(4);
knox(5);
oauth();
finish();

# --- knox ---

sub knox {
    my ($version) = @_;
    my $site = site("knox $version", $version == 4 ? 'knox 4' : 'knox');
    my $dbh = $site->dbh;
    my $time = $pg ? 'timestamptz' : 'datetime';
    my $digest = $version == 4 ? sub { sha512_hex(pack 'H*', $_[0]) }
        : sub { sha512_hex($_[0]) };
    my $n = 0;

    $dbh->do('CREATE TABLE knox_authtoken (digest varchar(128) PRIMARY KEY,'
        . " created $time NOT NULL, user_id integer NOT NULL, expiry $time,"
        . ' token_key varchar(25) NOT NULL)');
    my $add = sub {
        my ($user, $expiry, $created) = @_;
        my $token = sprintf '%064x', 0xabcdef0 + $n++;
        $site->secret($token, 'a token');
        $dbh->do('INSERT INTO knox_authtoken SELECT ?, ?, id, ?, ? FROM'
            . ' auth_user WHERE username = ?', undef, $digest->($token),
            moment($created // -60), $expiry, substr($token, 0, 8), $user);
        return $token;
    };
    my $expiry = sub {
        return $dbh->selectrow_array('SELECT '
            . ($pg ? 'extract(epoch FROM expiry)::bigint'
                : "CAST(strftime('%s', expiry) AS INTEGER)")
            . ' FROM knox_authtoken WHERE digest = ?', undef,
            $digest->($_[0]));
    };
    $site->start;

    my $good = $add->('alice', moment(3600));
    my $old = $add->('alice', moment(-2));
    is seen($site, $good), '200 alice - -', 'knox: a good token';
    is seen($site, $add->('alice', undef)), '200 alice - -',
        'one without an end';
    is seen($site, $old), 401, 'an expired one is refused';
    is $expiry->($old) ? 1 : 0, 1, '... and stays in its table';
    is seen($site, $add->('gone', moment(3600))), 401,
        'so is one of an inactive user';
    is seen($site, sprintf '%064x', 7), 401, 'and one that is unknown';
    is seen($site, 'x' x 64), 401, 'and what is no token';
    is $site->get('/fresh/', Authorization => 'Bearer x')->code, 401,
        'and another';
    $site->log_like(qr/refused: $_/, "the log says $_") for qw(expired
        inactive unknown malformed);

    # AUTO_REFRESH.
    is $expiry->($good), $expiry->($good), 'a use alone changes nothing';
    my $young = $add->('alice', moment(60));
    is seen($site, $young, '/sliding/'), '200 alice - -',
        'AuthTokenIdleTimeout: a use';
    my $left = $expiry->($young) - time;
    cmp_ok $left, '>', 3500, '... makes it last longer';
    cmp_ok $left, '<=', 3600, '... for that time';
    my $first = $expiry->($young);
    seen($site, $young, '/sliding/');
    is $expiry->($young), $first, '... once a minute at most';
    my $aged = $add->('alice', moment(60), -7000);
    seen($site, $aged, '/sliding/');
    cmp_ok $expiry->($aged) - time, '<=', 200,
        '... and not past AuthTokenLifetime from its creation';

    # AUTO_REFRESH by Django, which knows nothing of the table.
    my $moved = $add->('alice', moment(2));
    is seen($site, $moved, '/kept/'), '200 alice - -', 'a token near its end';
    my $over = time + 2;
    $dbh->do('UPDATE knox_authtoken SET expiry = ? WHERE digest = ?', undef,
        moment(3600), $digest->($moved));
    poll(sub { time > $over + 1 }, 10);
    is seen($site, $moved, '/kept/'), '200 alice - -',
        '... is good behind it, when Django has moved it';
    my $ends = $add->('alice', moment(2));
    is seen($site, $ends, '/kept/'), '200 alice - -', '... another is not';
    ok poll(sub { seen($site, $ends, '/kept/') eq 401 }, 10), '... so this one ends';

    # A login.
    my $login = $site->request('POST', '/login/', {},
        { username => 'alice', password => 'wonder-land' });
    is $login->code, 200, 'a login';
    my ($end, $token) = $login->content =~
        /^\{"expiry":"(\d{4}-\d\d-\d\dT[\d:]+Z)","token":"([0-9a-f]{64})"\}$/;
    ok $token, 'is answered as knox does' or diag $login->content;
    $site->secret($token, 'token of a login');
    is seen($site, $token), '200 alice - -', 'its token is good';
    cmp_ok abs($expiry->($token) - time - 36000), '<', 60,
        'and ends after AuthTokenLifetime';
    is $dbh->selectrow_array('SELECT token_key FROM knox_authtoken WHERE'
        . ' digest = ?', undef, $digest->($token)),
        substr($token, 0, $version == 4 ? 8 : 15), 'with the key of knox';
    $dbh->disconnect;
    $site->done;
    return;
}

# --- OAuth Toolkit ---

sub oauth {
    my %token = map { $_ => "oauth-$_-" . sha256_hex(rand) } qw(good old gone
        client);
    my @rows = map { { token => $token{ $_->[0] }, user => $_->[1],
        client => 'my-app', scope => $_->[2], expires => time + $_->[3] } }
        [ good => 'alice', 'read write', 3600 ],
        [ old => 'alice', 'read', -2 ], [ gone => 'gone', 'read', 3600 ],
        [ client => '', 'write', 3600 ];
    my $site = site('OAuth Toolkit 2', 'oauth-toolkit 2', oauth => \@rows);
    my $dbh = $site->dbh;
    $site->secret($token{$_}, "token $_") for keys %token;
    my $check = sub {
        my ($name) = @_;
        is seen($site, $token{good}), '200 alice my-app read write',
            "$name: a good token, with its client and scope";
        is seen($site, $token{old}), 401, "$name: an expired one";
        is seen($site, $token{gone}), 401, "$name: of an inactive user";
        is seen($site, $token{client}), '200 client:my-app my-app write',
            "$name: of an application alone";
        is seen($site, 'x' x 30), 401, "$name: an unknown one";
        is $site->get('/read/', auth($token{good}))->code, 200,
            "$name: its scope counts";
        is $site->get('/read/', auth($token{client}))->code, 403,
            "$name: another does not do";
        return;
    };
    $site->allow_log(qr/AH01631: user client:my-app: authorization failure/);
    $site->start;
    $check->('version 2');
    active($dbh, 'alice', 0);
    is seen($site, $token{good}), 401,
        'a user no longer active, which the toolkit itself forgets to ask';
    active($dbh, 'alice', 1);
    $site->expect_log(qr/token-login refused at/);
    is $site->get('/login/')->code, 500, 'there is no login';
    $site->log_like(qr/AuthTokenSchema oauth-toolkit are issued by Django/,
        'the log says why');

    # Version 3 looks for a digest.
    $dbh->do('ALTER TABLE oauth2_provider_accesstoken ADD token_checksum'
        . ' varchar(64)');
    $dbh->do('UPDATE oauth2_provider_accesstoken SET token_checksum = ?,'
        . " token = '' || id WHERE token = ?", undef, sha256_hex($_), $_)
        for values %token;
    $site->conf("AuthTokenSchema oauth-toolkit\n$protected");
    $site->restart;
    $check->('version 3');
    $dbh->disconnect;
    $site->done;
    return;
}
