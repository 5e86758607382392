# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# What many hosts ask of one database: a simulation of one host's table, and
# the arithmetic of docs/scaling.md.  Nothing here is measured; the costs come
# from Bench::Scaling.
package Bench::Fleet;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(misses load);

# As in src/token_table.c, token_upkeep.c and token_poll.c.
use constant { WAYS => 8, BATCH => 500, OVERLAP => 10, PURGE_LOOK => 60,
    DEEP => 15, DEEP_OVERLAP => 75 };

# misses(%arg): questions to the database, per request, of a host that has
#   slots   AuthTokenTable
#   rate    requests a second
#   tokens  in use by the clients that come to it
#   zipf    1: the n-th has 1/n of the first one's requests; 0: all the same
#   ttl     AuthTokenCacheTTL
# Of as many seconds as three times ttl, the first ttl left out.
sub misses {
    my (%arg) = @_;
    my $sets = int($arg{slots} / WAYS);
    my (@set, $asked, $counted);
    my $all = 3 * $arg{ttl} * $arg{rate};

    srand 1;
    for my $n (0 .. $all - 1) {
        my $now = $n / $arg{rate};
        my $token = $arg{zipf} ? int exp(rand(log $arg{tokens}))
            : int rand $arg{tokens};
        # Any mixing will do: digests are spread evenly.
        my $set = $set[ ($token * 2654435761 % 4294967296) % $sets ] ||= {};
        my $slot = $set->{$token};
        my $hit = $slot && $now - $slot->[0] < $arg{ttl};

        delete $set->{ oldest($set) } if !$slot && keys %$set == WAYS;
        $set->{$token} = [ $hit ? $slot->[0] : $now, $now ];
        next if $now < $arg{ttl};
        $counted++;
        $asked++ if !$hit;
    }
    return ($asked // 0) / $counted;
}

# oldest($set): the token that was used longest ago.
sub oldest {
    my ($set) = @_;
    my $oldest;
    for my $token (keys %$set) {
        $oldest = $token
            if !defined $oldest || $set->{$token}[1] < $set->{$oldest}[1];
    }
    return $oldest;
}

# load(%arg): { name => [ times a second, seconds of a processor each ] } of
# tokens, hosts, rate (requests a second of all), miss (of them), active
# (tokens used within flush on a host), lifetime, rotation (0: none), poll,
# flush and purging (hosts with AuthTokenPurge), and cost, in seconds: lookup,
# login, poll, row (of a poll), flush (a batch), look (a purge without a row),
# purge (a row).
sub load {
    my (%arg) = @_;
    my %cost = %{ $arg{cost} };
    my $rotations = $arg{rotation} ? $arg{tokens} / $arg{rotation} : 0;
    my $logins = $arg{rotation} ? 0 : $arg{tokens} / $arg{lifetime};
    my $changes = $rotations + 0.01 * $logins;
    my $deep = $arg{poll} > DEEP ? $arg{poll} : DEEP;
    my $rows = $changes * (($arg{poll} + OVERLAP) / $arg{poll}
        + (DEEP_OVERLAP - OVERLAP) / $deep);

    return {
        lookups => [ $arg{rate} * $arg{miss}, $cost{lookup} ],
        'logins or rotations' => [ $logins + $rotations, $cost{login} ],
        polls => [ $arg{hosts} / $arg{poll}, $cost{poll} ],
        'rows of polls' => [ $rows * $arg{hosts}, $cost{row} ],
        'flushes of 500' =>
            [ $arg{hosts} * $arg{active} / $arg{flush} / BATCH, $cost{flush} ],
        'looks for dead rows' =>
            [ 2 * $arg{purging} / PURGE_LOOK, $cost{look} ],
        'rows removed' => [ $logins + $rotations, $cost{purge} ],
    };
}

1;
