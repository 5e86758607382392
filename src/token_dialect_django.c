/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides how the tables of rest_framework.authtoken, django-rest-knox and
 * Django OAuth Toolkit are read, as Django's own migrations make them.  What
 * is not asked of them is left out: nothing is revoked, flushed or purged
 * where Django does it.  Django's SQLite keeps moments as text in UTC. */
#include <string.h>

#include "token_dialect.h"

/* The end of a token that has none. */
#define NEVER "253402300799"

#define PG_SECONDS(column) TOKEN_DIALECT_PG_SECONDS(column)
#define LITE_SECONDS(column) "CAST(strftime('%%s', " column ") AS INTEGER)"
#define LITE_MOMENT "'%%Y-%%m-%%d %%H:%%M:%%f'"

/* A record: the last column is whether the user is active.  The id is made
 * of the token's digest, which these tables do not have. */
#define RECORD(username, client, scope, created, expires, active) \
    "SELECT '', " username ", " client ", " scope ", '', " created ", " \
    expires ", NULL, NULL, NULL, '', 0, " active " "

#define DRF_FROM \
    "FROM authtoken_token t JOIN auth_user u ON u.id = t.user_id "
#define KNOX_FROM \
    "FROM knox_authtoken t JOIN auth_user u ON u.id = t.user_id " \
    "WHERE t.digest = %s"

/* A token of client credentials has no user: its application is one, by a
 * name that no user of Django can have. */
#define OAUTH_RECORD(created, expires) \
    RECORD("coalesce(u.username, 'client:' || a.client_id, '')", \
           "coalesce(a.client_id, '')", "t.scope", created, expires, \
           "coalesce(u.is_active, t.user_id IS NULL " \
           "AND a.client_id IS NOT NULL)") \
    "FROM oauth2_provider_accesstoken t " \
    "LEFT JOIN auth_user u ON u.id = t.user_id " \
    "LEFT JOIN oauth2_provider_application a ON a.id = t.application_id "

/* All keys of active users: the record's id is the key. */
#define DRF_LIST(created) \
    "SELECT t.key, u.username, '', '', '', " created ", NULL, NULL, NULL, " \
    "NULL, '', 0 " DRF_FROM "WHERE u.is_active ORDER BY t.created"

#define USER "SELECT 1 FROM auth_user WHERE username = %s AND is_active"

#define PG_DRF RECORD("u.username", "''", "''", PG_SECONDS("t.created"), \
                      NEVER, "u.is_active") DRF_FROM "WHERE t.key = %s"
#define LITE_DRF RECORD("u.username", "''", "''", LITE_SECONDS("t.created"), \
                        NEVER, "u.is_active") DRF_FROM "WHERE t.key = %s"
#define PG_KNOX RECORD("u.username", "''", "''", PG_SECONDS("t.created"), \
                       "coalesce(" PG_SECONDS("t.expiry") ", " NEVER ")", \
                       "u.is_active") KNOX_FROM
#define LITE_KNOX RECORD("u.username", "''", "''", LITE_SECONDS("t.created"), \
                         "coalesce(" LITE_SECONDS("t.expiry") ", " NEVER ")", \
                         "u.is_active") KNOX_FROM
#define PG_OAUTH OAUTH_RECORD(PG_SECONDS("t.created"), PG_SECONDS("t.expires"))
#define LITE_OAUTH \
    OAUTH_RECORD(LITE_SECONDS("t.created"), LITE_SECONDS("t.expires"))

/* One key a user: of two first logins at once the second adds nothing. */
#define DRF_ADD(key, now) \
    "INSERT INTO authtoken_token (key, created, user_id) " \
    "SELECT " key ", " now ", u.id FROM auth_user u " \
    "WHERE u.username = %s AND u.is_active ON CONFLICT (user_id) DO NOTHING"
#define KNOX_ADD(text, now, expiry) \
    "INSERT INTO knox_authtoken (digest, token_key, created, expiry, " \
    "user_id) SELECT " text ", " text ", " now ", " expiry ", u.id " \
    "FROM auth_user u WHERE u.username = %s AND u.is_active"
#define KNOX_REFRESH(moment) \
    "UPDATE knox_authtoken SET expiry = " moment " WHERE digest = %s"
#define LITE_SQL_NOW "strftime(" LITE_MOMENT ", 'now')"

#define PG_KNOX_ADD \
    KNOX_ADD("(%s)::text", "now()", \
             "now() + make_interval(secs => (%s)::float8)")
#define LITE_KNOX_ADD \
    KNOX_ADD("%s", LITE_SQL_NOW, \
             "strftime(" LITE_MOMENT ", 'now', '+' || %s || ' seconds')")

