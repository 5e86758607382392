/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The header with the client's credential: Authorization, in a forward proxy
 * Proxy-Authorization; and AuthTokenForward, whether others see it. */
#ifndef TOKEN_HEADER_H
#define TOKEN_HEADER_H

#include "httpd.h"

#include "token_credential.h"

/* Its value as the client sent it; NULL when there is none. */
const char *token_header_get(request_rec *r);

/* Reads it.  What out points to lasts as long as the request. */
token_credential_status_t token_header_read(token_credential_t *out,
                                            request_rec *r);

/* Where AuthTokenForward is Off these take the header away from what comes
 * next: SetEnvIf of a directory (header_parser), RewriteRule of a directory
 * (fixups), and the handler (insert_filter, for mod_dir puts another
 * request in the place of one whose fixups are over). */
int token_header_hide(request_rec *r);
void token_header_hide_from_handler(request_rec *r);

/* And these give it back: to authentication (the end of header_parser), and
 * to redirects and sub-requests, which are authenticated anew, and whose
 * <If> may ask for it (map_to_storage). */
int token_header_restore(request_rec *r);

#endif
