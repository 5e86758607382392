/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides whether a request comes from a token's owner.  grant() is the one
 * place where a token becomes a user.  How tokens are issued, and what an
 * authenticated user may do, is decided elsewhere. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mod_auth.h"
#include "apr_cstr.h"
#include "apr_strings.h"

#include "token_auth.h"
#include "token_conf.h"
#include "token_handler.h"
#include "token_header.h"
#include "token_http.h"
#include "token_lookup.h"
#include "token_memo.h"
#include "token_provider.h"
#include "token_shared.h"

APLOG_USE_MODULE(authn_token);

/* One text for every bad token: the reason is for the log. */
#define DETAIL_INVALID "Invalid token."
#define DETAIL_INACTIVE "User inactive or deleted."
#define DETAIL_BYTES \
    "Invalid token header. Token string should not contain invalid " \
    "characters."
#define DETAIL_NONE "Authentication credentials were not provided."
#define DETAIL_PASSWORD "Invalid username/password."
#define DETAIL_DOWN "The token database does not answer. Try again later."
#define DESCRIPTION "The token is unknown, expired or revoked"

/* --- the verdict on a token --- */

static void log_verdict(request_rec *r, const token_memo_t *memo)
{
    const char *owner = memo->finding.record.username;

    owner = owner ? owner : "-";
    if (memo->finding.verdict == TOKEN_GRANTED) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                      "token %s of user %s granted", memo->id, owner);
    }
    else if (memo->finding.verdict == TOKEN_DENIED) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "token %s of user %s refused: %s",
                      memo->id[0] ? memo->id : "-", owner,
                      token_reason_name(memo->finding.reason));
    }
    else if (memo->finding.verdict == TOKEN_THROTTLED) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "token %s not looked up: too many bad tokens from "
                      "this address", memo->id);
    }
}

/* The pool of the initial request keeps the answer; the settings are those
 * of the request that asks. */
static void look_up(request_rec *r, token_memo_t *memo, apr_size_t len)
{
    token_digests_t *digests = token_shared_digests();
    char digest[TOKEN_DIGEST_LEN + 1];
    token_sought_t sought = { memo->text, digest, memo->schema };
    int is_known = digests
        && token_digests_get(digest, digests, memo->text, len);

    if (!is_known
        && token_shared_digest(digest, memo->text, len) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "OpenSSL cannot compute SHA-256");
        memo->finding.verdict = TOKEN_UNAVAILABLE;
        return;
    }
    memcpy(memo->id, digest, TOKEN_ID_LEN);
    memo->id[TOKEN_ID_LEN] = '\0';
    token_lookup_find(r, token_memo_initial(r)->pool, &sought,
                      &memo->finding);
    if (digests && !is_known && memo->finding.record.id) {
        token_digests_put(digests, digest, memo->text, len);
    }
}

static token_memo_t *judge_token(request_rec *r, const char *text,
                                       apr_size_t len)
{
    request_rec *initial = token_memo_initial(r);
    token_memo_t *memo = token_memo_get(r);

    if (token_memo_is_of(memo, r, text, len)) {
        return memo;
    }
    memset(&memo->finding, 0, sizeof(memo->finding));
    memo->id[0] = '\0';
    memo->text = apr_pstrmemdup(initial->pool, text, len);
    memo->server = r->server;
    token_conf_trust(&memo->trust, token_conf_dir(r));
    memo->finding.reason = TOKEN_REASON_MALFORMED;
    if (token_conf_is_token(r->server, text, len, 0, &memo->schema)) {
        look_up(r, memo, len);
    }
    log_verdict(r, memo);
    return memo;
}

/* --- what follows from it --- */

/* Says whose token it is, to applications and the client.  Names that begin
 * alike are what apr_table_setn() is slowest with. */
static void export_token(request_rec *r, token_memo_t *memo)
{
    apr_table_t *env = r->subprocess_env;
    char *date = apr_palloc(r->pool, TOKEN_DATE_SIZE);
    void (*put)(apr_table_t *, const char *, const char *) =
        apr_table_get(env, "AUTHENTICATE_TOKEN_ID") ? apr_table_setn
                                                    : apr_table_addn;

    token_text_date(date, memo->finding.record.expires_at);
    put(env, "AUTHENTICATE_TOKEN_ID", memo->id);
    put(env, "AUTHENTICATE_TOKEN_CLIENT", memo->finding.record.client);
    put(env, "AUTHENTICATE_TOKEN_SCOPE", memo->finding.record.scope);
    put(env, "AUTHENTICATE_TOKEN_EXPIRES", date);
    /* mod_dir's sub-request would add a second one. */
    if (!r->main && token_conf_expiry_header(token_conf_dir(r))) {
        token_http_expires(r, memo->finding.record.expires_at);
    }
    memo->exported = r;
}

static void export_reason(request_rec *r, token_reason_t reason)
{
    token_memo_get(r)->refused = reason;
    apr_table_setn(r->subprocess_env, "TOKEN_REASON",
                   token_reason_name(reason));
}

