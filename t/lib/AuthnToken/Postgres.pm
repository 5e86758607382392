# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A PostgreSQL cluster of the tests: made in a temporary directory, started,
# stopped, frozen and thawed, with its statements on record, and pgbouncer in
# front of it on request.  It knows nothing about tokens but the name of the
# role; tables are made by whoever needs them.
package AuthnToken::Postgres;

use strict;
use warnings;

use AuthnToken::Process qw(poll run children temp_dir which);
use AuthnToken::Server ();
use DBD::Pg ();
use DBI ();
use Exporter qw(import);

our @EXPORT_OK = qw(answers);

use constant ROLE => 'authn_token';

my $shared;
my $count = 0;
my %signal = (smart => 'TERM', fast => 'INT', immediate => 'QUIT');

# shared: the cluster of this test process, or the one that runs at
# AUTHN_TOKEN_PG_HOST and AUTHN_TOKEN_PG_PORT.
sub shared {
    my ($class) = @_;

    if (!$shared && $ENV{AUTHN_TOKEN_PG_PORT}) {
        $shared = bless { owner => $$, external => 1, databases => [],
            user => $> == 0 ? 'postgres' : undef,
            host => $ENV{AUTHN_TOKEN_PG_HOST} || '127.0.0.1',
            port => $ENV{AUTHN_TOKEN_PG_PORT} }, $class;
        $shared->make_role;
    }
    $shared ||= $class->new;
    return $shared;
}

# available: whether a cluster can be had here at all.
sub available { return $ENV{AUTHN_TOKEN_PG_PORT} || program('initdb') }

