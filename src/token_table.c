/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides where an entry lies, who may write it, and what is overwritten
 * when a set is full.  How fresh an entry must be is the reader's decision;
 * how a slot is read without a lock is told in token_slot.h. */
#include "apr_shm.h"

#include "token_slot.h"
#include "token_table.h"
#include "token_text.h"

#define WAYS 8
#define UNKNOWN_WAYS 8

/* Slots for unknown tokens, to one for a record. */
#define UNKNOWN_SHARE 4
#define UNKNOWN_MIN 1024

/* How often a reader looks at a slot that has its key and is being written:
 * far longer than a write takes, unless its writer was stopped in it. */
#define LOOKS 64

/* The second at which an entry was checked that is to be asked for again. */
#define LONG_AGO 0

/* A fill is thrown away for the revocation of a key that is the same modulo: */
#define STRIPES 1024

/* Slots that are counted for a status page, to stand for all. */
#define SAMPLE 65536

typedef struct {
    token_word_t epoch;         /* revocations so far */
    char apart[56];             /* a cache line each */
    token_word_t generation;    /* flushes so far */
    char end[56];
    token_word_t revoked[STRIPES]; /* the epoch of the last one; by the key */
} shared_t;

struct token_table_t {
    shared_t *shared;
    token_word_t *slots;
    token_word_t *unknown;
    apr_uint32_t sets;
    apr_uint32_t unknown_sets;
};

/* --- creation --- */

static apr_uint32_t count_sets(apr_uint32_t slots, apr_uint32_t ways)
{
    return (slots + ways - 1) / ways;
}

apr_status_t token_table_create(token_table_t **table, apr_uint32_t slots,
                                apr_pool_t *pool)
{
    token_table_t *t = apr_pcalloc(pool, sizeof(*t));
    apr_uint32_t unknown = slots / UNKNOWN_SHARE;
    apr_size_t size, unknown_size;
    apr_shm_t *shm;
    apr_status_t rv;
    char *base;

    if (slots > TOKEN_TABLE_MAX) {
        return APR_EINVAL;
    }
    t->sets = count_sets(slots ? slots : 1, WAYS);
    t->unknown_sets = count_sets(unknown < UNKNOWN_MIN ? UNKNOWN_MIN
                                                       : unknown,
                                 UNKNOWN_WAYS);
    size = (apr_size_t)t->sets * WAYS * TOKEN_SLOT_SIZE;
    unknown_size = (apr_size_t)t->unknown_sets * UNKNOWN_WAYS
        * TOKEN_SLOT_SHORT_WORDS * sizeof(token_word_t);
    /* Anonymous memory is zeroed: every slot is empty and free.  64 bytes
     * more, so that slots can begin with a cache line. */
    rv = apr_shm_create(&shm, sizeof(shared_t) + size + unknown_size + 64,
                        NULL, pool);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    base = apr_shm_baseaddr_get(shm);
    base += -(apr_uintptr_t)base & 63;
    t->shared = (shared_t *)base;
    t->slots = (token_word_t *)(base + sizeof(shared_t));
    t->unknown = (token_word_t *)(base + sizeof(shared_t) + size);
    *table = t;
    return APR_SUCCESS;
}

/* --- keys --- */

void token_table_key(token_key_t *key,
                     const char digest[TOKEN_DIGEST_LEN + 1],
                     apr_uint32_t database)
{
    int i;

    for (i = 0; i < 4; i++) {
        key->digest[i] = token_text_read_hex(digest + 16 * i);
    }
    key->database = database;
}

/* A digest is evenly spread already: 32 bits of it, scaled to the number of
 * sets, choose one. */
static apr_uint32_t choose_set(const token_key_t *key, apr_uint32_t sets)
{
    return (key->digest[0] >> 32) * sets >> 32;
}

static token_word_t *find_set(const token_table_t *table,
                              const token_key_t *key)
{
    return table->slots
        + (apr_size_t)choose_set(key, table->sets) * WAYS * TOKEN_SLOT_WORDS;
}

