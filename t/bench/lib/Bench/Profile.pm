# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Reads a file of callgrind's: instructions and calls by function.
package Bench::Profile;

use strict;
use warnings;

# read($path, $requests): { total, self => {}, inclusive => {}, calls => {} },
# all per request.  A function is "object:name".  What a recursive function
# includes is counted once for each level.
sub read {
    my ($class, $path, $requests) = @_;
    my %sum = (total => 0, self => {}, inclusive => {}, calls => {});
    my (%name, $object, $function, $callee_object, $callee, $is_call);

    my $word = sub {
        my ($kind, $id, $text) = @_;
        $name{"$kind$id"} = $text if length $text;
        return $name{"$kind$id"};
    };
    open my $in, '<', $path or die "$path: $!\n";
    while (my $line = <$in>) {
        if ($line =~ /^(c?)(ob|fn)=\((\d+)\)(?: (.*))?$/) {
            my $text = $word->($2, $3, $4 // '');
            ($1 ? $2 eq 'ob' ? $callee_object : $callee
                : $2 eq 'ob' ? $object : $function) = $text;
            $callee_object = $object if !$1 && $2 eq 'fn';
            next;
        }
        if ($line =~ /^calls=(\d+)/) {
            $is_call = $1;
            next;
        }
        next if $line !~ /^(?:[+-]?\d+|\*|0x[0-9a-f]+)(?: (?:[+-]?\d+|\*))* (\d+)$/
            || !defined $function;
        my $cost = $1 / $requests;
        my $caller = label($object, $function);
        if (defined $is_call) {
            my $called = label($callee_object // $object, $callee);
            $sum{inclusive}{$caller} += $cost if $called ne $caller;
            $sum{calls}{$called} += $is_call / $requests;
            ($is_call, $callee_object) = (undef, $object);
            next;
        }
        $sum{self}{$caller} += $cost;
        $sum{inclusive}{$caller} += $cost;
        $sum{total} += $cost;
    }
    return bless \%sum, $class;
}

sub label {
    my ($object, $function) = @_;
    my $file = ($object // '?') =~ s{^.*/}{}r;
    return "$file:" . ($function =~ s/'\d+$//r);
}

# calls_of($pattern): how often functions of such a name are called.
sub calls_of {
    my ($self, $pattern) = @_;
    my $sum = 0;
    for my $name (keys %{ $self->{calls} }) {
        $sum += $self->{calls}{$name} if $name =~ $pattern;
    }
    return $sum;
}

# inclusive_of($pattern): instructions of such functions and all they call.
sub inclusive_of {
    my ($self, $pattern) = @_;
    my $sum = 0;
    for my $name (keys %{ $self->{inclusive} }) {
        $sum += $self->{inclusive}{$name} if $name =~ $pattern;
    }
    return $sum;
}

# difference($kind, $other, $count): where this one needs more than the
# other: the first [name, here, there] of them.
sub difference {
    my ($self, $kind, $other, $count) = @_;
    my ($here, $there) = ($self->{$kind}, $other->{$kind});
    my %all = (%$here, %$there);
    my @rows = map { [ $_, $here->{$_} // 0, $there->{$_} // 0 ] } keys %all;

    @rows = sort { $b->[1] - $b->[2] <=> $a->[1] - $a->[2]
        || $a->[0] cmp $b->[0] } @rows;
    return @rows > $count ? @rows[ 0 .. $count - 1 ] : @rows;
}

1;
