#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: functions nobody can hold in the head, and the mistakes that
# clang-tidy finds. What is checked, and why not more, is in .clang-tidy.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

my @sources = c_sources();
plan skip_all => 'no sources yet' if !@sources;
my ($tidy) = grep { have_tool($_) } qw(clang-tidy clang-tidy-14);
plan skip_all => 'clang-tidy is not installed' if !$tidy;

my @flags = include_flags();
my $config = "$FindBin::Bin/../../.clang-tidy";
for my $file (@sources) {
    my $said = qx($tidy --quiet --config-file=$config $file -- @flags 2>&1);
    my $code = $?;
    $said =~ s/^\d+ warnings? (?:and \d+ errors? )?generated\.\n//mg;
    is($code, 0, "$file is tidy") or diag($said);
}
done_testing();
