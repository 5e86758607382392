/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Who may go to the database, in the order in which things go wrong. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "apr_general.h"
#include "tap.h"
#include "token_breaker.h"

#define THREADS 16
#define CROWD 50

static apr_pool_t *pool;

static token_breaker_t *make_breaker(int limit)
{
    token_breaker_t *breaker = NULL;

    if (token_breaker_create(&breaker, pool) != APR_SUCCESS) {
        printf("Bail out! no mutex\n");
        exit(1);
    }
    token_breaker_limit(breaker, limit, 0);
    token_breaker_count(breaker, limit);
    return breaker;
}

/* Enters and leaves again as a thread of its own. */
typedef struct {
    token_breaker_t *breaker;
    int entered;
    int worked;
    apr_interval_time_t took;
    token_breaker_change_t change;
    _Atomic(int) inside;
    _Atomic(int) may_leave;
} visitor_t;

static void *visit(void *baton)
{
    visitor_t *visitor = baton;
    apr_time_t begin = apr_time_now();

    visitor->entered = token_breaker_enter(visitor->breaker);
    visitor->took = apr_time_now() - begin;
    atomic_store(&visitor->inside, 1);
    while (!atomic_load(&visitor->may_leave)) {
        usleep(500);
    }
    if (visitor->entered) {
        visitor->change = token_breaker_leave(visitor->breaker,
                                              visitor->worked);
    }
    return NULL;
}

static pthread_t send_in(visitor_t *visitor, token_breaker_t *breaker)
{
    pthread_t thread;

    memset(visitor, 0, sizeof(*visitor));
    visitor->breaker = breaker;
    pthread_create(&thread, NULL, visit, visitor);
    while (!atomic_load(&visitor->inside)) {
        usleep(500);
    }
    return thread;
}

static token_breaker_change_t call_out(visitor_t *visitor, pthread_t thread,
                                       int worked)
{
    visitor->worked = worked;
    atomic_store(&visitor->may_leave, 1);
    pthread_join(thread, NULL);
    return visitor->change;
}

/* Goes in as soon as it may, within two seconds; how long that took. */
static apr_interval_time_t await_probe(token_breaker_t *breaker)
{
    apr_time_t begin = apr_time_now();

    while (!token_breaker_enter(breaker)) {
        if (apr_time_now() - begin > apr_time_from_sec(2)) {
            return -1;
        }
        usleep(1000);
    }
    return apr_time_now() - begin;
}

static void test_states(tap_t *tap)
{
    token_breaker_t *breaker = make_breaker(2);
    apr_interval_time_t pause;

    tap_ok(tap, token_breaker_enter(breaker)
                && token_breaker_leave(breaker, 1) == TOKEN_BREAKER_SAME
                && !token_breaker_is_open(breaker),
           "while the database works nothing changes");
    token_breaker_enter(breaker);
    tap_ok(tap, token_breaker_leave(breaker, 0) == TOKEN_BREAKER_OPENED
                && token_breaker_is_open(breaker),
           "the first failure opens the breaker");
    tap_ok(tap, !token_breaker_enter(breaker), "nobody goes in at once");
    pause = await_probe(breaker);
    tap_ok(tap, pause > apr_time_from_msec(50)
                && pause < apr_time_from_msec(1000),
           "after the first pause a probe does");
    tap_ok(tap, !token_breaker_enter(breaker), "and nobody with it");
    tap_ok(tap, token_breaker_leave(breaker, 0) == TOKEN_BREAKER_SAME
                && token_breaker_is_open(breaker),
           "when it fails that is no news");
    pause = await_probe(breaker);
    tap_ok(tap, pause > apr_time_from_msec(200),
           "the next pause is twice as long");
    tap_ok(tap, token_breaker_leave(breaker, 1) == TOKEN_BREAKER_CLOSED
                && !token_breaker_is_open(breaker),
           "when it works the breaker is closed");
    tap_ok(tap, token_breaker_enter(breaker) && token_breaker_enter(breaker),
           "and lets in as many as before");
    token_breaker_leave(breaker, 0);
    pause = await_probe(breaker);
    tap_ok(tap, pause > apr_time_from_msec(50)
                && pause < apr_time_from_msec(450),
           "a later failure begins with the first pause again");
}

