#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: a remembered digest is the token's own, whoever writes meanwhile.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Unit;

Unit::run('digests');
