/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides whether a token has a scope or belongs to a client, and how a
 * request is refused that lacks the scope.  Who the user is was decided
 * before; how several Require lines go together is mod_authz_core's. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_request.h"
#include "mod_auth.h"
#include "apr_cstr.h"
#include "apr_strings.h"

#include "token_authz.h"
#include "token_conf.h"
#include "token_http.h"
#include "token_memo.h"
#include "token_shared.h"
#include "token_text.h"

APLOG_USE_MODULE(authn_token);

#define DETAIL "You do not have permission to perform this action."
#define DESCRIPTION "The token does not have the scope that is needed"

/* On a request that was refused for its scope. */
#define REFUSED_NOTE "authn_token-scope"

/* A Require line of ours. */
typedef struct {
    apr_array_header_t *names;  /* of const char *; one of them will do */
    int negated;                /* to lack them is no reason to refuse */
} wanted_t;

/* One evaluation of a request's Require lines.  It lives on the stack of
 * the hook that began it, so no later one finds what it noted. */
struct token_memo_authz_t {
    const request_rec *r;
    apr_array_header_t *lacking;    /* words in vain; NULL: none */
    token_memo_authz_t *outer;      /* of a request that this one serves */
};

static const char *get_name(const apr_array_header_t *names, int i)
{
    return APR_ARRAY_IDX(names, i, const char *);
}

/* --- what a Require line says --- */

/* An alias has no "not" in its own line and may get one where it is used:
 * then it is taken for one without, and only the status differs. */
static int is_negated(const cmd_parms *cmd)
{
    const ap_directive_t *directive = cmd->directive;
    const char *args = directive->args;

    if (apr_cstr_casecmp(directive->directive, "Require") == 0
        && apr_cstr_casecmp(ap_getword_conf(cmd->temp_pool, &args),
                            "not") == 0) {
        return 1;
    }
    while ((directive = directive->parent) != NULL) {
        if (apr_cstr_casecmp(directive->directive, "<RequireNone") == 0) {
            return 1;
        }
    }
    return 0;
}

static wanted_t *read_line(cmd_parms *cmd, const char *line)
{
    wanted_t *wanted = apr_palloc(cmd->pool, sizeof(*wanted));

    wanted->negated = is_negated(cmd);
    wanted->names = apr_array_make(cmd->pool, 2, sizeof(const char *));
    while (*line) {
        APR_ARRAY_PUSH(wanted->names, const char *) =
            ap_getword_conf(cmd->pool, &line);
    }
    return wanted;
}

static const char *parse_scope(cmd_parms *cmd, const char *line,
                               const void **parsed)
{
    const wanted_t *wanted = read_line(cmd, line);
    int i;

    *parsed = wanted;
    if (wanted->names->nelts == 0) {
        return apr_pstrdup(cmd->pool, "Require token-scope: name at least "
                           "one word");
    }
    for (i = 0; i < wanted->names->nelts; i++) {
        if (!token_text_is_scope(get_name(wanted->names, i))) {
            return apr_psprintf(cmd->pool, "Require token-scope \"%s\": a "
                                "word may have visible ASCII characters but "
                                "for quotes and backslash (RFC 6749, 3.3)",
                                get_name(wanted->names, i));
        }
    }
    return NULL;
}

static const char *parse_client(cmd_parms *cmd, const char *line,
                                const void **parsed)
{
    const wanted_t *wanted = read_line(cmd, line);
    int i;

    *parsed = wanted;
    if (wanted->names->nelts == 0) {
        return apr_pstrdup(cmd->pool, "Require token-client: name at least "
                           "one client");
    }
    for (i = 0; i < wanted->names->nelts; i++) {
        const char *name = get_name(wanted->names, i);

        if (!*name || !token_text_is_printable(name, strlen(name))) {
            return apr_psprintf(cmd->pool, "Require token-client \"%s\": "
                                "must be the name of a client, not empty "
                                "and without control characters", name);
        }
    }
    return NULL;
}

/* --- whether the token has it --- */

static const token_record_t *find_record(request_rec *r)
{
    const token_memo_t *memo = token_memo_find(r);

    return memo && token_memo_made_user(memo, r) ? &memo->finding.record
                                                 : NULL;
}

