/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What was found out about a request's token, kept with the initial
 * request, so that its sub-requests and internal redirects need not ask
 * again where as much would be trusted. */
#ifndef TOKEN_MEMO_H
#define TOKEN_MEMO_H

#include "httpd.h"

#include "token_conf.h"
#include "token_lookup.h"

/* What token_authz keeps while Require lines are evaluated. */
typedef struct token_memo_authz_t token_memo_authz_t;

typedef struct token_memo_t {
    const char *text;           /* the token; NULL: nothing was judged */
    token_schema_t schema;      /* whose it is by its form */
    const server_rec *server;   /* whose database was asked */
    token_trust_t trust;        /* of the place that it was judged for */
    token_finding_t finding;
    char id[TOKEN_ID_LEN + 1];  /* "" for a malformed token */
    token_reason_t refused;     /* why the client got 401 */
    const request_rec *exported; /* whose environment has the token */
    const char *hidden;         /* the header's value, if taken away */
    const char *hidden_name;    /* and its name */
    token_memo_authz_t *authz;  /* NULL: nothing is evaluated just now */
} token_memo_t;

/* The request that came from the client; its pool outlives the others'. */
request_rec *token_memo_initial(request_rec *r);

/* The memo of r's initial request, NULL when there is none yet. */
token_memo_t *token_memo_find(request_rec *r);

/* The same, made when there is none. */
token_memo_t *token_memo_get(request_rec *r);

/* 1 when r's user is the one whom this token made; a user by a password, or
 * of another request's token, is not. */
int token_memo_made_user(const token_memo_t *memo, const request_rec *r);

/* 1 when it holds the verdict on this token, by this server's database and
 * by what r's place trusts. */
int token_memo_is_of(const token_memo_t *memo, const request_rec *r,
                     const char *text, apr_size_t len);

#endif
