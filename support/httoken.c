/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The command beside htpasswd.  Decides which command is run, and does those
 * that change no token: init, list, show, verify.  What a token is and whether
 * it is good is decided by the files it shares with the module. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apr_general.h"
#include "apr_strings.h"

#include "httoken_change.h"
#include "token_text.h"

/* --- init --- */

static int print_schema(const httoken_tool_t *tool)
{
    const char *const *ddl = tool->db.sql.dialect->ddl;

    for (; *ddl; ddl++) {
        printf("%s;\n", *ddl);
    }
    return HTTOKEN_GOOD;
}

static int run_init(httoken_tool_t *tool)
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
        return httoken_tool_fail(tool, "cannot make the table auth_token", rc);
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

/* --- list, show --- */

static int run_list(httoken_tool_t *tool)
{
    apr_array_header_t *records;
    const char *args[1];
    int rc = httoken_tool_open(tool);

    if (rc == HTTOKEN_GOOD) {
        args[0] = tool->options.argument;
        rc = httoken_tool_select(tool, args[0] ? TOKEN_SQL_LIST_USER
                                               : TOKEN_SQL_LIST,
                                 args, &records);
    }
    if (rc == HTTOKEN_GOOD) {
        httoken_output_list(records, tool->options.json, tool->pool);
    }
    return rc;
}

static int run_show(httoken_tool_t *tool)
{
    const token_record_t *record;
    int rc = httoken_tool_find(tool, &record);

    if (rc == HTTOKEN_GOOD) {
        httoken_output_record(record, tool->options.json, tool->pool);
    }
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
static int find_token(httoken_tool_t *tool, const char *token, const char **id,
                      const token_record_t **record)
{
    apr_array_header_t *records;
    char digest[TOKEN_DIGEST_LEN + 1];
    const char *args[1];
    int rc = httoken_tool_open(tool);

    if (rc == HTTOKEN_GOOD) {
        rc = httoken_tool_digest(tool, token, digest);
    }
    if (rc == HTTOKEN_GOOD) {
        args[0] = digest;
        rc = httoken_tool_select(tool, TOKEN_SQL_VALIDATE, args, &records);
    }
    if (rc == HTTOKEN_GOOD) {
        *id = apr_pstrmemdup(tool->pool, digest, TOKEN_ID_LEN);
        *record = records->nelts
            ? &APR_ARRAY_IDX(records, 0, token_record_t) : NULL;
    }
    return rc;
}

static int run_verify(httoken_tool_t *tool)
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

static int run_help(httoken_tool_t *tool)
{
    (void)tool;
    fputs(httoken_options_usage, stdout);
    return HTTOKEN_GOOD;
}

static void init_database(httoken_tool_t *tool)
{
    httoken_options_t *options = &tool->options;

    tool->db.pool = tool->pool;
    tool->db.driver = options->driver;
    tool->db.params = options->params;
    tool->db.shown = options->shown;
    if (options->driver) {
        tool->db.sql.dialect = token_dialect_find(options->driver,
                                                  TOKEN_SCHEMA_NATIVE);
    }
}

static int run(httoken_tool_t *tool)
{
    static int (*const commands[HTTOKEN_COMMANDS])(httoken_tool_t *) = {
        run_help, run_init, httoken_change_create, run_list, run_show,
        httoken_change_rotate, httoken_change_revoke, run_verify,
        httoken_change_purge, httoken_change_import
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

/* A descriptor that was closed would be the database's next, and get what is
 * printed: in its place comes one that cannot be written, or read.  0: not. */
static int fill_descriptors(void)
{
    int fd;

    for (fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0
            && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd) {
            return 0;
        }
    }
    return 1;
}

int main(int argc, const char *const *argv)
{
    httoken_tool_t tool;
    int rc;

    memset(&tool, 0, sizeof(tool));
    if (!fill_descriptors()) {
        return HTTOKEN_DATABASE;
    }
    /* A reader who has left is an error at write. */
    signal(SIGPIPE, SIG_IGN);
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
