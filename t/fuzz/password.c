/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The input is a line with a hash as Django has it, and a password.  What
 * matches, matches by this one spelling and for this password; nothing that is
 * no hash costs anything.  Hashes that take their time are passed over. */
#include <string.h>

#include "apr_lib.h"
#include "apr_strings.h"

#include "fuzz.h"
#include "token_password.h"

/* Cost is a number of five digits or more, of scrypt three, or a cost of
 * bcrypt above 5. */
static int is_slow(const char *encoded)
{
    const char *bcrypt = strstr(encoded, "$2");
    int most = strncmp(encoded, "scrypt$", 7) == 0 ? 2 : 4;
    int digits = 0;

    if (bcrypt && strlen(bcrypt) > 6
        && (bcrypt[4] != '0' || bcrypt[5] > '5')) {
        return 1;
    }
    for (; *encoded; encoded++) {
        digits = apr_isdigit(*encoded) ? digits + 1 : 0;
        if (digits > most) {
            return 1;
        }
    }
    return 0;
}

/* bcrypt and the oldest crypt do not see the end of a long password. */
static int sees_all(const char *encoded)
{
    return strncmp(encoded, "bcrypt$", 7) != 0
        && strncmp(encoded, "crypt$", 6) != 0;
}

static void check_match(const char *encoded, const char *password,
                        apr_pool_t *pool)
{
    apr_uint32_t work = 0;

    HOLDS(token_password_check(apr_pstrcat(pool, encoded, "=", NULL),
                               password, &work) != TOKEN_HASH_MATCHES,
          "a hash with more behind it matches nothing");
    HOLDS(!sees_all(encoded)
          || token_password_check(encoded, apr_pstrcat(pool, password, "!",
                                                       NULL), &work)
             == TOKEN_HASH_DIFFERS, "a longer password is another");
    HOLDS(token_password_check(encoded, password, &work)
          == TOKEN_HASH_MATCHES, "it matches again");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    apr_pool_t *pool = fuzz_begin();
    char *encoded = fuzz_line(&data, &size);
    char *password = fuzz_line(&data, &size);
    apr_uint32_t work = 0;

    if (encoded && !is_slow(encoded)) {
        token_hash_t hash;

        password = password ? password : fuzz_copy("", 0);
        hash = token_password_check(encoded, password, &work);
        HOLDS((hash == TOKEN_HASH_UNUSABLE) == (encoded[0] == '!'),
              "what begins with ! is unusable, and nothing else");
        HOLDS(hash == TOKEN_HASH_DIFFERS || hash == TOKEN_HASH_MATCHES
              || work == 0, "what is not computed costs nothing");
        HOLDS(work <= TOKEN_PASSWORD_WORK_MAX, "nothing costs too much");
        if (hash == TOKEN_HASH_MATCHES) {
            check_match(encoded, password, pool);
        }
    }
    fuzz_end();
    return 0;
}
