/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What is asked of the table of tokens, and written to it: each an answer
 * or a change that is done whole or not at all. */
#ifndef TOKEN_LEDGER_H
#define TOKEN_LEDGER_H

#include "token_crypt.h"
#include "token_record.h"
#include "token_sql.h"
#include "token_store.h"

typedef enum {
    TOKEN_LEDGER_DONE = 0,
    TOKEN_LEDGER_NONE,          /* the database answered: no such row, or it
                                 * is not in the state that is needed */
    TOKEN_LEDGER_FULL,          /* the user has as many as he may have */
    TOKEN_LEDGER_REFUSED,       /* the token that asks is no longer good */
    TOKEN_LEDGER_DOWN           /* it did not answer; logged already */
} token_ledger_status_t;

/* How many tokens a user may have. */
typedef struct token_quota_t {
    int count;                  /* 0: no limit */
    int refuse;                 /* 1: no more; 0: the least recently used
                                 * are revoked */
} token_quota_t;

/* Finds the record of a key (see token_schema_key); its strings are from the
 * store's pool, its id is the digest's if the table has none. */
token_ledger_status_t token_ledger_find(
    const token_store_t *store, const char *key,
    const char digest[TOKEN_DIGEST_LEN + 1], token_record_t *record);

/* DONE: a user may use tokens, or nobody is asked about that; NONE, DOWN. */
token_ledger_status_t token_ledger_user(const token_store_t *store,
                                        const char *username);

/* Inserts a record: DONE, FULL, REFUSED or DOWN.  evicted is called with
 * each token that had to go for it.  This and a rotation are noted in the same
 * transaction: none is there without its row. */
token_ledger_status_t token_ledger_issue(
    const token_store_t *store, const char digest[TOKEN_DIGEST_LEN + 1],
    const token_record_t *record, const token_quota_t *quota,
    token_sql_each_t *evicted, void *baton);

/* Adds a user's only token to a table of another's, unless he has one; *key
 * is his, whoever added it.  NONE: there is no such user. */
token_ledger_status_t token_ledger_key(const token_store_t *store,
                                       const char *username,
                                       const char *drawn, const char **key);

/* Supersedes the token of a digest by an heir, of which digest, created_at
 * and expires_at are given; the rest is as before.  NONE: it has an heir
 * already, or cannot be used, or the token that asks cannot. */
token_ledger_status_t token_ledger_rotate(
    const token_store_t *store, const char digest[TOKEN_DIGEST_LEN + 1],
    const char heir_digest[TOKEN_DIGEST_LEN + 1],
    const token_record_t *heir);

/* Revokes a user's tokens by one of the statements that do so, behind any
 * rotation of his that is under way; revoked gets what there was
 * (token_record_t).  DONE, NONE when there was nothing, DOWN: it may have
 * happened or not. */
token_ledger_status_t token_ledger_revoke(
    const token_store_t *store, const char *username, token_sql_name_t name,
    const char **args, apr_array_header_t *revoked);

/* Notes what became of tokens (token_record_t), where that is wanted.  They
 * are so already: a failure is logged, and nothing else. */
void token_ledger_note(const token_store_t *store, const char *event,
                       const apr_array_header_t *records);

/* Runs a statement that answers records, with its arguments as token_sql
 * names them: DONE when there was one, NONE, or DOWN. */
token_ledger_status_t token_ledger_select(
    const token_store_t *store, token_sql_name_t name, const char **args,
    token_store_kind_t kind, token_sql_each_t *each, void *baton);

/* Runs one that changes rows: DONE when it did, NONE, or DOWN. */
token_ledger_status_t token_ledger_change(
    const token_store_t *store, token_sql_name_t name, const char **args,
    token_store_kind_t kind, int *rows);

#endif
