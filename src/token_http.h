/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Headers and bodies as the wire wants them: challenges, JSON answers,
 * error bodies, a bounded request body. */
#ifndef TOKEN_HTTP_H
#define TOKEN_HTTP_H

#include "httpd.h"

#include <jansson.h>

#include "token_credential.h"

/* Seconds a client is told to wait when the database does not answer. */
#define TOKEN_RETRY_AFTER "2"

/* The schemes a location accepts, in the order of their challenges. */
typedef struct token_schemes_t {
    int count;
    token_scheme_t scheme[TOKEN_SCHEMES];
} token_schemes_t;

/* "Authorization", or "Proxy-Authorization" on a forward proxy. */
const char *token_http_credential_name(const request_rec *r);

/* Says that the answer depends on the credential, so that no cache gives
 * one user's answer to another (RFC 9110 section 12.5.5). */
void token_http_vary(request_rec *r);

/* The text of a 429, as Django REST framework words it; wait is seconds. */
const char *token_http_throttled(request_rec *r, int wait);

/* Tells the client when his token ends, in Token-Expires. */
void token_http_expires(request_rec *r, apr_int64_t seconds);

/* Sets one challenge line per scheme for a 401 or 407.  realm is escaped
 * already, as ap_auth_name() returns it, or NULL.  error (RFC 6750 section
 * 3.1) is NULL where no credential was sent.  An error page inside of a
 * protected location adds none to those of the first refusal. */
void token_http_challenge(request_rec *r, const token_schemes_t *schemes,
                          const char *realm, const char *error,
                          const char *description);

/* Sets the challenge of a 403 for want of scope (RFC 6750 section 3.1) in
 * place of all others: one for Bearer, or none where that is not accepted.
 * scope is words separated by one blank, for the rest see above. */
void token_http_challenge_scope(request_rec *r, int bearer,
                                const char *realm, const char *description,
                                const char *scope);

/* Makes {"detail": detail} the body of the error answer with this status,
 * whatever ErrorDocument says. */
void token_http_error_body(request_rec *r, int status, const char *detail);

/* For the insert_error_filter hook and register_hooks. */
void token_http_insert_error_filter(request_rec *r);
void token_http_register_filters(void);

/* Sees to it that a request body nobody will read does not hold the
 * worker: a short one that is here already is passed over, any other
 * closes the connection after the answer. */
void token_http_release_body(request_rec *r);

/* Reads the body, at most max bytes.  OK, with *body in r->pool, writable
 * and ended by a NUL that *len does not count; else the status to answer
 * with, 413 before a byte is read when Content-Length says so. */
int token_http_read_body(request_rec *r, char **body, apr_size_t *len,
                         apr_size_t max);

/* A number of the query string: 0 when it is there and not between least and
 * TOKEN_SECONDS_MAX; *number stays as it is when it is not there. */
int token_http_number(request_rec *r, const char *name, apr_int64_t least,
                      apr_int64_t *number);

/* 1 when the Accept header allows application/json (RFC 9110, 12.5.1). */
int token_http_accepts_json(const request_rec *r);

/* Answers from a handler, never stored by a cache, and return what the
 * handler should return.  The first takes the reference of json, and is an
 * internal error when that is NULL, as json_pack() returns it. */
int token_http_answer(request_rec *r, int status, json_t *json);
int token_http_answer_empty(request_rec *r, int status);

#endif
