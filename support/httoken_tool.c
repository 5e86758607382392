/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides how an ID becomes a token, and how a failure is told.  What is done
 * with it is the commands' matter. */
#include <string.h>

#include "apr_strings.h"

#include "httoken_tool.h"
#include "token_text.h"

int httoken_tool_open(httoken_tool_t *tool)
{
    return httoken_database_open(&tool->db, 0, NULL);
}

int httoken_tool_fail(const httoken_tool_t *tool, const char *what, int rc)
{
    return rc ? httoken_database_fail(&tool->db, what, rc) : HTTOKEN_GOOD;
}

static void keep_record(void *baton, const token_record_t *record)
{
    APR_ARRAY_PUSH((apr_array_header_t *)baton, token_record_t) = *record;
}

int httoken_tool_select(httoken_tool_t *tool, token_sql_name_t name,
                        const char **args, apr_array_header_t **records)
{
    int rc;

    *records = apr_array_make(tool->pool, 64, sizeof(token_record_t));
    rc = token_sql_select(&tool->db.sql, name, args, keep_record, *records,
                          tool->pool);
    return httoken_tool_fail(tool, "cannot read the tokens", rc);
}

int httoken_tool_find(httoken_tool_t *tool, const token_record_t **record)
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
    rc = httoken_tool_open(tool);
    if (rc != HTTOKEN_GOOD) {
        return rc;
    }
    args[1] = apr_pstrcat(tool->pool, args[0], "g", NULL);
    rc = httoken_tool_select(tool, TOKEN_SQL_SHOW, args, &records);
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

int httoken_tool_digest(const httoken_tool_t *tool, const char *token,
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
