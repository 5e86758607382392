# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# What must hold whatever breaks: no bad token is let in, no good one is
# refused, 503 is said only while something is broken, and all is well again
# soon after it was mended.  A token that was given out stays good.
package AuthnToken::Fault;

use strict;
use warnings;

use AuthnToken::Conf ();
use AuthnToken::Pace ();
use AuthnToken::Process qw(poll);
use AuthnToken::Test;
use AuthnToken::Token qw(auth);
use Digest::SHA qw(sha256_hex);
use Exporter qw(import);
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(fault_site rehearse end_pace);

# All is well again within so many seconds; what is measured is far less, but
# not on a machine that has other things to do.
our $WITHIN = 15;
# And nobody is kept waiting longer than this.
our $WAIT = 30;

# fault_site(%arg): a site that a pace is for, not yet started.  A token is
# asked for again each second, so that known ones meet the fault, too.
sub fault_site {
    my (%arg) = @_;
    my $site = AuthnToken::Test->new(%arg,
        modules => [ 'remoteip', @{ $arg{modules} || [] } ],
        conf => AuthnToken::Pace::needs() . "AuthTokenCacheTTL 1s\n"
            . ($arg{conf} // '') . AuthnToken::Conf::default_text(1));
    $site->allow_log(qr/\[dbd:/, qr/\[authn_token:error\] .*
        the\ token\ database\ (?:does\ not\ answer|stores\ no\ token):\ /x,
        qr/\[authn_token:warn\] .* takes no last uses/,
        # All workers may wait, each no longer than a statement may take.
        qr/AH00484: server reached MaxRequestWorkers/);
    return $site;
}

# last_errors($site): the last lines of its log that tell of one.
sub last_errors {
    my ($site) = @_;
    my @lines = $site->log->lines('error', qr/:(?:warn|error|crit)\]/);
    return join "\n", @lines > 10 ? @lines[ -10 .. -1 ] : @lines;
}

# rehearse($pace, $name, sub { break; mend }, %opt): the code may return when
# it was mended, if that was not at its end.
#   bites     [kinds] that must have got 503 meanwhile
#   spares    [kinds] that must not; known good tokens are always spared
#   allow     { kind => [further codes] }
#   forgives  known good tokens may get 503, too
sub rehearse {
    my ($pace, $name, $fault, %opt) = @_;
    my $from = time;
    my $mended = $fault->();
    $mended = time if !$mended || $mended < $from;
    my $calm = $pace->calm($mended, [qw(good fresh login)], $WITHIN);
    my $sum = $pace->summary($from, $mended);
    my %may = (good => [200], fresh => [200, 503], login => [200, 503],
        bad => [401, 503]);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $may{$_} = [200] for @{ $opt{spares} || [] };
    push @{ $may{good} }, 503 if $opt{forgives};
    push @{ $may{$_} }, @{ $opt{allow}{$_} } for keys %{ $opt{allow} || {} };
    for my $kind (qw(good fresh bad login)) {
        my %allowed = map { $_ => 1 } @{ $may{$kind} };
        my @wrong = grep { !$allowed{$_} } sort keys %{ $sum->{$kind}{codes} };
        is_deeply \@wrong, [], "$name: $kind: nothing but @{ $may{$kind} }"
            or diag last_errors($pace->{site});
    }
    for my $kind (@{ $opt{bites} || [] }) {
        ok $sum->{$kind}{codes}{503}, "$name: $kind: met the fault";
    }
    ok $calm, "$name: all is well within $WITHIN s";
    my ($wait) = sort { $b <=> $a } map { $_->{wait} } values %$sum;
    cmp_ok $wait, '<', $WAIT, "$name: nobody waits for ever";
    note "$name: ", report($sum, $mended - $from);
    return $sum;
}

# report($sum, $lasted): one line for each kind.
sub report {
    my ($sum, $lasted) = @_;
    return sprintf("%.1f s\n", $lasted) . join '', map {
        my $of = $sum->{$_};
        my $codes = join ' ', map { "$_ x $of->{codes}{$_}" }
            sort keys %{ $of->{codes} };
        sprintf "  %-5s out %.1f s, back after %.1f s, waits %.1f s: %s\n",
            $_, @$of{qw(out back wait)}, $codes;
    } qw(good fresh bad login);
}

# end_pace($pace, $site): and what logins were given is good.
sub end_pace {
    my ($pace, $site) = @_;
    my @issued = $pace->issued;
    my (%code, @bad);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $pace->stop;
    for my $token (@issued) {
        my $code = $site->get('/api/', auth($token))->code;
        $code{$code}++;
        push @bad, "$code: token " . substr sha256_hex($token), 0, 16
            if $code != 200;
    }
    is_deeply \%code, { 200 => scalar @issued },
        $site->name . ': each token that was given out is good';
    diag map { "  $_\n" } @bad if @bad;
    return;
}

1;
