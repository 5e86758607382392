/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What is asked of the tables, and in which words, for each apr_dbd driver and
 * schema; and which of these words an administrator may replace. */
#ifndef TOKEN_DIALECT_H
#define TOKEN_DIALECT_H

#include "apr_pools.h"

#include "token_schema.h"

/* The most rows that a poll answers; what there is more is not waited for. */
#define TOKEN_DIALECT_POLL_ROWS 20000

/* Of the records that POLL and the statements from SHOW_OWN on answer, id is
 * the whole digest. */
typedef enum {
    TOKEN_SQL_EXISTS = 0,   /* ()                a row: the table is there */
    TOKEN_SQL_VALIDATE,     /* (digest)          one record or none */
    TOKEN_SQL_ISSUE,        /* see token_sql_issue */
    TOKEN_SQL_LIST,         /* ()                records, newest first */
    TOKEN_SQL_LIST_USER,    /* (username)        likewise, of one user */
    TOKEN_SQL_SHOW,         /* (id, id + "g")    one record or none */
    TOKEN_SQL_POLL,         /* (seconds, seconds) what was revoked or
                             * superseded since so many seconds */
    TOKEN_SQL_LIST_OWN,     /* (username, limit, offset) what can be used */
    TOKEN_SQL_SHOW_OWN,     /* (username, id, id + "g") */
    TOKEN_SQL_REVOKE_OWN,   /* (username, id, id + "g"), by the database's
                             * clock, as all that follow */
    TOKEN_SQL_REVOKE_ALL,   /* (username) */
    TOKEN_SQL_LOCK_USER,    /* (username) his logins wait for each other */
    TOKEN_SQL_COUNT,        /* (username)        one record for each token
                             * that can be used */
    TOKEN_SQL_EVICT,        /* (username, digest, limit - 1) revokes all but
                             * so many, and that one, lately used */
    TOKEN_SQL_SUPERSEDE,    /* (digest)          unless it has an heir */
    TOKEN_SQL_HEIR,         /* (digest, created, expires, old digest) */
    TOKEN_SQL_REVOKE_FAMILY, /* (family, digest, seconds) unless that token
                             * was superseded less than so long ago */
    TOKEN_SQL_TOUCH,        /* ({"digest": second, ...}) last uses; rows
                             * with the digests of those that must wait */
    TOKEN_SQL_PURGE_EXPIRED, /* (seconds, rows)  dead for so long */
    TOKEN_SQL_PURGE_REVOKED, /* likewise */
    TOKEN_SQL_USER,         /* (username)        a row: he may use tokens */
    TOKEN_SQL_EVENT,        /* see token_sql_note */
    TOKEN_SQL_EXISTS_EVENT, /* ()                a row: its table is there */
    TOKEN_SQL_PASSWORD,     /* (username)        of Django's table: password,
                             * is_active (1 or t) */
    TOKEN_SQL_KEY,          /* (username)        of his only token, which is
                             * the record's id */
    TOKEN_SQL_ADD_KEY,      /* (key, username)   unless he has one */
    TOKEN_SQL_ADD_KNOX,     /* (digest, beginning of the token, seconds,
                             * username) */
    TOKEN_SQL_REFRESH,      /* (second, key)     it ends then, not before */
    TOKEN_SQL_STATEMENTS
} token_sql_name_t;

/* The users are Django's, in whosever tables the tokens are. */
#define TOKEN_DIALECT_PASSWORD \
    "SELECT password, is_active FROM auth_user WHERE username = %s"

/* A time of PostgreSQL in seconds.  Not cast to bigint: 'infinity' would fail
 * the statement, and for all.  Not extract(), which computes a numeric; what is
 * behind the point is not read. */
#define TOKEN_DIALECT_PG_SECONDS(column) "date_part('epoch', " column ")"

/* What differs between databases. */
typedef struct token_dialect_t {
    const char *driver;             /* apr_dbd's name of it */
    token_schema_t schema;
    int forgets;                    /* a prepared statement may be gone, or
                                     * another's: behind pgbouncer, after a
                                     * restart */
    const char *const *ddl;         /* ended by NULL; may be repeated; NULL
                                     * where the tables are another's */
    const char *statement[TOKEN_SQL_STATEMENTS];    /* NULL: there is nothing
                                                     * to be done */
} token_dialect_t;

/* NULL: no statements for that driver. */
const token_dialect_t *token_dialect_find(const char *driver,
                                          token_schema_t schema);

/* The same of Django's tables alone. */
const token_dialect_t *token_dialect_django(const char *driver,
                                            token_schema_t schema);

/* The statement that AuthTokenQuery calls so; 0: none. */
int token_dialect_name(token_sql_name_t *name, const char *word);

/* What AuthTokenQuery calls them all: "validate, user, ...". */
const char *token_dialect_names(apr_pool_t *pool);

/* What is wrong with a text in a statement's place, or NULL.  Each of its
 * parameters is %s, and all are used: apr_dbd counts them in the text, and
 * would read past those it is given. */
const char *token_dialect_check(token_sql_name_t name, const char *text,
                                apr_pool_t *pool);

#endif
