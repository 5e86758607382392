/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What our two content handlers share: who may set them up, and the answers
 * that both give. */
#ifndef TOKEN_HANDLER_H
#define TOKEN_HANDLER_H

#include "httpd.h"
#include "http_config.h"

#define TOKEN_HANDLER_LOGIN "token-login"
#define TOKEN_HANDLER_MANAGE "token-manage"

/* For the translate_name and open_htaccess hooks: where the administrator
 * set up a handler of ours no .htaccess file is read. */
int token_handler_shield(request_rec *r);
apr_status_t token_handler_open_htaccess(request_rec *r, const char *dir,
                                         const char *name,
                                         ap_configfile_t **file,
                                         const char **full_name);

/* OK, or 403 where an .htaccess file applies all the same: its owner might
 * have chosen who gets tokens. */
int token_handler_check(request_rec *r);

/* What follows in r->uri, "/" at least, the path of the <Location> that itself
 * has SetHandler handler; sections that merely take the path in, too, do not
 * count.  NULL: there is none, it has a pattern, or a <Location> around it
 * has the same handler, so that there are two readings. */
const char *token_handler_rest(request_rec *r, const char *handler);

/* Answers that return what the handler should return. */
int token_handler_detail(request_rec *r, int status, const char *detail);
int token_handler_down(request_rec *r);
int token_handler_method(request_rec *r);       /* 405 */
int token_handler_media_type(request_rec *r);   /* 415 */

/* OK when the request is for the handler; else the answer, to one that wants
 * no JSON or asks for OPTIONS, is given and *status is what the handler
 * should return.  OPTIONS gets metadata, a JSON text, or nothing for NULL. */
int token_handler_negotiate(request_rec *r, const char *metadata,
                            int *status);

/* Reads the body: OK, or the answer is given and *status is what the
 * handler should return.  The body may hold secrets: wipe it. */
int token_handler_body(request_rec *r, char **body, apr_size_t *len,
                       int *status);

#endif
