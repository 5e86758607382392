/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* httpd's own authentication providers (file, dbd, ldap, an alias...),
 * asked for a name and a password as mod_auth_basic asks them. */
#ifndef TOKEN_PROVIDER_H
#define TOKEN_PROVIDER_H

#include "httpd.h"
#include "apr_tables.h"

#include "token_conf.h"

/* Bytes of the longest password that is given to a hash. */
#define TOKEN_PASSWORD_MAX 1024

/* Appends a provider to *list, which is made from pool when it is NULL.
 * NULL when that went well, else what is wrong with the name. */
const char *token_provider_add(apr_array_header_t **list, const char *name,
                               apr_pool_t *pool);

/* Whether it is a hash as htpasswd prints them, of a cost that it knows. */
int token_provider_is_hash(const char *text);

typedef enum {
    TOKEN_PASSWORD_WRONG = 0,   /* also: no such user, too long, no list */
    TOKEN_PASSWORD_RIGHT,
    TOKEN_PASSWORD_UNAVAILABLE  /* a provider could not tell */
} token_password_t;

/* For a provider of ours that does not know a user: the time of a password
 * hash was spent, and is not to be spent again in this request. */
void token_provider_note_hash(request_rec *r);

/* Asks the login providers of conf until one knows the user; within a place
 * of token_throttle_begin_hash(), for hashes are processor time, of which
 * tokens need some.  Only for RIGHT is r->user set: the name, or what the
 * provider made of it.  A user nobody knows costs a password hash as well,
 * that of AuthTokenUnknownHash. */
token_password_t token_provider_check(request_rec *r,
                                      const token_dir_conf_t *conf,
                                      const char *user,
                                      const char *password);

#endif
