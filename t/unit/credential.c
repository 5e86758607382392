/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Which Authorization headers are a credential, and which one. */
#include <stdlib.h>

#include "apr_general.h"
#include "apr_strings.h"

#include "tap.h"
#include "token_credential.h"

typedef struct {
    const char *value;
    token_credential_status_t status;
    token_scheme_t scheme;
    const char *text;           /* NULL: not looked at */
    const char *name;
} case_t;

#define TOKEN TOKEN_SCHEME_TOKEN
#define BEARER TOKEN_SCHEME_BEARER
#define BASIC TOKEN_SCHEME_BASIC

static const case_t cases[] = {
    { "Token abc", TOKEN_CREDENTIAL_OK, TOKEN, "abc", "Token is read" },
    { "Bearer abc", TOKEN_CREDENTIAL_OK, BEARER, "abc", "Bearer is read" },
    { "Basic YTpi", TOKEN_CREDENTIAL_OK, BASIC, "YTpi", "Basic is read" },
    { "tOKEN abc", TOKEN_CREDENTIAL_OK, TOKEN, "abc",
      "a scheme is case-insensitive" },
    { "BEARER aBc", TOKEN_CREDENTIAL_OK, BEARER, "aBc",
      "a credential keeps its case" },
    { "Token    abc", TOKEN_CREDENTIAL_OK, TOKEN, "abc",
      "several spaces before it are passed over" },
    { "Token secret-token:a%20b", TOKEN_CREDENTIAL_OK, TOKEN,
      "secret-token:a%20b", "a token may be a URI (RFC 8959)" },
    { "Bearer !\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~", TOKEN_CREDENTIAL_OK,
      BEARER, "!\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~",
      "a token may have any visible character but a comma" },
    { NULL, TOKEN_CREDENTIAL_NONE, TOKEN, NULL, "no header is none" },
    { "", TOKEN_CREDENTIAL_NONE, TOKEN, NULL, "an empty header is none" },
    { "Digest abc", TOKEN_CREDENTIAL_FOREIGN, TOKEN, NULL,
      "another scheme is foreign" },
    { "Tokenabc", TOKEN_CREDENTIAL_FOREIGN, TOKEN, NULL,
      "a scheme without a space is foreign" },
    { "Token: abc", TOKEN_CREDENTIAL_FOREIGN, TOKEN, NULL,
      "a scheme with a colon is foreign" },
    { "Toke abc", TOKEN_CREDENTIAL_FOREIGN, TOKEN, NULL,
      "a part of a scheme is foreign" },
    { " Token abc", TOKEN_CREDENTIAL_FOREIGN, TOKEN, NULL,
      "a space before the scheme is foreign" },
    { "Token\tabc", TOKEN_CREDENTIAL_FOREIGN, TOKEN, NULL,
      "a TAB is no space: foreign" },
    { "tok_abc", TOKEN_CREDENTIAL_FOREIGN, TOKEN, NULL,
      "a token without a scheme is foreign" },
    { "Token", TOKEN_CREDENTIAL_EMPTY, TOKEN, NULL,
      "a scheme alone is empty" },
    { "Bearer ", TOKEN_CREDENTIAL_EMPTY, BEARER, NULL,
      "a scheme and a space is empty" },
    { "Basic    ", TOKEN_CREDENTIAL_EMPTY, BASIC, NULL,
      "a scheme and many spaces is empty" },
    { "Token a b", TOKEN_CREDENTIAL_SPACES, TOKEN, NULL,
      "two words are refused" },
    { "Token abc ", TOKEN_CREDENTIAL_SPACES, TOKEN, NULL,
      "a space behind it is refused" },
    { "Token a, Token b", TOKEN_CREDENTIAL_SPACES, TOKEN, NULL,
      "two header lines are refused" },
    { "Bearer a,b", TOKEN_CREDENTIAL_CHARS, BEARER, NULL,
      "a comma is refused" },
    { "Bearer a, ", TOKEN_CREDENTIAL_SPACES, BEARER, NULL,
      "an empty second line is refused" },
    { "Token \tabc", TOKEN_CREDENTIAL_CHARS, TOKEN, NULL,
      "a TAB behind the space is refused" },
    { "Token abc\t", TOKEN_CREDENTIAL_CHARS, TOKEN, NULL,
      "a TAB at the end is refused" },
    { "Token abc\r\n def", TOKEN_CREDENTIAL_SPACES, TOKEN, NULL,
      "a folded line is refused" },
    { "Token abc\r\n\tdef", TOKEN_CREDENTIAL_CHARS, TOKEN, NULL,
      "a line folded with a TAB is refused" },
    { "Token abc\n", TOKEN_CREDENTIAL_CHARS, TOKEN, NULL,
      "a newline is refused" },
    { "Token a\x7F", TOKEN_CREDENTIAL_CHARS, TOKEN, NULL,
      "DEL is refused" },
    { "Token a\x01", TOKEN_CREDENTIAL_CHARS, TOKEN, NULL,
      "a control character is refused" },
    { "Token \xC3\xA4", TOKEN_CREDENTIAL_CHARS, TOKEN, NULL,
      "UTF-8 is refused" },
    { "Bearer a\xFF", TOKEN_CREDENTIAL_CHARS, BEARER, NULL,
      "an 8-bit byte is refused" }
};

