/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides how a statement reaches the database and what its failure means:
 * a lost connection is mended and the statement repeated, anything else is
 * "down".  "No such row" is only ever the database's own answer.  Which
 * statement to run is token_ledger's matter. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_atomic.h"
#include "apr_strings.h"

#include "token_breaker.h"
#include "token_clock.h"
#include "token_file.h"
#include "token_shared.h"
#include "token_sql.h"
#include "token_store.h"

APLOG_USE_MODULE(authn_token);

/* SQLite may refuse a statement prepared afresh once more after a schema
 * change (apr_dbd uses its old interface).  libpq may fail twice before it
 * says that a connection is lost: after an immediate shutdown of PostgreSQL,
 * by a Unix socket, it reads a last warning first. */
#define ATTEMPTS 3

/* One that takes too long is not tried so often. */
#define ATTEMPTS_OVERDUE 2

#define DEFAULT_QUERY_TIMEOUT apr_time_from_sec(2)

static APR_OPTIONAL_FN_TYPE(ap_dbd_open) *dbd_open;
static APR_OPTIONAL_FN_TYPE(ap_dbd_close) *dbd_close;

/* Of this child, by the database's number; the breakers by the pool's. */
static token_breaker_t **breakers;
static volatile apr_uint32_t *in_trouble;
static volatile apr_uint32_t *jobs_in_trouble;
static apr_uint32_t breaker_count;

/* A statement to be run: what it needs, and what came of it. */
typedef struct {
    const token_store_t *store;
    token_store_work_t *work;
    void *baton;
    token_store_kind_t kind;
    ap_dbd_t *dbd;
    apr_time_t begun;
    int answered;               /* if only with an error */
    int shut;                   /* the last attempt took too long */
    const char *error;
} task_t;

void token_store_retrieve(void)
{
    dbd_open = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_open);
    dbd_close = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_close);
}

apr_status_t token_store_child_init(apr_uint32_t databases,
                                    apr_pool_t *pool)
{
    apr_status_t rv = APR_SUCCESS;
    apr_uint32_t i;

    breakers = apr_pcalloc(pool, databases * sizeof(void *));
    in_trouble = apr_pcalloc(pool, databases * sizeof(*in_trouble));
    jobs_in_trouble = apr_pcalloc(pool, databases * sizeof(*in_trouble));
    breaker_count = databases;
    for (i = 0; i < databases && rv == APR_SUCCESS; i++) {
        rv = token_breaker_create(&breakers[i], pool);
    }
    return rv;
}

static token_breaker_t *get_breaker(const token_store_conf_t *conf)
{
    return conf->dbd_pool < breaker_count ? breakers[conf->dbd_pool] : NULL;
}

int token_store_is_down(const token_store_conf_t *conf)
{
    token_breaker_t *breaker = get_breaker(conf);

    return !breaker || token_breaker_is_open(breaker);
}

static int is_sqlite(const token_sql_t *sql)
{
    return strcmp(sql->dialect->driver, "sqlite3") == 0;
}

token_schema_t token_store_schema(const token_store_conf_t *conf)
{
    return conf->schema < 0 ? TOKEN_SCHEMA_NATIVE
                            : (token_schema_t)conf->schema;
}

int token_store_has(const token_store_conf_t *conf, token_sql_name_t name)
{
    /* Each driver has the same. */
    return conf->replaced[name]
        ? *conf->replaced[name] != '\0'
        : token_dialect_find("sqlite3", token_store_schema(conf))
              ->statement[name] != NULL;
}

/* What replaces a statement is meant for the host's schema alone. */
static int bind_sql(token_sql_t *sql, const token_store_conf_t *conf,
                    token_schema_t schema, ap_dbd_t *dbd)
{
    sql->replaced = schema == token_store_schema(conf) ? conf->replaced
                                                       : NULL;
    sql->dialect = token_dialect_find(apr_dbd_name(dbd->driver), schema);
    sql->driver = dbd->driver;
    sql->handle = dbd->handle;
    sql->prepared = dbd->prepared;
    sql->pool = dbd->pool;
    sql->is_plain = 0;
    sql->is_open = 0;
    return sql->dialect != NULL;
}

/* --- a new connection --- */

static void check_pgsql(const dbd_cfg_t *cfg)
{
    if (!cfg->params || !strstr(cfg->params, "connect_timeout")) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, cfg->server,
                     "DBDParams has no connect_timeout: a database that "
                     "does not answer would hold httpd's workers; add "
                     "connect_timeout=2");
    }
}

