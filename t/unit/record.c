/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* When a token is good, to the second, and why it is not. */
#include "tap.h"
#include "token_record.h"

#define NOW APR_INT64_C(1798041600)
#define GRACE 5

static const token_record_t good = {
    "0123456789abcdef", "alice", "git", "", "", "0123456789abcdef",
    NOW - 10, NOW + 1, 0, 0, 0, 0, 0
};

static void check_from(tap_t *tap, const token_record_t *record,
                       apr_int64_t now, int is_inside, token_reason_t wanted,
                       const char *name)
{
    token_reason_t reason = (token_reason_t)99;
    token_verdict_t verdict = token_record_judge(&reason, record, now,
                                                 GRACE, is_inside);

    tap_ok(tap, reason == wanted
                && verdict == (wanted == TOKEN_REASON_NONE ? TOKEN_GRANTED
                                                           : TOKEN_DENIED),
           "%s", name);
}

static void check(tap_t *tap, const token_record_t *record, apr_int64_t now,
                  token_reason_t wanted, const char *name)
{
    check_from(tap, record, now, 1, wanted, name);
}

static void test_expiry(tap_t *tap)
{
    check(tap, &good, NOW, TOKEN_REASON_NONE,
          "in its last second a token is good");
    check(tap, &good, NOW + 1, TOKEN_REASON_EXPIRED,
          "in the second it expires it is expired");
    check(tap, &good, NOW + 2, TOKEN_REASON_EXPIRED,
          "and it stays expired");
    check(tap, &good, 0, TOKEN_REASON_NONE,
          "a clock before its creation makes it no worse");
    check(tap, &good, APR_INT64_MAX, TOKEN_REASON_EXPIRED,
          "it is expired at the end of time");
}

static void test_inactive(tap_t *tap)
{
    token_record_t record = good;

    record.is_inactive = 1;
    check(tap, &record, NOW, TOKEN_REASON_INACTIVE,
          "a good token of an inactive user is inactive");
    check_from(tap, &record, NOW, 0, TOKEN_REASON_INACTIVE,
               "wherever it comes from");
    check(tap, &record, NOW + 1, TOKEN_REASON_EXPIRED,
          "an expired one is expired");
    record.revoked_at = 1;
    check(tap, &record, NOW, TOKEN_REASON_REVOKED, "a revoked one revoked");
}

static void test_faults(tap_t *tap)
{
    token_record_t record = good;

    check(tap, NULL, NOW, TOKEN_REASON_UNKNOWN, "no record is unknown");
    record.revoked_at = NOW - 5;
    check(tap, &record, NOW, TOKEN_REASON_REVOKED,
          "a revoked token is revoked");
    record.revoked_at = NOW + 5;
    check(tap, &record, NOW, TOKEN_REASON_REVOKED,
          "so is one revoked by a clock ahead of ours");
    record.superseded_at = NOW - 5;
    check(tap, &record, NOW + 9, TOKEN_REASON_REVOKED,
          "revoked comes before reuse and expired");
    record.revoked_at = 0;
    check(tap, &record, NOW, TOKEN_REASON_REUSE,
          "the use of a superseded token is reuse");
    check(tap, &record, NOW + 9, TOKEN_REASON_REUSE,
          "reuse comes before expired");
    record = good;
    record.expires_at = 0;
    check(tap, &record, NOW, TOKEN_REASON_EXPIRED,
          "a token without an end is expired, not eternal");
}

static void test_networks(tap_t *tap)
{
    token_record_t record = good;

    record.networks = "192.0.2.0/24";
    check(tap, &record, NOW, TOKEN_REASON_NONE,
          "a token bound to networks is good inside");
    check_from(tap, &record, NOW, 0, TOKEN_REASON_NETWORK,
               "outside a token bound to networks is refused");
    check(tap, &record, NOW + 1, TOKEN_REASON_EXPIRED,
          "inside it expires all the same");
    check_from(tap, &record, NOW + 1, 0, TOKEN_REASON_EXPIRED,
               "expired comes before network");
    record.superseded_at = NOW - 5;
    check_from(tap, &record, NOW, 0, TOKEN_REASON_REUSE,
               "reuse comes before network");
    record.revoked_at = NOW - 5;
    check_from(tap, &record, NOW, 0, TOKEN_REASON_REVOKED,
               "revoked comes before network");
    check_from(tap, NULL, NOW, 0, TOKEN_REASON_UNKNOWN,
               "no record is unknown from everywhere");
}

