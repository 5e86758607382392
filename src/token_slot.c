/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides who may write a slot, and what becomes of one whose writer died
 * or was overtaken by a revocation.  What is written is token_table's
 * matter. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "token_slot.h"
#include "token_text.h"

#define TEXT_WORDS (TOKEN_SLOT_TEXT / 8)

_Static_assert(TOKEN_SLOT_TEXT_WORD + TEXT_WORDS <= TOKEN_SLOT_WORDS,
               "a record's text fits its slot");
_Static_assert(TOKEN_SLOT_TEXT % 8 == 0, "a text has whole words");
_Static_assert(TOKEN_SLOT_SHORT_WORDS == 8,
               "an unknown token has a cache line");

/* --- who may write --- */

/* Children are forked after the table is made, so it is asked each time a
 * slot is written: a system call, beside a question to a database. */
static apr_uint64_t get_self(void)
{
    return (apr_uint64_t)(apr_uint32_t)getpid() << 32;
}

/* 1 when the process in a lock word is no more.  One that may not be asked
 * (EPERM: httpd's children can have users of their own) lives. */
static int is_dead(apr_uint64_t lock)
{
    return kill((pid_t)((lock & ~TOKEN_SLOT_VOID) >> 32), 0) == -1
        && errno == ESRCH;
}

int token_slot_is_busy(const token_word_t *slot)
{
    apr_uint64_t lock = token_slot_load(&slot[TOKEN_SLOT_LOCK]);

    return token_slot_is_locked(lock) && !is_dead(lock);
}

int token_slot_take(token_word_t *slot, apr_uint64_t *held)
{
    apr_uint64_t seen = token_slot_load(&slot[TOKEN_SLOT_LOCK]);
    int was_locked = token_slot_is_locked(seen);

    if (was_locked && !is_dead(seen)) {
        return 0;
    }
    /* What a dead writer left has a sequence number of its own. */
    *held = get_self() | (apr_uint32_t)(seen + was_locked);
    if (!atomic_compare_exchange_strong(&slot[TOKEN_SLOT_LOCK], &seen,
                                        *held)) {
        return 0;
    }
    if (was_locked) {
        token_slot_empty(slot);
    }
    return 1;
}

int token_slot_seize(token_word_t *slot, const token_key_t *key,
                     apr_uint64_t *held)
{
    apr_uint64_t seen = atomic_load(&slot[TOKEN_SLOT_LOCK]);

    do {
        if (!token_slot_is_locked(seen) && !token_slot_has_key(slot, key)) {
            return 0;
        }
        *held = seen | (token_slot_is_locked(seen) ? TOKEN_SLOT_VOID
                                                   : get_self());
    } while (!atomic_compare_exchange_strong(&slot[TOKEN_SLOT_LOCK], &seen,
                                             *held));
    return !token_slot_is_locked(seen);
}

/* Only a revocation changes the lock word of another's slot.  A tombstone
 * can stay whatever was revoked meanwhile. */
void token_slot_release(token_word_t *slot, apr_uint64_t held)
{
    apr_uint64_t next = (apr_uint32_t)(held + 1);

    if (atomic_compare_exchange_strong(&slot[TOKEN_SLOT_LOCK], &held,
                                       next)) {
        return;
    }
    if (token_slot_kind(slot) != TOKEN_SLOT_REVOKED) {
        token_slot_empty(slot);
    }
    token_slot_store(&slot[TOKEN_SLOT_LOCK], next);
}

/* --- what is written --- */

void token_slot_empty(token_word_t *slot)
{
    token_slot_store(&slot[TOKEN_SLOT_KIND], 0);
    token_slot_store(&slot[TOKEN_SLOT_KEY], 0);
}

void token_slot_write_key(token_word_t *slot, const token_key_t *key,
                          apr_uint64_t kind)
{
    int i;

    for (i = 0; i < 4; i++) {
        token_slot_store(&slot[TOKEN_SLOT_KEY + i], key->digest[i]);
    }
    token_slot_store(&slot[TOKEN_SLOT_KIND], kind << 32 | key->database);
}

/* Writes the strings in the order of split_text(). */
int token_slot_join_text(char text[TOKEN_SLOT_TEXT],
                         const token_record_t *record)
{
    const char *strings[] = {
        record->username, record->client, record->scope, record->networks,
        record->id, record->family
    };
    apr_size_t have = 0;
    unsigned i;

    memset(text, 0, TOKEN_SLOT_TEXT);
    for (i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        apr_size_t len = strlen(strings[i]) + 1;

        if (len > TOKEN_SLOT_TEXT - have) {
            return 0;
        }
        memcpy(text + have, strings[i], len);
        have += len;
    }
    return 1;
}

