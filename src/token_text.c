/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what is well-formed: a native token, UTF-8, a scope word, a
 * length of time.  Everything here works on bytes it does not own and
 * allocates nothing.  Whether a token is good is not decided here. */
#include <string.h>
#include <zlib.h>

#include "token_text.h"

/* From 0000-03-01 to 1970-01-01, and the length of the calendar's cycle. */
#define DAYS_TO_1970 719468
#define DAYS_OF_400_YEARS 146097

static const char base62[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_base62(char c)
{
    static const char is_good[256] = {
        ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1
    };

    return is_good[(unsigned char)c];
}

int token_text_is_prefix(const char *prefix)
{
    apr_size_t len = 0;

    while (prefix[len]) {
        if (!is_base62(prefix[len]) || len == TOKEN_PREFIX_MAX) {
            return 0;
        }
        len++;
    }
    return len > 0;
}

static void write_check(char out[TOKEN_CHECK_LEN],
                        const char random[TOKEN_RANDOM_LEN])
{
    /* 62^6 is larger than 2^32, so six digits always hold it. */
    unsigned long crc = crc32(0L, (const Bytef *)random, TOKEN_RANDOM_LEN);
    int i;

    for (i = TOKEN_CHECK_LEN - 1; i >= 0; i--) {
        out[i] = base62[crc % 62];
        crc /= 62;
    }
}

void token_text_compose(char out[TOKEN_TEXT_MAX + 1], const char *prefix,
                        const char random[TOKEN_RANDOM_LEN])
{
    apr_size_t len = strlen(prefix);

    memcpy(out, prefix, len);
    out[len++] = '_';
    memcpy(out + len, random, TOKEN_RANDOM_LEN);
    write_check(out + len + TOKEN_RANDOM_LEN, random);
    out[len + TOKEN_RANDOM_LEN + TOKEN_CHECK_LEN] = '\0';
}

int token_text_is_native(const char *text, apr_size_t len,
                         const char *prefix)
{
    apr_size_t plen = strlen(prefix);
    const char *random = text + plen + 1;
    char check[TOKEN_CHECK_LEN];
    int i;

    if (len != plen + 1 + TOKEN_RANDOM_LEN + TOKEN_CHECK_LEN
        || memcmp(text, prefix, plen) != 0 || text[plen] != '_') {
        return 0;
    }
    for (i = 0; i < TOKEN_RANDOM_LEN; i++) {
        if (!is_base62(random[i])) {
            return 0;
        }
    }
    /* A checksum is no secret: an ordinary comparison will do. */
    write_check(check, random);
    return memcmp(random + TOKEN_RANDOM_LEN, check, TOKEN_CHECK_LEN) == 0;
}

/* The length of the sequence a lead byte opens, and the bounds of the byte
 * behind it (RFC 3629 section 4); 0 when it opens none. */
static int lead_byte(unsigned char c, unsigned char *low,
                     unsigned char *high)
{
    *low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    *high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (c < 0x80) {
        return 1;
    }
    if (c >= 0xC2 && c <= 0xDF) {
        return 2;
    }
    if (c >= 0xE0 && c <= 0xEF) {
        return 3;
    }
    return c >= 0xF0 && c <= 0xF4 ? 4 : 0;
}

int token_text_is_utf8(const char *text, apr_size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    apr_size_t i = 0;

    while (i < len) {
        unsigned char low, high;
        int n = lead_byte(s[i], &low, &high);
        int k;

        if (n == 0 || (apr_size_t)n > len - i) {
            return 0;
        }
        for (k = 1; k < n; k++) {
            if (s[i + k] < low || s[i + k] > high) {
                return 0;
            }
            low = 0x80;
            high = 0xBF;
        }
        i += n;
    }
    return 1;
}

int token_text_is_printable(const char *text, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = text[i];

        if (c < 0x20 || c == 0x7F) {
            return 0;
        }
        /* U+0080 to U+009F, which terminals take for ESC and a letter. */
        if (c == 0xC2 && i + 1 < len && (unsigned char)text[i + 1] < 0xA0) {
            return 0;
        }
    }
    return 1;
}

int token_text_is_scope(const char *word)
{
    const char *c;

    for (c = word; *c; c++) {
        if (*c <= 0x20 || *c >= 0x7F || *c == '"' || *c == '\\') {
            return 0;
        }
    }
    return c > word;
}

int token_text_has_word(const char *words, const char *word, apr_size_t len)
{
    while (*words) {
        apr_size_t n = strcspn(words, " ");

        if (n == len && memcmp(words, word, len) == 0) {
            return len > 0;
        }
        words += n;
        words += strspn(words, " ");
    }
    return 0;
}

int token_text_is_id(const char *id)
{
    return strlen(id) == 16 && strspn(id, "0123456789abcdef") == 16;
}

