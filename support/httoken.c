/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The command beside htpasswd: makes the table, and creates, lists, shows,
 * rotates, revokes and verifies tokens.  Decides what each command asks of the
 * database and with which code it ends.  What a token is and whether it is
 * good is decided by the files it shares with the module. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apr_general.h"
#include "apr_strings.h"
#include "apr_time.h"

#include "httoken_database.h"
#include "httoken_options.h"
#include "httoken_output.h"
#include "token_crypt.h"
#include "token_text.h"

typedef struct {
    apr_pool_t *pool;
    httoken_options_t options;
    httoken_database_t db;
} tool_t;

static apr_int64_t get_now(void)
{
    return apr_time_sec(apr_time_now());
}

static int open_database(tool_t *tool)
{
    return httoken_database_open(&tool->db, 0, NULL);
}

/* --- init --- */

static int print_schema(const tool_t *tool)
{
    const char *const *ddl = tool->db.sql.dialect->schema;

    for (; *ddl; ddl++) {
        printf("%s;\n", *ddl);
    }
    return HTTOKEN_GOOD;
}

static int run_init(tool_t *tool)
{
    httoken_database_t *db = &tool->db;
    int found = 0;
    int rows, rc;

    if (tool->options.print) {
        return print_schema(tool);
    }
    rc = httoken_database_open(db, 1, &found);
    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    if (!httoken_database_is_sqlite(db)) {
        /* libpq would print "already exists, skipping" to stderr; if this
         * fails, that is the worst of it. */
        apr_dbd_query(db->sql.driver, db->sql.handle, &rows,
                      "SET client_min_messages = warning");
    }
    rc = token_sql_create(&db->sql);
    if (rc) {
        return httoken_database_fail(db, "cannot make the table auth_token",
                                     rc);
    }
    if (tool->options.json) {
        httoken_output_json(json_pack("{s:s, s:b}", "table", "auth_token",
                                      "made", !found));
    }
    else {
        puts(found ? "The table auth_token was there already."
                   : "The table auth_token is made.");
    }
    return HTTOKEN_GOOD;
}

/* --- create --- */

static int digest_token(const tool_t *tool, const char *token,
                        char digest[TOKEN_DIGEST_LEN + 1])
{
    token_crypt_t *crypt;

    if (token_crypt_create(&crypt, tool->pool) == APR_SUCCESS
        && token_crypt_digest(digest, crypt, token, strlen(token))
           == APR_SUCCESS) {
        return HTTOKEN_GOOD;
    }
    httoken_output_error("OpenSSL has no SHA-256");
    return HTTOKEN_DATABASE;
}

static void fill_record(token_record_t *record, const tool_t *tool)
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

static int store_token(tool_t *tool, token_record_t *record,
                       const char *token)
{
    char digest[TOKEN_DIGEST_LEN + 1];
    int rows = 0;
    int rc = digest_token(tool, token, digest);

    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    record->id = apr_pstrmemdup(tool->pool, digest, TOKEN_ID_LEN);
    record->family = record->id;
    rc = token_sql_issue(&tool->db.sql, record, digest, &rows, tool->pool);
    if (rc) {
        return httoken_database_fail(&tool->db, "cannot store the token",
                                     rc);
    }
    if (rows != 1) {
        httoken_output_error("the new token is there already: is the random "
                             "source of this host broken?");
        return HTTOKEN_DATABASE;
    }
    return HTTOKEN_GOOD;
}

static int run_create(tool_t *tool)
{
    char token[TOKEN_TEXT_MAX + 1];
    token_record_t record;
    int rc = open_database(tool);

    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    if (token_crypt_token(token, tool->options.prefix) != APR_SUCCESS) {
        httoken_output_error("OpenSSL has no random bytes");
        return HTTOKEN_DATABASE;
    }
    fill_record(&record, tool);
    rc = store_token(tool, &record, token);
    if (rc == HTTOKEN_GOOD) {
        httoken_output_token(token, &record, tool->options.json, tool->pool);
    }
    token_crypt_wipe(token, sizeof(token));
    return rc;
}

/* --- list, show, revoke --- */

static void keep_record(void *baton, const token_record_t *record)
{
    APR_ARRAY_PUSH((apr_array_header_t *)baton, token_record_t) = *record;
}