static void test_values(tap_t *tap)
{
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const case_t *c = &cases[i];
        token_credential_t got;
        token_credential_status_t status =
            token_credential_read(&got, c->value);

        tap_ok(tap, status == c->status
                    && (status == TOKEN_CREDENTIAL_NONE
                        || status == TOKEN_CREDENTIAL_FOREIGN
                        || got.scheme == c->scheme)
                    && (!c->text || (got.len == strlen(c->text)
                                     && !memcmp(got.text, c->text,
                                                got.len))),
               "%s", c->name);
    }
}

static void test_length(tap_t *tap, apr_pool_t *pool)
{
    static const struct {
        const char *scheme;
        apr_size_t max;
    } limits[] = {
        { "Token ", TOKEN_CREDENTIAL_MAX },
        { "Bearer ", TOKEN_CREDENTIAL_MAX },
        { "Basic ", TOKEN_CREDENTIAL_BASIC_MAX }
    };
    size_t i;

    for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        char *word = apr_pcalloc(pool, limits[i].max + 2);
        token_credential_t got;

        memset(word, 'a', limits[i].max);
        tap_ok(tap, token_credential_read(
                        &got, apr_pstrcat(pool, limits[i].scheme, word,
                                          NULL)) == TOKEN_CREDENTIAL_OK
                    && got.len == limits[i].max,
               "%sof %d bytes is read", limits[i].scheme,
               (int)limits[i].max);
        word[limits[i].max] = 'a';
        tap_ok(tap, token_credential_read(
                        &got, apr_pstrcat(pool, limits[i].scheme, word,
                                          NULL)) == TOKEN_CREDENTIAL_LONG,
               "one byte more is too long");
    }
}

typedef struct {
    const char *word;
    const char *user;           /* NULL: refused */
    const char *password;
    const char *name;
} basic_t;

