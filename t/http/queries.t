# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Statements of one's own: AuthTokenUserQuery, which says who may use tokens,
# and AuthTokenQuery, which replaces any.  What apr_dbd would stumble over is
# refused before it runs.
# profiles: sqlite3-event pgsql-event sqlite3-event-asan
use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Test::More;

my $user_query = 'AuthTokenUserQuery "SELECT 1 FROM person'
    . ' WHERE name = %s AND active = 1"';

syntax();
users();
asked();
replaced();
finish();

# --- what may be written ---

sub syntax {
    my $site = AuthnToken::Test->new(name => 'syntax', conf => '',
        htaccess => { map { ("h/$_" => qq($_ "SELECT %s"\n)) }
            qw(AuthTokenUserQuery) });
    my $check = sub {
        my ($text) = @_;
        $site->conf($text);
        my ($exit, $out) = $site->configtest;
        $out =~ s/\s+/ /g;
        return ($exit, $out);
    };
    for my $good ($user_query, 'AuthTokenUserQuery none',
        q(AuthTokenQuery user "SELECT 1 FROM p WHERE n LIKE '%%a' AND n = %s"),
        'AuthTokenQuery POLL none', 'AuthTokenQuery touch None',
        'AuthTokenQuery list "SELECT %s, %s, %s"',
        "<VirtualHost 127.0.0.1:\@\@PORT\@\@>\n$user_query\n</VirtualHost>") {
        my ($exit, $out) = $check->("$good\n");
        is $exit, 0, "good: $good" or diag $out;
    }
    my @bad = (
        [ 'AuthTokenUserQuery "SELECT 1"' => qr/AuthTokenUserQuery "SELECT 1": needs exactly 1 parameter %s, each/ ],
        [ 'AuthTokenUserQuery "SELECT %s, %s"' => qr/needs exactly 1 parameter %s/ ],
        [ 'AuthTokenUserQuery "SELECT %d"' => qr/needs exactly 1 parameter %s/ ],
        [ 'AuthTokenUserQuery "SELECT %s %"' => qr/needs exactly 1 parameter %s/ ],
        [ 'AuthTokenUserQuery' => qr/AuthTokenUserQuery takes one argument/ ],
        [ 'AuthTokenQuery validate none' => qr/AuthTokenQuery "none": this statement cannot be left out/ ],
        [ 'AuthTokenQuery issue "INSERT %s"' => qr/needs exactly 9 parameters %s/ ],
        [ 'AuthTokenQuery forget "DELETE"' => qr/AuthTokenQuery "forget": is no statement; they are validate, user, password, issue, / ],
        [ 'AuthTokenQuery user' => qr/AuthTokenQuery takes two arguments/ ],
        [ "<Location /x/>\n$user_query\n</Location>" => qr/AuthTokenUserQuery not allowed (?:here|in <Location> context)/ ],
        [ "<Location /x/>\nAuthTokenQuery poll none\n</Location>" => qr/AuthTokenQuery not allowed (?:here|in <Location> context)/ ],
    );
    for my $bad (@bad) {
        my ($exit, $out) = $check->("$bad->[0]\n");
        isnt $exit, 0, "refused: $bad->[0]";
        like $out, $bad->[1], '... with its message';
    }
    $site->conf("<Directory \"\@\@DOCROOT\@\@/h\">\nAllowOverride All\n"
        . "</Directory>\n");
    $site->start;
    $site->expect_log(qr/AuthTokenUserQuery not allowed here/);
    is $site->get('/h/AuthTokenUserQuery/')->code, 500,
        'in .htaccess it is an error';
    $site->log_like(qr/AuthTokenUserQuery not allowed here/, 'the log says so');
    $site->done;
    return;
}

# --- who may use tokens ---

