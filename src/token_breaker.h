/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Who may go to a database now.  While it does not answer, one thread of a
 * process tries it from time to time and the others are turned away at
 * once; while it does, no more threads go in than it has connections, and
 * one more that makes the next one. */
#ifndef TOKEN_BREAKER_H
#define TOKEN_BREAKER_H

#include "apr_pools.h"
#include "apr_time.h"

/* A thread that finds all connections in use, or another one making one,
 * waits as long as the database answers: it is turned away when that has
 * answered nobody for WAIT, which a commit on a slow disk or on a distant
 * standby takes less than; or after PATIENCE.  For PAUSE at most nobody
 * tries a database that is down. */
#define TOKEN_BREAKER_WAIT apr_time_from_msec(250)
#define TOKEN_BREAKER_PATIENCE apr_time_from_msec(1000)
#define TOKEN_BREAKER_PAUSE apr_time_from_msec(1000)

/* One per pool of mod_dbd and process. */
typedef struct token_breaker_t token_breaker_t;

apr_status_t token_breaker_create(token_breaker_t **breaker,
                                  apr_pool_t *pool);

/* How many may be inside at once; 1 until it is known.  A guess counts until
 * it is known better. */
void token_breaker_limit(token_breaker_t *breaker, int limit, int is_guess);

/* One more connection was made, 1, or closed, -1.  They are counted where the
 * limit is no guess.  mod_dbd makes one after the other: were several threads
 * to go in for new ones when the database is silent, the last would wait for
 * the timeouts of all. */
void token_breaker_count(token_breaker_t *breaker, int change);

/* 1: go in, and come back through token_breaker_leave(); 0: stay out. */
int token_breaker_enter(token_breaker_t *breaker);

typedef enum {
    TOKEN_BREAKER_SAME = 0,
    TOKEN_BREAKER_OPENED,       /* this was the first failure */
    TOKEN_BREAKER_CLOSED        /* this was the first success after it */
} token_breaker_change_t;

/* By the thread that went in.  worked: whether the database answered. */
token_breaker_change_t token_breaker_leave(token_breaker_t *breaker,
                                           int worked);

/* 1 while it is not open and the database has answered somebody since. */
int token_breaker_has_answered(token_breaker_t *breaker, apr_time_t since);

/* 1 while nobody but a probe goes in. */
int token_breaker_is_open(token_breaker_t *breaker);

#endif
