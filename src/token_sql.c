/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Runs the statements on a connection that others opened and will close.
 * Retrying, and what a failure means, is theirs; the texts are
 * token_dialect's. */
#include <string.h>

#include "apr_cstr.h"
#include "apr_strings.h"

#include "token_sql.h"
#include "token_text.h"

/* A label of ours in a connection's hash, and how often a connection's
 * statements are prepared anew: where the server forgets all the time that
 * costs more than it saves. */
#define STATEMENTS "authn_token_statements"
#define FORGOTTEN_LIMIT 20

/* What a connection has prepared, for all hosts that share it. */
typedef struct statements_t {
    apr_pool_t *pool;
    apr_hash_t *by_text;
    struct {
        const char *text;       /* found lately, and not to be hashed again */
        apr_dbd_prepared_t *statement;
    } last[TOKEN_SQL_STATEMENTS];
    int forgotten;              /* so often */
} statements_t;

enum {
    COLUMN_ID, COLUMN_USERNAME, COLUMN_CLIENT, COLUMN_SCOPE,
    COLUMN_NETWORKS, COLUMN_CREATED, COLUMN_EXPIRES, COLUMN_LAST_USED,
    COLUMN_SUPERSEDED, COLUMN_REVOKED, COLUMN_FAMILY, COLUMN_IDLE_TIMEOUT,
    COLUMN_ACTIVE,              /* of the user; no native table has it */
    COLUMNS
};

/* NULL: there is no such statement. */
static const char *get_text(const token_sql_t *sql, token_sql_name_t name)
{
    const char *text = sql->replaced && sql->replaced[name]
        ? sql->replaced[name] : sql->dialect->statement[name];

    return text && *text ? text : NULL;
}

int token_sql_has(const token_sql_t *sql, token_sql_name_t name)
{
    return get_text(sql, name) != NULL;
}

/* Of this connection; NULL without memory. */
static statements_t *get_statements(const token_sql_t *sql)
{
    statements_t *known = apr_hash_get(sql->prepared, STATEMENTS,
                                       APR_HASH_KEY_STRING);
    apr_pool_t *pool;

    if (!known && apr_pool_create(&pool, sql->pool) == APR_SUCCESS) {
        known = apr_pcalloc(sql->pool, sizeof(*known));
        known->pool = pool;
        known->by_text = apr_hash_make(pool);
        apr_hash_set(sql->prepared, STATEMENTS, APR_HASH_KEY_STRING, known);
    }
    return known;
}

static apr_dbd_prepared_t *find_statement(const token_sql_t *sql,
                                          token_sql_name_t name,
                                          const char *text)
{
    statements_t *known = get_statements(sql);
    apr_dbd_prepared_t *statement;

    if (!known || known->last[name].text == text) {
        return known ? known->last[name].statement : NULL;
    }
    statement = apr_hash_get(known->by_text, text, APR_HASH_KEY_STRING);
    if (statement) {
        known->last[name].text = text;
        known->last[name].statement = statement;
    }
    return statement;
}

/* The text's hash, so that versions of us can share a server's connection;
 * the number, because the server may remember what we forgot.  NULL: the
 * server is to remember nothing. */
static const char *make_label(const token_sql_t *sql,
                              const statements_t *known, const char *text,
                              apr_pool_t *pool)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;

    return sql->dialect->forgets && known->forgotten >= FORGOTTEN_LIMIT
        ? NULL
        : apr_psprintf(pool, "authn_token_%08x_%d",
                       apr_hashfunc_default(text, &len), known->forgotten);
}

static int prepare(const token_sql_t *sql, const char *text,
                   const char *label, apr_pool_t *pool,
                   apr_dbd_prepared_t **statement)
{
    *statement = NULL;
    return apr_dbd_prepare(sql->driver, pool, sql->handle, text, label,
                           statement);
}

/* In a pool of its own: what cannot be prepared is asked for again with each
 * request, and may leave nothing behind. */
