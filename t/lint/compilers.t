#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: code that only one compiler likes. gcc and clang are silent under
# -Wall -Wextra, and about variable-length arrays and declarations that do
# not stand at a block's start.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

my @sources = c_sources();
plan skip_all => 'no sources yet' if !@sources;

my @flags = (qw(-fsyntax-only -Wall -Wextra -Werror -Wvla
    -Wdeclaration-after-statement), include_flags());
for my $compiler (qw(gcc clang)) {
    SKIP: {
        skip "$compiler is not installed", 1 if !have_tool($compiler);
        for my $file (@sources) {
            my $said = qx($compiler @flags $file 2>&1);
            is($said, '', "$compiler is silent about $file");
        }
    }
}
done_testing();
