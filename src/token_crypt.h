/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The digest that stands for a token at rest, and the random characters a
 * new one is made of.  OpenSSL is known here alone. */
#ifndef TOKEN_CRYPT_H
#define TOKEN_CRYPT_H

#include "apr_pools.h"

#include "token_text.h"

/* SHA-256 in lower-case hex, and its first 16 digits, the public id. */
#define TOKEN_DIGEST_LEN 64
#define TOKEN_ID_LEN 16

/* An algorithm looked up once: with OpenSSL 3 the look-up costs more than
 * the digest.  May be shared by threads. */
typedef struct token_crypt_t token_crypt_t;

/* Makes one, freed with pool.  APR_EGENERAL: OpenSSL has no SHA-256. */
apr_status_t token_crypt_create(token_crypt_t **crypt, apr_pool_t *pool);

/* Writes the digest of len bytes and a NUL.  APR_EGENERAL and "" in out
 * when OpenSSL fails. */
apr_status_t token_crypt_digest(char out[TOKEN_DIGEST_LEN + 1],
                                const token_crypt_t *crypt,
                                const char *text, apr_size_t len);

/* SHA-512 of len bytes in lower-case hex, NULL when OpenSSL fails: for
 * tables of others. */
const char *token_crypt_sha512(const char *bytes, apr_size_t len,
                               apr_pool_t *pool);

/* n random digits, lower-case hex, and a NUL; APR_EGENERAL: no randomness.
 * n is even, and TOKEN_HEX_MAX at most. */
#define TOKEN_HEX_MAX 64
apr_status_t token_crypt_hex(char *out, apr_size_t n);

/* Writes a new token, 178 bits from RAND_bytes without modulo bias.
 * APR_EGENERAL and "" in out when there is no randomness. */
apr_status_t token_crypt_token(char out[TOKEN_TEXT_MAX + 1],
                               const char *prefix);

/* Overwrites len bytes; the compiler cannot take it away. */
void token_crypt_wipe(void *bytes, apr_size_t len);

#endif
