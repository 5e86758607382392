/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What httoken's commands share: the options, the database, and a token
 * named by its ID. */
#ifndef HTTOKEN_TOOL_H
#define HTTOKEN_TOOL_H

#include "apr_tables.h"

#include "httoken_database.h"
#include "httoken_options.h"
#include "httoken_output.h"
#include "token_crypt.h"

typedef struct httoken_tool_t {
    apr_pool_t *pool;
    httoken_options_t options;
    httoken_database_t db;
    int has_notes;              /* there is a table auth_token_event; known
                                 * to commands that change tokens */
} httoken_tool_t;

/* All answer HTTOKEN_GOOD, or another code after the reason is told. */

int httoken_tool_open(httoken_tool_t *tool);

/* GOOD for 0; else the database's error, behind what. */
int httoken_tool_fail(const httoken_tool_t *tool, const char *what, int rc);

/* The records a statement answers, as an array of token_record_t. */
int httoken_tool_select(httoken_tool_t *tool, token_sql_name_t name,
                        const char **args, apr_array_header_t **records);

/* The token of the ID on the command line; opens the database. */
int httoken_tool_find(httoken_tool_t *tool, const token_record_t **record);

int httoken_tool_digest(const httoken_tool_t *tool, const char *token,
                        char digest[TOKEN_DIGEST_LEN + 1]);

#endif
