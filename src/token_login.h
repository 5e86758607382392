/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The handler token-login: a name and a password become a token. */
#ifndef TOKEN_LOGIN_H
#define TOKEN_LOGIN_H

#include "httpd.h"
#include "http_config.h"

/* For the handler hook. */
int token_login_handler(request_rec *r);

/* For the translate_name and open_htaccess hooks: where SetHandler
 * token-login stands in a <Location>, no .htaccess file is read, so that
 * whoever may write one cannot choose whose passwords are good. */
int token_login_shield(request_rec *r);
apr_status_t token_login_open_htaccess(request_rec *r, const char *dir,
                                       const char *name,
                                       ap_configfile_t **file,
                                       const char **full_name);

#endif
