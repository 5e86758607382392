/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what the native table looks like in each database, and runs the
 * statements on a connection that others opened and will close.  Retrying,
 * and what a failure means, is theirs.  Times go to and fro as seconds. */
#include <string.h>

#include "apr_strings.h"

#include "token_sql.h"
#include "token_text.h"

/* apr_dbd takes "%s" for a parameter. */
#define PG_SECONDS(column) "floor(extract(epoch FROM " column "))::bigint"
#define PG_COLUMNS(id) \
    id ", username, client, scope, networks, " \
    PG_SECONDS("created_at") ", " PG_SECONDS("expires_at") ", " \
    PG_SECONDS("last_used_at") ", " PG_SECONDS("superseded_at") ", " \
    PG_SECONDS("revoked_at") ", family, idle_timeout"
#define PG_RECORD "SELECT " PG_COLUMNS("left(digest, 16)") " FROM auth_token "
#define PG_WHOLE "SELECT " PG_COLUMNS("digest") " FROM auth_token "
#define PG_RETURNING " RETURNING " PG_COLUMNS("digest")
#define LITE_COLUMNS(id) \
    id ", username, client, scope, networks, created_at, expires_at, " \
    "last_used_at, superseded_at, revoked_at, family, idle_timeout"
#define LITE_RECORD \
    "SELECT " LITE_COLUMNS("substr(digest, 1, 16)") " FROM auth_token "
#define LITE_WHOLE "SELECT " LITE_COLUMNS("digest") " FROM auth_token "
#define LITE_RETURNING " RETURNING " LITE_COLUMNS("digest")
/* "%%" is one "%" behind apr_dbd_prepare(). */
#define LITE_NOW "CAST(strftime('%%s', 'now') AS INTEGER)"
#define NEWEST_FIRST "ORDER BY created_at DESC, digest"
/* An index on digest serves this; a LIKE would need one of its own. */
#define OF_ID "WHERE digest >= %s AND digest < %s"
/* A parameter of a prepared statement is text to PostgreSQL unless told. */
#define PG_DIGEST "(%s)::bpchar"
#define PG_NUMBER "(%s)::float8"
#define PG_OF_ID "WHERE digest >= " PG_DIGEST " AND digest < " PG_DIGEST
#define PG_TIME "to_timestamp(" PG_NUMBER ")"
#define INSERT \
    INSERT_HEIR "VALUES "
#define INSERT_HEIR \
    "INSERT INTO auth_token (digest, username, client, scope, networks, " \
    "family, created_at, expires_at, idle_timeout) "
#define HEIR_FIELDS "username, client, scope, networks, family, "

/* What a user can use now, a token that was rotated away not counted. */
#define PG_USABLE \
    "revoked_at IS NULL AND superseded_at IS NULL AND expires_at > now() " \
    "AND (idle_timeout IS NULL OR coalesce(last_used_at, created_at) > " \
    "now() - make_interval(secs => idle_timeout))"
#define LITE_USABLE \
    "revoked_at IS NULL AND superseded_at IS NULL " \
    "AND expires_at > " LITE_NOW " " \
    "AND (idle_timeout IS NULL OR coalesce(last_used_at, created_at) > " \
    LITE_NOW " - idle_timeout)"
#define PG_REVOKE "UPDATE auth_token SET revoked_at = now() "
#define LITE_REVOKE "UPDATE auth_token SET revoked_at = " LITE_NOW " "
#define LAST_USE "coalesce(last_used_at, created_at)"

/* A superseded row is needed for as long as its family lives: its use tells
 * of a theft. */
#define NOT_NEEDED(now) \
    "(t.superseded_at IS NULL OR t.revoked_at IS NOT NULL OR NOT EXISTS " \
    "(SELECT 1 FROM auth_token h WHERE h.family = t.family " \
    "AND h.superseded_at IS NULL AND h.revoked_at IS NULL " \
    "AND h.expires_at > " now "))"
/* One host at a time. */
#define PG_PURGE(column) \
    "WITH mine AS MATERIALIZED " \
    "(SELECT pg_try_advisory_xact_lock(7236838, 1) AS got) " \
    "DELETE FROM auth_token WHERE (SELECT got FROM mine) AND digest IN " \
    "(SELECT digest FROM auth_token t WHERE t." column " < now() - " \
    "make_interval(secs => " PG_NUMBER ") AND " NOT_NEEDED("now()") " " \
    "ORDER BY t." column " LIMIT (%s)::int)"