static void test_end(tap_t *tap)
{
    tap_ok(tap, token_record_end(NOW, 100, 0) == NOW + 100,
           "a token lives its lifetime when nothing is asked for");
    tap_ok(tap, token_record_end(NOW, 100, 1) == NOW + 1,
           "less may be asked for");
    tap_ok(tap, token_record_end(NOW, 100, 99) == NOW + 99,
           "a second less may be asked for");
    tap_ok(tap, token_record_end(NOW, 100, 100) == NOW + 100,
           "exactly its lifetime may be asked for");
    tap_ok(tap, token_record_end(NOW, 100, 101) == NOW + 100,
           "more than its lifetime is never had");
    tap_ok(tap, token_record_end(NOW, 100, APR_INT64_MAX) == NOW + 100,
           "not even for the largest number");
    tap_ok(tap, token_record_end(NOW, 100, -1) == NOW + 100,
           "a negative number asks for nothing");
}

static void test_names(tap_t *tap)
{
    static const struct {
        token_reason_t reason;
        const char *name;
    } cases[] = {
        { TOKEN_REASON_NONE, "none" },
        { TOKEN_REASON_MALFORMED, "malformed" },
        { TOKEN_REASON_UNKNOWN, "unknown" },
        { TOKEN_REASON_EXPIRED, "expired" },
        { TOKEN_REASON_REVOKED, "revoked" },
        { TOKEN_REASON_REUSE, "reuse" },
        { TOKEN_REASON_NETWORK, "network" },
        { TOKEN_REASON_PASSWORD, "password" },
        { TOKEN_REASON_SCOPE, "scope" },
        { TOKEN_REASON_INACTIVE, "inactive" },
        { (token_reason_t)99, "none" }
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tap_is(tap, token_reason_name(cases[i].reason), cases[i].name,
               "reason %d is called %s", (int)cases[i].reason,
               cases[i].name);
    }
    tap_ok(tap, TOKEN_DENIED == 0, "a verdict nobody set is a refusal");
}

static void test_grace(tap_t *tap)
{
    token_record_t record = good;
    token_reason_t reason;

    record.expires_at = NOW + 1000;
    record.superseded_at = NOW;
    check(tap, &record, NOW + GRACE - 1, TOKEN_REASON_NONE,
          "in the last second of its grace a superseded token is good");
    check(tap, &record, NOW + GRACE, TOKEN_REASON_REUSE,
          "in the second the grace ends its use is reuse");
    check(tap, &record, NOW - 3600, TOKEN_REASON_NONE,
          "a clock set back makes it no reuse");
    tap_ok(tap, token_record_judge(&reason, &record, NOW, 0, 1)
                    == TOKEN_DENIED
                && reason == TOKEN_REASON_REUSE,
           "without a grace it is good no second longer");
    record.expires_at = NOW + 2;
    check(tap, &record, NOW + 2, TOKEN_REASON_EXPIRED,
          "the grace is not longer than the token's life");
}

static void test_idle(tap_t *tap)
{
    token_record_t record = good;

    record.expires_at = NOW + 1000;
    record.idle_timeout = 30;
    check(tap, &record, NOW + 19, TOKEN_REASON_NONE,
          "not used yet, it is idle since its creation");
    check(tap, &record, NOW + 20, TOKEN_REASON_EXPIRED,
          "and expired in the second of its timeout");
    record.last_used_at = NOW;
    check(tap, &record, NOW + 29, TOKEN_REASON_NONE,
          "a use makes it good for the timeout from there");
    check(tap, &record, NOW + 30, TOKEN_REASON_EXPIRED, "and no longer");
    check(tap, &record, NOW - 3600, TOKEN_REASON_NONE,
          "a clock set back does not make it idle");
    record.expires_at = NOW + 5;
    check(tap, &record, NOW + 5, TOKEN_REASON_EXPIRED,
          "whatever it is used, its end is its end");
    record.expires_at = NOW + 1000;
    record.idle_timeout = -1;
    check(tap, &record, NOW + 999, TOKEN_REASON_NONE,
          "a timeout below zero is none");
}

static void test_heir(tap_t *tap)
{
    token_record_t record = good;

    record.created_at = NOW - 50;
    record.expires_at = NOW + 50;
    tap_ok(tap, token_record_heir_end(&record, NOW, 1000, 0) == NOW + 100,
           "an heir lives as long as its predecessor was to");
    tap_ok(tap, token_record_heir_end(&record, NOW, 99, 0) == NOW + 99,
           "but not longer than tokens may live now");
    tap_ok(tap, token_record_heir_end(&record, NOW, 1000, 7) == NOW + 7,
           "shorter when that is asked");
    tap_ok(tap, token_record_heir_end(&record, NOW, 1000, 101) == NOW + 100,
           "never longer");
    record.expires_at = record.created_at;
    tap_ok(tap, token_record_heir_end(&record, NOW, 1000, 0) == NOW + 1000,
           "a span that makes no sense counts for nothing");
}

int main(void)
{
    tap_t tap = { 0, 0 };

    test_expiry(&tap);
    test_inactive(&tap);
    test_faults(&tap);
    test_grace(&tap);
    test_idle(&tap);
    test_heir(&tap);
    test_networks(&tap);
    test_end(&tap);
    test_names(&tap);
    return tap_end(&tap);
}
