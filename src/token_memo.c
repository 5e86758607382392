/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides where a verdict is kept and whether it may be used again: only
 * for the same token, the same server, and a place that trusts as much. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"

#include "token_memo.h"

extern module AP_MODULE_DECLARE_DATA authn_token_module;

request_rec *token_memo_initial(request_rec *r)
{
    while (r->main || r->prev) {
        r = r->main ? r->main : r->prev;
    }
    return r;
}

token_memo_t *token_memo_find(request_rec *r)
{
    return ap_get_module_config(token_memo_initial(r)->request_config,
                                &authn_token_module);
}

token_memo_t *token_memo_get(request_rec *r)
{
    token_memo_t *memo = token_memo_find(r);

    if (!memo) {
        request_rec *initial = token_memo_initial(r);

        memo = apr_pcalloc(initial->pool, sizeof(*memo));
        ap_set_module_config(initial->request_config, &authn_token_module,
                             memo);
    }
    return memo;
}

int token_memo_made_user(const token_memo_t *memo, const request_rec *r)
{
    /* The pointer, not the name: others have users of the same name. */
    return memo->finding.verdict == TOKEN_GRANTED && r->user
        && r->user == memo->finding.record.username;
}

int token_memo_is_of(const token_memo_t *memo, const request_rec *r,
                     const char *text, apr_size_t len)
{
    token_trust_t trust;

    if (!memo->text || memo->server != r->server || strlen(memo->text) != len
        || memcmp(memo->text, text, len) != 0) {
        return 0;
    }
    token_conf_trust(&trust, token_conf_dir(r));
    return memcmp(&memo->trust, &trust, sizeof(trust)) == 0;
}
