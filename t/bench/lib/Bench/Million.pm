# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# All rows are live tokens in use, from 200 connections at once: how many
# requests the table answers, how long the slowest wait, and what memory it
# takes, with the table httpd has by itself and with one that holds them all.
# The same file unprotected, with the same headers, stands in each table.
package Bench::Million;

use strict;
use warnings;

use Bench::Report qw(kilobytes number ratio);
use Bench::Tokens ();
use Bench::Wrk ();

my $CONNECTIONS = 200;
my $DEFAULT = 16384;
# As many rounds of each, in turns.
my $ROUNDS = 3;
# A filled set gives up a token though there is room in others: slots to a row.
my $ROOM = 2;
my $SLOTS_MAX = 4_194_304;

# Who is asked for: the share of the first tenth.
my @uses = ([ 'all alike', 0.1 ], [ '90 % by a tenth', 0.9 ]);

# Each connection has a thread of the one child, or httpd would close some to
# take others; each thread may need a connection to the database, and one is
# left for others.
my $THREADS = 224;
my $conf = 'DBDMax ' . ($THREADS + 1) . "\n";

# run_all(rows, seconds, server => sub, finish => sub): tables, as text.
sub run_all {
    my (%arg) = @_;
    my $headers = Bench::Wrk::headers(
        map { Bench::Tokens::token_header($_) } 1 .. $arg{rows});
    my $big = $ROOM * $arg{rows};

    $big = $SLOTS_MAX if $big > $SLOTS_MAX;
    return join "\n", map { with_table(\%arg, $headers, $_) } $DEFAULT, $big;
}

sub with_table {
    my ($arg, $headers, $slots) = @_;
    my $server = $arg->{server}->(table => $slots,
        children => 1, threads => $THREADS, more => $conf);
    my $report = Bench::Report->new('AuthTokenTable ' . number($slots),
        'requests/s', 'ratio', 'hits', '50 %', '99 %', '99.9 %');

    $server->start;
    my $before = $server->memory;
    fill($server, $headers, $arg->{seconds}) if $slots > $arg->{rows};
    for my $use (@uses) {
        measure($arg, $server, $headers, $report, @$use);
    }
    my $text = $report->text . memory($server, $before);
    $arg->{finish}->($server);
    return $text;
}

# fill: each token once, from random ones on, till hardly any comes new.
sub fill {
    my ($server, $headers, $seconds) = @_;
    my ($used, $was) = (1, 0);
    my $url = $server->url($server->path('token'));

    while ($used > 1.005 * $was) {
        Bench::Wrk::once($url, $headers, 3 * $seconds, $CONNECTIONS);
        $was = $used;
        $used = $server->status->{AuthTokenTableUsed};
    }
    return;
}

sub measure {
    my ($arg, $server, $headers, $report, $name, $first) = @_;
    my (%of, %hits);

    for my $round (0 .. $ROUNDS) {
        for my $place (qw(open token)) {
            my $was = $server->status;
            my $once = Bench::Wrk::once($server->url($server->path($place)),
                $headers, $arg->{seconds}, $CONNECTIONS, $first);
            my $is = $server->status;
            next if !$round;            # warms the table
            push @{ $of{$place} }, $once;
            $hits{$_} += $is->{"AuthToken$_"} - $was->{"AuthToken$_"}
                for qw(Hits Misses);
        }
    }
    my $open = median('rate', @{ $of{open} });
    for my $place (qw(open token)) {
        my @all = @{ $of{$place} };
        $report->row($place eq 'open' ? 'unprotected' : $name,
            number(median('rate', @all)),
            ratio(median('rate', @all) / $open),
            $place eq 'open' ? '' : sprintf('%.1f %%', 100 * $hits{Hits}
                / ($hits{Hits} + $hits{Misses} || 1)),
            map { sprintf '%.1f ms', 1000 * median($_, @all) }
                qw(median late latest));
    }
    return;
}

sub median {
    my ($what, @all) = @_;
    return Bench::Wrk::median(map { $_->{$what} } @all);
}

sub memory {
    my ($server, $before) = @_;
    my $memory = $server->memory;
    my $table = $server->table_memory;
    my $used = $server->status->{AuthTokenTableUsed};

    # Of one child the table is private, too.
    return sprintf "%s tokens in the table, %s of it resident; private memory"
        . " of the child\nbeside it %s, at the start %s\n", number($used),
        map { kilobytes($_) } $table->{most},
        $memory->{private} - $table->{most}, $before->{private};
}

1;
