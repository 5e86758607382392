/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides when what happens without a request: one child of the host asks
 * the databases what was revoked elsewhere, tells them of last uses and has
 * dead rows removed; each child looks after its overdue statements, and
 * tells the last uses once more when it ends.  How these are done is the
 * services' matter. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "ap_mpm.h"
#include "mod_watchdog.h"
#include "apr_allocator.h"
#include "apr_strings.h"
#include "apr_thread_mutex.h"

#include "token_clock.h"
#include "token_conf.h"
#include "token_deadline.h"
#include "token_jobs.h"
#include "token_poll.h"
#include "token_setup.h"
#include "token_shared.h"
#include "token_store.h"
#include "token_tree.h"
#include "token_upkeep.h"

APLOG_USE_MODULE(authn_token);

#define DEADLINE_INTERVAL apr_time_from_msec(100)

#define SETUP_INTERVAL apr_time_from_sec(1)

#define POLL_LOOK apr_time_from_msec(100)

/* Databases whose polls do not wait for each other's connects; each costs a
 * thread of each child. */
#define POLL_THREADS 8

/* Seconds. */
#define PURGE_INTERVAL 60

#define LEAVE_PAUSE apr_time_from_msec(10)

/* What the last flush may take: one statement, and all of it; so many pauses
 * are waited for another child's.  After so long that one was killed. */
#define LAST_QUERY_TIMEOUT apr_time_from_sec(1)
#define LAST_FLUSH_TIME apr_time_from_sec(1)
#define LAST_FLUSH_PAUSES 100
#define LAST_FLUSH_LOST apr_time_from_sec(5)

static apr_uint32_t databases;

/* One server_rec of each database that last uses are written to. */
static apr_array_header_t *flushed;

/* Of this child: jobs at work, and that it is about to end. */
static atomic_int working;
static atomic_int leaving;

/* 1: go on, and say end_job() after it. */
static int begin_job(int state)
{
    atomic_fetch_add(&working, 1);
    if (state == AP_WATCHDOG_STATE_RUNNING && !atomic_load(&leaving)) {
        return 1;
    }
    atomic_fetch_sub(&working, 1);
    return 0;
}

static void end_job(void)
{
    atomic_fetch_sub(&working, 1);
}

static int is_staying(void)
{
    return !atomic_load(&leaving);
}

static void bind_store(token_store_t *store, server_rec *s, apr_pool_t *pool)
{
    store->server = s;
    store->conf = token_conf_store(s);
    store->pool = pool;
    store->schema = token_store_schema(store->conf);
    store->address = NULL;
    store->asker = NULL;
}

/* For a job with a database. */
static int begin_store_job(int state, token_store_t *store, server_rec *s,
                           apr_pool_t *pool)
{
    bind_store(store, s, pool);
    return begin_job(state);
}

/* --- revocations elsewhere --- */

/* Looks ten times a second.  While the database is down its breaker says when
 * it is tried again: what was revoked meanwhile is asked for as soon as it is
 * back.  Anything else than success would be the last time, for both. */
static apr_status_t do_poll(int state, void *server, apr_pool_t *pool)
{
    token_shared_database_t *shared =
        token_shared_database(token_conf_store(server)->database);
    token_store_t store;

    if (token_clock_now() < atomic_load(&shared->poll_due)
        || !begin_store_job(state, &store, server, pool)) {
        return APR_SUCCESS;
    }
    token_poll_changes(&store);
    atomic_store(&shared->poll_due, token_store_is_down(store.conf)
                 ? 0 : token_clock_now() + token_conf_poll_interval(server));
    end_job();
    return APR_SUCCESS;
}

/* --- last uses, dead rows --- */

static apr_status_t do_flush(int state, void *server, apr_pool_t *pool)
{
    token_store_t store;

    if (begin_store_job(state, &store, server, pool)) {
        token_upkeep_flush(&store, TOKEN_STORE_JOB, is_staying);
        end_job();
    }
    return APR_SUCCESS;
}

/* Looks once a minute, and each second while there is more to remove. */
static apr_status_t do_purge(int state, void *server, apr_pool_t *pool)
{
    token_shared_database_t *shared =
        token_shared_database(token_conf_store(server)->database);
    apr_int64_t second = token_clock_seconds();
    token_store_t store;

    if (second < atomic_load(&shared->next_purge)
        || !begin_store_job(state, &store, server, pool)) {
        return APR_SUCCESS;
    }
    atomic_store(&shared->next_purge, second + PURGE_INTERVAL);
    if (token_upkeep_purge(&store, token_conf_purge(server), is_staying)) {
        atomic_store(&shared->next_purge, 0);
    }
    end_job();
    return APR_SUCCESS;
}

/* --- overdue statements --- */

/* mod_watchdog's threads end when a child begins to drain; requests that are
 * under way go on, and need this one.  It takes no memory and waits for no
 * lock: where a child is interrupted to be ended, it ends all the same. */
static pthread_t keeper;
static int has_keeper;
static atomic_int is_over;

