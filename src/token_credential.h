/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The value of an Authorization header (RFC 9110 section 11.6.2), read
 * strictly: one scheme, one space or more, one credential, nothing else. */
#ifndef TOKEN_CREDENTIAL_H
#define TOKEN_CREDENTIAL_H

#include "apr_pools.h"

/* Bytes of the longest token, and of the longest Basic credential before
 * it is decoded; anything longer is refused unread. */
#define TOKEN_CREDENTIAL_MAX 512
#define TOKEN_CREDENTIAL_BASIC_MAX 4096

typedef enum {
    TOKEN_SCHEME_TOKEN = 0,     /* as Django REST framework spells it */
    TOKEN_SCHEME_BEARER,        /* RFC 6750 */
    TOKEN_SCHEME_BASIC,         /* RFC 7617 */
    TOKEN_SCHEMES
} token_scheme_t;

typedef enum {
    TOKEN_CREDENTIAL_OK = 0,
    TOKEN_CREDENTIAL_NONE,      /* no header, or an empty one */
    TOKEN_CREDENTIAL_FOREIGN,   /* a scheme that is none of ours */
    TOKEN_CREDENTIAL_EMPTY,     /* a scheme and nothing behind it */
    TOKEN_CREDENTIAL_SPACES,    /* more than one word behind it */
    TOKEN_CREDENTIAL_CHARS,     /* a byte that no credential has */
    TOKEN_CREDENTIAL_LONG
} token_credential_status_t;

/* Points into the header's value; text is not ended by NUL. */
typedef struct token_credential_t {
    token_scheme_t scheme;      /* set for all but NONE and FOREIGN */
    const char *text;           /* set for OK */
    apr_size_t len;
} token_credential_t;

/* Reads the header's value (NULL: no header).  Two header lines arrive from
 * httpd as "a, b" and are refused by the comma. */
token_credential_status_t token_credential_read(token_credential_t *out,
                                                const char *value);

/* Decodes a Basic credential: Base64 in its one spelling, a colon, no NUL
 * and no other control character (RFC 7617 section 2), UTF-8.  Copies from
 * pool, 1 when good, 0 and both NULL when not.  Either part may be empty. */
int token_credential_basic(const char **user, const char **password,
                           const token_credential_t *credential,
                           apr_pool_t *pool);

/* The scheme as challenges spell it: "Token", "Bearer", "Basic". */
const char *token_credential_scheme_name(token_scheme_t scheme);

/* 1 and *scheme set when name is one of them, in any case. */
int token_credential_scheme(token_scheme_t *scheme, const char *name);

#endif
