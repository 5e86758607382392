#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: a token, password or header in a log. Looks at what is handed to
# ap_log_* and to any function of ours with "log" in its name. A name that
# only looks like a secret is listed below with its reason.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

my $SECRET = qr/passw|secret|->text\b|\btoken\b
    |credential->(?:text|value)|header_value|digest(?!_id)/xi;

# 'file: argument' => 'reason'
my %ALLOWED = ();

my @sources = grep { m{^src/} || !m{/} } c_sources();
plan skip_all => 'no sources yet' if !@sources;

for my $file (@sources) {
    my @told;
    for my $call (calls(slurp($file), qr/ap_log_\w+|\w*log_\w+|\w+_log/)) {
        push @told, map { "line $call->{line}: $call->{name}(.. $_ ..)" }
            grep { /$SECRET/ && !$ALLOWED{"$file: $_"} }
            @{ $call->{args} };
    }
    is(join("\n", @told), '', "$file logs nothing secret");
}
done_testing();
