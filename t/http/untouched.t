# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event
#
# Which of SQLite's databases get tables: those that a line about tokens needs,
# whoever else mod_dbd is there for.  What was in a file before stays as it is.
use strict;
use warnings;

use AuthnToken::Conf ();
use AuthnToken::Process qw(poll);
use AuthnToken::Server ();
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use DBI ();
use Test::More;

my $default = AuthnToken::Conf::default_text(1);

sub lite {
    my ($path) = @_;
    return DBI->connect("dbi:SQLite:dbname=$path", '', '', { RaiseError => 1,
        PrintError => 0, AutoCommit => 1, AutoInactiveDestroy => 1 });
}

# A site and its database, which another application has.
sub site {
    my ($name, $conf) = @_;
    my $site = AuthnToken::Test->new(name => $name, conf => $conf);
    for my $path ($site->db_params, $site->tmp . '/db/second.db') {
        lite($path)->do('CREATE TABLE notes (text)');
        AuthnToken::Process::own(AuthnToken::Server::user(), $path);
    }
    return $site->start;
}

# tables($path): its tables, and the journal's mode.
sub tables {
    my ($path) = @_;
    my $dbh = lite($path);
    return join ' ', $dbh->selectrow_array('PRAGMA journal_mode'),
        @{ $dbh->selectcol_arrayref(q{SELECT name FROM sqlite_master
            WHERE type = 'table' ORDER BY name}) };
}

# missed($site): how often the poll found no table.
sub missed {
    my ($site) = @_;
    return scalar(() = $site->log->lines('error',
        qr/token database, attempt 1: no such table/));
}

my $theirs = 'delete notes';
my $both = 'delete auth_token auth_token_event notes';

for my $case ([ 'no line of ours', '' ],
    [ 'the provider django', <<'CONF' ],
<Location "/api/">
    AuthType Basic
    AuthName "api"
    AuthBasicProvider django
    Require valid-user
</Location>
CONF
    [ 'what is not about tokens', <<'CONF' ]) {
AuthTokenUnknownHash \
    "$2y$05$d8eKY8nVLNCzRbpR4vAvT.mOZlSkOEPGbAOvXSwPXkcyQVBvfKNqK"
<Location "/api/">
    Require user token
    SetHandler tokens
</Location>
CONF
    my ($name, $conf) = @$case;
    my $site = site($name, $conf);
    $site->get('/');
    ok poll(sub { missed($site) }, 20), "$name: the poll finds nothing";
    $site->stop;
    is tables($site->db_params), $theirs, "$name: nothing is made";
    $site->done;
}
for my $line ('AuthTokenPrefix abc', 'SetHandler token-manage',
    'Require token-client x', 'AuthType token', 'AuthBasicProvider token') {
    my $site = site($line, $line =~ /^AuthToken/ ? "$line\n"
        : "<Location /x>\n$line\n</Location>\n");
    is tables($site->db_params), $both,
        "$line: makes the tables, and leaves the journal as it is";
    $site->done;
}

# --- the poll ---

{
    my $site = AuthnToken::Test->new(name => 'poll', conf => '', htaccess => {
        api => "AuthType Token\nAuthName api\nRequire valid-user\n" })->start;
    my $code = sub { $site->get('/api/', auth($_[0]))->code };

    ok poll(sub { missed($site) > 10 }, 20), 'poll: there is no table';
    # A look for dead rows may miss it, too.
    ok !poll(sub { missed($site) > 12 }, 4), 'poll: it is sought seldom then';
    is $site->httoken('init')->{exit}, 0, 'poll: it is made';
    my ($token) = $site->httoken('create', 'alice')->{out} =~ /(tok_\w+)/;
    $site->secret($token, 'token of alice');
    is $code->($token), 200, 'poll: a token is used';
    is $site->httoken('revoke', '--user', 'alice')->{exit}, 0,
        'poll: and revoked';
    ok poll(sub { $code->($token) == 401 }, 5),
        'poll: which counts at once all the same';
    $site->done;
}

# --- virtual hosts ---

my $listen = 'Listen 127.0.0.1:@@PORT2@@' . "\n"
    . '<VirtualHost 127.0.0.1:@@PORT2@@>' . "\n" . 'DocumentRoot "@@DOCROOT@@"'
    . "\n";
my $own = 'DBDParams "@@TMP@@/db/second.db"' . "\n";
for my $case (
    [ 'a host with its own', "$listen$own$default</VirtualHost>\n", 0, 1 ],
    [ 'a host with none', "$listen$default</VirtualHost>\n", 1, 0 ],
    [ 'all hosts', "$default$listen$own</VirtualHost>\n", 1, 1 ]) {
    my ($name, $conf, @made) = @$case;
    my $site = site($name, $conf);
    my @found = map { tables($_) } $site->db_params,
        $site->tmp . '/db/second.db';
    is_deeply \@found, [ map { $_ ? $both : $theirs } @made ],
        "$name: tables are where tokens are";
    $site->done;
}

# --- a URI ---

{
    my $site = AuthnToken::Test->new(name => 'URI', conf =>
        'DBDParams "file:@@TMP@@/db/uri.db"' . "\n$default")->start;
    my $path = $site->tmp . '/db/uri.db';
    like tables($path), qr/^wal auth_token /, 'URI: a new file is a WAL';
    is sprintf('%o', (stat $path)[2] & 07777), '640',
        'URI: and is kept from other eyes';
    ok $site->login('alice', 'wonder-land')->{token}, 'URI: and has tokens';
    $site->done;
}
finish();
