/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Gives each allocation of an input a block of its own: within the 8 KiB
 * that a pool takes at a time, no sanitizer would see one run over. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apr_general.h"

#include "fuzz.h"

static apr_pool_t *input_pool;
static void **blocks;
static size_t block_count, block_room;

void fuzz_hold(int good, const char *what, const char *file, int line)
{
    if (!good) {
        fprintf(stderr, "%s:%d: it does not hold: %s\n", file, line, what);
        abort();
    }
}

static void *take_block(size_t size)
{
    if (block_count == block_room) {
        block_room = block_room ? 2 * block_room : 64;
        blocks = realloc(blocks, block_room * sizeof(*blocks));
    }
    return blocks[block_count++] = malloc(size ? size : 1);
}

/* Stands in for APR's, in its own calls too. */
#undef apr_palloc
void *apr_palloc(apr_pool_t *pool, apr_size_t size)
{
    static void *(*theirs)(apr_pool_t *, apr_size_t);

    if (pool == input_pool) {
        return take_block(size);
    }
    if (!theirs) {
        *(void **)&theirs = dlsym(RTLD_NEXT, "apr_palloc");
    }
    return theirs(pool, size);
}

apr_pool_t *fuzz_begin(void)
{
    static apr_pool_t *parent;

    if (!parent) {
        apr_initialize();
        apr_pool_create(&parent, NULL);
    }
    apr_pool_create(&input_pool, parent);
    return input_pool;
}

void fuzz_end(void)
{
    apr_pool_destroy(input_pool);
    input_pool = NULL;
    while (block_count) {
        free(blocks[--block_count]);
    }
}

char *fuzz_copy(const void *bytes, size_t size)
{
    char *copy = apr_palloc(input_pool, size + 1);

    if (size) {
        memcpy(copy, bytes, size);
    }
    copy[size] = '\0';
    return copy;
}

char *fuzz_line(const unsigned char **data, size_t *size)
{
    const unsigned char *end;
    size_t len;
    char *line;

    if (!*size) {
        return NULL;
    }
    end = memchr(*data, '\n', *size);
    len = end ? (size_t)(end - *data) : *size;
    line = fuzz_copy(*data, len);
    len += end != NULL;
    *data += len;
    *size -= len;
    /* No byte behind the string, lest a read past its end go unseen. */
    return fuzz_copy(line, strlen(line));
}