static token_word_t *find_unknown_set(const token_table_t *table,
                                      const token_key_t *key)
{
    return table->unknown
        + (apr_size_t)choose_set(key, table->unknown_sets) * UNKNOWN_WAYS
        * TOKEN_SLOT_SHORT_WORDS;
}

/* Where the last revocation of a key, or of one like it, is noted. */
static token_word_t *find_revoked(const token_table_t *table,
                                  const token_key_t *key)
{
    return &table->shared->revoked[key->digest[0] % STRIPES];
}

static apr_uint64_t get_generation(const token_table_t *table)
{
    return token_slot_load(&table->shared->generation);
}

/* --- reading --- */

static token_table_status_t read_slot(const token_table_t *table,
                                      const token_word_t *slot,
                                      token_entry_t *entry)
{
    if (token_slot_load(&slot[TOKEN_SLOT_GENERATION])
        != get_generation(table)) {
        return TOKEN_TABLE_MISS;
    }
    entry->checked_at = token_slot_load(&slot[TOKEN_SLOT_CHECKED]);
    switch (token_slot_kind(slot)) {
    case TOKEN_SLOT_REVOKED:
        return TOKEN_TABLE_REVOKED;
    case TOKEN_SLOT_LIVE:
        return token_slot_read_record(&entry->record, entry->text, slot)
            ? TOKEN_TABLE_RECORD : TOKEN_TABLE_MISS;
    default:
        return TOKEN_TABLE_MISS;
    }
}

/* One look at a slot: 0 when it has the key, but a writer came between. */
static int look_at_slot(const token_table_t *table, const token_word_t *slot,
                        const token_key_t *key, token_entry_t *entry,
                        token_table_status_t *status)
{
    apr_uint64_t lock = token_slot_load(&slot[TOKEN_SLOT_LOCK]);

    *status = TOKEN_TABLE_MISS;
    if (!token_slot_has_key(slot, key)) {
        return 1;
    }
    if (token_slot_is_locked(lock)) {
        return 0;
    }
    *status = read_slot(table, slot, entry);
    if (token_slot_load(&slot[TOKEN_SLOT_LOCK]) == lock) {
        return 1;
    }
    *status = TOKEN_TABLE_MISS;
    return 0;
}

static int is_unknown(const token_table_t *table, const token_key_t *key,
                      token_entry_t *entry)
{
    const token_word_t *slot = find_unknown_set(table, key);
    int way;

    for (way = 0; way < UNKNOWN_WAYS; way++, slot += TOKEN_SLOT_SHORT_WORDS) {
        apr_uint64_t lock = token_slot_load(&slot[TOKEN_SLOT_LOCK]);

        if (token_slot_is_locked(lock) || !token_slot_has_key(slot, key)
            || token_slot_kind(slot) != TOKEN_SLOT_UNKNOWN
            || token_slot_load(&slot[TOKEN_SLOT_SHORT_GENERATION])
               != get_generation(table)) {
            continue;
        }
        entry->checked_at = token_slot_load(&slot[TOKEN_SLOT_CHECKED]);
        if (token_slot_load(&slot[TOKEN_SLOT_LOCK]) == lock) {
            return 1;
        }
    }
    return 0;
}

token_table_status_t token_table_get(token_table_t *table,
                                     const token_key_t *key,
                                     token_entry_t *entry)
{
    token_word_t *slot = find_set(table, key);
    token_table_status_t status;
    int way, look;

    for (way = 0; way < WAYS; way++, slot += TOKEN_SLOT_WORDS) {
        for (look = 0; look < LOOKS; look++) {
            if (look_at_slot(table, slot, key, entry, &status)) {
                break;
            }
        }
        if (status == TOKEN_TABLE_MISS) {
            continue;
        }
        entry->slot = slot;
        return status;
    }
    return is_unknown(table, key, entry) ? TOKEN_TABLE_UNKNOWN
                                         : TOKEN_TABLE_MISS;
}

