/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what is written: tokens created, rotated, revoked, rows removed, and
 * the note of it where there is a table for that.  What fails in a transaction
 * leaves it open, and ends with the connection. */
#include <stdio.h>
#include <string.h>

#include "apr_strings.h"
#include "apr_time.h"

#include "httoken_change.h"
#include "token_text.h"

static apr_int64_t get_now(void)
{
    return apr_time_sec(apr_time_now());
}

/* --- the note of changes --- */

static int begin(httoken_tool_t *tool)
{
    int rc = token_sql_begin(&tool->db.sql);

    return httoken_tool_fail(tool, "cannot begin", rc);
}

static void note_row(void *baton, const token_record_t *record)
{
    (void)record;
    *(int *)baton = 1;
}

static int find_notes(httoken_tool_t *tool)
{
    int rc;

    tool->has_notes = 0;
    rc = token_sql_select(&tool->db.sql, TOKEN_SQL_EXISTS_EVENT, NULL,
                          note_row, &tool->has_notes, tool->pool);
    return httoken_tool_fail(tool, "the database refuses", rc);
}

static int note(httoken_tool_t *tool, const char *event,
                const token_record_t *record)
{
    int rc = tool->has_notes
        ? token_sql_note(&tool->db.sql, event, record, "", tool->pool) : 0;

    return httoken_tool_fail(tool, "cannot note it in auth_token_event", rc);
}

static int commit(httoken_tool_t *tool)
{
    int rc = token_sql_commit(&tool->db.sql);

    return httoken_tool_fail(tool, "cannot commit", rc);
}

/* --- create --- */

static void fill_record(token_record_t *record, const httoken_tool_t *tool)
{
    memset(record, 0, sizeof(*record));
    record->username = tool->options.argument;
    record->client = tool->options.client;
    record->scope = tool->options.scope;
    record->networks = tool->options.networks;
    record->created_at = get_now();
    record->expires_at = token_record_end(record->created_at,
                                          tool->options.lifetime, 0);
}

static int store_token(httoken_tool_t *tool, token_record_t *record,
                       const char *token)
{
    char digest[TOKEN_DIGEST_LEN + 1];
    int rows = 0;
    int rc = httoken_tool_digest(tool, token, digest);

    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    record->id = apr_pstrmemdup(tool->pool, digest, TOKEN_ID_LEN);
    record->family = record->id;
    rc = token_sql_issue(&tool->db.sql, record, digest, &rows, tool->pool);
    if (rc) {
        return httoken_tool_fail(tool, "cannot store the token", rc);
    }
    if (rows != 1) {
        httoken_output_error("the new token is there already: is the random "
                             "source of this host broken?");
        return HTTOKEN_DATABASE;
    }
    return note(tool, TOKEN_EVENT_ISSUED, record);
}

static int store_whole(httoken_tool_t *tool, token_record_t *record,
                       const char *token)
{
    int rc = find_notes(tool);

    if (rc == HTTOKEN_GOOD) {
        rc = begin(tool);
    }
    if (rc == HTTOKEN_GOOD) {
        rc = store_token(tool, record, token);
    }
    return rc == HTTOKEN_GOOD ? commit(tool) : rc;
}

int httoken_change_create(httoken_tool_t *tool)
{
    char token[TOKEN_TEXT_MAX + 1];
    token_record_t record;
    int rc = httoken_tool_open(tool);

    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    if (token_crypt_token(token, tool->options.prefix) != APR_SUCCESS) {
        httoken_output_error("OpenSSL has no random bytes");
        return HTTOKEN_DATABASE;
    }
    fill_record(&record, tool);
    rc = store_whole(tool, &record, token);
    if (rc == HTTOKEN_GOOD) {
        httoken_output_token(token, &record, tool->options.json, tool->pool);
    }
    token_crypt_wipe(token, sizeof(token));
    return rc;
}

/* --- revoke --- */

/* Of whom: the user named, or the one whose token has that ID. */
static int select_revoked(httoken_tool_t *tool, const char *user,
                          apr_array_header_t **revoked)
{
    const char *id = tool->options.argument;
    const char *args[3];

    args[0] = user;
    args[1] = id;
    args[2] = id ? apr_pstrcat(tool->pool, id, "g", NULL) : NULL;
    return httoken_tool_select(tool, id ? TOKEN_SQL_REVOKE_OWN
                                        : TOKEN_SQL_REVOKE_ALL,
                               args, revoked);
}

