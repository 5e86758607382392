/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What the tests of one thread do with a table. */
#ifndef TABLE_SET_H
#define TABLE_SET_H

#include "apr_general.h"

#include "table.h"

static apr_pool_t *pool;

static inline token_table_t *make_table(apr_uint32_t slots)
{
    token_table_t *table = NULL;

    if (token_table_create(&table, slots, pool) != APR_SUCCESS) {
        printf("Bail out! no shared memory\n");
        exit(1);
    }
    return table;
}

static inline int put_with(token_table_t *table, apr_uint64_t n,
                           apr_uint64_t version, apr_int64_t when,
                           const token_ticket_t *ticket)
{
    token_key_t key;
    token_record_t record;
    strings_t strings;

    make_key(&key, n, 0);
    make_record(&record, &strings, n, version);
    return token_table_put(table, &key, ticket, &record, when);
}

static inline int put(token_table_t *table, apr_uint64_t n,
                      apr_uint64_t version, apr_int64_t when)
{
    token_ticket_t ticket;

    token_table_ticket(table, &ticket);
    return put_with(table, n, version, when, &ticket);
}

/* The version kept of n, -1 when the record is broken, -2 for a tombstone,
 * -3 for an unknown token, -4 for none. */
static inline apr_int64_t get(token_table_t *table, apr_uint64_t n)
{
    token_entry_t entry;
    token_key_t key;

    make_key(&key, n, 0);
    switch (token_table_get(table, &key, &entry)) {
    case TOKEN_TABLE_RECORD:
        return read_version(&entry.record, n);
    case TOKEN_TABLE_REVOKED:
        return -2;
    case TOKEN_TABLE_UNKNOWN:
        return -3;
    case TOKEN_TABLE_MISS:
        break;
    }
    return -4;
}

#define BROKEN -1
#define TOMBSTONE -2
#define UNKNOWN -3
#define NONE -4

static inline void bury(token_table_t *table, apr_uint64_t n, apr_int64_t now)
{
    token_key_t key;

    make_key(&key, n, 0);
    token_table_revoke(table, &key, now);
}

static inline apr_uint32_t count_used(const token_table_t *table)
{
    apr_uint32_t slots, used;

    token_table_count(table, &slots, &used);
    return used;
}

#endif
