/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The token table behind mod_dbd.  A connection is held for one statement
 * only; a broken one is mended and the statement tried again; nobody waits
 * for a database that does not answer. */
#ifndef TOKEN_STORE_H
#define TOKEN_STORE_H

#include "httpd.h"
#include "apr_dbd.h"      /* mod_dbd.h needs it first */
#include "mod_dbd.h"

#include "token_crypt.h"
#include "token_record.h"

/* Of a server or virtual host; token_conf embeds and fills it. */
typedef struct token_store_conf_t {
    apr_uint32_t database;              /* numbered from 0: hosts that have
                                         * the same number share one */
    apr_interval_time_t query_timeout;  /* -1: unset, two seconds */
} token_store_conf_t;

/* Whose database is meant, and whose memory the answer is from. */
typedef struct token_store_t {
    server_rec *server;
    const token_store_conf_t *conf;
    apr_pool_t *pool;
} token_store_t;

typedef enum {
    TOKEN_STORE_FOUND = 0,
    TOKEN_STORE_NONE,           /* the database answered: no such row */
    TOKEN_STORE_DOWN            /* it did not answer; logged already */
} token_store_status_t;

/* For the optional_fn_retrieve hook: where mod_dbd's functions are. */
void token_store_retrieve(void);

/* In each child, before mod_dbd connects: how many databases there are. */
apr_status_t token_store_child_init(apr_uint32_t databases,
                                    apr_pool_t *pool);

/* For mod_dbd's post_connect hook: prepares our statements on the new
 * connection.  Never fails, for other modules use the connection too; what
 * is wrong is logged. */
apr_status_t token_store_connected(const token_store_conf_t *conf,
                                   dbd_cfg_t *cfg, ap_dbd_t *dbd);

/* Finds the record of a digest; its strings are from the store's pool. */
token_store_status_t token_store_find(
    const token_store_t *store, const char digest[TOKEN_DIGEST_LEN + 1],
    token_record_t *record);

/* Inserts a record: FOUND when it is there now, else DOWN. */
token_store_status_t token_store_issue(
    const token_store_t *store, const char digest[TOKEN_DIGEST_LEN + 1],
    const token_record_t *record);

/* Called with a digest in hex. */
typedef void token_store_each_t(void *baton, const char *digest);

/* Names the tokens revoked in the last so many seconds: FOUND, or DOWN. */
token_store_status_t token_store_poll(const token_store_t *store,
                                      int seconds, token_store_each_t *each,
                                      void *baton);

/* 1 while this process does not ask that database. */
int token_store_is_down(const token_store_conf_t *conf);

#endif
