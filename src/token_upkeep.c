/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides how much is written at once, and how much of a database's time it
 * may take.  When it is done is token_jobs' matter. */
#include <stdlib.h>
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_strings.h"

#include "token_clock.h"
#include "token_ledger.h"
#include "token_shared.h"
#include "token_upkeep.h"

APLOG_USE_MODULE(authn_token);

/* Uses in one statement. */
#define FLUSH_BATCH 500

/* Rows in one statement. */
#define PURGE_BATCH 1000

/* After a batch it rests for so many times as long as that took: requests
 * have most of the database. */
#define PURGE_REST 4
#define PURGE_REST_MIN apr_time_from_msec(5)
#define PURGE_TIME apr_time_from_sec(5)

/* --- last uses --- */

typedef struct {
    char digest[TOKEN_DIGEST_LEN + 1];
    apr_int64_t used_at;
} use_t;

static void collect_use(void *baton, const char *digest, apr_int64_t used_at)
{
    use_t *use = apr_array_push(baton);

    memcpy(use->digest, digest, sizeof(use->digest));
    use->used_at = used_at;
}

static int compare_uses(const void *a, const void *b)
{
    return strcmp(((const use_t *)a)->digest, ((const use_t *)b)->digest);
}

/* {"digest":second,...} */
static const char *write_uses(const apr_array_header_t *uses,
                              apr_pool_t *pool)
{
    apr_array_header_t *parts = apr_array_make(pool, uses->nelts,
                                               sizeof(char *));
    int i;

    for (i = 0; i < uses->nelts; i++) {
        const use_t *use = &APR_ARRAY_IDX(uses, i, use_t);

        APR_ARRAY_PUSH(parts, char *) = apr_psprintf(
            pool, "\"%s\":%" APR_INT64_T_FMT, use->digest, use->used_at);
    }
    return apr_pstrcat(pool, "{", apr_array_pstrcat(pool, parts, ','), "}",
                       NULL);
}

/* A row that another keeps locked: it is told again with the next flush. */
static void put_off(void *baton, const token_record_t *record)
{
    const apr_array_header_t *uses = baton;
    use_t sought = { "", 0 };
    use_t *use;

    apr_cpystrn(sought.digest, record->id, sizeof(sought.digest));
    use = bsearch(&sought, uses->elts, uses->nelts, sizeof(use_t),
                  compare_uses);
    if (use) {
        use->used_at = 0;
    }
}

static int tell_database(const token_store_t *store,
                         token_store_kind_t kind, apr_array_header_t *uses)
{
    const char *args[1];
    int i;

    /* Rows are locked in this order: two hosts with the same tokens would
     * wait for each other. */
    qsort(uses->elts, uses->nelts, sizeof(use_t), compare_uses);
    args[0] = write_uses(uses, store->pool);
    if (token_ledger_select(store, TOKEN_SQL_TOUCH, args, kind, put_off, uses)
        == TOKEN_LEDGER_DOWN) {
        return 0;
    }
    for (i = 0; i < uses->nelts; i++) {
        const use_t *use = &APR_ARRAY_IDX(uses, i, use_t);
        token_key_t key;

        token_table_key(&key, use->digest, store->conf->database);
        token_table_told(token_shared_table(), &key, use->used_at);
    }
    return 1;
}

int token_upkeep_flush(const token_store_t *store, token_store_kind_t kind,
                       int (*go_on)(void))
{
    apr_uint32_t position = 0;
    token_store_t batch = *store;
    int more, told;

    do {
        apr_array_header_t *uses;

        if (apr_pool_create(&batch.pool, store->pool) != APR_SUCCESS) {
            return 0;
        }
        uses = apr_array_make(batch.pool, FLUSH_BATCH, sizeof(use_t));
        more = token_table_untold(token_shared_table(),
                                  store->conf->database, &position,
                                  FLUSH_BATCH, collect_use, uses);
        told = uses->nelts == 0 || tell_database(&batch, kind, uses);
        apr_pool_destroy(batch.pool);
    } while (more && told && go_on());
    return told && !more;
}

void token_upkeep_tell(const token_store_t *store,
                       const char digest[TOKEN_DIGEST_LEN + 1])
{
    apr_array_header_t *uses;
    token_entry_t entry;
    token_key_t key;

    if (!token_shared_table()) {
        return;
    }
    token_table_key(&key, digest, store->conf->database);
    if (token_table_get(token_shared_table(), &key, &entry)
        == TOKEN_TABLE_RECORD
        && entry.record.last_used_at) {
        uses = apr_array_make(store->pool, 1, sizeof(use_t));
        collect_use(uses, digest, entry.record.last_used_at);
        tell_database(store, TOKEN_STORE_JOB, uses);
    }
}

/* --- dead rows --- */

/* Rows removed by one statement; -1 when the database is down. */
static int purge_batch(const token_store_t *store, token_sql_name_t name,
                       apr_int64_t age)
{
    token_store_t batch = *store;
    const char *args[2];
    int rows = -1;

    if (apr_pool_create(&batch.pool, store->pool) != APR_SUCCESS) {
        return -1;
    }
    args[0] = apr_psprintf(batch.pool, "%" APR_INT64_T_FMT, age);
    args[1] = apr_itoa(batch.pool, PURGE_BATCH);
    if (token_ledger_change(&batch, name, args, TOKEN_STORE_JOB, &rows)
        == TOKEN_LEDGER_DOWN) {
        rows = -1;
    }
    apr_pool_destroy(batch.pool);
    return rows;
}

/* All of one kind; 1 when its time was over before. */
static int purge_all(const token_store_t *store, token_sql_name_t name,
                     apr_int64_t age, int (*go_on)(void), int *removed)
{
    apr_time_t end = token_clock_now() + PURGE_TIME;
    int rows;

    do {
        apr_time_t begin = token_clock_now();
        apr_interval_time_t took;

        rows = purge_batch(store, name, age);
        *removed += rows > 0 ? rows : 0;
        took = token_clock_now() - begin;
        if (rows == PURGE_BATCH && took < PURGE_TIME) {
            apr_sleep(PURGE_REST_MIN + PURGE_REST * took);
        }
    } while (rows == PURGE_BATCH && go_on() && token_clock_now() < end);
    return rows == PURGE_BATCH;
}

int token_upkeep_purge(const token_store_t *store, apr_int64_t age,
                       int (*go_on)(void))
{
    int removed = 0;
    int more = purge_all(store, TOKEN_SQL_PURGE_EXPIRED, age, go_on,
                         &removed);

    more |= purge_all(store, TOKEN_SQL_PURGE_REVOKED, age, go_on, &removed);
    if (removed) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, store->server,
                     "%d rows of tokens dead for longer than AuthTokenPurge "
                     "removed", removed);
    }
    return more;
}
