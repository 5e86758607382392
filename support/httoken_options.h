/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* httoken's command line. */
#ifndef HTTOKEN_OPTIONS_H
#define HTTOKEN_OPTIONS_H

#include "apr_pools.h"

typedef enum {
    HTTOKEN_HELP = 0,
    HTTOKEN_INIT,
    HTTOKEN_CREATE,
    HTTOKEN_LIST,
    HTTOKEN_SHOW,
    HTTOKEN_ROTATE,
    HTTOKEN_REVOKE,
    HTTOKEN_VERIFY,
    HTTOKEN_PURGE,
    HTTOKEN_IMPORT,
    HTTOKEN_COMMANDS
} httoken_command_t;

typedef struct httoken_options_t {
    httoken_command_t command;
    const char *argument;       /* USER, ID or "drf"; NULL: none given */
    const char *driver;
    const char *params;         /* NULL for init --print alone */
    const char *shown;          /* what messages may call params */
    const char *prefix;
    const char *client;
    const char *scope;          /* words separated by one blank */
    const char *networks;       /* ranges separated by one blank, or "" */
    apr_int64_t lifetime;       /* seconds */
    const char *user;           /* of revoke --user, or NULL */
    apr_int64_t age;            /* seconds, of purge --age */
    int json;
    int print;
} httoken_options_t;

/* Reads and checks it; the strings are the command line's or in pool.
 * HTTOKEN_GOOD, or HTTOKEN_USAGE when the reason is told. */
int httoken_options_read(httoken_options_t *options, int argc,
                         const char *const *argv, apr_pool_t *pool);

/* The text of --help. */
extern const char httoken_options_usage[];

#endif
