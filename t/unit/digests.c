/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What is remembered of a token is its digest or nothing, also while many
 * threads write into few places.
 *
 *   digests [MILLISECONDS] */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "apr_general.h"

#include "storm.h"
#include "tap.h"
#include "token_digests.h"
#include "token_text.h"

#define TOKENS 1000
#define RIVALS 24               /* for one set */

static token_digests_t *digests;
static apr_pool_t *pool;
static _Atomic(int) stop;
static _Atomic(apr_uint64_t) found, missed, wrong;

/* Any text and digest, each of its number alone. */
static apr_size_t make_pair(char text[40], char digest[TOKEN_DIGEST_LEN + 1],
                            unsigned n)
{
    int i;

    for (i = 0; i < 4; i++) {
        token_text_write_hex(digest + 16 * i, (n + 1)
                             * APR_UINT64_C(0x9E3779B97F4A7C15) >> i);
    }
    digest[TOKEN_DIGEST_LEN] = '\0';
    return (apr_size_t)snprintf(text, 40, "tok_%030u", n);
}

static void put(unsigned n)
{
    char text[40], digest[TOKEN_DIGEST_LEN + 1];
    apr_size_t len = make_pair(text, digest, n);

    token_digests_put(digests, digest, text, len);
}

/* 1: its own, 0: none, -1: another's. */
static int get(unsigned n)
{
    char text[40], wanted[TOKEN_DIGEST_LEN + 1], got[TOKEN_DIGEST_LEN + 1];
    apr_size_t len = make_pair(text, wanted, n);

    if (!token_digests_get(got, digests, text, len)) {
        return 0;
    }
    return strcmp(got, wanted) == 0 ? 1 : -1;
}

static void make(apr_uint32_t tokens)
{
    if (token_digests_create(&digests, tokens, pool) != APR_SUCCESS) {
        printf("Bail out! no shared memory\n");
        exit(1);
    }
}

static void test_one(tap_t *tap)
{
    char digest[TOKEN_DIGEST_LEN + 1], got[TOKEN_DIGEST_LEN + 1];
    char text[40];
    apr_size_t len = make_pair(text, digest, 7);

    make(16);
    tap_ok(tap, get(7) == 0, "an unknown token has no digest");
    put(7);
    tap_ok(tap, get(7) == 1, "a known token has its own");
    tap_ok(tap, !token_digests_get(got, digests, text, len - 1),
           "its beginning has none");
    tap_ok(tap, !token_digests_get(got, digests, text, len + 1),
           "with a NUL behind it it has none");
    make(16);
    tap_ok(tap, get(7) == 0, "what is made anew remembers nothing");
}

static void test_many(tap_t *tap)
{
    int count[3] = { 0, 0, 0 };
    unsigned n;

    make(TOKENS);
    for (n = 0; n < TOKENS; n++) {
        put(n);
    }
    for (n = 0; n < 2 * TOKENS; n++) {
        count[1 + get(n)]++;
    }
    tap_ok(tap, count[0] == 0, "of %d none has another's digest", TOKENS);
    tap_ok(tap, count[2] <= TOKENS && count[2] > TOKENS * 8 / 10,
           "most have their own: %d", count[2]);
    make(1);
    for (n = 0; n < TOKENS; n++) {
        put(n);
        count[0] += get(n) != 1;
    }
    tap_ok(tap, count[0] == 0, "in a full set the last one is remembered");
}

static void *work(void *baton)
{
    unsigned n = (unsigned)(size_t)baton;

    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        int got;

        n = n * 1103515245 + 12345;
        if (n >> 16 & 1) {
            put(n / 131072 % RIVALS);
            continue;
        }
        got = get(n / 131072 % RIVALS);
        atomic_fetch_add_explicit(got > 0 ? &found
                                      : got == 0 ? &missed : &wrong,
                                  1, memory_order_relaxed);
    }
    return NULL;
}

static void test_storm(tap_t *tap, int milliseconds)
{
    make(1);
    storm_run(work, &stop, milliseconds);
    tap_ok(tap, found > 0 && missed > 0, "digests come and go");
    tap_ok(tap, wrong == 0, "none is another's, or of two");
    printf("# %llu found, %llu missed, %llu wrong\n",
           (unsigned long long)found, (unsigned long long)missed,
           (unsigned long long)wrong);
}

int main(int argc, char **argv)
{
    tap_t tap = { 0, 0 };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_one(&tap);
    test_many(&tap);
    test_storm(&tap, argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1000);
    apr_pool_destroy(pool);
    return tap_end(&tap);
}
