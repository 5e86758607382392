/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The input is a prefix, a line's end and a text that is a token, a number,
 * a length of time, words of a scope or anything else.  What is taken can be
 * written again and is the same; UTF-8 and dates are read a second way. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apr_lib.h"
#include "apr_strings.h"

#include "fuzz.h"
#include "token_text.h"

static void check_native(const char *prefix, const char *text)
{
    char again[TOKEN_TEXT_MAX + 1];
    apr_size_t len = strlen(text);

    if (!token_text_is_prefix(prefix)) {
        return;
    }
    if (token_text_is_native(text, len, prefix)) {
        token_text_compose(again, prefix, text + strlen(prefix) + 1);
        HOLDS(strcmp(again, text) == 0, "a token composed again is the same");
    }
}

/* A token made of the input's first characters, and a slip of the pen. */
static void check_compose(const char *prefix, const char *text)
{
    char token[TOKEN_TEXT_MAX + 1];
    apr_size_t len, i;

    if (!token_text_is_prefix(prefix)
        || strlen(text) <= TOKEN_RANDOM_LEN) {
        return;
    }
    for (i = 0; i < TOKEN_RANDOM_LEN; i++) {
        if (!apr_isalnum(text[i])) {
            return;
        }
    }
    token_text_compose(token, prefix, text);
    len = strlen(token);
    HOLDS(token_text_is_native(fuzz_copy(token, len), len, prefix),
          "what is composed is a token");
    i = (unsigned char)text[TOKEN_RANDOM_LEN] % len;
    token[i] = token[i] == 'a' ? 'b' : 'a';
    HOLDS(!token_text_is_native(token, len, prefix),
          "one character changed is no token");
}

/* The code point of the sequence at s, by its bits alone; its length, or 0
 * when they are no sequence. */
static int decode(unsigned long *code, const unsigned char *s, size_t left)
{
    int n = *s < 0x80 ? 1 : *s >> 5 == 6 ? 2 : *s >> 4 == 14 ? 3
        : *s >> 3 == 30 ? 4 : 0;
    int i;

    *code = n == 1 ? *s : n ? *s & (0x7F >> n) : 0;
    for (i = 1; i < n; i++) {
        if ((size_t)i >= left || s[i] >> 6 != 2) {
            return 0;
        }
        *code = *code << 6 | (s[i] & 0x3F);
    }
    return n;
}

static int is_utf8(const unsigned char *s, size_t size)
{
    static const unsigned long least[] = { 0, 0, 0x80, 0x800, 0x10000 };

    while (size) {
        unsigned long code;
        int n = decode(&code, s, size);

        if (!n || code < least[n] || code > 0x10FFFF
            || (code >= 0xD800 && code <= 0xDFFF)) {
            return 0;
        }
        s += n;
        size -= n;
    }
    return 1;
}

static void check_numbers(const char *text, apr_pool_t *pool)
{
    apr_int64_t number = -1;
    apr_int64_t again = -1;

    if (token_text_number(&number, text)) {
        const char *rest = text + strspn(text, "0");

        HOLDS(number >= 0 && number <= TOKEN_SECONDS_MAX,
              "a number has its bounds");
        HOLDS(strcmp(apr_ltoa(pool, (long)number), *rest ? rest : "0") == 0,
              "a number written again is the same");
    }
    else {
        HOLDS(number == -1, "what is no number is left alone");
    }
    if (token_text_seconds(&number, text)) {
        HOLDS(number >= 0 && number <= TOKEN_SECONDS_MAX,
              "a length of time has its bounds");
        HOLDS(token_text_seconds(&again, apr_ltoa(pool, (long)number))
              && again == number, "a length of time in seconds is the same");
    }
    else {
        HOLDS(number == -1 || token_text_number(&again, text),
              "what is no length of time is left alone");
    }
}

static void check_words(const char *text, apr_pool_t *pool)
{
    char *word, *last;

    for (word = apr_strtok(apr_pstrdup(pool, text), " ", &last); word;
         word = apr_strtok(NULL, " ", &last)) {
        HOLDS(token_text_has_word(text, word, strlen(word)),
              "words have each of them");
        HOLDS(!token_text_has_word(text, apr_pstrcat(pool, word, " ", NULL),
                                   strlen(word) + 1),
              "a word has no blank");
    }
    HOLDS(!token_text_has_word(text, "", 0), "nothing is no word");
    if (token_text_is_scope(text)) {
        HOLDS(token_text_has_word(text, text, strlen(text))
              && !strpbrk(text, " \"\\")
              && token_text_is_utf8(text, strlen(text))
              && token_text_is_printable(text, strlen(text)),
              "a word of a scope is one printable word");
    }
    HOLDS(!token_text_is_id(text) || strlen(text) == 16,
          "an id has 16 digits");
}

static void check_date(const char *text)
{
    char mine[TOKEN_DATE_SIZE];
    char theirs[64];
    apr_int64_t seconds = apr_atoi64(text);
    time_t moment = (time_t)(seconds < 0 ? 0 : seconds);
    struct tm broken;

    token_text_date(mine, seconds);
    if (moment <= TOKEN_LAST_SECOND) {
        gmtime_r(&moment, &broken);
        strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%SZ", &broken);
        HOLDS(strcmp(mine, theirs) == 0, "a date is as libc has it");
    }
    else {
        HOLDS(strcmp(mine, "9999-12-31T23:59:59Z") == 0,
              "a date too late is the last one");
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    apr_pool_t *pool = fuzz_begin();
    const char *prefix = fuzz_line(&data, &size);
    char *bytes = fuzz_copy(data, size);
    const char *text = fuzz_copy(bytes, strlen(bytes));

    HOLDS(token_text_is_utf8(bytes, size)
          == is_utf8((const unsigned char *)bytes, size),
          "UTF-8 is what its bits say");
    check_native(prefix ? prefix : "tok", text);
    check_compose(prefix ? prefix : "tok", text);
    check_numbers(text, pool);
    check_words(text, pool);
    check_date(text);
    fuzz_end();
    return 0;
}
