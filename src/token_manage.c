/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what the owner of a token may do with his tokens: see them, have
 * a further one, rotate and revoke them.  Nothing that is asked for here is
 * good for more, or for longer, than the token that asks.  That the request
 * comes from its owner was decided by token_auth. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "http_protocol.h"
#include "apr_strings.h"

#include "token_ask.h"
#include "token_conf.h"
#include "token_form.h"
#include "token_handler.h"
#include "token_http.h"
#include "token_ledger.h"
#include "token_manage.h"
#include "token_memo.h"
#include "token_mint.h"
#include "token_revoke.h"
#include "token_shared.h"
#include "token_upkeep.h"

APLOG_USE_MODULE(authn_token);

/* Tokens on a page of the list. */
#define PAGE 50
#define PAGE_MAX 100

#define DETAIL_NONE "Not found."
#define DETAIL_CONFLICT "The token was rotated or revoked already."
#define DETAIL_MORE "The token that asks is not good for that."
#define DETAIL_FULL "You have too many tokens. Revoke one first."

typedef enum {
    PLACE_NONE = 0,
    PLACE_ALL,                  /* / */
    PLACE_ONE,                  /* /self or /ID */
    PLACE_ROTATE                /* /self/rotate or /ID/rotate */
} place_t;

/* A request, and the token that it was authenticated by. */
typedef struct {
    request_rec *r;
    const token_memo_t *memo;
    const token_record_t *own;
    place_t place;
    const char *id;             /* of ONE and ROTATE */
} call_t;

/* --- the place --- */

static place_t read_place(call_t *call, const char *rest)
{
    char *word, *last;

    if (strcmp(rest, "/") == 0) {
        return PLACE_ALL;
    }
    word = apr_pstrdup(call->r->pool, rest + 1);
    last = strchr(word, '/');
    if (last) {
        *last++ = '\0';
    }
    call->id = strcmp(word, "self") == 0 ? call->memo->id : word;
    if (!token_text_is_id(call->id)) {
        return PLACE_NONE;
    }
    if (!last) {
        return PLACE_ONE;
    }
    return strcmp(last, "rotate") == 0 ? PLACE_ROTATE : PLACE_NONE;
}

/* --- uses --- */

static void tell_use(const call_t *call,
                     const char digest[TOKEN_DIGEST_LEN + 1])
{
    token_store_t store;

    token_revoke_bind(&store, call->r, call->r->pool);
    token_upkeep_tell(&store, digest);
}

/* The digest of the token that asks, of which the database is told the use:
 * it must not take it for idle nor, where a further one is made, evict it
 * for longer unused than others.  That costs a statement.  0: no SHA-256. */
static int find_own_digest(const call_t *call,
                           char digest[TOKEN_DIGEST_LEN + 1])
{
    request_rec *r = call->r;
    int may_evict = r->method_number == M_POST && call->place == PLACE_ALL
        && token_conf_flush_interval(r->server);

    if (token_shared_digest(digest, call->memo->text,
                            strlen(call->memo->text)) != APR_SUCCESS) {
        return 0;
    }
    if (call->own->idle_timeout || may_evict) {
        tell_use(call, digest);
    }
    return 1;
}

/* --- answers --- */

static json_t *date_or_null(apr_int64_t seconds)
{
    char date[TOKEN_DATE_SIZE];

    if (!seconds) {
        return json_null();
    }
    token_text_date(date, seconds);
    return json_string(date);
}

static json_t *describe(const call_t *call, const token_record_t *record)
{
    char id[TOKEN_ID_LEN + 1];

    apr_cpystrn(id, record->id, sizeof(id));
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:b}", "id", id,
                     "client", record->client, "scope", record->scope,
                     "created", date_or_null(record->created_at),
                     "expires", date_or_null(record->expires_at),
                     "last_used", date_or_null(record->last_used_at),
                     "current", strcmp(id, call->memo->id) == 0);
}

static int answer_status(const call_t *call, token_ledger_status_t status)
{
    request_rec *r = call->r;

    switch (status) {
    case TOKEN_LEDGER_DONE:
        return token_http_answer_empty(r, HTTP_NO_CONTENT);
    case TOKEN_LEDGER_NONE:
        return token_handler_detail(r, HTTP_NOT_FOUND, DETAIL_NONE);
    case TOKEN_LEDGER_FULL:
        return token_handler_detail(r, HTTP_FORBIDDEN, DETAIL_FULL);
    case TOKEN_LEDGER_REFUSED:
        return token_handler_detail(r, HTTP_CONFLICT, DETAIL_CONFLICT);
    case TOKEN_LEDGER_DOWN:
        break;
    }
    return token_handler_down(r);
}

