#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: style by taste. Holds what STYLE rules a machine can see: layout,
# sizes, functions that are never safe, and the two lines a file starts with.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

my $WIDTH = 80;
my $FUNCTION = 60;
my $FILE = 600;
my $BANNED = qr/\b(strcpy|strcat|sprintf|vsprintf|atoi|atol|strtok|gets
    |alloca)\s*\(/x;
my $HEADED = qr/(?:\.(?:[ch]|pl|pm|t|sh|sql)|Makefile\.apxs|\.ci\/run
    |t\/run)$/x;

my @files = all_files();
plan skip_all => 'no files yet' if !@files;

for my $file (@files) {
    next if $file =~ m{^t/data/} || -B $file;
    my $text = slurp($file);
    my @wrong = plain($file, $text);
    push @wrong, c_layout($text), c_sizes($text) if $file =~ /\.[ch]$/;
    is(join("\n", @wrong), '', "$file keeps the style");
}
done_testing();

# Complains about each line that the code matches.
sub lines_with {
    my ($text, $complaint, $is_wrong) = @_;
    my @lines = split /\n/, $text, -1;
    return map { 'line ' . ($_ + 1) . ": $complaint" }
        grep { $is_wrong->($lines[$_]) } 0 .. $#lines;
}

sub plain {
    my ($file, $text) = @_;
    my @wrong = lines_with($text, 'space at the end',
        sub { $_[0] =~ /[ \t]$/ });
    push @wrong, 'no newline at the end' if $text =~ /[^\n]\z/;
    push @wrong, 'empty lines at the end' if $text =~ /\n\n\z/;
    return @wrong if $file !~ $HEADED;

    push @wrong, lines_with($text, 'a TODO has no number',
        sub { $_[0] =~ /\b(?:TODO|FIXME|XXX)\b(?!\(?\s*#\d)(?!\|)/
            && $file !~ m{^t/lint/} });
    my ($first, $second) = grep { !/^#!/ } split /\n/, $text;
    push @wrong, 'line 1: no copyright line' if ($first // '') !~
        /Copyright \(C\) \d{4} the mod_authn_token authors/;
    push @wrong, 'line 2: no SPDX line' if ($second // '') !~
        /SPDX-License-Identifier: Apache-2\.0/;
    return @wrong;
}

sub c_layout {
    my ($text) = @_;
    my $code = code_only($text, strings => 1);
    return (
        lines_with($text, 'a tab', sub { $_[0] =~ /\t/ }),
        lines_with($text, "longer than $WIDTH",
            sub { length $_[0] > $WIDTH }),
        lines_with($code, 'a banned function',
            sub { $_[0] =~ /$BANNED/ }),
        lines_with($code, 'else is not on a line of its own',
            sub { $_[0] =~ /\}\s*else\b|^\s*else\s+(?!if\b)[^\s{]/ }),
        lines_with($code, "a function's brace is not on its own line",
            sub { $_[0] =~ /^(?!(?:typedef|struct|union|enum)\b)\w[^=]*\)
                \s*\{/x }),
        lines_with($text, 'a // comment',
            sub { $_[0] =~ m{(?:^|[;{}]|\s)//\s} }),
    );
}

sub c_sizes {
    my ($text) = @_;
    my @wrong = map { "line $_->{line}: $_->{name} has $_->{lines} lines" }
        grep { $_->{lines} > $FUNCTION } functions($text);
    my $lines = $text =~ tr/\n//;
    push @wrong, "$lines lines in a file" if $lines > $FILE;
    return @wrong;
}
