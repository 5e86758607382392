/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides when SQLite's file and table are made, and who does it: httpd's
 * user, before there are children.  Root, in a directory that is that
 * user's, would follow his symbolic links; and the children, each with
 * statements that SQLite forgets when a table is made, would be in each
 * other's way.  A table that was there and is gone is a failure: an empty one
 * in its place would make every token unknown. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "mpm_common.h"
#include "apr_thread_proc.h"

#include "token_clock.h"
#include "token_setup.h"
#include "token_shared.h"
#include "token_sql.h"
#include "token_tree.h"

APLOG_USE_MODULE(authn_token);

/* So many databases are tried again; one is a bit of a word. */
#define RETRIED 64

typedef struct {
    server_rec *server;
    apr_pool_t *pool;
    int level;                  /* of a complaint */
    apr_time_t end;             /* of waiting for locks, of token_clock */
    unsigned next;              /* database to be visited */
    apr_uint64_t unmade;        /* databases without a table */
} setup_t;

static void note_row(void *baton, const token_record_t *record)
{
    (void)record;
    *(int *)baton = 1;
}

static int has_table(const token_sql_t *sql)
{
    int found = 0;

    token_sql_select(sql, TOKEN_SQL_EXISTS, NULL, note_row, &found,
                     sql->pool);
    return found;
}

/* A file that SQLite has just made is for httpd's user and group alone; its
 * -wal and -shm will be as it is. */
static void protect_new_file(const char *path, apr_pool_t *pool)
{
    apr_finfo_t info;

    if (apr_stat(&info, path, APR_FINFO_SIZE, pool) == APR_SUCCESS
        && info.size == 0) {
        apr_file_perms_set(path, APR_FPROT_UREAD | APR_FPROT_UWRITE
                                     | APR_FPROT_GREAD);
    }
}

static void complain(const setup_t *setup, const char *path,
                     const char *error)
{
    ap_log_error(APLOG_MARK, setup->level, 0, setup->server,
                 "cannot make the table auth_token in %s: %s; the file and "
                 "its directory must be writable for httpd's user", path,
                 error ? error : "-");
}

/* 0, or the code of what went wrong. */
static int try_table(const setup_t *setup, const token_sql_t *sql,
                     const char *path)
{
    int rc;

    if (has_table(sql)) {
        return 0;
    }
    protect_new_file(path, sql->pool);
    rc = token_sql_create(sql);
    if (!rc) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, setup->server,
                     "table auth_token made in %s", path);
    }
    return rc;
}

/* 1 when the table is there.  SQLite's lock is another's, and passes: the
 * children of before have it for a moment when they end. */
static int make_table(const setup_t *setup, const token_sql_t *sql,
                      const char *path)
{
    int rc, rows;

    while ((rc = try_table(setup, sql, path))) {
        const char *error = apr_dbd_error(sql->driver, sql->handle, rc);

        if (!error || !strstr(error, "locked")
            || token_clock_now() > setup->end) {
            complain(setup, path, error);
            return 0;
        }
        ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, setup->server,
                     "waits for the lock of %s", path);
        apr_dbd_query(sql->driver, sql->handle, &rows, "ROLLBACK");
        apr_sleep(TOKEN_SQL_LOCK_PAUSE);
    }
    return 1;
}

static int open_and_make(const setup_t *setup, const char *path)
{
    const char *error = NULL;
    token_sql_t sql;
    int made;

    memset(&sql, 0, sizeof(sql));
    sql.dialect = token_dialect_find("sqlite3", TOKEN_SCHEMA_NATIVE);
    sql.pool = setup->pool;
    sql.prepared = apr_hash_make(setup->pool);
    if (apr_dbd_get_driver(setup->pool, "sqlite3", &sql.driver)
        != APR_SUCCESS) {
        /* mod_dbd says so. */
        return 0;
    }
    if (apr_dbd_open_ex(sql.driver, setup->pool, path, &sql.handle, &error)
        != APR_SUCCESS) {
        complain(setup, path, error);
        return 0;
    }
    made = make_table(setup, &sql, path);
    apr_dbd_close(sql.driver, sql.handle);
    return made;
}

static void visit_database(void *baton, const char *driver,
                           const char *params)
{
    setup_t *setup = baton;
    unsigned number = setup->next++;
    apr_uint64_t bit = number < RETRIED ? (apr_uint64_t)1 << number : 0;

    /* Never again when it was there once. */
    if (bit && !(setup->unmade & bit)) {
        return;
    }
    if (strcmp(driver, "sqlite3") != 0 || open_and_make(setup, params)) {
        setup->unmade &= ~bit;
    }
}

static void make_all(server_rec *s, int level, apr_interval_time_t patience,
                     apr_pool_t *pool)
{
    setup_t setup = { s, pool, level, token_clock_now() + patience, 0,
                      atomic_load(token_shared_unmade()) };

    token_tree_databases(visit_database, &setup, pool);
    if (setup.next < RETRIED) {
        setup.unmade &= ((apr_uint64_t)1 << setup.next) - 1;
    }
    atomic_store(token_shared_unmade(), setup.unmade);
}

static void note_sqlite(void *baton, const char *driver, const char *params)
{
    (void)params;
    *(int *)baton |= strcmp(driver, "sqlite3") == 0;
}

void token_setup_start(server_rec *s, apr_pool_t *ptemp)
{
    apr_proc_t process;
    apr_status_t rv;
    int found = 0;

    token_tree_databases(note_sqlite, &found, ptemp);
    if (!found) {
        return;
    }
    atomic_store(token_shared_unmade(), ~(apr_uint64_t)0);
    rv = apr_proc_fork(&process, ptemp);
    if (rv == APR_INCHILD) {
        if (ap_run_drop_privileges(ptemp, s) == OK) {
            /* For what protect_new_file() does not find: a URI's file. */
            umask(027);
            make_all(s, APLOG_ERR, TOKEN_SQL_LOCK_WAIT, ptemp);
        }
        /* All else is the parent's to clean up. */
        _exit(0);
    }
    if (rv == APR_INPARENT) {
        apr_proc_wait(&process, NULL, NULL, APR_WAIT);
    }
}

/* The log had the cause at the start. */
void token_setup_again(server_rec *s, apr_pool_t *pool)
{
    if (atomic_load(token_shared_unmade())) {
        make_all(s, APLOG_DEBUG, 0, pool);
    }
}
