/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The handler token-manage: a user's own tokens, for whoever has one of
 * them. */
#ifndef TOKEN_MANAGE_H
#define TOKEN_MANAGE_H

#include "httpd.h"

/* For the handler hook. */
int token_manage_handler(request_rec *r);

#endif
