/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides who has failed too often.  A counter is one 64-bit word: a tag of
 * whom it is of, when its window ends, and how often he failed; it is
 * changed by compare-and-swap, and memory is bounded by forgetting what is
 * least worth keeping of a set.  What follows from it is the flows'
 * decision. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "apr_shm.h"
#include "apr_siphash.h"
#include "apr_strings.h"
#include "apr_time.h"

#include "token_clock.h"
#include "token_throttle.h"

#define WAYS 4
#define SETS 4096               /* half of them for logins */
#define PLACES_MAX 64

/* Bytes of a name that tell it from others. */
#define USER_MAX 256

/* Who may wait for each place: one is free again in a fraction of a second.
 * A worker that waits cannot check tokens. */
#define QUEUE 4

/* And how long: a killed child keeps its places until httpd's parent, which
 * looks once a second, has waited for it. */
#define WAIT_MSEC 2000
#define TRY_MSEC 10

/* After so many seconds a place is free whatever became of who took it: the
 * number of a killed process may be another's by now. */
#define LEASE 60

/* Seconds by which one request may be late behind another. */
#define SKEW 300

/* tag 24 bits | second 26 bits | count 14 bits.  The second is the one in
 * which the window ends, so that anybody can tell, whatever his own limit
 * is; counted from when the counters were made: two years until it wraps. */
#define COUNT_BITS 14
#define SECOND_BITS 26
#define COUNT_MASK ((1u << COUNT_BITS) - 1)
#define SECOND_MASK ((1u << SECOND_BITS) - 1)

typedef _Atomic(apr_uint64_t) word_t;

/* Else the compiler's library would lock them, for one process only. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && sizeof(word_t) == 8,
               "the processor has atomics of 64 bits");
_Static_assert(TOKEN_THROTTLE_COUNT_MAX <= COUNT_MASK
                   && TOKEN_THROTTLE_SECONDS_MAX < SECOND_MASK - SKEW,
               "a counter holds every limit");

struct token_throttle_t {
    word_t *counters;               /* SETS * WAYS */
    word_t *places;                 /* pid << 32 | second; 0: free */
    int hashes;                     /* places to hash, then to wait */
    apr_int64_t start;
    unsigned char key[APR_SIPHASH_KSIZE];
};

apr_status_t token_throttle_create(token_throttle_t **throttle, int hashes,
                                   apr_pool_t *pool)
{
    token_throttle_t *t = apr_pcalloc(pool, sizeof(*t));
    apr_shm_t *shm;
    apr_status_t rv;

    /* A secret key: nobody can choose names that share a counter. */
    if (RAND_bytes(t->key, sizeof(t->key)) != 1) {
        return APR_EGENERAL;
    }
    rv = apr_shm_create(&shm,
                        (SETS * WAYS + PLACES_MAX * (1 + QUEUE))
                            * sizeof(word_t), NULL, pool);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    t->counters = apr_shm_baseaddr_get(shm);
    t->places = t->counters + SETS * WAYS;
    t->hashes = hashes < 1 ? 1 : hashes > PLACES_MAX ? PLACES_MAX : hashes;
    t->start = token_clock_seconds() - 1;
    *throttle = t;
    return APR_SUCCESS;
}

/* --- a counter --- */

/* IPv4 as a socket of both kinds shows it, and as a translator does (RFC
 * 6052): behind one prefix of 64 bits is the whole of IPv4. */
static int embeds_ipv4(const unsigned char ip[16])
{
    static const unsigned char prefixes[2][12] = {
        { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF },
        { 0, 0x64, 0xFF, 0x9B }
    };

    return memcmp(ip, prefixes[0], 12) == 0
        || memcmp(ip, prefixes[1], 12) == 0;
}

static apr_uint64_t hash_name(const token_throttle_t *t,
                              token_throttle_kind_t kind,
                              const apr_sockaddr_t *address,
                              const char *user, const token_limit_t *limit)
{
    unsigned char name[2 + 8 + 8 + USER_MAX + 1];
    const unsigned char *ip = address->ipaddr_ptr;
    apr_size_t n = address->ipaddr_len;
    apr_size_t len = 2 + 8 + 8;

    if (n == 16 && embeds_ipv4(ip)) {
        ip += 12;
        n = 4;
    }
    /* Of IPv6 what one subscriber has: 64 bits. */
    n = n < 8 ? n : 8;
    memset(name, 0, len);
    name[0] = (unsigned char)kind;
    name[1] = (unsigned char)n;
    memcpy(name + 2, ip, n);
    /* Each limit has counters of its own: a shorter window elsewhere must
     * not begin this one anew, nor a higher count use this one up. */
    memcpy(name + 2 + 8, &limit->count, 4);
    memcpy(name + 2 + 8 + 4, &limit->seconds, 4);
    if (user) {
        len += apr_cpystrn((char *)name + len, user, USER_MAX + 1)
            - ((char *)name + len);
    }
    return apr_siphash24(name, len, t->key);
}

static apr_uint32_t get_second(const token_throttle_t *t, apr_int64_t now)
{
    return (apr_uint32_t)(now - t->start) & SECOND_MASK;
}

/* Seconds that a counter's window goes on, 0 when it is over. */
static apr_uint32_t get_rest(apr_uint64_t word, apr_uint32_t second)
{
    apr_uint32_t rest = ((apr_uint32_t)(word >> COUNT_BITS) - second)
        & SECOND_MASK;

    /* More is left to a request that came before the window and was slow;
     * far more is what ended long ago. */
    return rest > TOKEN_THROTTLE_SECONDS_MAX + SKEW ? 0 : rest;
}

