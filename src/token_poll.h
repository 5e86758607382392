/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What was revoked or rotated elsewhere, by httoken, another host or SQL, is
 * learnt by asking each database again and again. */
#ifndef TOKEN_POLL_H
#define TOKEN_POLL_H

#include "token_store.h"

/* Asks once, and takes what is answered out of the table, which there is. */
void token_poll_changes(const token_store_t *store);

#endif
