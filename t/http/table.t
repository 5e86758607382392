# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The shared table: a token that was checked costs no SQL for a while, in no
# child; how long, for whom, and what happens to it when children die or the
# server is restarted.  PostgreSQL's own log says what it was asked.
# profiles: pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth make_token);
use Digest::SHA qw(sha256_hex);
use POSIX ();
use Test::More;
use Time::HiRes ();

my $login = <<'CONF';
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenScope read write
</Location>
CONF
my $api = <<'CONF';
<LocationMatch "^/(?:api|brief|never)/">
    AuthType Token
    AuthName "api"
    Require valid-user
</LocationMatch>
<Location "/brief/">
    AuthTokenCacheTTL 1s
</Location>
<Location "/never/">
    AuthTokenCacheTTL 0
</Location>
AliasMatch "^/(?:brief|never)/$" "@@DOCROOT@@/api/index.html"
ScriptAliasMatch "^/(?:api|brief|never)/pid$" "@@TMP@@/cgi-bin/pid"
CONF
# Answers the child that serves it, and what it was told.
my $cgi = <<'SH';
#!/bin/sh
printf 'Content-Type: text/plain\r\nX-Child: %s\r\n\r\n' $PPID
env | grep -E '^(AUTHENTICATE_TOKEN_|REMOTE_USER=|AUTH_TYPE=)' | sort
SH

