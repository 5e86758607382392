/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The file behind a connection to SQLite.  A connection keeps the file it
 * has opened, and how it could be opened, whatever becomes of its name:
 * tokens would be given out into a file that nobody has any more, and those
 * revoked in the one in its place stay good.  mod_dbd never finds that out. */
#ifndef TOKEN_FILE_H
#define TOKEN_FILE_H

#include "apr_dbd.h"
#include "apr_hash.h"
#include "apr_pools.h"
#include "mod_dbd.h"

/* Of a connection that was just made with cfg, which must outlive it:
 * remembers which file it has. */
void token_file_note(const dbd_cfg_t *cfg, ap_dbd_t *dbd);

/* 1 when the connection has the file that DBDParams names, or names none,
 * or nothing was noted.  One stat(). */
int token_file_is_current(const ap_dbd_t *dbd, apr_pool_t *pool);

/* Opens it anew, with everybody's prepared statements and DBDInitSQL, for
 * the one who has taken the connection from mod_dbd: afterwards its handle
 * and its hash of statements are others.  NULL, or what is wrong, and then
 * the connection is as it was.  A file that is not there is not made.  Each
 * time leaves a little memory with the connection. */
const char *token_file_reopen(ap_dbd_t *dbd, apr_pool_t *pool);

/* The same, unless this connection was opened less than 5 seconds ago: for
 * an error that may be there to stay. */
const char *token_file_retry(ap_dbd_t *dbd, apr_pool_t *pool);

#endif
