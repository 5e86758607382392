/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides how things are said on the wire, not what is said.  Knows httpd's
 * filters and header tables, no configuration and no token. */
#include <stdlib.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "util_filter.h"
#include "apr_cstr.h"
#include "apr_strings.h"

#include "token_http.h"
#include "token_text.h"

APLOG_USE_MODULE(authn_token);

#define JSON_FILTER "AUTHN_TOKEN_JSON"
#define JSON_NOTE "authn_token-json"

/* How much of a body is asked for at once.  mod_deflate inflates all that it
 * gets before it gives any, and that may be a thousand times as much. */
#define READ_STEP 1024

/* Bytes of an unread body that are worth a connection kept. */
#define SMALL_BODY 16384

const char *token_http_credential_name(const request_rec *r)
{
    return r->proxyreq == PROXYREQ_PROXY ? "Proxy-Authorization"
                                         : "Authorization";
}

void token_http_vary(request_rec *r)
{
    const char *vary = apr_table_get(r->err_headers_out, "Vary");

    /* err_headers_out: for refusals too, and kept by redirects. */
    if (r->proxyreq != PROXYREQ_PROXY
        && !(vary && ap_find_token(r->pool, vary, "Authorization"))) {
        apr_table_mergen(r->err_headers_out, "Vary", "Authorization");
    }
}

const char *token_http_throttled(request_rec *r, int wait)
{
    return apr_psprintf(r->pool, "Request was throttled. Expected available "
                        "in %d second%s.", wait, wait == 1 ? "" : "s");
}

void token_http_expires(request_rec *r, apr_int64_t seconds)
{
    char *date = apr_palloc(r->pool, APR_RFC822_DATE_LEN);

    if (apr_rfc822_date(date, apr_time_from_sec(seconds)) == APR_SUCCESS) {
        apr_table_setn(r->headers_out, "Token-Expires", date);
    }
}

static const char *make_bearer(request_rec *r, const char *realm,
                               const char *error, const char *description)
{
    const char *challenge = "Bearer";
    const char *comma = " ";

    if (realm) {
        challenge = apr_pstrcat(r->pool, challenge, " realm=\"", realm, "\"",
                                NULL);
        comma = ", ";
    }
    if (error) {
        challenge = apr_pstrcat(r->pool, challenge, comma, "error=\"", error,
                                "\", error_description=\"", description,
                                "\"", NULL);
    }
    return challenge;
}

static const char *get_challenge_name(const request_rec *r)
{
    return r->proxyreq == PROXYREQ_PROXY ? "Proxy-Authenticate"
                                         : "WWW-Authenticate";
}

static int is_challenged(request_rec *r, const char *name)
{
    request_rec *prev;

    for (prev = r->prev; prev; prev = prev->prev) {
        if (prev->status == HTTP_UNAUTHORIZED
            || prev->status == HTTP_PROXY_AUTHENTICATION_REQUIRED
            || prev->status == HTTP_FORBIDDEN) {
            return apr_table_get(r->err_headers_out, name) != NULL;
        }
    }
    return 0;
}

void token_http_challenge(request_rec *r, const token_schemes_t *schemes,
                          const char *realm, const char *error,
                          const char *description)
{
    const char *name = get_challenge_name(r);
    int i;

    if (is_challenged(r, name)) {
        return;
    }
    apr_table_unset(r->err_headers_out, name);
    for (i = 0; i < schemes->count; i++) {
        const char *challenge = "Token";

        if (schemes->scheme[i] == TOKEN_SCHEME_BEARER) {
            challenge = make_bearer(r, realm, error, description);
        }
        else if (schemes->scheme[i] == TOKEN_SCHEME_BASIC) {
            challenge = apr_pstrcat(r->pool, "Basic realm=\"", realm,
                                    "\", charset=\"UTF-8\"", NULL);
        }
        /* One line each: svn reads only the first scheme of a line. */
        apr_table_addn(r->err_headers_out, name, challenge);
    }
}