/* A rotation under way is waited for: its heir goes, too. */
static int lock_user(httoken_tool_t *tool, const char *user)
{
    int rc = begin(tool);
    int error = rc == HTTOKEN_GOOD
        ? token_sql_lock(&tool->db.sql, user, tool->pool) : 0;

    return error ? httoken_tool_fail(tool, "cannot lock the user", error)
                 : rc;
}

static int revoke_tokens(httoken_tool_t *tool, const char *user, int *rows)
{
    apr_array_header_t *revoked;
    int rc = find_notes(tool);
    int i;

    if (rc == HTTOKEN_GOOD) {
        rc = lock_user(tool, user);
    }
    if (rc == HTTOKEN_GOOD) {
        rc = select_revoked(tool, user, &revoked);
    }
    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    for (i = 0; i < revoked->nelts && rc == HTTOKEN_GOOD; i++) {
        rc = note(tool, TOKEN_EVENT_REVOKED,
                  &APR_ARRAY_IDX(revoked, i, token_record_t));
    }
    *rows = revoked->nelts;
    return rc == HTTOKEN_GOOD ? commit(tool) : rc;
}

int httoken_change_revoke(httoken_tool_t *tool)
{
    const char *id = tool->options.argument;
    const token_record_t *record;
    int rows = 0;
    int rc = id ? httoken_tool_find(tool, &record) : httoken_tool_open(tool);

    if (rc == HTTOKEN_GOOD) {
        rc = revoke_tokens(tool, id ? record->username : tool->options.user,
                           &rows);
    }
    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    if (tool->options.json) {
        httoken_output_json(json_pack("{s:i}", "revoked", rows));
    }
    else if (!id) {
        printf("%d token%s revoked.\n", rows, rows == 1 ? "" : "s");
    }
    else {
        printf("Token %s %s.\n", id,
               rows ? "is revoked" : "was revoked already");
    }
    return HTTOKEN_GOOD;
}

/* --- rotate --- */

/* The whole digest of a token that httoken_tool_find() found. */
static int find_digest(httoken_tool_t *tool, const token_record_t *record,
                       const char **digest)
{
    apr_array_header_t *records;
    const char *args[3];
    int rc;

    args[0] = record->username;
    args[1] = record->id;
    args[2] = apr_pstrcat(tool->pool, record->id, "g", NULL);
    rc = httoken_tool_select(tool, TOKEN_SQL_SHOW_OWN, args, &records);
    if (rc == HTTOKEN_GOOD && records->nelts == 0) {
        httoken_output_error("there is no token %s any more", record->id);
        return HTTOKEN_REFUSED;
    }
    if (rc == HTTOKEN_GOOD) {
        *digest = APR_ARRAY_IDX(records, 0, token_record_t).id;
    }
    return rc;
}

static int store_heir(httoken_tool_t *tool, const char *old,
                      const char *heir_digest, const token_record_t *heir)
{
    token_rotation_t rotation;
    int rows = 0;
    int rc = find_notes(tool);

    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    rotation.digest = old;
    rotation.heir_digest = heir_digest;
    rotation.heir = heir;
    rotation.address = tool->has_notes ? "" : NULL;
    rotation.asker = NULL;
    rc = token_sql_rotate(&tool->db.sql, &rotation, &rows, tool->pool);
    if (rc) {
        return httoken_tool_fail(tool, "cannot rotate the token", rc);
    }
    if (rows == 0) {
        httoken_output_error("token %s cannot be rotated: it is not active",
                             tool->options.argument);
        return HTTOKEN_REFUSED;
    }
    return HTTOKEN_GOOD;
}

/* The heir is like the old one, and lives as long. */
static int rotate_token(httoken_tool_t *tool, const token_record_t *old,
                        const char *token)
{
    char heir_digest[TOKEN_DIGEST_LEN + 1];
    token_record_t heir = *old;
    const char *digest = NULL;
    int rc = httoken_tool_digest(tool, token, heir_digest);

    if (rc == HTTOKEN_GOOD) {
        rc = find_digest(tool, old, &digest);
    }
    if (rc == HTTOKEN_GOOD) {
        heir.id = apr_pstrmemdup(tool->pool, heir_digest, TOKEN_ID_LEN);
        heir.last_used_at = 0;
        heir.created_at = get_now();
        heir.expires_at = token_record_heir_end(old, heir.created_at,
                                                TOKEN_SECONDS_MAX, 0);
        rc = store_heir(tool, digest, heir_digest, &heir);
    }
    if (rc == HTTOKEN_GOOD) {
        httoken_output_token(token, &heir, tool->options.json, tool->pool);
    }
    return rc;
}

