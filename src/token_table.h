/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The shared-memory table of checked tokens: one for all children of an
 * httpd, read without a lock.  It has two parts: records of tokens that
 * exist, and names of well-formed tokens that do not, which can never push
 * out the former.  It knows no clock and no database: whoever fills it says
 * when he asked, whoever reads it decides how long that is good. */
#ifndef TOKEN_TABLE_H
#define TOKEN_TABLE_H

#include "apr_pools.h"

#include "token_crypt.h"
#include "token_record.h"
#include "token_slot.h"

/* Slots a table may have; 0 switches it off. */
#define TOKEN_TABLE_MAX 4194304

typedef struct token_table_t token_table_t;

typedef enum {
    TOKEN_TABLE_MISS = 0,
    TOKEN_TABLE_RECORD,     /* a record is there */
    TOKEN_TABLE_REVOKED,    /* it was revoked: a tombstone is there */
    TOKEN_TABLE_UNKNOWN     /* the database had no such token */
} token_table_status_t;

/* What a record may have of text; a slot has it. */
#define TOKEN_TABLE_TEXT TOKEN_SLOT_TEXT

/* What was found; the record's strings are in text. */
typedef struct token_entry_t {
    token_record_t record;
    apr_int64_t checked_at; /* the second its database was asked, of a
                             * clock that is never set, like all others but
                             * those of its uses */
    void *slot;             /* for token_table_use() */
    char text[TOKEN_TABLE_TEXT];
} token_entry_t;

/* Taken before a database is asked, given back with its answer: an answer
 * that a revocation has overtaken is not kept. */
typedef struct token_ticket_t {
    apr_uint64_t epoch;
    apr_uint64_t generation;
} token_ticket_t;

/* Makes a table in anonymous shared memory, freed with pool; children
 * inherit it.  slots is rounded up to a whole number of sets.  APR_EINVAL:
 * more than TOKEN_TABLE_MAX. */
apr_status_t token_table_create(token_table_t **table, apr_uint32_t slots,
                                apr_pool_t *pool);

/* The key of a digest in hex. */
void token_table_key(token_key_t *key,
                     const char digest[TOKEN_DIGEST_LEN + 1],
                     apr_uint32_t database);

/* Looks a key up.  entry is filled for RECORD; of the others only
 * checked_at. */
token_table_status_t token_table_get(token_table_t *table,
                                     const token_key_t *key,
                                     token_entry_t *entry);

/* Notes that the entry, as found by token_table_get(), was good and used by
 * the token's owner, at a moment that is told once, and a second by which it
 * is kept longer than what was used before.  What is never used so is the
 * first to give way. */
void token_table_use(const token_key_t *key, const token_entry_t *entry,
                     apr_int64_t now, apr_int64_t second);

void token_table_ticket(const token_table_t *table, token_ticket_t *ticket);

/* Seconds for which a tombstone stands against whatever a database says. */
#define TOKEN_TABLE_TOMBSTONE 300

/* Keeps a record under the key.  0: it is kept, or another was faster, or
 * a revocation or flush has overtaken it; 1: its strings are too long for a
 * slot. */
int token_table_put(token_table_t *table, const token_key_t *key,
                    const token_ticket_t *ticket,
                    const token_record_t *record, apr_int64_t checked_at);

/* Keeps that there is no such token. */
void token_table_put_unknown(token_table_t *table, const token_key_t *key,
                             apr_int64_t checked_at);

/* A token is issued now: forget that there was none. */
void token_table_forget_unknown(token_table_t *table,
                                const token_key_t *key);

/* A token is revoked, after its database knows: no child answers by its
 * record from here on, nor by an answer that is still under way.  It waits
 * for nobody. */
void token_table_revoke(token_table_t *table, const token_key_t *key,
                        apr_int64_t now);

/* A token is no longer what its record says, but good: it is asked of the
 * database again, and answers under way are not kept.  superseded_at: what
 * is known of it, and a record that says so, too, stays; 0: nothing is. */
void token_table_forget(token_table_t *table, const token_key_t *key,
                        apr_int64_t superseded_at);

/* Called with uses that a database was not told of yet: digests of
 * TOKEN_DIGEST_LEN digits in hex, and seconds. */
typedef void token_table_use_t(void *baton, const char *digest,
                               apr_int64_t used_at);

/* Goes through the slots from *position on, names up to max uses, and leaves
 * *position where to go on; 0 when it has come to the end. */
int token_table_untold(token_table_t *table, apr_uint32_t database,
                       apr_uint32_t *position, int max,
                       token_table_use_t *each, void *baton);

/* A database was told of a use. */
void token_table_told(token_table_t *table, const token_key_t *key,
                      apr_int64_t used_at);

/* Forgets everything. */
void token_table_flush(token_table_t *table);

/* For a status page: slots, and how many have a record or a tombstone; of
 * a large table an estimate. */
void token_table_count(const token_table_t *table, apr_uint32_t *slots,
                       apr_uint32_t *used);

#endif