/* The only place where a token makes a user. */
static int grant(request_rec *r, token_memo_t *memo)
{
    if (memo->finding.verdict != TOKEN_GRANTED) {
        return 0;
    }
    r->user = (char *)memo->finding.record.username;
    export_token(r, memo);
    return 1;
}

static int refuse(request_rec *r, const char *error, const char *detail)
{
    const token_dir_conf_t *conf = token_conf_dir(r);

    token_http_challenge(r, token_conf_schemes(conf), ap_auth_name(r),
                         error, DESCRIPTION);
    if (token_conf_error_json(conf)) {
        token_http_error_body(r, HTTP_UNAUTHORIZED, detail);
    }
    token_http_release_body(r);
    return HTTP_UNAUTHORIZED;
}

static int refuse_for(request_rec *r, token_reason_t reason,
                      const char *detail)
{
    export_reason(r, reason);
    token_shared_count(TOKEN_STATS_REASON + reason);
    return refuse(r, reason == TOKEN_REASON_PASSWORD ? NULL : "invalid_token",
                  detail);
}

static int answer_later(request_rec *r, int status, const char *seconds,
                        const char *detail)
{
    apr_table_setn(r->err_headers_out, "Retry-After", seconds);
    if (token_conf_error_json(token_conf_dir(r))) {
        token_http_error_body(r, status, detail);
    }
    token_http_release_body(r);
    return status;
}

static int answer_down(request_rec *r)
{
    return answer_later(r, HTTP_SERVICE_UNAVAILABLE, TOKEN_RETRY_AFTER,
                        DETAIL_DOWN);
}

static int answer_throttled(request_rec *r, int wait)
{
    token_shared_count(TOKEN_STATS_THROTTLED);
    return answer_later(r, HTTP_TOO_MANY_REQUESTS, apr_itoa(r->pool, wait),
                        token_http_throttled(r, wait));
}

/* The same for all, unless it is for clients of Django REST framework. */
static const char *name_fault(request_rec *r, const token_memo_t *memo)
{
    return memo->finding.reason == TOKEN_REASON_INACTIVE
        && token_store_schema(token_conf_store(r->server))
           != TOKEN_SCHEMA_NATIVE ? DETAIL_INACTIVE : DETAIL_INVALID;
}

static int answer_token(request_rec *r, token_scheme_t scheme,
                        const char *text, apr_size_t len)
{
    token_memo_t *memo = judge_token(r, text, len);

    if (memo->finding.verdict == TOKEN_UNAVAILABLE) {
        return answer_down(r);
    }
    if (memo->finding.verdict == TOKEN_THROTTLED) {
        return answer_throttled(r, memo->finding.wait);
    }
    if (grant(r, memo)) {
        r->ap_auth_type = (char *)token_credential_scheme_name(scheme);
        return OK;
    }
    if ((memo->finding.reason == TOKEN_REASON_UNKNOWN
         || memo->finding.reason == TOKEN_REASON_MALFORMED)
        && !token_conf_authoritative(token_conf_dir(r))) {
        return DECLINED;
    }
    return refuse_for(r, memo->finding.reason, name_fault(r, memo));
}

static int answer_password(request_rec *r, const char *user,
                           const char *password)
{
    int place = token_throttle_begin_hash(token_shared_throttle());
    token_password_t answer;

    if (place < 0) {
        return answer_throttled(r, 1);
    }
    answer = token_provider_check(r, token_conf_dir(r), user, password);
    token_throttle_end_hash(token_shared_throttle(), place);
    switch (answer) {
    case TOKEN_PASSWORD_RIGHT:
        r->ap_auth_type = (char *)"Basic";
        return OK;
    case TOKEN_PASSWORD_UNAVAILABLE:
        return answer_down(r);
    case TOKEN_PASSWORD_WRONG:
        break;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "user %s refused: wrong name or password",
                  token_conf_log_name(r, user));
    return refuse_for(r, TOKEN_REASON_PASSWORD, DETAIL_PASSWORD);
}

static int answer_malformed(request_rec *r, const char *what,
                            const char *detail)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "%s refused: malformed, %s", token_http_credential_name(r),
                  what);
    return refuse_for(r, TOKEN_REASON_MALFORMED, detail);
}

static int answer_basic(request_rec *r, const token_credential_t *credential)
{
    const char *user, *password;
    token_schema_t schema;

    if (!token_credential_basic(&user, &password, credential, r->pool)) {
        return answer_malformed(r, "not Base64 of user:password in UTF-8",
                                "Invalid basic header. Credentials not "
                                "correctly base64 encoded.");
    }
    /* The user's name beside a token does not matter: pip and npm send
     * words of their own. */
    if (token_conf_is_token(r->server, password, strlen(password), 1,
                            &schema)) {
        return answer_token(r, TOKEN_SCHEME_BASIC, password,
                            strlen(password));
    }
    return answer_password(r, user, password);
}

