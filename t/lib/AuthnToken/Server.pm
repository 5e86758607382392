# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Apache::Test under our house rules: Apache::TestConfig finds httpd and apxs
# and holds the variables, Apache::TestServer starts and stops.  Theirs sleep
# whole seconds and print on STDOUT; these poll and are silent.  What stands
# in httpd.conf is decided in AuthnToken::Conf.
package AuthnToken::Config;

use strict;
use warnings;

use Apache::TestConfig ();
our @ISA = ('Apache::TestConfig');

# Theirs remembers one port for the whole process; each site has its own.
sub select_first_port { return $_[0]{vars}{port} }

sub new_test_server { return AuthnToken::Server->new($_[0]) }

package AuthnToken::Server;

use strict;
use warnings;

use Apache::TestServer ();
use AuthnToken::Process qw(poll);
use AuthnToken::Sanitizer ();
use IO::Socket::INET;
our @ISA = ('Apache::TestServer');

my %used;
my $found;

# free_port: a port nobody listens on and we have not given out.  It starts
# at a random one, so that tests running side by side do not meet.
sub free_port {
    for (1 .. 200) {
        my $port = 10_000 + int rand 20_000;
        next if $used{$port}++;
        return $port if Apache::TestServer->port_available($port);
    }
    die "no free port found\n";
}

# user: whom the httpd under test runs as; undef when we are not root.
sub user {
    return undef if $> != 0;
    for my $name (qw(www-data apache httpd nobody)) {
        return $name if defined getpwnam $name;
    }
    die "no user to run httpd as\n";
}

# configure($dir, $port): the Apache::TestConfig of one site below $dir.
sub configure {
    my ($class, $dir, $port) = @_;
    my $user = user();
    my $config = AuthnToken::Config->new({
        top_dir => $dir,
        t_dir => $dir,
        serverroot => $dir,
        servername => '127.0.0.1',
        port => $port,
        user => $user // scalar(getpwuid $>),
        group => scalar(getgrgid($user ? (getpwnam $user)[3] : $))),
        # Apache::Test would ask for these each time, at 100 ms a question.
        $found ? %{ $found->{vars} } : (),
    });

    if ($found) {
        $config->{$_} = $found->{$_} for qw(APXS _apxs modules);
        $config->{server}{$_} = $found->{server}{$_}
            for qw(version rev revminor mpm);
        return $config;
    }
    $config->configure_apxs;
    $config->configure_httpd;
    die "no httpd found: set APACHE_TEST_HTTPD or APACHE_TEST_APXS\n"
        if !$config->{vars}{httpd};
    $config->apxs('LIBEXECDIR');
    $config->get_httpd_static_modules;
    $config->{server}->post_config;
    $found = {
        vars => { map { $_ => $config->{vars}{$_} }
            qw(httpd apxs bindir sbindir target) },
        APXS => $config->{APXS},
        _apxs => $config->{_apxs},
        modules => $config->{modules},
        server => { %{ $config->{server} } },
    };
    $found->{vars}{apxs} ||= $config->{APXS};
    return $config;
}

# args: theirs defines -D APACHE2 and more, which nobody here reads.
sub args {
    my ($self) = @_;
    my $vars = $self->{config}{vars};
    return ('-d', $vars->{serverroot}, '-f', $vars->{t_conf_file});
}

sub output_file { return $_[0]{config}{vars}{t_logs} . '/output' }

sub pid {
    my ($self) = @_;
    return $self->{process} && $self->{process}->alive
        ? $self->{process}->pid : 0;
}

# ping: true when the server's own process answers a request; by then it has
# closed the connection.
sub ping {
    my ($self) = @_;
    my ($answer) = $self->probe("HTTP/1.0\r\n");
    return $answer =~ m{^HTTP/1} ? 1 : 0;
}

# hold: an idle connection, or nothing: no worker is at work for it.
sub hold {
    my ($self) = @_;
    my ($answer, $socket)
        = $self->probe("HTTP/1.1\r\nHost: 127.0.0.1\r\n", qr/\r\n\r\n/);
    return $answer ? $socket : undef;
}

# probe($version_and_fields, $end): the answer to a request, read until it
# has its end or the server closes, and the connection.
sub probe {
    my ($self, $head, $end) = @_;
    my $answer = '';
    my $ready = '';
    my $socket;

    return '' if !$self->pid;
    $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{config}{vars}{port},
        Timeout => $AuthnToken::Process::patience) or return '';
    print {$socket} "OPTIONS * ${head}User-Agent: harness-probe\r\n\r\n";
    $socket->flush;
    vec($ready, fileno $socket, 1) = 1;
    1 while !($end && $answer =~ $end)
        && select(my $readable = $ready, undef, undef,
            2 * $AuthnToken::Process::patience)
        && sysread $socket, $answer, 4096, length $answer;
    return ($answer, $socket);
}

# start($env): true when httpd answers; else what it said is in output_file.
sub start {
    my ($self, $env) = @_;
    my $root = $self->{config}{vars}{serverroot};
    my $up;

    return 1 if $self->pid;
    unlink $self->pid_file;
    $self->{process} = AuthnToken::Process->spawn(
        command => [ AuthnToken::Sanitizer::command($root),
            $self->{config}{vars}{httpd}, $self->args, '-D', 'FOREGROUND' ],
        env => { %{ AuthnToken::Sanitizer::environment($root) },
            %{ $env || {} } },
        out => $self->output_file);
    poll(sub { !$self->pid || ($up = -s $self->pid_file && $self->ping) },
        30);
    $self->stop if !$up;
    return $up ? 1 : 0;
}

# stop: true when httpd went when asked, by itself and without a signal.
sub stop {
    my ($self) = @_;
    my $process = $self->{process} or return 1;
    my $good = $process->end('TERM', 20);

    $self->{status} = $process->{status};
    delete $self->{process};
    return $good && !$self->{status};
}

1;
