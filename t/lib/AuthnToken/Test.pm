# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# What a test in t/http loads: AuthnToken::Test->new gives a site (all its
# methods are in AuthnToken::Site), finish() ends the test.  It decides that
# no test ends without every site's logs being judged: done_testing does so
# too, and a test that dies still stops what it started.
package AuthnToken::Test;

use strict;
use warnings;

use AuthnToken::Site ();
use Exporter qw(import);
use POSIX ();
use Test::Builder ();
use Test2::API ();

our @EXPORT = qw(finish);
our @EXPORT_OK = qw(mpm database);

# new(%arg): a site; see AuthnToken::Site.
sub new {
    my ($class, @arg) = @_;
    return AuthnToken::Site->new(@arg);
}

# mpm, database: the profile the environment asks for.
sub mpm { return $ENV{AUTHN_TOKEN_MPM} // 'event' }
sub database { return $ENV{AUTHN_TOKEN_DB} // 'sqlite3' }

# finish: each site's last test, then the plan.
sub finish {
    Test::Builder->new->done_testing;
    return;
}

my $done_testing = \&Test::Builder::done_testing;
{
    no warnings 'redefine';
    *Test::Builder::done_testing = sub {
        AuthnToken::Site::done_all()
            if !Test2::API::test2_stack()->top->isa('Test2::Hub::Subtest');
        goto &$done_testing;
    };
}

# A test that hangs (in a library's C code, say, where no alarm reaches it)
# is ended after AUTHN_TOKEN_TIMEOUT seconds; its servers follow it.
my $test = $$;
my $watch = watch($ENV{AUTHN_TOKEN_TIMEOUT} // 300);

sub watch {
    my ($seconds) = @_;
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;

    my $end = time + $seconds;
    open STDOUT, '>', '/dev/null';
    local $SIG{TERM} = 'DEFAULT';
    while (getppid == $test && time < $end) {
        select undef, undef, undef, 0.5;
    }
    if (getppid == $test) {
        syswrite STDERR, "# $0 hangs: ended after $seconds s\n";
        kill 'TERM', $test;
        select undef, undef, undef, 10;
        kill 'KILL', $test if getppid == $test;
    }
    POSIX::_exit(0);
}

END {
    my $status = $?;
    if ($$ == $test && $watch) {
        kill 'KILL', $watch;
        waitpid $watch, 0;
    }
    AuthnToken::Site::stop_all($status);
    $? = $status;
}

1;