void token_table_use(const token_key_t *key, const token_entry_t *entry,
                     apr_int64_t now, apr_int64_t second)
{
    token_word_t *slot = entry->slot;

    /* It may have become another's since.  In the moment between this look
     * and the write that makes another token seem used: it is a second. */
    if (!token_slot_has_key(slot, key)) {
        return;
    }
    /* At most one write a second, whatever the requests: the cache line
     * stays shared among the processors. */
    if (token_slot_load(&slot[TOKEN_SLOT_USED]) != (apr_uint64_t)second) {
        token_slot_store(&slot[TOKEN_SLOT_USED], second);
    }
    if (entry->record.last_used_at < now) {
        token_slot_store(&slot[TOKEN_SLOT_LAST_USE],
                         (apr_uint64_t)now << 1 | TOKEN_SLOT_UNTOLD);
    }
}

/* --- writing --- */

void token_table_ticket(const token_table_t *table, token_ticket_t *ticket)
{
    ticket->epoch = atomic_load(&table->shared->epoch);
    ticket->generation = atomic_load(&table->shared->generation);
}

static int is_current(const token_table_t *table, const token_word_t *slot)
{
    return token_slot_kind(slot) != TOKEN_SLOT_EMPTY
        && token_slot_load(&slot[TOKEN_SLOT_GENERATION])
           == get_generation(table);
}

/* The lower, the sooner it goes: what is empty or flushed, then what was
 * never good, then what was used longest ago; last what has a use to be
 * told, for that is nowhere else. */
static apr_uint64_t weigh_slot(const token_table_t *table,
                               const token_word_t *slot)
{
    if (token_slot_kind(slot) == TOKEN_SLOT_EMPTY
        || token_slot_is_locked(token_slot_load(&slot[TOKEN_SLOT_LOCK]))) {
        return 0;
    }
    return (apr_uint64_t)token_slot_is_untold(slot) << 63
        | (is_current(table, slot)
               ? token_slot_load(&slot[TOKEN_SLOT_USED]) + 2 : 1);
}

/* The key's own slot, else the one least worth keeping. */
static token_word_t *choose_slot(const token_table_t *table,
                                 const token_key_t *key)
{
    token_word_t *slot = find_set(table, key);
    token_word_t *best = NULL;
    apr_uint64_t best_weight = 0;
    int way;

    for (way = 0; way < WAYS; way++, slot += TOKEN_SLOT_WORDS) {
        apr_uint64_t weight;

        if (token_slot_is_busy(slot)) {
            continue;
        }
        if (token_slot_has_key(slot, key)) {
            return slot;
        }
        weight = weigh_slot(table, slot);
        if (!best || weight < best_weight) {
            best = slot;
            best_weight = weight;
        }
    }
    return best;
}

/* 1 when the slot has a better answer: a tombstone that is not old, for
 * answers of a database come late and do not raise the dead; or a record
 * that was asked for later. */
static int has_better(const token_table_t *table, const token_word_t *slot,
                      const token_key_t *key, apr_int64_t checked_at)
{
    apr_int64_t later;

    if (!token_slot_has_key(slot, key) || !is_current(table, slot)) {
        return 0;
    }
    later = (apr_int64_t)(token_slot_load(&slot[TOKEN_SLOT_CHECKED])
                          - (apr_uint64_t)checked_at);
    return token_slot_kind(slot) == TOKEN_SLOT_REVOKED
        ? later > -TOKEN_TABLE_TOMBSTONE : later > 0;
}

/* 1 when an answer is not to be kept.  One that has the revocation is. */
static int is_overtaken(const token_table_t *table, const token_key_t *key,
                        const token_ticket_t *ticket,
                        const token_record_t *record, apr_int64_t checked_at)
{
    const token_word_t *slot = find_set(table, key);
    int way;

    for (way = 0; way < WAYS; way++, slot += TOKEN_SLOT_WORDS) {
        if (has_better(table, slot, key, checked_at)) {
            return 1;
        }
    }
    return (!record->revoked_at
            && atomic_load(find_revoked(table, key)) > ticket->epoch)
        || atomic_load(&table->shared->generation) != ticket->generation;
}

