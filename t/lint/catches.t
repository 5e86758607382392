#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: a lint that is always content. Makes a small tree in which every
# lint passes, then one mistake at a time, and insists that the lint in
# charge fails and says so.

use strict;
use warnings;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

my $HEAD = "/* Copyright (C) 2026 the mod_authn_token authors\n"
    . " * SPDX-License-Identifier: Apache-2.0\n */\n\n";
my $DIRECTIVE = 'AuthTok' . 'enPrefix';

my %GOOD = (
    'src/token_text.h' => $HEAD . "int token_text_one(int a);\n",
    'src/token_text.c' => $HEAD . <<'C',
#include "token_text.h"

int token_text_one(int a)
{
    if (a > 1) {
        return 1;
    }
    return a;
}
C
    'src/token_store.h' => $HEAD . "void token_store_open(void);\n",
    'src/token_store.c' => $HEAD . <<'C',
#include "token_store.h"
#include "token_text.h"

void token_store_open(void)
{
    ap_log_error(MARK, "the token %s", id);
}
C
    'src/token_conf.h' => $HEAD . <<'C',
struct token_server_conf_t {
    const char *prefix;
    int lifetime;
};

struct token_dir_conf_t {
    int authoritative;
};
C
    'src/token_conf.c' => $HEAD . <<"C",
#include "token_conf.h"
#include "token_store.h"

void *token_conf_create_server(void)
{
    conf->prefix = NULL;
    conf->lifetime = -1;
}

void *token_conf_merge_server(void)
{
    conf->prefix = add->prefix;
    conf->lifetime = add->lifetime;
}

void *token_conf_create_dir(void)
{
    conf->authoritative = -1;
}

void *token_conf_merge_dir(void)
{
    conf->authoritative = add->authoritative;
}

const command_rec token_conf_cmds[] = {
    AP_INIT_TAKE1("$DIRECTIVE", set_prefix, NULL, RSRC_CONF, "help"),
};
C
    'src/token_auth.c' => $HEAD . "#include \"token_conf.h\"\n",
    'src/token_login.h' => $HEAD . "void token_login_run(void);\n",
    'docs/directives.md' => "## $DIRECTIVE\n",
    'conf/authn_token.conf' => "#$DIRECTIVE tok\n",
    't/http/a.t' => "# Copyright (C) 2026 the mod_authn_token authors\n"
        . "# SPDX-License-Identifier: Apache-2.0\n# $DIRECTIVE\n",
    'support/a.sh' => "#!/bin/sh\n"
        . "# Copyright (C) 2026 the mod_authn_token authors\n"
        . "# SPDX-License-Identifier: Apache-2.0\n\necho \"\$1\"\n",
);

my $FREED = <<'C';
#include <stdlib.h>

void token_odd_free(char *p)
{
    if (*p) {
        free(p);
    }
    free(p);
}
C

