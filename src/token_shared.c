/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides when what is shared is made, and where it is found.  The only
 * globals of the request path are here. */
#include <unistd.h>

#include "apr_shm.h"

#include "token_clock.h"
#include "token_shared.h"

/* Of the memory that children inherit; made anew with each configuration,
 * so that a graceful restart begins with an empty table. */
static token_table_t *table;
static token_digests_t *digests;
static token_stats_t *stats;
static token_throttle_t *throttle;
static struct {
    token_shared_unmade_t unmade;
    token_shared_database_t databases[];
} *setup;

/* Of this child. */
static token_deadline_t *deadline;
static token_crypt_t *sha256;

/* Half of the processors at most hash passwords; the rest check tokens. */
static int count_hashes(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return processors > 2 ? (int)(processors / 2) : 1;
}

static apr_status_t create_databases(apr_uint32_t count, apr_pool_t *pconf)
{
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, sizeof(*setup)
                                     + count * sizeof(setup->databases[0]),
                                     NULL, pconf);

    apr_uint32_t i;

    if (rv == APR_SUCCESS) {
        setup = apr_shm_baseaddr_get(shm);
        /* The first poll looks back to here: the table is empty. */
        for (i = 0; i < count; i++) {
            setup->databases[i].last_poll = token_clock_seconds();
            setup->databases[i].last_poll_at = apr_time_sec(apr_time_now());
        }
    }
    return rv;
}

apr_status_t token_shared_create(apr_uint32_t slots, apr_uint32_t count,
                                 apr_pool_t *pconf)
{
    apr_status_t rv;

    /* What the last configuration had is gone with its pool. */
    table = NULL;
    digests = NULL;
    stats = NULL;
    throttle = NULL;
    rv = token_stats_create(&stats, pconf);
    if (rv == APR_SUCCESS) {
        rv = token_throttle_create(&throttle, count_hashes(), pconf);
    }
    if (rv == APR_SUCCESS) {
        rv = create_databases(count, pconf);
    }
    if (rv == APR_SUCCESS && slots > 0) {
        rv = token_table_create(&table, slots, pconf);
    }
    if (rv == APR_SUCCESS && slots > 0) {
        rv = token_digests_create(&digests, slots, pconf);
    }
    return rv;
}

apr_status_t token_shared_child_init(apr_pool_t *pool)
{
    apr_status_t rv;

    sha256 = NULL;
    rv = token_deadline_create(&deadline, pool);
    return rv == APR_SUCCESS ? token_crypt_create(&sha256, pool) : rv;
}

token_table_t *token_shared_table(void)
{
    return table;
}

token_digests_t *token_shared_digests(void)
{
    return digests;
}

token_stats_t *token_shared_stats(void)
{
    return stats;
}

token_throttle_t *token_shared_throttle(void)
{
    return throttle;
}

token_shared_database_t *token_shared_database(apr_uint32_t number)
{
    return &setup->databases[number];
}

token_shared_unmade_t *token_shared_unmade(void)
{
    return &setup->unmade;
}

token_deadline_t *token_shared_deadline(void)
{
    return deadline;
}

apr_status_t token_shared_digest(char out[TOKEN_DIGEST_LEN + 1],
                                 const char *text, apr_size_t len)
{
    return sha256 ? token_crypt_digest(out, sha256, text, len)
                  : APR_EGENERAL;
}

void token_shared_count(int counter)
{
    token_stats_add(stats, counter, 1);
}
