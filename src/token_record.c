/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides whether a token is good at a given second, in one place for the
 * module and for httoken.  Where the record comes from is not its matter. */
#include "token_record.h"

const char *token_reason_name(token_reason_t reason)
{
    switch (reason) {
    case TOKEN_REASON_NONE:
        break;
    case TOKEN_REASON_MALFORMED:
        return "malformed";
    case TOKEN_REASON_UNKNOWN:
        return "unknown";
    case TOKEN_REASON_EXPIRED:
        return "expired";
    case TOKEN_REASON_REVOKED:
        return "revoked";
    case TOKEN_REASON_REUSE:
        return "reuse";
    case TOKEN_REASON_NETWORK:
        return "network";
    case TOKEN_REASON_PASSWORD:
        return "password";
    case TOKEN_REASON_SCOPE:
        return "scope";
    case TOKEN_REASON_INACTIVE:
        return "inactive";
    case TOKEN_REASONS:
        break;
    }
    return "none";
}

int token_record_is_idle(const token_record_t *record, apr_int64_t now)
{
    apr_int64_t since = record->last_used_at > record->created_at
        ? record->last_used_at : record->created_at;

    return record->idle_timeout > 0 && now - since >= record->idle_timeout;
}

static token_reason_t find_fault(const token_record_t *record,
                                 apr_int64_t now, apr_int64_t grace,
                                 int is_inside)
{
    if (!record) {
        return TOKEN_REASON_UNKNOWN;
    }
    if (record->revoked_at) {
        return TOKEN_REASON_REVOKED;
    }
    if (record->superseded_at && now - record->superseded_at >= grace) {
        return TOKEN_REASON_REUSE;
    }
    if (now >= record->expires_at || token_record_is_idle(record, now)) {
        return TOKEN_REASON_EXPIRED;
    }
    if (record->is_inactive > 0) {
        return TOKEN_REASON_INACTIVE;
    }
    if (!is_inside) {
        return TOKEN_REASON_NETWORK;
    }
    return TOKEN_REASON_NONE;
}

token_verdict_t token_record_judge(token_reason_t *reason,
                                   const token_record_t *record,
                                   apr_int64_t now, apr_int64_t grace,
                                   int is_inside)
{
    *reason = find_fault(record, now, grace, is_inside);
    return *reason == TOKEN_REASON_NONE ? TOKEN_GRANTED : TOKEN_DENIED;
}

apr_int64_t token_record_end(apr_int64_t now, apr_int64_t lifetime,
                             apr_int64_t asked)
{
    return now + (asked > 0 && asked < lifetime ? asked : lifetime);
}

apr_int64_t token_record_heir_end(const token_record_t *record,
                                  apr_int64_t now, apr_int64_t lifetime,
                                  apr_int64_t asked)
{
    apr_int64_t span = record->expires_at - record->created_at;

    return token_record_end(now, span > 0 && span < lifetime ? span
                                                              : lifetime,
                            asked);
}
