/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Many threads at once on what is shared, for a while. */
#ifndef STORM_H
#define STORM_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "apr_time.h"

#define STORM_THREADS 6

static void storm_give_way(int sig)
{
    (void)sig;
    sched_yield();
}

/* Two processors and short writes: without help hardly one would ever come
 * between another's words.  0: no more. */
static void storm_interrupt(int microseconds)
{
    struct itimerval often = { { 0, microseconds }, { 0, microseconds } };
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = storm_give_way;
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
}

/* Sleeps although it is interrupted. */
static void storm_wait(int milliseconds)
{
    apr_time_t end = apr_time_now() + apr_time_from_msec(milliseconds);

    while (apr_time_now() < end) {
        usleep(1000);
    }
}

/* Each thread works, with its number from 1 on, until *stop is set. */
static void storm_run(void *(*work)(void *), _Atomic(int) *stop,
                      int milliseconds)
{
    pthread_t threads[STORM_THREADS];
    size_t i;

    storm_interrupt(150);
    for (i = 0; i < STORM_THREADS; i++) {
        pthread_create(&threads[i], NULL, work, (void *)(i + 1));
    }
    storm_wait(milliseconds);
    atomic_store(stop, 1);
    for (i = 0; i < STORM_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    storm_interrupt(0);
}

#endif
