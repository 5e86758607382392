/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides how a statement reaches the database and what its failure means:
 * a lost connection is mended and the statement repeated, anything else is
 * "down".  "No such row" is only ever the database's own answer.  Which
 * statement to run, and what to do with the answer, is left to others. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_atomic.h"
#include "apr_strings.h"

#include "token_sql.h"
#include "token_store.h"

APLOG_USE_MODULE(authn_token);

/* SQLite may refuse a statement prepared afresh once more after a schema
 * change (apr_dbd uses its old interface); PostgreSQL is asked twice. */
#define ATTEMPTS_SQLITE 3
#define ATTEMPTS 2

/* Of making SQLite's table when the server starts: two seconds in all. */
#define MAKE_TRIES 20
#define MAKE_PAUSE apr_time_from_msec(100)

static APR_OPTIONAL_FN_TYPE(ap_dbd_open) *dbd_open;
static APR_OPTIONAL_FN_TYPE(ap_dbd_close) *dbd_close;

/* 1 in a child process whose last statement failed: so that the log has
 * one line when it begins and one when it ends. */
static volatile apr_uint32_t down;

/* One statement's work on a connection; an apr_dbd code. */
typedef int work_fn(const token_sql_t *sql, void *baton, int attempt);

void token_store_retrieve(void)
{
    dbd_open = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_open);
    dbd_close = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_close);
}

static int is_sqlite(const token_sql_t *sql)
{
    return strcmp(sql->dialect->driver, "sqlite3") == 0;
}

static int bind_sql(token_sql_t *sql, ap_dbd_t *dbd)
{
    sql->dialect = token_sql_dialect(apr_dbd_name(dbd->driver));
    sql->driver = dbd->driver;
    sql->handle = dbd->handle;
    sql->prepared = dbd->prepared;
    sql->pool = dbd->pool;
    return sql->dialect != NULL;
}

/* --- a new connection --- */

static void note_row(void *baton, const token_record_t *record)
{
    (void)record;
    *(int *)baton = 1;
}

static int has_table(const token_sql_t *sql, apr_pool_t *pool)
{
    int found = 0;

    token_sql_select(sql, TOKEN_SQL_EXISTS, NULL, note_row, &found, pool);
    return found;
}

/* A file that SQLite has just made is for httpd's user and group alone; its
 * -wal and -shm will be as it is. */
static void protect_new_file(const char *path, apr_pool_t *pool)
{
    apr_finfo_t info;

    if (path && apr_stat(&info, path, APR_FINFO_SIZE, pool) == APR_SUCCESS
        && info.size == 0) {
        apr_file_perms_set(path, APR_FPROT_UREAD | APR_FPROT_UWRITE
                                     | APR_FPROT_GREAD);
    }
}

/* All children of a server come here at once, and SQLite does not wait
 * while one of them changes the file to WAL: look again, then try again. */
static int make_table(const token_sql_t *sql, apr_pool_t *pool, int *made)
{
    int rc = 0;
    int try;

    for (try = 0; try < MAKE_TRIES; try++) {
        if (has_table(sql, pool)) {
            return 0;
        }
        rc = token_sql_create(sql);
        if (rc == 0) {
            *made = 1;
            return 0;
        }
        apr_sleep(MAKE_PAUSE);
    }
    return rc;
}

static void make_sqlite_table(const token_sql_t *sql, const dbd_cfg_t *cfg,
                              apr_pool_t *pool)
{
    const char *where = cfg->params ? cfg->params : "the database";
    int made = 0;
    int rc;

    protect_new_file(cfg->params, pool);
    rc = make_table(sql, pool, &made);
    if (rc) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, cfg->server,
                     "cannot make the table auth_token in %s: %s; the file "
                     "and its directory must be writable for httpd's user",
                     where, apr_dbd_error(sql->driver, sql->handle, rc));
    }
    else if (made) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, cfg->server,
                     "table auth_token made in %s", where);
    }
}

/* mod_dbd has prepared the statements of others before it calls us, and
 * SQLite forgets what was prepared before a table was made, by this child or
 * by another that came up beside it. */
static void prepare_others(const token_sql_t *sql, const dbd_cfg_t *cfg,
                           apr_pool_t *pool)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(pool, cfg->queries); i; i = apr_hash_next(i)) {
        const char *label = apr_hash_this_key(i);
        apr_dbd_prepared_t *statement = NULL;

        if (apr_dbd_prepare(sql->driver, sql->pool, sql->handle,
                            apr_hash_this_val(i), label, &statement) == 0) {
            apr_hash_set(sql->prepared, label, APR_HASH_KEY_STRING,
                         statement);
        }
    }
}

static void check_pgsql(const token_sql_t *sql, const dbd_cfg_t *cfg,
                        apr_pool_t *pool)
{
    if (!has_table(sql, pool)) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, cfg->server,
                     "there is no table auth_token in the database of "
                     "DBDParams: requests with tokens get 503 until "
                     "\"httoken init\" makes it");
    }
    if (!cfg->params || !strstr(cfg->params, "connect_timeout")) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, cfg->server,
                     "DBDParams has no connect_timeout: a database that "
                     "does not answer would hold httpd's workers; add "
                     "connect_timeout=2");
    }
}

