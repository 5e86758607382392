#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: the same on PostgreSQL.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../lib";
use Test::More;
use Unit;

plan skip_all => 'there is no PostgreSQL'
    if !eval { require AuthnToken::Postgres; 1 }
    || !AuthnToken::Postgres->available;
my $pg = AuthnToken::Postgres->shared;
my $name = $pg->create_database;
Unit::run('rotation', args => [ 'pgsql', $pg->params($name) ]);