static void note_lacking(request_rec *r, const wanted_t *wanted)
{
    token_memo_authz_t *authz = token_memo_find(r)->authz;

    if (!authz || authz->r != r || wanted->negated) {
        return;
    }
    if (!authz->lacking) {
        authz->lacking = apr_array_make(r->pool, 2, sizeof(const char *));
    }
    apr_array_cat(authz->lacking, wanted->names);
}

static authz_status check_scope(request_rec *r, const char *line,
                                const void *parsed)
{
    const wanted_t *wanted = parsed;
    const token_record_t *record;
    int i;

    (void)line;
    if (!r->user) {
        return AUTHZ_DENIED_NO_USER;
    }
    record = find_record(r);
    if (!record) {
        return AUTHZ_DENIED;
    }
    for (i = 0; i < wanted->names->nelts; i++) {
        const char *name = get_name(wanted->names, i);

        if (token_text_has_word(record->scope, name, strlen(name))) {
            return AUTHZ_GRANTED;
        }
    }
    note_lacking(r, wanted);
    return AUTHZ_DENIED;
}

static authz_status check_client(request_rec *r, const char *line,
                                 const void *parsed)
{
    const wanted_t *wanted = parsed;
    const token_record_t *record;
    int i;

    (void)line;
    if (!r->user) {
        return AUTHZ_DENIED_NO_USER;
    }
    record = find_record(r);
    for (i = 0; record && i < wanted->names->nelts; i++) {
        if (strcmp(record->client, get_name(wanted->names, i)) == 0) {
            return AUTHZ_GRANTED;
        }
    }
    return AUTHZ_DENIED;
}

/* --- the refusal --- */

/* Each word once: two lines may want the same. */
static const char *join_words(const apr_array_header_t *words,
                              apr_pool_t *pool)
{
    const char *joined = "";
    int i;

    for (i = 0; i < words->nelts; i++) {
        const char *word = get_name(words, i);

        if (!token_text_has_word(joined, word, strlen(word))) {
            joined = apr_pstrcat(pool, joined, *joined ? " " : "", word,
                                 NULL);
        }
    }
    return joined;
}

static int refuse(request_rec *r, const char *scope)
{
    const token_dir_conf_t *conf = token_conf_dir(r);

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "token %s of user %s refused: it lacks the scope %s",
                  token_memo_find(r)->id, r->user, scope);
    apr_table_setn(r->subprocess_env, "TOKEN_REASON",
                   token_reason_name(TOKEN_REASON_SCOPE));
    apr_table_setn(r->notes, REFUSED_NOTE, "1");
    token_shared_count(TOKEN_STATS_REASON + TOKEN_REASON_SCOPE);
    token_http_challenge_scope(r, token_conf_is_ours(r)
                                  && token_conf_accepts(conf,
                                                        TOKEN_SCHEME_BEARER),
                               ap_auth_name(r), DESCRIPTION, scope);
    if (token_conf_error_json(conf)) {
        token_http_error_body(r, HTTP_FORBIDDEN, DETAIL);
    }
    token_http_release_body(r);
    return HTTP_FORBIDDEN;
}

/* --- the hooks --- */

int token_authz_check(request_rec *r)
{
    token_memo_t *memo = token_memo_find(r);
    token_memo_authz_t authz = { r, NULL, NULL };
    int status;

    if (!memo || !token_memo_made_user(memo, r)
        || (memo->authz && memo->authz->r == r)) {
        return DECLINED;
    }
    /* An expression of a Require line may look up another URI. */
    authz.outer = memo->authz;
    memo->authz = &authz;
    status = ap_run_auth_checker(r);
    memo->authz = authz.outer;
    /* 403 with AuthzSendForbiddenOnFailure. */
    if ((status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN)
        && authz.lacking && token_memo_made_user(memo, r)) {
        return refuse(r, join_words(authz.lacking, r->pool));
    }
    return status;
}

int token_authz_fixups(request_rec *r)
{
    const request_rec *prev;

    for (prev = r->prev; prev; prev = prev->prev) {
        if (apr_table_get(prev->notes, REFUSED_NOTE)) {
            apr_table_setn(r->subprocess_env, "TOKEN_REASON",
                           token_reason_name(TOKEN_REASON_SCOPE));
        }
    }
    return OK;
}

const authz_provider token_authz_scope_provider = {
    check_scope, parse_scope
};
const authz_provider token_authz_client_provider = {
    check_client, parse_client
};
