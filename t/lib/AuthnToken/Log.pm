# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The logs of one site: reading lines, and the judgement at the end of a
# test.  A line of level warn or worse that the test has not announced, a
# child that died, a sanitizer's report, or a secret in a log is a problem.
# Lines that httpd itself writes in a healthy life are named here, exactly.
package AuthnToken::Log;

use strict;
use warnings;

use AuthnToken::Process qw(poll);
use AuthnToken::Sanitizer ();
use Digest::SHA qw(sha256_hex);
use MIME::Base64 qw(encode_base64);

# A head such as "[Tue Nov 24 13:53:04.468468 2026] [core:warn] [pid 1:tid 1]".
my $head = qr/^\[[^\]]{20,40}\] \[([\w-]*):(\w+)\] \[pid \d+/;
my %bad = map { $_ => 1 } qw(emerg alert crit error warn);

# Harmless lines of level warn or worse: head, then the text.
my @harmless = (
    # A child slow to leave at a stop gets a second signal; no harm done.
    qr/\[core:warn\] .* AH00045: child process \d+ still did not exit, /,
    # libpq, of a server that is told to stop.
    qr/^(?:WARNING|FATAL):  terminating connection due to (?:immediate shutdown|administrator) command$/,
    # event, told to stop while it closes a connection or keeps it alive.
    qr/\[mpm_event:error\] .* AH03092: process_lingering_close: /,
    qr/\[mpm_event:error\] .* \(9\)Bad file descriptor: AH00468: error closing /,
    qr/\[mpm_event:error\] .* \(9\)Bad file descriptor: AH03093: process_socket: /,
    # What the tests' own certificates and short configurations lack.
    qr/\[ssl:warn\] .* AH01873: Init: Session Cache is not configured/,
    qr/\[ssl:warn\] .* AH01882: Init: this version of mod_ssl was compiled /,
    qr/\[ssl:warn\] .* AH01906: .* server certificate is a CA certificate/,
    qr/\[ssl:warn\] .* AH01909: .* server certificate does NOT include an ID/,
    qr/\[http2:warn\] .* AH10034: The mpm module \(prefork\.c\) is not /,
);

# What glibc says when it finds its heap damaged.
my $heap = qr/^(?:\w+\(\): |corrupted |double free )/;

# The places where httpd itself writes what a client sent, seen on 2.4.71
# with trace8 everywhere: http at TRACE4, one header a line, http2, and core
# at DEBUG a header that it refuses.
my @header_dump = (
    qr/\[core:debug\] \[pid [^\]]+\] protocol\.c\(\d+\): (?:\(\d+\)[^:]+: )?\[[^\]]+\] (?:Failed to read request header line |AH0242[67]: Request header )/,
    qr/\[http:trace4\] \[pid [^\]]+\] http_request\.c\(\d+\): \[[^\]]+\]   /,
    qr/\[http2:trace2\] \[pid [^\]]+\] h2_stream\.c\(\d+\): .* add_header: /,
    qr/\[http2:trace3\] \[pid [^\]]+\] h2_stream\.c\(\d+\): .* recv DATA, /,
    qr/\[http2:trace4\] \[pid [^\]]+\] h2_stream\.c\(\d+\): .*\):   [\w-]+: /,
);

# new(dir => logs, sanitizer => dir of reports)
sub new {
    my ($class, %arg) = @_;
    return bless { error => "$arg{dir}/error_log",
        access => "$arg{dir}/access_log", output => "$arg{dir}/output",
        reports => $arg{sanitizer}, mark => 0, expected => [],
        secrets => {} }, $class;
}

# lines($which, $pattern): the lines of 'error', 'access' or 'output' that
# match; of the error log, those after the mark.
sub lines {
    my ($self, $which, $pattern) = @_;
    my $text = AuthnToken::Process::slurp($self->{$which});

    $text = substr $text, $self->{mark} if $which eq 'error';
    my @lines = split /\n/, $text;
    return defined $pattern ? grep { $_ =~ $pattern } @lines : @lines;
}

