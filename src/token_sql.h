/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The one way statements are run.  Shared by the module and by httoken, which
 * differ in where their connections come from. */
#ifndef TOKEN_SQL_H
#define TOKEN_SQL_H

#include "apr_dbd.h"
#include "apr_hash.h"
#include "apr_pools.h"
#include "apr_time.h"

#include "token_crypt.h"
#include "token_dialect.h"
#include "token_record.h"

/* For another's lock on SQLite's file, as long as apr_dbd waits; and the pause
 * before it is tried again. */
#define TOKEN_SQL_LOCK_WAIT apr_time_from_msec(1500)
#define TOKEN_SQL_LOCK_PAUSE apr_time_from_msec(50)

/* A connection somebody owns, for as long as he owns it.  prepared is a hash
 * that lives as long, in pool; one entry of it knows our statements.
 * is_plain: what was prepared is not used, and where the server may forget,
 * the statement is sent whole. */
typedef struct token_sql_t {
    const token_dialect_t *dialect;
    const char *const *replaced;    /* texts in place of the dialect's, or
                                     * NULL in it, or NULL for none */
    const apr_dbd_driver_t *driver;
    apr_dbd_t *handle;
    apr_hash_t *prepared;
    apr_pool_t *pool;
    int is_plain;
    int is_open;                /* a transaction is */
} token_sql_t;

/* All results of these calls are apr_dbd's: 0 is good, anything else a
 * code of the driver to be read with apr_dbd_error(), no apr_status_t. */

/* 1 when there is such a statement.  Of one that there is not a call finds
 * or changes no rows, and that is good. */
int token_sql_has(const token_sql_t *sql, token_sql_name_t name);

/* Prepares a statement, which there is, unless it is already. */
int token_sql_prepare(const token_sql_t *sql, token_sql_name_t name);

/* Forgets what was prepared, so that it is prepared afresh when asked for;
 * statements of others in the same hash stay. */
void token_sql_forget(const token_sql_t *sql);

/* 1 on SQLite when that was so often that the connection should be opened
 * anew: its driver keeps all statements until it is closed. */
int token_sql_is_worn(const token_sql_t *sql);

/* Of a handle that was just closed, before sql has another's: gives back the
 * memory of its statements. */
void token_sql_drop(const token_sql_t *sql);

/* A row that a statement answers; NULL is NULL, and so is what cannot be
 * read. */
typedef struct token_sql_row_t {
    const char *const *column;
    int columns;
    int is_read;                /* 0: a column could not be read */
} token_sql_row_t;

/* Called with one row after the other; its strings are in the pool that the
 * query was given. */
typedef void token_sql_row_each_t(void *baton, const token_sql_row_t *row);

/* Runs a statement that answers rows, prepared if need be. */
int token_sql_rows(const token_sql_t *sql, token_sql_name_t name,
                   const char **args, token_sql_row_each_t *each, void *baton,
                   apr_pool_t *pool);

/* Called with one record after the other; its strings are in the pool that
 * the query was given.  A row that cannot be read, or whose revoked_at is no
 * moment but not NULL either, is revoked at second 1; other times that are
 * out of bounds are clipped, those that are no numbers are 0. */
typedef void token_sql_each_t(void *baton, const token_record_t *record);

/* Likewise a statement that answers records. */
int token_sql_select(const token_sql_t *sql, token_sql_name_t name,
                     const char **args, token_sql_each_t *each, void *baton,
                     apr_pool_t *pool);

/* Runs a statement that changes rows; *rows is how many. */
int token_sql_change(const token_sql_t *sql, token_sql_name_t name,
                     const char **args, int *rows, apr_pool_t *pool);

/* Inserts a record under its digest.  Repeating it changes nothing: *rows
 * is then 0. */
int token_sql_issue(const token_sql_t *sql, const token_record_t *record,
                    const char digest[TOKEN_DIGEST_LEN + 1], int *rows,
                    apr_pool_t *pool);

/* What can become of a token. */
#define TOKEN_EVENT_ISSUED "issued"
#define TOKEN_EVENT_ROTATED "rotated"
#define TOKEN_EVENT_REVOKED "revoked"
#define TOKEN_EVENT_EVICTED "evicted"
#define TOKEN_EVENT_REUSED "reused"

/* Writes a row of auth_token_event: what became of a record's token; address
 * is where the request came from, or "". */
int token_sql_note(const token_sql_t *sql, const char *event,
                   const token_record_t *record, const char *address,
                   apr_pool_t *pool);

/* A transaction, as plain statements: apr_dbd's own crash on a connection
 * that is lost.  What fails in between leaves it open, so that
 * apr_dbd_error() can still tell why: roll it back then. */
int token_sql_begin(token_sql_t *sql);

/* First in a transaction: what else needs it for this user waits for the end.
 * A statement sees what was there when it began: without it a revocation of
 * all that waits for a rotation would not see the heir. */
int token_sql_lock(const token_sql_t *sql, const char *username,
                   apr_pool_t *pool);

/* *good is 1 when the token of a digest may have others made at this moment:
 * it is there, was neither rotated nor revoked, and has not ended. */
int token_sql_ask(const token_sql_t *sql, const char *digest,
                  apr_int64_t now, int *good, apr_pool_t *pool);
int token_sql_commit(token_sql_t *sql);
void token_sql_rollback(token_sql_t *sql);

/* Which token is superseded, and by whom.  Of the heir's record the table
 * takes created_at and expires_at, the note its user and client. */
typedef struct token_rotation_t {
    const char *digest;
    const char *heir_digest;
    const token_record_t *heir;
    const char *address;        /* noted with it; NULL: it is not noted */
    const char *asker;          /* the digest of the token that asks for it,
                                 * which must be good; NULL: itself, or none
                                 * does */
} token_rotation_t;

/* Rotates in a transaction: *rows is 1, or 0 and nothing is changed when the
 * token has an heir already or cannot be used, or the asking one cannot. */
int token_sql_rotate(token_sql_t *sql, const token_rotation_t *rotation,
                     int *rows, apr_pool_t *pool);

/* Makes the native table where it is missing.  An error of SQLite may leave
 * a transaction open: close the connection. */
int token_sql_create(const token_sql_t *sql);

#endif
