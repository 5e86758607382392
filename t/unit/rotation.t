#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: kill -9 at each statement of a rotation leaves the old chain or the
# whole new one, and no lock, on SQLite.

use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use lib $FindBin::Bin;
use Unit;

Unit::run('rotation',
    args => [ 'sqlite3', tempdir(CLEANUP => 1) . '/tokens.db' ]);
