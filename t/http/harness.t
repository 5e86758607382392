# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The test harness itself: that servers and databases come and go, and above
# all that a bad log cannot pass.  Only modules of httpd's own are used, so a
# failure here is never mod_authn_token's.
use strict;
use warnings;

use AuthnToken::Postgres qw(answers);
use AuthnToken::Process qw(poll run temp_dir);
use AuthnToken::Test;
use File::Temp ();
use Test::More;
use Time::HiRes qw(time);

my $tmp = temp_dir();
my @plain = (module => 0, db => 'none');

# basic($user, $password): an Authorization header.
sub basic {
    my ($user, $password) = @_;
    require MIME::Base64;
    return (Authorization => 'Basic '
        . MIME::Base64::encode_base64("$user:$password", ''));
}

# test_file($body): runs a test file of its own; { exit, out, err }.
sub test_file {
    my ($body) = @_;
    my $file = File::Temp->new(SUFFIX => '.t');
    print {$file} "use strict; use warnings; use Test::More;\n",
        "use AuthnToken::Test;\n$body\n";
    close $file;
    # Killed tests clear nothing away: what they leave goes with this one.
    return run($^X, "-I$AuthnToken::Site::top/t/lib", "$file",
        { env => { TMPDIR => $tmp } });
}

for my $mpm (qw(event prefork)) {
    my $site = AuthnToken::Test->new(@plain, mpm => $mpm, name => $mpm);
    $site->start;
    my $pid = $site->pid;

    ok kill(0, $pid), "$mpm: the server runs";
    is $site->get('/')->content, "front page\n", "$mpm: it answers";
    my $response = $site->get('/api/');
    is $response->code, 401, "$mpm: a protected page is refused";
    is_deeply [ $response->header('WWW-Authenticate') ],
        ['Basic realm="api"'], "$mpm: the challenge is seen";
    for my $user (sort keys %AuthnToken::Conf::user) {
        is $site->get('/api/', basic($user, $AuthnToken::Conf::user{$user}))
            ->code, 200, "$mpm: $user is let in";
    }
    like $site->get('/cgi-bin/env?a=b')->content, qr/^QUERY_STRING=a=b$/m,
        "$mpm: the CGI prints its environment";
    like $site->log_lines(qr/mpm_$mpm:notice.*resuming normal/), qr/\d/,
        "$mpm: the log names the MPM";

    my %old = map { $_ => 1 } $site->child_pids;
    ok %old >= 2, "$mpm: there are several children";
    $site->graceful;
    is $site->pid, $pid, "$mpm: graceful keeps the parent";
    ok poll(sub { !grep { $old{$_} } $site->child_pids }, 15),
        "$mpm: and no old child";
    $site->restart;
    isnt $site->pid, $pid, "$mpm: restart makes a new parent";
    ok !kill(0, $pid), "$mpm: the old one is gone";
    is $site->get('/')->code, 200, "$mpm: it answers again";

    my @all = ($site->pid, $site->child_pids);
    ok $site->stop, "$mpm: it stops when asked";
    ok !(grep { kill 0, $_ } @all), "$mpm: no process is left";
    ok $site->done, "$mpm: its life was clean";
}

