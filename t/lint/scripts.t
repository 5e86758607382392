#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: shell that breaks on a space in a path, and a manual page that
# man cannot show.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

my @scripts = grep { /\.(?:ba)?sh$/ || -x && slurp($_) =~ m{\A#!/bin/(?:ba)?sh} }
    grep { !-B } all_files();
my @pages = glob 'docs/*.[1-8]';
plan skip_all => 'neither scripts nor manual pages' if !@scripts && !@pages;

SKIP: {
    skip 'shellcheck is not installed', 1 if !have_tool('shellcheck');
    for my $file (@scripts) {
        is(scalar qx(shellcheck $file 2>&1), '', "shellcheck likes $file");
    }
}
SKIP: {
    skip 'mandoc is not installed', 1 if !have_tool('mandoc');
    for my $file (@pages) {
        is(scalar qx(mandoc -Tlint -Wwarning $file 2>&1), '',
            "mandoc likes $file");
    }
}
done_testing();