#define LITE_PURGE(column) \
    "DELETE FROM auth_token WHERE digest IN " \
    "(SELECT digest FROM auth_token t WHERE t." column " < " LITE_NOW " - " \
    "CAST(%s AS INTEGER) AND " NOT_NEEDED(LITE_NOW) " " \
    "ORDER BY t." column " LIMIT CAST(%s AS INTEGER))"

/* A label of ours in a connection's hash, and how often a connection's
 * statements are prepared anew: each time leaves a little memory with it. */
#define FORGOTTEN "authn_token_forgotten"
#define FORGOTTEN_LIMIT 20

enum {
    COLUMN_ID, COLUMN_USERNAME, COLUMN_CLIENT, COLUMN_SCOPE,
    COLUMN_NETWORKS, COLUMN_CREATED, COLUMN_EXPIRES, COLUMN_LAST_USED,
    COLUMN_SUPERSEDED, COLUMN_REVOKED, COLUMN_FAMILY, COLUMN_IDLE_TIMEOUT,
    COLUMNS
};

/* conf/schema/native-pgsql.sql says the same, with comments. */
static const char *const pgsql_schema[] = {
    "CREATE TABLE IF NOT EXISTS auth_token (\n"
    "    digest char(64) COLLATE \"C\" PRIMARY KEY,\n"
    "    username text NOT NULL,\n"
    "    client text NOT NULL DEFAULT '',\n"
    "    scope text NOT NULL DEFAULT '',\n"
    "    networks text NOT NULL DEFAULT '',\n"
    "    family char(16) NOT NULL,\n"
    "    created_at timestamptz NOT NULL,\n"
    "    expires_at timestamptz NOT NULL,\n"
    "    last_used_at timestamptz,\n"
    "    superseded_at timestamptz,\n"
    "    revoked_at timestamptz,\n"
    "    idle_timeout integer\n"
    ")",
    "CREATE INDEX IF NOT EXISTS auth_token_username "
    "ON auth_token (username)",
    "CREATE INDEX IF NOT EXISTS auth_token_family ON auth_token (family)",
    "CREATE INDEX IF NOT EXISTS auth_token_expires_at "
    "ON auth_token (expires_at)",
    "CREATE INDEX IF NOT EXISTS auth_token_revoked_at "
    "ON auth_token (revoked_at) WHERE revoked_at IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS auth_token_superseded_at "
    "ON auth_token (superseded_at) WHERE superseded_at IS NOT NULL",
    NULL
};

/* conf/schema/native-sqlite3.sql says the same, with comments. */
static const char *const sqlite3_schema[] = {
    "CREATE TABLE IF NOT EXISTS auth_token (\n"
    "    digest text PRIMARY KEY NOT NULL,\n"
    "    username text NOT NULL,\n"
    "    client text NOT NULL DEFAULT '',\n"
    "    scope text NOT NULL DEFAULT '',\n"
    "    networks text NOT NULL DEFAULT '',\n"
    "    family text NOT NULL,\n"
    "    created_at integer NOT NULL,\n"
    "    expires_at integer NOT NULL,\n"
    "    last_used_at integer,\n"
    "    superseded_at integer,\n"
    "    revoked_at integer,\n"
    "    idle_timeout integer\n"
    ")",
    "CREATE INDEX IF NOT EXISTS auth_token_username "
    "ON auth_token (username)",
    "CREATE INDEX IF NOT EXISTS auth_token_family ON auth_token (family)",
    "CREATE INDEX IF NOT EXISTS auth_token_expires_at "
    "ON auth_token (expires_at)",
    "CREATE INDEX IF NOT EXISTS auth_token_revoked_at "
    "ON auth_token (revoked_at) WHERE revoked_at IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS auth_token_superseded_at "
    "ON auth_token (superseded_at) WHERE superseded_at IS NOT NULL",
    NULL
};

