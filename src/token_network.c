/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what is a range of addresses, and which addresses are in it.  Not
 * by apr_ipsubnet_test(): it knows no range of length 0, and takes an IPv6
 * address whose first bytes are those of an IPv4 range to be in it. */
#include <arpa/inet.h>
#include <string.h>

#include "apr_strings.h"

#include "token_network.h"

#define SEPARATORS " \t,"

/* The longest address and "/128". */
#define WORD_MAX (INET6_ADDRSTRLEN - 1 + 4)

typedef struct {
    int family;
    int length;                 /* bits that count */
    unsigned char bytes[16];
} range_t;

static int is_mapped(const unsigned char bytes[16])
{
    static const unsigned char prefix[12] = { [10] = 0xFF, [11] = 0xFF };

    return memcmp(bytes, prefix, sizeof(prefix)) == 0;
}

/* --- text --- */

/* Up to three digits, so that they cannot overflow. */
static int read_length(int *length, const char *text, int most)
{
    apr_size_t len = strspn(text, "0123456789");
    apr_size_t i;

    if (len == 0 || len > 3 || text[len]) {
        return 0;
    }
    for (*length = 0, i = 0; i < len; i++) {
        *length = *length * 10 + (text[i] - '0');
    }
    return *length <= most && (len == 1 || text[0] != '0');
}

/* inet_pton() takes four numbers without a leading zero, and of IPv6 no
 * zone and no brackets: as strict as we want it. */
static int read_address(range_t *range, const char *text)
{
    if (inet_pton(AF_INET, text, range->bytes) == 1) {
        range->family = AF_INET;
        range->length = 32;
        return 1;
    }
    range->family = AF_INET6;
    range->length = 128;
    return inet_pton(AF_INET6, text, range->bytes) == 1
        && !is_mapped(range->bytes);
}

static int read_range(range_t *range, const char *word, apr_size_t len)
{
    char text[WORD_MAX + 1];
    char *slash;

    if (len > WORD_MAX) {
        return 0;
    }
    memcpy(text, word, len);
    text[len] = '\0';
    slash = strchr(text, '/');
    if (slash) {
        *slash = '\0';
    }
    return read_address(range, text)
        && (!slash || read_length(&range->length, slash + 1, range->length));
}

/* All ranges of a list, which must be good to its end; how many, or 0. */
static int read_list(range_t ranges[TOKEN_NETWORK_RANGES], const char *text)
{
    const char *word = text + strspn(text, SEPARATORS);
    apr_size_t total = 0;
    int count = 0;

    while (*word) {
        apr_size_t len = strcspn(word, SEPARATORS);

        total += len + (count > 0);
        if (count == TOKEN_NETWORK_RANGES || total > TOKEN_NETWORK_TEXT
            || !read_range(&ranges[count], word, len)) {
            return 0;
        }
        count++;
        word += len;
        word += strspn(word, SEPARATORS);
    }
    return count;
}

int token_network_normalize(const char **out, const char *text,
                            apr_pool_t *pool)
{
    range_t ranges[TOKEN_NETWORK_RANGES];
    char *joined, *last, *word;

    *out = NULL;
    if (!read_list(ranges, text)) {
        return 0;
    }
    joined = apr_pstrdup(pool, "");
    for (word = apr_strtok(apr_pstrdup(pool, text), SEPARATORS, &last); word;
         word = apr_strtok(NULL, SEPARATORS, &last)) {
        joined = apr_pstrcat(pool, joined, *joined ? " " : "", word, NULL);
    }
    *out = joined;
    return 1;
}

/* --- addresses --- */

/* An address as a range of its own. */
static int take_address(range_t *range, const apr_sockaddr_t *address)
{
    const unsigned char *bytes = address->ipaddr_ptr;

    range->family = address->family;
    if (address->family == AF_INET6 && is_mapped(bytes)) {
        range->family = AF_INET;
        bytes += 12;
    }
    else if (address->family != AF_INET && address->family != AF_INET6) {
        return 0;
    }
    range->length = range->family == AF_INET ? 32 : 128;
    memcpy(range->bytes, bytes, range->length / 8);
    return 1;
}

static int contains(const range_t *range, const range_t *address)
{
    int whole = range->length / 8;
    int rest = range->length % 8;

    if (range->family != address->family
        || memcmp(range->bytes, address->bytes, whole) != 0) {
        return 0;
    }
    return rest == 0
        || (range->bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

int token_network_holds(const char *networks, const apr_sockaddr_t *address)
{
    range_t ranges[TOKEN_NETWORK_RANGES];
    range_t own;
    int i, count;

    if (!address || !take_address(&own, address)) {
        return 0;
    }
    count = read_list(ranges, networks);
    for (i = 0; i < count; i++) {
        if (contains(&ranges[i], &own)) {
            return 1;
        }
    }
    return 0;
}
