/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What is a native token, UTF-8, a scope word, a length of time. */
#include <stdlib.h>

#include "tap.h"
#include "token_text.h"

/* The sample GitHub published when it introduced the checksum. */
#define SAMPLE_RANDOM "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"
#define SAMPLE "tok_" SAMPLE_RANDOM "0mLq17"

typedef struct {
    const char *text;
    apr_size_t len;
    int good;
    const char *what;
} bytes_t;

#define BYTES(text, good, what) { text, sizeof(text) - 1, good, what }

/* In memory that ends where the text ends, for the sanitizer to watch. */
static int with_copy(int (*check)(const char *, apr_size_t),
                     const char *text, apr_size_t len)
{
    char *copy = malloc(len ? len : 1);
    int good;

    memcpy(copy, text, len);
    good = check(copy, len);
    free(copy);
    return good;
}

static int is_tok(const char *text, apr_size_t len)
{
    return token_text_is_native(text, len, "tok");
}

static void test_prefix(tap_t *tap)
{
    static const struct {
        const char *prefix;
        int good;
    } cases[] = {
        { "tok", 1 }, { "t", 1 }, { "0", 1 }, { "aZ09", 1 },
        { "abcdefghijklmnop", 1 }, { "abcdefghijklmnopq", 0 }, { "", 0 },
        { "a_b", 0 }, { "a-b", 0 }, { "a b", 0 }, { "\xC3\xA4", 0 },
        { "a\n", 0 }, { "a@", 0 }, { "a[", 0 }, { "a`", 0 }, { "a{", 0 },
        { "a/", 0 }, { "a:", 0 }
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tap_ok(tap, token_text_is_prefix(cases[i].prefix) == cases[i].good,
               "prefix case %d is %s", (int)i,
               cases[i].good ? "one" : "refused");
    }
}

static void test_compose(tap_t *tap)
{
    char out[TOKEN_TEXT_MAX + 1];

    token_text_compose(out, "tok", SAMPLE_RANDOM);
    tap_is(tap, out, SAMPLE, "the published sample gets its checksum");
    token_text_compose(out, "abcdefghijklmnop", SAMPLE_RANDOM);
    tap_is(tap, out, "abcdefghijklmnop_" SAMPLE_RANDOM "0mLq17",
           "the longest prefix fits, and changes no checksum");
    tap_ok(tap, strlen(out) == TOKEN_TEXT_MAX,
           "the longest token has TOKEN_TEXT_MAX bytes");
    token_text_compose(out, "tok", "000000000000000000000000000000");
    tap_ok(tap, is_tok(out, strlen(out)),
           "a token of zeros is well-formed: checksum %s", out + 34);
}

/* Any other byte at any position must be seen. */
static void test_native_changed(tap_t *tap)
{
    char text[] = SAMPLE;
    apr_size_t len = sizeof(text) - 1;
    apr_size_t at;

    for (at = 0; at < len; at++) {
        char right = text[at];
        int accepted = 0;
        int byte;

        for (byte = 0; byte < 256; byte++) {
            text[at] = (char)byte;
            accepted += with_copy(is_tok, text, len);
        }
        text[at] = right;
        tap_ok(tap, accepted == 1,
               "of 256 bytes at position %d one is accepted", (int)at);
    }
}

static void test_native_length(tap_t *tap)
{
    static const char text[] = SAMPLE "0";
    apr_size_t good = sizeof(text) - 2;
    apr_size_t len;
    int accepted = 0;

    for (len = 0; len <= good + 1; len++) {
        accepted += with_copy(is_tok, text, len);
    }
    tap_ok(tap, accepted == 1, "of all lengths one is accepted");
    tap_ok(tap, !token_text_is_native(SAMPLE, good, "to"),
           "a shorter prefix does not match");
    tap_ok(tap, !token_text_is_native(SAMPLE, good, "toks"),
           "a longer prefix does not match");
    tap_ok(tap, !token_text_is_native(SAMPLE, good, "Tok"),
           "a prefix is case-sensitive");
    tap_ok(tap, token_text_is_native("x_" SAMPLE_RANDOM "0mLq17", 38, "x"),
           "a prefix of one letter matches");
}

