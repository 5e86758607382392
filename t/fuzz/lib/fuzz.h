/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What the fuzz targets share.  A target is one file of t/fuzz, named like
 * what it feeds; it says with HOLDS what must be true of every input. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>

#include "apr_pools.h"

/* The target: one input, 0. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* What is not true ends the program, and is a finding. */
#define HOLDS(good, what) fuzz_hold((good) != 0, what, __FILE__, __LINE__)
void fuzz_hold(int good, const char *what, const char *file, int line);

/* The pool of one input.  What is allocated from it is a block of malloc's
 * of its own, so that AddressSanitizer sees its end; apr_psprintf() alone
 * goes its own way.  fuzz_end() frees all of it. */
apr_pool_t *fuzz_begin(void);
void fuzz_end(void);

/* A copy of exactly so many bytes and a NUL. */
char *fuzz_copy(const void *bytes, size_t size);

/* Takes the bytes up to the next '\n', or the rest, as a string of its own;
 * a NUL within ends it.  NULL when nothing is left. */
char *fuzz_line(const unsigned char **data, size_t *size);

#endif
