#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Everything at once: clients of all kinds, on all threads, while the jobs run
# ten times as often as usual and children come and go; and httpd is told to
# stop in the midst of it.  Where threads meet, ThreadSanitizer looks on.
# profiles: sqlite3-event pgsql-event sqlite3-event-asan

use strict;
use warnings;
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(make_token);
use IO::Handle ();
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Test::More;

my $CLIENTS = 8;
# Of all clients together, in each phase.
my $REQUESTS = 400;

# More than one host, and a database for each, on SQLite.
my $conf = <<'CONF';
Listen 127.0.0.1:@@PORT2@@
AuthTokenPollInterval 1s
AuthTokenFlushInterval 1s
AuthTokenAudit On
ExtendedStatus On
<Location "/api-token-auth/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile @@HTPASSWD@@
    AuthTokenMaxPerUser 20
    AuthTokenLoginLimit 1000 60s
</Location>
<Location "/api/">
    AuthType Token
    AuthName "api"
    AuthTokenScheme Token Bearer Basic
    AuthTokenCacheTTL 1s
    Require valid-user
</Location>
<Location "/api/tokens/">
    SetHandler token-manage
</Location>
<Location "/server-status">
    SetHandler server-status
</Location>
<VirtualHost 127.0.0.1:@@PORT2@@>
    DocumentRoot "@@DOCROOT@@"
    @@OTHER@@
</VirtualHost>
CONF
my $other = AuthnToken::Test::database() eq 'sqlite3'
    ? "DBDriver sqlite3\n    DBDParams \"\@\@TMP\@\@/db/other.db\"" : '';
$conf =~ s/\@\@OTHER\@\@/$other/;

my $site = AuthnToken::Test->new(name => 'storm', conf => $conf,
    # More of a log would take turns where the threads shall meet.
    loglevel => 'info', mpm_conf => <<'CONF');
StartServers 2
ServerLimit 8
ThreadsPerChild 8
MinSpareThreads 8
MaxSpareThreads 16
MaxRequestWorkers 64
MaxConnectionsPerChild 150
CONF
# Old children may take their time, and those who went are told.
$site->allow_log(qr/AH00485: scoreboard is full/,
    qr/AH03490: scoreboard is full, not at MaxRequestWorkers/,
    qr/AH10159: server is within MinSpareThreads/,
    qr/AH00484: server reached MaxRequestWorkers/);

my %may = (
    good => { 200 => 1 },
    basic => { 200 => 1 },
    bad => { 401 => 1, 429 => 1 },
    other => { 401 => 1, 429 => 1 },
    # 429: as many passwords are hashed already as may be at once.
    login => { 200 => 1, 429 => 1 },
    list => { 200 => 1 },
    rotate => { 200 => 1 },
    leave => { 204 => 1 },
    status => { 200 => 1 },
);

for my $round (1 .. 2) {
    $site->start;
    my @clients = map { begin($_) } 1 .. $CLIENTS;
    my $sent = 0;
    ok more(\@clients, \$sent), "round $round: clients of all kinds are at it";
    $site->graceful for 1 .. 2;
    ok more(\@clients, \$sent), "round $round: and after graceful restarts";
    ok $site->stop, "round $round: httpd stops in the midst of it";
    my %got = judge(\@clients);
    is_deeply $got{odd}, {}, "round $round: each got what was due";
    is_deeply [ grep { !$got{count}{$_} } sort keys %may ], [],
        "round $round: and all kinds got something";
}
finish();

# A process that sends until nobody answers, and notes what came back: a line
# of kind and status each.
sub begin {
    my ($number) = @_;
    my $path = $site->tmp . "/client.$number";
    unlink $path;
    defined(my $pid = fork) or die "fork: $!\n";
    return { pid => $pid, path => $path } if $pid;

    my $good = eval {
        open my $out, '>', $path or die "$path: $!\n";
        $out->autoflush;
        srand $number;
        send_all($out);
        1;
    };
    POSIX::_exit($good ? 0 : 1);
}

sub send_all {
    my ($out) = @_;
    my $token = log_in($out);
    my %send = (
        good => sub { $site->get('/api/', Authorization => "Token $_[0]") },
        basic => sub { $site->get('/api/', Authorization => 'Basic '
            . encode_base64("alice:$_[0]", '')) },
        bad => sub { $site->get('/api/',
            Authorization => 'Token ' . make_token()) },
        other => sub { $site->get($site->url('/api/', $site->port(2)),
            Authorization => 'Bearer ' . make_token()) },
        list => sub { $site->get('/api/tokens/',
            Authorization => "Token $_[0]") },
        status => sub { $site->get('/server-status?auto') },
    );
    my @order = (('good') x 6, 'basic', 'bad', 'other', 'list', 'status');

    while ($token) {
        for (1 .. 12) {
            my $kind = $order[rand @order];
            note_answer($out, $kind, $send{$kind}->($token)) or return;
        }
        $token = renew($out, $token);
    }
    return;
}

# One token becomes another: by rotation, or by leaving and a new login.
sub renew {
    my ($out, $token) = @_;
    my @as = (Authorization => "Token $token");

    if (rand() < 0.5) {
        my $response = $site->post('/api/tokens/self/rotate', {}, @as);
        note_answer($out, 'rotate', $response) or return;
        return $response->code == 200 ? $site->json($response)->{token}
            : undef;
    }
    note_answer($out, 'leave', $site->delete('/api/tokens/self', @as))
        or return;
    return log_in($out);
}

sub log_in {
    my ($out) = @_;
    my $response;

    do {
        $response = $site->post('/api-token-auth/',
            { username => 'alice', password => 'wonder-land' });
        note_answer($out, 'login', $response) or return;
    } while $response->code == 429;
    return $response->code == 200 ? $site->json($response)->{token} : undef;
}

# False when there was no answer: httpd is gone, or was told to go.
sub note_answer {
    my ($out, $kind, $response) = @_;

    return 0 if ($response->header('Client-Warning') // '') ne ''
        || $response->header('Client-Aborted');
    print {$out} "$kind ", $response->code, "\n";
    return 1;
}

# more(\@clients, \$sent): waits for so many further answers.
sub more {
    my ($clients, $sent) = @_;
    my $count;

    my $done = poll(sub { ($count = () = answers($clients))
        >= $$sent + $REQUESTS }, 60);
    $$sent = $count;
    return $done;
}

sub answers {
    my ($clients) = @_;
    return map { split /\n/, AuthnToken::Process::slurp($_->{path}) }
        @$clients;
}

sub judge {
    my ($clients) = @_;
    my (%odd, %count);

    waitpid $_->{pid}, 0 for @$clients;
    for my $answer (answers($clients)) {
        my ($kind, $code) = split ' ', $answer;
        $count{$kind}++;
        $odd{$answer}++ if !$may{$kind}{$code};
    }
    return (odd => \%odd, count => \%count);
}
