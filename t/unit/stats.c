/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What many threads and processes count adds up. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apr_general.h"
#include "tap.h"
#include "token_stats.h"

#define EACH 20000

static token_stats_t *stats;

static void *count(void *baton)
{
    int i;

    (void)baton;
    for (i = 0; i < EACH; i++) {
        token_stats_add(stats, TOKEN_STATS_HIT, 1);
        token_stats_add(stats, TOKEN_STATS_COUNTERS - 1, 2);
    }
    return NULL;
}

int main(void)
{
    tap_t tap = { 0, 0 };
    pthread_t threads[4];
    apr_pool_t *pool;
    int others = 0;
    int i;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (token_stats_create(&stats, pool) != APR_SUCCESS) {
        printf("Bail out! no shared memory\n");
        return 1;
    }
    tap_ok(&tap, token_stats_get(stats, TOKEN_STATS_HIT) == 0,
           "a counter begins with 0");
    for (i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, count, NULL);
    }
    for (i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    for (i = 0; i < 4; i++) {
        if (fork() == 0) {
            count(NULL);
            _exit(0);
        }
    }
    while (wait(NULL) > 0) {
        continue;
    }
    tap_ok(&tap, token_stats_get(stats, TOKEN_STATS_HIT) == 8 * EACH,
           "what four threads and four processes count adds up");
    tap_ok(&tap, token_stats_get(stats, TOKEN_STATS_COUNTERS - 1)
                     == 16 * EACH, "so does the last counter");
    for (i = 1; i < TOKEN_STATS_COUNTERS - 1; i++) {
        others += token_stats_get(stats, i) != 0;
    }
    tap_ok(&tap, others == 0, "no other counter has moved");
    token_stats_add(stats, TOKEN_STATS_LOGIN, 1);
    token_stats_add(stats, TOKEN_STATS_LOGIN, -1);
    token_stats_add(stats, TOKEN_STATS_LOGIN, -1);
    tap_ok(&tap, token_stats_get(stats, TOKEN_STATS_LOGIN) == -1,
           "a counter goes down, and below 0");
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_end(&tap);
}