/* mod_dbd would make threads wait for a connection without end: one is
 * left to other modules.  Hosts with equal settings share a pool, of which
 * it names only one; the others get the same limit. */
static void limit_breakers(const token_store_conf_t *conf,
                           const dbd_cfg_t *cfg)
{
    apr_uint32_t i;
    int connections = 1;

#if APR_HAS_THREADS
    connections = cfg->nmax > 2 ? cfg->nmax - 1 : cfg->nmax;
#endif
    for (i = 0; i < breaker_count; i++) {
        token_breaker_limit(breakers[i], connections, i != conf->dbd_pool);
    }
}

static apr_status_t forget_connection(void *breaker)
{
    token_breaker_count(breaker, -1);
    return APR_SUCCESS;
}

static void count_connection(const token_store_conf_t *conf,
                             const ap_dbd_t *dbd)
{
    token_breaker_t *breaker = get_breaker(conf);

    if (breaker) {
        token_breaker_count(breaker, 1);
        apr_pool_cleanup_register(dbd->pool, breaker, forget_connection,
                                  apr_pool_cleanup_null);
    }
}

apr_status_t token_store_connected(const token_store_conf_t *conf,
                                   dbd_cfg_t *cfg, ap_dbd_t *dbd)
{
    static volatile apr_uint32_t told;
    token_sql_t sql;

    limit_breakers(conf, cfg);
    count_connection(conf, dbd);
    if (!bind_sql(&sql, conf, TOKEN_SCHEMA_NATIVE, dbd)) {
        if (!apr_atomic_xchg32(&told, 1)) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, cfg->server,
                         "DBDriver %s: tokens can be kept with pgsql and "
                         "sqlite3 only", cfg->name);
        }
        return APR_SUCCESS;
    }
    if (is_sqlite(&sql)) {
        token_file_note(cfg, dbd);
    }
    else if (!apr_atomic_xchg32(&told, 1)) {
        /* Nothing is asked here, where mod_dbd holds its lock: a server that
         * takes connections and is silent would hold all workers. */
        check_pgsql(cfg);
    }
    return APR_SUCCESS;
}

/* --- a statement --- */

static void fail(task_t *task, const char *error)
{
    task->error = error;
}

/* An error that names a table is one of the set-up. */
static const char *get_cure(const char *error)
{
    if (strstr(error, "auth_user")) {
        return " (is this Django's database; may the role of DBDParams read "
               "username, password and is_active?)";
    }
    return strstr(error, "auth_token")
        ? " (\"httoken init\" makes the table; may the role of DBDParams "
          "use it?)" : "";
}

/* That there is no table is said where one is needed: jobs look at the
 * databases of hosts that have nothing to do with tokens, too. */
static int lacks_table(const char *error)
{
    return strstr(error, "no such table") || strstr(error, "does not exist");
}

/* The first trouble speaks for all until a statement goes well again.  A
 * lock passes. */
static void note_job(const task_t *task, int done)
{
    volatile apr_uint32_t *trouble =
        &jobs_in_trouble[task->store->conf->database];

    if (done && apr_atomic_read32(trouble) && apr_atomic_xchg32(trouble, 0)) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, task->store->server,
                     "the token database takes last uses and purges again");
    }
    else if (!done && !lacks_table(task->error)
             && !strstr(task->error, "locked")
             && !apr_atomic_xchg32(trouble, 1)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->store->server,
                     "the token database takes no last uses or purges: %s%s; "
                     "they wait", task->error, get_cure(task->error));
    }
}

/* What was not stored is said each time. */
static void note_write(const task_t *task)
{
    const char *what = task->kind == TOKEN_STORE_WRITE
        ? "stores no token" : "notes no event (what it tells of is done)";

    ap_log_error(APLOG_MARK, APLOG_ERR, 0, task->store->server,
                 "the token database %s: %s%s", what, task->error,
                 get_cure(task->error));
}

/* Tokens are in use there: from now on it is polled, whatever becomes of
 * the table. */
static void note_table(const task_t *task)
{
    token_shared_database_t *shared =
        token_shared_database(task->store->conf->database);

    if (!atomic_load(&shared->has_table)) {
        atomic_store(&shared->has_table, 1);
    }
}

