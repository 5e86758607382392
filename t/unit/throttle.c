/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Who has failed too often, who has not, and how many hash at once. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apr_general.h"
#include "apr_time.h"
#include "tap.h"
#include "token_clock.h"
#include "token_throttle.h"

#define USER TOKEN_THROTTLE_LOGIN_USER
#define ADDRESS TOKEN_THROTTLE_LOGIN_ADDRESS
#define TOKEN TOKEN_THROTTLE_TOKEN_ADDRESS

static apr_pool_t *pool;
static const token_limit_t limit = { 5, 60 };

/* Later than the counters were made, as any request is. */
static apr_int64_t now;

static token_throttle_t *make_throttle(int hashes)
{
    token_throttle_t *throttle = NULL;

    if (token_throttle_create(&throttle, hashes, pool) != APR_SUCCESS) {
        printf("Bail out! no shared memory\n");
        exit(1);
    }
    return throttle;
}

static apr_sockaddr_t *address(const char *ip)
{
    apr_sockaddr_t *sa = NULL;

    if (apr_sockaddr_info_get(&sa, ip, APR_UNSPEC, 80, 0, pool)
        != APR_SUCCESS) {
        printf("Bail out! cannot parse %s\n", ip);
        exit(1);
    }
    return sa;
}

static void fail(token_throttle_t *t, token_throttle_kind_t kind,
                 const char *ip, const char *user, int times)
{
    apr_sockaddr_t *sa = address(ip);

    while (times--) {
        token_throttle_fail(t, kind, sa, user, &limit, now);
    }
}

static int wait_for(token_throttle_t *t, token_throttle_kind_t kind,
                    const char *ip, const char *user, apr_int64_t when)
{
    return token_throttle_wait(t, kind, address(ip), user, &limit, when);
}

static void test_counts(tap_t *tap)
{
    token_throttle_t *t = make_throttle(1);
    token_limit_t none = { 0, 60 };
    const char *ip = "192.0.2.1";

    tap_ok(tap, wait_for(t, USER, ip, "alice", now) == 0,
           "who never failed need not wait");
    fail(t, USER, ip, "alice", 4);
    tap_ok(tap, wait_for(t, USER, ip, "alice", now) == 0,
           "nor need who failed once less than the limit");
    fail(t, USER, ip, "alice", 1);
    tap_ok(tap, wait_for(t, USER, ip, "alice", now) == 60,
           "at the limit he waits to the end of the window");
    tap_ok(tap, wait_for(t, USER, ip, "alice", now + 59) == 1,
           "to its last second");
    tap_ok(tap, wait_for(t, USER, ip, "alice", now + 60) == 0,
           "and no longer");
    tap_ok(tap, token_throttle_wait(t, USER, address(ip), "alice", &none,
                                    now) == 0,
           "without a limit nobody waits");
    tap_ok(tap, wait_for(t, USER, "192.0.2.2", "alice", now) == 0,
           "the user is not locked out at another address");
    tap_ok(tap, wait_for(t, USER, ip, "bob", now) == 0,
           "nor another user at the same address");
    tap_ok(tap, wait_for(t, ADDRESS, ip, NULL, now) == 0
                && wait_for(t, TOKEN, ip, NULL, now) == 0,
           "each kind is counted for itself");
    fail(t, USER, ip, "bob", 100000);
    tap_ok(tap, wait_for(t, USER, ip, "bob", now) == 60,
           "a count stays at its end and does not begin anew");
}

static void test_windows(tap_t *tap)
{
    token_throttle_t *t = make_throttle(1);
    apr_sockaddr_t *sa = address("192.0.2.1");
    int i;

    fail(t, USER, "192.0.2.1", "alice", 5);
    token_throttle_fail(t, USER, sa, "alice", &limit, now + 60);
    tap_ok(tap, wait_for(t, USER, "192.0.2.1", "alice", now + 61) == 0,
           "the first failure after a window begins another");
    t = make_throttle(1);
    fail(t, USER, "192.0.2.1", "alice", 5);
    for (i = 1; i <= 30; i++) {
        token_throttle_fail(t, USER, sa, "alice", &limit, now - i);
    }
    tap_ok(tap, wait_for(t, USER, "192.0.2.1", "alice", now) == 60
                && wait_for(t, USER, "192.0.2.1", "alice", now - 30) == 60,
           "a request that was slow does not begin a window, nor pass it");
    t = make_throttle(1);
    for (i = 0; i < 5; i++) {
        token_throttle_fail(t, USER, sa, "alice", &limit,
                            now + (1 << 26) - 3);
    }
    tap_ok(tap, wait_for(t, USER, "192.0.2.1", "alice",
                         now + (1 << 26) + 20) == 37
                && wait_for(t, USER, "192.0.2.1", "alice",
                            now + (1 << 26) + 57) == 0,
           "a window goes on where the seconds begin anew after two years");
}

