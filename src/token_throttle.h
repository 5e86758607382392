/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Failures counted in shared memory, so that guessing gets slow: of logins,
 * by user and address together and by address alone; of tokens, by address.
 * And a bound on how many passwords are hashed at once. */
#ifndef TOKEN_THROTTLE_H
#define TOKEN_THROTTLE_H

#include "apr_network_io.h"
#include "apr_pools.h"

typedef struct token_throttle_t token_throttle_t;

typedef enum {
    TOKEN_THROTTLE_LOGIN_USER = 0,  /* a user, from one address */
    TOKEN_THROTTLE_LOGIN_ADDRESS,   /* anybody, from one address */
    TOKEN_THROTTLE_TOKEN_ADDRESS    /* bad tokens, from one address */
} token_throttle_kind_t;

/* What may fail so often in so many seconds.  count 0: no limit. */
typedef struct token_limit_t {
    int count;
    int seconds;
} token_limit_t;

#define TOKEN_THROTTLE_COUNT_MAX 10000
#define TOKEN_THROTTLE_SECONDS_MAX 86400

/* Makes the counters, freed with pool; children inherit them.  hashes is
 * how many passwords may be hashed at once. */
apr_status_t token_throttle_create(token_throttle_t **throttle, int hashes,
                                   apr_pool_t *pool);

/* Seconds to wait, 0 when another try is allowed now.  user may be NULL.
 * An IPv6 address counts as its /64, one that stands for an IPv4 address as
 * that. */
int token_throttle_wait(token_throttle_t *throttle,
                        token_throttle_kind_t kind,
                        const apr_sockaddr_t *address, const char *user,
                        const token_limit_t *limit, apr_int64_t now);

/* Counts a failure. */
void token_throttle_fail(token_throttle_t *throttle,
                         token_throttle_kind_t kind,
                         const apr_sockaddr_t *address, const char *user,
                         const token_limit_t *limit, apr_int64_t now);

/* Takes one of the places for hashing, waiting two seconds at most: its
 * number, or -1, at once when enough others wait.  A killed process gives
 * its place back once its parent has waited for it. */
int token_throttle_begin_hash(token_throttle_t *throttle);
void token_throttle_end_hash(token_throttle_t *throttle, int place);

#endif