static void test_utf8(tap_t *tap)
{
    static const bytes_t cases[] = {
        BYTES("", 1, "nothing"),
        BYTES("abc", 1, "ASCII"),
        BYTES("a\0b", 1, "a NUL"),
        BYTES("\x7F", 1, "U+007F"),
        BYTES("\xC2\x80", 1, "U+0080"),
        BYTES("\xDF\xBF", 1, "U+07FF"),
        BYTES("\xE0\xA0\x80", 1, "U+0800"),
        BYTES("\xED\x9F\xBF", 1, "U+D7FF"),
        BYTES("\xEE\x80\x80", 1, "U+E000"),
        BYTES("\xEF\xBF\xBF", 1, "U+FFFF"),
        BYTES("\xF0\x90\x80\x80", 1, "U+10000"),
        BYTES("\xF4\x8F\xBF\xBF", 1, "U+10FFFF"),
        BYTES("\xEF\xBB\xBFx", 1, "a byte order mark"),
        BYTES("\x80", 0, "a continuation alone"),
        BYTES("\xBF", 0, "the last continuation alone"),
        BYTES("a\x80", 0, "a continuation behind ASCII"),
        BYTES("\xC3\xA4\xA4", 0, "one continuation too many"),
        BYTES("\xC0\x80", 0, "an overlong NUL"),
        BYTES("\xC1\xBF", 0, "an overlong U+007F"),
        BYTES("\xE0\x80\x80", 0, "an overlong NUL of three bytes"),
        BYTES("\xE0\x9F\xBF", 0, "an overlong U+07FF"),
        BYTES("\xF0\x80\x80\x80", 0, "an overlong NUL of four bytes"),
        BYTES("\xF0\x8F\xBF\xBF", 0, "an overlong U+FFFF"),
        BYTES("\xED\xA0\x80", 0, "the first surrogate"),
        BYTES("\xED\xBF\xBF", 0, "the last surrogate"),
        BYTES("\xED\xA0\xBD\xED\xB8\x80", 0, "a pair of surrogates"),
        BYTES("\xF4\x90\x80\x80", 0, "U+110000"),
        BYTES("\xF5\x80\x80\x80", 0, "the lead byte F5"),
        BYTES("\xF8\x88\x80\x80\x80", 0, "a form of five bytes"),
        BYTES("\xFE", 0, "FE"),
        BYTES("\xFF", 0, "FF"),
        BYTES("\xC3", 0, "two bytes cut after one"),
        BYTES("\xE2\x82", 0, "three bytes cut after two"),
        BYTES("\xF0\x9F\x98", 0, "four bytes cut after three"),
        BYTES("\xE2\x82\x41", 0, "ASCII in place of a continuation"),
        BYTES("\xE2\x41\x82", 0, "ASCII in place of the first one"),
        BYTES("\xF0\x9F\x98\xC0", 0, "a lead byte in place of the last"),
        BYTES("Gr\xFC\xDF" "e", 0, "Latin-1")
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tap_ok(tap, with_copy(token_text_is_utf8, cases[i].text,
                              cases[i].len) == cases[i].good,
               "%s is %s", cases[i].what,
               cases[i].good ? "UTF-8" : "not UTF-8");
    }
}

static void test_printable(tap_t *tap)
{
    int c;
    int refused = 0;

    for (c = 0; c < 256; c++) {
        char byte = (char)c;

        refused += !token_text_is_printable(&byte, 1);
    }
    tap_ok(tap, refused == 33, "33 bytes are control characters");
    tap_ok(tap, token_text_is_printable("", 0), "nothing is printable");
    tap_ok(tap, token_text_is_printable(" ~\x80\xFF", 4),
           "a blank, a tilde and all above DEL are printable");
    tap_ok(tap, !token_text_is_printable("a\0b", 3), "a NUL is not");
    tap_ok(tap, !token_text_is_printable("ab\n", 3),
           "a newline at the end is not");
    tap_ok(tap, !token_text_is_printable("\x7F", 1), "DEL is not");
    tap_ok(tap, !token_text_is_printable("a\xC2\x80", 3)
                && !token_text_is_printable("\xC2\x9B" "2J", 4)
                && !token_text_is_printable("\xC2\x9F", 2),
           "a control character of two bytes is not");
    tap_ok(tap, token_text_is_printable("\xC2\xA0\xC3\x9B\xE0\xC2", 6),
           "what looks like one is");
}

