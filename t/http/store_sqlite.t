# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event sqlite3-prefork sqlite3-event-asan
#
# SQLite's file: made when it is missing, kept from other eyes, shared with
# other applications and connections, locked, lost and found again; and each
# virtual host has the tokens of its own file only.
use strict;
use warnings;

use AuthnToken::Conf ();
use AuthnToken::Process ();
use AuthnToken::Server ();
use AuthnToken::Test;
use DBI ();
use Digest::SHA qw(sha1);
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(time);

my $down = qr/\[authn_token:error\] .*
    token\ database\ (?:does\ not\ answer|stores\ no\ token):\ /x;
my $up = qr/\[authn_token:notice\] .* token database answers again/;
my $owner = AuthnToken::Server::user();

# A site with one password, that of alice.
sub site {
    my (%arg) = @_;
    # Each check is to reach the database.
    my $conf = "AuthTokenTable 0\n"
        . ($arg{conf} // AuthnToken::Conf::default_text(1));
    return AuthnToken::Test->new(db => 'sqlite3', %arg, conf => $conf);
}

sub header { return (Authorization => "Token $_[0]") }

sub login { return $_[0]->login('alice', 'wonder-land')->{token} }

sub try_login {
    my ($site, $port) = @_;
    return $site->post($site->url('/api-token-auth/', $port),
        { username => 'alice', password => 'wonder-land' });
}

# codes($site, $token, $n): the statuses of so many checks at once, so that
# several children are asked; { status => how many }
sub codes {
    my ($site, $token, $n) = @_;
    my %count;
    my @connections = map { $site->connection } 1 .. ($n // 12);

    for my $connection (@connections) {
        $connection->write("GET /api/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            . "Authorization: Token $token\r\nConnection: close\r\n\r\n");
    }
    for my $connection (@connections) {
        my $response = $connection->read('GET', 20);
        $count{ $response ? $response->code : 'none' }++;
        $connection->close;
    }
    # A request later all of them are through in the server as well: event
    # may crash when it is told to stop while it closes many.
    $site->get('/');
    return \%count;
}

# fixed_mpm: children that neither come nor go.
sub fixed_mpm {
    return <<'CONF' if AuthnToken::Test::mpm() eq 'prefork';
StartServers 8
MinSpareServers 1
MaxSpareServers 8
ServerLimit 8
MaxRequestWorkers 8
CONF
    return <<'CONF';
StartServers 2
ServerLimit 2
ThreadsPerChild 8
MinSpareThreads 1
MaxSpareThreads 16
MaxRequestWorkers 16
CONF
}

sub file_mode { return (stat $_[0])[2] & 07777 }
sub file_owner { return scalar getpwuid((stat $_[0])[4]) }

sub lite {
    my ($path) = @_;
    return DBI->connect("dbi:SQLite:dbname=$path", '', '', { RaiseError => 1,
        PrintError => 0, AutoCommit => 1, AutoInactiveDestroy => 1 });
}

# --- made at start-up ---

{
    my $site = site(name => 'missing file');
    my $file = $site->db_params;
    ok !-e $file, 'missing: there is no file before';
    $site->start;
    ok -s $file, 'missing: httpd makes it when it starts';
    $site->log_like(qr/\[authn_token:info\] .* table auth_token made in /,
        'missing: and says so');
    is scalar(my @made = $site->log_lines(qr/table auth_token made in/)), 1,
        'missing: one process makes it';
    my $token = login($site);
    is_deeply codes($site, $token), { 200 => 12 }, 'missing: tokens work';
    for my $path ($file, "$file-wal", "$file-shm") {
        (my $end = $path) =~ s{.*/}{};
        ok -e $path, "missing: $end is there";
        is file_mode($path) & 0137, 0,
            "missing: $end is for its owner, and read by its group, alone";
        is file_owner($path), $owner // scalar(getpwuid $>),
            "missing: $end belongs to httpd's user";
    }
    my ($mode) = $site->dbh->selectrow_array('PRAGMA journal_mode');
    is $mode, 'wal', 'missing: its journal is a WAL';
    is $site->dbh->selectrow_array(
        'SELECT typeof(expires_at) FROM auth_token'), 'integer',
        'missing: times are integers';
    my ($text) = AuthnToken::Process::slurp($file)
        . AuthnToken::Process::slurp("$file-wal");
    unlike $text, qr/\Q$token\E|wonder-land/,
        'missing: neither token nor password is in its bytes';
    $site->restart;
    is_deeply codes($site, $token), { 200 => 12 },
        'missing: tokens survive a restart';
    $site->done;
}
{
    my $site = site(name => 'empty file', files => { 'db/tokens.db' => '' });
    AuthnToken::Process::own($owner, $site->db_params);
    $site->start;
    is_deeply codes($site, login($site)), { 200 => 12 },
        'an empty file gets the table';
    is file_mode($site->db_params) & 0137, 0, 'and is kept from other eyes';
    $site->done;
}
{
    my $site = site(name => 'a file that is used');
    my $dbh = $site->dbh;
    $dbh->do('CREATE TABLE notes (text)');
    $dbh->do(q{INSERT INTO notes VALUES ('milk')});
    $dbh->disconnect;
    chmod 0660, $site->db_params;
    $site->start;
    is_deeply codes($site, login($site)), { 200 => 12 },
        "another application's file gets the table, too";
    is_deeply $site->dbh->selectcol_arrayref('SELECT text FROM notes'),
        ['milk'], 'what the application has in it stays';
    is file_mode($site->db_params), 0660, 'and so does its mode';
    $site->done;
}

# --- changed, dropped and locked by others ---

{
    my $site = site(name => 'changes', mpm_conf => fixed_mpm(),
        conf => "DBDMin 8\nDBDKeep 8\nDBDMax 9\n"
            . AuthnToken::Conf::default_text(1));
    $site->start;
    my $token = login($site);
    my $dbh = $site->dbh;
    is_deeply codes($site, $token), { 200 => 12 },
        'changes: all children are warm';
    for my $change ('CREATE INDEX other ON auth_token (client)',
        'ALTER TABLE auth_token ADD COLUMN note text',
        'CREATE TABLE another (x)', 'DROP INDEX other', 'VACUUM', 'ANALYZE',
        'ALTER TABLE auth_token DROP COLUMN note') {
        $dbh->do($change);
        is_deeply codes($site, $token), { 200 => 12 },
            "$change: no check fails";
        is try_login($site)->code, 200, "$change: nor does a login";
    }
    $site->log_unlike($down, 'changes: the database was never seen as down');

    $site->allow_log($down, $up);
    $dbh->do('ALTER TABLE auth_token RENAME TO away');
    is_deeply codes($site, $token), { 503 => 12 },
        'renamed away: checks are 503, not 401';
    my $response = $site->get('/api/', header($token));
    is $response->header('Retry-After'), '2', 'renamed away: Retry-After';
    is $response->header('WWW-Authenticate'), undef,
        'renamed away: no challenge';
    $site->log_like(qr/$down.*no such table: auth_token/,
        'renamed away: the log has the cause');
    is try_login($site)->code, 503, 'renamed away: a login is 503';
    $dbh->do('ALTER TABLE away RENAME TO auth_token');
    is_deeply codes($site, $token), { 200 => 12 },
        'renamed back: good without a restart';
    $site->log_like($up, 'renamed back: the log says so');

    $dbh->do('DROP TABLE auth_token');
    is $site->get('/api/', header($token))->code, 503, 'dropped: 503';
    is $site->httoken('init')->{exit}, 0, 'dropped: httoken init remakes it';
    is $site->get('/api/', header($token))->code, 401,
        'remade: the token that was lost is refused';
    is_deeply codes($site, login($site)), { 200 => 12 },
        'remade: a new one is good, without a restart';
    $site->done;
}
{
    # Each request opens a connection of its own, as a pool that grows does.
    my $site = site(name => 'later connections', mpm_conf => fixed_mpm(),
        conf => "DBDPersist Off\n" . AuthnToken::Conf::default_text(1));
    $site->allow_log($down, $up);
    $site->start;
    my $token = login($site);
    is_deeply codes($site, $token), { 200 => 12 },
        'later connections: checks are good';
    my $dbh = $site->dbh;
    $dbh->do('ALTER TABLE auth_token RENAME TO away');
    is_deeply codes($site, $token), { 503 => 12 },
        'later connections: a table renamed away is 503, not 401';
    is $dbh->selectrow_array(q{SELECT count(*) FROM sqlite_master
        WHERE name = 'auth_token'}), 0,
        'later connections: none of them makes an empty one';
    $dbh->do('DROP TABLE IF EXISTS auth_token');
    $dbh->do('ALTER TABLE away RENAME TO auth_token');
    is_deeply codes($site, $token), { 200 => 12 },
        'later connections: good when it is back';
    $site->done;
}
for my $mode (qw(wal delete)) {
    my $site = site(name => "locked, $mode");
    if ($mode eq 'delete') {
        # As an administrator may have it who made the file himself.
        my $sql = $site->httoken('init', '--print')->{out};
        my $dbh = $site->dbh;
        $dbh->do($_) for grep { /\S/ } split /;/, $sql;
        $dbh->disconnect;
    }
    $site->allow_log($down, $up);
    $site->start;
    my $token = login($site);
    my $dbh = $site->dbh;
    is $dbh->selectrow_array('PRAGMA journal_mode'), $mode,
        "$mode: the file is in this mode";

    my $lock = sub { $dbh->do('BEGIN EXCLUSIVE') };
    $lock->();
    my $check = $site->connection;
    my $login = $site->connection;
    $check->write("GET /api/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        . "Authorization: Token $token\r\n\r\n");
    my $body = '{"username":"alice","password":"wonder-land"}';
    $login->write("POST /api-token-auth/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        . "Content-Type: application/json\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body");
    is $login->read('POST', 0.4), undef, "$mode: a login waits for the lock";
    if ($mode eq 'wal') {
        is $check->read('GET', 5)->code, 200,
            'wal: a check does not even wait';
        $dbh->do('ROLLBACK');
    }
    else {
        is $check->read('GET', 0), undef, 'delete: so does a check';
        $dbh->do('ROLLBACK');
        is $check->read('GET', 5)->code, 200, 'delete: and is good after it';
    }
    is $login->read('POST', 5)->code, 200, "$mode: a login is good after it";

    $lock->();
    my $start = time;
    my $response = $mode eq 'wal' ? try_login($site)
        : $site->get('/api/', header($token));
    is $response->code, 503, "$mode: a lock that stays is 503, not 401";
    is $response->header('Retry-After'), '2', "$mode: with Retry-After";
    cmp_ok time - $start, '<', 3, "$mode: and the wait has an end";
    note sprintf '%s: %.2f s', $mode, time - $start;
    $site->log_like(qr/$down.*(?:locked|busy)/, "$mode: the log has the cause");
    $dbh->do('ROLLBACK');
    is_deeply codes($site, $token), { 200 => 12 }, "$mode: then good again";
    is try_login($site)->code, 200, "$mode: and so is a login";
    if ($mode eq 'delete') {
        # The table cannot even be looked for.
        my $again = qr/resuming normal operations/;
        my $count = $site->log_lines($again);
        $lock->();
        kill 'USR1', $site->pid;
        ok AuthnToken::Process::poll(sub {
            $site->log_lines(qr/waits for the lock of /) }, 10),
            'delete: a restart waits for the lock';
        $dbh->do('ROLLBACK');
        ok AuthnToken::Process::poll(sub {
            $site->log_lines($again) > $count }, 10),
            'delete: and goes on, without a complaint, after it';
    }
    $site->done;
}

# --- another file in its place ---

{
    # One child with one connection, which mod_authn_dbd uses, too: its
    # statements must be those of the new file, as well.
    my $one = AuthnToken::Test::mpm() eq 'prefork' ? "StartServers 1\n"
        . "MinSpareServers 1\nMaxSpareServers 1\nMaxRequestWorkers 1\n"
        : "StartServers 1\nServerLimit 1\nThreadsPerChild 8\n"
        . "MinSpareThreads 1\nMaxSpareThreads 8\nMaxRequestWorkers 8\n";
    my $site = site(name => 'replaced', mpm_conf => $one, conf =>
        "AuthTokenPollInterval 0\nDBDMin 1\nDBDKeep 1\nDBDMax 1\n"
        . "DBDInitSQL \"PRAGMA synchronous = NORMAL\"\n"
        . AuthnToken::Conf::default_text(1) . <<'CONF');
<Location "/stock/">
    AuthType Basic
    AuthName "stock"
    AuthBasicProvider dbd
    AuthDBDUserPWQuery "SELECT password FROM users WHERE username = %s"
    Require valid-user
</Location>
Alias "/stock" "@@DOCROOT@@/api"
CONF
    $site->allow_log(qr{AH00161: server reached MaxRequestWorkers});
    my $stock = sub { return $site->get('/stock/', Authorization => 'Basic '
        . encode_base64("$_[0]:wonder-land", ''))->code };
    my $add = sub { $site->dbh->do('INSERT INTO users VALUES (?, ?)', {},
        $_[0], '{SHA}' . encode_base64(sha1('wonder-land'), '')) };
    my $file = $site->db_params;

    $site->dbh->do('CREATE TABLE users (username, password)');
    $add->('alice');
    $site->start;
    my $token = login($site);
    is $stock->('alice'), 200, 'replaced: mod_authn_dbd lets in before';
    for my $round (1 .. 3) {
        $site->dbh->do("VACUUM INTO '$file.copy'");
        AuthnToken::Process::own($owner, "$file.copy");
        unlink "$file-wal", "$file-shm";
        rename "$file.copy", $file or die "$file: $!\n";
        $add->("user$round");
        is_deeply codes($site, $token), { 200 => 12 },
            "replaced, round $round: a token is good";
        is $stock->("user$round"), 200,
            "replaced, round $round: mod_authn_dbd asks the new one";
        my $late = login($site);
        is $site->dbh->selectrow_array('SELECT count(*) FROM auth_token'),
            1 + $round, "replaced, round $round: a login writes to it";
        is_deeply codes($site, $late), { 200 => 12 },
            "replaced, round $round: its token is good";
    }
    unlink $file, "$file-wal", "$file-shm";
    is $site->get('/api/', header($token))->code, 503,
        'removed: a check is 503, not 401';
    is try_login($site)->code, 503, 'removed: a login is 503';
    $site->allow_log($down);
    $site->log_like(qr/$down.*the file \Q$file\E is not there/,
        'removed: the log says so');
    $site->done;
}

# --- places where httpd cannot write ---

SKIP: {
    skip 'only root starts httpd as another user', 10 if $> != 0;
    my $site = site(name => 'unwritable directory');
    my $dir = $site->tmp . '/conf/db';
    mkdir $dir, 0755 or die "$dir: $!\n";
    $site->conf(qq{DBDParams "$dir/tokens.db"\n}
        . AuthnToken::Conf::default_text(1));
    $site->allow_log(qr/\[dbd:(?:error|crit)\] .* AH0(?:062|063|265)/, $down);
    ok $site->start, 'unwritable directory: httpd starts';
    is try_login($site)->code, 503, 'unwritable directory: a login is 503';
    is $site->get('/')->code, 200, 'unwritable directory: the rest is served';
    $site->log_like(qr/$down/, 'unwritable directory: the log says so');
    $site->expect_log(qr/authn_token:error\] .* cannot make the table auth_token /
        . "in \Q$dir\E/tokens.db: unable to open database file; the file and "
        . "its directory must be writable for httpd's user");
    $site->log_like(qr/AH0062[89]: .*(?:unable to open database file|Can)/,
        "unwritable directory: with the cause in mod_dbd's line");
    ok !-e "$dir/tokens.db", 'unwritable directory: no file is made';

    # Once it is right, no restart is needed.
    AuthnToken::Process::own($owner, $dir);
    ok AuthnToken::Process::poll(sub { try_login($site)->code == 200 }, 2),
        'made writable: a login is good within 2 s';
    $site->allow_log($up);
    $site->done;

    $site = site(name => 'unwritable file');
    $dir = $site->tmp . '/conf/db';
    mkdir $dir, 0755 or die "$dir: $!\n";
    my $dbh = lite("$dir/tokens.db");
    $dbh->do('CREATE TABLE notes (text)');
    $dbh->disconnect;
    $site->conf(qq{DBDParams "$dir/tokens.db"\n}
        . AuthnToken::Conf::default_text(1));
    $site->allow_log($down);
    my $cannot = qr/\[authn_token:error\] .* cannot make the table auth_token
        \ in\ \Q$dir\E.* must\ be\ writable\ for\ httpd's\ user/x;
    my $start = time;
    ok $site->start, 'unwritable file: httpd starts';
    note sprintf 'unwritable file: started after %.2f s', time - $start;
    $site->expect_log(qr/cannot make the table auth_token in \Q$dir\E/);
    is try_login($site)->code, 503, 'unwritable file: a login is 503';
    $site->log_like(qr/cannot make the table auth_token in \Q$dir\E.*; the file and its directory must be writable for httpd's user/,
        'unwritable file: the log names the file and the cure');
    $site->done;
}

# --- httoken beside httpd ---

SKIP: {
    skip 'only root can run httoken as root', 8 if $> != 0;
    my $site = site(name => 'httoken as root');
    my @root = ({ user => undef });
    is $site->httoken('init', @root)->{exit}, 0,
        'httoken as root: init makes the file before httpd starts';
    my ($early) = $site->httoken('create', 'carol', @root)->{out} =~ /(tok_\w+)/;
    $site->secret($early, 'token of carol');
    $site->start;
    is_deeply codes($site, $early), { 200 => 12 },
        'httoken as root: its token is good';
    is try_login($site)->code, 200, 'httoken as root: httpd can write';
    my ($late) = $site->httoken('create', 'dave', @root)->{out} =~ /(tok_\w+)/;
    $site->secret($late, 'token of dave');
    is_deeply codes($site, $late), { 200 => 12 },
        'httoken as root: a token made while httpd runs is good';
    is $site->httoken('revoke', '--user', 'dave', @root)->{exit}, 0,
        'httoken as root: revokes it';
    is_deeply codes($site, $late), { 401 => 12 },
        'httoken as root: which counts at once';
    is try_login($site)->code, 200, 'httoken as root: httpd can still write';
    my $file = $site->db_params;
    is_deeply [ map { file_owner($_) } $file, "$file-wal", "$file-shm" ],
        [ ($owner) x 3 ], 'httoken as root: leaves nothing of root behind';
    $site->done;
}

# --- virtual hosts ---

{
    my $site = site(name => 'hosts', conf =>
        AuthnToken::Conf::default_text(1) . <<'CONF');
Listen 127.0.0.1:@@PORT2@@
Listen 127.0.0.1:@@PORT3@@
<VirtualHost 127.0.0.1:@@PORT2@@>
    DocumentRoot "@@DOCROOT@@"
    DBDriver sqlite3
    DBDParams "@@TMP@@/db/second.db"
</VirtualHost>
<VirtualHost 127.0.0.1:@@PORT3@@>
    DocumentRoot "@@DOCROOT@@"
</VirtualHost>
CONF
    $site->start;
    my @token = (undef, map { my $port = $site->port($_);
        $site->login('alice', 'wonder-land',
            path => $site->url('/api-token-auth/', $port))->{token} } 1 .. 3);
    my $code = sub {
        my ($host, $token) = @_;
        return $site->get($site->url('/api/', $site->port($host)),
            header($token))->code;
    };
    is $code->(1, $token[1]), 200, 'hosts: a token of the first is good there';
    is $code->(2, $token[2]), 200, "hosts: the second's is good there";
    is $code->(1, $token[2]), 401, "hosts: the first does not know the second's";
    is $code->(2, $token[1]), 401, "hosts: nor the second the first's";
    is $code->(3, $token[1]), 200,
        'hosts: one without DBDriver of its own has the main server\'s tokens';
    is $code->(1, $token[3]), 200, 'hosts: and issues into them';
    is $code->(2, $token[3]), 401, "hosts: which the second does not know";
    # The same again, when all have been asked for.
    is_deeply [ map { my $host = $_; map { $code->($host, $token[$_]) }
        1 .. 3 } 1 .. 3 ], [ 200, 401, 200, 401, 200, 401, 200, 401, 200 ],
        'hosts: and it stays so';
    my $second = lite($site->tmp . '/db/second.db');
    is $second->selectrow_array('SELECT count(*) FROM auth_token'), 1,
        'hosts: the second file has the one token';
    is $site->dbh->selectrow_array('SELECT count(*) FROM auth_token'), 2,
        'hosts: the first has the two others';
    is file_mode($site->tmp . '/db/second.db') & 0137, 0,
        "hosts: the second's file, too, is kept from other eyes";
    $site->done;
}
finish();
