/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The token table behind mod_dbd.  A connection is held for one statement
 * only; a broken one is mended and the statement tried again. */
#ifndef TOKEN_STORE_H
#define TOKEN_STORE_H

#include "httpd.h"
#include "apr_dbd.h"      /* mod_dbd.h needs it first */
#include "mod_dbd.h"

#include "token_record.h"
#include "token_crypt.h"

typedef enum {
    TOKEN_STORE_FOUND = 0,
    TOKEN_STORE_NONE,           /* the database answered: no such row */
    TOKEN_STORE_DOWN            /* it did not answer; logged already */
} token_store_status_t;

/* For the optional_fn_retrieve hook: where mod_dbd's functions are. */
void token_store_retrieve(void);

/* For mod_dbd's post_connect hook: prepares our statements on the new
 * connection, and makes SQLite's table where it is missing.  Never fails,
 * for other modules use the connection too; what is wrong is logged. */
apr_status_t token_store_connected(apr_pool_t *pool, dbd_cfg_t *cfg,
                                   ap_dbd_t *dbd);

/* Finds the record of a digest; its strings are from r->pool. */
token_store_status_t token_store_find(
    request_rec *r, const char digest[TOKEN_DIGEST_LEN + 1],
    token_record_t *record);

/* Inserts a record: FOUND when it is there now, else DOWN. */
token_store_status_t token_store_issue(
    request_rec *r, const char digest[TOKEN_DIGEST_LEN + 1],
    const token_record_t *record);

#endif