void token_http_challenge_scope(request_rec *r, int bearer,
                                const char *realm, const char *description,
                                const char *scope)
{
    const char *name = get_challenge_name(r);

    if (is_challenged(r, name)) {
        return;
    }
    apr_table_unset(r->err_headers_out, name);
    if (bearer) {
        apr_table_addn(r->err_headers_out, name,
                       apr_pstrcat(r->pool,
                                   make_bearer(r, realm, "insufficient_scope",
                                               description),
                                   ", scope=\"", scope, "\"", NULL));
    }
}

void token_http_error_body(request_rec *r, int status, const char *detail)
{
    json_t *json = json_pack("{s:s}", "detail", detail);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    json_decref(json);
    if (text) {
        ap_custom_response(r, status, text);
        apr_table_set(r->notes, JSON_NOTE, text);
    }
    free(text);
}

void token_http_insert_error_filter(request_rec *r)
{
    const char *text = apr_table_get(r->notes, JSON_NOTE);

    if (text) {
        /* httpd may have made a 407 of it, and mod_dir may have handed on
         * the note of a sub-request, without the body. */
        ap_custom_response(r, r->status, text);
        ap_add_output_filter(JSON_FILTER, NULL, r, r->connection);
    }
}

/* httpd calls every error body of its own text/html: say what it is. */
static apr_status_t set_json_type(ap_filter_t *f, apr_bucket_brigade *bb)
{
    ap_set_content_type(f->r, "application/json");
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

void token_http_register_filters(void)
{
    ap_register_output_filter(JSON_FILTER, set_json_type, NULL,
                              AP_FTYPE_CONTENT_SET);
}

/* Reads what has arrived; 1 when that was all of it. */
static int drain_body(request_rec *r)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool,
                                                r->connection->bucket_alloc);
    apr_status_t rv;
    int end = 0;

    do {
        rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES,
                            APR_NONBLOCK_READ, SMALL_BODY);
        if (rv == APR_SUCCESS) {
            if (APR_BRIGADE_EMPTY(bb)) {
                break;
            }
            end = APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb));
        }
        apr_brigade_cleanup(bb);
    } while (rv == APR_SUCCESS && !end);
    apr_brigade_destroy(bb);
    return end;
}

void token_http_release_body(request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    int chunked = apr_table_get(r->headers_in, "Transfer-Encoding") != NULL;

    if (r->main || r->prev || r->proto_num >= HTTP_VERSION(2, 0)
        || (!chunked && (!length || strcmp(length, "0") == 0))) {
        return;
    }
    /* To read from a client that waits for "100 Continue" would send it. */
    if (!chunked && !r->expecting_100 && apr_atoi64(length) <= SMALL_BODY
        && drain_body(r)) {
        return;
    }
    r->connection->keepalive = AP_CONN_CLOSE;
}

/* Copies a brigade's bytes behind the *len that are there. */
static int copy_brigade(apr_bucket_brigade *bb, char *body, apr_size_t *len,
                        apr_size_t max, int *end)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        const char *bytes;
        apr_size_t n;

        if (APR_BUCKET_IS_EOS(b)) {
            *end = 1;
            break;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        if (apr_bucket_read(b, &bytes, &n, APR_BLOCK_READ) != APR_SUCCESS) {
            return HTTP_BAD_REQUEST;
        }
        if (n > max - *len) {
            return HTTP_REQUEST_ENTITY_TOO_LARGE;
        }
        memcpy(body + *len, bytes, n);
        *len += n;
    }
    return OK;
}

int token_http_read_body(request_rec *r, char **body, apr_size_t *len,
                         apr_size_t max)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    apr_bucket_brigade *bb;
    int status = OK;
    int end = 0;

    *len = 0;
    if (length && apr_atoi64(length) > (apr_int64_t)max) {
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    *body = apr_palloc(r->pool, max + 1);
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    while (status == OK && !end) {
        apr_status_t rv = ap_get_brigade(r->input_filters, bb,
                                         AP_MODE_READBYTES, APR_BLOCK_READ,
                                         READ_STEP);

        status = rv == APR_SUCCESS
            ? copy_brigade(bb, *body, len, max, &end)
            : ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        apr_brigade_cleanup(bb);
    }
    apr_brigade_destroy(bb);
    (*body)[*len] = '\0';
    return status;
}

