/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The digest is SHA-256, and what is drawn is random as far as counting can
 * tell. */
#include <stdlib.h>

#include "apr_general.h"
#include "apr_hash.h"
#include "apr_strings.h"

#include "tap.h"
#include "token_crypt.h"

#define TOKENS 20000

static void test_digest(tap_t *tap, const token_crypt_t *crypt)
{
    /* FIPS 180-4, NIST's example values */
    static const struct {
        const char *text;
        const char *digest;
    } cases[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb924"
              "27ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223"
                 "b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039"
          "a33ce45964ff2167f6ecedd419db06c1" }
    };
    char digest[TOKEN_DIGEST_LEN + 1];
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        token_crypt_digest(digest, crypt, cases[i].text,
                           strlen(cases[i].text));
        tap_is(tap, digest, cases[i].digest,
               "the digest of \"%s\" is the published one", cases[i].text);
    }
    token_crypt_digest(digest, crypt, "abcd", 3);
    tap_is(tap, digest, cases[1].digest, "len bytes count, and no more");
    tap_ok(tap, token_crypt_digest(digest, crypt, "a\0b", 3) == APR_SUCCESS
                && strcmp(digest, cases[0].digest) != 0,
           "a NUL does not end what is digested");
}

static void test_tokens(tap_t *tap, apr_pool_t *pool)
{
    apr_hash_t *seen = apr_hash_make(pool);
    int count[256] = { 0 };
    int bad = 0;
    int letters = 0;
    int low = 1 << 30, high = 0;
    int i, c;

    for (i = 0; i < TOKENS; i++) {
        char *token = apr_palloc(pool, TOKEN_TEXT_MAX + 1);

        bad += token_crypt_token(token, "tok") != APR_SUCCESS
            || !token_text_is_native(token, strlen(token), "tok");
        apr_hash_set(seen, token, APR_HASH_KEY_STRING, token);
        for (c = 4; c < 4 + TOKEN_RANDOM_LEN; c++) {
            count[(unsigned char)token[c]]++;
        }
    }
    for (c = 0; c < 256; c++) {
        if (count[c]) {
            letters++;
            low = count[c] < low ? count[c] : low;
            high = count[c] > high ? count[c] : high;
        }
    }
    tap_ok(tap, bad == 0, "%d tokens are well-formed", TOKENS);
    tap_ok(tap, apr_hash_count(seen) == TOKENS, "all of them are distinct");
    tap_ok(tap, letters == 62, "62 characters occur in them");
    /* 9677 are expected of each, with a deviation of 98: six of them.  With
     * a bias by modulo 256 some would occur 11719 times. */
    tap_ok(tap, low > 9677 - 588 && high < 9677 + 588,
           "each about as often as another: %d to %d times", low, high);
}

static void test_positions(tap_t *tap)
{
    char first[TOKEN_TEXT_MAX + 1];
    char token[TOKEN_TEXT_MAX + 1];
    char changed[TOKEN_RANDOM_LEN] = { 0 };
    int i, c;

    token_crypt_token(first, "tok");
    for (i = 0; i < 100; i++) {
        token_crypt_token(token, "tok");
        for (c = 0; c < TOKEN_RANDOM_LEN; c++) {
            changed[c] |= token[4 + c] != first[4 + c];
        }
    }
    tap_ok(tap, !memchr(changed, 0, sizeof(changed)),
           "each of the 30 characters changes");
    tap_ok(tap, token_crypt_token(token, "abcdefghijklmnop") == APR_SUCCESS
                && strlen(token) == TOKEN_TEXT_MAX,
           "the longest prefix fits");
}

static void test_wipe(tap_t *tap)
{
    char secret[] = "secret";

    token_crypt_wipe(secret, 3);
    tap_ok(tap, memcmp(secret, "\0\0\0ret", 7) == 0,
           "len bytes are wiped, and no more");
}

int main(void)
{
    tap_t tap = { 0, 0 };
    token_crypt_t *crypt = NULL;
    apr_pool_t *pool;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    tap_ok(&tap, token_crypt_create(&crypt, pool) == APR_SUCCESS && crypt,
           "OpenSSL has SHA-256");
    test_digest(&tap, crypt);
    test_tokens(&tap, pool);
    test_positions(&tap);
    test_wipe(&tap);
    return tap_end(&tap);
}
