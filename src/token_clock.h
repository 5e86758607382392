/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* How long something took, whatever is done to the clock meanwhile: ages,
 * pauses and deadlines are measured by this.  A moment that a database or a
 * person knows, as the end of a token, is apr_time_now()'s. */
#ifndef TOKEN_CLOCK_H
#define TOKEN_CLOCK_H

#include "apr_time.h"

/* Microseconds since some moment, the same in all processes of the host;
 * nobody can set it.  0 is years ago. */
apr_time_t token_clock_now(void);

/* Whole seconds of it. */
apr_int64_t token_clock_seconds(void);

#endif