sub make_site {
    my (%arg) = @_;
    my $site = AuthnToken::Test->new(db => 'pgsql', %arg,
        conf => ($arg{conf} // '') . $login . $api,
        files => { 'cgi-bin/pid' => $cgi });
    chmod 0755, $site->tmp . '/cgi-bin/pid';
    return $site;
}

# asked($site, $from): how often its database was asked for a token.
sub asked {
    my ($site, $from) = @_;
    return scalar $site->pg->lookups($site->dbname, $from);
}

sub token_of { return $_[0]->login('alice', 'wonder-land')->{token} }

# --- every child, and for how long ---

for my $mpm (qw(event prefork)) {
    my $site = make_site(mpm => $mpm, name => $mpm)->start;
    my $token = token_of($site);
    my $mark = $site->pg->log_mark;
    my %child;

    is $site->get('/api/', auth($token))->code, 200,
        "$mpm: a token is good at its first use";
    is asked($site, $mark), 1, "$mpm: the first use asks the database";
    is $site->get('/api/', auth($token))->code, 200,
        "$mpm: it is good at its second use";
    is asked($site, $mark), 1, "$mpm: the second use asks nobody";

    # Connections kept open hold a child each.
    my @held;
    poll(sub {
        my $connection = $site->connection;
        push @held, $connection;
        my $answer = $connection->request('GET', '/api/pid', { auth($token) });
        $child{ $answer->header('X-Child') }++ if $answer->code == 200;
        return keys %child > 1 || @held > 20;
    }, 20);
    cmp_ok scalar(keys %child), '>', 1, "$mpm: another child was asked";
    is asked($site, $mark), 1, "$mpm: another child asks nobody, either";
    $_->close for @held;

    is $site->get('/api/pid', auth($token))->content,
        $site->get('/never/pid', auth($token))->content,
        "$mpm: table and database say the same of user, id, client, scope "
        . 'and end';

    $mark = $site->pg->log_mark;
    $site->get('/never/', auth($token)) for 1 .. 3;
    is asked($site, $mark), 3, "$mpm: AuthTokenCacheTTL 0 asks each time";
    ok poll(sub {
        $site->get('/brief/', auth($token));
        return asked($site, $mark) > 3;
    }, 10), "$mpm: after AuthTokenCacheTTL the database is asked again";
    $mark = $site->pg->log_mark;
    $site->get('/api/', auth($token));
    is asked($site, $mark), 0,
        "$mpm: each place judges an entry by its own AuthTokenCacheTTL";

    # A new generation begins with an empty table.
    $site->graceful;
    $mark = $site->pg->log_mark;
    is $site->get('/api/', auth($token))->code, 200,
        "$mpm: after a graceful restart the token is good";
    is asked($site, $mark), 1, "$mpm: after it the database is asked once";
    $site->get('/api/', auth($token)) for 1 .. 5;
    is asked($site, $mark), 1, "$mpm: and then nobody";
    $site->done;
}

# --- what the database says now, and the token's own end ---

for my $db (qw(pgsql sqlite3)) {
    my $site = make_site(db => $db, name => "rows of $db",
        conf => "AuthTokenPollInterval 0\n")->start;
    my $token = token_of($site);
    my $like = substr(sha256_hex($token), 0, 16) . '%';

    is $site->get("/$_/", auth($token))->code, 200, "$db: /$_/ is open"
        for qw(api brief never);
    $site->dbh->do('DELETE FROM auth_token WHERE digest LIKE ?', {}, $like);
    is $site->get('/api/', auth($token))->code, 200,
        "$db: a row deleted by hand is not missed within AuthTokenCacheTTL";
    ok poll(sub { $site->get('/brief/', auth($token))->code == 401 }, 10),
        "$db: it is after AuthTokenCacheTTL";
    is $site->get('/api/', auth($token))->code, 401,
        "$db: whoever finds it out tells the places with a longer one";

    my $short = $site->login('bob', 'builder', expires_in => 3)->{token};
    my $mark = $site->pg && $site->pg->log_mark;
    is $site->get('/api/', auth($short))->code, 200,
        "$db: a token is good before its end";
    ok poll(sub { $site->get('/api/', auth($short))->code == 401 }, 15),
        "$db: it is refused after its end, AuthTokenCacheTTL or not";
    is asked($site, $mark), 1, "$db: no SQL was needed for that" if $site->pg;
    $site->log_like(qr/of user bob refused: expired/,
        "$db: the log says why");
    $site->done;
}

# --- a token that was rotated away ---

{
    my $site = make_site(name => 'rotated', conf => <<'CONF')->start;
<Location "/tokens/">
    SetHandler token-manage
    AuthType Token
    AuthName "tokens"
    Require valid-user
</Location>
CONF
    my $pg = $site->pg;
    my $token = token_of($site);
    my $mark;
    # seen: when changes were asked for that were made before this.
    my $seen = sub {
        my $from = $pg->log_mark;
        return poll(sub { 2 <= $pg->statements(qr/revoked_at >= /, $from) },
            15);
    };

    is $site->request('POST', '/tokens/self/rotate', { auth($token),
        'Content-Type' => 'application/json' }, {})->code, 200,
        'a token is rotated';
    is $site->get('/api/', auth($token))->code, 200, 'it is good for a while';
    $mark = $pg->log_mark;
    for (1 .. 2) {
        ok $seen->(), 'the host hears of it once more';
        is $site->get('/api/', auth($token))->code, 200, 'it is still good';
    }
    is asked($site, $mark), 0, 'and the table knows that';
    $site->done;
}

# --- somebody with many dead tokens ---

{
    # One set of slots.
    my $site = make_site(name => 'dead tokens',
        conf => "AuthTokenTable 8\nAuthTokenFlushInterval 1h\n")->start;
    my @good = map { token_of($site) } 1 .. 6;
    my @dead = map { $site->secret(make_token(), "dead token $_") } 1 .. 30;

    $site->dbh->do('INSERT INTO auth_token (digest, username, family,'
        . ' created_at, expires_at, revoked_at) VALUES (?, ?, ?, now(),'
        . " now() + interval '1 day', now() - interval '1 hour')",
        {}, sha256_hex($_), 'carol', 'x') for @dead;
    is $site->get('/api/', auth($_))->code, 200, 'a good token is used'
        for @good;
    is_deeply [ grep { $_ != 401 } map { $site->get('/api/', auth($_))->code }
        map { ($_) x 3 } @dead ], [], 'then many dead ones, often';
    my $mark = $site->pg->log_mark;
    is $site->get('/api/', auth($_))->code, 200, 'the good one is known'
        for @good;
    is asked($site, $mark), 0, 'by the table';
    $site->stop;
    is scalar $site->dbh->selectrow_array('SELECT count(last_used_at)'
        . ' FROM auth_token'), 6, 'and its use was not forgotten';
    $site->done;
}

# --- no table ---

{
    my $site = make_site(name => 'no table', conf => "AuthTokenTable 0\n")
        ->start;
    my $token = token_of($site);
    my $mark = $site->pg->log_mark;

    is $site->get('/api/', auth($token))->code, 200,
        "AuthTokenTable 0: request $_ is good" for 1 .. 3;
    is asked($site, $mark), 3, 'AuthTokenTable 0 asks each time';
    is $site->httoken('revoke', substr(sha256_hex($token), 0, 16))->{exit},
        0, 'the token is revoked';
    is $site->get('/api/', auth($token))->code, 401,
        'AuthTokenTable 0: the next request sees it';
    is scalar(() = $site->pg->statements(qr/revoked_at >= /, $mark)), 0,
        'AuthTokenTable 0: there is nothing to poll for';
    $site->done;
}

# --- whose verdict it is ---

{
    my $other = AuthnToken::Test->new(db => 'pgsql', name => 'other',
        conf => '');
    # One file for two hosts, of which the second has a database of its own.
    my $twice = AuthnToken::Process::temp_dir() . '/host.conf';
    AuthnToken::Conf::put($twice, <<"CONF");
<VirtualHost 127.0.0.1:\${HOST_PORT}>
    <IfDefine OTHER>
        DBDParams "@{[ $other->db_params ]}"
    </IfDefine>
</VirtualHost>
CONF
    my $site = make_site(name => 'hosts', conf => <<"CONF")->start;
Listen 127.0.0.1:\@\@PORT2\@\@
Listen 127.0.0.1:\@\@PORT3\@\@
Listen 127.0.0.1:\@\@PORT4\@\@
Listen 127.0.0.1:\@\@PORT5\@\@
Define HOST_PORT \@\@PORT4\@\@
Include "$twice"
Define HOST_PORT \@\@PORT5\@\@
Define OTHER
Include "$twice"
<VirtualHost 127.0.0.1:\@\@PORT2\@\@>
    ServerName other
    DBDParams "@{[ $other->db_params ]}"
</VirtualHost>
<IfModule mod_dbd.c>
    <VirtualHost 127.0.0.1:\@\@PORT3\@\@>
        ServerName same
        AuthTokenQueryTimeout 3s
    </VirtualHost>
</IfModule>
CONF
    my $get = sub {
        my ($port, $token) = @_;
        return $site->get($site->url('/api/', $site->port($port)),
            auth($token))->code;
    };
    my ($here, $there) = map {
        my ($text) = $_->httoken('create', 'carol')->{out} =~ /(\w+)/;
        $site->secret($text, 'token of carol');
    } $site, $other;

    is_deeply [ map { $get->(1, $there), $get->(2, $there) } 1 .. 3 ],
        [ (401, 200) x 3 ],
        'a token of the other database is good there and never here';
    is_deeply [ map { $get->(1, $here), $get->(2, $here) } 1 .. 3 ],
        [ (200, 401) x 3 ],
        'a token of this database is good here and never there';
    is_deeply [ map { $get->($_, $here), $get->($_, $there) } 4, 5 ],
        [ 200, 401, 401, 200 ],
        'hosts made by one file: each has its own database\'s tokens';
    is $get->(3, $there), 401, 'a host without DBD lines refuses the other';
    my $mark = $site->pg->log_mark;
    is $get->(3, $here), 200, 'a host without DBD lines takes ours';
    is asked($site, $mark), 0, 'two hosts with one database share a verdict';
    $other->discard;
    $site->done;
}

# --- children that are killed ---

{
    my $site = make_site(name => 'killed')->start;
    my @token = map { token_of($site) } 1 .. 8;
    my @load;

    for my $n (0 .. 3) {
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            # Each answer is written to the table. A killed child's
            # connection breaks: the next one.
            local $SIG{TERM} = 'DEFAULT';
            while (1) {
                eval {
                    my $connection = $site->connection;
                    for (1 .. 50) {
                        $connection->request('GET', '/never/',
                            { auth($token[ rand @token ]) }) or last;
                    }
                };
            }
            POSIX::_exit(0);
        }
        push @load, $pid;
    }
    for my $round (1 .. 10) {
        my @children = $site->child_pids;
        kill 'KILL', $children[ rand @children ];
        ok poll(sub { $site->get('/never/', auth($token[0]))->code == 200 },
            20), "round $round: a child is killed at work, others answer";
    }
    kill 'TERM', @load;
    waitpid $_, 0 for @load;

    for my $n (0 .. $#token) {
        is $site->get("/$_/", auth($token[$n]))->code, 200,
            "token $n is still good at /$_/" for qw(never api);
        # What the load had under way may still be asked for.
        ok poll(sub {
            my $mark = $site->pg->log_mark;
            return $site->get('/api/', auth($token[$n]))->code == 200
                && !asked($site, $mark);
        }, 10), "token $n: the table still keeps it";
    }
    $site->done;
}

