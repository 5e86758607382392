/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Counters of all children together, in shared memory. */
#ifndef TOKEN_STATS_H
#define TOKEN_STATS_H

#include "apr_pools.h"

#include "token_record.h"

typedef enum {
    TOKEN_STATS_HIT = 0,        /* answered by the table */
    TOKEN_STATS_STALE,          /* likewise, the database being down */
    TOKEN_STATS_NEGATIVE,       /* the table knew there is no such token */
    TOKEN_STATS_MISS,           /* the database was asked */
    TOKEN_STATS_DOWN,           /* and did not answer */
    TOKEN_STATS_LOGIN,          /* tokens issued */
    TOKEN_STATS_LOGIN_REFUSED,
    TOKEN_STATS_THROTTLED,      /* 429 */
    TOKEN_STATS_REASON,         /* refused; a counter for each reason */
    TOKEN_STATS_COUNTERS = TOKEN_STATS_REASON + TOKEN_REASONS
} token_stats_counter_t;

typedef struct token_stats_t token_stats_t;

/* Makes the counters, all 0, freed with pool; children inherit them. */
apr_status_t token_stats_create(token_stats_t **stats, apr_pool_t *pool);

void token_stats_add(token_stats_t *stats, int counter, int n);

apr_int64_t token_stats_get(const token_stats_t *stats, int counter);

/* Notes whether a database answered the last child that asked it, and
 * counts those that did not.  The number is taken modulo 64. */
void token_stats_note_database(token_stats_t *stats, apr_uint32_t database,
                               int answers);
int token_stats_count_down(const token_stats_t *stats);

#endif
