/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Gives each allocation from a pool a block of its own until the pool is
 * cleared: within the 8 KiB that a pool takes at a time, AddressSanitizer
 * would see none run over, or used too late.  Preloaded behind its runtime;
 * as t/fuzz/lib/fuzz.c does for one pool. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

#include "apr_thread_proc.h"
#include "apr_pools.h"

#undef apr_palloc
#undef apr_pcalloc

#define BUCKETS 4096

typedef struct block_t {
    struct block_t *next;
    void *bytes;
} block_t;

typedef struct owner_t {
    struct owner_t *next;
    apr_pool_t *pool;
    block_t *blocks;
} owner_t;

static owner_t *owners[BUCKETS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* What a cleanup takes for itself is the pool's own. */
static __thread int is_registering;

static owner_t **find_owner(const apr_pool_t *pool)
{
    owner_t **owner = &owners[((size_t)pool >> 5) % BUCKETS];

    while (*owner && (*owner)->pool != pool) {
        owner = &(*owner)->next;
    }
    return owner;
}

/* The cleanup registered first is run last. */
static apr_status_t release(void *pool)
{
    owner_t **found;
    owner_t *owner;

    pthread_mutex_lock(&mutex);
    found = find_owner(pool);
    owner = *found;
    *found = owner->next;
    pthread_mutex_unlock(&mutex);
    while (owner->blocks) {
        block_t *block = owner->blocks;

        owner->blocks = block->next;
        free(block->bytes);
        free(block);
    }
    free(owner);
    return APR_SUCCESS;
}

static void keep(apr_pool_t *pool, void *bytes)
{
    block_t *block = malloc(sizeof(*block));
    owner_t **owner;
    int is_new;

    block->bytes = bytes;
    pthread_mutex_lock(&mutex);
    owner = find_owner(pool);
    is_new = !*owner;
    if (is_new) {
        *owner = calloc(1, sizeof(**owner));
        (*owner)->pool = pool;
    }
    block->next = (*owner)->blocks;
    (*owner)->blocks = block;
    pthread_mutex_unlock(&mutex);
    if (is_new) {
        is_registering = 1;
        apr_pool_cleanup_register(pool, pool, release,
                                  apr_pool_cleanup_null);
        is_registering = 0;
    }
}

void *apr_palloc(apr_pool_t *pool, apr_size_t size)
{
    static void *(*real)(apr_pool_t *, apr_size_t);
    void *bytes;

    if (is_registering) {
        if (!real) {
            real = (void *(*)(apr_pool_t *, apr_size_t))
                dlsym(RTLD_NEXT, "apr_palloc");
        }
        return real(pool, size);
    }
    bytes = malloc(size);
    keep(pool, bytes);
    return bytes;
}

void *apr_pcalloc(apr_pool_t *pool, apr_size_t size)
{
    void *bytes = calloc(1, size ? size : 1);

    keep(pool, bytes);
    return bytes;
}

/* A pool that goes looks after its programs at the very last. */
void apr_pool_note_subprocess(apr_pool_t *pool, apr_proc_t *process,
                              apr_kill_conditions_e how)
{
    void (*real)(apr_pool_t *, apr_proc_t *, apr_kill_conditions_e) =
        (void (*)(apr_pool_t *, apr_proc_t *, apr_kill_conditions_e))
            dlsym(RTLD_NEXT, "apr_pool_note_subprocess");

    is_registering = 1;
    real(pool, process, how);
    is_registering = 0;
}
