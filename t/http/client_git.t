# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event pgsql-event sqlite3-prefork
#
# git over smart HTTP with a token: in the URL, from a credential helper, in
# an extra header; a push is the owner's; a wrong credential is erased, and a
# good one survives a database that is away.
use strict;
use warnings;

use AuthnToken::Process qw(poll run temp_dir which);
use AuthnToken::Test;
use Test::More;

my $git = which('git') or plan skip_all => 'no git found';
chomp(my $exec = run($git, '--exec-path')->{out});
plan skip_all => 'git has no git-http-backend' if !-x "$exec/git-http-backend";

# Nothing of this machine's own settings: no proxy, no configuration.
delete @ENV{ grep { /proxy|^GIT_|^SSH_ASKPASS/i } keys %ENV };
my $home = temp_dir();
my %env = (HOME => $home, GIT_CONFIG_NOSYSTEM => 1, GIT_TERMINAL_PROMPT => 0,
    LC_ALL => 'C', GIT_AUTHOR_NAME => 'Author', GIT_AUTHOR_EMAIL => 'a@x.y',
    GIT_COMMITTER_NAME => 'Committer', GIT_COMMITTER_EMAIL => 'c@x.y');

my $site = AuthnToken::Test->new(conf => <<"CONF");
AuthTokenTable 0
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile \@\@HTPASSWD\@\@
</Location>
SetEnv GIT_PROJECT_ROOT "\@\@TMP\@\@/git"
SetEnv GIT_HTTP_EXPORT_ALL
ScriptAlias "/git/" "$exec/git-http-backend/"
<Directory "$exec">
    Require all granted
</Directory>
<Location "/git/">
    AuthType Token
    AuthName "git"
    AuthTokenScheme Token Bearer Basic
    Require valid-user
</Location>
CONF

# The bare repository, of httpd's user.
my $bare = $site->tmp . '/git/repo.git';
mkdir $site->tmp . '/git' or die "git: $!\n";
my $user = AuthnToken::Server::user();
AuthnToken::Process::own($user, $site->tmp . '/git');
for my $command ([ 'init', '-q', '--bare', '-b', 'main', $bare ],
    [ '-C', $bare, 'config', 'core.logAllRefUpdates', 'always' ]) {
    my $result = run($git, @$command, { user => $user,
        env => { HOME => '/nonexistent', GIT_CONFIG_NOSYSTEM => 1 } });
    die "git @$command: $result->{err}" if $result->{exit};
}
$site->start;

my $host = '127.0.0.1:' . $site->port;
my $plain = "http://$host/git/repo.git";
my $token = $site->login('alice', 'wonder-land')->{token};
my $bob = $site->login('bob', 'builder')->{token};
(my $wrong = $token) =~ s/(.)\z/$1 eq 'a' ? 'b' : 'a'/e;
my $store = "$home/credentials";
my @helper = ('-c', "credential.helper=store --file=$store");

# git(@arguments, { dir }): { exit, out, err }.
sub git {
    my @arguments = @_;
    my $opt = ref $arguments[-1] ? pop @arguments : {};
    return run($git, @arguments, { env => \%env, timeout => 60, %$opt });
}

# good($name, @arguments): passes when git does.
sub good {
    my ($name, @arguments) = @_;
    my $result = git(@arguments);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $good = is $result->{exit}, 0, $name;
    diag $result->{out}, $result->{err} if !$good;
    return $result;
}

sub url { return "http://$_[0]\@$host/git/repo.git" }

sub put {
    my ($path, $text) = @_;
    open my $fh, '>:raw', $path or die "$path: $!\n";
    print {$fh} $text;
    close $fh or die "$path: $!\n";
    return;
}

# sees($expected, $name, $code): passes when the requests that the code's git
# makes, known by their agent, are these: "GET 401 GET 200".  Its value.
my $step = 0;
sub sees {
    my ($expected, $name, $code) = @_;
    my $agent = 'git/step-' . ++$step;
    local $env{GIT_HTTP_USER_AGENT} = $agent;
    my $value = $code->();
    my $seen = '';

    # httpd writes them when the client is gone already.
    poll(sub {
        $seen = join ' ', map { /"(\w+) \S+ HTTP[^"]*" (\d+)/ ? "$1 $2" : $_ }
            $site->log->lines('access', qr/"\Q$agent\E"/);
        return $seen eq $expected;
    }, 3);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is $seen, $expected, $name;
    return $value;
}

# --- the token in the URL ---

my $work = "$home/work";
sees('GET 401 GET 200 POST 200',
    'clone: git asks without the token first, then with it',
    sub { good('clone: with the token in the URL, under any user name',
        'clone', '-q', url("whoever:$token"), $work) });
