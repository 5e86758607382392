/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what the native table looks like in each database, and with which
 * statements it is asked and changed.  Times go to and fro as seconds.  How a
 * statement is run is token_sql's matter. */
#include <string.h>

#include "apr_cstr.h"
#include "apr_strings.h"

#include "token_dialect.h"

/* apr_dbd takes "%s" for a parameter. */
#define PG_SECONDS(column) TOKEN_DIALECT_PG_SECONDS(column)
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
#define INSERT_EVENT \
    "INSERT INTO auth_token_event (at, event, id, username, client, " \
    "address) VALUES "
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
#define NOT_NEEDED(now, end) \
    "(t.superseded_at IS NULL OR t.revoked_at IS NOT NULL OR NOT EXISTS " \
    "(SELECT 1 FROM auth_token h WHERE h.family = t.family " \
    "AND h.superseded_at IS NULL AND h.revoked_at IS NULL " \
    "AND h.expires_at > " now end "))"
/* One host at a time.  Of a table with partitions the planner does not see
 * that a digest is in one of them: rather than look for many in all, it would
 * read everything.  An array is few to it.  The first OFFSET keeps it from
 * planning the condition anew in each partition, PG_NOT_NEEDED's from hashing
 * all families there are because of a few. */
#define PG_PURGE(column, condition) \
    "WITH mine AS MATERIALIZED " \
    "(SELECT pg_try_advisory_xact_lock(7236838, 1) AS got) " \
    "DELETE FROM auth_token WHERE (SELECT got FROM mine) AND digest IN " \
    "(SELECT unnest(ARRAY(SELECT digest FROM (SELECT digest, family, " \
    "superseded_at, revoked_at FROM auth_token WHERE " column " < now() - " \
    "make_interval(secs => " PG_NUMBER ") ORDER BY " column " OFFSET 0) t " \
    "WHERE " condition " LIMIT (%s)::int)))"
#define PG_NOT_NEEDED NOT_NEEDED("now()", " OFFSET 0")
/* Says nothing of a digest; to the planner it makes 1 of the 100 that it
 * takes any object for, for the same reason. */
#define PG_FEW "u.key COLLATE \"C\" BETWEEN '0' AND 'g'"
/* A row that another keeps locked is passed over, and named. */
#define PG_DUE \
    "u.key::bpchar = t.digest AND " PG_FEW " AND (t.last_used_at IS NULL " \
    "OR t.last_used_at < to_timestamp(u.value::float8))"
#define PG_TOUCH \
    "WITH used AS MATERIALIZED " \
    "(SELECT key, value FROM json_each_text((%s)::json)), " \
    "free AS MATERIALIZED (SELECT t.digest, u.value FROM used u, " \
    "auth_token t WHERE " PG_DUE " FOR NO KEY UPDATE OF t SKIP LOCKED), " \
    "written AS (UPDATE auth_token t SET last_used_at = " \
    "to_timestamp(f.value::float8) FROM free f WHERE t.digest = f.digest) " \
    "SELECT t.digest FROM used u, auth_token t WHERE " PG_DUE " " \
    "AND u.key::bpchar NOT IN (SELECT digest FROM free)"
#define LITE_PURGE(column) \
    "DELETE FROM auth_token WHERE digest IN " \
    "(SELECT digest FROM auth_token t WHERE t." column " < " LITE_NOW " - " \
    "CAST(%s AS INTEGER) AND " NOT_NEEDED(LITE_NOW, "") " " \
    "ORDER BY t." column " LIMIT CAST(%s AS INTEGER))"

/* The indexes, and the table of events, of both databases. */
#define INDEXES \
    "CREATE INDEX IF NOT EXISTS auth_token_username " \
    "ON auth_token (username)", \
    "CREATE INDEX IF NOT EXISTS auth_token_family ON auth_token (family)", \
    "CREATE INDEX IF NOT EXISTS auth_token_expires_at " \
    "ON auth_token (expires_at)", \
    "CREATE INDEX IF NOT EXISTS auth_token_revoked_at " \
    "ON auth_token (revoked_at) WHERE revoked_at IS NOT NULL", \
    "CREATE INDEX IF NOT EXISTS auth_token_superseded_at " \
    "ON auth_token (superseded_at) WHERE superseded_at IS NOT NULL"
