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

#include "token_conf.h"
#include "token_form.h"
#include "token_http.h"
#include "token_login.h"
#include "token_lookup.h"
#include "token_provider.h"
#include "token_shared.h"

APLOG_USE_MODULE(authn_token);

/* Bytes. */
#define BODY_MAX 16384
#define USERNAME_MAX 255
#define CLIENT_MAX 100

/* Failures of an address, to one of a user from there. */
#define ADDRESS_SHARE 4

#define SHIELD_NOTE "authn_token-no-htaccess"
#define DETAIL_LOGIN "Unable to log in with provided credentials."
#define DETAIL_DOWN "The database does not answer. Try again later."

/* What is asked for, once its form is good. */
typedef struct {
    const char *username;
    const char *password;
    const char *client;
    const char *scope;
    apr_int64_t expires_in;     /* seconds; 0: nothing asked */
} ask_t;

/* --- answers --- */

static int answer_detail(request_rec *r, int status, const char *detail)
{
    return token_http_answer(r, status,
                             json_pack("{s:s}", "detail", detail));
}

static int answer_non_field(request_rec *r, const char *wrong)
{
    return token_http_answer(r, HTTP_BAD_REQUEST,
                             json_pack("{s:[s]}", "non_field_errors",
                                       wrong));
}

static int answer_down(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Retry-After", TOKEN_RETRY_AFTER);
    return answer_detail(r, HTTP_SERVICE_UNAVAILABLE, DETAIL_DOWN);
}

static int answer_token(request_rec *r, const char *token,
                        const token_record_t *record)
{
    char date[TOKEN_DATE_SIZE];

    token_text_date(date, record->expires_at);
    return token_http_answer(r, HTTP_OK,
                             json_pack("{s:s, s:s, s:s, s:s, s:s}",
                                       "token", token, "id", record->id,
                                       "client", record->client,
                                       "scope", record->scope,
                                       "expires", date));
}

/* --- the fields --- */

/* What is wrong with a field's form, in Django REST framework's words;
 * NULL when it is text, or absent and that is allowed. */
static const char *check_field(const token_field_t *field, int required)
{
    switch (field->state) {
    case TOKEN_FIELD_ABSENT:
        return required ? "This field is required." : NULL;
    case TOKEN_FIELD_NULL:
        return "This field may not be null.";
    case TOKEN_FIELD_OTHER:
        return "Not a valid string.";
    case TOKEN_FIELD_TWICE:
        return "This field may be given only once.";
    case TOKEN_FIELD_NUL:
        return "Null characters are not allowed.";
    case TOKEN_FIELD_TEXT:
        break;
    }
    return required && !field->text[0] ? "This field may not be blank."
                                       : NULL;
}

static const char *text_of(const token_field_t *field)
{
    return field->state == TOKEN_FIELD_TEXT ? field->text : "";
}

static void trim(token_field_t *field)
{
    static const char blanks[] = " \t\r\n\v\f";

    if (field->state == TOKEN_FIELD_TEXT) {
        apr_size_t len;

        field->text += strspn(field->text, blanks);
        len = strlen(field->text);
        while (len && strchr(blanks, field->text[len - 1])) {
            field->text[--len] = '\0';
        }
    }
}

/* The User-Agent's product, "curl" of "curl/7.88.1". */
static const char *name_client(request_rec *r)
{
    const char *agent = apr_table_get(r->headers_in, "User-Agent");
    apr_size_t len = agent ? strcspn(agent, "/ \t(;") : 0;

    if (len == 0 || len > CLIENT_MAX || !token_text_is_utf8(agent, len)
        || !token_text_is_printable(agent, len)) {
        return "unknown";
    }
    return apr_pstrmemdup(r->pool, agent, len);
}

static const char *read_client(request_rec *r, token_field_t *field,
                               ask_t *ask)
{
    const char *wrong = check_field(field, 0);

    ask->client = NULL;
    if (wrong) {
        return wrong;
    }
    if (field->state == TOKEN_FIELD_ABSENT || !field->text[0]) {
        ask->client = name_client(r);
        return NULL;
    }
    if (strlen(field->text) > CLIENT_MAX) {
        return apr_psprintf(r->pool, "Ensure this field has no more than %d "
                            "bytes.", CLIENT_MAX);
    }
    if (!token_text_is_printable(field->text, strlen(field->text))) {
        return "Control characters are not allowed.";
    }
    ask->client = field->text;
    return NULL;
}

static int has_word(const char *words, const char *word, apr_size_t len)
{
    while (*words) {
        apr_size_t n = strcspn(words, " ");

        if (n == len && memcmp(words, word, len) == 0) {
            return 1;
        }
        words += n;
        words += strspn(words, " ");
    }
    return 0;
}

