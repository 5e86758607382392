# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Throughput by wrk.  What is compared takes turns, in short rounds that
# change their order, so that whatever else the machine does meets all; the
# ratio is taken within a round, and the median is what counts.
package Bench::Wrk;

use strict;
use warnings;

use AuthnToken::Process qw(run which);
use Cwd ();
use File::Basename qw(dirname);
use File::Temp ();

my $script = Cwd::abs_path(dirname(__FILE__) . '/../../requests.lua');

# headers(@values): a file of them, gone with the object.
sub headers {
    my (@values) = @_;
    my $file = File::Temp->new;
    print {$file} map { "$_\n" } @values;
    $file->flush;
    return $file;
}

# once($url, $headers, $seconds, $connections, $first): { requests, rate,
# median, late, latest }, these in seconds: so long took half, 99 % and 99.9 %
# of all. $first is requests.lua's BENCH_FIRST.
sub once {
    my ($url, $headers, $seconds, $connections, $first) = @_;
    my $result = run(which('wrk'), '-t1', '-c' . ($connections // 16),
        "-d${seconds}s", qw(--latency --timeout 10s), '-s', $script, $url,
        { env => { BENCH_HEADERS => "$headers",
            defined $first ? (BENCH_FIRST => $first) : () },
            timeout => 600 });
    my ($requests, $us, $lost, $refused, @percentiles) =
        $result->{out} =~ /^bench (\d+) (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$/m
        or die "wrk: $result->{out}$result->{err}";

    die "wrk: $url: of $requests requests $refused were refused, $lost"
        . " lost\n" if $lost || $refused || !$requests;
    return { requests => $requests, rate => $requests * 1e6 / $us,
        map { (qw(median late latest))[$_] => $percentiles[$_] / 1e6 }
            0 .. 2 };
}

# rounds($rounds, $seconds, [url, headers], [url, headers] ...): the median
# rates, and the median ratios to the first one's: { rate, ratio } of each.
sub rounds {
    my ($rounds, $seconds, @runs) = @_;
    my (@rates, @ratios);

    once(@$_, 1) for @runs;
    for my $round (1 .. $rounds) {
        my @order = $round % 2 ? 0 .. $#runs : reverse 0 .. $#runs;
        my @now;
        $now[$_] = once(@{ $runs[$_] }, $seconds)->{rate} for @order;
        for my $i (0 .. $#runs) {
            push @{ $rates[$i] }, $now[$i];
            push @{ $ratios[$i] }, $now[$i] / $now[0];
        }
    }
    return map { { rate => median(@{ $rates[$_] }),
        ratio => median(@{ $ratios[$_] }) } } 0 .. $#runs;
}

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return ($sorted[ $#sorted / 2 ] + $sorted[ @sorted / 2 ]) / 2;
}

1;
