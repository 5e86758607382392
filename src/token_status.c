/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides how the counters are shown, for people and for "?auto".  What is
 * counted is decided where it happens. */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "mod_status.h"

#include "token_shared.h"
#include "token_status.h"

static const struct {
    int counter;
    const char *name;           /* of a line for programs */
    const char *label;          /* of one for people */
} lines[] = {
    { TOKEN_STATS_HIT, "AuthTokenHits", "answered by the table" },
    { TOKEN_STATS_STALE, "AuthTokenStaleHits",
      "answered by the table while the database was down" },
    { TOKEN_STATS_NEGATIVE, "AuthTokenNegativeHits",
      "known to be unknown" },
    { TOKEN_STATS_MISS, "AuthTokenMisses", "asked of the database" },
    { TOKEN_STATS_DOWN, "AuthTokenDatabaseErrors",
      "not answered by the database" },
    { TOKEN_STATS_LOGIN, "AuthTokenLogins", "tokens issued" },
    { TOKEN_STATS_LOGIN_REFUSED, "AuthTokenLoginsRefused",
      "logins refused" },
    { TOKEN_STATS_THROTTLED, "AuthTokenThrottled", "throttled (429)" },
    { TOKEN_STATS_REASON + TOKEN_REASON_MALFORMED,
      "AuthTokenRefusedMalformed", "refused: malformed" },
    { TOKEN_STATS_REASON + TOKEN_REASON_UNKNOWN, "AuthTokenRefusedUnknown",
      "refused: unknown" },
    { TOKEN_STATS_REASON + TOKEN_REASON_EXPIRED, "AuthTokenRefusedExpired",
      "refused: expired" },
    { TOKEN_STATS_REASON + TOKEN_REASON_REVOKED, "AuthTokenRefusedRevoked",
      "refused: revoked" },
    { TOKEN_STATS_REASON + TOKEN_REASON_REUSE, "AuthTokenRefusedReuse",
      "refused: reuse" },
    { TOKEN_STATS_REASON + TOKEN_REASON_NETWORK, "AuthTokenRefusedNetwork",
      "refused: network" },
    { TOKEN_STATS_REASON + TOKEN_REASON_PASSWORD,
      "AuthTokenRefusedPassword", "refused: password" },
    { TOKEN_STATS_REASON + TOKEN_REASON_SCOPE, "AuthTokenRefusedScope",
      "refused: scope" },
    { TOKEN_STATS_REASON + TOKEN_REASON_INACTIVE,
      "AuthTokenRefusedInactive", "refused: inactive" }
};

static void show_line(request_rec *r, int flags, const char *name,
                      const char *label, apr_int64_t value)
{
    if (flags & AP_STATUS_SHORT) {
        ap_rprintf(r, "%s: %" APR_INT64_T_FMT "\n", name, value);
    }
    else {
        ap_rprintf(r, "<dt>%" APR_INT64_T_FMT " %s</dt>\n", value, label);
    }
}

int token_status_show(request_rec *r, int flags)
{
    apr_uint32_t slots = 0;
    apr_uint32_t used = 0;
    unsigned i;

    if (!(flags & AP_STATUS_SHORT)) {
        ap_rputs("<hr />\n<h2>Tokens (mod_authn_token)</h2>\n<dl>\n", r);
    }
    if (token_shared_table()) {
        token_table_count(token_shared_table(), &slots, &used);
    }
    show_line(r, flags, "AuthTokenTableSlots", "slots in the table", slots);
    show_line(r, flags, "AuthTokenTableUsed", "of them in use", used);
    show_line(r, flags, "AuthTokenDatabasesDown", "databases down",
              token_stats_count_down(token_shared_stats()));
    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        show_line(r, flags, lines[i].name, lines[i].label,
                  token_stats_get(token_shared_stats(), lines[i].counter));
    }
    if (!(flags & AP_STATUS_SHORT)) {
        ap_rputs("</dl>\n", r);
    }
    return OK;
}
