/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The authn provider "django": names and passwords of a Django site. */
#ifndef TOKEN_DJANGO_H
#define TOKEN_DJANGO_H

#include "httpd.h"
#include "mod_auth.h"

extern const authn_provider token_django_provider;

#endif