# new(conf => 'lines of postgresql.conf'): a private cluster, started.
sub new {
    my ($class, %arg) = @_;
    my $user = $> == 0 ? 'postgres' : undef;
    my $dir = temp_dir($user);
    my $self = bless { owner => $$, dir => $dir, data => "$dir/data",
        user => $user, host => '127.0.0.1', log => "$dir/log",
        conf => $arg{conf} // '', frozen => [], bouncers => [] }, $class;

    make_data($self->{data}, $user, $ENV{AUTHN_TOKEN_PG_TEMPLATE});
    $self->start;
    $self->make_role;
    return $self;
}

# standby: another cluster, started, that follows this one; with both of them
# up, what one has committed the other has, too.
sub standby {
    my ($self) = @_;
    my $dir = temp_dir($self->{user});
    my $other = bless { %$self, dir => $dir, data => "$dir/data",
        log => "$dir/log", frozen => [], bouncers => [] }, ref $self;
    my $result = run(program('pg_basebackup'), '-D', $other->{data}, '-R',
        '-c', 'fast', '--no-sync', '-h', $self->{host}, '-p', $self->{port},
        '-U', 'postgres', { user => $self->{user}, timeout => 60 });

    delete @$other{qw(port process)};
    die "no standby: $result->{err}" if $result->{exit};
    $other->start;
    my $dbh = $self->dbh;
    $dbh->do(q{ALTER SYSTEM SET synchronous_standby_names = '*'});
    $dbh->do('SELECT pg_reload_conf()');
    poll(sub { $dbh->selectrow_array('SELECT count(*) FROM'
        . q{ pg_stat_replication WHERE sync_state = 'sync'}) }, 30)
        or die 'the standby does not follow: ', $other->log_text;
    return $other;
}

# promote: of a standby; true when it takes writes.
sub promote {
    my ($self) = @_;
    # It has the setting of the other, and nobody follows it.
    my $dbh = $self->dbh;
    $dbh->do('SELECT pg_promote(false)');
    poll(sub { !$dbh->selectrow_array('SELECT pg_is_in_recovery()') }, 30)
        or die 'not promoted: ', $self->log_text;
    $dbh->do('ALTER SYSTEM RESET synchronous_standby_names');
    return $dbh->do('SELECT pg_reload_conf()');
}

# make_data($dir, $user, $template): a data directory: a copy, or initdb's.
sub make_data {
    my ($dir, $user, $template) = @_;
    my $result;

    if ($template && -f "$template/PG_VERSION") {
        $result = run('cp', '-a', $template, $dir);
        unlink "$dir/postmaster.pid";
    }
    else {
        my $initdb = program('initdb') or die "no initdb found\n";
        $result = run($initdb, '-D', $dir, '-U', 'postgres', '-A', 'trust',
            '-E', 'UTF8', '--locale=C', '--no-sync', { user => $user });
    }
    die "no cluster: $result->{out}$result->{err}" if $result->{exit};
    return $dir;
}

# program($name): its path in PostgreSQL's newest directory, or on the PATH.
sub program {
    my ($name) = @_;
    my @dirs = sort { ($b =~ m{/(\d+)/bin$})[0] <=> ($a =~ m{/(\d+)/bin$})[0] }
        glob '/usr/lib/postgresql/*/bin';

    unshift @dirs, $ENV{AUTHN_TOKEN_PG_BINDIR} if $ENV{AUTHN_TOKEN_PG_BINDIR};
    for my $dir (@dirs) {
        return "$dir/$name" if -x "$dir/$name";
    }
    return which($name);
}

# start: true when it takes connections; dies when it does not come up.
sub start {
    my ($self) = @_;
    my $first = !$self->{port};

    $self->must_be_ours('started');
    return 1 if $self->pid;
    for my $try (1 .. 5) {
        $self->{port} = AuthnToken::Server::free_port() if $first;
        $self->write_conf;
        $self->{process} = AuthnToken::Process->spawn(
            command => [ program('postgres'), '-D', $self->{data} ],
            user => $self->{user}, out => $self->{log});
        poll(sub { !$self->pid || $self->is_ready }, 30);
        return 1 if $self->is_ready;
        $self->stop('immediate');
        last if !$first;
    }
    die 'PostgreSQL did not start: ', $self->log_text;
}

# A commit that was answered must outlive "immediate" and a kill: so it goes to
# the kernel at once, but no further, for no machine crashes here.
sub write_conf {
    my ($self) = @_;
    my $path = "$self->{data}/authn_token.conf";
    my $main = "$self->{data}/postgresql.conf";
    my $include = "include 'authn_token.conf'\n";

    open my $fh, '>', $path or die "$path: $!\n";
    print {$fh} <<"CONF";
listen_addresses = '$self->{host}'
port = $self->{port}
unix_socket_directories = '$self->{dir}'
fsync = off
synchronous_commit = on
full_page_writes = off
shared_buffers = 16MB
max_connections = 100
logging_collector = off
log_statement = all
log_line_prefix = '%m [%p] %d '
$self->{conf}
CONF
    close $fh or die "$path: $!\n";
    AuthnToken::Process::own($self->{user}, $path);
    return if AuthnToken::Process::slurp($main) =~ /^\Q$include\E/m;
    open $fh, '>>', $main or die "$main: $!\n";
    print {$fh} $include;
    close $fh or die "$main: $!\n";
    return;
}

# is_ready: as the postmaster itself says in the last line of its pid file.
sub is_ready {
    my ($self) = @_;
    return 0 if !$self->pid;
    my @lines = split /\n/,
        AuthnToken::Process::slurp("$self->{data}/postmaster.pid");
    return @lines >= 8 && $lines[0] == $self->pid && $lines[7] =~ /^ready/;
}

# stop($mode): smart, fast (default) or immediate.
sub stop {
    my ($self, $mode) = @_;
    my $process = $self->{process} or return 1;

    $self->thaw;
    my $good = $process->end($signal{ $mode // 'fast' } || die("mode?\n"), 20);
    delete $self->{process};
    return $good;
}

sub restart {
    my ($self, $mode) = @_;
    $self->stop($mode);
    return $self->start;
}

# pid: the postmaster's; 0 when it does not run.
sub pid {
    my ($self) = @_;
    return $self->{process} && $self->{process}->alive
        ? $self->{process}->pid : 0;
}

sub host { return $_[0]{host} }
sub port { return $_[0]{port} }

sub must_be_ours {
    my ($self, $what) = @_;
    die "a cluster that runs already cannot be $what\n" if $self->{external};
    return;
}

# params($database, %more): a connection string for apr_dbd and libpq.
sub params {
    my ($self, $database, %more) = @_;
    my %value = (host => $self->{host}, port => $self->{port},
        dbname => $database, user => ROLE, connect_timeout => 2, %more);
    my @order = qw(host port dbname user connect_timeout);
    my %first = map { $_ => 1 } @order;

    return join ' ', map { "$_=$value{$_}" }
        grep { defined $value{$_} }
        @order, sort grep { !$first{$_} } keys %value;
}

# dbh($database, user => 'postgres'): a fresh DBI handle, errors die.
sub dbh {
    my ($self, $database, %opt) = @_;
    my $dsn = "dbi:Pg:host=$self->{host};port=$self->{port};"
        . 'dbname=' . ($database // 'postgres');
    return DBI->connect($dsn, $opt{user} // 'postgres', '',
        { RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1,
            AutoInactiveDestroy => 1, pg_server_prepare => 0 });
}

sub make_role {
    my ($self) = @_;
    my $role = ROLE;
    # Two tests that share a cluster may both come first.
    eval { $self->dbh->do("CREATE ROLE $role LOGIN"); 1 }
        or $@ =~ /already exists|duplicate key/ or die $@;
    return;
}

# create_database($name): an empty database of our role; its name.
sub create_database {
    my ($self, $name) = @_;
    my $role = ROLE;

    $name //= sprintf 'authn_token_%d_%d', $$, ++$count;
    my $dbh = $self->dbh;
    $dbh->do(qq{DROP DATABASE IF EXISTS "$name" WITH (FORCE)});
    $dbh->do(qq{CREATE DATABASE "$name" OWNER $role TEMPLATE template0});
    push @{ $self->{databases} }, $name if $self->{external};
    return $name;
}

# backend_pids($database): processes that serve clients, of one database or
# of all; the asking one left out.
sub backend_pids {
    my ($self, $database) = @_;
    my $dbh = $self->dbh;
    my $pids = $dbh->selectcol_arrayref(
        q{SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()
            AND backend_type = 'client backend'
            AND (datname = $1 OR $1 IS NULL) ORDER BY pid}, {}, $database);
    $dbh->disconnect;
    return @$pids;
}

# freeze($database): stops the backends of one database: statements hang, new
# connections work.  Without a name the whole cluster hangs, postmaster first.
sub freeze {
    my ($self, $database) = @_;
    my @pids;

    $self->must_be_ours('frozen') if !defined $database;
    @pids = defined $database ? $self->backend_pids($database)
        : ($self->pid, children($self->pid));
    kill 'STOP', @pids;
    push @{ $self->{frozen} }, @pids;
    return @pids;
}

# thaw: whatever was frozen goes on.
sub thaw {
    my ($self) = @_;
    my @pids = splice @{ $self->{frozen} ||= [] };
    kill 'CONT', $_ for reverse @pids;
    return @pids;
}

# answers($dbh, $seconds): whether a statement comes back in time.  libpq
# itself would wait for ever, and no alarm interrupts it.
sub answers {
    my ($dbh, $seconds) = @_;
    my $good = eval {
        $dbh->do('SELECT 1', { pg_async => DBD::Pg::PG_ASYNC() });
        poll(sub { $dbh->pg_ready }, $seconds // 5);
    };
    # A result still owed makes the handle useless, even to its destructor.
    eval { $dbh->pg_result; 1 } if $good;
    $dbh->{InactiveDestroy} = 1 if !$good;
    return $good ? 1 : 0;
}

# log_mark, log_text($from): the server's log: every statement, with errors.
sub log_mark { return -s $_[0]{log} || 0 }

sub log_text {
    my ($self, $from) = @_;
    $self->must_be_ours('read');
    my $text = AuthnToken::Process::slurp($self->{log});
    return substr $text, $from // 0;
}

# statements($pattern, $from): logged statements that match.
sub statements {
    my ($self, $pattern, $from) = @_;
    return grep { $_ =~ $pattern }
        grep { /LOG:  (?:statement|execute [^:]*): / }
        split /\n(?=\d{4}-\d\d-\d\d )/, $self->log_text($from);
}

# lookups($dbname, $from): those that looked for a token.
sub lookups {
    my ($self, $dbname, $from) = @_;
    return $self->statements(
        qr/ \Q$dbname\E LOG:  execute .*FROM auth_token WHERE digest = \(?\$1/s,
        $from);
}

# sent($from): what was sent as a prepared statement of ours, each once, with
# the values it had: { name, text, types, values }, the last two as SQL.
sub sent {
    my ($self, $from) = @_;
    my @lines = split /\n(?=\d{4}-\d\d-\d\d )/, $self->log_text($from);
    my %seen;

    for my $i (0 .. $#lines - 1) {
        my ($name, $types, $text) = $lines[$i] =~ /LOG:[ ]{2}execute
            [ ](authn_token\w+):[ ]PREPARE[ ]\w+[ ](\([\w,]+\))?[ ]?AS[ ](.*)/xs
            or next;
        my ($values) = $lines[ $i + 1 ] =~ /DETAIL:  parameters: (.*)/s;
        my @values = ($values // '') =~ /\$\d+ = ('(?:[^']|'')*')/g;
        $seen{$name} = { name => $name, text => $text,
            types => $types // '',
            values => @values ? '(' . join(', ', @values) . ')' : '' };
    }
    return map { $seen{$_} } sort keys %seen;
}

# pgbouncer($mode, %setting): starts one in front; its port.  transaction is
# the default mode; settings are lines of its [pgbouncer] section.
sub pgbouncer {
    my ($self, $mode, %setting) = @_;
    my $program = which('pgbouncer') or die "no pgbouncer found\n";
    my $dir = temp_dir($self->{user});
    my $port = AuthnToken::Server::free_port();
    my $more = join '', map { "$_ = $setting{$_}\n" } sort keys %setting;
    my $role = ROLE;

    $mode //= 'transaction';
    write_file("$dir/users.txt", qq{"postgres" ""\n"$role" ""\n});
    write_file("$dir/pgbouncer.ini", <<"INI");
[databases]
* = host=$self->{host} port=$self->{port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = trust
auth_file = $dir/users.txt
pool_mode = $mode
default_pool_size = 4
admin_users = postgres
$more
INI
    my $process = AuthnToken::Process->spawn(
        command => [ $program, "$dir/pgbouncer.ini" ],
        user => $self->{user}, out => "$dir/log");
    push @{ $self->{bouncers} }, $process;
    poll(sub { !$process->alive || listens($port) }, 10);
    die 'pgbouncer did not start: ', AuthnToken::Process::slurp("$dir/log")
        if !listens($port);
    return $port;
}

sub listens {
    my ($port) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
        Timeout => 1) ? 1 : 0;
}

sub write_file {
    my ($path, $text) = @_;
    open my $fh, '>', $path or die "$path: $!\n";
    print {$fh} $text;
    close $fh or die "$path: $!\n";
    chmod 0644, $path;
    return;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local ($@, $?);
    for my $name (@{ $self->{databases} || [] }) {
        eval { $self->dbh->do(qq{DROP DATABASE "$name" WITH (FORCE)}) };
    }
    $_->end('INT', 5) for splice @{ $self->{bouncers} || [] };
    $self->stop('immediate') if !$self->{external};
    return;
}

END {
    if ($shared && $shared->{owner} == $$) {
        local $?;
        undef $shared;
    }
}

1;