static const basic_t basics[] = {
    { "YWxpY2U6d29uZGVy", "alice", "wonder", "user and password are read" },
    { "YTpi", "a", "b", "four characters are read" },
    { "YTpiYg==", "a", "bb", "two padding characters are read" },
    { "YTpiYmI=", "a", "bbb", "one padding character is read" },
    { "YTpiOmM6", "a", "b:c:", "a password may have colons" },
    { "OmI=", "", "b", "the user may be empty" },
    { "YTo=", "a", "", "the password may be empty" },
    { "Og==", "", "", "both may be empty" },
    { "w6Q6w7Y=", "\xC3\xA4", "\xC3\xB6", "UTF-8 is read" },
    { "YSBiOmMgZA==", "a b", "c d", "spaces are read" },
    { "YWxpY2U=", NULL, NULL, "without a colon it is refused" },
    { "YTpi!", NULL, NULL, "a byte outside of Base64 is refused" },
    { "YTp!", NULL, NULL, "also in the last group" },
    { "YT\"pi", NULL, NULL, "also in the middle" },
    { "YTpi=", NULL, NULL, "padding too much is refused" },
    { "YTpi====", NULL, NULL, "padding for nothing is refused" },
    { "YTo=YTo=", NULL, NULL, "two texts in one are refused" },
    { "YTo", NULL, NULL, "missing padding is refused" },
    { "Og", NULL, NULL, "two characters alone are refused" },
    { "YTpiY", NULL, NULL, "a left-over character is refused" },
    { "=", NULL, NULL, "padding alone is refused" },
    { "YTp=", NULL, NULL, "one padding character for two is refused" },
    { "YTpiYh==", NULL, NULL, "a stray bit before two is refused" },
    { "YTpiYmJ=", NULL, NULL, "a stray bit before one is refused" },
    { "YTo_", NULL, NULL, "the URL's alphabet is refused" },
    { "YQA6Yg==", NULL, NULL, "a NUL in the user is refused" },
    { "YTpiAA==", NULL, NULL, "a NUL in the password is refused" },
    { "YTpiCg==", NULL, NULL, "a newline is refused" },
    { "YTpifw==", NULL, NULL, "DEL is refused" },
    { "5DpiYg==", NULL, NULL, "Latin-1 is refused" },
    { "YTrtoIA=", NULL, NULL, "a surrogate is refused" }
};

static void test_basic(tap_t *tap, apr_pool_t *pool)
{
    size_t i;

    for (i = 0; i < sizeof(basics) / sizeof(basics[0]); i++) {
        const basic_t *b = &basics[i];
        token_credential_t credential;
        const char *user = "unset";
        const char *password = "unset";
        int good;

        token_credential_read(&credential,
                              apr_pstrcat(pool, "Basic ", b->word, NULL));
        good = token_credential_basic(&user, &password, &credential, pool);
        tap_ok(tap, good == (b->user != NULL)
                    && (b->user ? user && password && !strcmp(user, b->user)
                                  && !strcmp(password, b->password)
                                : !user && !password),
               "Basic: %s", b->name);
    }
}

/* The decoder must end the text even where the pool's memory is not zero. */
static void test_basic_end(tap_t *tap, apr_pool_t *pool)
{
    apr_pool_t *dirty;
    int wrong = 0;
    int i;

    for (i = 0; i < 100; i++) {
        token_credential_t credential;
        const char *user, *password;

        apr_pool_create(&dirty, pool);
        memset(apr_palloc(dirty, 4000), 'x', 4000);
        apr_pool_clear(dirty);
        token_credential_read(&credential, "Basic YTpi");
        wrong += !token_credential_basic(&user, &password, &credential,
                                         dirty)
            || strcmp(password, "b") != 0;
        apr_pool_destroy(dirty);
    }
    tap_ok(tap, wrong == 0, "a password ends where it ends, in used memory");
}

static void test_schemes(tap_t *tap)
{
    int i;
    int good = 0;
    token_scheme_t scheme;

    for (i = 0; i < TOKEN_SCHEMES; i++) {
        good += token_credential_scheme(
                    &scheme, token_credential_scheme_name((token_scheme_t)i))
            && scheme == (token_scheme_t)i;
    }
    tap_ok(tap, good == TOKEN_SCHEMES, "each scheme is found by its name");
    tap_ok(tap, token_credential_scheme(&scheme, "bAsIc")
                && scheme == TOKEN_SCHEME_BASIC, "in any case");
    tap_ok(tap, !token_credential_scheme(&scheme, "Digest")
                && !token_credential_scheme(&scheme, "")
                && !token_credential_scheme(&scheme, "Bearer "),
           "others are not found");
}

int main(void)
{
    tap_t tap = { 0, 0 };
    apr_pool_t *pool;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    test_values(&tap);
    test_length(&tap, pool);
    test_basic(&tap, pool);
    test_basic_end(&tap, pool);
    test_schemes(&tap);
    return tap_end(&tap);
}
