/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What there is one of: for all children of an httpd the table, the
 * digests, the counters and the throttle, in shared memory; for each child
 * its digest algorithm and its list of statements under way. */
#ifndef TOKEN_SHARED_H
#define TOKEN_SHARED_H

#include <stdatomic.h>

#include "apr_pools.h"

#include "token_crypt.h"
#include "token_deadline.h"
#include "token_digests.h"
#include "token_stats.h"
#include "token_table.h"
#include "token_throttle.h"

/* What all children know of a database; times of token_clock. */
typedef struct token_shared_database_t {
    _Atomic(apr_int64_t) last_poll; /* second of the last answer */
    _Atomic(apr_int64_t) last_poll_at; /* the same by the calendar */
    _Atomic(apr_int64_t) last_deep_poll; /* that looked back further */
    _Atomic(apr_time_t) poll_due; /* not before, by token_clock */
    _Atomic(apr_uint32_t) overdue_polls; /* since the last answer */
    _Atomic(apr_uint32_t) tableless_polls; /* likewise: there was no table */
    _Atomic(apr_int64_t) next_poll; /* second of it, where there is none */
    _Atomic(apr_uint32_t) has_table; /* there was one once */
    _Atomic(apr_int64_t) next_purge; /* second of it */
    _Atomic(apr_int64_t) last_flush; /* since when a child that ends writes
                                      * last uses; 0: none does */
} token_shared_database_t;

/* SQLite databases whose table is still to be made; token_setup's. */
typedef _Atomic(apr_uint64_t) token_shared_unmade_t;

/* Before the children are forked; slots 0: no table. */
apr_status_t token_shared_create(apr_uint32_t slots, apr_uint32_t databases,
                                 apr_pool_t *pconf);

/* In each child. */
apr_status_t token_shared_child_init(apr_pool_t *pool);

token_table_t *token_shared_table(void);        /* NULL: no table */
token_digests_t *token_shared_digests(void);    /* NULL: no table */
token_stats_t *token_shared_stats(void);
token_throttle_t *token_shared_throttle(void);
token_shared_database_t *token_shared_database(apr_uint32_t number);
token_shared_unmade_t *token_shared_unmade(void);
token_deadline_t *token_shared_deadline(void);

/* As token_crypt_digest(); APR_EGENERAL, too, where this child has no
 * SHA-256. */
apr_status_t token_shared_digest(char out[TOKEN_DIGEST_LEN + 1],
                                 const char *text, apr_size_t len);

/* Counts one. */
void token_shared_count(int counter);

#endif