/* The records a statement answers, as an array of token_record_t. */
static int select_records(tool_t *tool, token_sql_name_t name,
                          const char **args, apr_array_header_t **records)
{
    int rc;

    *records = apr_array_make(tool->pool, 64, sizeof(token_record_t));
    rc = token_sql_select(&tool->db.sql, name, args, keep_record, *records,
                          tool->pool);
    return rc ? httoken_database_fail(&tool->db, "cannot read the tokens",
                                      rc)
              : HTTOKEN_GOOD;
}

static int run_list(tool_t *tool)
{
    apr_array_header_t *records;
    const char *args[1];
    int rc = open_database(tool);

    if (rc == HTTOKEN_GOOD) {
        args[0] = tool->options.argument;
        rc = args[0] ? select_records(tool, TOKEN_SQL_LIST_USER, args,
                                      &records)
                     : select_records(tool, TOKEN_SQL_LIST, NULL, &records);
    }
    if (rc == HTTOKEN_GOOD) {
        httoken_output_list(records, tool->options.json, tool->pool);
    }
    return rc;
}

/* The token of the ID on the command line. */
static int find_id(tool_t *tool, const token_record_t **record)
{
    apr_array_header_t *records;
    const char *args[2];
    int rc;

    args[0] = tool->options.argument;
    if (!token_text_is_id(args[0])) {
        httoken_output_error("an ID is 16 of the digits 0-9 and a-f, as list "
                             "shows it");
        return HTTOKEN_REFUSED;
    }
    rc = open_database(tool);
    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    args[1] = apr_pstrcat(tool->pool, args[0], "g", NULL);
    rc = select_records(tool, TOKEN_SQL_SHOW, args, &records);
    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    if (records->nelts == 0) {
        httoken_output_error("there is no token %s", args[0]);
        return HTTOKEN_REFUSED;
    }
    *record = &APR_ARRAY_IDX(records, 0, token_record_t);
    return HTTOKEN_GOOD;
}

static int run_show(tool_t *tool)
{
    const token_record_t *record;
    int rc = find_id(tool, &record);

    if (rc == HTTOKEN_GOOD) {
        httoken_output_record(record, tool->options.json, tool->pool);
    }
    return rc;
}

static int change_revoked(tool_t *tool, int *rows)
{
    const char *id = tool->options.argument;
    const char *args[2];
    int rc;

    args[0] = id ? id : tool->options.user;
    args[1] = id ? apr_pstrcat(tool->pool, id, "g", NULL) : NULL;
    rc = token_sql_change(&tool->db.sql,
                          id ? TOKEN_SQL_REVOKE : TOKEN_SQL_REVOKE_USER,
                          args, rows, tool->pool);
    return rc ? httoken_database_fail(&tool->db, "cannot revoke", rc)
              : HTTOKEN_GOOD;
}

