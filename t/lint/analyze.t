#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: what is wrong on some path through a function, where a compiler's
# warnings see none. gcc -fanalyzer, clang --analyze and cppcheck are silent;
# what cppcheck is told not to say stands below, with the reason.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

my @sources = c_sources();
plan skip_all => 'no sources yet' if !@sources;

# All of the code: with what is optional, where it is installed.
my @flags = (include_flags(), optional('libpq', '-DHAVE_LIBPQ'),
    optional('libargon2', '-DHAVE_ARGON2'));
# It reads no header of APR; without the size of this type it takes a shift
# by more than 32 bits for nothing.
my @types = ('--platform=unix64', '-Dapr_uint64_t=unsigned long',
    '-DAPR_UINT64_C(x)=x');
my @unsaid = map { "--suppress=$_" } (
    'variableScope',        # declarations stand together, at the start
    'redundantContinue',    # the body of a loop that only asks
);
my %command = (
    gcc => [ qw(gcc -fanalyzer -O2 -c -o /dev/null), @flags ],
    clang => [ qw(clang --analyze -Xclang -analyzer-output=text -o /dev/null),
        @flags ],
    cppcheck => [ qw(cppcheck --quiet --std=c11 --inline-suppr),
        '--enable=warning,style,performance,portability', @types, @unsaid,
        qw(-Isrc -DHAVE_LIBPQ -DHAVE_ARGON2) ],
);

for my $tool (sort keys %command) {
    SKIP: {
        skip "$tool is not installed", scalar @sources if !have_tool($tool);
        analyze($tool, @sources);
    }
}
done_testing();

# Two at a time: while one is read the next is at work.
sub analyze {
    my ($tool, @files) = @_;
    my @running;

    while (@files || @running) {
        while (@files && @running < 2) {
            my $file = shift @files;
            push @running, [ $file, begin(@{ $command{$tool} }, $file) ];
        }
        my ($file, $out) = @{ shift @running };
        my $said = do { local $/; <$out> } // '';
        close $out;
        is($said, '', "$tool finds nothing in $file");
    }
    return;
}

sub begin {
    my (@command) = @_;
    my $pid = open my $out, '-|';

    defined $pid or die "fork: $!\n";
    return $out if $pid;
    open STDERR, '>&', \*STDOUT or die "stderr: $!\n";
    exec { $command[0] } @command or die "$command[0]: $!\n";
}

sub optional {
    my ($library, $flag) = @_;
    my $said = qx(pkg-config --variable=includedir $library 2>/dev/null);
    return $? == 0 ? ($flag, '-isystem', split ' ', $said) : ();
}
