/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* httoken's commands that change tokens.  Each opens the database, prints
 * what it did, and answers HTTOKEN_GOOD or another code. */
#ifndef HTTOKEN_CHANGE_H
#define HTTOKEN_CHANGE_H

#include "httoken_tool.h"

int httoken_change_create(httoken_tool_t *tool);
int httoken_change_rotate(httoken_tool_t *tool);
int httoken_change_revoke(httoken_tool_t *tool);
int httoken_change_import(httoken_tool_t *tool);
int httoken_change_purge(httoken_tool_t *tool);

#endif