static int run_revoke(tool_t *tool)
{
    const char *id = tool->options.argument;
    const token_record_t *record;
    int rows = 0;
    int rc = id ? find_id(tool, &record) : open_database(tool);

    if (rc == HTTOKEN_GOOD) {
        rc = change_revoked(tool, &rows);
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

/* The whole digest of a token that find_id() found. */
static int find_digest(tool_t *tool, const token_record_t *record,
                       const char **digest)
{
    apr_array_header_t *records;
    const char *args[3];
    int rc;

    args[0] = record->username;
    args[1] = record->id;
    args[2] = apr_pstrcat(tool->pool, record->id, "g", NULL);
    rc = select_records(tool, TOKEN_SQL_SHOW_OWN, args, &records);
    if (rc == HTTOKEN_GOOD && records->nelts == 0) {
        httoken_output_error("there is no token %s any more", record->id);
        return HTTOKEN_REFUSED;
    }
    if (rc == HTTOKEN_GOOD) {
        *digest = APR_ARRAY_IDX(records, 0, token_record_t).id;
    }
    return rc;
}

static int store_heir(tool_t *tool, const char *old, const char *heir_digest,
                      const token_record_t *heir)
{
    int rows = 0;
    int rc = token_sql_rotate(&tool->db.sql, old, heir_digest, heir, &rows,
                              tool->pool);

    if (rc) {
        return httoken_database_fail(&tool->db, "cannot rotate the token",
                                     rc);
    }
    if (rows == 0) {
        httoken_output_error("token %s cannot be rotated: it is not active",
                             tool->options.argument);
        return HTTOKEN_REFUSED;
    }
    return HTTOKEN_GOOD;
}

/* The heir is like the old one, and lives as long. */
static int rotate_token(tool_t *tool, const token_record_t *old,
                        const char *token)
{
    char heir_digest[TOKEN_DIGEST_LEN + 1];
    token_record_t heir = *old;
    const char *digest = NULL;
    int rc = digest_token(tool, token, heir_digest);

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

static int run_rotate(tool_t *tool)
{
    char token[TOKEN_TEXT_MAX + 1];
    const token_record_t *old;
    int rc = find_id(tool, &old);

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

/* --- verify --- */

/* One line of stdin without its end; 0 when it is longer than a token. */
static int read_line(char *line, int size)
{
    apr_size_t len;

    if (!fgets(line, size, stdin)) {
        line[0] = '\0';
    }
    len = strcspn(line, "\r\n");
    if (!line[len] && !feof(stdin)) {
        return 0;
    }
    line[len] = '\0';
    return 1;
}

/* *record is NULL when the token is not known. */
static int find_token(tool_t *tool, const char *token, const char **id,
                      const token_record_t **record)
{
    apr_array_header_t *records;
    char digest[TOKEN_DIGEST_LEN + 1];
    const char *args[1];
    int rc = open_database(tool);

    if (rc == HTTOKEN_GOOD) {
        rc = digest_token(tool, token, digest);
    }
    if (rc == HTTOKEN_GOOD) {
        args[0] = digest;
        rc = select_records(tool, TOKEN_SQL_VALIDATE, args, &records);
    }
    if (rc == HTTOKEN_GOOD) {
        *id = apr_pstrmemdup(tool->pool, digest, TOKEN_ID_LEN);
        *record = records->nelts
            ? &APR_ARRAY_IDX(records, 0, token_record_t) : NULL;
    }
    return rc;
}

static int run_verify(tool_t *tool)
{
    const token_record_t *record = NULL;
    const char *id = NULL;
    const char *state = token_reason_name(TOKEN_REASON_MALFORMED);
    char line[TOKEN_TEXT_MAX + 3];
    int rc = HTTOKEN_GOOD;

    /* The database is not asked for what cannot be a token. */
    if (read_line(line, sizeof(line))
        && token_text_is_native(line, strlen(line), tool->options.prefix)) {
        rc = find_token(tool, line, &id, &record);
        state = httoken_output_state(record);
    }
    token_crypt_wipe(line, sizeof(line));
    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    httoken_output_verdict(id, record, state, tool->options.json,
                           tool->pool);
    return strcmp(state, "active") == 0 ? HTTOKEN_GOOD : HTTOKEN_REFUSED;
}

/* --- the program --- */

static int run_help(tool_t *tool)
{
    (void)tool;
    fputs(httoken_options_usage, stdout);
    return HTTOKEN_GOOD;
}

static void init_database(tool_t *tool)
{
    httoken_options_t *options = &tool->options;

    tool->db.pool = tool->pool;
    tool->db.driver = options->driver;
    tool->db.params = options->params;
    tool->db.shown = options->shown;
    if (options->driver) {
        tool->db.sql.dialect = token_dialect_find(options->driver);
    }
}

static int run(tool_t *tool)
{
    static int (*const commands[HTTOKEN_COMMANDS])(tool_t *) = {
        run_help, run_init, run_create, run_list, run_show, run_rotate,
        run_revoke, run_verify
    };
    int rc = commands[tool->options.command](tool);

    if (fflush(stdout) != 0 || ferror(stdout)) {
        httoken_output_error("standard output could not be written%s",
                             tool->options.command == HTTOKEN_CREATE
                             || tool->options.command == HTTOKEN_ROTATE
                             ? "; a token that was made is in the list and "
                               "should be revoked" : "");
        rc = HTTOKEN_DATABASE;
    }
    return rc;
}

int main(int argc, const char *const *argv)
{
    tool_t tool;
    int rc;

    memset(&tool, 0, sizeof(tool));
    if (apr_app_initialize(&argc, &argv, NULL) != APR_SUCCESS
        || apr_pool_create(&tool.pool, NULL) != APR_SUCCESS) {
        httoken_output_error("APR does not start");
        return HTTOKEN_DATABASE;
    }
    atexit(apr_terminate);
    rc = httoken_options_read(&tool.options, argc, argv, tool.pool);
    if (rc == HTTOKEN_GOOD) {
        init_database(&tool);
        rc = run(&tool);
        httoken_database_close(&tool.db);
    }
    return rc;
}
