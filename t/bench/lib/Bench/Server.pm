# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The httpd that is measured: one small file in five places, which differ in
# how they are protected and in nothing else.  Modules and settings are those
# Debian has by itself, with an access log, and what the peers need; all for
# all places, so that each pays for the hooks of each.  `module => 0' leaves
# ours out.  Under callgrind it is one process (httpd -X), as the user httpd
# would have: valgrind's own door does not outlive a change of user.
package Bench::Server;

use strict;
use warnings;

use AuthnToken::Conf ();
use AuthnToken::Process qw(poll run which);
use AuthnToken::Server ();
use AuthnToken::Site ();
use Bench::Client ();
use Bench::Tokens ();

our @ISA = ('AuthnToken::Site');

# What Debian has on by itself, and what the peers need.
my @modules = qw(
    filter access_compat alias auth_basic authn_core authn_file authz_core
    authz_host authz_user autoindex deflate dir env mime negotiation
    reqtimeout setenvif status
    authn_anon authn_socache authn_dbd dbd socache_shmcb
);

my $text = <<'CONF';
ServerRoot "@@TMP@@"
ServerName 127.0.0.1
Listen 127.0.0.1:@@PORT@@
PidFile "@@TMP@@/logs/httpd.pid"
DefaultRuntimeDir "@@TMP@@/run"
ErrorLog "@@TMP@@/logs/error_log"
LogLevel warn
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 120
Timeout 300
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \
\"%{User-Agent}i\"" combined
CustomLog "@@TMP@@/logs/access_log" combined
RequestReadTimeout header=20-40,minrate=500 body=20,minrate=500
AddOutputFilterByType DEFLATE text/html text/plain text/xml
TypesConfig "@@TMP@@/conf/mime.types"
DocumentRoot "@@TMP@@/htdocs"
StartServers @@CHILDREN@@
ServerLimit @@CHILDREN@@
ThreadLimit @@THREADS@@
ThreadsPerChild @@THREADS@@
MinSpareThreads 1
MaxSpareThreads @@WORKERS@@
MaxRequestWorkers @@WORKERS@@
AsyncRequestWorkerFactor 8
MaxConnectionsPerChild 0
<Directory "/">
    Options None
    AllowOverride None
    Require all granted
</Directory>
<Location "/server-status">
    SetHandler server-status
</Location>
DBDriver pgsql
DBDParams "@@DBDPARAMS@@"
DBDMin 4
DBDKeep 32
DBDMax 32
<Location "/anon/">
    AuthType Basic
    AuthName "bench"
    AuthBasicProvider anon
    Anonymous *
    Anonymous_MustGiveEmail Off
    Anonymous_LogEmail Off
    Require valid-user
</Location>
AuthnCacheEnable
<Location "/socache/">
    AuthType Basic
    AuthName "bench"
    AuthBasicProvider socache file
    AuthUserFile "@@TMP@@/conf/accounts"
    AuthnCacheProvideFor file
    AuthnCacheTimeout 3600
    Require valid-user
</Location>
<Location "/dbd/">
    AuthType Basic
    AuthName "bench"
    AuthBasicProvider dbd
    AuthDBDUserPWQuery "SELECT password FROM account WHERE username = %s"
    Require valid-user
</Location>
CONF

my $ours = <<'CONF';
AuthTokenTable @@TABLE@@
AuthTokenCacheTTL 1h
AuthTokenPurge @@PURGE@@
AuthTokenSchema @@SCHEMA@@
<Location "/token/">
    AuthType Token
    AuthName "bench"
    Require valid-user
</Location>
CONF


# new(dbd => DBDParams): an httpd, not yet started.  Also table (of
# AuthTokenTable), purge (of AuthTokenPurge), children, threads (of each),
# accounts (users in mod_authn_file's file), modules => [further ones], more => 'further lines',
# callgrind => 1, and module => 0 for one without ours.
sub new {
    my ($class, %arg) = @_;
    return $class->SUPER::new(%arg, mpm => 'event', db => 'none', conf => '');
}