/* Every word asked for must be allowed here; nothing asked is all. */
static const char *read_scope(request_rec *r, token_field_t *field,
                              ask_t *ask)
{
    const char *allowed = token_conf_scope(token_conf_dir(r), r->pool);
    const char *wrong = check_field(field, 0);
    const char *word;

    ask->scope = allowed;
    if (wrong || field->state == TOKEN_FIELD_ABSENT) {
        return wrong;
    }
    ask->scope = "";
    for (word = field->text; *(word += strspn(word, " "));) {
        apr_size_t len = strcspn(word, " ");

        if (!has_word(allowed, word, len)) {
            return apr_psprintf(r->pool, "\"%s\" is not a valid choice.",
                                apr_pstrmemdup(r->pool, word, len));
        }
        if (!has_word(ask->scope, word, len)) {
            ask->scope = apr_pstrcat(r->pool, ask->scope,
                                     *ask->scope ? " " : "",
                                     apr_pstrmemdup(r->pool, word, len),
                                     NULL);
        }
        word += len;
    }
    if (!*ask->scope) {
        ask->scope = allowed;
    }
    return NULL;
}

static const char *read_expires_in(request_rec *r, token_field_t *field,
                                   ask_t *ask)
{
    const char *wrong = check_field(field, 0);

    ask->expires_in = 0;
    if (wrong || field->state == TOKEN_FIELD_ABSENT) {
        return wrong;
    }
    if (!token_text_number(&ask->expires_in, field->text)
        || ask->expires_in < 1) {
        return apr_psprintf(r->pool, "A number of seconds from 1 to %"
                            APR_INT64_T_FMT " is required.",
                            TOKEN_SECONDS_MAX);
    }
    return NULL;
}

static void add_error(json_t *errors, token_field_name_t name,
                      const char *wrong)
{
    if (wrong) {
        json_object_set_new(errors, token_form_field_name(name),
                            json_pack("[s]", wrong));
    }
}

/* Reads all fields; what is wrong is said of each of them at once.  The
 * errors, to be given back, or NULL. */
static json_t *read_fields(request_rec *r, token_form_t *form, ask_t *ask)
{
    token_field_t *field = form->field;
    json_t *errors = json_object();

    trim(&field[TOKEN_FIELD_USERNAME]);
    trim(&field[TOKEN_FIELD_CLIENT]);
    trim(&field[TOKEN_FIELD_EXPIRES_IN]);
    ask->username = text_of(&field[TOKEN_FIELD_USERNAME]);
    ask->password = text_of(&field[TOKEN_FIELD_PASSWORD]);
    add_error(errors, TOKEN_FIELD_USERNAME,
              check_field(&field[TOKEN_FIELD_USERNAME], 1));
    add_error(errors, TOKEN_FIELD_PASSWORD,
              check_field(&field[TOKEN_FIELD_PASSWORD], 1));
    add_error(errors, TOKEN_FIELD_CLIENT,
              read_client(r, &field[TOKEN_FIELD_CLIENT], ask));
    add_error(errors, TOKEN_FIELD_SCOPE,
              read_scope(r, &field[TOKEN_FIELD_SCOPE], ask));
    add_error(errors, TOKEN_FIELD_EXPIRES_IN,
              read_expires_in(r, &field[TOKEN_FIELD_EXPIRES_IN], ask));
    if (json_object_size(errors) == 0) {
        json_decref(errors);
        return NULL;
    }
    return errors;
}

/* --- the token --- */

static void fill_record(request_rec *r, token_record_t *record,
                        const ask_t *ask, const char *digest)
{
    apr_int64_t now = apr_time_sec(apr_time_now());

    memset(record, 0, sizeof(*record));
    record->id = apr_pstrmemdup(r->pool, digest, TOKEN_ID_LEN);
    record->username = r->user;
    record->client = ask->client;
    record->scope = ask->scope;
    record->networks = "";
    record->created_at = now;
    record->expires_at = token_record_end(
        now, token_conf_lifetime(token_conf_dir(r)), ask->expires_in);
}

static int issue_token(request_rec *r, const ask_t *ask)
{
    char token[TOKEN_TEXT_MAX + 1];
    char digest[TOKEN_DIGEST_LEN + 1];
    token_record_t record;
    int status;

    if (!token_shared_crypt()
        || token_crypt_token(token, token_conf_prefix(r->server))
            != APR_SUCCESS
        || token_crypt_digest(digest, token_shared_crypt(), token,
                              strlen(token)) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "OpenSSL has no random bytes or no SHA-256: no token "
                      "issued");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    fill_record(r, &record, ask, digest);
    if (!token_lookup_issue(r, digest, &record)) {
        token_crypt_wipe(token, sizeof(token));
        return answer_down(r);
    }
    token_shared_count(TOKEN_STATS_LOGIN);
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                  "token %s issued to user %s, client %s", record.id,
                  record.username, record.client);
    status = answer_token(r, token, &record);
    token_crypt_wipe(token, sizeof(token));
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

