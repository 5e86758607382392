#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: what is not good, or was not used longest, gives way first, and a
# use that is still to be told last.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Unit;

Unit::run('table_evict');
