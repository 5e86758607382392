#!/bin/sh
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# keep.sh FILE <TEXT: puts down a configuration file. One that is there and
# reads otherwise is the administrator's: it stays, and the new text stands
# beside it in FILE.new.

set -eu

cat >"$1.new"
chmod 0644 "$1.new"
if test ! -e "$1" && test ! -h "$1"; then
    mv "$1.new" "$1"
elif cmp -s "$1.new" "$1"; then
    rm "$1.new"
else
    echo "Kept: $1; what is installed new is $1.new"
fi