static void test_back_off(tap_t *tap)
{
    token_breaker_t *breaker = make_breaker(1);
    apr_interval_time_t pause = 0;
    int i;

    token_breaker_enter(breaker);
    token_breaker_leave(breaker, 0);
    for (i = 0; i < 6; i++) {
        pause = await_probe(breaker);
        token_breaker_leave(breaker, 0);
    }
    tap_ok(tap, pause > 0 && pause < apr_time_from_msec(1500),
           "no pause gets longer than a second: %d ms",
           (int)apr_time_as_msec(pause));
}

static void test_limit(tap_t *tap)
{
    token_breaker_t *breaker = make_breaker(1);
    visitor_t first, second;
    pthread_t thread, other;
    apr_time_t begin;
    apr_interval_time_t took;
    int entered;

    thread = send_in(&first, breaker);
    begin = apr_time_now();
    entered = token_breaker_enter(breaker);
    took = apr_time_now() - begin;
    tap_ok(tap, !entered && took >= TOKEN_BREAKER_WAIT
                && took < apr_time_from_msec(1000),
           "one more than the limit is turned away after a bounded wait: "
           "%d ms", (int)apr_time_as_msec(took));
    token_breaker_limit(breaker, 2, 0);
    other = send_in(&second, breaker);
    tap_ok(tap, second.entered, "a higher limit lets him in");
    call_out(&second, other, 1);
    token_breaker_limit(breaker, 0, 0);
    tap_ok(tap, !token_breaker_enter(breaker),
           "a lower one than are inside lets nobody in");
    call_out(&first, thread, 1);
    tap_ok(tap, token_breaker_enter(breaker), "a limit is never less than 1");
    token_breaker_leave(breaker, 1);
}

/* Leaves after an eighth of a second. */
static void *stay(void *baton)
{
    visitor_t *visitor = baton;

    usleep(125000);
    atomic_store(&visitor->may_leave, 1);
    return NULL;
}

/* A commit that waits for a slow disk is an answer on its way. */
static void test_slow(tap_t *tap)
{
    token_breaker_t *breaker = make_breaker(1);
    visitor_t visitor;
    pthread_t thread = send_in(&visitor, breaker);
    pthread_t clock;

    visitor.worked = 1;
    pthread_create(&clock, NULL, stay, &visitor);
    tap_ok(tap, token_breaker_enter(breaker),
           "who finds no vacancy waits for an answer that takes 125 ms");
    token_breaker_leave(breaker, 1);
    pthread_join(clock, NULL);
    pthread_join(thread, NULL);
}

/* A database is told of by another one's connection before its own. */
static void test_guess(tap_t *tap)
{
    token_breaker_t *breaker = NULL;

    token_breaker_create(&breaker, pool);
    token_breaker_limit(breaker, 2, 1);
    tap_ok(tap, token_breaker_enter(breaker) && token_breaker_enter(breaker),
           "a guess is a limit");
    token_breaker_limit(breaker, 3, 0);
    token_breaker_count(breaker, 2);
    token_breaker_limit(breaker, 1, 1);
    tap_ok(tap, token_breaker_enter(breaker),
           "and changes nothing once it is known better");
}

/* A connection each, and one more who makes his. */
static void test_connecting(tap_t *tap)
{
    token_breaker_t *breaker = make_breaker(4);
    visitor_t visitors[3];
    pthread_t threads[3];
    apr_time_t begin;
    apr_interval_time_t took;

    token_breaker_count(breaker, -3);
    threads[0] = send_in(&visitors[0], breaker);
    threads[1] = send_in(&visitors[1], breaker);
    begin = apr_time_now();
    tap_ok(tap, visitors[0].entered && visitors[1].entered
                && !token_breaker_enter(breaker),
           "one may connect, another may not meanwhile");
    took = apr_time_now() - begin;
    tap_ok(tap, took >= TOKEN_BREAKER_WAIT,
           "he has waited for that: %d ms", (int)apr_time_as_msec(took));
    token_breaker_count(breaker, 1);
    threads[2] = send_in(&visitors[2], breaker);
    tap_ok(tap, visitors[2].entered, "once it is made the next one may");
    call_out(&visitors[2], threads[2], 1);
    call_out(&visitors[1], threads[1], 1);
    call_out(&visitors[0], threads[0], 1);
    token_breaker_count(breaker, -2);
    tap_ok(tap, token_breaker_enter(breaker)
                && !token_breaker_enter(breaker),
           "without any connection there is one inside");
    token_breaker_leave(breaker, 1);
}

