/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The input is what a database answers: a line is a row, '|' ends a column,
 * NULL is one, and ERROR cannot be read.  Each row becomes a record with the
 * row's own text; whatever its times are, they are judged without overflow,
 * and what stands as revoked or cannot be read is never good.
 *
 * apr_dbd is stood in for by the calls below: its drivers' struct is not
 * for others to fill. */
#include <stdlib.h>
#include <string.h>

#include "apr_strings.h"

#include "fuzz.h"
#include "token_record.h"
#include "token_sql.h"
#include "token_text.h"

#define ROWS 16
#define COLUMNS 14
#define NOW APR_INT64_C(1798041600)
#define LIFETIME ((apr_int64_t)30 * 86400)

enum { ID, USERNAME, CLIENT, SCOPE, NETWORKS, CREATED, EXPIRES, LAST_USED,
       SUPERSEDED, REVOKED, FAMILY, IDLE_TIMEOUT, NEEDED };

typedef struct {
    const char *column[ROWS][COLUMNS];
    int rows, columns;
    int at;                     /* the row that was got last, from 1 */
    char *lent;                 /* gone with the next call */
    int records;
} answer_t;

static answer_t answer;

/* --- apr_dbd --- */

int apr_dbd_prepare(const apr_dbd_driver_t *driver, apr_pool_t *pool,
                    apr_dbd_t *handle, const char *query, const char *label,
                    apr_dbd_prepared_t **statement)
{
    (void)driver, (void)pool, (void)handle, (void)query, (void)label;
    *statement = (apr_dbd_prepared_t *)&answer;
    return 0;
}

int apr_dbd_pselect(const apr_dbd_driver_t *driver, apr_pool_t *pool,
                    apr_dbd_t *handle, apr_dbd_results_t **results,
                    apr_dbd_prepared_t *statement, int random, int nargs,
                    const char **args)
{
    (void)driver, (void)pool, (void)handle, (void)random, (void)nargs;
    (void)args, (void)statement;
    *results = (apr_dbd_results_t *)&answer;
    return 0;
}

int apr_dbd_num_cols(const apr_dbd_driver_t *driver,
                     apr_dbd_results_t *results)
{
    (void)driver, (void)results;
    return answer.columns;
}

int apr_dbd_get_row(const apr_dbd_driver_t *driver, apr_pool_t *pool,
                    apr_dbd_results_t *results, apr_dbd_row_t **row,
                    int number)
{
    (void)driver, (void)pool, (void)results, (void)number;
    *row = (apr_dbd_row_t *)&answer;
    if (answer.at == answer.rows) {
        return -1;
    }
    answer.at++;
    return 0;
}

apr_status_t apr_dbd_datum_get(const apr_dbd_driver_t *driver,
                               apr_dbd_row_t *row, int column,
                               apr_dbd_type_e type, void *data)
{
    const char *text;

    (void)driver, (void)row, (void)type;
    HOLDS(column >= 0 && column < answer.columns,
          "a column asked for is there");
    text = answer.column[answer.at - 1][column];
    free(answer.lent);
    answer.lent = NULL;
    if (!text || strcmp(text, "NULL") == 0) {
        return APR_ENOENT;
    }
    if (strcmp(text, "ERROR") == 0) {
        return APR_EGENERAL;
    }
    answer.lent = strdup(text);
    *(const char **)data = answer.lent;
    return APR_SUCCESS;
}

/* --- what must come of it --- */

static int is_null(const char *text)
{
    return !text || strcmp(text, "NULL") == 0;
}

static int is_error(const char *text)
{
    return text && strcmp(text, "ERROR") == 0;
}

static void check_text(const char *got, const char *column)
{
    HOLDS(got, "a string is never NULL");
    HOLDS(strcmp(got, is_null(column) || is_error(column) ? "" : column)
          == 0, "a string is the column's");
}

