# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# One httpd with its directory, database and logs, as a test sees it: its
# life and its logs.  The requests put to it are Client's, the text of the
# configuration Conf's, the process Server's, the judgement of the logs Log's.
package AuthnToken::Site;

use strict;
use warnings;

use AuthnToken::Client ();
use AuthnToken::Conf ();
use AuthnToken::Log ();
use AuthnToken::Postgres ();
use AuthnToken::Process qw(poll run children temp_dir which);
use AuthnToken::Sanitizer ();
use AuthnToken::Server ();
use Carp qw(croak);
use Cwd ();
use File::Basename qw(dirname);
use DBI ();
use Scalar::Util qw(weaken);
use Test::Builder ();

our @ISA = ('AuthnToken::Client');
our $top = Cwd::abs_path(dirname(__FILE__) . '/../../..');
my @sites;
my $number = 0;

# new(%arg): a site, not yet started.  All are optional:
#   conf      the test's part of httpd.conf; default: DESIGN section 2
#   modules   [names without mod_] loaded beside the usual ones; "-NAME" is not
#   module    0: without mod_authn_token; or another path of it
#   mpm       event or prefork; mpm_conf: its lines instead of the default
#   db        sqlite3, pgsql or none
#   dbd       another value of DBDParams
#   pg        AuthnToken::Postgres; default: the shared one
#   pgbouncer pool mode: httpd talks through a pgbouncer
#   table     0: no table is made on PostgreSQL
#   htaccess  { 'api/sub' => text }, below the document root
#   files     { 'htdocs/x' => text }, below the site's directory
#   loglevel  the LogLevel line; default AUTHN_TOKEN_LOGLEVEL, else debug
#             for httpd and trace8 for us
#   name      how the site is called in test names
#   env       { NAME => value }, more of httpd's environment
sub new {
    my ($class, %arg) = @_;
    my $tmp = temp_dir();
    my $self = bless {
        owner => $$,
        name => $arg{name} // 'site ' . ++$number,
        tmp => $tmp,
        mpm => $arg{mpm} // $ENV{AUTHN_TOKEN_MPM} // 'event',
        db => $arg{db} // $ENV{AUTHN_TOKEN_DB} // 'sqlite3',
        module => module_path($arg{module}),
        modules => $arg{modules},
        mpm_conf => $arg{mpm_conf},
        env => $arg{env},
        ports => [ AuthnToken::Server::free_port() ],
    }, $class;

    $self->{config} = AuthnToken::Server->configure($tmp, $self->{ports}[0]);
    $self->{server} = $self->{config}->server;
    $self->{loglevel} = $arg{loglevel} // $ENV{AUTHN_TOKEN_LOGLEVEL}
        // 'debug' . ($self->{module} ? ' authn_token:trace8' : '');
    $self->{log} = AuthnToken::Log->new(dir => "$tmp/logs",
        sanitizer => "$tmp/sanitizer");
    AuthnToken::Conf::layout($tmp, $arg{htaccess});
    AuthnToken::Conf::put("$tmp/$_", $arg{files}{$_})
        for sort keys %{ $arg{files} || {} };
    $self->prepare_database(%arg);
    $self->conf($arg{conf}
        // AuthnToken::Conf::default_text($self->{module}));
    push @sites, $self;
    weaken $sites[-1];
    return $self;
}

sub module_path {
    my ($module) = @_;
    return undef if defined $module && !$module;
    $module //= $ENV{AUTHN_TOKEN_MODULE} // "$top/.libs/mod_authn_token.so";
    return Cwd::abs_path($module) // $module;
}

sub httoken_path {
    my $path = $ENV{AUTHN_TOKEN_HTTOKEN} // "$top/httoken";
    return Cwd::abs_path($path) // $path;
}

# prepare_database: what DBDriver and DBDParams will say, and on PostgreSQL
# a database of the site's own, with our table.
sub prepare_database {
    my ($self, %arg) = @_;

    if ($self->{db} eq 'sqlite3') {
        $self->{direct} = "$self->{tmp}/db/tokens.db";
    }
    elsif ($self->{db} eq 'pgsql') {
        my $pg = $self->{pg} = $arg{pg} // AuthnToken::Postgres->shared;
        $self->{dbname} = $pg->create_database;
        $self->{direct} = $pg->params($self->{dbname});
        $self->{dbd} = $pg->params($self->{dbname},
            port => $pg->pgbouncer($arg{pgbouncer})) if $arg{pgbouncer};
        $self->{dbd} = $pg->params($self->{dbname}, host => $pg->{dir})
            if $arg{unix_socket};
        if ($arg{table} // $self->{module}) {
            my $result = $self->httoken('init');
            die "httoken init: $result->{out}$result->{err}"
                if $result->{exit};
        }
    }
    elsif ($self->{db} ne 'none') {
        croak "db: $self->{db} is not sqlite3, pgsql or none";
    }
    $self->{dbd} = $arg{dbd} if defined $arg{dbd};
    $self->{dbd} //= $self->{direct};
    return;
}

# conf($text): writes httpd.conf with another test's part; a running server
# sees it at restart or graceful.  Placeholders: @@PORT@@ @@PORT2@@ ...
# @@DOCROOT@@ @@HTPASSWD@@ @@TMP@@ @@USER@@ @@GROUP@@ @@DBDPARAMS@@
# @@DBNAME@@ @@MODULES@@ @@CERT@@ @@KEY@@.
sub conf {
    my ($self, $conf) = @_;
    my $vars = $self->{config}{vars};
    my %value = (
        DOCROOT => $self->docroot,
        HTPASSWD => "$self->{tmp}/conf/htpasswd",
        TMP => $self->{tmp},
        USER => $vars->{user},
        GROUP => $vars->{group},
        LOGLEVEL => $self->{loglevel},
        DBDPARAMS => $self->{dbd} // '',
        DBNAME => $self->{dbname} // '',
        MODULES => $self->{config}->apxs('LIBEXECDIR'),
        CERT => "$self->{tmp}/conf/cert.pem",
        KEY => "$self->{tmp}/conf/key.pem",
    );

    $self->{conf} = $conf if defined $conf;
    my $text = AuthnToken::Conf::text(config => $self->{config},
        driver => $self->{db} eq 'none' ? undef : $self->{db},
        map { $_ => $self->{$_} }
            qw(mpm modules module mpm_conf conf));
    AuthnToken::Conf::certificate($self->{tmp}) if $text =~ /\@\@CERT\@\@/;
    $text =~ s/\@\@PORT(\d*)\@\@/$self->port($1 || 1)/ge;
    $text =~ s/\@\@([A-Z]+)\@\@/$value{$1} \/\/ croak "no \@\@$1\@\@"/ge;
    AuthnToken::Conf::put($vars->{t_conf_file}, $text);
    return $self;
}

sub name { return $_[0]{name} }
sub tmp { return $_[0]{tmp} }
sub docroot { return "$_[0]{tmp}/htdocs" }
sub pg { return $_[0]{pg} }
sub dbname { return $_[0]{dbname} }
sub db_params { return $_[0]{direct} }
sub log { return $_[0]{log} }
sub pid { return $_[0]{server}->pid }

# port($n): the first port is the server's; others are made when asked for.
sub port {
    my ($self, $n) = @_;
    return $self->{ports}[ ($n // 1) - 1 ] //= AuthnToken::Server::free_port();
}

# url($path, $port)
sub url {
    my ($self, $path, $port) = @_;
    return $path if $path =~ m{^https?://};
    return 'http://127.0.0.1:' . ($port // $self->port) . $path;
}

# have_module($name): whether this httpd has mod_NAME.
sub have_module {
    my ($self, $name) = @_;
    return AuthnToken::Conf::have($self->{config}, $name);
}

# start(may_fail => 0): the site itself; when it fails, dies with what httpd
# said, or with may_fail returns false (the text: output).
sub start {
    my ($self, %opt) = @_;

    $self->{log}->note_start;
    for my $try (1 .. 5) {
        return $self if $self->{server}->start($self->{env});
        last if $self->{started} || $self->output !~ /could not bind/;
        # Somebody was faster; take other ports.
        unlink $self->{server}->output_file;
        $self->{ports} = [ map { AuthnToken::Server::free_port() }
            @{ $self->{ports} } ];
        $self->{config}{vars}{port} = $self->{ports}[0];
        $self->conf;
    }
    return if $opt{may_fail};
    croak "$self->{name}: httpd did not start:\n", $self->output,
        map { "$_\n" } tail(20, $self->{log}->lines('error'));
}

# output: what httpd printed before its log was open.
sub output {
    my ($self) = @_;
    return AuthnToken::Process::slurp($self->{server}->output_file);
}

# stop: true when all went well.
sub stop {
    my ($self) = @_;
    # event's own code may crash when it is told to stop while it closes a
    # connection: one more request, whose connection stays open, lets it come
    # to rest.
    my $held = $self->{server}->hold;
    $self->{log}->note_stop if $self->pid;
    $self->{ended_badly} = 1 if !$self->{server}->stop;
    return !$self->{ended_badly};
}

# restart: all new processes.
sub restart {
    my ($self, %opt) = @_;
    $self->stop;
    return $self->start(%opt);
}

# graceful: SIGUSR1, and waits till only children of the new generation
# answer new connections.
sub graceful {
    my ($self) = @_;
    my %old = map { $_ => 1 } $self->child_pids;
    my $probes = "$self->{tmp}/logs/probe_log";
    my $again = qr/resuming normal operations/;
    local $self->{log}{mark} = 0;
    my $count = () = $self->{log}->lines('error', $again);
    my $row = 0;

    # Both generations may fill the scoreboard while the new one begins.
    $self->allow_log(qr/AH00485: scoreboard is full/,
        qr/AH10159: server is within MinSpareThreads/);
    kill 'USR1', $self->pid or croak 'graceful: httpd does not run';
    poll(sub { $self->{log}->lines('error', $again) > $count }, 10)
        or croak 'graceful: no new generation';
    poll(sub {
        my $size = -s $probes || 0;
        $self->{server}->ping or return 0;
        poll(sub { (-s $probes || 0) > $size }, 2);
        my ($pid) = AuthnToken::Process::slurp($probes) =~ /(\d+)\n\z/;
        $row = $pid && !$old{$pid} ? $row + 1 : 0;
        return $row >= 3;
    }, 20) or croak 'graceful: the old generation still answers';
    return $self;
}

# child_pids: httpd's processes below the parent.
sub child_pids {
    my ($self) = @_;
    my $pid = $self->pid or return;
    return children($pid);
}

# configtest: exit code and text of httpd -t.
sub configtest {
    my ($self) = @_;
    my $result = run(AuthnToken::Sanitizer::command($self->{tmp}),
        $self->{config}{vars}{httpd}, '-t', $self->{server}->args,
        { env => AuthnToken::Sanitizer::environment($self->{tmp}) });
    # At LogLevel trace8 httpd says that it is.
    (my $said = $result->{err}) =~ s/^\[[^\]]+\] \[core:trace3\] .*\n//mg;
    return ($result->{exit}, $result->{out} . $said);
}

# secret($text, $label): must not appear in a log of this site.
sub secret {
    my ($self, $text, $label) = @_;
    $self->{log}->secret($label // 'a secret', $text);
    return $text;
}

# dbh: a DBI handle to the token database.
sub dbh {
    my ($self) = @_;

    return $self->{pg}->dbh($self->{dbname}, user => AuthnToken::Postgres::ROLE)
        if $self->{pg};
    croak 'dbh: the site has no database' if $self->{db} eq 'none';
    my $fresh = !-e $self->{direct};
    my $dbh = DBI->connect("dbi:SQLite:dbname=$self->{direct}", '', '',
        { RaiseError => 1, PrintError => 0, AutoCommit => 1,
            AutoInactiveDestroy => 1 });
    $dbh->sqlite_busy_timeout(5000);
    if ($fresh) {
        # Made by root, it must still be the server's.
        $dbh->do('PRAGMA user_version = 0');
        AuthnToken::Process::own(AuthnToken::Server::user(), $self->{direct});
    }
    return $dbh;
}

# httoken(@arguments, { stdin }): runs it on the site's database, as the
# user httpd runs as; { exit, out, err }.
sub httoken {
    my ($self, @arguments) = @_;
    my $opt = ref $arguments[-1] ? pop @arguments : {};
    my $user = $self->{pg} ? undef : AuthnToken::Server::user();
    return run(httoken_path(), '-d', $self->{db}, '-p', $self->{direct},
        @arguments, { user => $user, %$opt });
}

# expect_log($pattern): announces an error-log line that must come;
# allow_log($pattern): one that may.
sub expect_log {
    my ($self, @patterns) = @_;
    $self->{log}->expect($_, 0) for @patterns;
    return;
}

sub allow_log {
    my ($self, @patterns) = @_;
    $self->{log}->expect($_, 1) for @patterns;
    return;
}

# log_mark: log_like, log_unlike and log_lines look only at what comes later.
sub log_mark {
    my ($self) = @_;
    return $self->{log}->set_mark;
}

# log_like($pattern, $name): passes when such a line is there within 5 s.
sub log_like {
    my ($self, $pattern, $name) = @_;
    my $builder = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $found = $self->{log}->wait_for('error', $pattern);

    $builder->ok($found, $name // "the log has $pattern");
    $builder->diag("no line matches $pattern; the last ones:",
        map { "\n  $_" } tail(12, $self->{log}->lines('error'))) if !$found;
    return $found;
}

# log_unlike($pattern, $name): passes when no such line is there now.
sub log_unlike {
    my ($self, $pattern, $name) = @_;
    my $builder = Test::Builder->new;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @found = $self->{log}->lines('error', $pattern);

    $builder->ok(!@found, $name // "the log has no $pattern");
    $builder->diag(map { "  $_\n" } @found) if @found;
    return !@found;
}

# log_lines($pattern): matching error-log lines, waiting up to 5 s for the
# first; access_lines($pattern): the same for the access log.
sub log_lines {
    my ($self, $pattern) = @_;
    return $self->{log}->wait_for('error', $pattern);
}

sub access_lines {
    my ($self, $pattern) = @_;
    return $self->{log}->wait_for('access', $pattern);
}

sub tail {
    my ($n, @lines) = @_;
    return @lines > $n ? @lines[ -$n .. -1 ] : @lines;
}

# problems: stops the server and says what was wrong with its life.
sub problems {
    my ($self) = @_;
    $self->stop;
    my @problems = $self->{log}->problems;
    unshift @problems, 'httpd ended badly' if $self->{ended_badly};
    return @problems;
}

# done: the last test of a site; discard: without one.
sub done {
    my ($self) = @_;
    my $builder = Test::Builder->new;
    my @problems;

    return 1 if $self->{done}++;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    @problems = $self->problems;
    $builder->ok(!@problems, "$self->{name} leaves clean logs and no secret");
    $builder->diag(map { "  $_\n" } tail(40, @problems)) if @problems;
    return !@problems;
}

sub discard {
    my ($self) = @_;
    $self->{done} = 1;
    return $self->stop;
}

# done_all: for sites that are not done yet; stop_all: when a test died.
sub done_all {
    $_->done for grep { $_ && !$_->{done} && $_->{owner} == $$ } @sites;
    return;
}

sub stop_all {
    my ($died) = @_;
    for my $site (grep { $_ && $_->{owner} == $$ && !$_->{done} } @sites) {
        $site->{done} = 1;
        eval { $site->stop };
        next if !$died;
        Test::Builder->new->diag("$site->{name}: last lines of its log:",
            map { "\n  $_" } tail(15, $site->{log}->lines('error')));
    }
    return;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$ || !$self->{server};
    local ($@, $?);
    $self->{server}->stop;
    return;
}

1;
