# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# What watches the httpd of a test, as AUTHN_TOKEN_SANITIZE says: address
# (ASan and UBSan), thread (TSan) or memcheck (valgrind).  It decides how
# httpd is then started and which of the reports count; the build that goes
# with it, and the tests that do not, are t/run's matter.
package AuthnToken::Sanitizer;

use strict;
use warnings;

use AuthnToken::Process qw(run);
use Cwd ();
use File::Basename qw(dirname);

my $data = Cwd::abs_path(dirname(__FILE__) . '/../../data');
my $build = $ENV{AUTHN_TOKEN_BUILD} || Cwd::abs_path("$data/../..");

sub kind { return $ENV{AUTHN_TOKEN_SANITIZE} || '' }

# environment($tmp): the runtime comes first, as httpd itself is built
# without it; reports are files below $tmp/sanitizer.  A crash is ASan's
# matter, not that of httpd's own handler, which does not say where it was.
sub environment {
    my ($tmp) = @_;
    my $to = "log_path=$tmp/sanitizer";

    return {
        LD_PRELOAD => join(' ', preload(qw(libasan.so libubsan.so)),
            grep { -f } "$build/pools.so"),
        ASAN_OPTIONS =>
            "detect_leaks=0:abort_on_error=0:handle_segv=2:$to/asan",
        UBSAN_OPTIONS => "print_stacktrace=1:$to/ubsan",
    } if kind() eq 'address';
    # Only what our code reads and writes is looked at; what httpd and the
    # libraries lock, create and join is seen.
    return {
        LD_PRELOAD => preload('libtsan.so'),
        TSAN_OPTIONS => join(':', "suppressions=$data/tsan.supp", "$to/tsan",
            qw(ignore_noninstrumented_modules=1 die_after_fork=0 exitcode=0
            second_deadlock_stack=1 history_size=4 atexit_sleep_ms=0)),
    } if kind() eq 'thread';
    return {};
}

sub preload {
    my @libraries;

    for my $name (@_) {
        chomp(my $path = run($ENV{CC} // 'gcc',
            "-print-file-name=$name")->{out});
        push @libraries, $path;
    }
    return join ' ', @libraries;
}

my @valgrind = (qw(valgrind --quiet --vgdb=no --track-origins=yes
    --num-callers=40), "--suppressions=$data/memcheck.supp");

# command($tmp): the words before httpd's own.
sub command {
    my ($tmp) = @_;

    return if kind() ne 'memcheck';
    return (@valgrind, qw(--leak-check=full --show-leak-kinds=definite
        --keep-debuginfo=yes --fair-sched=try),
        "--log-file=$tmp/sanitizer/memcheck.%p");
}

# program: those before a program's, which then ends with 99, and says on
# STDERR why.
sub program {
    return kind() eq 'memcheck' ? (@valgrind, '--error-exitcode=99') : ();
}

# reports(@files): what was found, one text each.  httpd, like its libraries,
# frees little when it ends, so a leak counts when it is ours.
sub reports {
    my @found;

    for my $file (@_) {
        my $text = AuthnToken::Process::slurp($file);
        if ($file !~ /memcheck\.\d+$/) {
            push @found, $text if length $text;
            next;
        }
        $text =~ s/^(?:==|--|\*\*)\d+(?:==|--|\*\*) ?//mg;
        push @found, grep { /\S/ && !is_foreign_leak($_) }
            split /\n{2,}/, $text;
    }
    return @found;
}

sub is_foreign_leak {
    my ($text) = @_;
    return $text =~ / (?:are|is) definitely lost in loss record /
        && $text !~ /\b(?:mod_authn_)?token_?\w*\.(?:c:\d+\)|so)/;
}

1;
