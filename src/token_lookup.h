/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The verdict on a digest: from the shared table while that is fresh, else
 * from the database, and from the table again when that does not answer. */
#ifndef TOKEN_LOOKUP_H
#define TOKEN_LOOKUP_H

#include "httpd.h"

#include "token_crypt.h"
#include "token_record.h"
#include "token_schema.h"

typedef struct token_finding_t {
    token_verdict_t verdict;
    token_reason_t reason;      /* for TOKEN_DENIED */
    int wait;                   /* for TOKEN_THROTTLED: seconds */
    token_record_t record;      /* zeroed when none is known */
} token_finding_t;

/* A token, and in whose tables it would be. */
typedef struct token_sought_t {
    const char *text;
    const char *digest;         /* TOKEN_DIGEST_LEN digits */
    token_schema_t schema;
} token_sought_t;

/* Judges by the settings in force for r; strings are from pool. */
void token_lookup_find(request_rec *r, apr_pool_t *pool,
                       const token_sought_t *sought,
                       token_finding_t *finding);

#endif