#define EVENT_TABLE(moment, id) \
    "CREATE TABLE IF NOT EXISTS auth_token_event (\n" \
    "    at " moment " NOT NULL,\n" \
    "    event text NOT NULL,\n" \
    "    id " id " NOT NULL,\n" \
    "    username text NOT NULL,\n" \
    "    client text NOT NULL,\n" \
    "    address text NOT NULL\n" \
    ")"
#define EVENT_INDEXES \
    "CREATE INDEX IF NOT EXISTS auth_token_event_username " \
    "ON auth_token_event (username, at)", \
    "CREATE INDEX IF NOT EXISTS auth_token_event_at " \
    "ON auth_token_event (at)"

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
    INDEXES,
    EVENT_TABLE("timestamptz", "char(16)"),
    EVENT_INDEXES,
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
    INDEXES,
    EVENT_TABLE("integer", "text"),
    EVENT_INDEXES,
    NULL
};

static const token_dialect_t dialects[] = {
    { "pgsql", TOKEN_SCHEMA_NATIVE, 1, pgsql_schema, {
        "SELECT to_regclass('auth_token') WHERE "
            "to_regclass('auth_token') IS NOT NULL",
        PG_RECORD "WHERE digest = " PG_DIGEST,
        INSERT "(%s, %s, %s, %s, %s, %s, " PG_TIME ", " PG_TIME ", "
            "nullif((%s)::int, 0)) "
            "ON CONFLICT (digest) DO NOTHING",
        PG_RECORD NEWEST_FIRST,
        PG_RECORD "WHERE username = %s " NEWEST_FIRST,
        PG_RECORD PG_OF_ID,
        PG_WHOLE "WHERE revoked_at >= now() - make_interval(secs => "
            PG_NUMBER ") OR superseded_at >= now() - make_interval(secs => "
            PG_NUMBER ") LIMIT " APR_STRINGIFY(TOKEN_DIALECT_POLL_ROWS),
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
        /* In whole seconds, as the host that refuses it reckons: else the
         * use in the first one would be refused and revoke nothing. */
        PG_REVOKE "WHERE family = (%s)::bpchar AND revoked_at IS NULL "
            "AND EXISTS (SELECT 1 FROM auth_token WHERE digest = " PG_DIGEST
            " AND date_trunc('second', superseded_at) <= "
            "now() - make_interval(secs => " PG_NUMBER "))" PG_RETURNING,
        PG_TOUCH,
        PG_PURGE("expires_at", PG_NOT_NEEDED),
        PG_PURGE("revoked_at", "revoked_at IS NOT NULL"),
        NULL,
        INSERT_EVENT "(now(), %s, %s, %s, %s, %s)",
        "SELECT to_regclass('auth_token_event') WHERE "
            "to_regclass('auth_token_event') IS NOT NULL",
        TOKEN_DIALECT_PASSWORD
    } },
    { "sqlite3", TOKEN_SCHEMA_NATIVE, 0, sqlite3_schema, {
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
        LITE_WHOLE "WHERE revoked_at >= " LITE_NOW " - CAST(%s AS INTEGER) "
            "OR superseded_at >= " LITE_NOW " - CAST(%s AS INTEGER) LIMIT "
            APR_STRINGIFY(TOKEN_DIALECT_POLL_ROWS),
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
        LITE_PURGE("revoked_at"),
        NULL,
        INSERT_EVENT "(" LITE_NOW ", %s, %s, %s, %s, %s)",
        "SELECT name FROM sqlite_master WHERE type = 'table' "
            "AND name = 'auth_token_event'",
        TOKEN_DIALECT_PASSWORD
    } }
};

