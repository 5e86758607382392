/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The hashes in t/data/django, and what becomes of them when a character is
 * changed or the end is missing. */
#include <stdio.h>
#include <stdlib.h>

#include "apr_general.h"
#include "apr_strings.h"
#include "apr_time.h"

#include "tap.h"
#include "token_password.h"

#define LINE 2048

static const char *const names[] = {
    "differs", "matches", "unusable", "malformed", "costly", "lacking",
    "failed"
};

typedef void each_t(tap_t *tap, const char *first, const char *encoded);

/* Each line but the comments, cut at its first colon. */
static void read_lines(tap_t *tap, const char *path, each_t *each)
{
    char line[LINE];
    FILE *file = fopen(path, "r");

    if (!tap_ok(tap, file != NULL, "%s is there", path)) {
        return;
    }
    while (fgets(line, sizeof(line), file)) {
        char *colon = strchr(line, ':');

        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '#' && colon) {
            *colon = '\0';
            each(tap, line, colon + 1);
        }
    }
    fclose(file);
}

static void unescape(char *out, const char *in)
{
    for (; *in; in++) {
        char hex[3] = "";

        if (*in == '%') {
            memcpy(hex, in + 1, 2);
            in += 2;
        }
        *out++ = hex[0] ? (char)strtol(hex, NULL, 16) : *in;
    }
    *out = '\0';
}

/* Built without libargon2, the module has no word on argon2. */
static token_hash_t expected(const char *encoded, token_hash_t with)
{
#ifndef HAVE_ARGON2
    return strncmp(encoded, "argon2$", 7) == 0 ? TOKEN_HASH_LACKING : with;
#else
    (void)encoded;
    return with;
#endif
}

static int is_slow(const char *encoded)
{
    return strstr(encoded, "$16384$") || strstr(encoded, "m=102400,")
        || strstr(encoded, "$14$");
}

static void check_others(tap_t *tap, const char *password,
                         const char *encoded)
{
    apr_uint32_t work;
    char other[LINE] = "";     /* or what follows an empty one */
    token_hash_t hash;

    apr_cpystrn(other, password, sizeof(other));
    other[0] ^= 1;
    hash = token_password_check(encoded, other, &work);
    tap_is(tap, names[hash], names[expected(encoded, TOKEN_HASH_DIFFERS)],
           "another first character does not match %.30s", encoded);
    if (strlen(password) < 72) {
        apr_snprintf(other, sizeof(other), "%sx", password);
        /* crypt(3) of old sees eight characters. */
        hash = token_password_check(encoded, other, &work);
        tap_ok(tap, hash == expected(encoded, TOKEN_HASH_DIFFERS)
                    || (strncmp(encoded, "crypt$", 6) == 0
                        && !strstr(encoded, "$$$")),
               "nor does one more");
    }
}

static void check_match(tap_t *tap, const char *first, const char *encoded)
{
    char password[LINE];
    apr_uint32_t work;
    token_hash_t hash;

    unescape(password, first);
    hash = token_password_check(encoded, password, &work);
    tap_is(tap, names[hash], names[expected(encoded, TOKEN_HASH_MATCHES)],
           "\"%.20s\" matches %.60s", first, encoded);
    if (!is_slow(encoded)) {
        check_others(tap, password, encoded);
    }
}

static void check_refused(tap_t *tap, const char *first, const char *encoded)
{
    apr_uint32_t work = 7;
    apr_time_t begun = apr_time_now();
    token_hash_t hash = token_password_check(encoded, "password", &work);
    const char *wanted = first;

    if (expected(encoded, TOKEN_HASH_DIFFERS) != TOKEN_HASH_DIFFERS) {
        wanted = "lacking";
    }
    tap_is(tap, names[hash], wanted, "%s: %.100s", first, encoded);
    if (hash != TOKEN_HASH_DIFFERS
        && (work != 0 || apr_time_now() - begun > apr_time_from_msec(200))) {
        tap_ok(tap, 0, "without any work");
    }
}

