/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Keys and records for the tests of the table, all made of a number and a
 * version: whatever is read back can be checked against these two. */
#ifndef TABLE_H
#define TABLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "token_table.h"

#define NOW APR_INT64_C(1798041600)

/* Of a record: its strings. */
#define LAST_USED 1700000000

typedef struct {
    char username[128];
    char client[64];
    char scope[96];
    char networks[64];
    char id[17];
} strings_t;

static inline apr_uint64_t mix(apr_uint64_t x)
{
    x += APR_UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * APR_UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * APR_UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

static inline void make_key(token_key_t *key, apr_uint64_t n,
                            apr_uint32_t database)
{
    int i;

    for (i = 0; i < 4; i++) {
        key->digest[i] = mix(n * 4 + i);
    }
    key->database = database;
}

/* Versions from this one on are revoked. */
#define REVOKED 1000000000

/* The longer a string, the more words of a slot it takes. */
static inline void make_record(token_record_t *record, strings_t *s,
                               apr_uint64_t n, apr_uint64_t version)
{
    apr_uint64_t h = mix(mix(n) ^ version);
    int pad = (int)(h % 60);

    snprintf(s->username, sizeof(s->username), "%u/%u/%0*d", (unsigned)n,
             (unsigned)version, pad + 1, 0);
    snprintf(s->client, sizeof(s->client), "client %016llx",
             (unsigned long long)mix(h + 1));
    snprintf(s->scope, sizeof(s->scope), "scope %016llx %0*d",
             (unsigned long long)mix(h + 2), 60 - pad, 0);
    snprintf(s->networks, sizeof(s->networks), "net %016llx",
             (unsigned long long)mix(h + 3));
    snprintf(s->id, sizeof(s->id), "%016llx",
             (unsigned long long)mix(h + 4));
    record->username = s->username;
    record->client = s->client;
    record->scope = s->scope;
    record->networks = s->networks;
    record->id = s->id;
    record->created_at = (apr_int64_t)mix(h + 5);
    record->expires_at = (apr_int64_t)mix(h + 6);
    record->last_used_at = LAST_USED;   /* a slot keeps the latest */
    record->family = s->id;
    record->idle_timeout = (apr_int64_t)(mix(h + 7) >> 2);
    record->is_inactive = (int)(mix(h + 8) & 1);
    record->superseded_at = (apr_int64_t)mix(h + 8);
    record->revoked_at = version < REVOKED ? 0 : (apr_int64_t)mix(h + 9);
}

/* The version of a record of n, or -1 when it is not one of n's from its
 * first string to its last moment. */
static inline apr_int64_t read_version(const token_record_t *got,
                                       apr_uint64_t n)
{
    unsigned seen, version;
    token_record_t wanted;
    strings_t s;

    if (sscanf(got->username, "%u/%u/", &seen, &version) != 2
        || seen != n) {
        return -1;
    }
    make_record(&wanted, &s, n, version);
    return strcmp(got->username, wanted.username) == 0
        && strcmp(got->client, wanted.client) == 0
        && strcmp(got->scope, wanted.scope) == 0
        && strcmp(got->networks, wanted.networks) == 0
        && strcmp(got->id, wanted.id) == 0
        && got->created_at == wanted.created_at
        && got->expires_at == wanted.expires_at
        && got->last_used_at >= wanted.last_used_at
        && strcmp(got->family, wanted.family) == 0
        && got->idle_timeout == wanted.idle_timeout
        && got->is_inactive == wanted.is_inactive
        && got->superseded_at == wanted.superseded_at
        && got->revoked_at == wanted.revoked_at ? (apr_int64_t)version : -1;
}

#endif
