/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What is written to a database without being asked for: last uses, which the
 * shared table bears meanwhile, and the removal of dead rows. */
#ifndef TOKEN_UPKEEP_H
#define TOKEN_UPKEEP_H

#include "token_crypt.h"
#include "token_store.h"

/* Writes the uses that the table has and the database does not, in batches,
 * for as long as go_on() says so.  1: all are written; what fails waits for
 * the next time, if kind says that there is one. */
int token_upkeep_flush(const token_store_t *store, token_store_kind_t kind,
                       int (*go_on)(void));

/* Writes one token's last use that the table has, before the database judges
 * it by that; what fails is left to the next flush. */
void token_upkeep_tell(const token_store_t *store,
                       const char digest[TOKEN_DIGEST_LEN + 1]);

/* Removes rows dead for age seconds, in batches with a pause between; not
 * for longer than some seconds, so that it must be called again.  1: there
 * may be more. */
int token_upkeep_purge(const token_store_t *store, apr_int64_t age,
                       int (*go_on)(void));

#endif
