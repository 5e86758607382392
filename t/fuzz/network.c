/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The input is an address, a line's end and a list of networks.  A list that
 * is taken holds each of its own addresses, and any other as a slow reading
 * of it says, bit by bit; a list that is refused holds nobody. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "apr_strings.h"

#include "fuzz.h"
#include "token_network.h"

/* As a connection has it. */
typedef struct {
    apr_sockaddr_t address;
    unsigned char bytes[16];
} peer_t;

static int set_peer(peer_t *peer, const char *text)
{
    memset(peer, 0, sizeof(*peer));
    peer->address.ipaddr_ptr = peer->bytes;
    peer->address.family = AF_INET;
    if (inet_pton(AF_INET, text, peer->bytes) == 1) {
        return 1;
    }
    peer->address.family = AF_INET6;
    return inet_pton(AF_INET6, text, peer->bytes) == 1;
}

static int get_bit(const unsigned char *bytes, int number)
{
    return bytes[number / 8] >> (7 - number % 8) & 1;
}

/* Splits "address/length". */
static void split_word(peer_t *base, int *length, const char *word)
{
    char *text = fuzz_copy(word, strlen(word));
    char *slash = strchr(text, '/');

    if (slash) {
        *slash = '\0';
    }
    HOLDS(set_peer(base, text), "each word of a list is an address");
    *length = slash ? (int)strtol(slash + 1, NULL, 10)
        : base->address.family == AF_INET ? 32 : 128;
}

static int word_holds(const char *word, const peer_t *peer)
{
    peer_t base;
    int length, i;

    split_word(&base, &length, word);
    for (i = 0; i < length; i++) {
        if (get_bit(base.bytes, i) != get_bit(peer->bytes, i)) {
            return 0;
        }
    }
    return base.address.family == peer->address.family;
}

static void check_form(const char *list)
{
    apr_size_t len = strlen(list);
    int words = 1;
    const char *c;

    for (c = list; *c; c++) {
        words += *c == ' ';
    }
    HOLDS(len > 0 && len <= TOKEN_NETWORK_TEXT
          && words <= TOKEN_NETWORK_RANGES, "a list has its length");
    HOLDS(list[0] != ' ' && list[len - 1] != ' ' && !strstr(list, "  ")
          && !strpbrk(list, "\t,"), "one blank is between two words");
}

/* The same address as IPv6 sockets have it. */
static void map_peer(peer_t *mapped, const peer_t *peer)
{
    memset(mapped, 0, sizeof(*mapped));
    mapped->address.ipaddr_ptr = mapped->bytes;
    mapped->address.family = AF_INET6;
    memset(mapped->bytes + 10, 0xFF, 2);
    memcpy(mapped->bytes + 12, peer->bytes, 4);
}

static void check_list(const char *list, const char *text, const peer_t *peer,
                       apr_pool_t *pool)
{
    char *words = apr_pstrdup(pool, list);
    int is_held = 0;
    char *word, *last;
    peer_t own;
    int length;

    for (word = apr_strtok(words, " ", &last); word;
         word = apr_strtok(NULL, " ", &last)) {
        split_word(&own, &length, word);
        HOLDS(token_network_holds(list, &own.address),
              "a list holds its own addresses");
        is_held |= peer && word_holds(word, peer);
    }
    if (peer) {
        HOLDS(token_network_holds(list, &peer->address) == is_held,
              "a list holds what its words say");
        HOLDS(token_network_holds(text, &peer->address) == is_held,
              "a list holds what it held as it was written");
        if (peer->address.family == AF_INET) {
            map_peer(&own, peer);
            HOLDS(token_network_holds(list, &own.address) == is_held,
                  "an IPv4 address is the same over IPv6");
        }
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    apr_pool_t *pool = fuzz_begin();
    const char *address = fuzz_line(&data, &size);
    const char *text = fuzz_line(&data, &size);
    const char *list, *again;
    peer_t peer;
    int is_peer = address && set_peer(&peer, address);

    if (is_peer && peer.address.family == AF_INET6
        && memcmp(peer.bytes, "\0\0\0\0\0\0\0\0\0\0\xFF\xFF", 12) == 0) {
        is_peer = 0;
    }
    text = text ? text : fuzz_copy("", 0);
    if (token_network_normalize(&list, text, pool)) {
        check_form(list);
        HOLDS(token_network_normalize(&again, list, pool)
              && strcmp(again, list) == 0, "a list written again is the same");
        check_list(list, text, is_peer ? &peer : NULL, pool);
    }
    else {
        HOLDS(!list, "a list refused is none");
        HOLDS(!is_peer || !token_network_holds(text, &peer.address),
              "a list refused holds nobody");
    }
    fuzz_end();
    return 0;
}