/* Two who fill at once can take two slots; one is enough. */
static void drop_copies(const token_table_t *table, const token_key_t *key,
                        const token_word_t *kept)
{
    token_word_t *slot = find_set(table, key);
    apr_uint64_t held;
    int way;

    for (way = 0; way < WAYS; way++, slot += TOKEN_SLOT_WORDS) {
        if (slot == kept || !token_slot_has_key(slot, key)
            || !token_slot_take(slot, &held)) {
            continue;
        }
        if (token_slot_has_key(slot, key)
            && token_slot_kind(slot) == TOKEN_SLOT_LIVE) {
            token_slot_empty(slot);
        }
        token_slot_release(slot, held);
    }
}

int token_table_put(token_table_t *table, const token_key_t *key,
                    const token_ticket_t *ticket,
                    const token_record_t *record, apr_int64_t checked_at)
{
    char text[TOKEN_TABLE_TEXT];
    apr_uint64_t held;
    token_word_t *slot;
    int kept;

    if (!token_slot_join_text(text, record)) {
        return 1;
    }
    slot = choose_slot(table, key);
    if (!slot || !token_slot_take(slot, &held)) {
        return 0;
    }
    kept = !is_overtaken(table, key, ticket, record, checked_at);
    if (kept) {
        token_slot_write_uses(slot, key, record);
        token_slot_write_key(slot, key, TOKEN_SLOT_LIVE);
        token_slot_store(&slot[TOKEN_SLOT_CHECKED], checked_at);
        token_slot_store(&slot[TOKEN_SLOT_GENERATION], ticket->generation);
        token_slot_write_record(slot, record, text);
        /* The last look before others can see it.  A revocation notes its
         * epoch first and looks at the slots then: either that is seen
         * here, or it sees this slot taken, and makes it void. */
        kept = !is_overtaken(table, key, ticket, record, checked_at);
        if (!kept) {
            token_slot_empty(slot);
        }
    }
    token_slot_release(slot, held);
    if (kept) {
        drop_copies(table, key, slot);
    }
    return 0;
}

/* Counts a revocation.  Its number is noted where fills of the key look;
 * one whose ticket has this number or a higher one asked later. */
static void count_revocation(const token_table_t *table,
                             const token_key_t *key)
{
    token_word_t *revoked = find_revoked(table, key);
    apr_uint64_t number = atomic_fetch_add(&table->shared->epoch, 1) + 1;
    apr_uint64_t seen = atomic_load(revoked);

    while (seen < number
           && !atomic_compare_exchange_weak(revoked, &seen, number)) {
        continue;
    }
}

void token_table_revoke(token_table_t *table, const token_key_t *key,
                        apr_int64_t now)
{
    token_word_t *slot = find_set(table, key);
    apr_uint64_t held;
    int way;

    count_revocation(table, key);
    for (way = 0; way < WAYS; way++, slot += TOKEN_SLOT_WORDS) {
        if (!token_slot_seize(slot, key, &held)) {
            continue;
        }
        token_slot_write_key(slot, key, TOKEN_SLOT_REVOKED);
        token_slot_store(&slot[TOKEN_SLOT_CHECKED], now);
        token_slot_store(&slot[TOKEN_SLOT_GENERATION],
                         get_generation(table));
        token_slot_store(&slot[TOKEN_SLOT_USED], now);
        token_slot_release(slot, held);
    }
    /* Where there was no record none is buried: many revocations would push
     * out the living, and an answer under way is stopped by the epoch. */
}

void token_table_forget(token_table_t *table, const token_key_t *key,
                        apr_int64_t superseded_at)
{
    token_word_t *slot = find_set(table, key);
    apr_uint64_t held;
    int way;

    count_revocation(table, key);
    for (way = 0; way < WAYS; way++, slot += TOKEN_SLOT_WORDS) {
        if (!token_slot_seize(slot, key, &held)) {
            continue;
        }
        if (token_slot_kind(slot) == TOKEN_SLOT_LIVE
            && (!superseded_at
                || token_slot_load(&slot[TOKEN_SLOT_SUPERSEDED])
                       != (apr_uint64_t)superseded_at)) {
            /* What it knows of the last use stays. */
            token_slot_store(&slot[TOKEN_SLOT_CHECKED], LONG_AGO);
        }
        token_slot_release(slot, held);
    }
}

