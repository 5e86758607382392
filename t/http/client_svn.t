# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# profiles: sqlite3-event pgsql-event sqlite3-prefork sqlite3-event-asan
#
# WebDAV: svn on mod_dav_svn and cadaver on mod_dav_fs, with the token as
# Basic password.  Both ask without first, with a body, and then on every
# one of many requests with; what svn commits is the owner's.
use strict;
use warnings;

use AuthnToken::Process qw(poll run temp_dir which);
use AuthnToken::Test;
use Test::More;

delete @ENV{ grep { /proxy|^SVN_/i } keys %ENV };
my $home = temp_dir();
my $user = AuthnToken::Server::user();
my $common = <<'CONF';
AuthTokenTable 0
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
</Location>
CONF

sub command {
    my @arguments = @_;
    my $opt = ref $arguments[-1] ? pop @arguments : {};
    return run(@arguments, { timeout => 60, env => { HOME => $home,
        LC_ALL => 'C.UTF-8', TERM => 'dumb' }, %$opt });
}

sub wrong {
    my ($token) = @_;
    $token =~ s/(.)\z/$1 eq 'a' ? 'b' : 'a'/e;
    return $token;
}

# statuses($site, $path): of the requests below the path, "GET 200" each.
sub statuses {
    my ($site, $path) = @_;
    return map { /"(\w+) \S+ HTTP[^"]*" (\d+)/ ? "$1 $2" : $_ }
        $site->log->lines('access', qr/"\w+ \Q$path\E\S* HTTP/);
}

# --- svn ---

SKIP: {
    my ($svn, $admin, $look) = map { which($_) } qw(svn svnadmin svnlook);
    skip 'no svn, svnadmin and svnlook found', 1 if !$svn || !$admin || !$look;
    my $site = AuthnToken::Test->new(name => 'svn', modules => [qw(dav dav_svn)],
        conf => $common . <<'CONF');
<Location "/svn">
    DAV svn
    SVNPath "@@TMP@@/db/svn"
    AuthType Token
    AuthName "svn"
    AuthTokenScheme Token Bearer Basic
    Require valid-user
</Location>
# A page's preflights may pass: svn's opening OPTIONS then do so, too.
<Location "/open-svn">
    DAV svn
    SVNPath "@@TMP@@/db/svn"
    AuthType Token
    AuthName "svn"
    AuthTokenScheme Basic
    <RequireAny>
        Require method OPTIONS
        Require valid-user
    </RequireAny>
</Location>
<Location "/no-basic-svn">
    DAV svn
    SVNPath "@@TMP@@/db/svn"
    AuthType Token
    AuthName "svn"
    Require valid-user
</Location>
CONF
    if (!$site->have_module('dav_svn')) {
        $site->discard;
        skip 'httpd has no mod_dav_svn', 1;
    }
    my $repository = $site->tmp . '/db/svn';
    my $made = run($admin, 'create', $repository, { user => $user,
        env => { HOME => '/nonexistent' } });
    die "svnadmin: $made->{err}" if $made->{exit};
    $site->start;
    my $base = 'http://127.0.0.1:' . $site->port;
    my $token = $site->login('alice', 'wonder-land')->{token};

    my $run = sub {
        my ($password, @arguments) = @_;
        return command($svn, '--non-interactive', '--no-auth-cache',
            '--config-dir', "$home/.subversion", '--username', 'somebody',
            '--password', $password, @arguments);
    };
    my $good = sub {
        my ($name, @arguments) = @_;
        my $result = $run->($token, @arguments);
        local $Test::Builder::Level = $Test::Builder::Level + 1;
        is $result->{exit}, 0, $name or diag $result->{out}, $result->{err};
        return $result;
    };

    $good->('svn checkout: with the token as password', 'checkout', '-q',
        "$base/svn", "$home/checkout");
    poll(sub { statuses($site, '/svn') >= 5 }, 3);
    my @seen = statuses($site, '/svn');
    is $seen[0], 'OPTIONS 401', 'svn checkout: asks without it first';
    is scalar(grep { /401/ } @seen), 1,
        'svn checkout: and is not asked twice on ' . @seen . ' requests';
    AuthnToken::Conf::put("$home/checkout/readme", "hello\n");
    $good->('svn add', 'add', '-q', "$home/checkout/readme");
    $good->('svn commit: of a file', 'commit', '-q', '-m', 'first',
        "$home/checkout");
    is command($look, 'author', $repository)->{out}, "alice\n",
        'svn commit: the author is the owner of the token';
    # A body that is too long to be sent in one piece.
    AuthnToken::Conf::put("$home/checkout/big", join '', map { rand }
        1 .. 100_000);
    $good->('svn add', 'add', '-q', "$home/checkout/big");
    $good->('svn commit: of a big file', 'commit', '-q', '-m', 'second',
        "$home/checkout");
    like $good->('svn log: is readable', 'log', "$base/svn")->{out},
        qr/^r2 \| alice \|/m, "svn log: and names the owner";
    $good->('svn checkout: where OPTIONS needs no credential', 'checkout',
        '-q', "$base/open-svn", "$home/open");
    AuthnToken::Conf::put("$home/open/readme", "hello again\n");
    $good->('svn commit: there, too', 'commit', '-q', '-m', 'third',
        "$home/open");
    is command($look, 'author', $repository)->{out}, "alice\n",
        'svn commit: there, too, the author is the owner';

    my $result = $run->(wrong($token), 'info', "$base/svn");
    isnt $result->{exit}, 0, 'svn, wrong token: refused';
    like $result->{err}, qr/E170001|E215004/,
        'svn, wrong token: as an authentication that failed';
    $result = $run->($token, 'info', "$base/no-basic-svn");
    isnt $result->{exit}, 0, 'svn: cannot do without a Basic challenge';

    $site->allow_log(
        qr/\[authn_token:error\] .* token database does not answer: /,
        qr/\[authn_token:notice\] .* token database answers again/);
    my $dbh = $site->dbh;
    $dbh->do('ALTER TABLE auth_token RENAME TO auth_token_away');
    $result = $run->($token, 'info', "$base/svn");
    isnt $result->{exit}, 0, 'svn, database away: fails';
    like $result->{err}, qr/E175002|E175012|503/,
        'svn, database away: and not as an authentication that failed';
    unlike $result->{err}, qr/E170001|E215004/,
        'svn, database away: the token is not blamed';
    $dbh->do('DROP TABLE IF EXISTS auth_token');
    $dbh->do('ALTER TABLE auth_token_away RENAME TO auth_token');
    $good->('svn, database back: good again', 'info', "$base/svn");
    $site->done;
}

# --- cadaver ---

SKIP: {
    my $cadaver = which('cadaver') or skip 'no cadaver found', 1;
    my $site = AuthnToken::Test->new(name => 'cadaver',
        modules => [qw(dav dav_fs)], conf => $common . <<'CONF');
DAVLockDB "@@TMP@@/run/davlock"
Alias "/dav" "@@TMP@@/db/dav"
<Directory "@@TMP@@/db/dav">
    Require all granted
</Directory>
<Location "/dav/">
    DAV On
    AuthType Token
    AuthName "dav"
    AuthTokenScheme Basic Bearer
    Require valid-user
</Location>
CONF
    my $place = $site->tmp . '/db/dav';
    mkdir $place or die "$place: $!\n";
    AuthnToken::Process::own($user, $place);
    $site->start;
    my $url = 'http://127.0.0.1:' . $site->port . '/dav/';
    my $token = $site->login('alice', 'wonder-land')->{token};
    my $netrc = sub {
        AuthnToken::Conf::put("$home/.netrc",
            "machine 127.0.0.1 login anybody password $_[0]\n", 0600);
    };

    $netrc->($token);
    AuthnToken::Conf::put("$home/local", "from cadaver\n");
    my $result = command($cadaver, $url, { dir => $home,
        stdin => "mkcol sub\ncd sub\nput local\nls\nget local back\n"
            . "move local moved\nquit\n" });
    is $result->{exit}, 0, 'cadaver: works through its script'
        or diag $result->{out}, $result->{err};
    is AuthnToken::Process::slurp("$place/sub/moved"), "from cadaver\n",
        'cadaver: what it put and moved is there';
    is AuthnToken::Process::slurp("$home/back"), "from cadaver\n",
        'cadaver: what it got is the same';
    poll(sub { statuses($site, '/dav/') >= 9 }, 3);
    my @seen = statuses($site, '/dav/');
    is $seen[0], 'OPTIONS 401', 'cadaver: asks without the token first';
    is scalar(grep { /401/ } @seen), 1,
        'cadaver: and is not asked twice on ' . @seen . ' requests';
    is scalar(my @owned = $site->log->lines('access',
        qr{"\w+ /dav/\S* HTTP.* "alice" [0-9a-f]{16} -$})), $#seen,
        'cadaver: all others are the owner\'s';

    $netrc->(wrong($token));
    $result = command($cadaver, $url, { dir => $home, timeout => 20,
        stdin => "mkcol bad\nquit\n" });
    ok !-e "$place/bad", 'cadaver, wrong token: makes nothing';
    like $result->{out} . $result->{err}, qr/401|[Aa]uthenti|Username/,
        'cadaver, wrong token: and says so';
    $site->done;
}
finish();
