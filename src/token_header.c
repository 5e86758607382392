/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides where the client's credential is read, and who gets to see it
 * besides us.  What it is worth is decided elsewhere. */
#include <string.h>

#include "httpd.h"
#include "apr_strings.h"

#include "token_conf.h"
#include "token_header.h"
#include "token_http.h"
#include "token_memo.h"

const char *token_header_get(request_rec *r)
{
    return apr_table_get(r->headers_in, token_http_credential_name(r));
}

token_credential_status_t token_header_read(token_credential_t *out,
                                            request_rec *r)
{
    const char *value = token_header_get(r);
    char *copy, *tab;

    /* Clients of Django REST framework may have a tab where RFC 9110 has a
     * blank. */
    if (value && token_conf_is_drf(r->server) && strchr(value, '\t')) {
        copy = apr_pstrdup(r->pool, value);
        while ((tab = strchr(copy, '\t'))) {
            *tab = ' ';
        }
        value = copy;
    }
    return token_credential_read(out, value);
}

/* 1 when it is a token by its form, whoever is to judge it here: a user of
 * httpd's or of an application keeps his password. */
static int has_token(request_rec *r)
{
    token_credential_t credential;
    token_schema_t schema;
    const char *user, *password;

    if (token_header_read(&credential, r) != TOKEN_CREDENTIAL_OK) {
        return 0;
    }
    if (credential.scheme != TOKEN_SCHEME_BASIC) {
        return token_conf_is_token(r->server, credential.text,
                                   credential.len, 0, &schema);
    }
    return token_credential_basic(&user, &password, &credential, r->pool)
        && token_conf_is_token(r->server, password, strlen(password), 1,
                               &schema);
}

static int is_hidden(request_rec *r)
{
    const token_memo_t *memo = token_memo_find(r);

    return (memo && memo->hidden)
        || (!token_conf_forward(token_conf_dir(r))
            && (memo || token_conf_is_ours(r) || has_token(r)));
}

int token_header_hide(request_rec *r)
{
    if (is_hidden(r)) {
        token_memo_t *memo = token_memo_get(r);
        const char *value = token_header_get(r);

        if (value) {
            memo->hidden = apr_pstrdup(token_memo_initial(r)->pool, value);
            memo->hidden_name = token_http_credential_name(r);
            apr_table_unset(r->headers_in, memo->hidden_name);
        }
        /* The copy that a page with CGIPassAuth gives to what it includes. */
        apr_table_unset(r->subprocess_env, "HTTP_AUTHORIZATION");
        /* mod_cache spares what has Authorization; now it cannot see it. */
        r->no_cache = 1;
    }
    return OK;
}

void token_header_hide_from_handler(request_rec *r)
{
    token_header_hide(r);
}

int token_header_restore(request_rec *r)
{
    const token_memo_t *memo = token_memo_find(r);

    /* A proxy's is not one for the server, behind an ErrorDocument. */
    if (memo && memo->hidden && !token_header_get(r)
        && strcmp(memo->hidden_name, token_http_credential_name(r)) == 0) {
        apr_table_setn(r->headers_in, memo->hidden_name, memo->hidden);
    }
    return DECLINED;
}