{
    my $site = AuthnToken::Test->new(@plain, name => 'requests',
        htaccess => { 'closed' => "Require all denied\n" },
        conf => <<'CONF')->start;
Redirect "/old" "/new"
RequestHeader edit* X-A "," "+"
<Location "/cgi-bin/">
    SetEnvIf X-A "(.*)" X_A=$1
</Location>
Header always set X-Method "expr=%{REQUEST_METHOD}"
KeepAliveTimeout 1
CONF
    is $site->get('/old')->code, 302, 'a redirect is not followed';
    is $site->get('/closed/')->code, 403, '.htaccess is read';
    $site->expect_log(qr/AH01630: client denied/);
    like $site->get('/cgi-bin/env', 'X-A' => [ 1, 2 ])->content,
        qr/^HTTP_X_A=1\+ ?2$/m, 'a header can be sent twice';
    is $site->request('DELETE', '/')->header('X-Method'), 'DELETE',
        'any method can be sent';
    is $site->head('/')->content, '', 'HEAD has no body';
    like $site->post('/cgi-bin/env', { a => 1 })->content,
        qr{^CONTENT_TYPE=application/json$}m, 'a hash goes as JSON';
    like $site->post('/cgi-bin/env', [ a => '&' ])->content,
        qr{^CONTENT_LENGTH=5$}m, 'a list goes as a form';
    like $site->put('/cgi-bin/env', 'abc', 'Content-Type' => 'text/x')
        ->content, qr{^CONTENT_TYPE=text/x$}m, 'a text goes as it is';

    my $raw = $site->raw("GET / HTTP/1.0\r\n\r\n");
    like $raw->{bytes}, qr{\AHTTP/1\.1 200 .*front page\n\z}s,
        'raw bytes are answered';
    ok $raw->{closed}, 'and the close is seen';
    $raw = $site->raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n", timeout => 0.3);
    ok !$raw->{closed}, 'a connection kept alive is seen as open';
    cmp_ok $raw->{elapsed}, '>=', 0.3, 'for the time asked';
    is $raw->{responses}[0]->code, 200, 'and the answer is parsed';
    is scalar @{ $site->raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        . "GET /api/ HTTP/1.0\r\n\r\n")->{responses} }, 2,
        'two answers on one connection are told apart';

    my $connection = $site->connection;
    is $connection->request('GET', '/')->content, "front page\n",
        'a connection answers';
    like $connection->request('GET', '/cgi-bin/env')->content,
        qr/^REQUEST_METHOD=GET$/m, 'again, chunked';
    is $connection->request('HEAD', '/')->code, 200, 'and to HEAD';
    is $connection->request('GET', '/')->code, 200, 'and after it';
    ok !$connection->closed(0.1), 'and stays open';
    ok $connection->closed(6), 'until its time is over';

    is_deeply [ ($site->configtest)[0] ], [0], 'a good configuration passes';
    $site->conf("NoSuchDirective on\n");
    my ($exit, $text) = $site->configtest;
    is $exit, 1, 'a bad configuration fails';
    like $text, qr/Invalid command 'NoSuchDirective'/, 'with its reason';
    $site->stop;
    ok !$site->start(may_fail => 1), 'and the server does not start';
    like $site->output, qr/NoSuchDirective/, 'which is on record';
    $site->done;
}

{
    my $site = AuthnToken::Test->new(@plain, name => 'errors')->start;
    $site->secret('wrong-password', 'a password');
    $site->get('/api/', basic('alice', 'wrong-password'));
    $site->log_like(qr/AH01617: user alice/, 'an error line is found');
    my @problems = $site->problems;
    is @problems, 1, 'an unannounced error line is one problem';
    like $problems[0], qr/^unannounced line .*AH01617/, 'and named';
    $site->expect_log(qr/AH01617: user alice/);
    is_deeply [ $site->problems ], [], 'announced, it is none';
    $site->expect_log(qr/a line nobody writes/);
    like +($site->problems)[0], qr/did not come/,
        'an announced line must come';
    $site->discard;
}

{
    my $token = 'tok_' . 'A' x 36;
    my $site = AuthnToken::Test->new(@plain, name => 'leaks', conf => <<'CONF');
LogLevel http:trace4
LogFormat "%r %{X-Leak}i" leak
CustomLog "@@TMP@@/logs/access_log" leak env=!harness_probe
CONF
    $site->start;
    $site->secret($token, 'token of alice');
    $site->get('/', Authorization => "Token $token");
    $site->log_like(qr/http:trace4.*Authorization: Token \Q$token\E/,
        'httpd itself dumps the header at trace4');
    is_deeply [ $site->problems ], [], 'which is no problem of ours';

    $site->start;
    $site->get("/?$token");
    $site->get('/', 'X-Leak' => 'a' . Digest::SHA::sha256_hex($token));
    my @problems = $site->problems;
    is scalar(grep { /^secret in the access log \(token of alice\)/ }
        @problems), 2, 'a token in the access log is found in each line';
    is scalar(grep { /\(token of alice \(its whole digest\)\)/ }
        @problems), 1, 'so is its whole digest';
    ok !(grep { /\Q$token\E/ } @problems), 'the report does not repeat it';

    my $log = $site->tmp . '/logs/error_log';
    open my $fh, '>>', $log or die "$log: $!\n";
    print {$fh} "[Tue Nov 24 13:53:04.468468 2026] [authn_token:trace1] ",
        "[pid 1:tid 1] x.c(1): [client 127.0.0.1:1] seen $token\n";
    close $fh;
    ok +(grep { /^secret in the error log/ } $site->problems),
        'a token in the error log is found, even at trace level';
    $site->discard;
}