static const token_sql_dialect_t dialects[] = {
    { "pgsql", 1, pgsql_schema, {
        "SELECT to_regclass('auth_token') WHERE "
            "to_regclass('auth_token') IS NOT NULL",
        PG_RECORD "WHERE digest = " PG_DIGEST,
        INSERT "(%s, %s, %s, %s, %s, %s, " PG_TIME ", " PG_TIME ", "
            "nullif((%s)::int, 0)) "
            "ON CONFLICT (digest) DO NOTHING",
        PG_RECORD NEWEST_FIRST,
        PG_RECORD "WHERE username = %s " NEWEST_FIRST,
        PG_RECORD PG_OF_ID,
        "UPDATE auth_token SET revoked_at = now() "
            PG_OF_ID " AND revoked_at IS NULL",
        "UPDATE auth_token SET revoked_at = now() "
            "WHERE username = %s AND revoked_at IS NULL",
        PG_WHOLE "WHERE revoked_at >= now() - make_interval(secs => "
            PG_NUMBER ") OR superseded_at >= now() - make_interval(secs => "
            PG_NUMBER ")",
        PG_RECORD "WHERE username = %s AND " PG_USABLE " " NEWEST_FIRST
            " LIMIT (%s)::int OFFSET (%s)::int",
        PG_WHOLE "WHERE username = %s AND digest >= " PG_DIGEST
            " AND digest < " PG_DIGEST,
        PG_REVOKE "WHERE username = %s AND digest >= " PG_DIGEST
            " AND digest < " PG_DIGEST " AND revoked_at IS NULL"
            PG_RETURNING,
        PG_REVOKE "WHERE username = %s AND revoked_at IS NULL" PG_RETURNING,
        "SELECT pg_advisory_xact_lock(7236838, hashtext(%s))",
        PG_WHOLE "WHERE username = %s AND " PG_USABLE,
        PG_REVOKE "WHERE digest IN (SELECT digest FROM auth_token "
            "WHERE username = %s AND " PG_USABLE " AND digest <> " PG_DIGEST
            " ORDER BY " LAST_USE " DESC, digest OFFSET (%s)::int)"
            PG_RETURNING,
        "UPDATE auth_token SET superseded_at = now() WHERE digest = "
            PG_DIGEST " AND " PG_USABLE,
        INSERT_HEIR "SELECT %s, " HEIR_FIELDS PG_TIME ", " PG_TIME
            ", idle_timeout FROM auth_token WHERE digest = " PG_DIGEST,
        PG_REVOKE "WHERE family = (%s)::bpchar AND revoked_at IS NULL "
            "AND EXISTS (SELECT 1 FROM auth_token WHERE digest = " PG_DIGEST
            " AND superseded_at <= now() - make_interval(secs => "
            PG_NUMBER "))" PG_RETURNING,
        "UPDATE auth_token t SET last_used_at = "
            "to_timestamp(u.value::float8) FROM json_each_text((%s)::json) u "
            "WHERE t.digest = u.key::bpchar AND (t.last_used_at IS NULL "
            "OR t.last_used_at < to_timestamp(u.value::float8))",
        PG_PURGE("expires_at"),
        PG_PURGE("revoked_at")
    } },
    { "sqlite3", 0, sqlite3_schema, {
        "SELECT name FROM sqlite_master WHERE type = 'table' "
            "AND name = 'auth_token'",
        LITE_RECORD "WHERE digest = %s",
        /* The driver binds text; the column would make an integer of it,
         * but a table made by hand might not. */
        INSERT "(%s, %s, %s, %s, %s, %s, CAST(%s AS INTEGER), "
            "CAST(%s AS INTEGER), nullif(CAST(%s AS INTEGER), 0)) "
            "ON CONFLICT (digest) DO NOTHING",
        LITE_RECORD NEWEST_FIRST,
        LITE_RECORD "WHERE username = %s " NEWEST_FIRST,
        LITE_RECORD OF_ID,
        "UPDATE auth_token SET revoked_at = " LITE_NOW " "
            OF_ID " AND revoked_at IS NULL",
        "UPDATE auth_token SET revoked_at = " LITE_NOW " "
            "WHERE username = %s AND revoked_at IS NULL",
        LITE_WHOLE "WHERE revoked_at >= " LITE_NOW " - CAST(%s AS INTEGER) "
            "OR superseded_at >= " LITE_NOW " - CAST(%s AS INTEGER)",
        LITE_RECORD "WHERE username = %s AND " LITE_USABLE " " NEWEST_FIRST
            " LIMIT CAST(%s AS INTEGER) OFFSET CAST(%s AS INTEGER)",
        LITE_WHOLE "WHERE username = %s AND digest >= %s AND digest < %s",
        LITE_REVOKE "WHERE username = %s AND digest >= %s AND digest < %s "
            "AND revoked_at IS NULL" LITE_RETURNING,
        LITE_REVOKE "WHERE username = %s AND revoked_at IS NULL"
            LITE_RETURNING,
        /* BEGIN IMMEDIATE has locked everybody out. */
        "SELECT 1 WHERE %s = ''",
        LITE_WHOLE "WHERE username = %s AND " LITE_USABLE,
        LITE_REVOKE "WHERE digest IN (SELECT digest FROM auth_token "
            "WHERE username = %s AND " LITE_USABLE " AND digest <> %s "
            "ORDER BY " LAST_USE " DESC, digest "
            "LIMIT -1 OFFSET CAST(%s AS INTEGER))" LITE_RETURNING,
        "UPDATE auth_token SET superseded_at = " LITE_NOW
            " WHERE digest = %s AND " LITE_USABLE,
        INSERT_HEIR "SELECT %s, " HEIR_FIELDS "CAST(%s AS INTEGER), "
            "CAST(%s AS INTEGER), idle_timeout FROM auth_token "
            "WHERE digest = %s",
        LITE_REVOKE "WHERE family = %s AND revoked_at IS NULL "
            "AND EXISTS (SELECT 1 FROM auth_token WHERE digest = %s "
            "AND superseded_at <= " LITE_NOW " - CAST(%s AS INTEGER))"
            LITE_RETURNING,
        "UPDATE auth_token SET last_used_at = u.value "
            "FROM json_each(%s) u WHERE digest = u.key "
            "AND (last_used_at IS NULL OR last_used_at < u.value)",
        LITE_PURGE("expires_at"),
        LITE_PURGE("revoked_at")
    } }
};

