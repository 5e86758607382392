/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A rotation whose process is killed at each of its statements:
 *     rotation sqlite3 FILE | rotation pgsql PARAMETERS
 * What is left is the old chain or the whole new one, and no lock. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apr_general.h"
#include "apr_strings.h"

#include "tap.h"
#include "token_sql.h"

#define CREATED APR_INT64_C(1798041600)
#define EXPIRES APR_INT64_C(4000000000)

enum { NOTHING, BEGIN, LOCK, SUPERSEDE, HEIR, COMMIT, STEPS };

static const char *const step_name[] = {
    "nothing", "BEGIN", "the user is locked", "the old token is superseded",
    "the heir is inserted", "COMMIT"
};

typedef struct {
    tap_t tap;
    apr_pool_t *pool;
    const char *driver;
    const char *params;
    token_sql_t sql;
} test_t;

/* Of one step: the token, its heir, and the heir of whoever comes then. */
typedef struct {
    char old[TOKEN_DIGEST_LEN + 1];
    char heir[TOKEN_DIGEST_LEN + 1];
    char next[TOKEN_DIGEST_LEN + 1];
} chain_t;

static void fill_digest(char digest[TOKEN_DIGEST_LEN + 1], char first,
                        int step)
{
    memset(digest, '0' + step, TOKEN_DIGEST_LEN);
    digest[0] = first;
    digest[TOKEN_DIGEST_LEN] = '\0';
}

static int open_sql(test_t *test)
{
    token_sql_t *sql = &test->sql;
    const char *error = NULL;

    sql->dialect = token_dialect_find(test->driver, TOKEN_SCHEMA_NATIVE);
    sql->prepared = apr_hash_make(test->pool);
    sql->pool = test->pool;
    sql->is_plain = 0;
    sql->is_open = 0;
    return sql->dialect
        && apr_dbd_get_driver(test->pool, test->driver, &sql->driver)
           == APR_SUCCESS
        && apr_dbd_open_ex(sql->driver, test->pool, test->params,
                           &sql->handle, &error) == APR_SUCCESS;
}

static void keep_record(void *baton, const token_record_t *record)
{
    *(token_record_t *)baton = *record;
}

/* Its id is empty when there is none. */
static token_record_t get_record(test_t *test, const char *digest)
{
    token_record_t record;
    const char *args[1];

    memset(&record, 0, sizeof(record));
    record.id = record.family = "";
    args[0] = digest;
    token_sql_select(&test->sql, TOKEN_SQL_VALIDATE, args, keep_record,
                     &record, test->pool);
    return record;
}

static int issue(test_t *test, const char *digest)
{
    token_record_t record;
    int rows = 0;

    memset(&record, 0, sizeof(record));
    record.username = "alice";
    record.client = record.scope = record.networks = "";
    record.family = apr_pstrmemdup(test->pool, digest, TOKEN_ID_LEN);
    record.created_at = CREATED;
    record.expires_at = EXPIRES;
    return token_sql_issue(&test->sql, &record, digest, &rows, test->pool)
           == 0 && rows == 1;
}

/* 1: it was rotated; 0: there was nothing to rotate; -1: an error. */
static int rotate(test_t *test, const char *digest, const char *heir_digest)
{
    token_record_t heir;
    token_rotation_t rotation = { digest, heir_digest, &heir, NULL, NULL };
    int rows = 0;
    int rc;

    memset(&heir, 0, sizeof(heir));
    heir.username = "alice";
    heir.created_at = CREATED;
    heir.expires_at = EXPIRES;
    rc = token_sql_rotate(&test->sql, &rotation, &rows, test->pool);
    if (rc) {
        printf("# %s\n", apr_dbd_error(test->sql.driver, test->sql.handle,
                                       rc));
        token_sql_rollback(&test->sql);
    }
    return rc ? -1 : rows;
}

static int change(test_t *test, token_sql_name_t name, const char **args)
{
    int rows = 0;

    return token_sql_change(&test->sql, name, args, &rows, test->pool) == 0
        && rows == 1;
}