/* Digits as a database writes a number in bounds. */
static int is_plain(const char *text)
{
    apr_size_t len = text ? strlen(text) : 0;

    return len > 0 && len <= 11 && strspn(text, "0123456789") == len
        && (text[0] != '0' || len == 1);
}

static void check_number(apr_int64_t got, const char *column)
{
    HOLDS(got >= 0 && got <= TOKEN_LAST_SECOND, "a number has its bounds");
    HOLDS(!is_plain(column) || got == strtoll(column, NULL, 10)
          || strtoll(column, NULL, 10) == 0, "a number is the column's");
    HOLDS(!is_null(column) || got == 0, "NULL is no number");
}

static void check_judgement(const token_record_t *record,
                            const char *const *column)
{
    static const apr_int64_t moments[] = { 0, NOW, TOKEN_LAST_SECOND };
    int i, is_bad = !is_null(column[REVOKED]);
    token_reason_t reason;

    for (i = 0; i < NEEDED; i++) {
        is_bad |= is_error(column[i]);
    }
    for (i = 0; i < 3; i++) {
        apr_int64_t now = moments[i];
        apr_int64_t end = token_record_heir_end(record, now, LIFETIME, 0);
        token_verdict_t verdict = token_record_judge(&reason, record, now,
                                                     60, 1);

        HOLDS(end > now && end <= now + LIFETIME, "an heir has its end");
        HOLDS(verdict == TOKEN_DENIED || now < record->expires_at,
              "what is granted has not ended");
        HOLDS(verdict == TOKEN_DENIED || !is_bad,
              "what is revoked, or cannot be read, is denied");
        HOLDS(is_null(column[SUPERSEDED]) || is_error(column[SUPERSEDED])
              || record->superseded_at > 0, "what is superseded is known so");
    }
}

static void check_record(void *baton, const token_record_t *record)
{
    const char *const *column = answer.column[answer.at - 1];

    (void)baton;
    answer.records++;
    HOLDS(answer.records == answer.at, "each row makes one record");
    check_text(record->id, column[ID]);
    check_text(record->username, column[USERNAME]);
    check_text(record->client, column[CLIENT]);
    check_text(record->scope, column[SCOPE]);
    check_text(record->networks, column[NETWORKS]);
    check_text(record->family, column[FAMILY]);
    check_number(record->created_at, column[CREATED]);
    check_number(record->expires_at, column[EXPIRES]);
    check_number(record->last_used_at, column[LAST_USED]);
    if (!is_error(column[SUPERSEDED])) {
        check_number(record->superseded_at, column[SUPERSEDED]);
    }
    check_number(record->idle_timeout, column[IDLE_TIMEOUT]);
    check_judgement(record, column);
}

static void read_answer(const unsigned char *data, size_t size,
                        apr_pool_t *pool)
{
    char *line;

    while (answer.rows < ROWS && (line = fuzz_line(&data, &size))) {
        int i = 0;

        while (line && i < COLUMNS) {
            char *bar = strchr(line, '|');

            answer.column[answer.rows][i++] =
                bar ? apr_pstrmemdup(pool, line, bar - line) : line;
            line = bar ? bar + 1 : NULL;
        }
        answer.columns = i > answer.columns ? i : answer.columns;
        answer.rows++;
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    apr_pool_t *pool = fuzz_begin();
    const char *args[] = { "" };
    token_sql_t sql;

    memset(&answer, 0, sizeof(answer));
    read_answer(data, size, pool);
    memset(&sql, 0, sizeof(sql));
    sql.dialect = token_dialect_find("sqlite3", TOKEN_SCHEMA_NATIVE);
    sql.prepared = apr_hash_make(pool);
    sql.pool = pool;
    HOLDS(token_sql_select(&sql, TOKEN_SQL_VALIDATE, args, check_record, NULL,
                           pool) == 0
          && answer.records == answer.rows, "all rows are read");
    free(answer.lent);
    fuzz_end();
    return 0;
}
