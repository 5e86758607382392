#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: a directive that works at the top and is lost in a virtual host
# or a <Location>, because the field was forgotten where configurations are
# made or merged. Every field of the two config structs is named in a
# function called *create* or *unset* and in one called *merge*.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

my @files = grep { -f } qw(src/token_conf.h src/token_conf.c);
plan skip_all => 'no src/token_conf.c yet' if @files < 2;

my $text = join "\n", map { slurp($_) } @files;
my @functions = functions($text);
for my $type (qw(token_server_conf_t token_dir_conf_t)) {
    my @fields = fields($type);
    ok(scalar @fields, "$type has fields");
    for my $job (qw(create merge)) {
        my $body = body_of($job, $type);
        my @lost = grep { $body !~ /\b\Q$_\E\b/ } @fields;
        is("@lost", '', "$type: $job names every field");
    }
}
done_testing();

sub fields {
    my ($type) = @_;
    my $tag = $type =~ s/_t$//r;
    my $code = code_only($text, strings => 1);
    my ($body) = $code =~ /\bstruct\s+(?:$tag|$type)\s*\{(.*?)^\}/ms;
    ($body) = $code =~ /\btypedef\s+struct\s*\w*\s*\{([^{}]*)\}\s*$type\s*;/
        if !defined $body;
    return if !defined $body;
    $body =~ s/^\s*#.*$//mg;
    my @fields;
    for my $member (split /;/, $body) {
        next if $member !~ /\S/;
        $member =~ s/\[[^\]]*\]//g;
        $member =~ s/:\s*\d+//g;
        $member =~ s/\(\s*\*\s*(\w+)\s*\)\s*\(.*\)/$1/s;
        push @fields, map { /(\w+)\s*$/ } split /,/, $member;
    }
    return @fields;
}

sub body_of {
    my ($job, $type) = @_;
    my $pattern = $job eq 'create' ? qr/create|unset/ : qr/merge/;
    my $side = $type =~ /server/ ? qr/server/ : qr/dir/;
    return join "\n", map { $_->{body} } grep {
        $_->{name} =~ $pattern
            && ("$_->{head}$_->{body}" =~ /\b$type\b/
                || $_->{name} =~ $side)
    } @functions;
}
