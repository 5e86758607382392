/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What is a list of networks, and which addresses are in it. */
#include <stdlib.h>

#include "apr_general.h"
#include "apr_strings.h"

#include "tap.h"
#include "token_network.h"

/* In memory that ends where the text ends, for the sanitizer to watch. */
static int normalize(const char **out, const char *text, apr_pool_t *pool)
{
    char *copy = strdup(text);
    int good = token_network_normalize(out, copy, pool);

    free(copy);
    return good;
}

static void test_good(tap_t *tap, apr_pool_t *pool)
{
    static const char *const cases[][2] = {
        { "192.0.2.1", "192.0.2.1" },
        { "0.0.0.0/0", "0.0.0.0/0" },
        { "255.255.255.255/32", "255.255.255.255/32" },
        { "10.1.2.3/8", "10.1.2.3/8" },
        { "::", "::" },
        { "::/0", "::/0" },
        { "2001:DB8::/32", "2001:DB8::/32" },
        { "2001:db8:0:0:0:0:0:1/128", "2001:db8:0:0:0:0:0:1/128" },
        { "::192.0.2.1/128", "::192.0.2.1/128" },
        { "2001:db8:1111:2222:3333:4444:192.168.100.200/128",
          "2001:db8:1111:2222:3333:4444:192.168.100.200/128" },
        { "10.0.0.0/8,192.0.2.1", "10.0.0.0/8 192.0.2.1" },
        { "10.0.0.0/8, ::1", "10.0.0.0/8 ::1" },
        { " \t10.0.0.0/8\t ,,  ::1 , ", "10.0.0.0/8 ::1" }
    };
    const char *out;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tap_ok(tap, normalize(&out, cases[i][0], pool),
               "\"%s\" is a list", cases[i][0]);
        tap_is(tap, out, cases[i][1], "it becomes \"%s\"", cases[i][1]);
    }
}

static void test_bad(tap_t *tap, apr_pool_t *pool)
{
    static const char *const cases[] = {
        "", " ", ",", " , \t", "localhost", "example.org", "*", "all", "10",
        "10.", "10.1", "10.1.2", "10.1/16", "10.1.2.3.4", "256.0.0.1",
        "010.0.0.1", "0x7f.0.0.1", "2130706433", "-1.0.0.0", "+1.0.0.0",
        "1.2.3.4.", ".1.2.3.4", "1..2.3", "10.0.0.0/", "10.0.0.0/33",
        "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0.0 /8",
        "10.0.0.0/08", "10.0.0.0/00", "10.0.0.0/8/8", "10.0.0.0//8",
        "10.0.0.0/8x", "10.0.0.0/x8", "10.0.0.0/0x8",
        "10.0.0.0/255.0.0.0", "10.0.0.0/1000", "10.0.0.0/4294967304",
        "10.0.0.0/99999999999999999999999", "10.0.0.0-10.0.0.9", "/8", "/",
        ":", ":::", "2001:db8::1::", "2001:db8", "2001:db8::/129",
        "2001:db8::/-1", "2001:db8::/", "12345::", "g::", "[::1]", "[::1]:80",
        "fe80::1%eth0", "fe80::1%1/64", "::1/ffff::", "::ffff:10.0.0.1",
        "::ffff:10.0.0.0/104", "::ffff:0:0/96", "10.0.0.1:80",
        "10.0.0.0/8;::1", "10.0.0.0/8\n::1", "10.0.0.0/8\r", "10.0.0.1\x0b",
        "10.0.0.0/8 x", "x 10.0.0.0/8", "!10.0.0.1", "10.0.0.1'",
        "\xEF\xBC\x91.0.0.1", "\xFF",
        "2001:db8:1111:2222:3333:4444:192.168.100.200/128 x",
        "2001:db8:1111:2222:3333:4444:192.168.100.200/1280",
        "0000000000000000000000000000000000000000000000000000000000000.0.0.1"
    };
    const char *out;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        out = "?";
        tap_ok(tap, !normalize(&out, cases[i], pool) && !out,
               "bad list %d is refused, and nothing is written", (int)i);
    }
}

/* Many times the word, with as many blanks between as fit the length. */
static const char *repeat(const char *word, int times, apr_pool_t *pool)
{
    const char *text = word;

    while (--times > 0) {
        text = apr_pstrcat(pool, text, ", ", word, NULL);
    }
    return text;
}