static apr_uint64_t get_tag(apr_uint64_t word)
{
    return word >> (SECOND_BITS + COUNT_BITS);
}

static int is_of(apr_uint64_t word, apr_uint64_t name)
{
    return word && get_tag(word) == get_tag(name);
}

/* What a counter is worth keeping.  One whose own window is over goes first,
 * then one that failed less often: who has many names cannot wash his own
 * failures away with them. */
static apr_uint32_t weigh_counter(apr_uint64_t word, apr_uint32_t second)
{
    return word && get_rest(word, second) ? (apr_uint32_t)(word & COUNT_MASK)
                                          : 0;
}

/* The name's counter, else the one least worth keeping, of these the one
 * that ends first. */
static word_t *choose_counter(const token_throttle_t *t,
                              token_throttle_kind_t kind, apr_uint64_t name,
                              apr_uint32_t second)
{
    /* Bad tokens, whose window is short, drive out no failed login. */
    apr_uint64_t half = kind == TOKEN_THROTTLE_TOKEN_ADDRESS ? 0 : SETS / 2;
    word_t *set = t->counters + (half + name % (SETS / 2)) * WAYS;
    word_t *best = NULL;
    apr_uint32_t best_weight = 0;
    apr_uint32_t best_rest = 0;
    int way;

    for (way = 0; way < WAYS; way++) {
        apr_uint64_t word = atomic_load(&set[way]);
        apr_uint32_t weight = weigh_counter(word, second);
        apr_uint32_t rest = get_rest(word, second);

        if (is_of(word, name)) {
            return &set[way];
        }
        if (!best || weight < best_weight
            || (weight == best_weight && rest < best_rest)) {
            best = &set[way];
            best_weight = weight;
            best_rest = rest;
        }
    }
    return best;
}

int token_throttle_wait(token_throttle_t *throttle,
                        token_throttle_kind_t kind,
                        const apr_sockaddr_t *address, const char *user,
                        const token_limit_t *limit, apr_int64_t now)
{
    apr_uint64_t name = hash_name(throttle, kind, address, user, limit);
    apr_uint32_t second = get_second(throttle, now);
    apr_uint64_t word;
    int rest;

    if (limit->count == 0) {
        return 0;
    }
    word = atomic_load(choose_counter(throttle, kind, name, second));
    if (!is_of(word, name)
        || (word & COUNT_MASK) < (apr_uint32_t)limit->count) {
        return 0;
    }
    rest = (int)get_rest(word, second);
    return rest < limit->seconds ? rest : limit->seconds;
}

void token_throttle_fail(token_throttle_t *throttle,
                         token_throttle_kind_t kind,
                         const apr_sockaddr_t *address, const char *user,
                         const token_limit_t *limit, apr_int64_t now)
{
    apr_uint64_t name = hash_name(throttle, kind, address, user, limit);
    apr_uint32_t second = get_second(throttle, now);
    apr_uint32_t end = (second + (apr_uint32_t)limit->seconds) & SECOND_MASK;
    apr_uint64_t first = get_tag(name) << (SECOND_BITS + COUNT_BITS)
        | (apr_uint64_t)end << COUNT_BITS | 1;
    word_t *counter;
    apr_uint64_t old, new;

    if (limit->count == 0) {
        return;
    }
    counter = choose_counter(throttle, kind, name, second);
    old = atomic_load(counter);
    do {
        if (!is_of(old, name) || !get_rest(old, second)) {
            new = first;
        }
        else {
            new = (old & COUNT_MASK) == COUNT_MASK ? old : old + 1;
        }
    } while (!atomic_compare_exchange_weak(counter, &old, new));
}

/* --- the places for hashing --- */

static int is_free(apr_uint64_t place, apr_uint32_t now)
{
    return place == 0 || (apr_int32_t)(now - (apr_uint32_t)place) > LEASE
        || (kill((pid_t)(place >> 32), 0) == -1 && errno == ESRCH);
}

/* Takes one of n places from the first. */
static int take_place(token_throttle_t *t, int first, int n)
{
    apr_uint32_t now = (apr_uint32_t)token_clock_seconds();
    apr_uint64_t mine = (apr_uint64_t)(apr_uint32_t)getpid() << 32 | now;
    int i;

    for (i = first; i < first + n; i++) {
        apr_uint64_t place = atomic_load(&t->places[i]);

        if (is_free(place, now)
            && atomic_compare_exchange_strong(&t->places[i], &place, mine)) {
            return i;
        }
    }
    return -1;
}

int token_throttle_begin_hash(token_throttle_t *throttle)
{
    int tries = WAIT_MSEC / TRY_MSEC;
    int place = take_place(throttle, 0, throttle->hashes);
    int waiting;

    if (place >= 0) {
        return place;
    }
    waiting = take_place(throttle, throttle->hashes,
                         throttle->hashes * QUEUE);
    if (waiting < 0) {
        return -1;
    }
    while (place < 0 && tries-- > 0) {
        apr_sleep(apr_time_from_msec(TRY_MSEC));
        place = take_place(throttle, 0, throttle->hashes);
    }
    token_throttle_end_hash(throttle, waiting);
    return place;
}

void token_throttle_end_hash(token_throttle_t *throttle, int place)
{
    atomic_store(&throttle->places[place], 0);
}
