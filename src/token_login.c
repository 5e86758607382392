/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides whether a token is issued, and what it is good for.  The answers
 * are those of Django REST framework's obtain_auth_token, which its clients
 * know.  Passwords are judged by httpd's providers (token_provider). */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "apr_strings.h"

#include "token_ask.h"
#include "token_clock.h"
#include "token_conf.h"
#include "token_foreign.h"
#include "token_form.h"
#include "token_handler.h"
#include "token_http.h"
#include "token_login.h"
#include "token_mint.h"
#include "token_provider.h"
#include "token_revoke.h"
#include "token_shared.h"

APLOG_USE_MODULE(authn_token);

/* Bytes. */
#define USERNAME_MAX 255

/* Failures of an address, to one of a user from there. */
#define ADDRESS_SHARE 4

#define DETAIL_LOGIN "Unable to log in with provided credentials."
#define DETAIL_FULL "You have too many tokens. Revoke one first."

/* What is asked for, once its form is good. */
typedef struct {
    const char *username;
    const char *password;
    token_ask_t token;
} ask_t;

/* --- answers --- */

static int answer_non_field(request_rec *r, const char *wrong)
{
    return token_http_answer(r, HTTP_BAD_REQUEST,
                             json_pack("{s:[s]}", "non_field_errors",
                                       wrong));
}

/* --- the fields --- */

static const char *text_of(const token_field_t *field)
{
    return field->state == TOKEN_FIELD_TEXT ? field->text : "";
}

/* The tables are Django's, and know of a user and his token alone. */
static int is_foreign(request_rec *r)
{
    return token_store_schema(token_conf_store(r->server))
        != TOKEN_SCHEMA_NATIVE;
}

/* Reads all fields; what is wrong is said of each of them at once.  The
 * errors, to be given back, or NULL. */
static json_t *read_fields(request_rec *r, token_form_t *form, ask_t *ask)
{
    token_field_t *field = form->field;
    json_t *errors = json_object();

    token_ask_trim(&field[TOKEN_FIELD_USERNAME]);
    ask->username = text_of(&field[TOKEN_FIELD_USERNAME]);
    ask->password = text_of(&field[TOKEN_FIELD_PASSWORD]);
    token_ask_error(errors, TOKEN_FIELD_USERNAME,
                    token_ask_check(&field[TOKEN_FIELD_USERNAME], 1));
    token_ask_error(errors, TOKEN_FIELD_PASSWORD,
                    token_ask_check(&field[TOKEN_FIELD_PASSWORD], 1));
    if (!is_foreign(r)) {
        token_ask_read(r, form, token_conf_scope(token_conf_dir(r), r->pool),
                       &ask->token, errors);
    }
    if (json_object_size(errors) == 0) {
        json_decref(errors);
        return NULL;
    }
    return errors;
}

/* --- the token --- */

static int answer_full(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "no token for user %s: he has as many as "
                  "AuthTokenMaxPerUser allows", r->user);
    return token_handler_detail(r, HTTP_FORBIDDEN, DETAIL_FULL);
}

/* Clients of Django REST framework know of the token alone. */
static json_t *make_answer(request_rec *r, const token_mint_t *mint)
{
    return token_conf_is_drf(r->server)
        ? json_pack("{s:s}", "token", mint->text) : token_mint_json(mint);
}

static int issue_token(request_rec *r, const ask_t *ask)
{
    token_mint_t mint;
    int status;

    if (is_foreign(r)) {
        return token_foreign_login(r);
    }
    status = token_mint_make(r, &mint, r->user, &ask->token);
    if (status != OK) {
        return status;
    }
    switch (token_mint_issue(r, &mint)) {
    case TOKEN_LEDGER_DONE:
        token_shared_count(TOKEN_STATS_LOGIN);
        status = token_http_answer(r, HTTP_OK, make_answer(r, &mint));
        break;
    case TOKEN_LEDGER_FULL:
        status = answer_full(r);
        break;
    default:
        status = token_handler_down(r);
        break;
    }
    token_mint_wipe(&mint);
    return status;
}