apr_status_t token_store_connected(apr_pool_t *pool, dbd_cfg_t *cfg,
                                   ap_dbd_t *dbd)
{
    static volatile apr_uint32_t told;
    token_sql_t sql;

    if (!bind_sql(&sql, dbd)) {
        if (!apr_atomic_xchg32(&told, 1)) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, cfg->server,
                         "DBDriver %s: tokens can be kept with pgsql and "
                         "sqlite3 only", cfg->name);
        }
        return APR_SUCCESS;
    }
    if (is_sqlite(&sql)) {
        make_sqlite_table(&sql, cfg, pool);
        prepare_others(&sql, cfg, pool);
    }
    else if (!apr_atomic_xchg32(&told, 1)) {
        check_pgsql(&sql, cfg, pool);
    }
    token_sql_prepare(&sql, TOKEN_SQL_VALIDATE);
    token_sql_prepare(&sql, TOKEN_SQL_ISSUE);
    return APR_SUCCESS;
}

/* --- a statement --- */

static void note_down(request_rec *r, const char *what)
{
    /* The first one speaks for all until the database answers again. */
    int level = apr_atomic_xchg32(&down, 1) ? APLOG_DEBUG : APLOG_ERR;

    ap_log_rerror(APLOG_MARK, level, 0, r,
                  "the token database does not answer: %s; requests with "
                  "tokens get 503 until it does", what);
}

static void note_up(request_rec *r)
{
    if (apr_atomic_read32(&down) && apr_atomic_xchg32(&down, 0)) {
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      "the token database answers again");
    }
}

/* 1 when trying again can help: the connection was mended, or SQLite lost
 * the statements by a schema change.  A lock was waited for already. */
static int mend(request_rec *r, const token_sql_t *sql, const char *error)
{
    if (apr_dbd_check_conn(sql->driver, r->pool, sql->handle)
        != APR_SUCCESS) {
        return 0;
    }
    if (is_sqlite(sql)) {
        if (strstr(error, "locked")) {
            return 0;
        }
        token_sql_forget(sql);
    }
    return 1;
}

/* What follows on further lines may quote the parameters. */
static const char *first_line(request_rec *r, const char *error)
{
    return error ? apr_pstrmemdup(r->pool, error, strcspn(error, "\r\n"))
                 : "unknown error";
}

static int run_attempts(request_rec *r, const token_sql_t *sql,
                        work_fn *work, void *baton)
{
    int attempts = is_sqlite(sql) ? ATTEMPTS_SQLITE : ATTEMPTS;
    int attempt;
    const char *error = "";

    for (attempt = 1; attempt <= attempts; attempt++) {
        int rc = work(sql, baton, attempt);

        if (rc == 0) {
            note_up(r);
            return 1;
        }
        error = first_line(r, apr_dbd_error(sql->driver, sql->handle, rc));
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                      "token database, attempt %d: %s", attempt, error);
        if (!mend(r, sql, error)) {
            break;
        }
    }
    note_down(r, error);
    return 0;
}

static int run(request_rec *r, work_fn *work, void *baton)
{
    token_sql_t sql;
    ap_dbd_t *dbd;
    int done = 0;

    if (!dbd_open || !dbd_close) {
        note_down(r, "mod_dbd is not loaded");
        return 0;
    }
    dbd = dbd_open(r->pool, r->server);
    if (!dbd) {
        note_down(r, "no connection, see mod_dbd's lines before; are "
                  "DBDriver and DBDParams right for this host");
        return 0;
    }
    if (bind_sql(&sql, dbd)) {
        done = run_attempts(r, &sql, work, baton);
    }
    else {
        note_down(r, "no statements for this DBDriver");
    }
    dbd_close(r->server, dbd);
    return done;
}

typedef struct {
    request_rec *r;
    const char *digest;
    token_record_t *record;
    int found;
} find_t;

static void keep_record(void *baton, const token_record_t *record)
{
    find_t *find = baton;

    *find->record = *record;
    find->found = 1;
}

static int find_record(const token_sql_t *sql, void *baton, int attempt)
{
    find_t *find = baton;
    const char *args[1];

    (void)attempt;
    args[0] = find->digest;
    find->found = 0;
    return token_sql_select(sql, TOKEN_SQL_VALIDATE, args, keep_record, find,
                            find->r->pool);
}

token_store_status_t token_store_find(
    request_rec *r, const char digest[TOKEN_DIGEST_LEN + 1],
    token_record_t *record)
{
    find_t find;

    find.r = r;
    find.digest = digest;
    find.record = record;
    find.found = 0;
    if (!run(r, find_record, &find)) {
        return TOKEN_STORE_DOWN;
    }
    return find.found ? TOKEN_STORE_FOUND : TOKEN_STORE_NONE;
}

typedef struct {
    request_rec *r;
    const char *digest;
    const token_record_t *record;
    int stored;
} issue_t;

static int issue_record(const token_sql_t *sql, void *baton, int attempt)
{
    issue_t *issue = baton;
    int rows = 0;
    int rc = token_sql_issue(sql, issue->record, issue->digest, &rows,
                             issue->r->pool);

    /* A repeated insert finds the row that the first one left before its
     * connection broke.  On the first attempt there can be none: random
     * bits do not repeat. */
    issue->stored = rc == 0 && (rows == 1 || attempt > 1);
    return rc;
}

token_store_status_t token_store_issue(
    request_rec *r, const char digest[TOKEN_DIGEST_LEN + 1],
    const token_record_t *record)
{
    issue_t issue;

    issue.r = r;
    issue.digest = digest;
    issue.record = record;
    issue.stored = 0;
    if (!run(r, issue_record, &issue)) {
        return TOKEN_STORE_DOWN;
    }
    if (!issue.stored) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "a new token's row was there already: is the random "
                      "source of this host broken");
        return TOKEN_STORE_DOWN;
    }
    return TOKEN_STORE_FOUND;
}
