#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Prevents: a name of ours that meets the same name in another module of the
# same httpd. Only the module record leaves the .so.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Lint;
use Test::More;

my $module = $ENV{AUTHN_TOKEN_MODULE} // '.libs/mod_authn_token.so';
plan skip_all => 'the module is not built' if !-f $module;
plan skip_all => 'nm is not installed' if !have_tool('nm');

my @names = map { /(\S+)$/ } qx(nm -D --defined-only $module);
is("@names", 'authn_token_module', 'only authn_token_module is exported');
done_testing();
