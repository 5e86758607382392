/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The input is a schema's number, a line with a prefix, and a token.  What is
 * looked for in a database is one visible word; what comes as a password must
 * be like a token in any case.  A prefix is one that the directive takes. */
#include <string.h>

#include "fuzz.h"
#include "token_schema.h"
#include "token_text.h"

#define DIGEST \
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void check_token(token_schema_t schema, const char *text,
                        apr_pool_t *pool)
{
    const char *key = token_schema_key(schema, text, DIGEST, pool);
    apr_size_t i;

    HOLDS(key && *key && strlen(key) <= 255, "a token has a key");
    for (i = 0; text[i]; i++) {
        HOLDS(text[i] > ' ' && text[i] <= '~', "a token is visible ASCII");
    }
    for (i = 0; key[i]; i++) {
        HOLDS(key[i] > ' ' && key[i] <= '~', "so is its key");
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    apr_pool_t *pool = fuzz_begin();
    char *first = fuzz_line(&data, &size);
    char *prefix = fuzz_line(&data, &size);
    char *text = fuzz_copy(data, size);

    if (first && prefix && (!*prefix || token_text_is_prefix(prefix))) {
        token_schema_t schema = (token_schema_t)(
            (unsigned char)first[0] % TOKEN_SCHEMAS);
        apr_size_t len = size;
        int is_token;

        prefix = *prefix ? prefix : NULL;
        is_token = token_schema_is_token(schema, text, len, prefix, 0);
        HOLDS(is_token || !token_schema_is_token(schema, text, len, prefix,
                                                 1),
              "a password that is a token is one");
        if (is_token) {
            HOLDS(strlen(text) == len, "a token has no NUL");
            /* knox 4 knew no prefix. */
            if (!prefix || schema != TOKEN_SCHEMA_KNOX_4) {
                check_token(schema, text, pool);
            }
        }
    }
    fuzz_end();
    return 0;
}
