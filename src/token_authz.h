/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What a token allows: Require token-scope and Require token-client. */
#ifndef TOKEN_AUTHZ_H
#define TOKEN_AUTHZ_H

#include "httpd.h"
#include "mod_auth.h"

/* For the check_authz hook, before all others: has them decide, and turns a
 * refusal for want of scope into the 403 of RFC 6750 section 3.1.  Never
 * grants what they refuse. */
int token_authz_check(request_rec *r);

/* For the fixups hook: an error document's request knows the reason, too. */
int token_authz_fixups(request_rec *r);

extern const authz_provider token_authz_scope_provider;
extern const authz_provider token_authz_client_provider;

#endif
