/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Takes tokens back: in the database, and in the table that all children
 * of this httpd share, where it counts at once. */
#ifndef TOKEN_REVOKE_H
#define TOKEN_REVOKE_H

#include "httpd.h"

#include "token_crypt.h"
#include "token_ledger.h"
#include "token_record.h"
#include "token_store.h"

/* The database of the request's host, answering into pool. */
void token_revoke_bind(token_store_t *store, request_rec *r,
                       apr_pool_t *pool);

/* Tells the table of a record that the database answered, whose id is the
 * whole digest: revoked, or superseded. */
void token_revoke_bury(const token_store_conf_t *conf,
                       const token_record_t *record);

/* Tells it that a token is to be asked for again. */
void token_revoke_refresh(const token_store_conf_t *conf,
                          const char digest[TOKEN_DIGEST_LEN + 1]);

/* Tells it that a token is there now. */
void token_revoke_forget_unknown(const token_store_conf_t *conf,
                                 const char digest[TOKEN_DIGEST_LEN + 1]);

/* Revokes a user's token of that id; NONE: he has none that is not revoked
 * already.  Logged, as are the following. */
token_ledger_status_t token_revoke_one(request_rec *r, const char *username,
                                       const char *id);

/* Revokes all tokens of a user. */
token_ledger_status_t token_revoke_all(request_rec *r,
                                       const char *username);

/* A superseded token was used after its grace (seconds): whoever it was
 * that used it, one of the two who have it is a thief, so that the whole
 * family is revoked. */
void token_revoke_family(request_rec *r, apr_pool_t *pool,
                         const char digest[TOKEN_DIGEST_LEN + 1],
                         const token_record_t *record, apr_int64_t grace);

#endif