# --- what does not fit ---

{
    my $site = make_site(name => 'large')->start;
    my $small = token_of($site);
    my $large = token_of($site);
    my $like = substr(sha256_hex($large), 0, 16);
    my $scope = 's' x 400;
    my %told;

    $site->dbh->do('UPDATE auth_token SET scope = ? WHERE digest LIKE ?', {},
        $scope, "$like%");
    $site->expect_log(qr/token $like is not kept in the table: /);
    my $mark = $site->pg->log_mark;
    for (1 .. 6) {
        like $site->get('/api/pid', auth($large))->content,
            qr/^AUTHENTICATE_TOKEN_SCOPE=$scope$/m,
            "a record of 400 bytes is served whole, time $_";
    }
    is asked($site, $mark), 6, 'it is asked of the database each time';
    for ($site->log_lines(qr/is not kept in the table/)) {
        $told{$1}++ if /\[pid (\d+)/;
    }
    is_deeply [ grep { $_ != 1 } values %told ], [],
        'a child warns of it once';
    $site->get('/api/', auth($small)) for 1 .. 2;
    is asked($site, $mark), 7, 'others are kept all the same';
    $site->done;
}

# --- a full table ---

{
    my $site = make_site(name => 'full', conf => "AuthTokenTable 8\n")
        ->start;
    my @token = map { token_of($site) } 1 .. 12;
    my $mark = $site->pg->log_mark;

    for my $round (1 .. 2) {
        is_deeply [ grep { $_ != 200 }
            map { $site->get('/api/', auth($_))->code } @token ], [],
            "round $round: more tokens than slots are good all the same";
    }
    cmp_ok asked($site, $mark), '>', 12, 'but cannot all be kept';
    $site->done;
}

finish();
