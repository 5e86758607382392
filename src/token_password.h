/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Whether a password is the one that a hash of Django's was made of.  Knows
 * no database, no user, no request and no log. */
#ifndef TOKEN_PASSWORD_H
#define TOKEN_PASSWORD_H

#include "apr.h"

/* Work is counted in iterations of pbkdf2_sha256: so many has the default
 * hash of Django 5.2, and the default hash of each other kind (bcrypt 12,
 * scrypt 16384:8:5, argon2 of 100 MiB twice) counts as much. */
#define TOKEN_PASSWORD_WORK 1000000

/* A hash that would cost more is not computed: a row must not hold a worker
 * or take the host's memory. */
#define TOKEN_PASSWORD_WORK_MAX (10 * TOKEN_PASSWORD_WORK)
#define TOKEN_PASSWORD_MEMORY_MAX ((apr_uint64_t)256 * 1024 * 1024)

/* Bytes of the longest hash that is read; Django's column has 128. */
#define TOKEN_PASSWORD_HASH_MAX 512

typedef enum {
    TOKEN_HASH_DIFFERS = 0,     /* it is another password's */
    TOKEN_HASH_MATCHES,
    TOKEN_HASH_UNUSABLE,        /* "!...": nobody has a password for it */
    TOKEN_HASH_MALFORMED,       /* no hash that Django writes, or none */
    TOKEN_HASH_COSTLY,          /* beyond the limits above */
    TOKEN_HASH_LACKING,         /* argon2, and built without it */
    TOKEN_HASH_FAILED           /* no memory, or a library refuses: nobody
                                 * can tell */
} token_hash_t;

/* Compares as Django does: what Django's own spelling of the hash would not
 * be is never equal.  *work is what was done: near nothing for the fast
 * hashes, and nothing for any result but DIFFERS and MATCHES.  bcrypt sees
 * the first 72 bytes of a password only, as with Django. */
token_hash_t token_password_check(const char *encoded, const char *password,
                                  apr_uint32_t *work);

/* Does the work that is missing to a default hash, so that all refusals
 * take the time of one.  work: what was done already. */
void token_password_spend(const char *password, apr_uint32_t work);

#endif
