/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The table of an SQLite database that is new. */
#ifndef TOKEN_SETUP_H
#define TOKEN_SETUP_H

#include "httpd.h"

/* For post_config, after token_shared_create(): makes file and table of each
 * SQLite database that lacks them, and returns when that is done.  What
 * fails is logged; httpd starts all the same. */
void token_setup_start(server_rec *s, apr_pool_t *ptemp);

/* In a child: tries again what failed then, and has not succeeded since.
 * For one thread of one child at a time. */
void token_setup_again(server_rec *s, apr_pool_t *pool);

#endif