int token_sql_prepare(const token_sql_t *sql, token_sql_name_t name)
{
    const char *text = get_text(sql, name);
    statements_t *known = get_statements(sql);
    apr_dbd_prepared_t *statement;
    apr_pool_t *pool;
    int rc;

    if (!known) {
        return APR_ENOMEM;
    }
    if (find_statement(sql, name, text)) {
        return 0;
    }
    apr_pool_create(&pool, known->pool);
    rc = prepare(sql, text, make_label(sql, known, text, pool), pool,
                 &statement);
    if (rc == 0) {
        apr_hash_set(known->by_text, apr_pstrdup(pool, text),
                     APR_HASH_KEY_STRING, statement);
    }
    else {
        apr_pool_destroy(pool);
    }
    return rc;
}

/* SQLite's driver keeps statements to the end of the connection.  What has no
 * name at the server was not kept either. */
void token_sql_forget(const token_sql_t *sql)
{
    statements_t *known = get_statements(sql);

    if (known && !(sql->is_plain && sql->dialect->forgets)) {
        if (sql->dialect->forgets) {
            apr_pool_clear(known->pool);
        }
        known->by_text = apr_hash_make(known->pool);
        memset(known->last, 0, sizeof(known->last));
        known->forgotten++;
    }
}

int token_sql_is_worn(const token_sql_t *sql)
{
    const statements_t *known = get_statements(sql);

    return known && !sql->dialect->forgets
        && known->forgotten >= FORGOTTEN_LIMIT;
}

void token_sql_drop(const token_sql_t *sql)
{
    statements_t *known = apr_hash_get(sql->prepared, STATEMENTS,
                                       APR_HASH_KEY_STRING);

    if (known) {
        apr_hash_set(sql->prepared, STATEMENTS, APR_HASH_KEY_STRING, NULL);
        apr_pool_destroy(known->pool);
    }
}

/* NULL, and *rc is 0: there is no such statement. */
static apr_dbd_prepared_t *get_statement(const token_sql_t *sql,
                                         token_sql_name_t name,
                                         apr_pool_t *pool, int *rc)
{
    const char *text = get_text(sql, name);
    apr_dbd_prepared_t *statement;

    if (!text) {
        return NULL;
    }
    if (sql->is_plain && sql->dialect->forgets) {
        *rc = prepare(sql, text, NULL, pool, &statement);
        return *rc ? NULL : statement;
    }
    statement = find_statement(sql, name, text);
    if (statement) {
        return statement;
    }
    *rc = token_sql_prepare(sql, name);
    return *rc ? NULL : find_statement(sql, name, text);
}

/* A copy, the driver's own is gone with the last row; NULL for NULL, and,
 * told by *is_read, for what cannot be read. */
static const char *copy_column(const token_sql_t *sql, apr_dbd_row_t *row,
                               int column, int *is_read, apr_pool_t *pool)
{
    const char *text = NULL;
    /* get_entry would answer "" for NULL on PostgreSQL. */
    apr_status_t rv = apr_dbd_datum_get(sql->driver, row, column,
                                        APR_DBD_TYPE_STRING, &text);

    if (rv != APR_SUCCESS) {
        *is_read &= rv == APR_ENOENT;
        return NULL;
    }
    return text ? apr_pstrdup(pool, text) : NULL;
}

int token_sql_rows(const token_sql_t *sql, token_sql_name_t name,
                   const char **args, token_sql_row_each_t *each, void *baton,
                   apr_pool_t *pool)
{
    int rc = 0;
    apr_dbd_prepared_t *statement = get_statement(sql, name, pool, &rc);
    apr_dbd_results_t *results = NULL;
    apr_dbd_row_t *row = NULL;
    const char **column;
    int columns;

    if (!statement) {
        return rc;
    }
    /* Random access: PostgreSQL's other way reports an error as no rows,
     * and sleeps 100 ms where there are none. */
    rc = apr_dbd_pselect(sql->driver, pool, sql->handle, &results, statement,
                         1, 0, args);
    if (rc) {
        return rc;
    }
    columns = apr_dbd_num_cols(sql->driver, results);
    column = apr_palloc(pool, columns * sizeof(*column));
    /* To the end, which frees the results. */
    while (apr_dbd_get_row(sql->driver, pool, results, &row, -1) == 0) {
        token_sql_row_t copy = { column, columns, 1 };
        int i;

        for (i = 0; i < columns; i++) {
            column[i] = copy_column(sql, row, i, &copy.is_read, pool);
        }
        each(baton, &copy);
    }
    return 0;
}

