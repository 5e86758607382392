/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The fields of a login body, whichever of the three forms it came in:
 * JSON (RFC 8259), application/x-www-form-urlencoded, or
 * multipart/form-data (RFC 7578). */
#ifndef TOKEN_FORM_H
#define TOKEN_FORM_H

#include "apr_pools.h"

typedef enum {
    TOKEN_FIELD_USERNAME = 0,
    TOKEN_FIELD_PASSWORD,
    TOKEN_FIELD_CLIENT,
    TOKEN_FIELD_SCOPE,
    TOKEN_FIELD_EXPIRES_IN,
    TOKEN_FIELDS
} token_field_name_t;

typedef enum {
    TOKEN_FIELD_ABSENT = 0,
    TOKEN_FIELD_TEXT,           /* a string, or a number as text */
    TOKEN_FIELD_NULL,           /* JSON null */
    TOKEN_FIELD_OTHER,          /* true, a list, an object, a file */
    TOKEN_FIELD_TWICE,          /* given more than once */
    TOKEN_FIELD_NUL             /* with U+0000 in it */
} token_field_state_t;

typedef struct token_field_t {
    token_field_state_t state;
    char *text;                 /* for TEXT: UTF-8, ended by NUL */
} token_field_t;

typedef struct token_form_t {
    token_field_t field[TOKEN_FIELDS];
    int is_other;               /* good JSON, but no object */
    int last_wins;              /* as it was asked for */
} token_form_t;

typedef enum {
    TOKEN_FORM_JSON = 0,
    TOKEN_FORM_URLENCODED,
    TOKEN_FORM_MULTIPART,
    TOKEN_FORM_UNSUPPORTED
} token_form_type_t;

/* "username" and so on. */
const char *token_form_field_name(token_field_name_t name);

/* Which form a Content-Type says (NULL: no header).  Parameters are not
 * looked at. */
token_form_type_t token_form_type(const char *content_type);

/* Reads len bytes of body.  NULL when it was one, whatever its fields are;
 * else what is wrong with it, as Django REST framework words it, and each
 * field is absent.  Unknown fields are passed over.  The body is written to
 * (decoded in place, body[len] included, which must be there) and must stay
 * as long as the form; copies come from pool.  last_wins: a field given twice
 * is no error, as for Django. */
const char *token_form_read(token_form_t *form, char *body, apr_size_t len,
                            const char *content_type, int last_wins,
                            apr_pool_t *pool);

/* Overwrites the form's password. */
void token_form_wipe(token_form_t *form);

#endif