const token_dialect_t *token_dialect_find(const char *driver,
                                          token_schema_t schema)
{
    apr_size_t i;

    if (schema != TOKEN_SCHEMA_NATIVE) {
        return token_dialect_django(driver, schema);
    }
    for (i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
        if (strcmp(dialects[i].driver, driver) == 0) {
            return &dialects[i];
        }
    }
    return NULL;
}

/* --- what may be replaced --- */

static const struct {
    const char *word;
    token_sql_name_t name;
    int parameters;
    int optional;               /* may be left out */
} replaceable[] = {
    { "validate", TOKEN_SQL_VALIDATE, 1, 0 },
    { "user", TOKEN_SQL_USER, 1, 1 },
    { "password", TOKEN_SQL_PASSWORD, 1, 0 },
    { "issue", TOKEN_SQL_ISSUE, 9, 0 },
    { "lock", TOKEN_SQL_LOCK_USER, 1, 1 },
    { "count", TOKEN_SQL_COUNT, 1, 1 },
    { "evict", TOKEN_SQL_EVICT, 3, 1 },
    { "list", TOKEN_SQL_LIST_OWN, 3, 0 },
    { "show", TOKEN_SQL_SHOW_OWN, 3, 0 },
    { "rotate", TOKEN_SQL_SUPERSEDE, 1, 0 },
    { "heir", TOKEN_SQL_HEIR, 4, 0 },
    { "revoke", TOKEN_SQL_REVOKE_OWN, 3, 0 },
    { "revoke-all", TOKEN_SQL_REVOKE_ALL, 1, 0 },
    { "revoke-family", TOKEN_SQL_REVOKE_FAMILY, 3, 0 },
    { "key", TOKEN_SQL_KEY, 1, 1 },
    { "add-key", TOKEN_SQL_ADD_KEY, 2, 1 },
    { "add-knox", TOKEN_SQL_ADD_KNOX, 4, 1 },
    { "refresh", TOKEN_SQL_REFRESH, 2, 1 },
    { "touch", TOKEN_SQL_TOUCH, 1, 1 },
    { "poll", TOKEN_SQL_POLL, 2, 1 },
    { "purge", TOKEN_SQL_PURGE_EXPIRED, 2, 1 },
    { "purge-revoked", TOKEN_SQL_PURGE_REVOKED, 2, 1 }
};

#define REPLACEABLE (sizeof(replaceable) / sizeof(replaceable[0]))

int token_dialect_name(token_sql_name_t *name, const char *word)
{
    apr_size_t i;

    for (i = 0; i < REPLACEABLE; i++) {
        if (apr_cstr_casecmp(replaceable[i].word, word) == 0) {
            *name = replaceable[i].name;
            return 1;
        }
    }
    return 0;
}

const char *token_dialect_names(apr_pool_t *pool)
{
    const char *names = replaceable[0].word;
    apr_size_t i;

    for (i = 1; i < REPLACEABLE; i++) {
        names = apr_pstrcat(pool, names, ", ", replaceable[i].word, NULL);
    }
    return names;
}

/* -1: there is something else that apr_dbd would take for a parameter. */
static int count_parameters(const char *text)
{
    int count = 0;

    while ((text = strchr(text, '%'))) {
        if (text[1] != '%' && text[1] != 's') {
            return -1;
        }
        count += text[1] == 's';
        text += 2;
    }
    return count;
}

const char *token_dialect_check(token_sql_name_t name, const char *text,
                                apr_pool_t *pool)
{
    int parameters = 0, optional = 0;
    apr_size_t i;

    for (i = 0; i < REPLACEABLE; i++) {
        if (replaceable[i].name == name) {
            parameters = replaceable[i].parameters;
            optional = replaceable[i].optional;
        }
    }
    if (!*text) {
        return optional ? NULL : "this statement cannot be left out";
    }
    return count_parameters(text) == parameters ? NULL
        : apr_psprintf(pool, "needs exactly %d parameter%s %%s, each used "
                       "once, and %%%% for any other percent sign",
                       parameters, parameters == 1 ? "" : "s");
}
