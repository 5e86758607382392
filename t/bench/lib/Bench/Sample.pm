# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Whether two samples of times differ: by their means (Welch's t), which a few
# slow ones spoil, and by their ranks (Mann and Whitney's U), which they do not.
package Bench::Sample;

use strict;
use warnings;

use Bench::Wrk ();
use List::Util qw(sum);

# describe(@times): (median, 95th percentile, mean).
sub describe {
    my @sorted = sort { $a <=> $b } @_;
    return (Bench::Wrk::median(@sorted), $sorted[ 0.95 * $#sorted ],
        mean(@sorted));
}

# compare(\@a, \@b): { medians, means } that b has more, { t } of these, { z }
# of U, and { slower }: how probably one of b takes longer than one of a.
sub compare {
    my ($first, $second) = @_;
    my ($n1, $n2) = (scalar @$first, scalar @$second);
    my $means = mean(@$second) - mean(@$first);
    my $u = rank_sum($second, $first) - $n2 * ($n2 + 1) / 2;
    my $error = sqrt(variance(@$first) / $n1 + variance(@$second) / $n2);

    return { means => $means, t => $error ? $means / $error : 0,
        medians => Bench::Wrk::median(@$second)
            - Bench::Wrk::median(@$first),
        slower => $u / ($n1 * $n2),
        z => ($u - $n1 * $n2 / 2) / sqrt($n1 * $n2 * ($n1 + $n2 + 1) / 12) };
}

sub mean { return sum(@_) / @_ }

sub variance {
    my $mean = mean(@_);
    return sum(map { ($_ - $mean)**2 } @_) / (@_ - 1);
}

# rank_sum(\@of, \@others): of the first ones among all; equals share theirs.
sub rank_sum {
    my ($of, $others) = @_;
    my @all = sort { $a->[0] <=> $b->[0] } (map { [ $_, 1 ] } @$of),
        map { [ $_, 0 ] } @$others;
    my $sum = 0;

    for (my $i = 0; $i < @all;) {
        my $end = $i;
        $end++ while $end < @all && $all[$end][0] == $all[$i][0];
        $sum += ($i + 1 + $end) / 2 * grep { $_->[1] } @all[ $i .. $end - 1 ];
        $i = $end;
    }
    return $sum;
}

1;
