/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The digests of tokens that exist and were seen lately, in shared memory: a
 * SHA-256 costs more than all else that a checked token needs.  A digest
 * follows from its token alone, so that what is remembered is never out of
 * date.
 *
 * A token is known again by a MAC of 128 bits, of two SipHash-2-4 under keys
 * that are drawn when httpd starts and written nowhere: a text with another's
 * MAC cannot be found by trying.  The token itself is not kept. */
#ifndef TOKEN_DIGESTS_H
#define TOKEN_DIGESTS_H

#include "apr_pools.h"

#include "token_crypt.h"

typedef struct token_digests_t token_digests_t;

/* Makes room for so many tokens, rounded up, of 48 bytes each in anonymous
 * shared memory, freed with pool; children inherit it.  APR_EGENERAL: OpenSSL
 * draws no keys. */
apr_status_t token_digests_create(token_digests_t **digests,
                                  apr_uint32_t tokens, apr_pool_t *pool);

/* 1, and the digest in hex, when it is remembered. */
int token_digests_get(char out[TOKEN_DIGEST_LEN + 1],
                      const token_digests_t *digests,
                      const char *text, apr_size_t len);

/* To be called for tokens that exist only: others could push them out. */
void token_digests_put(token_digests_t *digests,
                       const char digest[TOKEN_DIGEST_LEN + 1],
                       const char *text, apr_size_t len);

#endif