int token_http_number(request_rec *r, const char *name, apr_int64_t least,
                      apr_int64_t *number)
{
    char *args = apr_pstrdup(r->pool, r->args ? r->args : "");
    apr_size_t len = strlen(name);
    char *state;
    char *word;

    for (word = apr_strtok(args, "&", &state); word;
         word = apr_strtok(NULL, "&", &state)) {
        if (strncmp(word, name, len) == 0 && word[len] == '=') {
            return token_text_number(number, word + len + 1)
                && *number >= least;
        }
    }
    return 1;
}

/* How closely a media range names JSON: 0 not at all, 3 by its name. */
static int match_json(const char *range, apr_size_t len)
{
    static const char *const ranges[] = {
        "*/*", "application/*", "application/json"
    };
    int i;

    for (i = 2; i >= 0; i--) {
        if (strlen(ranges[i]) == len
            && apr_cstr_casecmpn(range, ranges[i], len) == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* 1 when the parameters between say that the weight is zero. */
static int is_weightless(const char *params, const char *end)
{
    while (params < end) {
        apr_size_t len;

        params += strspn(params, "; \t");
        len = strcspn(params, "; \t,");
        if (len > 2 && apr_cstr_casecmpn(params, "q=", 2) == 0) {
            return params[2] == '0'
                && strspn(params + 2, "0.") == len - 2;
        }
        params += len;
    }
    return 0;
}

int token_http_accepts_json(const request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    int best = 0;
    int accepted = 0;

    if (!accept || !*accept) {
        return 1;
    }
    /* The closest range decides (RFC 9110 section 12.5.1). */
    while (*(accept += strspn(accept, ", \t"))) {
        const char *end = accept + strcspn(accept, ",");
        apr_size_t len = strcspn(accept, "; \t,");
        int closeness = match_json(accept, len);

        if (closeness > best) {
            best = closeness;
            accepted = !is_weightless(accept + len, end);
        }
        accept = end;
    }
    return accepted;
}

/* "application/json; indent=4", as Django REST framework's clients may ask
 * for it: 1 to 8, or 0. */
static int get_indent(const request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    const char *found = accept ? ap_strcasestr(accept, "application/json")
                               : NULL;
    const char *end = found ? found + strcspn(found, ",") : NULL;
    const char *indent = found ? ap_strcasestr(found, "indent=") : NULL;
    apr_int64_t n;

    if (!indent || indent > end) {
        return 0;
    }
    n = apr_strtoi64(indent + strlen("indent="), NULL, 10);
    return n < 0 ? 0 : n > 8 ? 8 : (int)n;
}

static void prepare_answer(request_rec *r, int status, apr_size_t len)
{
    r->status = status;
    /* Success or not: RFC 6749 section 5.1. */
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->err_headers_out, "Pragma", "no-cache");
    r->no_cache = 1;
    /* RFC 9110 section 8.6. */
    if (status != HTTP_NO_CONTENT) {
        ap_set_content_length(r, len);
    }
}

int token_http_answer(request_rec *r, int status, json_t *json)
{
    int indent = get_indent(r);
    char *text = json ? json_dumps(json, indent ? JSON_INDENT(indent)
                                                : JSON_COMPACT) : NULL;

    json_decref(json);
    if (!text) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "an answer could not be written as JSON: no memory, "
                      "or text that is not UTF-8");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    prepare_answer(r, status, strlen(text));
    ap_set_content_type(r, "application/json");
    ap_rwrite(text, (int)strlen(text), r);
    free(text);
    return OK;
}

int token_http_answer_empty(request_rec *r, int status)
{
    prepare_answer(r, status, 0);
    return OK;
}