# Three findings, as valgrind has them.
sub put_memcheck {
    my ($path) = @_;
    my $leak = 'bytes in 1 blocks are definitely lost in loss record 1 of 2';
    my $alloc = '   at 0x1: malloc (vg_replace_malloc.c:381)';
    my @found = ([ 'Invalid read of size 1', '   at 0x1: x (in libc.so)' ],
        [ "200 $leak", $alloc, '   by 0x2: read_body (token_http.c:12)' ],
        [ "300 $leak", $alloc, '   by 0x2: main (in apache2)' ]);

    AuthnToken::Conf::put($path, join '', map { "==12== $_\n" }
        map { @$_, '' } @found);
    return;
}

sub add_line {
    my ($site, $line) = @_;
    open my $log, '>>', $site->{log}{error} or die "error log: $!\n";
    print {$log} $line =~ /^child/ ? '[core:notice] AH00052: ' : '', "$line\n";
    close $log;
    return;
}

{
    my $site = AuthnToken::Test->new(@plain, name => 'crashes',
        conf => '')->start;
    my $child = ($site->child_pids)[0];
    if (($ENV{AUTHN_TOKEN_SANITIZE} || '') eq 'address') {
        like AuthnToken::Process::slurp("/proc/$child/maps"), qr/pools\.so/,
            'the sanitizer sees into pools';
    }
    kill 'SEGV', $child;
    if (($ENV{AUTHN_TOKEN_SANITIZE} || '') eq 'address') {
        ok poll(sub { -s $site->tmp . "/sanitizer/asan.$child" }, 10),
            'a crash is reported';
        ok +(grep { /AddressSanitizer: SEGV/ } $site->problems),
            'and is a problem';
    }
    else {
        $site->log_like(qr/exit signal Segmentation fault/,
            'a crash is logged');
        ok +(grep { /^a child crashed/ } $site->problems), 'and is a problem';
    }
    my $report = $site->tmp . '/sanitizer/asan.1';
    open my $fh, '>', $report or die "$report: $!\n";
    print {$fh} "ERROR: AddressSanitizer: heap-use-after-free\n";
    close $fh;
    ok +(grep { /heap-use-after-free/ } $site->problems),
        "a sanitizer's report is a problem";
    unlink $report;
    put_memcheck($site->tmp . '/sanitizer/memcheck.1');
    my $said = join "\n", $site->problems;
    like $said, qr/Invalid read of size 1/, "so is one of valgrind's";
    like $said, qr/^ *200 bytes in 1 blocks/m, 'and a leak that is ours';
    unlike $said, qr/^ *300 bytes/m, 'not one that httpd leaves behind';
    $site->discard;

    $site = AuthnToken::Test->new(@plain, name => 'crashes late',
        conf => '')->start;
    $site->stop;
    $report = $site->tmp . '/sanitizer/asan.2';
    for my $frame ('mod_mpm_event.so', 'mod_mpm_event.so mod_authn_token.so') {
        open $fh, '>', $report or die "$report: $!\n";
        print {$fh} "==2==ERROR: AddressSanitizer: SEGV on unknown address\n",
            (map { "    #0 0x1 (/lib/$_+0x1)\n" } split / /, $frame),
            "\nmod_authn_token.so\n";
        close $fh;
        my $found = grep { /AddressSanitizer: SEGV/ } $site->problems;
        is $found, $frame =~ /token/ ? 1 : 0,
            "a crash at the stop in $frame";
    }
    unlink $report;
    $site->discard;

    # A later stop forgets nothing of the one before.
    my $event = AuthnToken::Test::mpm() eq 'event' ? 1 : 0;
    my @found;
    $site = AuthnToken::Test->new(@plain, name => 'crashes at a stop',
        conf => '');
    for my $pid (1 .. 2) {
        $site->start->stop;
        add_line($site, "child pid $pid exit signal Segmentation fault (11)");
        add_line($site, "child pid ${pid}0 exit signal Abort (6)");
        add_line($site, "corrupted double-linked list, $pid");
        push @found, 0 + grep { /^a child crashed|double/ } $site->problems;
    }
    is_deeply \@found, $event ? [ 0, 0 ] : [ 3, 6 ],
        'a crash at a stop is one of event only';
    $site->start;
    add_line($site, 'child pid 3 exit signal Segmentation fault (11)');
    add_line($site, 'double free or corruption (out)');
    $site->stop;
    is 0 + (grep { /^a child crashed.*pid 3|double free/ } $site->problems),
        2, 'one after it is always a problem';
    $site->discard;
}

