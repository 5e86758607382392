/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The token opens the door: AuthType Token, and the provider "token" for
 * AuthBasicProvider and AuthnProviderAlias. */
#ifndef TOKEN_AUTH_H
#define TOKEN_AUTH_H

#include "httpd.h"
#include "mod_auth.h"

/* For the check_authn hook. */
int token_auth_check(request_rec *r);

/* For the force_authn hook: a credential is looked at even where none is
 * needed. */
int token_auth_force(request_rec *r);

/* For the note_auth_failure hook. */
int token_auth_note_failure(request_rec *r, const char *auth_type);

/* For the fixups hook: the environment of redirected requests. */
int token_auth_fixups(request_rec *r);

extern const authn_provider token_auth_provider;

#endif
