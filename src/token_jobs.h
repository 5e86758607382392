/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What is done beside the requests, by mod_watchdog's threads. */
#ifndef TOKEN_JOBS_H
#define TOKEN_JOBS_H

#include "httpd.h"

/* For the post_config hook: makes the shared memory, and says what is to be
 * done when. */
int token_jobs_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                           apr_pool_t *ptemp, server_rec *s);

/* For the child_init hook, before mod_dbd's. */
void token_jobs_child_init(apr_pool_t *pool, server_rec *s);

#endif