/* --- records --- */

/* 0 for NULL and for what is no number; within the years of four digits, so
 * that no difference of two overflows.  PostgreSQL writes "Infinity", SQLite
 * "Inf". */
static apr_int64_t read_number(const char *text)
{
    apr_int64_t number = text ? apr_strtoi64(text, NULL, 10) : 0;

    if (text && apr_cstr_casecmpn(text, "inf", 3) == 0) {
        return TOKEN_LAST_SECOND;
    }
    return number < 0 ? 0
        : number > TOKEN_LAST_SECOND ? TOKEN_LAST_SECOND : number;
}

/* What is not NULL has happened, whatever stands there: the statements see
 * it so, too. */
static apr_int64_t read_event(const char *text)
{
    apr_int64_t moment = read_number(text);

    return text && moment == 0 ? 1 : moment;
}

/* PostgreSQL and SQLite write a boolean each in its own way. */
static int is_false(const char *text)
{
    return strcmp(text, "f") == 0 || strcmp(text, "0") == 0;
}

static const char *get_string(const char *text)
{
    return text ? text : "";
}

static void read_record(token_record_t *record, const char *const *text)
{
    record->created_at = read_number(text[COLUMN_CREATED]);
    record->expires_at = read_number(text[COLUMN_EXPIRES]);
    record->last_used_at = read_number(text[COLUMN_LAST_USED]);
    record->superseded_at = read_event(text[COLUMN_SUPERSEDED]);
    record->revoked_at = read_event(text[COLUMN_REVOKED]);
    record->idle_timeout = read_number(text[COLUMN_IDLE_TIMEOUT]);
    record->is_inactive = text[COLUMN_ACTIVE]
        ? is_false(text[COLUMN_ACTIVE]) : -1;
    record->id = get_string(text[COLUMN_ID]);
    record->username = get_string(text[COLUMN_USERNAME]);
    record->client = get_string(text[COLUMN_CLIENT]);
    record->scope = get_string(text[COLUMN_SCOPE]);
    record->networks = get_string(text[COLUMN_NETWORKS]);
    record->family = get_string(text[COLUMN_FAMILY]);
}

/* Whom to give records to. */
typedef struct {
    token_sql_each_t *each;
    void *baton;
} reader_t;

static void give_record(void *baton, const token_sql_row_t *row)
{
    const reader_t *reader = baton;
    const char *text[COLUMNS] = { NULL };
    token_record_t record;
    int i;

    for (i = 0; i < COLUMNS && i < row->columns; i++) {
        text[i] = row->column[i];
    }
    if (!row->is_read) {
        /* Refused, rather than without the networks, say, that it has. */
        text[COLUMN_REVOKED] = "";
    }
    read_record(&record, text);
    reader->each(reader->baton, &record);
}

int token_sql_select(const token_sql_t *sql, token_sql_name_t name,
                     const char **args, token_sql_each_t *each, void *baton,
                     apr_pool_t *pool)
{
    reader_t reader;

    reader.each = each;
    reader.baton = baton;
    return token_sql_rows(sql, name, args, give_record, &reader, pool);
}

int token_sql_change(const token_sql_t *sql, token_sql_name_t name,
                     const char **args, int *rows, apr_pool_t *pool)
{
    int rc = 0;
    apr_dbd_prepared_t *statement = get_statement(sql, name, pool, &rc);

    *rows = 0;
    return statement ? apr_dbd_pquery(sql->driver, pool, sql->handle, rows,
                                      statement, 0, args)
                     : rc;
}

