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
unshift @INC, "$top/t/lib";
require AuthnToken::Sanitizer;

# The files without httpd in them, pure ones and services.
my @SOURCES = qw(record network crypt text sql password form credential
    slot table digests breaker clock deadline throttle stats);

# Runs t/unit/NAME.c and ends with its code.  The program may be under TSan
# instead, which no other sanitizer goes with, or have a source in itself:
#     run('x', sanitize => 'thread', without => 'table', args => ['few'])
sub run {
    my ($name, %opt) = @_;
    chdir $top or die "$top: $!\n";
    my $built = ($ENV{AUTHN_TOKEN_BUILD} // '') . "/unit/$name";
    my $program = -x $built && !$opt{sanitize} ? $built
        : compile($name, %opt);
    my @command = (AuthnToken::Sanitizer::program(), $program,
        @{ $opt{args} // [] });
    my $status = system { $command[0] } @command;
    exit($status == 0 ? 0 : $status >> 8 || 1);
}

sub compile {
    my ($name, %opt) = @_;
    my $program = tempdir(CLEANUP => 1) . "/$name";
    my $sanitize = $opt{sanitize} // 'address,undefined';
    my @sources = grep { $_ ne ($opt{without} // '') } @SOURCES;
    my @command = (
        $ENV{CC} // 'gcc', qw(-g -O1 -std=gnu11 -Wall -Wextra -Werror),
        "-fsanitize=$sanitize",
        qw(-fno-sanitize-recover=all -pthread -Isrc),
        split(' ', qx(apr-1-config --cppflags --includes)),
        split(' ', qx(apu-1-config --includes)),
        optional('libpq', '-DHAVE_LIBPQ', 'cflags'),
        optional('libargon2', '-DHAVE_ARGON2', 'cflags'),
        '-o', $program, "t/unit/$name.c",
        (grep { -f } map { "src/token_$_.c" } @sources),
        split(' ', qx(apu-1-config --link-ld --libs)),
        split(' ', qx(apr-1-config --link-ld --libs)),
        qw(-lcrypto -lz -ljansson), optional('libpq', '-lpq', 'libs-only-L'),
        optional('libargon2', '-largon2', 'libs-only-L'),
    );
    system(@command) == 0 or die "cannot compile t/unit/$name.c\n";
    return $program;
}

# What a library needs, where it is installed.
sub optional {
    my ($library, $flag, $asked) = @_;
    my $said = qx(pkg-config --$asked $library 2>/dev/null);
    return $? == 0 ? ($flag, split(' ', $said)) : ();
}

1;
