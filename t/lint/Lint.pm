# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# What the lint tests share: which files there are and a rough reading of C,
# good enough for a house style in which a function's braces stand in column
# one. Everything is read below the top directory, or below AUTHN_TOKEN_ROOT,
# so that t/lint/catches.t can point a lint at a tree with a mistake in it.

package Lint;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Find ();

our @EXPORT = qw(c_sources c_headers c_files all_files slurp code_only
    calls functions include_flags have_tool top);

my $top = abs_path($ENV{AUTHN_TOKEN_ROOT} // dirname(__FILE__) . '/../..');
chdir $top or die "$top: $!\n";

sub top { return $top }

sub c_sources {
    return grep { -f } 'mod_authn_token.c', sort glob 'src/*.c support/*.c';
}

sub c_headers { return sort glob 'src/*.h support/*.h' }

sub c_files {
    return (c_sources(), c_headers(), sort glob 't/unit/*.c t/unit/*.h');
}

# Every file that could be committed.
sub all_files {
    if (-e '.git') {
        my @listed = split /\0/,
            qx(git ls-files -z --cached --others --exclude-standard);
        return sort grep { -f } @listed if $? == 0;
    }
    my @found;
    File::Find::find({ no_chdir => 1, wanted => sub {
        $File::Find::prune = 1 if m{/(?:\.git|\.libs|build)$};
        push @found, s{^\./}{}r if -f && !-B _;
    } }, '.');
    return sort @found;
}

sub slurp {
    my ($path) = @_;
    open my $in, '<', $path or die "$path: $!\n";
    local $/;
    return scalar <$in> // '';
}

# The text with comments blanked and, if asked, what is inside of strings;
# every character keeps its line and column.
sub code_only {
    my ($text, %opt) = @_;
    my $blank = sub { $_[0] =~ s/[^\n]/ /gr };
    $text =~ s{
        (?<comment> /\*.*?\*/ | //[^\n]* )
      | (?<quoted> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
    }{
        defined $+{comment} ? $blank->($+{comment})
            : $opt{strings} ? blank_quoted($+{quoted}) : $+{quoted}
    }gsxe;
    return $text;
}

sub blank_quoted {
    my ($q) = @_;
    return substr($q, 0, 1) . ' ' x (length($q) - 2) . substr($q, -1);
}

# The functions a source defines: name, head, body, line, lines.
sub functions {
    my ($text) = @_;
    my @found;
    my $code = code_only($text, strings => 1);
    while ($code =~ /^(?<head>\w[^;{}#]*?\b(?<name>\w+)\([^;{}]*\))\s*
            ^\{\n(?<body>.*?)^\}/gmsx) {
        my ($name, $head, $body) = @+{qw(name head body)};
        push @found, {
            name => $name, head => $head, body => $body,
            line  => 1 + (substr($code, 0, $-[0]) =~ tr/\n//),
            lines => $body =~ tr/\n//,
        };
    }
    return @found;
}

# The calls of what the pattern names: name, line and arguments.
sub calls {
    my ($text, $pattern) = @_;
    my @found;
    my $code = code_only($text, strings => 1);
    while ($code =~ /\b($pattern)\s*\(/g) {
        my ($name, $start) = ($1, pos $code);
        my ($depth, $word, @args) = (1, '');
        for my $c (split //, substr $code, $start) {
            $depth++ if $c eq '(';
            $depth-- if $c eq ')';
            last if !$depth;
            if ($c eq ',' && $depth == 1) {
                push @args, $word;
                $word = '';
                next;
            }
            $word .= $c;
        }
        push @args, $word;
        s/^\s+|\s+$//g, s/\s+/ /g for @args;
        push @found, {
            name => $name, args => \@args,
            line => 1 + (substr($code, 0, $start) =~ tr/\n//),
        };
    }
    return @found;
}

sub include_flags {
    my $apxs = $ENV{APXS} // 'apxs';
    my $flags = join ' ', '-std=gnu11', '-Isrc',
        '-I' . qx($apxs -q includedir 2>/dev/null),
        qx(apr-1-config --cppflags --includes 2>/dev/null),
        qx(apu-1-config --includes 2>/dev/null),
        '-isystem', qx(apr-1-config --includedir 2>/dev/null);
    return split ' ', $flags;
}

sub have_tool {
    my ($tool) = @_;
    return grep { -x "$_/$tool" } split /:/, $ENV{PATH};
}

1;