static int answer_throttled(request_rec *r, const char *username, int wait)
{
    token_shared_count(TOKEN_STATS_THROTTLED);
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "login of user %s not tried: too many failures, %d s left",
                  token_conf_log_name(r, username), wait);
    apr_table_setn(r->err_headers_out, "Retry-After",
                   apr_itoa(r->pool, wait));
    return answer_detail(r, HTTP_TOO_MANY_REQUESTS,
                         apr_psprintf(r->pool, "Request was throttled. "
                                      "Expected available in %d second%s.",
                                      wait, wait == 1 ? "" : "s"));
}

static token_password_t check_password(request_rec *r, const ask_t *ask)
{
    apr_size_t len = strlen(ask->username);

    if (len > USERNAME_MAX || !token_text_is_printable(ask->username, len)) {
        return TOKEN_PASSWORD_WRONG;
    }
    return token_provider_check(r, token_conf_dir(r)->login_providers,
                                ask->username, ask->password);
}

static int log_in(request_rec *r, const ask_t *ask)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    int wait = get_wait(r, ask->username, now);

    if (wait) {
        return answer_throttled(r, ask->username, wait);
    }
    switch (check_password(r, ask)) {
    case TOKEN_PASSWORD_RIGHT:
        return issue_token(r, ask);
    case TOKEN_PASSWORD_UNAVAILABLE:
        return answer_down(r);
    case TOKEN_PASSWORD_BUSY:
        return answer_throttled(r, ask->username, 1);
    case TOKEN_PASSWORD_WRONG:
        break;
    }
    count_failure(r, ask->username, now);
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "login of user %s refused: wrong name or password",
                  token_conf_log_name(r, ask->username));
    return answer_non_field(r, DETAIL_LOGIN);
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
    wrong = len ? token_form_read(&form, body, len, type, r->pool) : NULL;
    if (wrong) {
        return form.is_other ? answer_non_field(r, wrong)
                             : answer_detail(r, HTTP_BAD_REQUEST, wrong);
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
        token_http_release_body(r);
        if (!type || !token_text_is_utf8(type, strlen(type))) {
            type = "";
        }
        return answer_detail(r, HTTP_UNSUPPORTED_MEDIA_TYPE,
                             apr_psprintf(r->pool, "Unsupported media type "
                                          "\"%s\" in request.", type));
    }
    status = token_http_read_body(r, &body, &len, BODY_MAX);
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return answer_detail(r, status,
                             apr_psprintf(r->pool, "The body may have %d "
                                          "bytes.", BODY_MAX));
    }
    if (status == HTTP_BAD_REQUEST) {
        return answer_detail(r, status, "The body could not be read.");
    }
    if (status != OK) {
        return status;
    }
    status = answer_form(r, body, len);
    token_crypt_wipe(body, len);
    return status;
}

/* --- the hooks --- */

static int has_htaccess(const request_rec *r)
{
    const struct htaccess_result *file;

    for (file = r->htaccess; file; file = file->next) {
        if (file->htaccess) {
            return 1;
        }
    }
    return 0;
}

/* OK when the administrator, and nobody else, made this a login. */
static int check_set_up(request_rec *r)
{
    if (has_htaccess(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "token-login refused at %s: an .htaccess file applies "
                      "there and might choose who may log in; put SetHandler "
                      "token-login into a <Location>, or AllowOverride None "
                      "into its <Directory>", r->uri);
        return HTTP_FORBIDDEN;
    }
    if (!token_conf_dir(r)->login_providers) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "token-login refused at %s: no AuthTokenLoginProvider "
                      "there", r->uri);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

int token_login_handler(request_rec *r)
{
    int status;

    if (!r->handler || strcmp(r->handler, "token-login") != 0) {
        return DECLINED;
    }
    status = check_set_up(r);
    if (status != OK) {
        return status;
    }
    apr_table_setn(r->err_headers_out, "Allow", "POST, OPTIONS");
    if (!token_http_accepts_json(r)) {
        token_http_release_body(r);
        return answer_detail(r, HTTP_NOT_ACCEPTABLE, "Could not satisfy the "
                             "request Accept header.");
    }
    if (r->method_number == M_OPTIONS) {
        /* A page of another origin asks before it logs in. */
        token_http_release_body(r);
        return token_http_answer_empty(r, HTTP_OK);
    }
    if (r->method_number != M_POST) {
        token_http_release_body(r);
        return answer_detail(r, HTTP_METHOD_NOT_ALLOWED,
                             apr_psprintf(r->pool, "Method \"%s\" not "
                                          "allowed.", r->method));
    }
    return answer_post(r);
}

int token_login_shield(request_rec *r)
{
    if (token_conf_dir(r)->login_providers && token_conf_is_login(r)) {
        apr_table_setn(r->notes, SHIELD_NOTE, "1");
    }
    return DECLINED;
}

apr_status_t token_login_open_htaccess(request_rec *r, const char *dir,
                                       const char *name,
                                       ap_configfile_t **file,
                                       const char **full_name)
{
    (void)dir;
    (void)name;
    (void)file;
    (void)full_name;
    return apr_table_get(r->notes, SHIELD_NOTE) ? APR_ENOENT : AP_DECLINED;
}