sub users {
    my $site = AuthnToken::Test->new(name => 'users', conf => <<"CONF"
$user_query
<LocationMatch "^/(?:fresh|kept)/">
    AuthType Token
    Require valid-user
</LocationMatch>
AliasMatch "^/(?:fresh|kept)/\$" "\@\@DOCROOT\@\@/api/index.html"
<Location "/fresh/">
    AuthTokenCacheTTL 0
</Location>
<Location "/kept/">
    AuthTokenCacheTTL 3s
</Location>
Listen 127.0.0.1:\@\@PORT2\@\@
<VirtualHost 127.0.0.1:\@\@PORT2\@\@>
    AuthTokenUserQuery "SELECT 1 FROM person WHERE name = %s AND active < 2"
</VirtualHost>
CONF
        . AuthnToken::Conf::default_text(1))->start;
    $site->dbh->do('CREATE TABLE person (name text, active integer)');
    grant($site);
    $site->dbh->do("INSERT INTO person VALUES ('alice', 1), ('bob', 0)");
    my $set = sub {
        $site->dbh->do('UPDATE person SET active = ? WHERE name = ?', undef,
            $_[1], $_[0]);
    };

    my $wrong = log_in($site, 'bob', 'wrong');
    my $inactive = log_in($site, 'bob', 'builder');
    is $inactive->code, 400, 'a login of an inactive user is refused';
    is $inactive->content, $wrong->content, '... as a wrong password is';
    $site->log_like(qr/:info\].* login of user bob refused: inactive/,
        'the log says why');
    is log_in($site, 'admin', 'whatever')->code, 400,
        'so is that of a user without a row';
    is $site->dbh->selectrow_array('SELECT count(*) FROM auth_token'), 0,
        'no token was made';

    my $token = $site->login('alice', 'wonder-land')->{token};
    my %auth = auth($token);
    my $other = $site->url('/fresh/', $site->port(2));
    my $code = sub { $site->get($_[0], %auth)->code };
    is $code->($_), 200, "$_: an active one's is good" for qw(/fresh/ /kept/);
    $set->('alice', 0);
    my $refused = $site->get('/fresh/', %auth);
    is $refused->code, 401, 'no cache: the next request is refused';
    like $refused->header('WWW-Authenticate'),
        qr/error="invalid_token", error_description="The token is unknown, /,
        '... as any bad token is';
    $site->log_like(qr/:info\].* of user alice refused: inactive/,
        'the log says why');
    is $code->($other), 200,
        'a host with a query of its own has a verdict of its own';
    ok poll(sub { $code->('/kept/') == 401 }, 10),
        'a kept verdict ends within AuthTokenCacheTTL';
    $set->('alice', 1);
    is $code->('/fresh/'), 200, 'active again: good again';
    ok poll(sub { $code->('/kept/') == 200 }, 10),
        '... and where the refusal was kept after a few seconds';
    $site->dbh->do("DELETE FROM person WHERE name = 'alice'");
    is $code->('/fresh/'), 401, 'without a row he is inactive';

    # A query that fails is a database that fails.
    $site->dbh->do('DROP TABLE person');
    $site->allow_log(qr/the token database (?:does not answer|answers again)/);
    is $code->('/fresh/'), 503, 'its table gone: 503, never 401';
    is log_in($site, 'alice', 'wonder-land')->code, 503,
        '... nor a token';
    $site->log_like(qr/token database does not answer: .*person/,
        'the log names what is missing');
    $site->done;
    return;
}

