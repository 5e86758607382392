/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides where a counter lies.  What is counted, and how it is shown, is
 * decided elsewhere. */
#include <stdatomic.h>

#include "apr_shm.h"

#include "token_stats.h"

/* Threads count in one of several copies, so that they do not fight for one
 * cache line; a reader adds them up. */
#define COPIES 16
#define STRIDE 64

_Static_assert(TOKEN_STATS_COUNTERS <= STRIDE, "a copy fits its stride");

/* Else the compiler's library would lock them, for one process only. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2,
               "the processor has atomics of 64 bits");

struct token_stats_t {
    _Atomic(apr_int64_t) *counters;
};

apr_status_t token_stats_create(token_stats_t **stats, apr_pool_t *pool)
{
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(
        &shm, (COPIES + 1) * STRIDE * sizeof(_Atomic(apr_int64_t)), NULL, pool);

    if (rv == APR_SUCCESS) {
        *stats = apr_palloc(pool, sizeof(**stats));
        (*stats)->counters = apr_shm_baseaddr_get(shm);
    }
    return rv;
}

/* By where the thread's stack is: getpid() would be a system call for each
 * request, and the same for all threads of a child. */
static int choose_copy(void)
{
    int here = 0;
    apr_uint64_t place = (apr_uint64_t)(apr_uintptr_t)&here >> 16;

    return (int)(place * APR_UINT64_C(0x9E3779B97F4A7C15) >> 60) % COPIES;
}

void token_stats_add(token_stats_t *stats, int counter, int n)
{
    int copy = choose_copy();

    atomic_fetch_add_explicit(&stats->counters[copy * STRIDE + counter], n,
                              memory_order_relaxed);
}

apr_int64_t token_stats_get(const token_stats_t *stats, int counter)
{
    apr_int64_t sum = 0;
    int copy;

    for (copy = 0; copy < COPIES; copy++) {
        sum += atomic_load_explicit(
            &stats->counters[copy * STRIDE + counter], memory_order_relaxed);
    }
    return sum;
}

/* Behind the copies: 1 for each database that is down. */
void token_stats_note_database(token_stats_t *stats, apr_uint32_t database,
                               int answers)
{
    _Atomic(apr_int64_t) *down =
        &stats->counters[COPIES * STRIDE + database % STRIDE];

    if (atomic_load_explicit(down, memory_order_relaxed) == answers) {
        atomic_store_explicit(down, !answers, memory_order_relaxed);
    }
}

int token_stats_count_down(const token_stats_t *stats)
{
    int sum = 0;
    int i;

    for (i = 0; i < STRIDE; i++) {
        sum += (int)atomic_load_explicit(
            &stats->counters[COPIES * STRIDE + i], memory_order_relaxed);
    }
    return sum;
}
