/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides where a digest lies and which one it takes the place of.  Whether a
 * token is good is not known here.
 *
 * There is no lock.  The words are atomics without an order among them, and
 * an entry bears the exclusive or of all it has: one that is read while
 * another is written in its place does not fit its MAC, and is none. */
#include <stdatomic.h>

#include <openssl/rand.h>

#include "apr_shm.h"
#include "apr_siphash.h"

#include "token_digests.h"
#include "token_text.h"

#define WAYS 8
#define DIGEST_WORDS 4

typedef _Atomic(apr_uint64_t) word_t;

typedef struct {
    apr_uint64_t half[2];
} mac_t;

typedef struct {
    word_t check;               /* a MAC's second half ^ the digest's words */
    word_t digest[DIGEST_WORDS];
} entry_t;

/* The first halves together: a cache line tells which entry to look at. */
typedef struct {
    word_t first[WAYS];         /* 0: empty */
    entry_t entry[WAYS];
} set_t;

struct token_digests_t {
    set_t *sets;
    apr_uint32_t count;
    unsigned char key[2][APR_SIPHASH_KSIZE];
};

apr_status_t token_digests_create(token_digests_t **digests,
                                  apr_uint32_t tokens, apr_pool_t *pool)
{
    token_digests_t *d = apr_pcalloc(pool, sizeof(*d));
    apr_shm_t *shm;
    apr_status_t rv;

    d->count = tokens / WAYS + 1;
    if (RAND_bytes((unsigned char *)d->key, sizeof(d->key)) != 1) {
        return APR_EGENERAL;
    }
    rv = apr_shm_create(&shm, (apr_size_t)d->count * sizeof(set_t) + 64,
                        NULL, pool);
    if (rv == APR_SUCCESS) {
        d->sets = (set_t *)APR_ALIGN((apr_uintptr_t)apr_shm_baseaddr_get(shm),
                                     64);
        *digests = d;
    }
    return rv;
}

static apr_uint64_t load(const word_t *word)
{
    return atomic_load_explicit((word_t *)word, memory_order_relaxed);
}

static void store(word_t *word, apr_uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static mac_t make_mac(const token_digests_t *digests, const char *text,
                      apr_size_t len)
{
    mac_t mac;
    int i;

    for (i = 0; i < 2; i++) {
        mac.half[i] = apr_siphash24(text, len, digests->key[i]);
    }
    return mac;
}

static set_t *find_set(const token_digests_t *digests, mac_t mac)
{
    return &digests->sets[(mac.half[0] >> 32) * digests->count >> 32];
}

/* Of the entry that has the first half, or of an empty one; else of one that
 * loses its place. */
static int choose_way(const set_t *set, mac_t mac)
{
    int empty = -1;
    int way;

    for (way = 0; way < WAYS; way++) {
        apr_uint64_t first = load(&set->first[way]);

        if (first == mac.half[0]) {
            return way;
        }
        if (!first && empty < 0) {
            empty = way;
        }
    }
    return empty >= 0 ? empty : (int)(mac.half[1] % WAYS);
}

static int read_entry(char out[TOKEN_DIGEST_LEN + 1], const entry_t *entry,
                      mac_t mac)
{
    apr_uint64_t check = load(&entry->check);
    int i;

    for (i = 0; i < DIGEST_WORDS; i++) {
        apr_uint64_t word = load(&entry->digest[i]);

        check ^= word;
        token_text_write_hex(out + 16 * i, word);
    }
    out[TOKEN_DIGEST_LEN] = '\0';
    return check == mac.half[1];
}

int token_digests_get(char out[TOKEN_DIGEST_LEN + 1],
                      const token_digests_t *digests,
                      const char *text, apr_size_t len)
{
    mac_t mac = make_mac(digests, text, len);
    const set_t *set = find_set(digests, mac);
    int way;

    for (way = 0; way < WAYS; way++) {
        if (load(&set->first[way]) == mac.half[0]
            && read_entry(out, &set->entry[way], mac)) {
            return 1;
        }
    }
    return 0;
}

void token_digests_put(token_digests_t *digests,
                       const char digest[TOKEN_DIGEST_LEN + 1],
                       const char *text, apr_size_t len)
{
    mac_t mac = make_mac(digests, text, len);
    set_t *set = find_set(digests, mac);
    int way = choose_way(set, mac);
    entry_t *entry = &set->entry[way];
    apr_uint64_t check = mac.half[1];
    int i;

    for (i = 0; i < DIGEST_WORDS; i++) {
        apr_uint64_t word = token_text_read_hex(digest + 16 * i);

        check ^= word;
        store(&entry->digest[i], word);
    }
    store(&entry->check, check);
    store(&set->first[way], mac.half[0]);
}