const token_sql_dialect_t *token_sql_dialect(const char *driver)
{
    apr_size_t i;

    for (i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
        if (strcmp(dialects[i].driver, driver) == 0) {
            return &dialects[i];
        }
    }
    return NULL;
}

/* Of this connection: how often its statements were forgotten. */
static int *get_forgotten(const token_sql_t *sql)
{
    int *count = apr_hash_get(sql->prepared, FORGOTTEN, APR_HASH_KEY_STRING);

    if (!count) {
        count = apr_pcalloc(sql->pool, sizeof(*count));
        apr_hash_set(sql->prepared, FORGOTTEN, APR_HASH_KEY_STRING, count);
    }
    return count;
}

/* The text's hash, so that versions of us can share a server's connection;
 * the number, because the server may remember what we forgot.  NULL: the
 * server is to remember nothing. */
static const char *make_label(const token_sql_t *sql, const char *text)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;
    int forgotten = *get_forgotten(sql);

    return sql->dialect->forgets && forgotten >= FORGOTTEN_LIMIT
        ? NULL
        : apr_psprintf(sql->pool, "authn_token_%08x_%d",
                       apr_hashfunc_default(text, &len), forgotten);
}

static int prepare(const token_sql_t *sql, const char *text,
                   const char *label, apr_pool_t *pool,
                   apr_dbd_prepared_t **statement)
{
    *statement = NULL;
    return apr_dbd_prepare(sql->driver, pool, sql->handle, text, label,
                           statement);
}

int token_sql_prepare(const token_sql_t *sql, token_sql_name_t name)
{
    const char *text = sql->dialect->statement[name];
    apr_dbd_prepared_t *statement;
    int rc;

    if (apr_hash_get(sql->prepared, text, APR_HASH_KEY_STRING)) {
        return 0;
    }
    rc = prepare(sql, text, make_label(sql, text), sql->pool, &statement);
    if (rc == 0) {
        apr_hash_set(sql->prepared, text, APR_HASH_KEY_STRING, statement);
    }
    return rc;
}

void token_sql_forget(const token_sql_t *sql)
{
    int i;

    ++*get_forgotten(sql);
    for (i = 0; i < TOKEN_SQL_STATEMENTS; i++) {
        apr_hash_set(sql->prepared, sql->dialect->statement[i],
                     APR_HASH_KEY_STRING, NULL);
    }
}

static apr_dbd_prepared_t *get_statement(const token_sql_t *sql,
                                         token_sql_name_t name,
                                         apr_pool_t *pool, int *rc)
{
    const char *text = sql->dialect->statement[name];
    apr_dbd_prepared_t *statement;

    if (sql->is_plain && sql->dialect->forgets) {
        *rc = prepare(sql, text, NULL, pool, &statement);
        return *rc ? NULL : statement;
    }
    statement = apr_hash_get(sql->prepared, text, APR_HASH_KEY_STRING);
    if (statement) {
        return statement;
    }
    *rc = token_sql_prepare(sql, name);
    return *rc ? NULL
               : apr_hash_get(sql->prepared, text, APR_HASH_KEY_STRING);
}

/* A copy: the driver's own is gone with the last row. */
static const char *copy_column(const token_sql_t *sql, apr_dbd_row_t *row,
                               int column, apr_pool_t *pool)
{
    const char *text = NULL;

    /* get_entry would answer "" for NULL on PostgreSQL. */
    if (apr_dbd_datum_get(sql->driver, row, column, APR_DBD_TYPE_STRING,
                          &text) != APR_SUCCESS || !text) {
        return "";
    }
    return apr_pstrdup(pool, text);
}

