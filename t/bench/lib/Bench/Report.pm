# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The table that is printed: one line for each figure as it becomes known,
# and all of them once more at the end; and how its numbers are written.
package Bench::Report;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(number thousands plus ratio kilobytes);

my @titles = ('figure', 'measured', 'beside it', 'ratio', 'target',
    'reached');

# new, or new(@titles): a table of its own, numbers but for the first column.
sub new {
    my ($class, @own) = @_;
    return bless { rows => [], titles => @own ? \@own : \@titles,
        words => @own ? @own + 0 : 4 }, $class;
}

# row(@texts)
sub row {
    my ($self, @row) = @_;

    push @{ $self->{rows} }, \@row;
    print {*STDERR} join('  ', grep { length } @row), "\n";
    return;
}

# add(name =>, measured =>, beside =>, ratio =>, target =>, reached => 0, 1
# or undef): all but reached are texts.
sub add {
    my ($self, %row) = @_;
    my $reached = !defined $row{reached} ? '' : $row{reached} ? 'yes' : 'NO';

    return $self->row((map { $row{$_} // '' }
        qw(name measured beside ratio target)), $reached);
}

# text: of the whole table; of one without rows ''.
sub text {
    my ($self) = @_;
    my @rows = ($self->{titles}, @{ $self->{rows} });
    my @width;

    return '' if @rows == 1;
    for my $row (@rows) {
        for my $i (0 .. $#$row) {
            my $length = length $row->[$i];
            $width[$i] = $length if $length > ($width[$i] // 0);
        }
    }
    splice @rows, 1, 0, [ map { '-' x $_ } @width ];
    return join '', map { line($self->{words}, $_, @width) } @rows;
}

# The first column, and those from $words on, to the left; numbers to the right.
sub line {
    my ($words, $row, @width) = @_;
    my $text = join '  ', map {
        $_ == 0 || $_ >= $words ? sprintf '%-*s', $width[$_], $row->[$_]
            : sprintf '%*s', $width[$_], $row->[$_]
    } 0 .. $#$row;
    return $text =~ s/ +$//r . "\n";
}

# --- numbers ---

sub number {
    my $text = sprintf '%.0f', $_[0];
    1 while $text =~ s/^(\d+)(\d{3})/$1,$2/;
    return $text;
}

sub thousands { return sprintf '%.1fk', $_[0] / 1000 }

sub plus { return sprintf '%+.1fk', $_[0] / 1000 }

sub ratio { return sprintf '%.*f', $_[0] < 10 ? 3 : 1, $_[0] }

sub kilobytes { return number($_[0] / 1024) . ' kB' }

1;
