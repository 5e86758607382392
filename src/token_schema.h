/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Whose tables the tokens are in, what tokens look like there, and under
 * which key a token's row is found.  Knows no SQL. */
#ifndef TOKEN_SCHEMA_H
#define TOKEN_SCHEMA_H

#include "apr_pools.h"

typedef enum {
    TOKEN_SCHEMA_NATIVE = 0,
    TOKEN_SCHEMA_DRF,           /* rest_framework.authtoken */
    TOKEN_SCHEMA_KNOX,          /* django-rest-knox 5 */
    TOKEN_SCHEMA_KNOX_4,        /* and before */
    TOKEN_SCHEMA_OAUTH,         /* Django OAuth Toolkit 3 */
    TOKEN_SCHEMA_OAUTH_2,       /* and before */
    TOKEN_SCHEMAS
} token_schema_t;

/* Of "knox" and so on, and the version behind it or NULL; 0: there is no
 * such schema. */
int token_schema_named(token_schema_t *schema, const char *name,
                       const char *version);

/* The name, for logs. */
const char *token_schema_name(token_schema_t schema);

/* 1 when len bytes could be a token.  prefix is AuthTokenPrefix, or NULL
 * where it is not set.  is_password: they came as a Basic password, and
 * must be like no other. */
int token_schema_is_token(token_schema_t schema, const char *text,
                          apr_size_t len, const char *prefix,
                          int is_password);

/* What the row of such a token has for it: digest, which is its SHA-256 in
 * hex, another digest, or the text itself.  NULL when OpenSSL fails. */
const char *token_schema_key(token_schema_t schema, const char *text,
                             const char *digest, apr_pool_t *pool);

#endif