int token_sql_issue(const token_sql_t *sql, const token_record_t *record,
                    const char digest[TOKEN_DIGEST_LEN + 1], int *rows,
                    apr_pool_t *pool)
{
    const char *args[9];

    args[0] = digest;
    args[1] = record->username;
    args[2] = record->client;
    args[3] = record->scope;
    args[4] = record->networks;
    args[5] = record->family;
    args[6] = apr_psprintf(pool, "%" APR_INT64_T_FMT, record->created_at);
    args[7] = apr_psprintf(pool, "%" APR_INT64_T_FMT, record->expires_at);
    args[8] = apr_psprintf(pool, "%" APR_INT64_T_FMT, record->idle_timeout);
    return token_sql_change(sql, TOKEN_SQL_ISSUE, args, rows, pool);
}

int token_sql_note(const token_sql_t *sql, const char *event,
                   const token_record_t *record, const char *address,
                   apr_pool_t *pool)
{
    const char *args[5];
    int rows;

    args[0] = event;
    args[1] = apr_pstrndup(pool, record->id, TOKEN_ID_LEN);
    args[2] = record->username;
    args[3] = record->client;
    args[4] = address;
    return token_sql_change(sql, TOKEN_SQL_EVENT, args, &rows, pool);
}

static int query(const token_sql_t *sql, const char *text)
{
    int rows;

    return apr_dbd_query(sql->driver, sql->handle, &rows, text);
}

int token_sql_begin(token_sql_t *sql)
{
    /* SQLite: a lock for writing from the start, or none.  PostgreSQL: each
     * statement sees what is there when it begins, also where the role's
     * default is another: what waited for a lock must. */
    int rc = query(sql, strcmp(sql->dialect->driver, "sqlite3") == 0
                   ? "BEGIN IMMEDIATE"
                   : "BEGIN ISOLATION LEVEL READ COMMITTED");

    sql->is_open = rc == 0;
    return rc;
}

static void pass_over(void *baton, const token_record_t *record)
{
    (void)baton;
    (void)record;
}

int token_sql_lock(const token_sql_t *sql, const char *username,
                   apr_pool_t *pool)
{
    const char *args[1];

    args[0] = username;
    return token_sql_select(sql, TOKEN_SQL_LOCK_USER, args, pass_over, NULL,
                            pool);
}

/* What an asking token must still be. */
typedef struct {
    apr_int64_t now;
    int good;
} asked_t;

static void judge_asker(void *baton, const token_record_t *record)
{
    asked_t *asked = baton;

    asked->good = !record->revoked_at && !record->superseded_at
        && asked->now < record->expires_at;
}

int token_sql_ask(const token_sql_t *sql, const char *digest,
                  apr_int64_t now, int *good, apr_pool_t *pool)
{
    asked_t asked = { now, 0 };
    const char *args[1];
    int rc;

    args[0] = digest;
    rc = token_sql_select(sql, TOKEN_SQL_VALIDATE, args, judge_asker, &asked,
                          pool);
    *good = rc == 0 && asked.good;
    return rc;
}

int token_sql_commit(token_sql_t *sql)
{
    int rc = query(sql, "COMMIT");

    sql->is_open = rc != 0;
    return rc;
}

void token_sql_rollback(token_sql_t *sql)
{
    if (sql->is_open) {
        query(sql, "ROLLBACK");
        sql->is_open = 0;
    }
}

static int insert_heir(const token_sql_t *sql,
                       const token_rotation_t *rotation, apr_pool_t *pool)
{
    const token_record_t *heir = rotation->heir;
    const char *args[4];
    int rows;

    args[0] = rotation->heir_digest;
    args[1] = apr_psprintf(pool, "%" APR_INT64_T_FMT, heir->created_at);
    args[2] = apr_psprintf(pool, "%" APR_INT64_T_FMT, heir->expires_at);
    args[3] = rotation->digest;
    return token_sql_change(sql, TOKEN_SQL_HEIR, args, &rows, pool);
}

