/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* httoken's one connection: how it is opened, and what is said when the
 * database fails. */
#ifndef HTTOKEN_DATABASE_H
#define HTTOKEN_DATABASE_H

#include "token_sql.h"

/* pool lives as long as the process; sql.dialect and the strings
 * are the caller's, the rest is set by httoken_database_open(). */
typedef struct httoken_database_t {
    apr_pool_t *pool;
    const char *driver;
    const char *params;         /* may hold a password: never shown */
    const char *shown;          /* what messages call the database's file */
    token_sql_t sql;
} httoken_database_t;

int httoken_database_is_sqlite(const httoken_database_t *db);

/* Opens it, as the user who owns it when that is SQLite's file and we are
 * root.  With make a missing file is made, and *found (may be NULL) tells
 * whether the table was there; without, both must be there.  HTTOKEN_GOOD,
 * or HTTOKEN_DATABASE when the reason is told. */
int httoken_database_open(httoken_database_t *db, int make, int *found);

/* Tells what apr_dbd says of rc; always HTTOKEN_DATABASE. */
int httoken_database_fail(const httoken_database_t *db, const char *what,
                          int rc);

/* Closes it if it is open. */
void httoken_database_close(httoken_database_t *db);

#endif
