# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# One process of a test: how it is started, watched and ended.  Every process
# started here is ended, newest first, when the test ends, however that
# happens; nothing is ever ended by name.  What is run, and when it counts as
# ready, is decided by the callers (Server, Postgres).
package AuthnToken::Process;

use strict;
use warnings;

use Carp qw(croak);
use Exporter qw(import);
use File::Temp ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(time sleep);

our @EXPORT_OK = qw(poll run children temp_dir which);

my @running;

# How many times longer than usual to wait: what is watched by a sanitizer
# is slow.
our $patience = $ENV{AUTHN_TOKEN_PATIENCE} || 1;

# poll(sub { ... }, $seconds): the first true value of the code, or its last
# false one when the time is over.
sub poll {
    my ($code, $seconds) = @_;
    my $end = time + ($seconds // 5) * $patience;
    my $step = 0.002;

    while (1) {
        my $value = $code->();
        return $value if $value || time > $end;
        sleep $step;
        $step = $step * 1.5 if $step < 0.02;
    }
}

# which($program): its path, or undef.
sub which {
    my ($name) = @_;

    for my $dir (split(/:/, $ENV{PATH} // ''), '/usr/sbin', '/sbin') {
        return "$dir/$name" if -f "$dir/$name" && -x _;
    }
    return;
}

# temp_dir($user): a fresh directory that others may read; owned by $user
# when we are root and a user is given.  AUTHN_TOKEN_KEEP=1 keeps it.
sub temp_dir {
    my ($user) = @_;
    my $dir = File::Temp::tempdir('authn-token-XXXXXX', TMPDIR => 1,
        CLEANUP => !$ENV{AUTHN_TOKEN_KEEP});

    chmod 0755, $dir or croak "chmod $dir: $!";
    own($user, $dir);
    return $dir;
}

# own($user, @paths): hands paths to the user, when we are root.
sub own {
    my ($user, @paths) = @_;
    return if !defined $user || $> != 0;
    my ($uid, $gid) = (getpwnam $user)[2, 3];
    croak "no user $user" if !defined $uid;
    chown($uid, $gid, @paths) == @paths or croak "chown @paths: $!";
    return;
}

# children($pid): the pids of its direct children.
sub children {
    my ($pid) = @_;
    my @found;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $fh, '<', $stat or next;
        my $line = <$fh>;
        next if !defined $line || $line !~ /^(\d+) \(.*\) (\S) (\d+) /s;
        push @found, $1 if $3 == $pid && $2 ne 'Z';
    }
    return sort { $a <=> $b } @found;
}

# run(@command, { stdin, env, user, timeout, dir }): runs to the end;
# { exit, signal, out, err, elapsed, timeout }.
sub run {
    my @command = @_;
    my %opt = ref $command[-1] ? %{ pop @command } : ();
    my $in = File::Temp->new;
    my $out = File::Temp->new;
    my $err = File::Temp->new;
    my $start = time;

    print {$in} $opt{stdin} // '';
    $in->flush;
    chmod 0644, "$in";
    my $self = __PACKAGE__->spawn(command => \@command, env => $opt{env},
        user => $opt{user}, dir => $opt{dir}, in => "$in", out => "$out",
        err => "$err");
    my $done = poll(sub { !$self->alive }, $opt{timeout} // 60);
    $self->end('KILL') if !$done;
    return {
        exit => $self->{status} >> 8,
        signal => $self->{status} & 127,
        out => slurp("$out"),
        err => slurp("$err"),
        elapsed => time - $start,
        timeout => !$done,
    };
}

# slurp($path): the bytes of a file, '' when there is none.
sub slurp {
    my ($path) = @_;
    open my $fh, '<:raw', $path or return '';
    local $/;
    return scalar(<$fh>) // '';
}

# spawn(command => [...], user, env => {}, dir, in, out, err): a new session
# (httpd's prefork signals its whole process group), and where util-linux
# can, a child that follows even a test ended by SIGKILL.
sub spawn {
    my ($class, %arg) = @_;
    my @command = @{ $arg{command} };
    my $env = $arg{env} || {};
    my $pid;

    unshift @command, 'env', map { "$_=$env->{$_}" } sort keys %$env if %$env;
    if (my $setpriv = which('setpriv')) {
        unshift @command, $setpriv, '--pdeathsig', 'TERM';
    }
    defined($pid = fork) or croak "fork: $!";
    if (!$pid) {
        # Not a line of Perl after a failure: the parent's END is not ours.
        eval {
            POSIX::setsid();
            open STDIN, '<', $arg{in} // '/dev/null' or die "stdin: $!\n";
            open STDOUT, '>>', $arg{out} // '/dev/null' or die "out: $!\n";
            open STDERR, $arg{err} ? '>>' : '>&', $arg{err} // \*STDOUT
                or die "err: $!\n";
            become($arg{user});
            chdir($arg{dir} // '/') or die "chdir: $!\n";
            exec { $command[0] } @command or die "$command[0]: $!\n";
        };
        syswrite STDERR, $@;
        POSIX::_exit(127);
    }
    my $self = bless { pid => $pid, owner => $$, command => \@command },
        $class;
    push @running, $self;
    return $self;
}

sub become {
    my ($user) = @_;
    return if !defined $user || $> != 0;
    my ($uid, $gid) = (getpwnam $user)[2, 3];
    die "no user $user\n" if !defined $uid;
    $) = "$gid $gid";
    POSIX::setgid($gid);
    POSIX::setuid($uid) or die "setuid: $!\n";
    return;
}

sub pid { return $_[0]{pid} }

# alive: false once the process has ended; {status} is then its wait status.
sub alive {
    my ($self) = @_;
    return 0 if defined $self->{status};
    my $got = waitpid $self->{pid}, WNOHANG;
    return 1 if $got == 0;
    $self->{status} = $got == $self->{pid} ? $? : 0;
    @running = grep { $_ != $self } @running;
    return 0;
}

sub signal {
    my ($self, $signal) = @_;
    return $self->alive ? kill($signal, $self->{pid}) : 0;
}

# end($signal, $seconds): asks, waits, and in the end kills the session's
# processes.  False when it had to.
sub end {
    my ($self, $signal, $seconds) = @_;
    my $good = 1;
    local $?;

    if ($self->signal($signal // 'TERM')) {
        $good = poll(sub { !$self->alive }, $seconds // 15);
    }
    if (!$good) {
        kill 'KILL', -$self->{pid};
        kill 'KILL', $self->{pid};
        poll(sub { !$self->alive }, 10);
    }
    return $good;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    $self->end if !defined $self->{status};
    return;
}

sub end_all {
    # A copy: each end takes one off the list.
    for my $process (reverse my @all = @running) {
        $process->end('TERM', 10) if $process->{owner} == $$;
    }
    return;
}

# A test ended by a signal must still run the END blocks.
$SIG{$_} ||= sub { exit 1 } for qw(INT TERM HUP);

END { local $?; end_all() }

1;