void token_slot_write_record(token_word_t *slot,
                             const token_record_t *record,
                             const char text[TOKEN_SLOT_TEXT])
{
    token_word_t *words = &slot[TOKEN_SLOT_RECORD];
    int i;

    token_slot_store(&words[0], record->created_at);
    token_slot_store(&words[1], record->expires_at);
    token_slot_store(&words[2], record->superseded_at);
    token_slot_store(&words[3], record->revoked_at);
    token_slot_store(&words[4], (apr_uint64_t)record->idle_timeout << 1
                                | (record->is_inactive > 0));
    for (i = 0; i < TEXT_WORDS; i++) {
        apr_uint64_t word;

        memcpy(&word, text + 8 * i, 8);
        token_slot_store(&slot[TOKEN_SLOT_TEXT_WORD + i], word);
    }
}

void token_slot_write_uses(token_word_t *slot, const token_key_t *key,
                           const token_record_t *record)
{
    apr_uint64_t known = token_slot_load(&slot[TOKEN_SLOT_LAST_USE]);
    int is_same = token_slot_has_key(slot, key)
        && token_slot_kind(slot) == TOKEN_SLOT_LIVE;

    if (!is_same) {
        token_slot_store(&slot[TOKEN_SLOT_USED], 0);
    }
    if (!is_same || (apr_int64_t)(known >> 1) < record->last_used_at) {
        token_slot_store(&slot[TOKEN_SLOT_LAST_USE],
                         (apr_uint64_t)record->last_used_at << 1);
    }
}

/* --- what is read --- */

/* A copy that is not whole is thrown away later, but must not be read past
 * its end before. */
static int split_text(token_record_t *record,
                      const char text[TOKEN_SLOT_TEXT])
{
    const char **strings[] = {
        &record->username, &record->client, &record->scope,
        &record->networks, &record->id, &record->family
    };
    const char *s = text;
    const char *end = text + TOKEN_SLOT_TEXT;
    unsigned i;

    for (i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        const char *nul = memchr(s, '\0', end - s);

        if (!nul) {
            return 0;
        }
        *strings[i] = s;
        s = nul + 1;
    }
    return 1;
}

int token_slot_read_record(token_record_t *record,
                           char text[TOKEN_SLOT_TEXT],
                           const token_word_t *slot)
{
    const token_word_t *words = &slot[TOKEN_SLOT_RECORD];
    int i;

    record->created_at = token_slot_load(&words[0]);
    record->expires_at = token_slot_load(&words[1]);
    record->superseded_at = token_slot_load(&words[2]);
    record->revoked_at = token_slot_load(&words[3]);
    record->idle_timeout = token_slot_load(&words[4]) >> 1;
    record->is_inactive = token_slot_load(&words[4]) & 1;
    record->last_used_at = token_slot_load(&slot[TOKEN_SLOT_LAST_USE]) >> 1;
    for (i = 0; i < TEXT_WORDS; i++) {
        apr_uint64_t word = token_slot_load(&slot[TOKEN_SLOT_TEXT_WORD + i]);

        memcpy(text + 8 * i, &word, 8);
    }
    return split_text(record, text);
}

void token_slot_write_digest(char digest[TOKEN_DIGEST_LEN + 1],
                             const token_key_t *key)
{
    int i;

    for (i = 0; i < 4; i++) {
        token_text_write_hex(digest + 16 * i, key->digest[i]);
    }
    digest[TOKEN_DIGEST_LEN] = '\0';
}

int token_slot_is_untold(const token_word_t *slot)
{
    return token_slot_kind(slot) == TOKEN_SLOT_LIVE
        && (token_slot_load(&slot[TOKEN_SLOT_LAST_USE]) & TOKEN_SLOT_UNTOLD);
}

int token_slot_read_untold(const token_word_t *slot, apr_uint32_t database,
                           token_key_t *key, apr_int64_t *used_at)
{
    apr_uint64_t lock = token_slot_load(&slot[TOKEN_SLOT_LOCK]);
    apr_uint64_t use = token_slot_load(&slot[TOKEN_SLOT_LAST_USE]);
    apr_uint64_t kind = token_slot_load(&slot[TOKEN_SLOT_KIND]);
    int i;

    if (!(use & TOKEN_SLOT_UNTOLD) || token_slot_is_locked(lock)
        || kind != ((apr_uint64_t)TOKEN_SLOT_LIVE << 32 | database)) {
        return 0;
    }
    for (i = 0; i < 4; i++) {
        key->digest[i] = token_slot_load(&slot[TOKEN_SLOT_KEY + i]);
    }
    key->database = database;
    *used_at = use >> 1;
    return token_slot_load(&slot[TOKEN_SLOT_LOCK]) == lock;
}