/* Digits, at most TOKEN_SECONDS_MAX; the cursor moves past them. */
static int read_digits(apr_int64_t *number, const char **cursor)
{
    const char *c = *cursor;
    apr_int64_t n = 0;

    if (!is_digit(*c)) {
        return 0;
    }
    for (; is_digit(*c); c++) {
        n = n * 10 + (*c - '0');
        if (n > TOKEN_SECONDS_MAX) {
            return 0;
        }
    }
    *number = n;
    *cursor = c;
    return 1;
}

int token_text_number(apr_int64_t *number, const char *text)
{
    apr_int64_t n;

    if (!read_digits(&n, &text) || *text) {
        return 0;
    }
    *number = n;
    return 1;
}

int token_text_seconds(apr_int64_t *seconds, const char *text)
{
    static const struct {
        const char *name;
        int seconds;
    } units[] = {
        { "", 1 }, { "s", 1 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 }
    };
    apr_int64_t n;
    apr_size_t i;

    if (!read_digits(&n, &text)) {
        return 0;
    }
    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text, units[i].name) == 0) {
            if (n > TOKEN_SECONDS_MAX / units[i].seconds) {
                return 0;
            }
            *seconds = n * units[i].seconds;
            return 1;
        }
    }
    return 0;
}

#define EACH_BYTE(b) (~(apr_uint64_t)0 / 255 * (b))

/* The value of eight hex digits, all at once: as one word, the first digit
 * the highest byte.  Letters alone have bit 6, and lack nine. */
static apr_uint64_t read_hex(const char digits[8])
{
    const unsigned char *d = (const unsigned char *)digits;
    apr_uint64_t v = (apr_uint64_t)d[0] << 56 | (apr_uint64_t)d[1] << 48
        | (apr_uint64_t)d[2] << 40 | (apr_uint64_t)d[3] << 32
        | (apr_uint64_t)d[4] << 24 | (apr_uint64_t)d[5] << 16
        | (apr_uint64_t)d[6] << 8 | d[7];

    v = (v & EACH_BYTE(0x0F)) + 9 * (v >> 6 & EACH_BYTE(0x01));
    v = (v | v >> 4) & APR_UINT64_C(0x00FF00FF00FF00FF);
    v = (v | v >> 8) & APR_UINT64_C(0x0000FFFF0000FFFF);
    return (v | v >> 16) & 0xFFFFFFFF;
}

apr_uint64_t token_text_read_hex(const char digits[16])
{
    return read_hex(digits) << 32 | read_hex(digits + 8);
}

/* The other way round: what is past nine gets the distance of "a" from the
 * character behind "9", too.  Without a loop it is one store. */
static void write_hex(char out[8], apr_uint64_t v)
{
    v = (v | v << 16) & APR_UINT64_C(0x0000FFFF0000FFFF);
    v = (v | v << 8) & APR_UINT64_C(0x00FF00FF00FF00FF);
    v = (v | v << 4) & EACH_BYTE(0x0F);
    v += EACH_BYTE('0')
        + ((v + EACH_BYTE(6)) >> 4 & EACH_BYTE(1)) * ('a' - '9' - 1);
    out[0] = (char)(v >> 56);
    out[1] = (char)(v >> 48);
    out[2] = (char)(v >> 40);
    out[3] = (char)(v >> 32);
    out[4] = (char)(v >> 24);
    out[5] = (char)(v >> 16);
    out[6] = (char)(v >> 8);
    out[7] = (char)v;
}

void token_text_write_hex(char out[16], apr_uint64_t word)
{
    write_hex(out, word >> 32);
    write_hex(out + 8, word & 0xFFFFFFFF);
}

/* Writes n in so many digits. */
static void write_digits(char *out, int digits, int n)
{
    while (digits-- > 0) {
        out[digits] = (char)('0' + n % 10);
        n /= 10;
    }
}

/* Every granted request has a date in its environment, and gmtime_r() takes
 * a lock of the whole process: so the calendar is computed here.  Years are
 * counted from 1 March, which puts the leap day last; a month is then the
 * (5 * day + 2) / 153th. */
void token_text_date(char out[TOKEN_DATE_SIZE], apr_int64_t seconds)
{
    int days, of_day, era, year, day, month;

    /* Years have four digits: what is before 1970 or past 9999 is clipped. */
    seconds = seconds < 0 ? 0
        : seconds > TOKEN_LAST_SECOND ? TOKEN_LAST_SECOND : seconds;
    of_day = (int)(seconds % 86400);
    days = (int)(seconds / 86400) + DAYS_TO_1970;
    era = days / DAYS_OF_400_YEARS;
    day = days % DAYS_OF_400_YEARS;
    year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    year += 400 * era;
    month = (5 * day + 2) / 153;
    day -= (153 * month + 2) / 5;
    memcpy(out, "0000-00-00T00:00:00Z", TOKEN_DATE_SIZE);
    write_digits(out, 4, year + (month >= 10));
    write_digits(out + 5, 2, month < 10 ? month + 3 : month - 9);
    write_digits(out + 8, 2, day + 1);
    write_digits(out + 11, 2, of_day / 3600);
    write_digits(out + 14, 2, of_day / 60 % 60);
    write_digits(out + 17, 2, of_day % 60);
}
