# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Everything at once, at full speed and for long, while PostgreSQL restarts
# each minute: no answer may be wrong, and nothing may grow.  The clients are
# Mixed's; here PostgreSQL is stopped and started, memory, threads and files
# are looked at, and what only an outage can excuse is judged.
package Bench::Soak;

use strict;
use warnings;

use AuthnToken::Process qw(temp_dir);
use Bench::Mixed ();
use Bench::Report qw(kilobytes number ratio);
use Bench::Tokens ();
use Bench::Wrk ();
use Time::HiRes qw(sleep time);

my $CLIENTS = 8;
my @dead = (800_000_001, 800_000_400);
# Seconds: how long PostgreSQL is away beside what its stop and start take;
# till all is well again after that; and till a revocation by hand must count,
# AuthTokenPollInterval and what a busy machine takes.
my $AWAY = 2;
my $WELL = 5;
my $COUNTS = 1 + 2;

# needs: what the server must have for it.
sub needs {
    return (modules => ['remoteip'], more => <<"CONF");
# As docs/scaling.md has it; and all are there from the start.
DBDMin 4
DBDKeep 4
DBDMax 4
RemoteIPHeader X-Client
RemoteIPInternalProxy 127.0.0.1
AuthTokenCacheTTL 5s
AuthTokenFlushInterval 5s
AuthTokenRotationGrace ${Bench::Mixed::GRACE}s
<Location "/login/">
    SetHandler token-login
    AuthTokenLoginProvider file
    AuthUserFile "conf/accounts"
    AuthTokenMaxPerUser 10000
</Location>
<Location "/tokens/">
    SetHandler token-manage
    AuthType Token
    AuthName "tokens"
    Require valid-user
</Location>
CONF
}

# expected: what the server may complain about.
sub expected {
    return qr/\[dbd:|\ the\ token\ database\ |\ takes\ no\ last\ uses
        |:\ it\ may\ have\ been\ stolen;\ /x;
}

# run(server, database, name, known, report, seconds)
sub run {
    my (%soak) = @_;
    my ($server, $database) = @soak{qw(server database)};
    my $dir = temp_dir();

    put_dead($database->dbh($soak{name}));
    $database->autovacuum(1);
    $server->start;
    my @children = $server->child_pids;
    my $until = time + $soak{seconds};
    my @clients = map { Bench::Mixed::start(port => $server->port,
        number => $_, until => $until, known => $soak{known},
        dead => \@dead, out => "$dir/$_",
        dbh => sub { $database->dbh($soak{name}) }) } 1 .. $CLIENTS;
    my ($outages, $samples) = break_and_look(%soak, until => $until);
    for my $pid (@clients) {
        waitpid $pid, 0;
        die "a client of the soak broke\n" if $?;
    }
    die "a child came or went\n"
        if "@children" ne join ' ', $server->child_pids;
    report_answers(\%soak, $outages, map { "$dir/$_" } 1 .. $CLIENTS);
    report_growth($soak{report}, $samples);
    look_for_tokens($server);
    $database->autovacuum(0);
    return;
}

# Rows that have ended: half of them expired, half revoked.
sub put_dead {
    my ($dbh) = @_;
    my $insert = $dbh->prepare('INSERT INTO auth_token (digest, username,'
        . ' family, created_at, expires_at, revoked_at) VALUES (?, ?, ?,'
        . q{ now() - interval '2 h', now() + ? * interval '1 h',}
        . q{ CASE WHEN ? > 0 THEN now() - interval '1 s' END)});

    $dbh->begin_work;
    for my $n ($dead[0] .. $dead[1]) {
        my $digest = Bench::Tokens::digest($n);
        my $hours = $n % 2 ? 1 : -1;
        $insert->execute($digest, 'dead', substr($digest, 0, 16), $hours,
            $hours);
    }
    $dbh->commit;
    $dbh->disconnect;
    return;
}

# break_and_look: ([from, to] of each outage, [sample] ...).
sub break_and_look {
    my (%soak) = @_;
    my $start = time;
    my $length = $soak{until} - $start;
    my $period = $length >= 180 ? 60 : $length / 3;
    my $next = $start + $period / 2;
    my (@outages, @samples);

    $soak{database}->checkpoint;
    while (time < $soak{until}) {
        if (time > $next) {
            push @outages, $soak{database}->restart(
                @outages % 2 ? 'immediate' : 'fast', $AWAY);
            $next += $period;
        }
        push @samples, { at => (time - $start) / $length,
            look($soak{server}) };
        sleep 1;
    }
    return (\@outages, \@samples);
}

# look: at what must not grow; the table, which fills, is told apart.
sub look {
    my ($server) = @_;
    my $memory = $server->memory;
    my $table = $server->table_memory;

    $memory->{$_} -= $table->{$_} for qw(resident proportional);
    return (%$memory, %{ $server->handles }, table => $table->{most});
}