/* --- the throttle --- */

/* One address may fail for several users: behind it may be many. */
static token_limit_t limit_address(const token_limit_t *limit)
{
    token_limit_t wider = *limit;

    wider.count = limit->count * ADDRESS_SHARE;
    if (wider.count > TOKEN_THROTTLE_COUNT_MAX) {
        wider.count = TOKEN_THROTTLE_COUNT_MAX;
    }
    return wider;
}

/* Seconds this login must wait; 0: it may try. */
static int get_wait(request_rec *r, const char *username, apr_int64_t now)
{
    const token_limit_t *limit = token_conf_login_limit(token_conf_dir(r));
    token_limit_t wider = limit_address(limit);
    int user_wait = token_throttle_wait(
        token_shared_throttle(), TOKEN_THROTTLE_LOGIN_USER,
        r->useragent_addr, username, limit, now);
    int address_wait = token_throttle_wait(
        token_shared_throttle(), TOKEN_THROTTLE_LOGIN_ADDRESS,
        r->useragent_addr, NULL, &wider, now);

    return user_wait > address_wait ? user_wait : address_wait;
}

static void count_failure(request_rec *r, const char *username,
                          apr_int64_t now)
{
    const token_limit_t *limit = token_conf_login_limit(token_conf_dir(r));
    token_limit_t wider = limit_address(limit);

    token_throttle_fail(token_shared_throttle(), TOKEN_THROTTLE_LOGIN_USER,
                        r->useragent_addr, username, limit, now);
    token_throttle_fail(token_shared_throttle(),
                        TOKEN_THROTTLE_LOGIN_ADDRESS, r->useragent_addr,
                        NULL, &wider, now);
    token_shared_count(TOKEN_STATS_LOGIN_REFUSED);
}

static int refuse_try(request_rec *r, const char *username, apr_int64_t now)
{
    int wait = get_wait(r, username, now);
    const char *why = wait ? "too many failures"
                           : "other passwords are being hashed";

    wait = wait ? wait : 1;
    token_shared_count(TOKEN_STATS_THROTTLED);
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "login of user %s not tried: %s, %d s left",
                  token_conf_log_name(r, username), why, wait);
    apr_table_setn(r->err_headers_out, "Retry-After",
                   apr_itoa(r->pool, wait));
    return token_handler_detail(r, HTTP_TOO_MANY_REQUESTS,
                                token_http_throttled(r, wait));
}

/* The same answer for all that is wrong: who is told apart can be counted. */
static int refuse_login(request_rec *r, const char *username,
                        const char *why)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "login of user %s refused: %s",
                  token_conf_log_name(r, username), why);
    return answer_non_field(r, DETAIL_LOGIN);
}

static int is_name(const char *username)
{
    apr_size_t len = strlen(username);

    return len <= USERNAME_MAX && token_text_is_printable(username, len);
}

static token_password_t check_password(request_rec *r, const ask_t *ask,
                                       apr_int64_t now)
{
    token_password_t answer = is_name(ask->username)
        ? token_provider_check(r, token_conf_dir(r), ask->username,
                               ask->password)
        : TOKEN_PASSWORD_WRONG;

    if (answer == TOKEN_PASSWORD_WRONG) {
        count_failure(r, ask->username, now);
    }
    return answer;
}

/* 1 when the password was tried: not when others are being hashed, or have
 * failed too often while this one waited for that.  Who sends many at once
 * has no more tries than one who sends them in turn. */
static int try_password(request_rec *r, const ask_t *ask, apr_int64_t now,
                        token_password_t *answer)
{
    int place = token_throttle_begin_hash(token_shared_throttle());
    int may_try;

    if (place < 0) {
        return 0;
    }
    may_try = !get_wait(r, ask->username, now);
    if (may_try) {
        *answer = check_password(r, ask, now);
    }
    token_throttle_end_hash(token_shared_throttle(), place);
    return may_try;
}