static void test_bounds(tap_t *tap, apr_pool_t *pool)
{
    static const char word[] = "2001:db8:1111:2222:3333:4444:5555::/112";
    apr_sockaddr_t *address;
    const char *text, *out;

    tap_ok(tap, normalize(&out, repeat("10.0.0.0/8", 16, pool), pool),
           "16 ranges are good");
    text = repeat("10.0.0.0/8", 17, pool);
    tap_ok(tap, !normalize(&out, text, pool), "17 are refused");
    apr_sockaddr_info_get(&address, "10.0.0.1", APR_UNSPEC, 0, 0, pool);
    tap_ok(tap, !token_network_holds(text, address),
           "a row of 17 holds nothing");
    /* 39 * 7 + 7 blanks = 280, and 20 more. */
    text = apr_pstrcat(pool, repeat(word, 7, pool),
                       ",2001:db8:aaaa:b::/64", NULL);
    tap_ok(tap, normalize(&out, text, pool) && strlen(out) == 300,
           "300 characters are good, however they are separated");
    text = apr_pstrcat(pool, repeat(word, 7, pool),
                       ",2001:db8:aaaa:bb::/64", NULL);
    tap_ok(tap, !normalize(&out, text, pool), "301 are refused");
}

typedef struct {
    const char *networks;
    const char *address;
    int inside;
} case_t;

static void check(tap_t *tap, const case_t *cases, size_t count,
                  apr_pool_t *pool)
{
    size_t i;

    for (i = 0; i < count; i++) {
        apr_sockaddr_t *address = NULL;
        int parsed = apr_sockaddr_info_get(&address, cases[i].address,
                                           APR_UNSPEC, 0, 0, pool)
                     == APR_SUCCESS;

        tap_ok(tap, parsed
                    && token_network_holds(cases[i].networks, address)
                       == cases[i].inside,
               "\"%s\" %s %s", cases[i].networks,
               cases[i].inside ? "holds" : "does not hold",
               cases[i].address);
    }
}

#define CHECK(cases) \
    check(tap, cases, sizeof(cases) / sizeof(cases[0]), pool)

static void test_v4(tap_t *tap, apr_pool_t *pool)
{
    static const case_t cases[] = {
        { "192.0.2.1", "192.0.2.1", 1 }, { "192.0.2.1", "192.0.2.2", 0 },
        { "192.0.2.1/32", "192.0.2.1", 1 },
        { "192.0.2.1/32", "192.0.2.0", 0 },
        { "192.0.2.0/31", "192.0.2.1", 1 },
        { "192.0.2.0/31", "192.0.2.2", 0 },
        { "192.0.2.0/31", "192.0.1.255", 0 },
        { "192.0.2.0/24", "192.0.2.255", 1 },
        { "192.0.2.0/24", "192.0.3.0", 0 },
        { "192.0.2.0/23", "192.0.3.255", 1 },
        { "192.0.2.0/23", "192.0.4.0", 0 },
        { "192.0.2.0/23", "192.0.1.255", 0 },
        { "10.0.0.0/8", "10.255.255.255", 1 },
        { "10.0.0.0/8", "11.0.0.0", 0 }, { "10.0.0.0/8", "9.255.255.255", 0 },
        { "10.9.8.7/8", "10.0.0.1", 1 },
        { "128.0.0.0/1", "255.255.255.255", 1 },
        { "128.0.0.0/1", "127.255.255.255", 0 },
        { "0.0.0.0/1", "127.255.255.255", 1 },
        { "0.0.0.0/0", "0.0.0.0", 1 },
        { "0.0.0.0/0", "255.255.255.255", 1 },
        { "10.0.0.0/8 192.0.2.0/24", "192.0.2.7", 1 },
        { "10.0.0.0/8,192.0.2.0/24", "10.0.0.1", 1 },
        { "10.0.0.0/8 192.0.2.0/24", "192.0.3.7", 0 }
    };

    CHECK(cases);
}