# What Site calls first: keeps what conf() needs.
sub prepare_database {
    my ($self, %arg) = @_;

    $self->{bench} = { table => 16384, purge => 0, children => 2, accounts => 0,
        threads => 32, schema => 'native', more => '', %arg };
    $self->{dbd} = $arg{dbd};
    return;
}

sub conf {
    my ($self) = @_;
    my $bench = $self->{bench};
    my $user = AuthnToken::Server::user();
    my $children = $bench->{callgrind} ? 1 : $bench->{children};
    my %value = (TMP => $self->{tmp}, PORT => $self->port,
        DBDPARAMS => $self->{dbd}, TABLE => $bench->{table}, PURGE => $bench->{purge},
        SCHEMA => $bench->{schema},
        CHILDREN => $children, THREADS => $bench->{threads},
        WORKERS => $bench->{threads} * $children);
    my $conf = $self->load_modules . $text;

    $conf .= "User $self->{config}{vars}{user}\n"
        . "Group $self->{config}{vars}{group}\n"
        if $user && !$bench->{callgrind};
    $conf .= $ours if $self->{module};
    $conf .= $bench->{more};
    $conf =~ s/\@\@([A-Z]+)\@\@/$value{$1} \/\/ die "no $1\n"/ge;
    AuthnToken::Conf::put($self->{config}{vars}{t_conf_file}, $conf);
    for my $place (qw(open anon socache dbd token)) {
        mkdir "$self->{tmp}/htdocs/$place";
        AuthnToken::Conf::put("$self->{tmp}/htdocs/$place/file.txt",
            scalar(('x' x 63 . "\n") x 16));
    }
    AuthnToken::Conf::put("$self->{tmp}/conf/accounts", join '',
        map { Bench::Tokens::user($_) . ':'
            . Bench::Tokens::password_hash($_) . "\n" }
            1 .. $bench->{accounts});
    # As this user it writes its logs and callgrind's.
    AuthnToken::Process::own($user, "$self->{tmp}/logs")
        if $bench->{callgrind};
    return $self;
}

sub load_modules {
    my ($self) = @_;
    my $config = $self->{config};
    my $dir = $config->apxs('LIBEXECDIR');
    my @wanted = $config->{modules}{'event.c'} ? () : ('mpm_event');

    push @wanted, qw(log_config unixd), @modules,
        @{ $self->{modules} || [] };
    return join '', (map { "LoadModule ${_}_module $dir/mod_$_.so\n" }
        grep { !$config->{modules}{"mod_$_.c"} } @wanted),
        $self->{module}
            ? qq{LoadModule authn_token_module "$self->{module}"\n} : ();
}

# path($place): of the file there.
sub path { return "/$_[1]/file.txt" }

# request($place, $header)
sub request {
    my ($self, $place, $header) = @_;
    return Bench::Client::request($self->path($place), $header);
}

# status: mod_status' lines for programs.
sub status {
    my ($self) = @_;
    my $client = Bench::Client->new($self->port);
    $client->send("GET /server-status?auto HTTP/1.0\r\n\r\n");
    return { $client->{body} =~ /^(\w+): (\S+)$/mg };
}