int httoken_change_rotate(httoken_tool_t *tool)
{
    char token[TOKEN_TEXT_MAX + 1];
    const token_record_t *old;
    int rc = httoken_tool_find(tool, &old);

    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    if (token_crypt_token(token, tool->options.prefix) != APR_SUCCESS) {
        httoken_output_error("OpenSSL has no random bytes");
        return HTTOKEN_DATABASE;
    }
    rc = rotate_token(tool, old, token);
    token_crypt_wipe(token, sizeof(token));
    return rc;
}

/* --- import --- */

/* The keys of Django's table: each record's id is one. */
static int select_keys(httoken_tool_t *tool, apr_array_header_t **keys)
{
    httoken_tool_t other = *tool;

    other.db.sql.dialect = token_dialect_find(tool->options.driver,
                                              TOKEN_SCHEMA_DRF);
    return httoken_tool_select(&other, TOKEN_SQL_LIST, NULL, keys);
}

/* One key becomes a row of ours, unless it is one already. */
static int import_key(httoken_tool_t *tool, const token_record_t *key,
                      int *imported)
{
    char digest[TOKEN_DIGEST_LEN + 1];
    token_record_t record;
    int rows = 0;
    int rc = httoken_tool_digest(tool, key->id, digest);

    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    fill_record(&record, tool);
    record.username = key->username;
    record.created_at = key->created_at;
    record.id = record.family = apr_pstrmemdup(tool->pool, digest,
                                               TOKEN_ID_LEN);
    rc = token_sql_issue(&tool->db.sql, &record, digest, &rows, tool->pool);
    *imported += rows;
    if (rc || rows == 0) {
        return httoken_tool_fail(tool, "cannot store a token", rc);
    }
    return note(tool, TOKEN_EVENT_ISSUED, &record);
}

/* All or none. */
static int import_keys(httoken_tool_t *tool, const apr_array_header_t *keys,
                       int *imported)
{
    int rc = find_notes(tool);
    int i;

    if (rc == HTTOKEN_GOOD) {
        rc = begin(tool);
    }
    for (i = 0; i < keys->nelts && rc == HTTOKEN_GOOD; i++) {
        rc = import_key(tool, &APR_ARRAY_IDX(keys, i, token_record_t),
                        imported);
    }
    return rc == HTTOKEN_GOOD ? commit(tool) : rc;
}

int httoken_change_import(httoken_tool_t *tool)
{
    apr_array_header_t *keys;
    int imported = 0;
    int rc = httoken_tool_open(tool);

    if (rc == HTTOKEN_GOOD) {
        rc = select_keys(tool, &keys);
    }
    if (rc == HTTOKEN_GOOD) {
        rc = import_keys(tool, keys, &imported);
    }
    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    if (tool->options.json) {
        httoken_output_json(json_pack("{s:i, s:i}", "imported", imported,
                                      "known", keys->nelts - imported));
    }
    else {
        printf("%d token%s imported, %d known already.\n", imported,
               imported == 1 ? "" : "s", keys->nelts - imported);
    }
    return HTTOKEN_GOOD;
}

/* --- purge --- */

/* Rows in one statement: others must come in between. */
#define PURGE_BATCH 1000

static int purge_all(httoken_tool_t *tool, token_sql_name_t name, int *removed)
{
    const char *args[2];
    int rows, rc;

    args[0] = apr_psprintf(tool->pool, "%" APR_INT64_T_FMT,
                           tool->options.age);
    args[1] = apr_itoa(tool->pool, PURGE_BATCH);
    do {
        rc = token_sql_change(&tool->db.sql, name, args, &rows, tool->pool);
        *removed += rc ? 0 : rows;
    } while (rc == 0 && rows == PURGE_BATCH);
    return httoken_tool_fail(tool, "cannot purge", rc);
}

int httoken_change_purge(httoken_tool_t *tool)
{
    int removed = 0;
    int rc = httoken_tool_open(tool);

    if (rc == HTTOKEN_GOOD) {
        rc = purge_all(tool, TOKEN_SQL_PURGE_EXPIRED, &removed);
    }
    if (rc == HTTOKEN_GOOD) {
        rc = purge_all(tool, TOKEN_SQL_PURGE_REVOKED, &removed);
    }
    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    if (tool->options.json) {
        httoken_output_json(json_pack("{s:i}", "removed", removed));
    }
    else {
        printf("%d row%s removed.\n", removed, removed == 1 ? "" : "s");
    }
    return HTTOKEN_GOOD;
}
