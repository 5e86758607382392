#!/usr/bin/perl
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Proves: an Authorization header is one credential or none.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Unit;

Unit::run('credential');
