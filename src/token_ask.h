/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What a new token is to be good for: the fields client, scope and
 * expires_in of a login, or of a request for a further token. */
#ifndef TOKEN_ASK_H
#define TOKEN_ASK_H

#include "httpd.h"

#include <jansson.h>

#include "token_form.h"

typedef struct token_ask_t {
    const char *client;
    const char *scope;
    apr_int64_t expires_in;     /* seconds; 0: nothing asked */
} token_ask_t;

/* What is wrong with a field's form, in Django REST framework's words; NULL
 * when it is text, or absent and that is allowed. */
const char *token_ask_check(const token_field_t *field, int required);

/* Takes white space away from both ends. */
void token_ask_trim(token_field_t *field);

/* Says of a field what is wrong with it; NULL: nothing. */
void token_ask_error(json_t *errors, token_field_name_t name,
                     const char *wrong);

/* Reads the three fields.  allowed has the scope words that may be asked
 * for; without a client its name is the User-Agent's product.  What is wrong
 * is added to errors, an object. */
void token_ask_read(request_rec *r, token_form_t *form, const char *allowed,
                    token_ask_t *ask, json_t *errors);

#endif