static void note_result(const task_t *task, int done)
{
    volatile apr_uint32_t *trouble =
        &in_trouble[task->store->conf->database];

    if (task->kind == TOKEN_STORE_JOB && (done || task->answered)) {
        note_job(task, done);
    }
    else if (task->kind == TOKEN_STORE_USERS && task->answered) {
        if (!done) {
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, task->store->server,
                         "the database does not tell Django's users: %s%s",
                         task->error, get_cure(task->error));
        }
    }
    else if (done) {
        if (apr_atomic_read32(trouble) && apr_atomic_xchg32(trouble, 0)) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, task->store->server,
                         "the token database answers again");
        }
    }
    else if (task->kind == TOKEN_STORE_LAST) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, task->store->server,
                     "httpd stops and the token database takes no last uses: "
                     "%s; they are lost", task->error);
    }
    else if ((task->kind == TOKEN_STORE_WRITE && task->answered)
             || task->kind == TOKEN_STORE_NOTE) {
        note_write(task);
    }
    else if (task->kind == TOKEN_STORE_POLL && lacks_table(task->error)) {
        atomic_fetch_add(&token_shared_database(task->store->conf->database)
                              ->tableless_polls, 1);
    }
    else if (!apr_atomic_xchg32(trouble, 1)) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, task->store->server,
                     "the token database does not answer: %s%s; tokens not "
                     "checked lately get 503 until it does", task->error,
                     get_cure(task->error));
    }
}

static void use_reopened(const task_t *task, token_sql_t *sql)
{
    token_sql_drop(sql);
    sql->handle = task->dbd->handle;
    sql->prepared = task->dbd->prepared;
}

/* What SQLite says of a file that could not be opened as it should be; it
 * stays so for the connection, when the file is long in order. */
static int is_file_error(const char *error)
{
    return strstr(error, "readonly") || strstr(error, "unable to open")
        || strstr(error, "disk I/O") || strstr(error, "malformed")
        || strstr(error, "not a database");
}

/* 1 when SQLite's statements are of an older schema.  Its driver keeps them
 * till the end of the connection: they are made anew for nothing else, or
 * each failure would cost memory.  Not for a table named schema. */
static int is_schema_error(const char *error)
{
    return strstr(error, "schema has changed")
        || strstr(error, "not an error");
}

/* After many changes of the schema the connection itself is made anew. */
static void renew_statements(task_t *task, token_sql_t *sql)
{
    if (is_sqlite(sql) && !is_schema_error(task->error)) {
        return;
    }
    token_sql_forget(sql);
    if (token_sql_is_worn(sql)
        && !token_file_reopen(task->dbd, task->store->pool)) {
        use_reopened(task, sql);
    }
}

/* 1 when trying again can help: the connection was mended, or the database
 * lost our statements, by a schema change or behind a pooler. */
static int mend(task_t *task, token_sql_t *sql)
{
    if (is_sqlite(sql) && is_file_error(task->error)
        && !token_file_retry(task->dbd, task->store->pool)) {
        use_reopened(task, sql);
        return 1;
    }
    if (apr_dbd_check_conn(sql->driver, task->store->pool, sql->handle)
        != APR_SUCCESS) {
        return 0;
    }
    renew_statements(task, sql);
    return 1;
}

/* SQLite's lock is another's, and passes: apr_dbd waits for it to run a
 * statement, but not to prepare one.  1: try again. */
static int wait_for_lock(const task_t *task)
{
    if (token_clock_now() - task->begun > TOKEN_SQL_LOCK_WAIT) {
        return 0;
    }
    apr_sleep(TOKEN_SQL_LOCK_PAUSE);
    return 1;
}

/* What follows on further lines may quote the parameters. */
static const char *first_line(apr_pool_t *pool, const char *error)
{
    return error ? apr_pstrmemdup(pool, error, strcspn(error, "\r\n"))
                 : "unknown error";
}

static apr_interval_time_t get_timeout(const token_store_conf_t *conf)
{
    return conf->query_timeout < 0 ? DEFAULT_QUERY_TIMEOUT
                                   : conf->query_timeout;
}

