#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: bash completes httoken's commands and each command's options, and
# knows all that the program knows.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use HTToken;
use Test::More;

plan skip_all => 'httoken is not built' if !-x program();
my $file = "$FindBin::Bin/../../support/httoken.bash";

# What is offered for the last word of a command line.
sub offers {
    my @words = ('httoken', @_);
    my $script = <<'BASH';
file=$1; shift
. "$file"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_httoken
printf '%s\n' "${COMPREPLY[@]}"
BASH
    my $run = AuthnToken::Process::run('bash', '-c', $script, 'bash', $file,
        @words);
    is($run->{err}, '', "no complaint: @words");
    return join ' ', sort split ' ', $run->{out};
}

my $usage = httoken('--help')->{out};
my @commands = do { my %seen; grep { !$seen{$_}++ } $usage =~ /^  ([a-z]+) /mg };
cmp_ok(scalar @commands, '>', 7, 'the usage names commands');
is(offers('xyz'), '', 'nothing begins so');
is(offers(substr $_, 0, 3), $_, "a command: $_") for @commands;

my $offered = join ' ', map { offers($_, '-') } '-h', @commands;
for my $option ($usage =~ /(?<![\w-])(--?[a-z]+)\b/g) {
    like($offered, qr/(?:^| )\Q$option\E(?: |$)/, "$option is offered");
}
is(offers('create', '--li'), '--lifetime', 'an option of its command');
is(offers('list', '--li'), '', 'and of no other');
is(offers('-f', 'tokens.db', 'purge', '--a'), '--age',
    'a value before is no command');
is(offers('-d', ''), 'pgsql sqlite3', 'the drivers');
is(offers('create', '-c', ''), '', 'no guess at a value');
done_testing();
