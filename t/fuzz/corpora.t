#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: the fuzz targets hold for the inputs that are kept, what was once
# found among them; and each target has some. libFuzzer is not needed.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use lib dirname(__FILE__) . '/../lib';
use AuthnToken::Sanitizer;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/../..');
chdir $top or die "$top: $!\n";
my $build = $ENV{AUTHN_TOKEN_BUILD} // $top;

for my $target (map { basename($_, '.c') } sort glob 't/fuzz/*.c') {
    my $program = "$build/unit/fuzz-$target";
    my @seeds = sort glob "t/data/fuzz/$target/*";

    cmp_ok(scalar @seeds, '>', 4, "$target has inputs");
    open my $in, '-|', AuthnToken::Sanitizer::program(), $program, @seeds
        or die "$program: $!\n";
    my @fed = <$in>;
    close $in;
    is($?, 0, "$target holds for them")
        or diag("the last of them: $fed[-1]");
    is(scalar @fed, scalar @seeds, "$target has read them all");
}
done_testing();
