/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Feeds a target the files that are named, without libFuzzer: what was once
 * found stays mended.  A finding ends it by a signal, as there. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

/* Of exactly the file's size: not even a NUL behind it. */
static unsigned char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    unsigned char *bytes;
    long end = -1;

    if (!file || fseek(file, 0, SEEK_END) || (end = ftell(file)) < 0
        || fseek(file, 0, SEEK_SET)) {
        perror(path);
        exit(2);
    }
    *size = (size_t)end;
    bytes = malloc(*size ? *size : 1);
    if (!bytes || fread(bytes, 1, *size, file) != *size) {
        perror(path);
        exit(2);
    }
    fclose(file);
    return bytes;
}

int main(int argc, const char *const *argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        size_t size;
        unsigned char *bytes = read_file(argv[i], &size);

        printf("%s\n", argv[i]);
        fflush(stdout);
        LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
    }
    return 0;
}