put("$work/readme", "hello\n");
good('push: a commit is made', '-C', $work, 'add', 'readme');
good('push: and committed', '-C', $work, 'commit', '-q', '-m', 'first');
good('push: with the token in the URL', '-C', $work, 'push', '-q', 'origin',
    'HEAD:main');
my $reflog = AuthnToken::Process::slurp("$bare/logs/refs/heads/main");
like $reflog, qr/ alice <alice\@[^>]*> \d+ .*\tpush$/,
    'push: the reflog names the owner of the token';
unlike $reflog, qr/whoever/, 'push: not the name in the URL';
like(($site->access_lines(qr{POST /git/repo.git/git-receive-pack}))[-1],
    qr/ - alice .* 200 .* [0-9a-f]{16} -$/,
    'push: the access log has the owner and the id of the token');

# Random bytes do not compress: more than http.postBuffer, so in chunks.
open my $random, '<:raw', '/dev/urandom' or die "urandom: $!\n";
read $random, my $bytes, 3_000_000;
put("$work/big", $bytes);
good('big push: 3 MB', '-C', $work, 'add', 'big');
good('big push: committed', '-C', $work, 'commit', '-q', '-m', 'big');
sees('GET 401 GET 200 POST 200 POST 200',
    'big push: a probe, and a chunked body',
    sub { good('big push: goes through', '-C', $work, 'push', '-q', 'origin',
        'HEAD:main') });
good('clone: what was pushed is there', 'clone', '-q', url("x:$token"),
    "$home/second");
ok AuthnToken::Process::slurp("$home/second/big") eq $bytes,
    'clone: each byte of it';
my $result = sees('GET 401 GET 401',
    'a wrong token in the URL gets nothing', sub { git('ls-remote',
        url("alice:$wrong")) });
isnt $result->{exit}, 0, 'a wrong token in the URL is refused';
like $result->{err}, qr/Authentication failed/, 'and git says so';

# --- from a credential helper ---

put($store, "http://alice:$token\@$host\n");
my $ls = sub { git(@helper, 'ls-remote', $plain) };
is $ls->()->{exit}, 0, 'helper: the stored token opens the door';
like AuthnToken::Process::slurp($store), qr/\Q$token\E/,
    'helper: and stays stored';
good('helper: a push', @helper, '-C', $work, 'push', '-q', $plain,
    'HEAD:refs/heads/other');
like AuthnToken::Process::slurp("$bare/logs/refs/heads/other"),
    qr/ alice <alice/, "helper: is the owner's";

# The database is away: its table is, which is the same to a request.
$site->allow_log(
    qr/\[authn_token:error\] .* token database does not answer: /,
    qr/\[authn_token:notice\] .* token database answers again/);
$site->dbh->do('ALTER TABLE auth_token RENAME TO auth_token_away');
$result = $ls->();
isnt $result->{exit}, 0, 'database away: git fails';
like $result->{err}, qr/503/, 'database away: with 503';
like AuthnToken::Process::slurp($store), qr/\Q$token\E/,
    'database away: the stored token is kept';
my $dbh = $site->dbh;
$dbh->do('DROP TABLE IF EXISTS auth_token');
$dbh->do('ALTER TABLE auth_token_away RENAME TO auth_token');
is $ls->()->{exit}, 0, 'database back: and still good';

put($store, "http://alice:$wrong\@$host\n");
$result = $ls->();
isnt $result->{exit}, 0, 'helper: a wrong token is refused';
is AuthnToken::Process::slurp($store), '', 'helper: and git erases it';

# --- a header of one's own ---

my @header = ('-c', "http.extraHeader=Authorization: Bearer $bob");
sees('GET 200 POST 200 POST 200', 'extra header: the token goes at once',
    sub { good('extra header: Bearer opens the door', @header, 'clone', '-q',
        $plain, "$home/third") });
put("$home/third/more", "more\n");
good('extra header: a commit', '-C', "$home/third", 'add', 'more');
good('extra header: committed', '-C', "$home/third", 'commit', '-q', '-m',
    'more');
good('extra header: a push', @header, '-C', "$home/third", 'push', '-q',
    'origin', 'HEAD:main');
like AuthnToken::Process::slurp("$bare/logs/refs/heads/main"),
    qr/ bob <bob\@[^>]*> \d+ [^\n]*\tpush\n\z/, "extra header: is the owner's";
$result = git('-c', "http.extraHeader=Authorization: Bearer $wrong",
    'ls-remote', $plain);
isnt $result->{exit}, 0, 'extra header: a wrong token is refused';

# --- revoked ---

is $site->httoken('revoke', '--user', 'bob')->{exit}, 0,
    'revoked: by httoken';
isnt git(@header, 'ls-remote', $plain)->{exit}, 0,
    'revoked: the next command is refused';
finish();