# memory: bytes of all children: { resident, private, proportional }.  What is
# shared (the table) is resident in each child that has looked at it; it does
# not grow.
sub memory {
    my ($self) = @_;
    my %sum = (resident => 0, private => 0, proportional => 0);

    for my $pid ($self->child_pids) {
        my $text = AuthnToken::Process::slurp("/proc/$pid/smaps_rollup");
        my %kb = $text =~ /^(\w+): +(\d+) kB/mg;
        $sum{resident} += 1024 * ($kb{Rss} // 0);
        $sum{private} += 1024 * (($kb{Private_Dirty} // 0)
            + ($kb{Private_Clean} // 0));
        $sum{proportional} += 1024 * ($kb{Pss} // 0);
    }
    return \%sum;
}

# table_memory: of what children share, the table and the digests above all:
# { resident, proportional }, bytes of all children together, and { most }, of
# the one that has looked at most of it.
sub table_memory {
    my ($self) = @_;
    my %sum = (resident => 0, proportional => 0, most => 0);

    for my $pid ($self->child_pids) {
        my %kb = shared($pid);
        $sum{resident} += 1024 * $kb{Rss};
        $sum{proportional} += 1024 * $kb{Pss};
        $sum{most} = 1024 * $kb{Rss} if 1024 * $kb{Rss} > $sum{most};
    }
    return \%sum;
}

sub shared {
    my ($pid) = @_;
    my %sum = (Rss => 0, Pss => 0);

    for my $mapping (split /^(?=[0-9a-f]+-[0-9a-f]+ )/m,
        AuthnToken::Process::slurp("/proc/$pid/smaps")) {
        next if $mapping !~ m{^\S+ rw-s .* /dev/zero };
        my %kb = $mapping =~ /^(\w+): +(\d+) kB/mg;
        $sum{$_} += $kb{$_} for keys %sum;
    }
    return %sum;
}

# handles: { threads, files } of all children together.
sub handles {
    my ($self) = @_;
    my %sum = (threads => 0, files => 0);

    for my $pid ($self->child_pids) {
        $sum{threads} += () = glob "/proc/$pid/task/*";
        $sum{files} += () = glob "/proc/$pid/fd/*";
    }
    return \%sum;
}

# complaints: what the error log says that it should not.
sub complaints {
    my ($self) = @_;
    return $self->log->lines('error', qr/:(?:warn|error|crit|alert|emerg)\]/);
}

# --- under callgrind ---

# start_callgrind: httpd -X, counting nothing yet.
sub start_callgrind {
    my ($self) = @_;
    my $logs = "$self->{tmp}/logs";
    my $server = $self->{server};

    $self->{server}{process} = AuthnToken::Process->spawn(
        command => [ which('valgrind'), '--tool=callgrind', '--quiet',
            '--instr-atstart=no', "--callgrind-out-file=$logs/callgrind",
            "--vgdb-prefix=$logs/vgdb", '--vgdb-poll=5000',
            '--fair-sched=yes', $self->{config}{vars}{httpd}, $server->args,
            '-X' ],
        user => AuthnToken::Server::user(), out => $server->output_file);
    poll(sub { !$server->pid || -s $server->pid_file && $server->ping }, 120);
    die 'httpd did not start under callgrind: ', $self->output,
        $self->log->lines('error') if !$server->pid || !$server->ping;
    return $self;
}

sub tell_callgrind {
    my ($self, @command) = @_;
    my $said = run(which('vgdb'), "--vgdb-prefix=$self->{tmp}/logs/vgdb",
        '--pid=' . $self->pid, @command,
        { user => AuthnToken::Server::user(), timeout => 120 });
    die "vgdb @command: $said->{out}$said->{err}"
        if $said->{exit} || $said->{timeout};
    return;
}

# count_instructions(\@warm, \@counted): the path of callgrind's file about
# the second requests alone, all on one kept connection.
sub count_instructions {
    my ($self, $warm, $counted) = @_;
    my $client = Bench::Client->new($self->port);
    my $file;

    $self->tell_callgrind(qw(instrumentation on));
    send_all($client, $warm);
    $self->tell_callgrind('zero');
    send_all($client, $counted);
    $self->tell_callgrind('dump');
    $self->tell_callgrind(qw(instrumentation off));
    $file = "$self->{tmp}/logs/callgrind." . ++$self->{dumps};
    poll(sub { -s $file }, 10) or die "no $file\n";
    return $file;
}

sub send_all {
    my ($client, $requests) = @_;

    for my $request (@$requests) {
        my ($status) = keys %{ $client->send($request) };
        die "$status for $request" if $status != 200;
    }
    return;
}

1;