# What tells by its time whether it was asked must be asked of all.
sub asked {
    my $site = AuthnToken::Test->new(name => 'asked', conf => <<"CONF"
AuthTokenUserQuery "INSERT INTO asked (name) VALUES (%s) RETURNING name"
CONF
        . AuthnToken::Conf::default_text(1))->start;
    my $dbh = $site->dbh;
    my $check = sub {
        my ($name, $password, $code, $times, $what) = @_;
        $dbh->do('DELETE FROM asked');
        is log_in($site, $name, $password)->code, $code, $what;
        is_deeply $dbh->selectcol_arrayref('SELECT name FROM asked'),
            [ ($name) x $times ], '... and is asked about'
            . ($times ? ' once' : ' by nobody');
    };

    $dbh->do('CREATE TABLE asked (name text)');
    $dbh->do('GRANT INSERT, SELECT ON asked TO PUBLIC')
        if $dbh->{Driver}{Name} eq 'Pg';
    $check->('alice', 'wonder-land', 200, 1, 'a right password is good');
    $check->('alice', 'wrong', 400, 1, 'a wrong one is refused');
    $check->('nobody', 'wonder-land', 400, 1, 'an unknown user is refused');
    $check->('x' x 256, 'wrong', 400, 0, 'too long a name is refused');
    $check->("a\nb", 'wrong', 400, 0, 'one with a line feed is refused');

    # What a wrong password gets does not depend on it.
    $dbh->do('DROP TABLE asked');
    $site->allow_log(qr/the token database (?:does not answer|answers again)/);
    is log_in($site, 'alice', 'wrong')->code, 400,
        'a query that fails makes no wrong password a 503';
    $site->log_like(qr/token database does not answer: .*asked/,
        'though it was asked');
    $site->done;
    return;
}

sub log_in {
    my ($site, $username, $password) = @_;
    return $site->request('POST', '/api-token-auth/', {},
        { username => $username, password => $password });
}

# httpd's role may not be the table's owner.
sub grant {
    my ($site) = @_;
    $site->dbh->do('GRANT SELECT ON person TO PUBLIC')
        if $site->dbh->{Driver}{Name} eq 'Pg';
    return;
}

# --- statements in place of ours ---

sub replaced {
    my $pg = AuthnToken::Test::database() eq 'pgsql';
    my $columns = $pg ? <<'SQL' : <<'SQL';
SELECT left(digest, 16), 'x-' || username, client, 'all', '', 1, 4102444800,
NULL, NULL, NULL, family, 0, username <> 'bob' FROM auth_token WHERE digest = %s
SQL
SELECT substr(digest, 1, 16), 'x-' || username, client, 'all', '', 1,
4102444800, NULL, NULL, NULL, family, 0, username <> 'bob' FROM auth_token
WHERE digest = %s
SQL
    $columns =~ s/\s+/ /g;
    my $site = AuthnToken::Test->new(name => 'replaced', conf => <<"CONF"
AuthTokenQuery validate "$columns"
AuthTokenQuery poll none
AuthTokenQuery touch none
AuthTokenQuery purge none
AuthTokenQuery purge-revoked none
AuthTokenQuery evict none
AuthTokenCacheTTL 0
AuthTokenFlushInterval 1s
<Location "/whoami/">
    AuthType Token
    Require valid-user
    RewriteEngine On
    RewriteRule . - [E=WHO:%{LA-U:REMOTE_USER}]
    Header set X-User "expr=%{REMOTE_USER}"
    Header set X-Scope "expr=%{reqenv:AUTHENTICATE_TOKEN_SCOPE}"
</Location>
AliasMatch "^/whoami/\$" "\@\@DOCROOT\@\@/api/index.html"
CONF
        . AuthnToken::Conf::default_text(1))->start;
    my $alice = $site->login('alice', 'wonder-land')->{token};
    my $answer = $site->get('/whoami/', auth($alice));
    is $answer->code, 200, 'a validate of one\'s own is asked';
    is $answer->header('X-User'), 'x-alice', '... the user is of its row';
    is $answer->header('X-Scope'), 'all', '... and the scope';
    my $bob = $site->login('bob', 'builder')->{token};
    is $site->get('/whoami/', auth($bob))->code, 401,
        'its thirteenth column false: refused';
    $site->log_like(qr/of user x-bob refused: inactive/, '... as inactive');
    is $site->get('/whoami/', auth($alice))->code, 200, 'others are good';
    $site->done;
    return;
}
