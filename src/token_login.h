/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The handler token-login: a name and a password become a token. */
#ifndef TOKEN_LOGIN_H
#define TOKEN_LOGIN_H

#include "httpd.h"

/* For the handler hook. */
int token_login_handler(request_rec *r);

#endif
