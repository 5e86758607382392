/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What is known of one issued token, and the rules by which it is good or
 * not at a given moment.  No clock, no database, no request. */
#ifndef TOKEN_RECORD_H
#define TOKEN_RECORD_H

#include "apr_pools.h"

/* Moments are whole seconds since 1970; 0 stands for "has not happened".
 * The strings belong to whoever filled the record and are never NULL. */
typedef struct token_record_t {
    const char *id;             /* public name, TOKEN_ID_LEN hex digits */
    const char *username;       /* the owner, REMOTE_USER */
    const char *client;         /* which of his programs it was given to */
    const char *scope;          /* words separated by one blank, or "" */
    const char *networks;       /* where it is good, see token_network;
                                 * "" is everywhere */
    const char *family;         /* id of the token that the chain of
                                 * rotations began with */
    apr_int64_t created_at;
    apr_int64_t expires_at;     /* the first second it is no longer good */
    apr_int64_t last_used_at;
    apr_int64_t superseded_at;  /* rotated away; it has an heir */
    apr_int64_t revoked_at;
    apr_int64_t idle_timeout;   /* seconds it may be unused; 0: no limit */
    int is_inactive;            /* 1: its owner may use none; -1: not said */
} token_record_t;

/* A decision about a credential.  Zero is the refusal. */
typedef enum {
    TOKEN_DENIED = 0,
    TOKEN_GRANTED,
    TOKEN_UNAVAILABLE,          /* it could not be asked: not a refusal */
    TOKEN_THROTTLED             /* it was not asked: too many bad ones */
} token_verdict_t;

/* Why a credential was denied. */
typedef enum {
    TOKEN_REASON_NONE = 0,
    TOKEN_REASON_MALFORMED,     /* not a token at all */
    TOKEN_REASON_UNKNOWN,       /* never issued, or its row is gone */
    TOKEN_REASON_EXPIRED,
    TOKEN_REASON_REVOKED,
    TOKEN_REASON_REUSE,         /* rotated away, and used after the grace */
    TOKEN_REASON_NETWORK,       /* used from outside its networks */
    TOKEN_REASON_PASSWORD,      /* Basic with a wrong name or password */
    TOKEN_REASON_SCOPE,         /* a good token, for other things */
    TOKEN_REASON_INACTIVE,      /* its owner may use none (any more) */
    TOKEN_REASONS
} token_reason_t;

/* The word for logs and TOKEN_REASON, e.g. "expired". */
const char *token_reason_name(token_reason_t reason);

/* Judges the record at the second now; *reason says why it is denied.
 * Pass NULL for a token that no record was found of.  grace is how many
 * seconds a superseded token is still good; is_inside is 1 when the record
 * names no networks, or they hold the client's address. */
token_verdict_t token_record_judge(token_reason_t *reason,
                                   const token_record_t *record,
                                   apr_int64_t now, apr_int64_t grace,
                                   int is_inside);

/* 1 when it was not used for its idle timeout; until its first use it counts
 * from its creation.  A clock set back does not make it so. */
int token_record_is_idle(const token_record_t *record, apr_int64_t now);

/* When a token issued at now ends: after lifetime seconds, or after asked
 * seconds when that is sooner.  asked is 0 when nothing was asked for. */
apr_int64_t token_record_end(apr_int64_t now, apr_int64_t lifetime,
                             apr_int64_t asked);

/* How long an heir of the record lives: as long as the record was to, and
 * lifetime seconds at most, or asked when that is sooner. */
apr_int64_t token_record_heir_end(const token_record_t *record,
                                  apr_int64_t now, apr_int64_t lifetime,
                                  apr_int64_t asked);

#endif