# --- what came back ---

sub report_answers {
    my ($soak, $outages, @files) = @_;
    my %sum = (count => {}, lines => [], all => 0, excused => 0, wrong => 0,
        well => 0, late => 0);

    for my $file (@files) {
        open my $in, '<', $file or die "$file: $!\n";
        while (<$in>) {
            my ($what, @words) = split;
            judge(\%sum, $outages, $what, @words);
        }
    }
    for my $kind (sort keys %{ $sum{count} }) {
        my $of = $sum{count}{$kind};
        print STDERR "# soak: $kind: ",
            join(', ', map { "$_ x " . number($of->{$_}) } sort keys %$of), "\n";
    }
    print STDERR map { "# soak: wrong: $_\n" }
        @{ $sum{lines} } > 20 ? @{ $sum{lines} }[ 0 .. 19 ]
            : @{ $sum{lines} };
    my $add = sub { $soak->{report}->add(name => "soak: $_[0]",
        measured => $_[1], @_[ 2 .. $#_ ]) };
    $add->("answers in $soak->{seconds} s, PostgreSQL restarted "
        . @$outages . ' times', number($sum{all}));
    $add->('wrong answers', $sum{wrong}, target => '0',
        reached => !$sum{wrong});
    $add->('503, for what was never seen, and for writes',
        number($sum{excused}));
    $add->('the last of these after PostgreSQL was back',
        sprintf('%.1f s', $sum{well}), target => "<= $WELL s",
        reached => $sum{well} <= $WELL);
    $add->('a revocation by hand counted, PostgreSQL there, after',
        sprintf('%.1f s', $sum{late}), target => "<= $COUNTS s",
        reached => $sum{late} <= $COUNTS);
    return;
}

sub judge {
    my ($sum, $outages, $what, @words) = @_;

    if ($what eq 'count') {
        my ($kind, $code, $n) = @words;
        $sum->{count}{$kind}{$code} += $n;
        $sum->{all} += $n;
        return;
    }
    if ($what eq 'excused') {
        my ($kind, $sent, $took) = @words;
        # The last that had begun.
        my ($outage) = grep { $sent + $took >= $_->[0] } reverse @$outages;
        if ($outage && $sent <= $outage->[1] + $WELL) {
            my $after = $sent - $outage->[1];
            $sum->{well} = $after if $after > $sum->{well};
            $sum->{excused}++;
            return;
        }
    }
    if ($what eq 'late') {
        my ($kind, $since, $sent) = @words;
        # The host could not learn of it before the database was back.
        for my $outage (@$outages) {
            $since = $outage->[1]
                if $outage->[0] < $sent && $outage->[1] > $since;
        }
        $sum->{late} = $sent - $since if $sent - $since > $sum->{late};
        return if $sent - $since <= $COUNTS;
    }
    $sum->{wrong}++;
    push @{ $sum->{lines} }, "$what @words";
    return;
}

# --- what grew ---

sub report_growth {
    my ($report, $samples) = @_;
    my %name = (resident => 'memory of the children (RSS), not shared',
        proportional => 'their share of it (PSS)',
        private => 'their private memory', table => 'what they share, resident',
        threads => 'threads of the children', files => 'open files and sockets');
    my %limit = (resident => 1.02, proportional => 1.02, private => 1.02,
        table => undef, threads => 1, files => 1.02);

    for my $kind (qw(resident proportional private table threads files)) {
        my ($first, $second, $last) = map { middle($kind, $_, $samples) }
            0 .. 2;
        my $write = $kind =~ /^(?:threads|files)$/ ? \&number : \&kilobytes;
        my $limit = $limit{$kind};
        $report->add(name => "soak: $name{$kind}, last third beside first",
            measured => $write->($last), beside => $write->($first),
            ratio => ratio($last / $first), defined $limit
                ? (target => "<= $limit", reached => $last / $first <= $limit)
                : ());
        # In the first third each thread comes to do everything once.
        $report->add(name => "soak: $name{$kind}, last third beside second",
            measured => $write->($last), beside => $write->($second),
            ratio => ratio($last / $second));
    }
    return;
}

# middle($kind, $third, $samples): the median of that third.
sub middle {
    my ($kind, $third, $samples) = @_;
    return Bench::Wrk::median(map { $_->{$kind} }
        grep { int($_->{at} * 3) == $third } @$samples);
}

# No log may have a token; all begin alike, and none is sent in a URL.
sub look_for_tokens {
    my ($server) = @_;

    for my $log (qw(error_log access_log)) {
        open my $in, '<', "$server->{tmp}/logs/$log" or die "$log: $!\n";
        while (<$in>) {
            die "$log has a token\n" if /tok_\w{36}/;
        }
    }
    return;
}

1;
