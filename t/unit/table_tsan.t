#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: ThreadSanitizer finds no race in the storm on the table.
# profiles: unit

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Unit;

Unit::run('table_storm', sanitize => 'thread', args => ['3000']);
