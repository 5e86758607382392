# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A clock that a test can move while httpd runs by it: a library of our own
# (t/fault/clock.c) is preloaded, and reads it from a file.  The test itself,
# and PostgreSQL, stay with the host's.
package AuthnToken::Clock;

use strict;
use warnings;

use AuthnToken::Process qw(run temp_dir);
use Cwd ();
use File::Basename qw(dirname);
use Time::HiRes ();

my $source = Cwd::abs_path(dirname(__FILE__) . '/../../fault/clock.c');

# new: undef, and why in $AuthnToken::Clock::error, when it cannot be made.
our $error;

sub new {
    my ($class) = @_;
    my $dir = temp_dir();
    my $self = bless { library => "$dir/clock.so", file => "$dir/clock",
        ahead => 0 }, $class;
    my $made = run($ENV{CC} // 'gcc', qw(-std=c11 -Wall -Wextra -O2 -shared
        -fPIC -pthread -o), $self->{library}, $source);

    $error = $made->{exit} ? $made->{err} : undef;
    return if $made->{exit};
    open $self->{word}, '>:raw', $self->{file} or die "$self->{file}: $!\n";
    $self->tell(0);
    return $self;
}

# env: for a Site, or a run().
sub env {
    my ($self) = @_;
    return { LD_PRELOAD => $self->{library},
        AUTHN_TOKEN_CLOCK => $self->{file} };
}

sub tell {
    my ($self, $word) = @_;
    sysseek $self->{word}, 0, 0;
    syswrite($self->{word}, pack 'q', $word) == 8
        or die "$self->{file}: $!\n";
    return;
}

# ahead($seconds): of the host's clock, from now on; less than 0 is behind.
sub ahead {
    my ($self, $seconds) = @_;
    $self->{ahead} = $seconds;
    $self->tell(int(1_000_000 * $seconds) * 2);
    return;
}

# stop($second, $microseconds): it stands still there.
sub stop {
    my ($self, $second, $microseconds) = @_;
    $self->tell(($second * 1_000_000 + ($microseconds // 0)) * 2 + 1);
    return;
}

# now: the second it shows, where it was not stopped.
sub now {
    my ($self) = @_;
    return int(Time::HiRes::time + $self->{ahead});
}

1;
