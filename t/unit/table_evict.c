/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What gives way when a set is full, and that a use is not forgotten. */
#include "table_set.h"
#include "tap.h"

/* Keeps n, if it is not there, and uses it as a good token. */
static void use_at(token_table_t *table, apr_uint64_t n, apr_int64_t second)
{
    token_entry_t entry;
    token_key_t key;

    if (get(table, n) != 1) {
        put(table, n, 1, NOW);
    }
    make_key(&key, n, 0);
    if (token_table_get(table, &key, &entry) == TOKEN_TABLE_RECORD) {
        token_table_use(&key, &entry, NOW, second);
    }
}

static void tell(token_table_t *table, apr_uint64_t n)
{
    token_key_t key;

    make_key(&key, n, 0);
    token_table_told(table, &key, NOW);
}

/* How many of the first records are there. */
static int count_kept(token_table_t *table, apr_uint64_t end)
{
    apr_uint64_t n;
    int kept = 0;

    for (n = 0; n < end; n++) {
        kept += get(table, n) == 1;
    }
    return kept;
}

static void test_eviction(tap_t *tap)
{
    token_table_t *table = make_table(8);
    apr_uint64_t n;

    for (n = 0; n < 8; n++) {
        use_at(table, n, NOW + (apr_int64_t)n);
    }
    tap_ok(tap, count_used(table) == 8, "a set is filled to its last slot");
    use_at(table, 0, NOW + 20);
    use_at(table, 8, NOW + 21);
    tap_ok(tap, get(table, 1) == NONE,
           "a full set gives up the record used least recently");
    tap_ok(tap, count_kept(table, 9) == 8, "and no other");
    use_at(table, 2, NOW + 22);
    for (n = 0; n < 9; n++) {
        tell(table, n == 3 ? 100 : n);
    }
    use_at(table, 9, NOW + 23);
    tell(table, 9);
    use_at(table, 10, NOW + 24);
    tap_ok(tap, get(table, 3) == 1 && get(table, 4) == NONE
                && get(table, 5) == NONE,
           "one whose use is still to be told is kept longer");
}

/* What was never good, however often it is shown. */
static void test_dead(tap_t *tap)
{
    token_table_t *table = make_table(8);
    apr_uint64_t n;

    for (n = 0; n < 7; n++) {
        use_at(table, n, NOW);
        tell(table, n);
    }
    for (n = 100; n < 1100; n++) {
        put(table, n, REVOKED, NOW + (apr_int64_t)n);
        get(table, n);
    }
    tap_ok(tap, get(table, 1099) == REVOKED, "a dead record is kept");
    tap_ok(tap, count_kept(table, 7) == 7,
           "a thousand of them drive no good one out");
    for (n = 100; n < 1100; n++) {
        use_at(table, 7, NOW + (apr_int64_t)n);
        put(table, n, REVOKED, NOW + (apr_int64_t)n);
        get(table, n);
    }
    tap_ok(tap, count_kept(table, 8) == 7,
           "and of a set that is full of good ones not more than one");
}

static void count_use(void *baton, const char *digest, apr_int64_t used_at)
{
    (void)digest;
    *(int *)baton += used_at == NOW;
}

static int count_untold(token_table_t *table)
{
    apr_uint32_t position = 0;
    int count = 0;

    token_table_untold(table, 0, &position, 100, count_use, &count);
    return count;
}

static void test_uses(tap_t *tap)
{
    token_table_t *table = make_table(8);
    token_record_t record;
    token_ticket_t ticket;
    strings_t strings;
    token_entry_t entry;
    token_key_t key;
    apr_uint64_t n;

    make_key(&key, 1, 0);
    put(table, 1, 1, NOW - 1);
    token_table_get(table, &key, &entry);
    token_table_use(&key, &entry, NOW, NOW);
    tap_ok(tap, count_untold(table) == 1, "a use is to be told");
    make_record(&record, &strings, 1, 2);
    record.last_used_at = NOW;
    token_table_ticket(table, &ticket);
    token_table_put(table, &key, &ticket, &record, NOW);
    tap_ok(tap, count_untold(table) == 1,
           "still, when an answer bears it that was merged with it");
    token_table_flush(table);
    for (n = 2; n < 9; n++) {
        put(table, n, 1, NOW);
    }
    tap_ok(tap, count_untold(table) == 1, "and when the table is flushed");
    put(table, 9, 1, NOW);
    tap_ok(tap, get(table, 9) == 1 && count_untold(table) == 1,
           "and when a record needs a slot");
    tell(table, 1);
    put(table, 10, 1, NOW);
    tap_ok(tap, get(table, 10) == 1 && count_used(table) == 8,
           "once told it keeps none from its slot");
}

int main(void)
{
    tap_t tap = { 0, 0 };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_eviction(&tap);
    test_dead(&tap);
    test_uses(&tap);
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_end(&tap);
}
