/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides how a token is shown: columns and words for people, JSON whose
 * names stay for programs.  Nothing shown here can drive a terminal. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "apr_strings.h"
#include "apr_time.h"

#include "httoken_output.h"
#include "token_text.h"

#define COLUMNS 8

void httoken_output_error(const char *format, ...)
{
    va_list args;

    fputs("httoken: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

const char *httoken_output_state(const token_record_t *record)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    token_reason_t reason;

    if (token_record_judge(&reason, record, now, 0, 1) == TOKEN_GRANTED) {
        return "active";
    }
    /* The fact in the row; reuse is what its next use would be. */
    return reason == TOKEN_REASON_REUSE ? "superseded"
                                        : token_reason_name(reason);
}

/* Rows may come from elsewhere: without control characters, not even those
 * of C1 (U+0080 to U+009F), which are UTF-8 of two bytes. */
static const char *clean(const char *text, apr_pool_t *pool)
{
    int utf8 = token_text_is_utf8(text, strlen(text));
    char *copy = apr_pstrdup(pool, text);
    unsigned char *c;

    for (c = (unsigned char *)copy; *c; c++) {
        if (*c >= 0x80 ? !utf8 : *c < 0x20 || *c == 0x7F) {
            *c = '?';
        }
        else if (*c == 0xC2 && c[1] < 0xA0) {
            c[0] = c[1] = '?';
        }
    }
    return copy;
}

static const char *format_date(apr_int64_t seconds, apr_pool_t *pool)
{
    char date[TOKEN_DATE_SIZE];

    if (!seconds) {
        return NULL;
    }
    token_text_date(date, seconds);
    return apr_pstrdup(pool, date);
}

/* --- JSON --- */

void httoken_output_json(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
}

static json_t *make_text(const char *text, apr_pool_t *pool)
{
    json_t *json;

    if (!text) {
        return json_null();
    }
    json = json_string(text);
    /* jansson takes UTF-8 alone. */
    return json ? json : json_string(clean(text, pool));
}

static json_t *make_date(apr_int64_t seconds, apr_pool_t *pool)
{
    return make_text(format_date(seconds, pool), pool);
}

static json_t *make_object(const token_record_t *record, apr_pool_t *pool)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
                     "s:s}",
                     "id", make_text(record->id, pool),
                     "user", make_text(record->username, pool),
                     "client", make_text(record->client, pool),
                     "scope", make_text(record->scope, pool),
                     "networks", make_text(record->networks, pool),
                     "created", make_date(record->created_at, pool),
                     "expires", make_date(record->expires_at, pool),
                     "last_used", make_date(record->last_used_at, pool),
                     "superseded", make_date(record->superseded_at, pool),
                     "revoked", make_date(record->revoked_at, pool),
                     "state", httoken_output_state(record));
}

/* --- columns --- */

static void fill_cells(const char *cells[COLUMNS],
                       const token_record_t *record, apr_pool_t *pool)
{
    int i;

    cells[0] = record->id;
    cells[1] = record->username;
    cells[2] = record->client;
    cells[3] = record->scope;
    cells[4] = format_date(record->created_at, pool);
    cells[5] = format_date(record->expires_at, pool);
    cells[6] = format_date(record->last_used_at, pool);
    cells[7] = httoken_output_state(record);
    for (i = 0; i < COLUMNS; i++) {
        cells[i] = cells[i] && *cells[i] ? clean(cells[i], pool) : "-";
    }
}

/* Characters, which are columns in most scripts. */
static int measure(const char *text)
{
    int width = 0;

    for (; *text; text++) {
        width += (*text & 0xC0) != 0x80;
    }
    return width;
}

static void print_row(const char *const cells[COLUMNS],
                      const int width[COLUMNS])
{
    int i;

    for (i = 0; i < COLUMNS - 1; i++) {
        printf("%s%*s", cells[i], width[i] - measure(cells[i]) + 2, "");
    }
    puts(cells[COLUMNS - 1]);
}

static void print_table(const apr_array_header_t *records, apr_pool_t *pool)
{
    static const char *const heads[COLUMNS] = {
        "ID", "USER", "CLIENT", "SCOPE", "CREATED", "EXPIRES", "LAST-USED",
        "STATE"
    };
    const char *(*rows)[COLUMNS] =
        apr_palloc(pool, sizeof(*rows) * (records->nelts + 1));
    int width[COLUMNS] = { 0 };
    int i, column;

    memcpy(rows[0], heads, sizeof(heads));
    for (i = 0; i < records->nelts; i++) {
        fill_cells(rows[i + 1], &APR_ARRAY_IDX(records, i, token_record_t),
                   pool);
    }
    for (i = 0; i <= records->nelts; i++) {
        for (column = 0; column < COLUMNS; column++) {
            int n = measure(rows[i][column]);

            width[column] = n > width[column] ? n : width[column];
        }
    }
    for (i = 0; i <= records->nelts; i++) {
        print_row(rows[i], width);
    }
}

void httoken_output_list(const apr_array_header_t *records, int json,
                         apr_pool_t *pool)
{
    json_t *list;
    int i;

    if (!json) {
        print_table(records, pool);
        return;
    }
    list = json_array();
    for (i = 0; i < records->nelts; i++) {
        json_array_append_new(
            list, make_object(&APR_ARRAY_IDX(records, i, token_record_t),
                              pool));
    }
    httoken_output_json(list);
}

void httoken_output_record(const token_record_t *record, int json,
                           apr_pool_t *pool)
{
    static const char *const heads[COLUMNS] = {
        "id", "user", "client", "scope", "created", "expires", "last used",
        "state"
    };
    const char *cells[COLUMNS];
    int i;

    if (json) {
        httoken_output_json(make_object(record, pool));
        return;
    }
    fill_cells(cells, record, pool);
    for (i = 0; i < COLUMNS; i++) {
        printf("%-11s%s\n", heads[i], cells[i]);
    }
    if (record->networks[0]) {
        printf("%-11s%s\n", "networks", clean(record->networks, pool));
    }
    if (record->revoked_at) {
        printf("%-11s%s\n", "revoked", format_date(record->revoked_at, pool));
    }
}

void httoken_output_token(const char *token, const token_record_t *record,
                          int json, apr_pool_t *pool)
{
    const char *expires = format_date(record->expires_at, pool);

    if (json) {
        httoken_output_json(
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "token", token,
                      "id", record->id, "user", record->username,
                      "client", record->client, "scope", record->scope,
                      "networks", record->networks, "expires", expires));
        return;
    }
    puts(token);
    httoken_output_error("token %s of %s, good until %s; it is not shown "
                         "again", record->id,
                         clean(record->username, pool), expires);
}

void httoken_output_verdict(const char *id, const token_record_t *record,
                            const char *state, int json, apr_pool_t *pool)
{
    const char *user = record ? record->username : NULL;
    const char *networks = record ? record->networks : NULL;

    if (json) {
        httoken_output_json(json_pack("{s:o, s:o, s:o, s:s}",
                                      "id", make_text(id, pool),
                                      "user", make_text(user, pool),
                                      "networks", make_text(networks, pool),
                                      "state", state));
        return;
    }
    printf("%s  %s  %s", id ? id : "-", user ? clean(user, pool) : "-",
           state);
    if (networks && *networks) {
        printf("  %s", clean(networks, pool));
    }
    putchar('\n');
}
