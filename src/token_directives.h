/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The directives: what each may be given, and where. */
#ifndef TOKEN_DIRECTIVES_H
#define TOKEN_DIRECTIVES_H

#include "httpd.h"
#include "http_config.h"

extern const command_rec token_directives_commands[];

#endif
