/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What httoken tells people on stderr, and people or programs on stdout.
 * Shared by its files; knows no database and no option. */
#ifndef HTTOKEN_OUTPUT_H
#define HTTOKEN_OUTPUT_H

#include <jansson.h>

#include "apr_pools.h"
#include "apr_tables.h"

#include "token_record.h"

/* What httoken ends with; docs/httoken.1 promises them. */
enum {
    HTTOKEN_GOOD = 0,
    HTTOKEN_REFUSED,
    HTTOKEN_USAGE,
    HTTOKEN_DATABASE            /* or another part of this host */
};

/* "httoken: " and the text, as a line on stderr. */
void httoken_output_error(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Prints the value and frees it. */
void httoken_output_json(json_t *json);

/* One record: lines for people, or an object. */
void httoken_output_record(const token_record_t *record, int json,
                           apr_pool_t *pool);

/* Many records (token_record_t): a table for people, or one array. */
void httoken_output_list(const apr_array_header_t *records, int json,
                         apr_pool_t *pool);

/* A new token, this once: alone on stdout with a note on stderr, or all in
 * one object. */
void httoken_output_token(const char *token, const token_record_t *record,
                          int json, apr_pool_t *pool);

/* Id, user, state and networks of a token that was verified; id and record
 * may be NULL. */
void httoken_output_verdict(const char *id, const token_record_t *record,
                            const char *state, int json, apr_pool_t *pool);

/* "active", "superseded", or the reason why it is refused; NULL stands for
 * no record.  Networks do not matter: nobody comes from anywhere here. */
const char *httoken_output_state(const token_record_t *record);

#endif
