#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: a child that is killed or stopped in the middle of a write leaves a
# slot that is skipped and used again, and never another's record.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Unit;

Unit::run('table_killed', without => 'table');