static int answer_new(const call_t *call, token_mint_t *mint,
                      token_ledger_status_t status, int code)
{
    int rc = status == TOKEN_LEDGER_DONE
        ? token_http_answer(call->r, code, token_mint_json(mint))
        : answer_status(call, status);

    token_mint_wipe(mint);
    return rc;
}

/* --- seeing --- */

typedef struct {
    const call_t *call;
    json_t *list;
    int left;                   /* records that the page still takes */
    int more;
} page_t;

static void add_to_page(void *baton, const token_record_t *record)
{
    page_t *page = baton;

    if (page->left-- > 0) {
        json_array_append_new(page->list, describe(page->call, record));
    }
    else {
        page->more = 1;
    }
}

/* The next page, in the form of RFC 8288. */
static void link_next(const call_t *call, apr_int64_t limit,
                      apr_int64_t offset)
{
    request_rec *r = call->r;

    apr_table_setn(r->headers_out, "Link",
                   apr_psprintf(r->pool, "<%s?limit=%" APR_INT64_T_FMT
                                "&offset=%" APR_INT64_T_FMT ">; rel=\"next\"",
                                ap_escape_uri(r->pool, r->uri), limit,
                                offset + limit));
}

static int answer_list(const call_t *call)
{
    request_rec *r = call->r;
    apr_int64_t limit = PAGE;
    apr_int64_t offset = 0;
    token_store_t store;
    const char *args[3];
    char digest[TOKEN_DIGEST_LEN + 1];
    page_t page;

    if (!token_http_number(r, "limit", 1, &limit)
        || !token_http_number(r, "offset", 0, &offset)) {
        return token_handler_detail(r, HTTP_BAD_REQUEST, "limit and offset "
                                    "must be numbers.");
    }
    limit = limit > PAGE_MAX ? PAGE_MAX : limit;
    page.call = call;
    page.list = json_array();
    page.left = (int)limit;
    page.more = 0;
    args[0] = call->own->username;
    args[1] = apr_itoa(r->pool, (int)limit + 1);
    args[2] = apr_psprintf(r->pool, "%" APR_INT64_T_FMT, offset);
    find_own_digest(call, digest);
    token_revoke_bind(&store, r, r->pool);
    if (token_ledger_select(&store, TOKEN_SQL_LIST_OWN, args,
                            TOKEN_STORE_READ, add_to_page, &page)
        == TOKEN_LEDGER_DOWN) {
        json_decref(page.list);
        return token_handler_down(r);
    }
    if (page.more) {
        link_next(call, limit, offset);
    }
    return token_http_answer(r, HTTP_OK,
                             json_pack("{s:o}", "tokens", page.list));
}

static void keep_record(void *baton, const token_record_t *record)
{
    *(token_record_t *)baton = *record;
}

/* One's own token of the id; its record's id is the whole digest. */
static token_ledger_status_t find_own(const call_t *call,
                                      token_record_t *record)
{
    token_store_t store;
    const char *args[3];

    token_revoke_bind(&store, call->r, call->r->pool);
    args[0] = call->own->username;
    args[1] = call->id;
    args[2] = apr_pstrcat(call->r->pool, call->id, "g", NULL);
    return token_ledger_select(&store, TOKEN_SQL_SHOW_OWN, args,
                               TOKEN_STORE_READ, keep_record, record);
}

static int answer_one(const call_t *call)
{
    token_record_t record;
    token_ledger_status_t status = find_own(call, &record);

    if (status == TOKEN_LEDGER_DONE && record.revoked_at) {
        status = TOKEN_LEDGER_NONE;
    }
    return status == TOKEN_LEDGER_DONE
        ? token_http_answer(call->r, HTTP_OK, describe(call, &record))
        : answer_status(call, status);
}

/* --- changing --- */

/* A further token is never good for more than the one that asks. */
static void narrow(const call_t *call, token_record_t *record)
{
    const token_record_t *own = call->own;

    record->networks = own->networks;
    if (record->expires_at > own->expires_at) {
        record->expires_at = own->expires_at;
    }
    if (own->idle_timeout && (!record->idle_timeout
                              || record->idle_timeout > own->idle_timeout)) {
        record->idle_timeout = own->idle_timeout;
    }
}

/* DONE when a token of a Django site's table is good still.  Its row is no
 * part of what follows: it is only asked as late as can be. */
