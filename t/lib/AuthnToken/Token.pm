# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Tokens as a client sends them, and those that nobody has issued.
package AuthnToken::Token;

use strict;
use warnings;

use Compress::Zlib qw(crc32);
use Exporter qw(import);

our @EXPORT_OK = qw(auth make_token);

my @digits = ('0' .. '9', 'A' .. 'Z', 'a' .. 'z');

# auth($token): the header that shows it.
sub auth { return (Authorization => "Token $_[0]") }

# make_token: well-formed, and never issued.
sub make_token {
    my $text = join '', map { $digits[ rand @digits ] } 1 .. 30;
    my $crc = crc32($text);
    my $sum = '';

    for (1 .. 6) {
        $sum = $digits[ $crc % 62 ] . $sum;
        $crc = int($crc / 62);
    }
    return "tok_$text$sum";
}

1;