static int note_rotation(const token_sql_t *sql,
                         const token_rotation_t *rotation, apr_pool_t *pool)
{
    token_record_t old = *rotation->heir;
    int rc;

    if (!rotation->address) {
        return 0;
    }
    old.id = rotation->digest;
    rc = token_sql_note(sql, TOKEN_EVENT_ROTATED, &old, rotation->address,
                        pool);
    return rc ? rc : token_sql_note(sql, TOKEN_EVENT_ISSUED, rotation->heir,
                                    rotation->address, pool);
}

/* Of two at once the second waits here for the first, and finds the token
 * superseded then. */
static int supersede(const token_sql_t *sql,
                     const token_rotation_t *rotation, int *rows,
                     apr_pool_t *pool)
{
    const char *args[1];
    int good = 1;
    int rc = token_sql_lock(sql, rotation->heir->username, pool);

    if (rc == 0 && rotation->asker) {
        rc = token_sql_ask(sql, rotation->asker, rotation->heir->created_at,
                           &good, pool);
    }
    args[0] = rotation->digest;
    return rc || !good ? rc
                       : token_sql_change(sql, TOKEN_SQL_SUPERSEDE, args,
                                          rows, pool);
}

int token_sql_rotate(token_sql_t *sql, const token_rotation_t *rotation,
                     int *rows, apr_pool_t *pool)
{
    int rc = token_sql_begin(sql);

    *rows = 0;
    if (rc == 0) {
        rc = supersede(sql, rotation, rows, pool);
    }
    if (rc == 0 && *rows == 0) {
        token_sql_rollback(sql);
        return 0;
    }
    if (rc == 0) {
        rc = insert_heir(sql, rotation, pool);
    }
    if (rc == 0) {
        rc = note_rotation(sql, rotation, pool);
    }
    return rc ? rc : token_sql_commit(sql);
}

static int run_schema(const token_sql_t *sql)
{
    const char *const *ddl;
    int rows;

    for (ddl = sql->dialect->ddl; *ddl; ddl++) {
        int rc = apr_dbd_query(sql->driver, sql->handle, &rows, *ddl);

        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* 1 in *used when a file of SQLite has any table or view. */
static int is_used(const token_sql_t *sql, int *used)
{
    apr_dbd_results_t *results = NULL;
    apr_dbd_row_t *row = NULL;
    int rc = apr_dbd_select(sql->driver, sql->pool, sql->handle, &results,
                            "SELECT 1 FROM sqlite_master LIMIT 1", 1);

    *used = 0;
    while (rc == 0 && apr_dbd_get_row(sql->driver, sql->pool, results, &row,
                                      -1) == 0) {
        *used = 1;
    }
    return rc;
}

/* All or nothing, whoever looks meanwhile. */
static int create_sqlite3(const token_sql_t *sql)
{
    int used, rows;
    int rc = is_used(sql, &used);

    if (rc) {
        return rc;
    }
    if (!used) {
        /* Readers and the writer then pass each other.  It is kept in the
         * file, so that one with other tables is left as it is; that it
         * answers a row is an error to apr_dbd, not to us. */
        apr_dbd_query(sql->driver, sql->handle, &rows,
                      "PRAGMA journal_mode=WAL");
    }
    rc = apr_dbd_query(sql->driver, sql->handle, &rows, "BEGIN IMMEDIATE");
    if (rc) {
        return rc;
    }
    rc = run_schema(sql);
    if (rc == 0) {
        rc = apr_dbd_query(sql->driver, sql->handle, &rows, "COMMIT");
    }
    return rc;
}

int token_sql_create(const token_sql_t *sql)
{
    return strcmp(sql->dialect->driver, "sqlite3") == 0 ? create_sqlite3(sql)
                                                        : run_schema(sql);
}