static void read_record(token_record_t *record, const token_sql_t *sql,
                        apr_dbd_row_t *row, int columns, apr_pool_t *pool)
{
    const char *column[COLUMNS];
    int i;

    for (i = 0; i < COLUMNS; i++) {
        column[i] = i < columns ? copy_column(sql, row, i, pool) : "";
    }
    record->id = column[COLUMN_ID];
    record->username = column[COLUMN_USERNAME];
    record->client = column[COLUMN_CLIENT];
    record->scope = column[COLUMN_SCOPE];
    record->networks = column[COLUMN_NETWORKS];
    record->created_at = apr_atoi64(column[COLUMN_CREATED]);
    record->expires_at = apr_atoi64(column[COLUMN_EXPIRES]);
    record->last_used_at = apr_atoi64(column[COLUMN_LAST_USED]);
    record->superseded_at = apr_atoi64(column[COLUMN_SUPERSEDED]);
    record->revoked_at = apr_atoi64(column[COLUMN_REVOKED]);
    record->family = column[COLUMN_FAMILY];
    record->idle_timeout = apr_atoi64(column[COLUMN_IDLE_TIMEOUT]);
}

int token_sql_select(const token_sql_t *sql, token_sql_name_t name,
                     const char **args, token_sql_each_t *each, void *baton,
                     apr_pool_t *pool)
{
    int rc = 0;
    apr_dbd_prepared_t *statement = get_statement(sql, name, pool, &rc);
    apr_dbd_results_t *results = NULL;
    apr_dbd_row_t *row = NULL;
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
    /* To the end, which frees the results. */
    while (apr_dbd_get_row(sql->driver, pool, results, &row, -1) == 0) {
        token_record_t record;

        read_record(&record, sql, row, columns, pool);
        each(baton, &record);
    }
    return 0;
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

static int query(const token_sql_t *sql, const char *text)
{
    int rows;

    return apr_dbd_query(sql->driver, sql->handle, &rows, text);
}

int token_sql_begin(token_sql_t *sql)
{
    /* SQLite: a lock for writing from the start, or none. */
    int rc = query(sql, strcmp(sql->dialect->driver, "sqlite3") == 0
                   ? "BEGIN IMMEDIATE" : "BEGIN");

    sql->is_open = rc == 0;
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

static int insert_heir(const token_sql_t *sql, const char *digest,
                       const char *heir_digest, const token_record_t *heir,
                       apr_pool_t *pool)
{
    const char *args[4];
    int rows;

    args[0] = heir_digest;
    args[1] = apr_psprintf(pool, "%" APR_INT64_T_FMT, heir->created_at);
    args[2] = apr_psprintf(pool, "%" APR_INT64_T_FMT, heir->expires_at);
    args[3] = digest;
    return token_sql_change(sql, TOKEN_SQL_HEIR, args, &rows, pool);
}

int token_sql_rotate(token_sql_t *sql,
                     const char digest[TOKEN_DIGEST_LEN + 1],
                     const char heir_digest[TOKEN_DIGEST_LEN + 1],
                     const token_record_t *heir, int *rows,
                     apr_pool_t *pool)
{
    const char *args[1];
    int rc = token_sql_begin(sql);

    *rows = 0;
    if (rc) {
        return rc;
    }
    args[0] = digest;
    /* Of two at once the second waits here for the first, and finds the
     * token superseded then. */
    rc = token_sql_change(sql, TOKEN_SQL_SUPERSEDE, args, rows, pool);
    if (rc == 0 && *rows == 0) {
        token_sql_rollback(sql);
        return 0;
    }
    if (rc == 0) {
        rc = insert_heir(sql, digest, heir_digest, heir, pool);
    }
    return rc ? rc : token_sql_commit(sql);
}

static int run_schema(const token_sql_t *sql)
{
    const char *const *ddl;
    int rows;

    for (ddl = sql->dialect->schema; *ddl; ddl++) {
        int rc = apr_dbd_query(sql->driver, sql->handle, &rows, *ddl);

        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* All or nothing, whoever looks meanwhile. */
static int create_sqlite3(const token_sql_t *sql)
{
    int rows;
    int rc;

    /* Readers and the writer then pass each other.  It is kept in the
     * file; that it answers a row is an error to apr_dbd, not to us. */
    apr_dbd_query(sql->driver, sql->handle, &rows,
                  "PRAGMA journal_mode=WAL");
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
