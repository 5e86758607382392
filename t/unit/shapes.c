/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What tokens look like in each schema, and what their rows have for them. */
#include <string.h>

#include "apr_general.h"
#include "apr_strings.h"

#include "tap.h"
#include "token_dialect.h"
#include "token_schema.h"

#define HEX40 "0123456789abcdef0123456789abcdef01234567"
#define HEX64 \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KNOX5 \
    "ee21095236a9c037f705f41ffa3cf60869891fcdb461c5c8fe50e5b1711a27bf" \
    "c02de2e387228651bdd034113cc59af777fdb9c915b70fdbed0eeacf7113296b"
#define KNOX4 \
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
#define NATIVE "tok_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"

static void test_names(tap_t *tap)
{
    static const struct {
        const char *name, *version;
        int schema;             /* -1: none */
    } given[] = {
        { "native", NULL, TOKEN_SCHEMA_NATIVE },
        { "DRF", NULL, TOKEN_SCHEMA_DRF },
        { "knox", NULL, TOKEN_SCHEMA_KNOX },
        { "knox", "4", TOKEN_SCHEMA_KNOX_4 },
        { "oauth-toolkit", NULL, TOKEN_SCHEMA_OAUTH },
        { "oauth-toolkit", "2", TOKEN_SCHEMA_OAUTH_2 },
        { "knox", "5", -1 }, { "native", "4", -1 }, { "drf", "", -1 },
        { "django", NULL, -1 }, { "", NULL, -1 }
    };
    apr_size_t i;

    for (i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        token_schema_t schema = TOKEN_SCHEMAS;
        int found = token_schema_named(&schema, given[i].name,
                                       given[i].version);

        tap_ok(tap, found == (given[i].schema >= 0)
                    && (!found || (int)schema == given[i].schema),
               "%s %s", given[i].name,
               given[i].version ? given[i].version : "");
    }
}

static void test_shapes(tap_t *tap)
{
    static const struct {
        token_schema_t schema;
        const char *text, *prefix;
        int token, password;    /* what it could be */
    } given[] = {
        { TOKEN_SCHEMA_NATIVE, NATIVE, NULL, 1, 1 },
        { TOKEN_SCHEMA_NATIVE, NATIVE, "tok", 1, 1 },
        { TOKEN_SCHEMA_NATIVE, NATIVE, "x", 0, 0 },
        { TOKEN_SCHEMA_NATIVE, HEX40, NULL, 0, 0 },
        { TOKEN_SCHEMA_DRF, HEX40, NULL, 1, 1 },
        { TOKEN_SCHEMA_DRF, HEX40 "0", NULL, 0, 0 },
        { TOKEN_SCHEMA_DRF, "a-key~of.one's*own", NULL, 1, 0 },
        { TOKEN_SCHEMA_DRF, "", NULL, 0, 0 },
        { TOKEN_SCHEMA_DRF, "caf\xc3\xa9", NULL, 0, 0 },
        { TOKEN_SCHEMA_DRF, "a\tb", NULL, 0, 0 },
        { TOKEN_SCHEMA_KNOX, HEX64, NULL, 1, 1 },
        { TOKEN_SCHEMA_KNOX, HEX40, NULL, 1, 0 },
        { TOKEN_SCHEMA_KNOX, HEX40 "0", NULL, 0, 0 },
        { TOKEN_SCHEMA_KNOX, "abcdef", NULL, 0, 0 },
        { TOKEN_SCHEMA_KNOX, "my" HEX64, "my", 1, 1 },
        { TOKEN_SCHEMA_KNOX, HEX64, "my", 0, 0 },
        { TOKEN_SCHEMA_KNOX, "m", "my", 0, 0 },
        { TOKEN_SCHEMA_KNOX, "my" HEX64, NULL, 0, 0 },
        { TOKEN_SCHEMA_KNOX_4, HEX64, NULL, 1, 1 },
        { TOKEN_SCHEMA_OAUTH, "abcdefghijKLMNOPQRST0123456789", NULL, 1, 1 },
        { TOKEN_SCHEMA_OAUTH, "abc.def-ghi_", NULL, 1, 0 },
        { TOKEN_SCHEMA_OAUTH, "a b", NULL, 0, 0 },
        { TOKEN_SCHEMA_OAUTH_2, "x", NULL, 1, 0 }
    };
    apr_size_t i;

    for (i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        apr_size_t len = strlen(given[i].text);

        tap_ok(tap, token_schema_is_token(given[i].schema, given[i].text, len,
                                          given[i].prefix, 0)
                        == given[i].token
                    && token_schema_is_token(given[i].schema, given[i].text,
                                             len, given[i].prefix, 1)
                        == given[i].password,
               "%s: \"%s\"", token_schema_name(given[i].schema),
               given[i].text);
    }
}

/* By sha512sum. */
static void test_keys(tap_t *tap, apr_pool_t *pool)
{
    const char *digest = HEX64;

    tap_is(tap, token_schema_key(TOKEN_SCHEMA_NATIVE, "x", digest, pool),
           digest, "native: the digest");
    tap_is(tap, token_schema_key(TOKEN_SCHEMA_OAUTH, "x", digest, pool),
           digest, "OAuth Toolkit 3: the digest");
    tap_is(tap, token_schema_key(TOKEN_SCHEMA_DRF, HEX40, digest, pool),
           HEX40, "DRF: the key itself");
    tap_is(tap, token_schema_key(TOKEN_SCHEMA_OAUTH_2, "x", digest, pool),
           "x", "OAuth Toolkit before: the token itself");
    tap_is(tap, token_schema_key(TOKEN_SCHEMA_KNOX, "616263", digest, pool),
           KNOX5, "knox: SHA-512 of the text");
    tap_is(tap, token_schema_key(TOKEN_SCHEMA_KNOX_4, "616263", digest, pool),
           KNOX4, "knox 4: SHA-512 of its bytes");
}

static void test_statements(tap_t *tap)
{
    static const char *const drivers[] = { "pgsql", "sqlite3" };
    int schema, i;

    for (schema = TOKEN_SCHEMA_NATIVE; schema < TOKEN_SCHEMAS; schema++) {
        for (i = 0; i < 2; i++) {
            const token_dialect_t *dialect = token_dialect_find(
                drivers[i], (token_schema_t)schema);

            tap_ok(tap, dialect && dialect->statement[TOKEN_SQL_VALIDATE]
                        && (int)dialect->schema == schema
                        && !dialect->ddl == (schema != TOKEN_SCHEMA_NATIVE),
                   "%s has statements of %d", drivers[i], schema);
        }
    }
}

int main(void)
{
    tap_t tap = { 0 };
    apr_pool_t *pool;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_names(&tap);
    test_shapes(&tap);
    test_keys(&tap, pool);
    test_statements(&tap);
    return tap_end(&tap);
}