/* 1 when the statement went well within its time. */
static int attempt_work(task_t *task, token_sql_t *sql, int attempt)
{
    token_overdue_t statement;
    int rc;

    token_deadline_begin(token_shared_deadline(), &statement, sql->driver,
                         sql->handle, get_timeout(task->store->conf));
    rc = task->work(sql, task->baton, attempt);
    task->shut = token_deadline_end(token_shared_deadline(), &statement);
    if (rc == 0) {
        token_sql_rollback(sql);
        return 1;
    }
    fail(task, task->shut ? "no answer within AuthTokenQueryTimeout"
                    : first_line(task->store->pool,
                                 apr_dbd_error(sql->driver, sql->handle,
                                               rc)));
    token_sql_rollback(sql);
    ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, task->store->server,
                 "token database, attempt %d: %s", attempt, task->error);
    return 0;
}

/* 1 when a job alone took too long, for a lock of another's, say: others
 * were answered meanwhile. */
static int is_held_up(const task_t *task)
{
    return task->kind == TOKEN_STORE_JOB
        && token_breaker_has_answered(get_breaker(task->store->conf),
                                      task->begun);
}

static int run_attempts(task_t *task, token_sql_t *sql)
{
    int attempt = 1;

    do {
        if (attempt_work(task, sql, attempt)) {
            task->error = NULL;
            task->answered = 1;
            return 1;
        }
        if (is_sqlite(sql) && strstr(task->error, "locked")) {
            if (!wait_for_lock(task)) {
                break;
            }
            continue;
        }
        /* To mend a connection to a server takes a time that is not ours to
         * bound. */
        if ((task->kind == TOKEN_STORE_LAST && !is_sqlite(sql))
            || !mend(task, sql)) {
            return 0;
        }
        sql->is_plain = 1;
        attempt++;
    } while (attempt <= (task->shut ? ATTEMPTS_OVERDUE : ATTEMPTS));
    /* The connection is good: it was the statement.  The next one may be
     * another, or the table may be there by then. */
    task->answered = !task->shut || is_held_up(task);
    return 0;
}

/* 0 when SQLite's file is gone, and nothing may be asked of what is left of
 * it. */
static int check_file(task_t *task, token_sql_t *sql)
{
    const char *error;

    if (!is_sqlite(sql)
        || token_file_is_current(task->dbd, task->store->pool)) {
        return 1;
    }
    error = token_file_reopen(task->dbd, task->store->pool);
    if (error) {
        fail(task, error);
        return 0;
    }
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, task->store->server,
                 "another file is in the place of the token database: "
                 "opened it");
    use_reopened(task, sql);
    return 1;
}

/* A write that waited for a lock while another file was put in the place of
 * this one is lost with it: it is written again there. */
static int run_in_file(task_t *task, token_sql_t *sql)
{
    apr_dbd_t *handle;

    if (!check_file(task, sql) || !run_attempts(task, sql)) {
        return 0;
    }
    if (task->kind != TOKEN_STORE_WRITE) {
        return 1;
    }
    handle = sql->handle;
    task->answered = 0;
    if (!check_file(task, sql)) {
        return 0;
    }
    task->answered = 1;
    return sql->handle == handle || run_attempts(task, sql);
}

static int run_connected(task_t *task)
{
    const token_store_t *store = task->store;
    token_sql_t sql;
    int done = 0;

    if (!dbd_open || !dbd_close) {
        fail(task, "mod_dbd is not loaded");
        return 0;
    }
    task->dbd = dbd_open(store->pool, store->server);
    if (!task->dbd) {
        fail(task, "no connection, see mod_dbd's lines before; are DBDriver "
             "and DBDParams right for this host");
        return 0;
    }
    if (bind_sql(&sql, store->conf, store->schema, task->dbd)) {
        done = run_in_file(task, &sql);
    }
    else {
        fail(task, "no statements for this DBDriver");
    }
    dbd_close(store->server, task->dbd);
    return done;
}

int token_store_run(const token_store_t *store, token_store_work_t *work,
                    void *baton, token_store_kind_t kind)
{
    token_breaker_t *breaker = get_breaker(store->conf);
    task_t task;
    int done;

    if (!breaker
        || (kind == TOKEN_STORE_LAST && token_breaker_is_open(breaker))
        || !token_breaker_enter(breaker)) {
        return 0;
    }
    memset(&task, 0, sizeof(task));
    task.store = store;
    task.work = work;
    task.baton = baton;
    task.kind = kind;
    task.begun = token_clock_now();
    done = run_connected(&task);
    token_stats_note_database(token_shared_stats(), store->conf->database,
                              task.answered);
    note_result(&task, done);
    if (done && kind != TOKEN_STORE_USERS) {
        note_table(&task);
    }
    token_breaker_leave(breaker, task.answered);
    return done;
}