static void *keep_deadlines(void *data)
{
    (void)data;
    while (!atomic_load(&is_over)) {
        token_deadline_check(token_shared_deadline(), token_clock_now());
        apr_sleep(DEADLINE_INTERVAL);
    }
    return NULL;
}

/* Signals are for the thread that has the MPM's handlers in mind. */
static apr_status_t start_keeper(void)
{
    sigset_t all;
    sigset_t before;
    int error;

    atomic_store(&is_over, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&keeper, NULL, keep_deadlines, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    has_keeper = !error;
    return error ? APR_FROM_OS_ERROR(error) : APR_SUCCESS;
}

static void stop_keeper(void)
{
    atomic_store(&is_over, 1);
    if (has_keeper) {
        pthread_join(keeper, NULL);
    }
}

/* --- a table that could not be made at the start --- */

static apr_status_t do_setup(int state, void *server, apr_pool_t *pool)
{
    if (begin_job(state)) {
        token_setup_again(server, pool);
        end_job();
    }
    return APR_SUCCESS;
}

/* --- the end of a child --- */

/* The children of a stop end together: one writes, the others wait for it,
 * for a use of theirs may have come after it had looked. */
static int claim_last_flush(token_shared_database_t *shared)
{
    int i;

    for (i = 0; i < LAST_FLUSH_PAUSES; i++) {
        apr_int64_t now = token_clock_now();
        apr_int64_t held = atomic_load(&shared->last_flush);

        if ((held == 0 || now - held > LAST_FLUSH_LOST)
            && atomic_compare_exchange_strong(&shared->last_flush, &held,
                                              now)) {
            return 1;
        }
        apr_sleep(LEAVE_PAUSE);
    }
    return 0;
}

static apr_time_t last_flush_end;

static int has_time(void)
{
    return token_clock_now() < last_flush_end;
}

static void flush_last(server_rec *s, apr_pool_t *pool)
{
    token_store_conf_t conf = *token_conf_store(s);
    token_shared_database_t *shared = token_shared_database(conf.database);
    token_store_t store;

    if (token_store_is_down(&conf) || !claim_last_flush(shared)) {
        return;
    }
    if (conf.query_timeout < 0 || conf.query_timeout > LAST_QUERY_TIMEOUT) {
        conf.query_timeout = LAST_QUERY_TIMEOUT;
    }
    bind_store(&store, s, pool);
    store.conf = &conf;
    last_flush_end = token_clock_now() + LAST_FLUSH_TIME;
    /* Where it fails it is not given back: one child waits for a database
     * that is silent, not one after the other. */
    if (token_upkeep_flush(&store, TOKEN_STORE_LAST, has_time)) {
        atomic_store(&shared->last_flush, 0);
    }
}

static void flush_all(apr_pool_t *pool)
{
    int i;

    for (i = 0; i < flushed->nelts; i++) {
        flush_last(APR_ARRAY_IDX(flushed, i, server_rec *), pool);
    }
}

static void await_working(void)
{
    while (atomic_load(&working) > 0) {
        apr_sleep(LEAVE_PAUSE);
    }
}

static int is_threaded(void)
{
    int threaded = AP_MPMQ_NOT_SUPPORTED;

    return ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) == APR_SUCCESS
        && threaded != AP_MPMQ_NOT_SUPPORTED;
}

/* prefork ends its children within the handler of a signal, wherever it has
 * met them: nothing may be asked of a library there. */
static int is_interrupted(void)
{
    sigset_t blocked;

    return !is_threaded()
        && (pthread_sigmask(SIG_BLOCK, NULL, &blocked)
            || sigismember(&blocked, SIGTERM)
            || sigismember(&blocked, SIGHUP));
}

/* mod_watchdog's threads outlive the connections they use: before the
 * child's pool goes, its jobs must have come to their end.  Then nobody uses
 * a token here any more, and what was used is written.  Deadlines are looked
 * after to the end. */
static apr_status_t leave(void *pool)
{
    atomic_store(&leaving, 1);
    await_working();
    if (has_keeper && !is_interrupted()) {
        flush_all(pool);
    }
    stop_keeper();
    return APR_SUCCESS;
}

/* --- start --- */

static apr_status_t add_job(const char *name, int singleton,
                            apr_interval_time_t interval, void *data,
                            ap_watchdog_callback_fn_t *job,
                            apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get_instance =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *add_callback =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    ap_watchdog_t *watchdog;
    apr_status_t rv;

    if (!get_instance || !add_callback) {
        return APR_ENOTIMPL;
    }
    rv = get_instance(&watchdog, name, 0, singleton, pconf);
    return rv == APR_SUCCESS ? add_callback(watchdog, interval, data, job)
                             : rv;
}

static apr_status_t add_poll(server_rec *s, apr_pool_t *pconf)
{
    const char *name = apr_psprintf(pconf, "_authn_token_poll_%d_",
                                    (int)(token_conf_store(s)->database
                                          % POLL_THREADS));

    return add_job(name, 1, POLL_LOOK, s, do_poll, pconf);
}