/* Of those who went in before the breaker opened. */
static void test_late(tap_t *tap)
{
    token_breaker_t *breaker = make_breaker(8);
    visitor_t old[3];
    pthread_t threads[3];
    int i;

    for (i = 0; i < 3; i++) {
        threads[i] = send_in(&old[i], breaker);
    }
    token_breaker_enter(breaker);
    token_breaker_leave(breaker, 0);
    tap_ok(tap, call_out(&old[0], threads[0], 1) == TOKEN_BREAKER_SAME
                && token_breaker_is_open(breaker),
           "a success from before it opened does not close it");
    await_probe(breaker);
    tap_ok(tap, call_out(&old[1], threads[1], 0) == TOKEN_BREAKER_SAME
                && !token_breaker_enter(breaker),
           "a failure from before does not end the probe");
    usleep(300000);
    tap_ok(tap, !token_breaker_enter(breaker),
           "however long it takes there is one probe");
    tap_ok(tap, token_breaker_leave(breaker, 1) == TOKEN_BREAKER_CLOSED,
           "the probe decides");
    call_out(&old[2], threads[2], 1);
    tap_ok(tap, !token_breaker_is_open(breaker), "and it stays decided");
}

static void test_waiters(tap_t *tap)
{
    token_breaker_t *breaker = make_breaker(1);
    visitor_t first, waiter;
    pthread_t thread, other;

    thread = send_in(&first, breaker);
    memset(&waiter, 0, sizeof(waiter));
    waiter.breaker = breaker;
    waiter.worked = 1;
    pthread_create(&other, NULL, visit, &waiter);
    usleep(5000);
    call_out(&first, thread, 0);
    atomic_store(&waiter.may_leave, 1);
    pthread_join(other, NULL);
    tap_ok(tap, !waiter.entered,
           "whoever waits when the breaker opens is turned away");
}

/* Stays inside for a moment; when it came out. */
typedef struct {
    token_breaker_t *breaker;
    int entered;
    apr_time_t left;
} passer_t;

static void *pass(void *baton)
{
    passer_t *passer = baton;

    passer->entered = token_breaker_enter(passer->breaker);
    if (passer->entered) {
        usleep(10000);
        token_breaker_leave(passer->breaker, 1);
    }
    passer->left = apr_time_now();
    return NULL;
}

static int compare_times(const void *a, const void *b)
{
    apr_time_t one = *(const apr_time_t *)a, other = *(const apr_time_t *)b;

    return one < other ? -1 : one > other;
}

/* Far longer in all than the database may be silent. */
static void test_queue(tap_t *tap)
{
    token_breaker_t *breaker = make_breaker(1);
    passer_t passers[THREADS];
    pthread_t threads[THREADS];
    apr_time_t left[THREADS];
    apr_interval_time_t longest = 0;
    int entered = 0;
    int i;

    for (i = 0; i < THREADS; i++) {
        passers[i].breaker = breaker;
        pthread_create(&threads[i], NULL, pass, &passers[i]);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        entered += passers[i].entered;
        left[i] = passers[i].left;
    }
    qsort(left, THREADS, sizeof(left[0]), compare_times);
    for (i = 1; i < THREADS; i++) {
        longest = left[i] - left[i - 1] > longest ? left[i] - left[i - 1]
                                                  : longest;
    }
    tap_ok(tap, entered == THREADS || longest >= TOKEN_BREAKER_WAIT / 2,
           "%d wait one for the other as long as somebody is answered: %d in",
           THREADS, entered);
}