void token_table_flush(token_table_t *table)
{
    atomic_fetch_add(&table->shared->generation, 1);
}

/* --- unknown tokens --- */

static token_word_t *choose_unknown_slot(const token_table_t *table,
                                         const token_key_t *key)
{
    token_word_t *slot = find_unknown_set(table, key);
    token_word_t *best = NULL;
    apr_uint64_t oldest = 0;
    int way;

    for (way = 0; way < UNKNOWN_WAYS; way++, slot += TOKEN_SLOT_SHORT_WORDS) {
        apr_uint64_t checked = token_slot_load(&slot[TOKEN_SLOT_CHECKED]);

        if (token_slot_is_busy(slot)) {
            continue;
        }
        if (token_slot_has_key(slot, key)) {
            return slot;
        }
        if (!best || checked < oldest) {
            best = slot;
            oldest = checked;
        }
    }
    return best;
}

void token_table_put_unknown(token_table_t *table, const token_key_t *key,
                             apr_int64_t checked_at)
{
    token_word_t *slot = choose_unknown_slot(table, key);
    apr_uint64_t held;

    if (slot && token_slot_take(slot, &held)) {
        token_slot_write_key(slot, key, TOKEN_SLOT_UNKNOWN);
        token_slot_store(&slot[TOKEN_SLOT_CHECKED], checked_at);
        token_slot_store(&slot[TOKEN_SLOT_SHORT_GENERATION],
                         get_generation(table));
        token_slot_release(slot, held);
    }
}

void token_table_forget_unknown(token_table_t *table,
                                const token_key_t *key)
{
    token_word_t *slot = find_unknown_set(table, key);
    apr_uint64_t held;
    int way;

    for (way = 0; way < UNKNOWN_WAYS; way++, slot += TOKEN_SLOT_SHORT_WORDS) {
        if (token_slot_seize(slot, key, &held)) {
            token_slot_empty(slot);
            token_slot_store(&slot[TOKEN_SLOT_CHECKED], 0);
            token_slot_release(slot, held);
        }
    }
}

/* --- what databases are told --- */

int token_table_untold(token_table_t *table, apr_uint32_t database,
                       apr_uint32_t *position, int max,
                       token_table_use_t *each, void *baton)
{
    apr_uint32_t slots = table->sets * WAYS;
    char digest[TOKEN_DIGEST_LEN + 1];
    token_key_t key;
    apr_int64_t used_at;

    for (; *position < slots; ++*position) {
        const token_word_t *slot = table->slots
            + (apr_size_t)*position * TOKEN_SLOT_WORDS;

        if (!token_slot_read_untold(slot, database, &key, &used_at)) {
            continue;
        }
        if (max-- == 0) {
            return 1;
        }
        token_slot_write_digest(digest, &key);
        each(baton, digest, used_at);
    }
    return 0;
}

void token_table_told(token_table_t *table, const token_key_t *key,
                      apr_int64_t used_at)
{
    token_word_t *slot = find_set(table, key);
    int way;

    for (way = 0; way < WAYS; way++, slot += TOKEN_SLOT_WORDS) {
        apr_uint64_t use = (apr_uint64_t)used_at << 1 | TOKEN_SLOT_UNTOLD;

        /* Not when it was used again meanwhile. */
        if (token_slot_has_key(slot, key)) {
            atomic_compare_exchange_strong(&slot[TOKEN_SLOT_LAST_USE], &use,
                                           use & ~TOKEN_SLOT_UNTOLD);
        }
    }
}

/* --- the status page --- */

void token_table_count(const token_table_t *table, apr_uint32_t *slots,
                       apr_uint32_t *used)
{
    const token_word_t *slot = table->slots;
    apr_uint32_t sample, i;
    apr_uint64_t found = 0;

    *slots = table->sets * WAYS;
    sample = *slots < SAMPLE ? *slots : SAMPLE;
    for (i = 0; i < sample; i++, slot += TOKEN_SLOT_WORDS) {
        found += is_current(table, slot);
    }
    *used = sample ? (apr_uint32_t)(found * *slots / sample) : 0;
}