static void test_v6(tap_t *tap, apr_pool_t *pool)
{
    static const case_t cases[] = {
        { "::1", "::1", 1 }, { "::1", "::2", 0 }, { "::1/128", "::1", 1 },
        { "::1/128", "::", 0 },
        { "2001:db8::/127", "2001:db8::1", 1 },
        { "2001:db8::/127", "2001:db8::2", 0 },
        { "2001:db8::/32", "2001:db8:ffff::1", 1 },
        { "2001:db8::/32", "2001:db9::", 0 },
        { "2001:db8::/33", "2001:db8:7fff::", 1 },
        { "2001:db8::/33", "2001:db8:8000::", 0 },
        { "2001:DB8:0:0::/64", "2001:db8::ffff:ffff:ffff:ffff", 1 },
        { "2001:db8::/64", "2001:db8:0:1::", 0 },
        { "::/0", "::", 1 },
        { "::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 1 },
        { "8000::/1", "7fff::", 0 }, { "8000::/1", "ffff::", 1 },
        { "10.0.0.0/8 2001:db8::/32", "2001:db8::1", 1 }
    };

    CHECK(cases);
}

/* 10.0.0.0 are the first bytes of a00::, and the last of ::10.0.0.0. */
static void test_families(tap_t *tap, apr_pool_t *pool)
{
    static const case_t cases[] = {
        { "10.0.0.0/8", "a00::1", 0 }, { "10.0.0.0/8", "a00::", 0 },
        { "10.0.0.0/8", "::10.0.0.0", 0 }, { "0.0.0.0/0", "::", 0 },
        { "0.0.0.0/0", "2001:db8::1", 0 }, { "0.0.0.0", "::", 0 },
        { "::/0", "10.0.0.1", 0 }, { "a00::/8", "10.0.0.1", 0 },
        { "::10.0.0.0/104", "10.0.0.1", 0 }, { "::", "0.0.0.0", 0 },
        { "10.0.0.0/8", "::ffff:10.1.2.3", 1 },
        { "10.0.0.0/8", "::ffff:11.1.2.3", 0 },
        { "0.0.0.0/0", "::ffff:192.0.2.1", 1 },
        { "192.0.2.1/32", "::ffff:192.0.2.1", 1 },
        { "::/0", "::ffff:192.0.2.1", 0 },
        { "::/0", "::fffe:c000:201", 1 },
        { "0.0.0.0/0", "::fffe:c000:201", 0 },
        { "0.0.0.0/0", "0:0:0:0:1:ffff:c000:201", 0 },
        { "::/0 0.0.0.0/0", "::ffff:192.0.2.1", 1 }
    };

    CHECK(cases);
}

static void test_faulty(tap_t *tap, apr_pool_t *pool)
{
    static const case_t cases[] = {
        { "", "10.0.0.1", 0 }, { " ", "10.0.0.1", 0 },
        { "10.0.0.0/8 x", "10.0.0.1", 0 }, { "x 10.0.0.0/8", "10.0.0.1", 0 },
        { "10.0.0.0/8 10.0.0.0/33", "10.0.0.1", 0 },
        { "10.0.0.0/8;", "10.0.0.1", 0 }, { "10", "10.0.0.1", 0 },
        { "10.0.0.0/255.0.0.0", "10.0.0.1", 0 },
        { "localhost", "127.0.0.1", 0 }, { "all", "127.0.0.1", 0 },
        { "::ffff:10.0.0.0/104", "10.0.0.1", 0 },
        { "::ffff:10.0.0.0/104", "::ffff:10.0.0.1", 0 },
        { "{10.0.0.0/8}", "10.0.0.1", 0 }, { "\xFF", "10.0.0.1", 0 }
    };
    char *huge = malloc(100001);
    apr_sockaddr_t *address;

    CHECK(cases);
    memset(huge, '1', 100000);
    huge[100000] = '\0';
    apr_sockaddr_info_get(&address, "1.1.1.1", APR_UNSPEC, 0, 0, pool);
    tap_ok(tap, !token_network_holds(huge, address),
           "100000 digits hold nothing");
    memset(huge, ' ', 100000);
    tap_ok(tap, !token_network_holds(huge, address), "nor do as many blanks");
    free(huge);
    tap_ok(tap, !token_network_holds("0.0.0.0/0 ::/0", NULL),
           "no address is in no network");
#if APR_HAVE_SOCKADDR_UN
    apr_sockaddr_info_get(&address, "/nowhere/socket", APR_UNIX, 0, 0, pool);
    tap_ok(tap, !token_network_holds("0.0.0.0/0 ::/0", address),
           "nor is that of a Unix socket");
#endif
}

int main(void)
{
    tap_t tap = { 0, 0 };
    apr_pool_t *pool;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_good(&tap, pool);
    test_bad(&tap, pool);
    test_bounds(&tap, pool);
    test_v4(&tap, pool);
    test_v6(&tap, pool);
    test_families(&tap, pool);
    test_faulty(&tap, pool);
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_end(&tap);
}