{
    my $result = test_file(<<'TEST');
my $site = AuthnToken::Test->new(module => 0, db => 'none')->start;
$site->get('/api/', Authorization => 'Digest x');
diag 'pid ' . $site->pid;
pass 'all is well, seemingly';
done_testing;
TEST
    isnt $result->{exit}, 0, 'a test with a bad log fails';
    like $result->{out}, qr/^not ok 2 - .*clean logs.*^1\.\.2$/ms,
        'done_testing judges the log before the plan';
    like $result->{err}, qr/AH01614/, 'and shows the line';

    $result = test_file(<<'TEST');
my $site = AuthnToken::Test->new(module => 0, db => 'none')->start;
diag 'pid ' . $site->pid;
die "oh\n";
TEST
    isnt $result->{exit}, 0, 'a test that dies fails';
    my ($pid) = $result->{err} =~ /pid (\d+)/;
    ok $pid && !kill(0, $pid), 'and leaves no server';

    $result = test_file(<<'TEST');
my $site = AuthnToken::Test->new(module => 0, db => 'none')->start;
diag 'pid ' . $site->pid;
kill 'KILL', $$;
TEST
    ($pid) = $result->{err} =~ /pid (\d+)/;
    ok AuthnToken::Process::poll(sub { !kill 0, $pid }, 5),
        'nor does a test that was killed';
}

SKIP: {
    skip 'no PostgreSQL here', 1 if !AuthnToken::Postgres::available();
    my $pg = AuthnToken::Postgres->new;
    my $pid = $pg->pid;
    my $name = $pg->create_database;
    my $dbh = $pg->dbh($name, user => 'authn_token');

    ok answers($dbh), 'PostgreSQL answers';
    is_deeply [ $pg->backend_pids($name) ], [ $dbh->{pg_pid} ],
        'its backends are known';
    my $mark = $pg->log_mark;
    $dbh->do("SELECT 'on record'");
    is scalar($pg->statements(qr/on record/, $mark)), 1,
        'its statements are on record';

    $pg->freeze($name);
    ok !answers($dbh, 0.5), 'a frozen backend does not answer';
    ok answers($pg->dbh($name)), 'a new one does';
    $pg->thaw;
    $dbh = $pg->dbh($name);
    ok answers($dbh), 'thawed, it answers';
    $pg->freeze;
    ok !answers($dbh, 0.5), 'a frozen cluster does not answer';
    $pg->thaw;
    $dbh = $pg->dbh($name);

    my $port = $pg->pgbouncer;
    my $pooled = DBI->connect("dbi:Pg:host=127.0.0.1;port=$port;"
        . "dbname=$name", 'authn_token', '', { pg_server_prepare => 0 });
    ok $pooled && answers($pooled), 'pgbouncer answers';

    $pg->restart('immediate');
    isnt $pg->pid, $pid, 'it restarts';
    ok !eval { $dbh->do('SELECT 1') }, 'old connections are gone';
    ok answers($pg->dbh($name)), 'new ones work';
    $pg->stop;
    ok !eval { $pg->dbh($name) }, 'stopped, it refuses';
    $pg->start;

    my $site = AuthnToken::Test->new(module => 0, db => 'pgsql', pg => $pg,
        name => 'authn_dbd', conf => <<'CONF');
<Location "/api/">
    AuthType Basic
    AuthName "api"
    AuthBasicProvider dbd
    AuthDBDUserPWQuery "SELECT password FROM users WHERE name = %s"
    Require valid-user
</Location>
CONF
    $site->dbh->do('CREATE TABLE users (name text, password text)');
    my $hash = (split /:/, (grep { /^bob:/ } split /\n/,
        AuthnToken::Process::slurp($site->tmp . '/conf/htpasswd'))[0])[1];
    $site->dbh->do('INSERT INTO users VALUES (?, ?)', {}, 'bob', $hash);
    $site->start;
    is $site->get('/api/', basic('bob', 'builder'))->code, 200,
        'httpd uses the database';
    $site->done;
}

{
    my $site = AuthnToken::Test->new(module => 0, db => 'sqlite3',
        name => 'sqlite', conf => <<'CONF');
<Location "/api/">
    AuthType Basic
    AuthName "api"
    AuthBasicProvider dbd
    AuthDBDUserPWQuery "SELECT password FROM users WHERE name = %s"
    Require valid-user
</Location>
CONF
    $site->dbh->do('CREATE TABLE users (name text, password text)');
    $site->dbh->do('INSERT INTO users VALUES (?, ?)', {}, 'eve',
        '{SHA}' . Digest::SHA::sha1_base64('apple-pie') . '=');
    $site->start;
    is $site->get('/api/', basic('eve', 'apple-pie'))->code, 200,
        'httpd uses the SQLite file';
}

finish();