static void test_scope(tap_t *tap)
{
    char word[2] = { 0, 0 };
    int good = 0;
    int c;

    for (c = 1; c < 256; c++) {
        word[0] = (char)c;
        good += token_text_is_scope(word);
    }
    tap_ok(tap, good == 94 - 2,
           "92 bytes may stand in a scope (RFC 6749 section 3.3)");
    tap_ok(tap, token_text_is_scope("repo:read!#[]~"), "a scope is one word");
    tap_ok(tap, !token_text_is_scope(""), "an empty scope is refused");
    tap_ok(tap, !token_text_is_scope("a b"), "two words are refused");
    tap_ok(tap, !token_text_is_scope("a\"b"), "a quotation mark is refused");
    tap_ok(tap, !token_text_is_scope("a\\b"), "a backslash is refused");
    tap_ok(tap, !token_text_is_scope("\xC3\xA4"), "UTF-8 is refused");
}

static void test_id(tap_t *tap)
{
    tap_ok(tap, token_text_is_id("0123456789abcdef"), "16 hex digits are one");
    tap_ok(tap, !token_text_is_id("0123456789abcde"), "15 are no id");
    tap_ok(tap, !token_text_is_id("0123456789abcdef0"), "17 are no id");
    tap_ok(tap, !token_text_is_id("0123456789ABCDEF"),
           "upper case is no id");
    tap_ok(tap, !token_text_is_id("0123456789abcdeg"), "a g is no id");
    tap_ok(tap, !token_text_is_id(""), "nothing is no id");
}

/* -1: refused. */
typedef struct {
    const char *text;
    apr_int64_t seconds;
} time_case_t;

static void test_seconds(tap_t *tap)
{
    static const time_case_t cases[] = {
        { "0", 0 }, { "90", 90 }, { "90s", 90 }, { "5min", 300 },
        { "12h", 43200 }, { "30d", 2592000 }, { "007", 7 },
        { "3660d", TOKEN_SECONDS_MAX }, { "3661d", -1 },
        { "316224000", TOKEN_SECONDS_MAX }, { "316224001", -1 },
        { "5270400min", TOKEN_SECONDS_MAX }, { "5270401min", -1 },
        { "87840h", TOKEN_SECONDS_MAX }, { "87841h", -1 },
        { "9223372036854775807", -1 }, { "9223372036854775808", -1 },
        { "18446744073709551617", -1 }, { "106751991167300d", -1 },
        { "99999999999999999999999999999999d", -1 },
        { "", -1 }, { "d", -1 }, { "-1", -1 }, { "+1", -1 }, { " 1", -1 },
        { "1 ", -1 }, { "1 d", -1 }, { "1.5h", -1 }, { "1m", -1 },
        { "1D", -1 }, { "1dd", -1 }, { "1w", -1 }, { "0x10", -1 },
        { "1e3", -1 }, { "1ms", -1 }, { "1mins", -1 },
        { "\xD9\xA1", -1 }
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        apr_int64_t got = -1;
        int good = token_text_seconds(&got, cases[i].text);

        tap_ok(tap, good == (cases[i].seconds >= 0)
                    && got == cases[i].seconds,
               "\"%s\" is %s", cases[i].text,
               cases[i].seconds >= 0 ? "a length of time"
                                     : "refused and sets nothing");
    }
}

