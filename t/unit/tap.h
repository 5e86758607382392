/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* As much of TAP as the unit tests need.  A test's name is a sentence that
 * tells the outcome; what was got instead is told in a comment. */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    int run;
    int failed;
} tap_t;

static int __attribute__((format(printf, 3, 4), unused))
tap_ok(tap_t *tap, int good, const char *name, ...)
{
    va_list args;

    tap->run++;
    tap->failed += !good;
    printf("%sok %d - ", good ? "" : "not ", tap->run);
    va_start(args, name);
    vprintf(name, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    return good;
}

static int __attribute__((format(printf, 4, 5), unused))
tap_is(tap_t *tap, const char *got, const char *wanted, const char *name, ...)
{
    int same = got && wanted ? strcmp(got, wanted) == 0 : got == wanted;
    char text[512];
    va_list args;

    va_start(args, name);
    vsnprintf(text, sizeof(text), name, args);
    va_end(args);
    if (!tap_ok(tap, same, "%s", text)) {
        printf("#    got: %s\n# wanted: %s\n", got ? got : "(null)",
               wanted ? wanted : "(null)");
    }
    return same;
}

/* The plan, at the end; what main returns. */
static int __attribute__((unused)) tap_end(const tap_t *tap)
{
    printf("1..%d\n", tap->run);
    return tap->failed != 0;
}

#endif