/* Where it is cut, and with a character that is another. */
static void check_damaged(tap_t *tap, const char *first, const char *encoded)
{
    char password[LINE];
    char damaged[LINE];
    apr_size_t len = strlen(encoded);
    apr_size_t matches = 0;
    apr_uint32_t work;
    apr_size_t i;

    /* What Django passes over may be damaged: crypt's first field. */
    if (is_slow(encoded) || strncmp(encoded, "crypt$ab", 8) == 0) {
        return;
    }
    unescape(password, first);
    for (i = 0; i < len; i++) {
        apr_cpystrn(damaged, encoded, i + 1);
        matches += token_password_check(damaged, password, &work)
                   == TOKEN_HASH_MATCHES;
        memcpy(damaged, encoded, len + 1);
        damaged[i] ^= 1;
        matches += !is_slow(damaged)
            && token_password_check(damaged, password, &work)
               == TOKEN_HASH_MATCHES;
        damaged[i] = (char)(encoded[i] ^ 0x80);
        matches += token_password_check(damaged, password, &work)
                   == TOKEN_HASH_MATCHES;
    }
    tap_ok(tap, matches == 0, "no damage passes: %.60s", encoded);
}

/* The text in memory of its own: a byte read behind it is seen by ASan. */
static void test_noise(tap_t *tap)
{
    static const char *const pieces[] = {
        "pbkdf2_sha256", "scrypt", "argon2", "argon2id", "bcrypt", "md5",
        "sha1", "crypt", "$", "$$", "$2b$04$", "16", "1", "8", "v=19",
        "m=64,t=1,p=1", "seasalt", "c2Vhc2FsdHNlYXNhbHQ", "=", "rounds=1000",
        "$6$", "mM409UnLEW8ysAPN5JTinA", "!", "\xff", ""
    };
    apr_size_t matches = 0;
    int round;

    srand(1);
    for (round = 0; round < 20000; round++) {
        char text[LINE] = "";
        char *exact;
        apr_uint32_t work;
        int count = rand() % 14;

        while (count-- > 0) {
            apr_size_t used = strlen(text);

            apr_cpystrn(text + used,
                        pieces[rand() % (sizeof(pieces) / sizeof(*pieces))],
                        sizeof(text) - used);
            if (rand() % 2) {
                apr_cpystrn(text + strlen(text), "$", 2);
            }
        }
        exact = strdup(text);
        matches += token_password_check(exact, "password", &work)
                   == TOKEN_HASH_MATCHES;
        free(exact);
    }
    tap_ok(tap, matches == 0, "20000 texts of pieces of hashes match nothing");
}

static void test_work(tap_t *tap)
{
    static const struct {
        const char *encoded;
        apr_uint32_t work;
    } cases[] = {
        { "pbkdf2_sha256$1000$seasalt$"
          "YIWkt6M1JFXrHg5s0jZjBSc7C2Cz6QvchSJ0h8Y+i7c=", 1000 },
        { "bcrypt$$2b$04$"
          "abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm", 3906 },
        { "scrypt$16384$seasalt$8$5$3vqv8bhuV70T8qE/sm/1JgaaAVCPji0UBOiBZ08T"
          "4YJshNUkRkzId6sCqfxxDbPrlelp7VLgYKxUQHS0Cqv4lw==", 1000000 },
#ifdef HAVE_ARGON2
        { "argon2$argon2id$v=19$m=102400,t=2,p=8$c29tZXNhbHQ$"
          "mM409UnLEW8ysAPN5JTinA", 1000000 },
#endif
        { "md5$seasalt$1e9bf2bf5606aa5c39852cc30f0f6f22", 0 }
    };
    apr_size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        apr_uint32_t work = 7;

        token_password_check(cases[i].encoded, "password", &work);
        tap_ok(tap, work == cases[i].work, "%.13s counts as %u iterations",
               cases[i].encoded, work);
    }
}

static apr_interval_time_t spend(apr_uint32_t work)
{
    apr_time_t begun = apr_time_now();

    token_password_spend("password", work);
    return apr_time_now() - begun;
}

static void test_spend(tap_t *tap)
{
    apr_interval_time_t all = spend(0);
    apr_interval_time_t half = spend(TOKEN_PASSWORD_WORK / 2);
    apr_interval_time_t none = spend(TOKEN_PASSWORD_WORK);

    printf("# all %d us, half %d us\n", (int)all, (int)half);
    tap_ok(tap, half > all / 4 && half < all,
           "half of the work takes less time than all of it");
    tap_ok(tap, none < all / 50 && spend(APR_UINT32_MAX) < all / 50,
           "work that is done takes none");
}

int main(void)
{
    tap_t tap = { 0, 0 };

    apr_initialize();
    atexit(apr_terminate);
    read_lines(&tap, "t/data/django/matches", check_match);
    read_lines(&tap, "t/data/django/refused", check_refused);
    read_lines(&tap, "t/data/django/matches", check_damaged);
    test_noise(&tap);
    test_work(&tap);
    test_spend(&tap);
    return tap_end(&tap);
}
