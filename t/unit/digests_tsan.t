#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: ThreadSanitizer finds no race where digests are remembered.
# profiles: unit

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Unit;

Unit::run('digests', sanitize => 'thread', args => ['3000']);
