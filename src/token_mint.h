/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A new token, from its random bits to the answer that shows it. */
#ifndef TOKEN_MINT_H
#define TOKEN_MINT_H

#include "httpd.h"

#include <jansson.h>

#include "token_ask.h"
#include "token_crypt.h"
#include "token_ledger.h"
#include "token_record.h"

typedef struct token_mint_t {
    char text[TOKEN_TEXT_MAX + 1];      /* the token; "" once it is wiped */
    char digest[TOKEN_DIGEST_LEN + 1];
    token_record_t record;
    const char *asker;          /* the digest of the token that asks for it
                                 * and must be good; NULL: none does */
} token_mint_t;

/* Makes the token, and its record as a login here would have it, but for
 * its scope.  OK, or 500 when OpenSSL fails, which is logged. */
int token_mint_make(request_rec *r, token_mint_t *mint,
                    const char *username, const token_ask_t *ask);

/* Stores it, and says so in the log; tokens that have to go for it are
 * revoked.  REFUSED: the asking one is not good any more. */
token_ledger_status_t token_mint_issue(request_rec *r, token_mint_t *mint);

/* Stores it as the heir of a token, whose properties it gets.  The id of old
 * is the whole digest.  latest is a moment that the heir must not outlive,
 * or 0.  NONE: that token has an heir already, or cannot be used. */
token_ledger_status_t token_mint_rotate(request_rec *r, token_mint_t *mint,
                                        const token_record_t *old,
                                        apr_int64_t latest);

/* The answer with the token, for this once.  NULL: no memory. */
json_t *token_mint_json(const token_mint_t *mint);

/* Overwrites the token. */
void token_mint_wipe(token_mint_t *mint);

#endif
