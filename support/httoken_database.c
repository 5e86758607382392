/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides which database is opened and as which user, and how a failure is
 * told without telling a password.  What is asked of it is decided in
 * httoken.c. */
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apr_strings.h"
#include "apr_user.h"

#include "httoken_database.h"
#include "httoken_output.h"

int httoken_database_is_sqlite(const httoken_database_t *db)
{
    return strcmp(db->driver, "sqlite3") == 0;
}

int httoken_database_fail(const httoken_database_t *db, const char *what,
                          int rc)
{
    const char *error = apr_dbd_error(db->sql.driver, db->sql.handle, rc);

    if (!error) {
        error = "unknown error";
    }
    /* The first line says it; those behind it quote the statement. */
    httoken_output_error("%s: %.*s", what, (int)strcspn(error, "\r\n"),
                         error);
    return HTTOKEN_DATABASE;
}

/* --- SQLite's file --- */

/* Who may write a file that is another's, or only read it, would leave -wal
 * and -shm files that its owner cannot write: httpd and all others would be
 * locked out. */
static int is_allowed(const httoken_database_t *db, const struct stat *info)
{
    char *name = NULL;

    if (geteuid() == 0 || geteuid() == info->st_uid) {
        return 1;
    }
    if (apr_uid_name_get(&name, info->st_uid, db->pool) != APR_SUCCESS) {
        name = apr_psprintf(db->pool, "%lu", (unsigned long)info->st_uid);
    }
    httoken_output_error("%s belongs to user %s: run httoken as root or as "
                         "that user, or what SQLite writes beside it could "
                         "lock httpd out", db->shown, name);
    return 0;
}

/* Becomes whoever owns the file, or for a new one its directory: httpd's
 * user can then write it, and the -wal and -shm files beside it. */
static int give_up_root(const httoken_database_t *db, const char *owned,
                        int make)
{
    struct stat info;

    if (geteuid() != 0) {
        return 1;
    }
    if (stat(owned, &info) != 0) {
        httoken_output_error("the directory of %s: %s", db->shown,
                             strerror(errno));
        return 0;
    }
    if (info.st_uid == 0) {
        if (make) {
            httoken_output_error("note: %s belongs to root; httpd's user "
                                 "must be able to write it", db->shown);
        }
        return 1;
    }
    if (setgroups(1, &info.st_gid) != 0 || setgid(info.st_gid) != 0
        || setuid(info.st_uid) != 0) {
        httoken_output_error("cannot become the owner of %s: %s", db->shown,
                             strerror(errno));
        return 0;
    }
    return 1;
}

static const char *get_directory(const char *file, apr_pool_t *pool)
{
    const char *slash = strrchr(file, '/');

    if (!slash) {
        return ".";
    }
    return slash == file ? "/" : apr_pstrmemdup(pool, file, slash - file);
}

/* SQLite would make a file of any name that is misspelt: only init may. */
static int prepare_file(const httoken_database_t *db, int make)
{
    struct stat info;

    if (strncmp(db->params, "file:", 5) == 0) {
        httoken_output_error("%s: give the path of the file, not a URI",
                             db->shown);
        return 0;
    }
    if (stat(db->params, &info) == 0) {
        return is_allowed(db, &info) && give_up_root(db, db->params, make);
    }
    if (errno != ENOENT) {
        httoken_output_error("%s: %s", db->shown, strerror(errno));
        return 0;
    }
    if (!make) {
        httoken_output_error("%s: no such file; \"httoken init\" makes it",
                             db->shown);
        return 0;
    }
    umask(027);
    return give_up_root(db, get_directory(db->params, db->pool), make);
}

/* --- the connection --- */

/* What libpq says of parameters it cannot read quotes them, and a password
 * with an @ in a URI becomes a part of the host's name. */
static int is_safe_error(const httoken_database_t *db, const char *error)
{
    static const char *const safe[] = {
        "connection to server ", "FATAL:", "timeout expired"
    };
    apr_size_t i;

    for (i = 0; i < sizeof(safe) / sizeof(safe[0]); i++) {
        if (strncmp(error, safe[i], strlen(safe[i])) == 0) {
            return 1;
        }
    }
    return httoken_database_is_sqlite(db);
}

static int open_connection(httoken_database_t *db)
{
    const char *error = NULL;
    token_sql_t *sql = &db->sql;

    if (apr_dbd_init(db->pool) != APR_SUCCESS
        || apr_dbd_get_driver(db->pool, db->driver, &sql->driver)
           != APR_SUCCESS) {
        httoken_output_error("cannot load the apr_dbd driver %s; Debian has "
                             "it in libaprutil1-dbd-%s", db->driver,
                             db->driver);
        return 0;
    }
    if (apr_dbd_open_ex(sql->driver, db->pool, db->params, &sql->handle,
                        &error) != APR_SUCCESS) {
        sql->handle = NULL;
        if (!error || !is_safe_error(db, error)) {
            error = "the parameters of -p are not well-formed, or name no "
                    "host that is known";
        }
        httoken_output_error("cannot open the database: %.*s",
                             (int)strcspn(error, "\r\n"), error);
        return 0;
    }
    sql->prepared = apr_hash_make(db->pool);
    sql->pool = db->pool;
    sql->is_plain = 0;
    sql->is_open = 0;
    return 1;
}

static void note_row(void *baton, const token_record_t *record)
{
    (void)record;
    *(int *)baton = 1;
}

static int find_table(httoken_database_t *db, int *found)
{
    *found = 0;
    return token_sql_select(&db->sql, TOKEN_SQL_EXISTS, NULL, note_row,
                            found, db->pool);
}

int httoken_database_open(httoken_database_t *db, int make, int *found)
{
    int there = 0;
    int rc;

    if ((httoken_database_is_sqlite(db) && !prepare_file(db, make))
        || !open_connection(db)) {
        return HTTOKEN_DATABASE;
    }
    /* This first statement alone is repeated when the connection had broken
     * and could be mended: it changes nothing. */
    rc = find_table(db, &there);
    if (rc && apr_dbd_check_conn(db->sql.driver, db->pool, db->sql.handle)
              == APR_SUCCESS) {
        rc = find_table(db, &there);
    }
    if (rc) {
        return httoken_database_fail(db, "the database refuses", rc);
    }
    if (!there && !make) {
        httoken_output_error("there is no table auth_token in this "
                             "database; \"httoken init\" makes it");
        return HTTOKEN_DATABASE;
    }
    if (found) {
        *found = there;
    }
    return HTTOKEN_GOOD;
}

void httoken_database_close(httoken_database_t *db)
{
    if (db->sql.handle) {
        apr_dbd_close(db->sql.driver, db->sql.handle);
    }
}