static int answer_missing(request_rec *r, token_credential_status_t status,
                          const token_credential_t *credential)
{
    if (status == TOKEN_CREDENTIAL_NONE) {
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "no credential sent");
    }
    else {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "%s refused: scheme %s is not accepted here (see "
                      "AuthTokenScheme)", token_http_credential_name(r),
                      status == TOKEN_CREDENTIAL_FOREIGN
                          ? "of another kind"
                          : token_credential_scheme_name(credential->scheme));
    }
    return refuse(r, NULL, DETAIL_NONE);
}

static int is_accepted(const token_dir_conf_t *conf,
                       token_credential_status_t status,
                       const token_credential_t *credential)
{
    return status != TOKEN_CREDENTIAL_NONE
        && status != TOKEN_CREDENTIAL_FOREIGN
        && token_conf_accepts(conf, credential->scheme);
}

static int is_utf8(const char *text)
{
    return token_text_is_utf8(text, strlen(text));
}

static int answer_credential(request_rec *r)
{
    token_credential_t credential;
    token_credential_status_t status = token_header_read(&credential, r);

    if (!is_accepted(token_conf_dir(r), status, &credential)) {
        return answer_missing(r, status, &credential);
    }
    switch (status) {
    case TOKEN_CREDENTIAL_OK:
        return credential.scheme == TOKEN_SCHEME_BASIC
            ? answer_basic(r, &credential)
            : answer_token(r, credential.scheme, credential.text,
                           credential.len);
    case TOKEN_CREDENTIAL_EMPTY:
        return answer_malformed(r, "nothing behind the scheme",
                                "Invalid token header. No credentials "
                                "provided.");
    case TOKEN_CREDENTIAL_SPACES:
        return answer_malformed(r, "more than one word behind the scheme",
                                "Invalid token header. Token string should "
                                "not contain spaces.");
    case TOKEN_CREDENTIAL_LONG:
        return answer_malformed(r, "too long", DETAIL_INVALID);
    default:
        return answer_malformed(r, "a byte that no token has",
                                is_utf8(token_header_get(r))
                                    ? DETAIL_INVALID : DETAIL_BYTES);
    }
}

/* --- the hooks --- */

int token_auth_check(request_rec *r)
{
    const token_dir_conf_t *conf = token_conf_dir(r);

    if (!token_conf_is_ours(r)) {
        return DECLINED;
    }
    if (token_conf_accepts(conf, TOKEN_SCHEME_BASIC) && !ap_auth_name(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "AuthTokenScheme Basic needs an AuthName: %s", r->uri);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    token_http_vary(r);
    return answer_credential(r);
}

int token_auth_force(request_rec *r)
{
    token_credential_t credential;
    token_credential_status_t status;

    /* A login is for those whose token is no longer good. */
    if (!token_conf_is_ours(r)
        || token_conf_is_handler(r, TOKEN_HANDLER_LOGIN)) {
        return DECLINED;
    }
    token_http_vary(r);
    status = token_header_read(&credential, r);
    return is_accepted(token_conf_dir(r), status, &credential) ? OK
                                                               : DECLINED;
}

int token_auth_note_failure(request_rec *r, const char *auth_type)
{
    if (apr_cstr_casecmp(auth_type, "Token") != 0) {
        return DECLINED;
    }
    token_http_challenge(r, token_conf_schemes(token_conf_dir(r)),
                         ap_auth_name(r), NULL, NULL);
    return OK;
}

int token_auth_fixups(request_rec *r)
{
    token_memo_t *memo = token_memo_find(r);

    if (memo && token_memo_made_user(memo, r) && memo->exported != r) {
        /* httpd skips authentication, and renames the environment, where a
         * redirect stays within one configuration. */
        export_token(r, memo);
    }
    else if (memo && memo->refused && !r->user) {
        export_reason(r, memo->refused);
    }
    return OK;
}

/* --- the provider --- */

static authn_status check_password(request_rec *r, const char *user,
                                   const char *password)
{
    token_schema_t schema;
    token_memo_t *memo;

    (void)user;
    token_http_vary(r);
    /* Not ours to judge; and an alias of ours cannot mint tokens. */
    if ((r->handler && strcmp(r->handler, TOKEN_HANDLER_LOGIN) == 0)
        || !token_conf_is_token(r->server, password, strlen(password), 1,
                                &schema)) {
        return AUTH_USER_NOT_FOUND;
    }
    memo = judge_token(r, password, strlen(password));
    if (memo->finding.verdict == TOKEN_UNAVAILABLE
        || memo->finding.verdict == TOKEN_THROTTLED) {
        return AUTH_GENERAL_ERROR;
    }
    if (grant(r, memo)) {
        return AUTH_GRANTED;
    }
    if (memo->finding.reason == TOKEN_REASON_UNKNOWN
        && !token_conf_authoritative(token_conf_dir(r))) {
        return AUTH_USER_NOT_FOUND;
    }
    export_reason(r, memo->finding.reason);
    token_shared_count(TOKEN_STATS_REASON + memo->finding.reason);
    return AUTH_DENIED;
}

const authn_provider token_auth_provider = { check_password, NULL };