/* The jobs of one database, with the settings of its first host.  Each kind
 * has a thread of its own: the removal of rows takes its time. */
static apr_status_t add_database(server_rec *s, apr_pool_t *pconf)
{
    const token_store_conf_t *store = token_conf_store(s);
    apr_interval_time_t flush = token_conf_flush_interval(s);
    apr_status_t rv = APR_SUCCESS;

    if (token_conf_poll_interval(s) > 0 && token_shared_table()
        && token_store_has(store, TOKEN_SQL_POLL)) {
        rv = add_poll(s, pconf);
    }
    if (flush > 0 && token_shared_table()
        && token_store_has(store, TOKEN_SQL_TOUCH)) {
        APR_ARRAY_PUSH(flushed, server_rec *) = s;
        if (rv == APR_SUCCESS) {
            rv = add_job("_authn_token_flush_", 1, flush, s, do_flush,
                         pconf);
        }
    }
    if (rv == APR_SUCCESS && token_conf_purge(s) > 0
        && (token_store_has(store, TOKEN_SQL_PURGE_EXPIRED)
            || token_store_has(store, TOKEN_SQL_PURGE_REVOKED))) {
        rv = add_job("_authn_token_purge_", 1, apr_time_from_sec(1), s,
                     do_purge, pconf);
    }
    return rv;
}

static apr_status_t add_databases(server_rec *s, apr_pool_t *pconf)
{
    apr_uint32_t next = 0;
    apr_status_t rv = APR_SUCCESS;

    /* Loaded and not used: mod_dbd would log errors. */
    if (!token_tree_has_database()) {
        ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, s,
                     "no DBDriver: no job has a database to ask");
        return APR_SUCCESS;
    }
    for (; s && rv == APR_SUCCESS; s = s->next) {
        if (token_conf_store(s)->database == next) {
            next++;
            rv = add_database(s, pconf);
        }
    }
    return rv;
}

static int is_rehearsal(void)
{
    return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
}

static void note_unbounded(void *baton, const char *driver,
                           const char *params)
{
    (void)params;
    *(int *)baton |= !token_deadline_holds(driver);
}

static void check_deadlines(server_rec *s, apr_pool_t *ptemp)
{
    int unbounded = 0;

    token_tree_databases(note_unbounded, &unbounded, ptemp);
    if (unbounded) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "this module was built without libpq: "
                     "AuthTokenQueryTimeout is not kept, and a PostgreSQL "
                     "that is stopped would hold httpd's workers; install "
                     "libpq-dev and build again");
    }
}

int token_jobs_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                           apr_pool_t *ptemp, server_rec *s)
{
    apr_status_t rv;

    (void)plog;
    if (is_rehearsal()) {
        return OK;
    }
    databases = token_tree_number_databases(s, pconf);
    flushed = apr_array_make(pconf, (int)databases, sizeof(server_rec *));
    rv = token_shared_create(token_conf_table(s), databases, pconf);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, rv, s,
                     "no shared memory for the table of AuthTokenTable: "
                     "name fewer slots (560 bytes each)");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    check_deadlines(s, ptemp);
    token_setup_start(s, ptemp);
    if (atomic_load(token_shared_unmade())) {
        rv = add_job("_authn_token_setup_", 1, SETUP_INTERVAL, s, do_setup,
                     pconf);
    }
    if (rv == APR_SUCCESS) {
        rv = add_databases(s, pconf);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     "mod_watchdog is not at work: revocations elsewhere are "
                     "seen within AuthTokenCacheTTL only, and dead rows "
                     "stay");
    }
    return OK;
}

/* mod_watchdog's threads and mod_dbd's connections have their memory from
 * the child's pool.  Where the MPM has no threads its allocator has no lock,
 * and our jobs would run into each other. */
static apr_status_t lock_allocator(apr_pool_t *pool)
{
    apr_allocator_t *allocator = apr_pool_allocator_get(pool);
    apr_thread_mutex_t *mutex;
    apr_status_t rv;

    /* An APR that debugs its pools has none. */
    if (!allocator || apr_allocator_mutex_get(allocator)) {
        return APR_SUCCESS;
    }
    rv = apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, pool);
    if (rv == APR_SUCCESS) {
        apr_allocator_mutex_set(allocator, mutex);
    }
    return rv;
}

void token_jobs_child_init(apr_pool_t *pool, server_rec *s)
{
    apr_status_t rv = token_shared_child_init(pool);

    if (rv == APR_SUCCESS) {
        rv = lock_allocator(pool);
    }
    atomic_store(&working, 0);
    atomic_store(&leaving, 0);
    has_keeper = 0;
    if (rv == APR_SUCCESS) {
        rv = token_store_child_init(databases, pool);
        apr_pool_pre_cleanup_register(pool, pool, leave);
    }
    if (rv == APR_SUCCESS) {
        rv = start_keeper();
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     "this child cannot check tokens: OpenSSL has no "
                     "SHA-256, or there are no mutexes; they get 503");
    }
}
