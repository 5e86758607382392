/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* One slot of the table: its words, who may write them, and how they are
 * read meanwhile.  For token_table alone, which decides what is in a slot.
 *
 * How it is read without a lock.  Each slot begins with a lock word: a
 * sequence number, and the process that is writing, or 0.  A writer puts
 * its number in by compare-and-swap, writes, and replaces it by the next
 * sequence number.  A reader takes the word, copies the slot, and takes the
 * word again: when both are the same and nobody was writing, the copy is
 * whole.  A reader never waits and never writes the lock word.
 *
 * Memory order.  All words of a slot are atomics.  The data are stored with
 * release and loaded with acquire: a reader that sees any word of a writer
 * therefore sees the lock word that writer had set before, so that its
 * second look at it differs.  (A fence would do on paper, but is unknown to
 * ThreadSanitizer; on x86 all of these are plain moves.)  Where a fill and
 * a revocation meet, each writes one word and then looks at the other's:
 * these are sequentially consistent, so that one of them sees the other.
 *
 * A writer that is killed leaves its process number in the lock word.  The
 * slot then reads as empty, until another writer finds that no such process
 * exists, takes it over, and empties it before anything else: half of it
 * may be another's.  A writer that merely sleeps is never robbed: it could
 * wake up and write into what is another's.  A revocation does not wait for
 * it either: it marks the lock word, and whoever finds the mark when he is
 * done throws away what he wrote.  So a number that is in use again costs
 * one slot for as long as that process lives, and nothing else. */
#ifndef TOKEN_SLOT_H
#define TOKEN_SLOT_H

#include <stdatomic.h>

#include "apr.h"

#include "token_crypt.h"
#include "token_record.h"

/* Bytes of a slot, and of the text of a record in it: its six strings with
 * their NULs. */
#define TOKEN_SLOT_SIZE 512
#define TOKEN_SLOT_TEXT 392

/* A token's digest, and the number of the database that knows it: two
 * virtual hosts with databases of their own never share a verdict. */
typedef struct token_key_t {
    apr_uint64_t digest[4];
    apr_uint32_t database;
} token_key_t;

typedef _Atomic(apr_uint64_t) token_word_t;

/* Else the compiler's library would lock them, for one process only. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && sizeof(token_word_t) == 8,
               "the processor has atomics of 64 bits");

/* The words of a slot.  One for an unknown token is the beginning of one
 * for a record. */
enum {
    TOKEN_SLOT_LOCK = 0,        /* void << 63 | writer's pid << 32
                                 * | sequence */
    TOKEN_SLOT_USED,            /* second of the last use, 0: none yet; not
                                 * under the lock */
    TOKEN_SLOT_KEY,
    TOKEN_SLOT_KIND = TOKEN_SLOT_KEY + 4,       /* kind << 32 | database */
    TOKEN_SLOT_CHECKED,
    TOKEN_SLOT_SHORT_WORDS,
    TOKEN_SLOT_GENERATION = TOKEN_SLOT_SHORT_WORDS,
    TOKEN_SLOT_RECORD,
    TOKEN_SLOT_SUPERSEDED = TOKEN_SLOT_RECORD + 2,
    TOKEN_SLOT_LAST_USE = TOKEN_SLOT_RECORD + 5,    /* see below */
    TOKEN_SLOT_TEXT_WORD,
    TOKEN_SLOT_WORDS = TOKEN_SLOT_SIZE / 8
};

/* The token's last use as its owner: second << 1 | whether its database is
 * still to be told.  Not under the lock: it is of one word. */
#define TOKEN_SLOT_UNTOLD ((apr_uint64_t)1)

/* Nobody asks when an unknown token was used. */
#define TOKEN_SLOT_SHORT_GENERATION TOKEN_SLOT_USED

enum {
    TOKEN_SLOT_EMPTY = 0,
    TOKEN_SLOT_LIVE,            /* has a record */
    TOKEN_SLOT_REVOKED,
    TOKEN_SLOT_UNKNOWN
};

/* In a lock word: what its writer writes is void. */
#define TOKEN_SLOT_VOID ((apr_uint64_t)1 << 63)

static inline apr_uint64_t token_slot_load(const token_word_t *word)
{
    return atomic_load_explicit((token_word_t *)word, memory_order_acquire);
}

static inline void token_slot_store(token_word_t *word, apr_uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static inline apr_uint64_t token_slot_kind(const token_word_t *slot)
{
    return token_slot_load(&slot[TOKEN_SLOT_KIND]) >> 32;
}

static inline int token_slot_is_locked(apr_uint64_t lock)
{
    return lock >> 32 != 0;
}

static inline int token_slot_has_key(const token_word_t *slot,
                                     const token_key_t *key)
{
    const token_word_t *words = &slot[TOKEN_SLOT_KEY];

    return token_slot_load(&words[0]) == key->digest[0]
        && token_slot_load(&words[1]) == key->digest[1]
        && token_slot_load(&words[2]) == key->digest[2]
        && token_slot_load(&words[3]) == key->digest[3]
        && (apr_uint32_t)token_slot_load(&words[4]) == key->database;
}

/* 1 when a living process is writing the slot. */
int token_slot_is_busy(const token_word_t *slot);

/* Takes a slot for writing, 0 when somebody else has it.  *held is what
 * token_slot_release() needs.  A dead writer's slot is emptied. */
int token_slot_take(token_word_t *slot, apr_uint64_t *held);

/* Takes a slot that has the key.  0: it has not, or somebody else is
 * writing it, and what he writes is void now.  Never waits: it tries again
 * only when another has just begun or ended. */
int token_slot_seize(token_word_t *slot, const token_key_t *key,
                     apr_uint64_t *held);

void token_slot_release(token_word_t *slot, apr_uint64_t held);

/* The following are for whoever holds the slot. */
void token_slot_empty(token_word_t *slot);
void token_slot_write_key(token_word_t *slot, const token_key_t *key,
                          apr_uint64_t kind);
void token_slot_write_record(token_word_t *slot, const token_record_t *record,
                             const char text[TOKEN_SLOT_TEXT]);

/* Before the key is written: a slot that has the key already may know of a
 * later use than the database does. */
void token_slot_write_uses(token_word_t *slot, const token_key_t *key,
                           const token_record_t *record);

/* 1 when the slot has a use that its database was not told of.  For
 * anybody. */
int token_slot_is_untold(const token_word_t *slot);

/* 1 when the slot has a use to tell that database of.  A key that is being
 * replaced meanwhile is none.  For anybody. */
int token_slot_read_untold(const token_word_t *slot, apr_uint32_t database,
                           token_key_t *key, apr_int64_t *used_at);

/* The digest in hex of a key. */
void token_slot_write_digest(char digest[TOKEN_DIGEST_LEN + 1],
                             const token_key_t *key);

/* Puts a record's strings one behind the other; 0 when they are too long. */
int token_slot_join_text(char text[TOKEN_SLOT_TEXT],
                         const token_record_t *record);

/* Copies the record of a slot; its strings will be in text.  0 when they
 * make no sense, which only a copy can that is not whole. */
int token_slot_read_record(token_record_t *record,
                           char text[TOKEN_SLOT_TEXT],
                           const token_word_t *slot);

#endif
