#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: a header that works only after another one. Each compiles alone.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

my @headers = c_headers();
plan skip_all => 'no headers yet' if !@headers;
plan skip_all => 'gcc is not installed' if !have_tool('gcc');

my @command = ('gcc', '-fsyntax-only', '-Wall', '-Wextra', '-Werror',
    include_flags(), '-x', 'c');
for my $header (@headers) {
    my $said = qx(@command -include $header /dev/null 2>&1);
    is($said, '', "$header compiles alone");
}
done_testing();
