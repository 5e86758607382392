/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The networks a token is bound to: a list of IPv4 and IPv6 addresses and
 * ranges (CIDR, RFC 4632 and RFC 4291), separated by blanks or commas.  What
 * it means not to be inside is token_record's matter. */
#ifndef TOKEN_NETWORK_H
#define TOKEN_NETWORK_H

#include "apr_network_io.h"
#include "apr_pools.h"

/* The most of one token: ranges, and characters of all of them with a blank
 * between.  With the other strings of a record they fit a slot. */
#define TOKEN_NETWORK_RANGES 16
#define TOKEN_NETWORK_TEXT 300

/* 1 when text is such a list, of one range at least: *out has its words as
 * they are, separated by one blank.  0, and *out is NULL, otherwise: for a
 * host's name, a netmask, a part of an address, an IPv6 address that stands
 * for an IPv4 one.  Bits behind a range's length do not matter. */
int token_network_normalize(const char **out, const char *text,
                            apr_pool_t *pool);

/* 1 when the address is in one of the networks.  0 when it is not, when it
 * is NULL or of another family, and for whatever token_network_normalize()
 * refuses, be it only in the last word.  An IPv6 address that stands for an
 * IPv4 one (::ffff:192.0.2.1) is that one.  Allocates nothing. */
int token_network_holds(const char *networks, const apr_sockaddr_t *address);

#endif
