/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What the configuration's text tells before a server runs. */
#ifndef TOKEN_TREE_H
#define TOKEN_TREE_H

#include "httpd.h"

/* For the check_config hook: what can be seen to be wrong before a server
 * runs, so that "apachectl configtest" says it. */
int token_tree_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                     server_rec *s);

/* Visits the driver and the parameters of each host that has a database of
 * the native schema and a line about tokens, were it the main server's; some
 * of them more than once; strings are of ptemp. */
typedef void token_tree_visit_fn(void *baton, const char *driver,
                                 const char *params);
void token_tree_databases(token_tree_visit_fn *visit, void *baton,
                          apr_pool_t *ptemp);

/* For post_config: 1 when any line is about a database. */
int token_tree_has_database(void);

/* For post_config: gives each host's settings the number of its database.
 * How many there are. */
apr_uint32_t token_tree_number_databases(server_rec *s, apr_pool_t *pconf);

#endif
