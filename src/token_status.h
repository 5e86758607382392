/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Our part of mod_status's page. */
#ifndef TOKEN_STATUS_H
#define TOKEN_STATUS_H

#include "httpd.h"

/* For mod_status's hook; flags are its AP_STATUS_*. */
int token_status_show(request_rec *r, int flags);

#endif