static void test_addresses(tap_t *tap)
{
    token_throttle_t *t = make_throttle(1);

    fail(t, TOKEN, "2001:db8:1:2::1", NULL, 5);
    tap_ok(tap, wait_for(t, TOKEN, "2001:db8:1:2:ffff::9", NULL, now) == 60,
           "an IPv6 address counts as its /64");
    tap_ok(tap, wait_for(t, TOKEN, "2001:db8:1:3::1", NULL, now) == 0,
           "and not as a neighbour's");
    fail(t, TOKEN, "::ffff:192.0.2.7", NULL, 5);
    tap_ok(tap, wait_for(t, TOKEN, "192.0.2.7", NULL, now) == 60,
           "a mapped IPv4 address is that IPv4 address");
    tap_ok(tap, wait_for(t, TOKEN, "::ffff:192.0.2.8", NULL, now) == 0,
           "and no other");
    fail(t, TOKEN, "64:ff9b::192.0.2.9", NULL, 5);
    tap_ok(tap, wait_for(t, TOKEN, "64:ff9b::192.0.2.10", NULL, now) == 0,
           "behind a translator's prefix everybody is on his own");
    fail(t, TOKEN, "2001:db8::1", NULL, 5);
    tap_ok(tap, wait_for(t, TOKEN, "32.1.13.184", NULL, now) == 0,
           "an IPv6 prefix is no IPv4 address of the same bytes");
}

/* Ten million names, then as many addresses that have one failure each. */
static void test_flood(tap_t *tap)
{
    token_throttle_t *t = make_throttle(1);
    apr_sockaddr_t *sa = address("198.51.100.1");
    struct rusage before, after;
    char name[32];
    int wrong = 0;
    int i;

    getrusage(RUSAGE_SELF, &before);
    for (i = 0; i < 10000000; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        token_throttle_fail(t, USER, sa, name, &limit, now);
    }
    getrusage(RUSAGE_SELF, &after);
    /* A sanitizer has memory of its own; 8 bytes a name would be 80 MB. */
    tap_ok(tap, after.ru_maxrss - before.ru_maxrss < 32768,
           "ten million names take no more memory than a few: %ld KB",
           after.ru_maxrss - before.ru_maxrss);
    for (i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "other%d", i);
        wrong += token_throttle_wait(t, USER, address("203.0.113.5"), name,
                                     &limit, now) != 0;
    }
    tap_ok(tap, wrong == 0,
           "and at one address lock out nobody at another");
    t = make_throttle(1);
    fail(t, USER, "192.0.2.1", "alice", 5);
    for (i = 0; i < 200000; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        token_throttle_fail(t, USER, sa, name, &limit, now + 1);
    }
    tap_ok(tap, wait_for(t, USER, "192.0.2.1", "alice", now + 1) == 59,
           "nobody washes his failures away with names that fail once");
}

typedef struct {
    token_throttle_t *throttle;
    apr_sockaddr_t *address;
    token_limit_t limit;
} crowd_t;

static void *fail_once(void *baton)
{
    crowd_t *crowd = baton;
    int i;

    for (i = 0; i < 1000; i++) {
        token_throttle_fail(crowd->throttle, USER, crowd->address, "alice",
                            &crowd->limit, now);
    }
    return NULL;
}

/* A lock-out of an hour is no matter of those that take a minute. */
static void test_limits(tap_t *tap)
{
    token_throttle_t *t = make_throttle(1);
    token_limit_t hour = { 5, 3600 };
    token_limit_t bad = { 100, 60 };
    apr_sockaddr_t *alice = address("192.0.2.1");
    apr_sockaddr_t *other = address("2001:db8::1");
    unsigned char *ip = other->ipaddr_ptr;
    int i;

    for (i = 0; i < 5; i++) {
        token_throttle_fail(t, USER, alice, "alice", &hour, now);
    }
    token_throttle_fail(t, USER, alice, "alice", &limit, now + 61);
    tap_ok(tap, token_throttle_wait(t, USER, alice, "alice", &hour,
                                    now + 61) > 3000,
           "a failure where the window is shorter begins none anew");
    for (i = 0; i < 50000; i++) {
        ip[4] = (unsigned char)(i >> 16);
        ip[5] = (unsigned char)(i >> 8);
        ip[6] = (unsigned char)i;
        token_throttle_fail(t, TOKEN_THROTTLE_TOKEN_ADDRESS, other, NULL,
                            &bad, now + 61);
    }
    tap_ok(tap, token_throttle_wait(t, USER, alice, "alice", &hour,
                                    now + 61) > 3000,
           "bad tokens from 50,000 networks do not drive it out");
}