# lint, file, pattern, replacement, what the lint says
my @MISTAKES = (
    [ 'layers', 'src/token_text.c', '\z', "#include \"token_store.h\"\n",
        'pure file includes no service' ],
    [ 'layers', 'src/token_text.c', '\z', "#include \"httpd.h\"\n",
        'no httpd header' ],
    [ 'layers', 'src/token_store.c', '\z', "#include \"token_conf.h\"\n",
        'never from token_store' ],
    [ 'layers', 'src/token_auth.c', '\z', "#include \"token_login.h\"\n",
        'flow file includes no flow' ],
    [ 'layers', 'src/token_store.h', '\z', "#include \"token_odd.h\"\n",
        'on no floor' ],
    [ 'layers', 'src/token_conf.h', '\z', "#include \"token_http.h\"\n",
        'token_conf > token_http > token_conf', 'src/token_http.h',
        "#include \"token_conf.h\"\n" ],
    [ 'headers', 'src/token_text.h', 'int a', 'apr_pool_t *p',
        'unknown type name' ],
    [ 'config_fields', 'src/token_conf.c', 'conf->lifetime = -1;', '',
        'create names every field' ],
    [ 'config_fields', 'src/token_conf.c',
        'conf->authoritative = add->authoritative;', '',
        'token_dir_conf_t: merge' ],
    [ 'directives', 'docs/directives.md', '^## ', '',
        'is in docs/directives.md' ],
    [ 'directives', 'conf/authn_token.conf', 'Prefix', 'Prefixes',
        'names no directive that does not exist' ],
    [ 'directives', 't/http/a.t', 'Prefix', '', 'is used by a test' ],
    [ 'secrets', 'src/token_store.c', ', id', ', token->text', 'token->text' ],
    [ 'secrets', 'src/token_store.c', ', id', ', f(password)', 'password' ],
    [ 'secrets', 'src/token_store.c', ', id', ",\n        rec->digest",
        'digest' ],
    [ 'style', 'src/token_text.c', '    return a', "\treturn a", 'a tab' ],
    [ 'style', 'src/token_text.c', 'return a;', 'return a; ',
        'space at the end' ],
    [ 'style', 'src/token_text.c', 'return a;', 'return a' . ' + a' x 20,
        'longer than 80' ],
    [ 'style', 'src/token_text.c', 'return a;', 'return atoi(b);',
        'a banned function' ],
    [ 'style', 'src/token_text.c', "}\n", "} else {\n    }\n", 'else is not' ],
    [ 'style', 'src/token_text.c', "\n\\{", ' {', 'brace' ],
    [ 'style', 'src/token_text.c', 'return a;', "return a;\n" x 61,
        'token_text_one has 6' ],
    [ 'style', 'src/token_text.c', '\z', "int x;\n" x 600,
        'lines in a file' ],
    [ 'style', 'src/token_text.c', 'Copyright', 'Written', 'no copyright' ],
    [ 'style', 'support/a.sh', 'SPDX', 'SPD', 'no SPDX' ],
    [ 'style', 'support/a.sh', 'echo', "# TO" . "DO later\necho", 'TODO' ],
    [ 'compilers', 'src/token_text.c', 'return 1', 'int b', 'unused' ],
    [ 'tidy', 'src/token_text.h', '\z', "static inline int six(int a, int b,"
        . " int c,\n    int d, int e, int f, int g)\n{\n    return a + b + c + d"
        . " + e + f + g;\n}\n", 'function-size', 'src/token_http.c',
        "#include \"token_text.h\"\n" ],
    [ 'analyze', 'src/token_text.c', '\z', "int two;\n", '-Wanalyzer-double-free',
        'src/token_odd.c', $FREED ],
    [ 'analyze', 'src/token_text.c', '\z', "int two;\n",
        'Attempt to free released memory', 'src/token_odd.c', $FREED ],
    [ 'analyze', 'src/token_text.c', 'return 1;', 'int b; return b;',
        'uninitvar' ],
    [ 'scripts', 'support/a.sh', '"\$1"', '$1', 'SC2086' ],
);

my %TOOL = (scripts => 'shellcheck', tidy => 'clang-tidy', headers => 'gcc',
    analyze => 'cppcheck');
my %seen;
for my $mistake (@MISTAKES) {
    my ($lint, $file, $find, $put, $says, $other, $text) = @$mistake;
    next if $TOOL{$lint} && !have_tool($TOOL{$lint});
    my $must_pass = $lint !~ /analyze|compilers|tidy/;
    if ($must_pass && !$seen{$lint}++) {
        my ($code, $said) = run_lint($lint, tree());
        is($code, 0, "$lint is content with a good tree") or diag($said);
    }
    my $tree = tree();
    my $was = slurp("$tree/$file");
    my $now = $was =~ s/$find/$put/mr;
    isnt($now, $was, "$file is changed");
    write_file("$tree/$file", $now);
    write_file("$tree/$other", $HEAD . $text) if $other;
    my ($code, $said) = run_lint($lint, $tree);
    ok($code && $said =~ /\Q$says\E/, "$lint complains: $says")
        or diag($said);
}
done_testing();

sub tree {
    my $dir = tempdir(CLEANUP => 1);
    write_file("$dir/$_", $GOOD{$_}) for keys %GOOD;
    return $dir;
}

sub write_file {
    my ($path, $text) = @_;
    make_path($path =~ s{/[^/]+$}{}r);
    open my $out, '>', $path or die "$path: $!\n";
    print {$out} $text;
    close $out or die "$path: $!\n";
    return;
}

sub run_lint {
    my ($lint, $tree) = @_;
    local $ENV{AUTHN_TOKEN_ROOT} = $tree;
    my $said = qx($^X $FindBin::Bin/$lint.t 2>&1);
    return ($?, $said);
}
