#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: a directive that nobody can find out about, that no test uses,
# or that the manual promises and the code does not know.

use strict;
use warnings;
use File::Find ();
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

# Names that a text may use although the code has no such directive (yet).
my @PROMISED = ();

my @sources = grep { m{^src/} || !m{/} } c_sources();
my %directive;
for my $file (@sources) {
    my $code = code_only(slurp($file));
    $directive{$_} = $file for $code =~ /\bAP_INIT_\w+\(\s*"(\w+)"/g;
}
plan skip_all => 'no directives yet' if !%directive;

my $manual = -f 'docs/directives.md' ? slurp('docs/directives.md') : '';
my $conf = join "\n", map { slurp($_) } glob 'conf/*.conf';
my @tests = files_in('t', qr/\.t$/);
my $tests = join "\n", map { slurp($_) } @tests;

for my $name (sort keys %directive) {
    like($manual, qr/^##+\s+`?$name\b/m, "$name is in docs/directives.md");
    like($conf, qr/\b$name\b/, "$name is in conf/*.conf");
    like($tests, qr/\b$name\b/, "$name is used by a test");
}

# Lines of the status page are named like directives.
my @status = -f 'src/token_status.c'
    ? slurp('src/token_status.c') =~ /"(AuthToken\w+)"/g : ();
my %known = map { $_ => 1 } keys %directive, @PROMISED, @status;
for my $file ('README.md', files_in('docs'), files_in('conf'),
    files_in('t')) {
    next if !-f $file;
    my %named = map { $_ => 1 } slurp($file) =~ /\b(AuthToken[A-Z]\w*)/g;
    my @unknown = grep { !$known{$_} } sort keys %named;
    is("@unknown", '', "$file names no directive that does not exist")
        if %named;
}
done_testing();

sub files_in {
    my ($dir, $pattern) = @_;
    return if !-d $dir;
    my @found;
    File::Find::find({ no_chdir => 1, wanted => sub {
        $File::Find::prune = 1 if m{^t/(?:lint|logs|tmp)$};
        push @found, $_ if -f && !-B _ && (!$pattern || /$pattern/);
    } }, $dir);
    return sort @found;
}