/* AuthTokenUserQuery's word. */
static token_ledger_status_t ask_about(request_rec *r, const char *username)
{
    token_store_t store;

    token_revoke_bind(&store, r, r->pool);
    return token_ledger_user(&store, username);
}

/* His password is right. */
static int log_in_user(request_rec *r, const ask_t *ask, apr_int64_t now)
{
    switch (ask_about(r, r->user)) {
    case TOKEN_LEDGER_DONE:
        return issue_token(r, ask);
    case TOKEN_LEDGER_NONE:
        count_failure(r, ask->username, now);
        return refuse_login(r, ask->username, "inactive");
    default:
        return token_handler_down(r);
    }
}

/* Asks about him all the same: a refusal that comes sooner than that of an
 * inactive user would tell that his password was right. */
static int refuse_password(request_rec *r, const ask_t *ask)
{
    if (is_name(ask->username)) {
        ask_about(r, ask->username);
    }
    return refuse_login(r, ask->username, "wrong name or password");
}

static int log_in(request_rec *r, const ask_t *ask)
{
    apr_int64_t now = token_clock_seconds();
    token_password_t answer;

    if (get_wait(r, ask->username, now)
        || !try_password(r, ask, now, &answer)) {
        return refuse_try(r, ask->username, now);
    }
    switch (answer) {
    case TOKEN_PASSWORD_RIGHT:
        return log_in_user(r, ask, now);
    case TOKEN_PASSWORD_UNAVAILABLE:
        return token_handler_down(r);
    case TOKEN_PASSWORD_WRONG:
        break;
    }
    return refuse_password(r, ask);
}

static int answer_form(request_rec *r, char *body, apr_size_t len)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    token_form_t form;
    ask_t ask;
    json_t *errors;
    const char *wrong;
    int status;

    memset(&form, 0, sizeof(form));
    wrong = len ? token_form_read(&form, body, len, type,
                                  token_conf_is_drf(r->server), r->pool)
                : NULL;
    if (wrong) {
        return form.is_other ? answer_non_field(r, wrong)
                             : token_handler_detail(r, HTTP_BAD_REQUEST, wrong);
    }
    errors = read_fields(r, &form, &ask);
    status = errors ? token_http_answer(r, HTTP_BAD_REQUEST, errors)
                    : log_in(r, &ask);
    token_form_wipe(&form);
    return status;
}

static int answer_post(request_rec *r)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    apr_size_t len = 0;
    char *body;
    int status;

    if (token_form_type(type) == TOKEN_FORM_UNSUPPORTED
        && (type || ap_request_has_body(r))) {
        return token_handler_media_type(r);
    }
    if (token_handler_body(r, &body, &len, &status) != OK) {
        return status;
    }
    status = answer_form(r, body, len);
    token_crypt_wipe(body, len);
    return status;
}

/* --- the hooks --- */

/* OK when the administrator, and nobody else, made this a login. */
static int check_set_up(request_rec *r)
{
    int status = token_handler_check(r);

    if (status == OK && !token_conf_dir(r)->login_providers) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "token-login refused at %s: no AuthTokenLoginProvider "
                      "there", r->uri);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return status == OK ? token_foreign_check(r) : status;
}

int token_login_handler(request_rec *r)
{
    const char *metadata = token_conf_is_drf(r->server)
        ? token_foreign_metadata : NULL;
    int status;

    if (!r->handler || strcmp(r->handler, TOKEN_HANDLER_LOGIN) != 0) {
        return DECLINED;
    }
    status = check_set_up(r);
    if (status != OK) {
        return status;
    }
    apr_table_setn(r->err_headers_out, "Allow", "POST, OPTIONS");
    if (token_handler_negotiate(r, metadata, &status) != OK) {
        return status;
    }
    if (r->method_number != M_POST) {
        return token_handler_method(r);
    }
    return answer_post(r);
}