static void test_number(tap_t *tap)
{
    static const time_case_t cases[] = {
        { "0", 0 }, { "3600", 3600 }, { "316224000", TOKEN_SECONDS_MAX },
        { "316224001", -1 }, { "18446744073709551616", -1 }, { "", -1 },
        { "1s", -1 }, { "-1", -1 }, { "1.0", -1 }, { " 1", -1 }
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        apr_int64_t got = -1;
        int good = token_text_number(&got, cases[i].text);

        tap_ok(tap, good == (cases[i].seconds >= 0)
                    && got == cases[i].seconds,
               "\"%s\" is %s", cases[i].text,
               cases[i].seconds >= 0 ? "a number" : "no number");
    }
}

static void test_has_word(tap_t *tap)
{
    static const struct {
        const char *list, *word;
        int has;
    } cases[] = {
        { "read", "read", 1 },
        { "read write", "read", 1 },
        { "read write", "write", 1 },
        { "a read write", "read", 1 },
        { "", "read", 0 },
        { "", "", 0 },
        { "read", "", 0 },
        { "a  b", "", 0 },
        { "a  b", "b", 1 },
        { "read", "rea", 0 },
        { "read", "ead", 0 },
        { "read", "reads", 0 },
        { "reads bread", "read", 0 },
        { "read:all", "read", 0 },
        { "read", "READ", 0 },
        { "Read", "read", 0 },
        { "read write", "read write", 0 }
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tap_ok(tap, token_text_has_word(cases[i].list, cases[i].word,
                                    strlen(cases[i].word))
                    == cases[i].has,
               "\"%s\" %s the word \"%s\"", cases[i].list,
               cases[i].has ? "has" : "does not have", cases[i].word);
    }
}

static void test_date(tap_t *tap)
{
    static const struct {
        apr_int64_t seconds;
        const char *date;
    } cases[] = {
        { 0, "1970-01-01T00:00:00Z" },
        { 951782400, "2000-02-29T00:00:00Z" },
        { APR_INT64_C(1798041600), "2026-12-23T16:00:00Z" },
        { APR_INT64_C(2147483648), "2038-01-19T03:14:08Z" },
        { APR_INT64_C(4294967296), "2106-02-07T06:28:16Z" },
        { APR_INT64_C(253402300799), "9999-12-31T23:59:59Z" },
        /* dates of another length: the nearest one stands for them */
        { APR_INT64_C(253402300800), "9999-12-31T23:59:59Z" },
        { APR_INT64_MAX, "9999-12-31T23:59:59Z" },
        { -1, "1970-01-01T00:00:00Z" },
        { APR_INT64_MIN, "1970-01-01T00:00:00Z" }
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char date[TOKEN_DATE_SIZE];

        token_text_date(date, cases[i].seconds);
        tap_is(tap, date, cases[i].date, "second %ld is %s",
               (long)cases[i].seconds, cases[i].date);
    }
}

static void test_hex(tap_t *tap)
{
    static const struct {
        apr_uint64_t word;
        const char *hex;
    } cases[] = {
        { 0, "0000000000000000" },
        { APR_UINT64_C(0x0123456789ABCDEF), "0123456789abcdef" },
        { APR_UINT64_C(0xFEDCBA9876543210), "fedcba9876543210" },
        { APR_UINT64_C(0x9A9A0F0FA0A9FF00), "9a9a0f0fa0a9ff00" }
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char hex[17] = "................";

        token_text_write_hex(hex, cases[i].word);
        tap_is(tap, hex, cases[i].hex, "as hex it is %s", cases[i].hex);
        tap_ok(tap, token_text_read_hex(hex) == cases[i].word,
               "and back from %s", hex);
    }
}

int main(void)
{
    tap_t tap = { 0, 0 };

    test_prefix(&tap);
    test_compose(&tap);
    test_native_changed(&tap);
    test_native_length(&tap);
    test_utf8(&tap);
    test_printable(&tap);
    test_scope(&tap);
    test_has_word(&tap);
    test_id(&tap);
    test_seconds(&tap);
    test_number(&tap);
    test_date(&tap);
    test_hex(&tap);
    return tap_end(&tap);
}