/* What token_sql_rotate() does, up to this step; 1 when all went well. */
static int rotate_until(test_t *test, const chain_t *chain, int step)
{
    const char *old[1];
    const char *heir[4];
    int good = 1;

    old[0] = chain->old;
    heir[0] = chain->heir;
    heir[1] = apr_psprintf(test->pool, "%" APR_INT64_T_FMT, CREATED);
    heir[2] = apr_psprintf(test->pool, "%" APR_INT64_T_FMT, EXPIRES);
    heir[3] = chain->old;
    if (step >= BEGIN) {
        good = token_sql_begin(&test->sql) == 0;
    }
    if (good && step >= LOCK) {
        good = token_sql_lock(&test->sql, "alice", test->pool) == 0;
    }
    if (good && step >= SUPERSEDE) {
        good = change(test, TOKEN_SQL_SUPERSEDE, old);
    }
    if (good && step >= HEIR) {
        good = change(test, TOKEN_SQL_HEIR, heir);
    }
    if (good && step >= COMMIT) {
        good = token_sql_commit(&test->sql) == 0;
    }
    return good;
}

/* A process with a connection of its own that stops after the step; 0 when
 * it did not come so far. */
static pid_t start_rotation(test_t *test, const chain_t *chain, int step)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        if (open_sql(test) && rotate_until(test, chain, step)) {
            raise(SIGSTOP);
        }
        _exit(1);
    }
    return pid > 0 && waitpid(pid, &status, WUNTRACED) == pid
        && WIFSTOPPED(status) ? pid : 0;
}

/* The old chain, or the whole new one. */
static int is_whole(test_t *test, const chain_t *chain, int is_new)
{
    token_record_t old = get_record(test, chain->old);
    token_record_t heir = get_record(test, chain->heir);

    return is_new ? old.superseded_at && heir.id[0] == chain->heir[0]
                    && !heir.superseded_at
                    && strcmp(heir.family, old.family) == 0
                  : old.id[0] == chain->old[0] && !old.superseded_at
                    && !heir.id[0];
}

static void test_killed(test_t *test, int step)
{
    chain_t chain;
    pid_t pid;

    fill_digest(chain.old, 'a', step);
    fill_digest(chain.heir, 'b', step);
    fill_digest(chain.next, 'c', step);
    tap_ok(&test->tap, issue(test, chain.old), "a token for: %s",
           step_name[step]);
    pid = start_rotation(test, &chain, step);
    tap_ok(&test->tap, pid > 0 && is_whole(test, &chain, step == COMMIT),
           "after %s nobody sees a half", step_name[step]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    tap_ok(&test->tap, is_whole(test, &chain, step == COMMIT),
           "killed after %s: the chain is the %s one", step_name[step],
           step == COMMIT ? "whole new" : "old");
    /* The server may have to notice first. */
    tap_ok(&test->tap, rotate(test, step == COMMIT ? chain.heir : chain.old,
                              chain.next) == 1,
           "killed after %s: it can be rotated", step_name[step]);
    tap_ok(&test->tap, rotate(test, chain.old, chain.heir) == 0
                       && get_record(test, chain.next).id[0] == 'c',
           "killed after %s: and only once", step_name[step]);
}

int main(int argc, char **argv)
{
    test_t test;
    int rows, step;

    memset(&test, 0, sizeof(test));
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&test.pool, NULL);
    apr_dbd_init(test.pool);
    test.driver = argc == 3 ? argv[1] : "";
    test.params = argc == 3 ? argv[2] : "";
    if (!open_sql(&test) || token_sql_create(&test.sql)) {
        printf("Bail out! no table in %s\n", test.params);
        return 1;
    }
    /* A lock that is left is an error, not a test without end. */
    if (strcmp(test.driver, "pgsql") == 0) {
        apr_dbd_query(test.sql.driver, test.sql.handle, &rows,
                      "SET lock_timeout = '5s'");
    }
    for (step = NOTHING; step < STEPS; step++) {
        test_killed(&test, step);
    }
    apr_dbd_close(test.sql.driver, test.sql.handle);
    return tap_end(&test.tap);
}