static token_ledger_status_t ask_foreign(const call_t *call,
                                         token_store_t *store,
                                         const char *digest)
{
    const token_memo_t *memo = call->memo;
    const char *key = token_schema_key(memo->schema, memo->text, digest,
                                       store->pool);
    token_record_t record;
    token_reason_t reason;
    token_ledger_status_t status;

    if (!key) {
        return TOKEN_LEDGER_DOWN;
    }
    store->schema = memo->schema;
    status = token_ledger_find(store, key, digest, &record);
    return status == TOKEN_LEDGER_NONE
        || (status == TOKEN_LEDGER_DONE
            && token_record_judge(&reason, &record,
                                  apr_time_sec(apr_time_now()), 0, 1)
               != TOKEN_GRANTED) ? TOKEN_LEDGER_REFUSED : status;
}

/* The token that asks was judged when the headers were there; the body may
 * have taken its time.  *asker is its digest, for the database to judge it
 * with the change; NULL where the table of another has it. */
static token_ledger_status_t find_asker(const call_t *call,
                                        const char **asker)
{
    request_rec *r = call->r;
    const token_memo_t *memo = call->memo;
    char *digest = apr_palloc(r->pool, TOKEN_DIGEST_LEN + 1);
    token_record_t record;
    token_store_t store;
    token_ledger_status_t status = TOKEN_LEDGER_DONE;

    if (!find_own_digest(call, digest)) {
        return TOKEN_LEDGER_DOWN;
    }
    *asker = digest;
    if (memo->schema == TOKEN_SCHEMA_NATIVE) {
        return status;
    }
    token_revoke_bind(&store, r, r->pool);
    /* "httoken import" may have taken it over. */
    status = token_ledger_find(&store, digest, digest, &record);
    if (status == TOKEN_LEDGER_NONE) {
        *asker = NULL;
        status = ask_foreign(call, &store, digest);
    }
    return status;
}

static int create_token(const call_t *call, const token_ask_t *ask)
{
    token_mint_t mint;
    const char *asker;
    token_ledger_status_t found = find_asker(call, &asker);
    int status;

    if (found != TOKEN_LEDGER_DONE) {
        return answer_status(call, found);
    }
    status = token_mint_make(call->r, &mint, call->own->username, ask);
    if (status != OK) {
        return status;
    }
    mint.asker = asker;
    narrow(call, &mint.record);
    return answer_new(call, &mint, token_mint_issue(call->r, &mint),
                      HTTP_CREATED);
}

/* 1 when the token that asks is good for all that the other is. */
static int covers(const call_t *call, const token_record_t *record)
{
    const token_record_t *own = call->own;
    const char *word = record->scope;

    while (*(word += strspn(word, " "))) {
        apr_size_t len = strcspn(word, " ");

        if (!token_text_has_word(own->scope, word, len)) {
            return 0;
        }
        word += len;
    }
    if (own->idle_timeout && (!record->idle_timeout
                              || record->idle_timeout > own->idle_timeout)) {
        return 0;
    }
    return !own->networks[0] || strcmp(own->networks, record->networks) == 0;
}

static int rotate_token(const call_t *call, const token_ask_t *ask)
{
    int is_self = strcmp(call->id, call->memo->id) == 0;
    const char *asker;
    token_record_t old;
    token_mint_t mint;
    token_ledger_status_t status = find_own(call, &old);
    int rc;

    if (status != TOKEN_LEDGER_DONE) {
        return answer_status(call, status);
    }
    if (!is_self && !covers(call, &old)) {
        return token_handler_detail(call->r, HTTP_FORBIDDEN, DETAIL_MORE);
    }
    status = find_asker(call, &asker);
    if (status != TOKEN_LEDGER_DONE) {
        return answer_status(call, status);
    }
    if (!is_self && old.idle_timeout) {
        tell_use(call, old.id);
    }
    rc = token_mint_make(call->r, &mint, old.username, ask);
    if (rc != OK) {
        return rc;
    }
    mint.asker = asker;
    status = token_mint_rotate(call->r, &mint, &old,
                               is_self ? 0 : call->own->expires_at);
    if (status == TOKEN_LEDGER_NONE) {
        token_mint_wipe(&mint);
        return token_handler_detail(call->r, HTTP_CONFLICT, DETAIL_CONFLICT);
    }
    return answer_new(call, &mint, status, HTTP_OK);
}

/* --- requests with a body --- */

