# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The credentials of the benches.  Each follows from its number, so that the
# database, httpd, Django and the clients agree without a list.  They are
# good tokens in every respect but that anybody can guess them.
package Bench::Tokens;

use strict;
use warnings;

use Compress::Zlib ();
use Digest::SHA qw(sha1_base64 sha1_hex sha256 sha256_hex);
use MIME::Base64 qw(encode_base64);

my @base62 = (0 .. 9, 'A' .. 'Z', 'a' .. 'z');

# token($n): as httpd issues them.
sub token {
    my ($n) = @_;
    return seal(join '', map { $base62[ $_ % 62 ] }
        unpack 'C30', sha256("bench $n"));
}

# seal($random): a prefix, these 30 characters, their CRC-32.
sub seal {
    my ($random) = @_;
    my $crc = Compress::Zlib::crc32($random);
    my $check = '';

    for (1 .. 6) {
        $check = $base62[ $crc % 62 ] . $check;
        $crc = int($crc / 62);
    }
    return "tok_$random$check";
}

sub digest { return sha256_hex(token($_[0])) }

# django($n): a key of Django REST framework's.
sub django { return sha1_hex("bench $_[0]") }

sub user { return "user$_[0]" }
sub password { return "password$_[0]" }

# The cheapest hash that apr_password_validate knows: the peers shall not
# look slow because of a slow one.
sub password_hash { return '{SHA}' . sha1_base64(password($_[0])) . '=' }

# The values of Authorization.
sub token_header { return 'Token ' . token($_[0]) }

sub basic_header {
    my ($n) = @_;
    return 'Basic ' . encode_base64(user($n) . ':' . password($n), '');
}

sub django_header { return 'Token ' . django($_[0]) }

1;