/* One after the other goes, each being answered, and no vacancy comes of it:
 * it would take two seconds till the last one. */
static void test_patience(tap_t *tap)
{
    token_breaker_t *breaker = make_breaker(CROWD);
    visitor_t inside[CROWD], waiter;
    pthread_t threads[CROWD], other;
    int i, waited;

    for (i = 0; i < CROWD; i++) {
        threads[i] = send_in(&inside[i], breaker);
    }
    token_breaker_limit(breaker, 1, 0);
    memset(&waiter, 0, sizeof(waiter));
    waiter.breaker = breaker;
    atomic_store(&waiter.may_leave, 1);
    pthread_create(&other, NULL, visit, &waiter);
    for (i = 1; i < CROWD && !atomic_load(&waiter.inside); i++) {
        usleep(40000);
        call_out(&inside[i], threads[i], 1);
    }
    waited = i;
    for (; i < CROWD; i++) {
        call_out(&inside[i], threads[i], 1);
    }
    pthread_join(other, NULL);
    call_out(&inside[0], threads[0], 1);
    tap_ok(tap, !waiter.entered && waited < CROWD,
           "but not without end: %d ms", (int)apr_time_as_msec(waiter.took));
}

/* A crowd: never more inside than the limit, and all counted out again. */
typedef struct {
    token_breaker_t *breaker;
    _Atomic(int) inside, most, entered, refused, opened, closed;
    unsigned failing;
} crowd_t;

static void *push(void *baton)
{
    crowd_t *crowd = baton;
    int i;

    for (i = 0; i < 150; i++) {
        token_breaker_change_t change;
        int inside, most;

        if (!token_breaker_enter(crowd->breaker)) {
            atomic_fetch_add(&crowd->refused, 1);
            usleep(1000);
            continue;
        }
        inside = atomic_fetch_add(&crowd->inside, 1) + 1;
        most = atomic_load(&crowd->most);
        while (most < inside
               && !atomic_compare_exchange_weak(&crowd->most, &most,
                                                inside)) {
            continue;
        }
        usleep(200);
        atomic_fetch_sub(&crowd->inside, 1);
        change = token_breaker_leave(
            crowd->breaker, atomic_fetch_add(&crowd->entered, 1) % 100
                                != 99 || !crowd->failing);
        atomic_fetch_add(&crowd->opened, change == TOKEN_BREAKER_OPENED);
        atomic_fetch_add(&crowd->closed, change == TOKEN_BREAKER_CLOSED);
    }
    return NULL;
}

static void run_crowd(crowd_t *crowd, int failing)
{
    pthread_t threads[THREADS];
    int i;

    memset(crowd, 0, sizeof(*crowd));
    crowd->breaker = make_breaker(3);
    crowd->failing = failing;
    for (i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, push, crowd);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void test_crowd(tap_t *tap)
{
    crowd_t crowd;

    run_crowd(&crowd, 0);
    tap_ok(tap, crowd.most == 3,
           "of %d threads no more than 3 are inside: %d", THREADS,
           crowd.most);
    tap_ok(tap, crowd.entered > 0 && crowd.opened + crowd.closed == 0,
           "and all go in in turn (%d in, %d refused)", crowd.entered,
           crowd.refused);
    run_crowd(&crowd, 1);
    tap_ok(tap, crowd.most <= 3 && crowd.opened > 0,
           "nor when the database fails now and then");
    tap_ok(tap, crowd.opened - crowd.closed
                    == token_breaker_is_open(crowd.breaker),
           "each opening is told once, each closing once (%d and %d)",
           crowd.opened, crowd.closed);
}

int main(void)
{
    tap_t tap = { 0, 0 };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_states(&tap);
    test_back_off(&tap);
    test_limit(&tap);
    test_slow(&tap);
    test_guess(&tap);
    test_connecting(&tap);
    test_late(&tap);
    test_waiters(&tap);
    test_queue(&tap);
    test_patience(&tap);
    test_crowd(&tap);
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_end(&tap);
}
