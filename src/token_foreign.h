/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Tokens that are issued into the tables of Django REST framework and knox,
 * as these would. */
#ifndef TOKEN_FOREIGN_H
#define TOKEN_FOREIGN_H

#include "httpd.h"

/* What a client of Django REST framework gets for OPTIONS, as JSON. */
extern const char token_foreign_metadata[];

/* OK, or 500 when the schema of the request's host has no tokens that we
 * could issue, which is logged. */
int token_foreign_check(request_rec *r);

/* Gives r->user, who has shown his password, the token that he would get,
 * and answers; returns what the handler should return. */
int token_foreign_login(request_rec *r);

#endif
