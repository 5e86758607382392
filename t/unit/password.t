#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: a password matches the hashes that Django made of it, in each of
# its formats, and nothing else; no text makes the check costly.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Unit;

Unit::run('password');
