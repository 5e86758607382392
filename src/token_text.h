/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Text that comes from outside or goes there: what a native token looks
 * like, what is UTF-8, a scope word, a length of time, a date.  Knows no
 * randomness, no digest and no request. */
#ifndef TOKEN_TEXT_H
#define TOKEN_TEXT_H

#include "apr_pools.h"

/* A native token: PREFIX "_" RANDOM CHECK (base62: 0-9A-Za-z). */
#define TOKEN_PREFIX_MAX 16
#define TOKEN_RANDOM_LEN 30
#define TOKEN_CHECK_LEN 6
#define TOKEN_TEXT_MAX \
    (TOKEN_PREFIX_MAX + 1 + TOKEN_RANDOM_LEN + TOKEN_CHECK_LEN)

/* "2026-12-23T16:00:00Z" and its NUL. */
#define TOKEN_DATE_SIZE 21

/* The longest length of time anybody may ask for: ten years, in seconds. */
#define TOKEN_SECONDS_MAX ((apr_int64_t)10 * 366 * 86400)

/* 9999-12-31T23:59:59Z, the last moment that is told apart from later. */
#define TOKEN_LAST_SECOND APR_INT64_C(253402300799)

/* 1 when prefix is 1 to TOKEN_PREFIX_MAX letters and digits. */
int token_text_is_prefix(const char *prefix);

/* Writes PREFIX "_" random CHECK and a NUL to out.  The prefix must be
 * good; the check is the CRC-32 (IEEE) of the 30 random characters, in
 * base62, left-padded with 0. */
void token_text_compose(char out[TOKEN_TEXT_MAX + 1], const char *prefix,
                        const char random[TOKEN_RANDOM_LEN]);

/* 1 when text is a native token of this prefix: length, alphabet and
 * checksum.  Says nothing of whether it was ever issued. */
int token_text_is_native(const char *text, apr_size_t len,
                         const char *prefix);

/* 1 when the bytes are UTF-8 as RFC 3629 defines it: no overlong form, no
 * surrogate, nothing past U+10FFFF.  NUL is a character like others. */
int token_text_is_utf8(const char *text, apr_size_t len);

/* 1 when there is no control character in it: none of C0, DEL and, as UTF-8,
 * C1. */
int token_text_is_printable(const char *text, apr_size_t len);

/* 1 when word is a scope-token of RFC 6749 section 3.3, not empty. */
int token_text_is_scope(const char *word);

/* 1 when word, of len bytes and without a blank, is one of the words, which
 * are separated by blanks: the whole of it, upper and lower case told
 * apart. */
int token_text_has_word(const char *words, const char *word, apr_size_t len);

/* 1 when id is the public name of a token: 16 lower-case hex digits. */
int token_text_is_id(const char *id);

/* 64 bits as lower-case hex, the highest first, and back; of other characters
 * the value is any. */
void token_text_write_hex(char out[16], apr_uint64_t word);
apr_uint64_t token_text_read_hex(const char digits[16]);

/* Reads "90", "90s", "5min", "12h" or "30d" as seconds.  1 and *seconds
 * set when it is one, 0 and *seconds untouched otherwise, also past
 * TOKEN_SECONDS_MAX. */
int token_text_seconds(apr_int64_t *seconds, const char *text);

/* Reads decimal digits alone.  1 and *number set when it is one between 0
 * and TOKEN_SECONDS_MAX; 0 and *number untouched otherwise. */
int token_text_number(apr_int64_t *number, const char *text);

/* Writes seconds since 1970 as RFC 3339 in UTC. */
void token_text_date(char out[TOKEN_DATE_SIZE], apr_int64_t seconds);

#endif