/* Nor is a lock-out judged over by those whose limits are others. */
static void test_own_window(tap_t *tap)
{
    token_throttle_t *t = make_throttle(1);
    token_limit_t hour = { 5, 3600 };
    token_limit_t brief = { 3, 2 };
    token_limit_t more = { 50, 3600 };
    apr_sockaddr_t *alice = address("192.0.2.1");
    char name[32];
    int i;

    for (i = 0; i < 5; i++) {
        token_throttle_fail(t, USER, alice, "alice", &hour, now);
    }
    for (i = 0; i < 50000; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        token_throttle_fail(t, USER, alice, name, &brief, now + 61);
    }
    tap_ok(tap, token_throttle_wait(t, USER, alice, "alice", &hour,
                                    now + 61) == 3539,
           "names that fail once where the window is short drive no lock-out "
           "out");
    for (i = 0; i < 4; i++) {
        token_throttle_fail(t, USER, alice, "alice", &hour, now + 3600);
    }
    for (i = 0; i < 40; i++) {
        token_throttle_fail(t, USER, alice, "alice", &more, now + 3600);
    }
    tap_ok(tap, token_throttle_wait(t, USER, alice, "alice", &hour,
                                    now + 3600) == 0
                && token_throttle_wait(t, USER, alice, "alice", &more,
                                       now + 3600) == 0,
           "failures where the count is higher are no matter of a lower one");
}

/* Whether the failures of four threads, 4000, are as many as the limit. */
static int reaches(int count)
{
    crowd_t crowd = { make_throttle(1), address("192.0.2.1"), { count, 60 } };
    pthread_t threads[4];
    int i;

    for (i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, fail_once, &crowd);
    }
    for (i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    return token_throttle_wait(crowd.throttle, USER, crowd.address, "alice",
                               &crowd.limit, now) > 0;
}

static void test_threads(tap_t *tap)
{
    tap_ok(tap, reaches(4000) && !reaches(4001),
           "no failure of four threads is lost, none counted twice");
}

static void *begin_hash(void *baton)
{
    return (void *)(size_t)(token_throttle_begin_hash(baton) + 1);
}

static void test_places(tap_t *tap)
{
    token_throttle_t *t = make_throttle(2);
    int a = token_throttle_begin_hash(t);
    int b = token_throttle_begin_hash(t);
    apr_time_t begin = token_clock_now();
    apr_interval_time_t took;
    pthread_t threads[9];
    int refused = 0;
    int i;

    tap_ok(tap, a >= 0 && b >= 0 && a != b, "two may hash at once");
    tap_ok(tap, token_throttle_begin_hash(t) == -1, "a third may not");
    took = token_clock_now() - begin;
    tap_ok(tap, took > apr_time_from_msec(1900)
                && took < apr_time_from_msec(6000),
           "after he has waited two seconds: %d ms",
           (int)apr_time_as_msec(took));
    for (i = 0; i < 8; i++) {
        pthread_create(&threads[i], NULL, begin_hash, t);
    }
    usleep(100000);
    begin = token_clock_now();
    refused = token_throttle_begin_hash(t) == -1;
    took = token_clock_now() - begin;
    tap_ok(tap, refused && took < apr_time_from_msec(500),
           "when eight wait already the ninth is refused at once: %d ms",
           (int)apr_time_as_msec(took));
    token_throttle_end_hash(t, a);
    token_throttle_end_hash(t, b);
    for (i = 0; i < 8; i++) {
        void *place;

        pthread_join(threads[i], &place);
        refused += place == NULL;
    }
    tap_ok(tap, refused == 7, "two of those who wait get the places");
    token_throttle_end_hash(t, 0);
    token_throttle_end_hash(t, 1);
    a = token_throttle_begin_hash(t);
    tap_ok(tap, a >= 0, "a place given back is had again");
}

/* A process that is killed with a place; nobody has waited for it yet. */
static pid_t kill_hashing(token_throttle_t *t)
{
    pid_t pid = fork();
    siginfo_t info;

    if (pid == 0) {
        if (token_throttle_begin_hash(t) < 0) {
            _exit(1);
        }
        raise(SIGKILL);
    }
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    return pid;
}

/* As httpd's parent, which looks once a second. */
static void *wait_late(void *baton)
{
    usleep(1200000);
    waitpid(*(pid_t *)baton, NULL, 0);
    return NULL;
}

static void test_killed(tap_t *tap)
{
    token_throttle_t *t = make_throttle(1);
    apr_time_t begin;
    pid_t pid = kill_hashing(t);
    pthread_t parent;
    int place;

    pthread_create(&parent, NULL, wait_late, &pid);
    place = token_throttle_begin_hash(t);
    pthread_join(parent, NULL);
    tap_ok(tap, place >= 0, "who waits gets the place of a killed process");
    token_throttle_end_hash(t, place);
    pid = kill_hashing(t);
    waitpid(pid, NULL, 0);
    begin = token_clock_now();
    place = token_throttle_begin_hash(t);
    tap_ok(tap, place >= 0
                && token_clock_now() - begin < apr_time_from_msec(500),
           "a killed process gives its place back");
    pid = fork();
    if (pid == 0) {
        _exit(token_throttle_begin_hash(t) >= 0);
    }
    waitpid(pid, &place, 0);
    tap_ok(tap, place == 0, "a living one in another process keeps it");
}

int main(void)
{
    tap_t tap = { 0, 0 };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    now = token_clock_seconds() + 1000;
    test_counts(&tap);
    test_windows(&tap);
    test_addresses(&tap);
    test_flood(&tap);
    test_limits(&tap);
    test_own_window(&tap);
    test_threads(&tap);
    test_places(&tap);
    test_killed(&tap);
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_end(&tap);
}
