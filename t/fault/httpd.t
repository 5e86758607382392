# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# httpd is restarted under load, its children come and go, and clients leave
# in the middle of a body: no request fails, and nothing is left behind.
# profiles: sqlite3-event pgsql-event
use strict;
use warnings;

use AuthnToken::Fault;
use AuthnToken::Pace;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use Test::More;

# held($pid): what the process has of each kind.
sub held {
    my ($pid) = @_;
    my $maps = AuthnToken::Process::slurp("/proc/$pid/maps");
    my @shared = grep { /^\S+ rw-s / } split /\n/, $maps;
    my @modules = grep { m{ r-xp .*/mod_authn_token\.so} } split /\n/, $maps;
    my @fds = glob "/proc/$pid/fd/*";
    my @threads = glob "/proc/$pid/task/*";

    return { files => scalar @fds, threads => scalar @threads,
        'shared segments' => scalar @shared, modules => scalar @modules };
}

my $site = fault_site(name => 'httpd', mpm_conf => <<'CONF');
StartServers 2
ServerLimit 8
ThreadsPerChild 8
MinSpareThreads 8
MaxSpareThreads 32
MaxRequestWorkers 64
CONF
$site->start;
my $pace = AuthnToken::Pace->start($site, fresh => 3000);

# What there is of each after the first one is there for good.
$site->graceful;
my $before = held($site->pid);
rehearse($pace, '20 graceful restarts', sub {
    $site->graceful for 1 .. 20;
    return;
}, spares => [qw(good fresh login)]);
my $after;
ok poll(sub {
    $after = held($site->pid);
    return "@$after{sort keys %$after}" eq "@$before{sort keys %$before}";
}, 10), '20 graceful restarts: httpd holds what it held before';
is_deeply $after, $before, '20 graceful restarts: nothing is left behind';

rehearse($pace, 'clients that leave in the middle of a login', sub {
    for my $round (1 .. 40) {
        my $connection = $site->connection;
        $connection->write("POST /api-token-auth/ HTTP/1.1\r\nHost: x\r\n"
            . "Content-Type: application/json\r\nContent-Length: 45\r\n\r\n"
            . substr '{"username":"alice","password":"wonder-land"}', 0,
                $round);
        $connection->close;
    }
    $pace->more(40);
    return;
}, spares => [qw(good fresh login)]);

$site->allow_log(qr/AH00052: child pid \d+ exit signal Killed/);
my %cut = map { $_ => ['cut'] } qw(good fresh bad login);
rehearse($pace, 'a child killed', sub {
    kill 'KILL', ($site->child_pids)[0];
    $pace->more(20);
    return;
}, allow => \%cut);
end_pace($pace, $site);
$site->done;

# Each child ends after a few connections, and writes down the last uses then.
$site = fault_site(name => 'recycling', mpm_conf => <<'CONF')->start;
StartServers 2
ServerLimit 8
ThreadsPerChild 8
MinSpareThreads 8
MaxSpareThreads 32
MaxRequestWorkers 64
MaxConnectionsPerChild 25
CONF
$site->allow_log(qr/AH00485: scoreboard is full/);
$pace = AuthnToken::Pace->start($site);
my %seen;
rehearse($pace, 'children that end after 25 connections', sub {
    poll(sub { $seen{$_} = 1 for $site->child_pids; keys %seen >= 8 }, 20);
    return;
}, spares => [qw(good fresh login)]);
cmp_ok scalar keys %seen, '>=', 8, 'at least six of them ended';
end_pace($pace, $site);
finish();
