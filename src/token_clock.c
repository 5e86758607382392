/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides by which clock durations are measured. */
#include <time.h>

#include "token_clock.h"

/* Where there are both, the monotonic one stands still while the host is
 * asleep: what was checked before would seem fresh after it. */
#ifdef CLOCK_BOOTTIME
#define CLOCK CLOCK_BOOTTIME
#else
#define CLOCK CLOCK_MONOTONIC
#endif

/* Seconds; a host may have booted just now. */
#define YEARS 1000000000

apr_time_t token_clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK, &now);
    return apr_time_from_sec(YEARS + (apr_time_t)now.tv_sec)
        + now.tv_nsec / 1000;
}

apr_int64_t token_clock_seconds(void)
{
    return apr_time_sec(token_clock_now());
}
