# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Runs a unit test written in C: the one that make built when t/run says
# where, else one compiled here, with the sanitizers, in a directory that is
# gone afterwards. Every unit test runs at the top of the tree.

package Unit;

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);

my $top = abs_path(dirname(__FILE__) . '/../..');

# The files without httpd in them.
my @PURE = qw(record crypt text sql password form credential);

# Runs t/unit/NAME.c and ends with its code.
sub run {
    my ($name) = @_;
    chdir $top or die "$top: $!\n";
    my $built = ($ENV{AUTHN_TOKEN_BUILD} // '') . "/unit/$name";
    my $program = -x $built ? $built : compile($name);
    my $status = system { $program } $program;
    exit($status == 0 ? 0 : $status >> 8 || 1);
}

sub compile {
    my ($name) = @_;
    my $program = tempdir(CLEANUP => 1) . "/$name";
    my @command = (
        $ENV{CC} // 'gcc', qw(-g -O1 -std=gnu11 -Wall -Wextra -Werror),
        '-fsanitize=address,undefined',
        qw(-fno-sanitize-recover=all -Isrc),
        split(' ', qx(apr-1-config --cppflags --includes)),
        split(' ', qx(apu-1-config --includes)),
        '-o', $program, "t/unit/$name.c",
        (grep { -f } map { "src/token_$_.c" } @PURE),
        split(' ', qx(apu-1-config --link-ld --libs)),
        split(' ', qx(apr-1-config --link-ld --libs)),
        qw(-lcrypto -lz -ljansson),
    );
    system(@command) == 0 or die "cannot compile t/unit/$name.c\n";
    return $program;
}

1;