static int answer_fields(const call_t *call, token_form_t *form)
{
    json_t *errors = json_object();
    token_ask_t ask;

    token_ask_read(call->r, form, call->own->scope, &ask, errors);
    if (json_object_size(errors)) {
        return token_http_answer(call->r, HTTP_BAD_REQUEST, errors);
    }
    json_decref(errors);
    return call->place == PLACE_ALL ? create_token(call, &ask)
                                    : rotate_token(call, &ask);
}

static int answer_body(const call_t *call, char *body, apr_size_t len)
{
    const char *wrong = NULL;
    token_form_t form;

    memset(&form, 0, sizeof(form));
    if (len) {
        wrong = token_form_read(&form, body, len, "application/json",
                                0, call->r->pool);
    }
    return wrong ? token_handler_detail(call->r, HTTP_BAD_REQUEST, wrong)
                 : answer_fields(call, &form);
}

/* JSON alone: a page of another origin, to which a browser adds Basic by
 * itself, cannot send that without having asked. */
static int answer_post(const call_t *call)
{
    const char *type = apr_table_get(call->r->headers_in, "Content-Type");
    apr_size_t len = 0;
    char *body;
    int status;

    if (!type || token_form_type(type) != TOKEN_FORM_JSON) {
        return token_handler_media_type(call->r);
    }
    if (call->own->superseded_at) {
        token_http_release_body(call->r);
        return token_handler_detail(call->r, HTTP_CONFLICT, DETAIL_CONFLICT);
    }
    if (token_handler_body(call->r, &body, &len, &status) != OK) {
        return status;
    }
    return answer_body(call, body, len);
}

/* --- the handler --- */

static int answer_place(const call_t *call)
{
    static const char *const allow[] = {
        "", "GET, HEAD, POST, DELETE, OPTIONS", "GET, HEAD, DELETE, OPTIONS",
        "POST, OPTIONS"
    };
    request_rec *r = call->r;
    int method = r->method_number;
    int all = call->place == PLACE_ALL;

    if (call->place == PLACE_NONE) {
        token_http_release_body(r);
        return token_handler_detail(r, HTTP_NOT_FOUND, DETAIL_NONE);
    }
    apr_table_setn(r->err_headers_out, "Allow", allow[call->place]);
    if (method == M_POST && call->place != PLACE_ONE) {
        return answer_post(call);
    }
    if (call->place == PLACE_ROTATE
        || (method != M_GET && method != M_DELETE)) {
        return token_handler_method(r);
    }
    token_http_release_body(r);
    if (method == M_GET) {
        return all ? answer_list(call) : answer_one(call);
    }
    return answer_status(call, all
        ? token_revoke_all(r, call->own->username)
        : token_revoke_one(r, call->own->username, call->id));
}

/* The token that the request was authenticated by; NULL: by none. */
static const token_memo_t *get_token(request_rec *r)
{
    const token_memo_t *memo = token_memo_find(r);

    return memo && token_memo_made_user(memo, r) ? memo : NULL;
}

static int answer_unprotected(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "token-manage refused at %s: no token was asked for; its "
                  "location needs AuthType Token and Require valid-user",
                  r->uri);
    token_http_release_body(r);
    return HTTP_FORBIDDEN;
}

static int answer_misplaced(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "token-manage cannot tell what %s is: SetHandler "
                  "token-manage must stand in one <Location> without "
                  "patterns that takes it in, and in none within that",
                  r->uri);
    token_http_release_body(r);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* OK when the administrator, and nobody else, made this a place for tokens
 * of ours. */
static int check_set_up(request_rec *r)
{
    token_schema_t schema = token_store_schema(token_conf_store(r->server));
    int status = token_handler_check(r);

    if (status == OK && schema != TOKEN_SCHEMA_NATIVE) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "token-manage refused at %s: tokens of AuthTokenSchema "
                      "%s are managed by Django alone", r->uri,
                      token_schema_name(schema));
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return status;
}

int token_manage_handler(request_rec *r)
{
    const char *rest;
    call_t call;
    int status;

    if (!r->handler || strcmp(r->handler, TOKEN_HANDLER_MANAGE) != 0) {
        return DECLINED;
    }
    status = check_set_up(r);
    if (status != OK) {
        return status;
    }
    if (token_handler_negotiate(r, NULL, &status) != OK) {
        return status;
    }
    memset(&call, 0, sizeof(call));
    call.r = r;
    call.memo = get_token(r);
    if (!call.memo) {
        return answer_unprotected(r);
    }
    call.own = &call.memo->finding.record;
    rest = token_handler_rest(r, TOKEN_HANDLER_MANAGE);
    if (!rest) {
        return answer_misplaced(r);
    }
    call.place = read_place(&call, rest);
    return answer_place(&call);
}