# wait_for($which, $pattern, $seconds): the same, patient: lines may be late.
sub wait_for {
    my ($self, $which, $pattern, $seconds) = @_;
    my @lines;
    poll(sub { @lines = $self->lines($which, $pattern) }, $seconds // 5);
    return @lines;
}

# set_mark: lines written until now are no longer seen by lines(); the
# judgement at the end sees all.
sub set_mark {
    my ($self) = @_;
    $self->{mark} = -s $self->{error} || 0;
    return;
}

# expect($pattern, $optional): announces a line; one that must come, or may.
sub expect {
    my ($self, $pattern, $optional) = @_;
    push @{ $self->{expected} }, { pattern => $pattern, seen => $optional };
    return;
}

# secret($label, $text): must not be in a log: not as it is, not with %XX,
# not in base64, not as its whole SHA-256.
sub secret {
    my ($self, $label, $text) = @_;
    my $secrets = $self->{secrets};
    (my $url = $text) =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ge;

    return if length $text < 4;
    $secrets->{$text} = $label;
    $secrets->{$url} //= "$label (URL-encoded)";
    $secrets->{ encode_base64($text, '') } = "$label (base64)";
    $secrets->{ sha256_hex($text) } = "$label (its whole digest)";
    return;
}

# find_secrets($text): labels of the secrets it has.
sub find_secrets {
    my ($self, $text) = @_;
    my %found;

    for my $secret (keys %{ $self->{secrets} }) {
        $found{ $self->{secrets}{$secret} } = 1 if index($text, $secret) >= 0;
    }
    return sort keys %found;
}

# problems: everything found wrong, as sentences; an empty list is good.
sub problems {
    my ($self) = @_;
    local $self->{mark} = 0;
    return ($self->unannounced, $self->missing, $self->crashes,
        $self->reports, $self->leaks);
}

sub unannounced {
    my ($self) = @_;
    my %late = $self->late;
    my @found;

    for my $line ($self->lines('error')) {
        my ($module, $level) = $line =~ $head;
        my $known = 0;
        next if defined $level && !$bad{$level};
        next if $late{$line} && $line =~ $heap;
        for my $expected (@{ $self->{expected} }) {
            next if $line !~ $expected->{pattern};
            $known = $expected->{seen} = 1;
        }
        next if $known || grep { $line =~ $_ } @harmless;
        push @found, (defined $level ? 'unannounced' : 'stray')
            . " line in the error log: $line";
    }
    return @found;
}

sub missing {
    my ($self) = @_;
    my @found;

    for my $expected (grep { !$_->{seen} } @{ $self->{expected} }) {
        # Announced, but of a level that needs no announcement.
        next if $self->lines('error', $expected->{pattern});
        push @found, "announced line did not come: $expected->{pattern}";
    }
    return @found;
}

# A child of event may crash in httpd's own code: close_worker_sockets(), when
# it is told to stop while a worker closes a connection, writes to a socket
# that is freed.  Ours at that moment would be seen with prefork, and by the
# sanitizers, whose reports tell where it was.
sub crashes {
    my ($self) = @_;
    my %late = $self->late;
    my @crashes = grep { !$late{$_}
            || !/ exit signal (?:Segmentation fault|Abort) / }
        $self->lines('error', qr/ exit signal /);

    return map { "a child crashed: $_" }
        grep { !$self->is_expected($_) } @crashes;
}

# late: the lines of event while it was told to stop, as keys.
sub late {
    my ($self) = @_;
    return if !$self->lines('error', qr/\[mpm_event:notice\]/);
    return map { $_ => 1 } map { $self->between(@$_) }
        @{ $self->{stops} || [] };
}

# between($from, $to): lines of the error log; to its end without $to.
sub between {
    my ($self, $from, $to) = @_;
    my $text = AuthnToken::Process::slurp($self->{error});
    return split /\n/,
        substr $text, $from, ($to // length $text) - $from;
}

# note_stop: the server is told to stop now; note_start: it runs again.
sub note_stop {
    my ($self) = @_;
    $self->note_start;
    push @{ $self->{stops} }, [ -s $self->{error} || 0 ];
    $self->{early} = { map { $_ => 1 } $self->report_files };
    return;
}

sub note_start {
    my ($self) = @_;
    my $early = delete $self->{early} or return;
    $self->{stops}[-1][1] = -s $self->{error} || 0;
    $self->{late}{$_} = 1 for grep { !$early->{$_} } $self->report_files;
    return;
}

sub report_files {
    my ($self) = @_;
    return $self->{reports} ? glob "$self->{reports}/*" : ();
}

# is_of_event($file): the report of such a crash.
sub is_of_event {
    my ($self, $file) = @_;
    return 0 if !$self->{late}{$file}
        && (!$self->{early} || $self->{early}{$file});
    my $report = AuthnToken::Process::slurp($file);
    my ($stack) = $report =~ /ERROR: AddressSanitizer: SEGV (.*?)\n\n/s
        or return 0;
    return $stack =~ /mod_mpm_event/ && $stack !~ /mod_authn_token/;
}

sub is_expected {
    my ($self, $line) = @_;
    return scalar grep { $line =~ $_->{pattern} } @{ $self->{expected} };
}

sub reports {
    my ($self) = @_;
    my $sign = qr/runtime error:|ERROR: \w+Sanitizer/;
    my @found = map { "sanitizer: $_" }
        $self->lines('error', $sign), $self->lines('output', $sign);

    my @files = grep { !$self->is_of_event($_) } $self->report_files;
    for my $text (AuthnToken::Sanitizer::reports(@files)) {
        push @found, 'sanitizer report:', map { "  $_" } split /\n/, $text;
    }
    return @found;
}

sub leaks {
    my ($self) = @_;
    my @found;

    return if !%{ $self->{secrets} };
    # One pattern for all: the logs are long, the secrets many.
    my $any = join '|', map { quotemeta }
        sort { length $b <=> length $a } keys %{ $self->{secrets} };
    for my $which (qw(error access output)) {
        for my $line ($self->lines($which, qr/$any/)) {
            next if $which eq 'error' && grep { $line =~ $_ } @header_dump;
            my @labels = $self->find_secrets($line);
            # The report itself must not print the secret again.
            $line =~ s/($any)/'*' x 8/ge;
            push @found, "secret in the $which log (@labels): $line";
        }
    }
    return @found;
}

1;
