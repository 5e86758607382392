#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: a file that grows into its neighbours. Includes lead downwards
# only, from flows to services to pure files; a flow never knows another
# flow; the store and the table never know the configuration; pure files
# know no httpd header, so that httoken and the unit tests can have them.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

my %FLOOR = (
    (map { $_ => 3 } qw(token_auth token_login token_manage token_authz
        token_jobs token_status)),
    (map { $_ => 2 } qw(token_conf token_tree token_setup token_http token_memo
        token_header token_provider token_django token_lookup token_store
        token_table token_slot token_digests token_throttle token_breaker token_clock
        token_deadline token_stats
        token_shared token_ledger token_revoke token_mint token_ask
        token_handler token_foreign token_poll token_upkeep token_directives
        token_file)),
    (map { $_ => 1 } qw(token_record token_network token_crypt token_text
        token_sql token_dialect token_dialect_django token_schema
        token_password token_form token_credential)),
);
my @FLOOR_NAME = (undef, 'pure', 'service', 'flow');
my $HTTPD = qr/^(?:httpd|http_\w+|ap_\w+|util_\w+|mod_\w+|scoreboard)\.h$/;

my @files = grep { -f }
    'mod_authn_token.c', glob 'src/*.[ch] support/*.[ch]';
plan skip_all => 'no sources yet' if !@files;

my %uses;
for my $file (@files) {
    my ($unit) = $file =~ m{([^/]+)\.[ch]$};
    my @includes = includes($file);
    my @wrong = map { complaint($unit, $_) } @includes;
    @wrong = "[$unit is on no floor: name it in t/lint/layers.t]"
        if $unit =~ /^token_/ && !$FLOOR{$unit};
    is("@wrong", '', "$file includes downwards only");
    s/\.h$// for @includes;
    $uses{$unit}{$_} = 1 for grep { $FLOOR{$_} && $_ ne $unit } @includes;
}
is(join(' > ', cycle()), '', 'no cycle');
done_testing();

sub includes {
    my ($file) = @_;
    my $code = code_only(slurp($file));
    return map { s{^.*/}{}r }
        $code =~ /^\s*#\s*include\s*["<]([^">]+)[">]/gm;
}

sub complaint {
    my ($unit, $header) = @_;
    my $used = $header =~ s/\.h$//r;
    my ($mine, $theirs) = ($FLOOR{$unit}, $FLOOR{$used});
    my $pure = ($mine // 0) == 1 || $unit eq 'httoken';
    return "[$header: a pure file has no httpd header]"
        if $pure && $header =~ $HTTPD;
    return if $used eq $unit || $used !~ /^token_/;
    return "[$header is on no floor]" if !$theirs;
    return "[$header: httoken has pure files only]"
        if $unit eq 'httoken' && $theirs > 1;
    return "[$header: the door opens on flows and services]"
        if $unit eq 'mod_authn_token' && $theirs < 2;
    return if !$mine;
    return "[$header: a $FLOOR_NAME[$mine] file includes no"
        . " $FLOOR_NAME[$theirs] file]"
        if $theirs > $mine || $mine == 3 && $theirs == 3;
    return "[$header: never from $unit]"
        if $used eq 'token_conf' && $mine == 2
        && $unit =~ /^token_(?:store|table|throttle)$/;
    return;
}

sub cycle {
    my %done;
    for my $start (sort keys %uses) {
        my @found = walk($start, \%done, []);
        return @found if @found;
    }
    return;
}

sub walk {
    my ($unit, $done, $path) = @_;
    return (@$path, $unit) if grep { $_ eq $unit } @$path;
    return if $done->{$unit};
    for my $next (sort keys %{ $uses{$unit} // {} }) {
        my @found = walk($next, $done, [ @$path, $unit ]);
        return @found if @found;
    }
    $done->{$unit} = 1;
    return;
}
