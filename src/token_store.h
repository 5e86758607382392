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

#include "token_sql.h"

/* Of a server or virtual host; token_conf embeds and fills it. */
typedef struct token_store_conf_t {
    apr_uint32_t database;              /* numbered from 0: hosts that have
                                         * the same number share one */
    apr_uint32_t dbd_pool;              /* and mod_dbd's pool that is used:
                                         * the number of its first database */
    apr_interval_time_t query_timeout;  /* -1: unset, two seconds */
    int schema;                         /* token_schema_t; -1: unset */
    int legacy;                         /* a second one, whose tokens are
                                         * good too; 0: none, -1: unset */
    const char *replaced[TOKEN_SQL_STATEMENTS]; /* texts in place of the
                                         * dialect's; NULL: unset */
} token_store_conf_t;

/* Whose database is meant, whose memory the answer is from, and who asks. */
typedef struct token_store_t {
    server_rec *server;
    const token_store_conf_t *conf;
    apr_pool_t *pool;
    token_schema_t schema;      /* whose tables */
    const char *address;        /* changes are noted with it; NULL: they are
                                 * not */
    const char *asker;          /* the digest of the token that asks for a
                                 * change; NULL: nothing depends on it */
} token_store_t;

/* For the optional_fn_retrieve hook: where mod_dbd's functions are. */
void token_store_retrieve(void);

/* In each child, before mod_dbd connects: how many databases there are. */
apr_status_t token_store_child_init(apr_uint32_t databases,
                                    apr_pool_t *pool);

/* For mod_dbd's post_connect hook: looks at what the new connection is.
 *   Never fails, for other modules use the connection too; what
 * is wrong is logged. */
apr_status_t token_store_connected(const token_store_conf_t *conf,
                                   dbd_cfg_t *cfg, ap_dbd_t *dbd);

/* What a failure means to those who wait for it. */
typedef enum {
    TOKEN_STORE_READ = 0,
    TOKEN_STORE_WRITE,          /* somebody waits: each failure is said */
    TOKEN_STORE_NOTE,           /* of what is done already: likewise */
    TOKEN_STORE_JOB,            /* it will be tried again later */
    TOKEN_STORE_POLL,           /* likewise; that it is down is said */
    TOKEN_STORE_LAST,           /* it will not, for httpd stops: one attempt,
                                 * and none while the database is down */
    TOKEN_STORE_USERS           /* of Django's table: what is wrong with it
                                 * is no trouble of tokens */
} token_store_kind_t;

/* Work with a connection; called again, with attempt 2 and so on, when the
 * connection had to be mended.  An apr_dbd code; a transaction that it
 * leaves open is rolled back. */
typedef int token_store_work_t(token_sql_t *sql, void *baton, int attempt);

/* Does the work: 1 when it went well; else the database is down, and that
 * is logged. */
int token_store_run(const token_store_t *store, token_store_work_t *work,
                    void *baton, token_store_kind_t kind);

/* The schema of a host. */
token_schema_t token_store_schema(const token_store_conf_t *conf);

/* 1 when there is such a statement. */
int token_store_has(const token_store_conf_t *conf, token_sql_name_t name);

/* 1 while this process does not ask that database. */
int token_store_is_down(const token_store_conf_t *conf);

#endif