static const char pg_knox_refresh[] =
    KNOX_REFRESH("to_timestamp((%s)::float8)");
static const char lite_knox_refresh[] =
    KNOX_REFRESH("strftime(" LITE_MOMENT ", %s, 'unixepoch')");
static const char drf_key[] =
    "SELECT t.key " DRF_FROM "WHERE u.username = %s AND u.is_active";

/* Versions differ in what is digested alone. */
#define PG_KNOX_DIALECT(schema) { "pgsql", schema, 1, NULL, { \
        [TOKEN_SQL_VALIDATE] = PG_KNOX, \
        [TOKEN_SQL_ADD_KNOX] = PG_KNOX_ADD, \
        [TOKEN_SQL_REFRESH] = pg_knox_refresh, \
        [TOKEN_SQL_USER] = USER, \
        [TOKEN_SQL_PASSWORD] = TOKEN_DIALECT_PASSWORD \
    } }
#define LITE_KNOX_DIALECT(schema) { "sqlite3", schema, 0, NULL, { \
        [TOKEN_SQL_VALIDATE] = LITE_KNOX, \
        [TOKEN_SQL_ADD_KNOX] = LITE_KNOX_ADD, \
        [TOKEN_SQL_REFRESH] = lite_knox_refresh, \
        [TOKEN_SQL_USER] = USER, \
        [TOKEN_SQL_PASSWORD] = TOKEN_DIALECT_PASSWORD \
    } }

static const token_dialect_t dialects[] = {
    { "pgsql", TOKEN_SCHEMA_DRF, 1, NULL, {
        [TOKEN_SQL_VALIDATE] = PG_DRF,
        [TOKEN_SQL_LIST] = DRF_LIST(PG_SECONDS("t.created")),
        [TOKEN_SQL_KEY] = drf_key,
        [TOKEN_SQL_ADD_KEY] = DRF_ADD("(%s)::text", "now()"),
        [TOKEN_SQL_USER] = USER,
        [TOKEN_SQL_PASSWORD] = TOKEN_DIALECT_PASSWORD
    } },
    { "sqlite3", TOKEN_SCHEMA_DRF, 0, NULL, {
        [TOKEN_SQL_VALIDATE] = LITE_DRF,
        [TOKEN_SQL_LIST] = DRF_LIST(LITE_SECONDS("t.created")),
        [TOKEN_SQL_KEY] = drf_key,
        [TOKEN_SQL_ADD_KEY] = DRF_ADD("%s", LITE_SQL_NOW),
        [TOKEN_SQL_USER] = USER,
        [TOKEN_SQL_PASSWORD] = TOKEN_DIALECT_PASSWORD
    } },
    PG_KNOX_DIALECT(TOKEN_SCHEMA_KNOX),
    LITE_KNOX_DIALECT(TOKEN_SCHEMA_KNOX),
    PG_KNOX_DIALECT(TOKEN_SCHEMA_KNOX_4),
    LITE_KNOX_DIALECT(TOKEN_SCHEMA_KNOX_4),
    { "pgsql", TOKEN_SCHEMA_OAUTH, 1, NULL, {
        [TOKEN_SQL_VALIDATE] = PG_OAUTH "WHERE t.token_checksum = %s",
        [TOKEN_SQL_USER] = USER,
        [TOKEN_SQL_PASSWORD] = TOKEN_DIALECT_PASSWORD
    } },
    { "sqlite3", TOKEN_SCHEMA_OAUTH, 0, NULL, {
        [TOKEN_SQL_VALIDATE] = LITE_OAUTH "WHERE t.token_checksum = %s",
        [TOKEN_SQL_USER] = USER,
        [TOKEN_SQL_PASSWORD] = TOKEN_DIALECT_PASSWORD
    } },
    { "pgsql", TOKEN_SCHEMA_OAUTH_2, 1, NULL, {
        [TOKEN_SQL_VALIDATE] = PG_OAUTH "WHERE t.token = %s",
        [TOKEN_SQL_USER] = USER,
        [TOKEN_SQL_PASSWORD] = TOKEN_DIALECT_PASSWORD
    } },
    { "sqlite3", TOKEN_SCHEMA_OAUTH_2, 0, NULL, {
        [TOKEN_SQL_VALIDATE] = LITE_OAUTH "WHERE t.token = %s",
        [TOKEN_SQL_USER] = USER,
        [TOKEN_SQL_PASSWORD] = TOKEN_DIALECT_PASSWORD
    } }
};

const token_dialect_t *token_dialect_django(const char *driver,
                                            token_schema_t schema)
{
    apr_size_t i;

    for (i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
        if (dialects[i].schema == schema
            && strcmp(dialects[i].driver, driver) == 0) {
            return &dialects[i];
        }
    }
    return NULL;
}
