/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Preloaded into httpd by AuthnToken::Clock: the calendar's clock, for all
 * that is in the process, is what one word of a mapped file says.  Odd: it
 * stands still at the word's half, in microseconds; even: half of it is how
 * far it is ahead of the host's.  Clocks that nobody can set are as ever. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000

/* A wait for a moment looks again after so long whether it has come. */
#define SLICE (20 * 1000000L)

static _Atomic(int64_t) *word;

__attribute__((constructor)) static void map_word(void)
{
    const char *path = getenv("AUTHN_TOKEN_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *base = fd < 0 ? MAP_FAILED
                        : mmap(NULL, sizeof(*word), PROT_READ, MAP_SHARED,
                               fd, 0);

    if (base == MAP_FAILED) {
        abort();
    }
    close(fd);
    word = base;
}

static int64_t get_now(void)
{
    int64_t said = word ? atomic_load(word) : 0;
    struct timespec now;

    if (said % 2 != 0) {
        return (said - 1) / 2;
    }
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec / 1000 + said / 2;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int64_t moved;

    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) {
        return (int)syscall(SYS_clock_gettime, clock, now);
    }
    moved = get_now();
    now->tv_sec = moved / SECOND;
    now->tv_nsec = moved % SECOND * 1000;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int64_t moved = get_now();

    (void)zone;
    now->tv_sec = moved / SECOND;
    now->tv_usec = moved % SECOND;
    return 0;
}

time_t time(time_t *now)
{
    time_t seconds = get_now() / SECOND;

    if (now) {
        *now = seconds;
    }
    return seconds;
}

/* As the kernel has it: a clock that is set back makes the wait longer. */
int pthread_cond_timedwait(pthread_cond_t *restrict cond,
                           pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict end)
{
    int rv;

    do {
        struct timespec slice;

        if (get_now() >= (int64_t)end->tv_sec * SECOND
                         + end->tv_nsec / 1000) {
            return ETIMEDOUT;
        }
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &slice);
        slice.tv_nsec += SLICE;
        if (slice.tv_nsec >= 1000000000L) {
            slice.tv_sec++;
            slice.tv_nsec -= 1000000000L;
        }
        rv = pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &slice);
    } while (rv == ETIMEDOUT);
    return rv;
}
