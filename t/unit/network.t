#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: what is no range of addresses is refused, and a range holds its
# addresses to the bit, each family its own.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Unit;

Unit::run('network');
