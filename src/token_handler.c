/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides where a handler of ours may run, and words the errors that its
 * requests share.  What a request is for is the flows' matter. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "apr_strings.h"

#include "token_conf.h"
#include "token_handler.h"
#include "token_http.h"

APLOG_USE_MODULE(authn_token);

/* Bytes. */
#define BODY_MAX 16384

#define SHIELD_NOTE "authn_token-no-htaccess"
#define DETAIL_DOWN "The database does not answer. Try again later."

/* --- who may set it up --- */

int token_handler_shield(request_rec *r)
{
    if ((token_conf_dir(r)->login_providers
         && token_conf_is_handler(r, TOKEN_HANDLER_LOGIN))
        || token_conf_is_handler(r, TOKEN_HANDLER_MANAGE)) {
        apr_table_setn(r->notes, SHIELD_NOTE, "1");
    }
    return DECLINED;
}

apr_status_t token_handler_open_htaccess(request_rec *r, const char *dir,
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

int token_handler_check(request_rec *r)
{
    if (!has_htaccess(r)) {
        return OK;
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "%s refused at %s: an .htaccess file applies there and "
                  "might choose who may log in; put SetHandler %s into a "
                  "<Location>, or AllowOverride None into its <Directory>",
                  r->handler, r->uri, r->handler);
    return HTTP_FORBIDDEN;
}

/* --- where it was set up --- */

/* Bytes of a <Location>'s path without slashes at its end, where the request
 * is under it; -1: it is not, or the section has a pattern. */
static int get_prefix(const request_rec *r, const core_dir_config *section)
{
    apr_size_t len = section->d ? strlen(section->d) : 0;

    while (len > 0 && section->d[len - 1] == '/') {
        len--;
    }
    if (!section->d || section->d[0] != '/' || section->r
        || section->d_is_fnmatch || strncmp(r->uri, section->d, len) != 0
        || (r->uri[len] && r->uri[len] != '/')) {
        return -1;
    }
    return (int)len;
}

/* 1 when the request's handler is that of this section: a merge copies the
 * pointer, and each SetHandler has one of its own. */
static int is_source(const core_dir_config *section,
                     const core_dir_config *merged)
{
    return merged->expr_handler
        ? section->expr_handler == merged->expr_handler
        : section->handler == merged->handler;
}

const char *token_handler_rest(request_rec *r, const char *handler)
{
    const core_dir_config *merged = ap_get_core_module_config(
        r->per_dir_config);
    const core_server_config *server = ap_get_core_module_config(
        r->server->module_config);
    ap_conf_vector_t *const *sections = (void *)server->sec_url->elts;
    int own = -1, other = -1, i;

    if (!token_conf_is_handler(r, handler)) {
        return NULL;
    }
    for (i = 0; i < server->sec_url->nelts; i++) {
        const core_dir_config *section = ap_get_core_module_config(
            sections[i]);

        if (is_source(section, merged)) {
            own = get_prefix(r, section);
        }
        else if (get_prefix(r, section) >= 0
                 && token_conf_sets_handler(r, sections[i], handler)) {
            other = get_prefix(r, section);
        }
    }
    if (own < 0 || (other >= 0 && other != own)) {
        return NULL;
    }
    return r->uri[own] ? r->uri + own : "/";
}

/* --- answers --- */

int token_handler_detail(request_rec *r, int status, const char *detail)
{
    return token_http_answer(r, status,
                             json_pack("{s:s}", "detail", detail));
}

int token_handler_down(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Retry-After", TOKEN_RETRY_AFTER);
    return token_handler_detail(r, HTTP_SERVICE_UNAVAILABLE, DETAIL_DOWN);
}

int token_handler_method(request_rec *r)
{
    token_http_release_body(r);
    return token_handler_detail(r, HTTP_METHOD_NOT_ALLOWED,
                                apr_psprintf(r->pool, "Method \"%s\" not "
                                             "allowed.", r->method));
}

int token_handler_media_type(request_rec *r)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");

    token_http_release_body(r);
    if (!type || !token_text_is_utf8(type, strlen(type))) {
        type = "";
    }
    return token_handler_detail(r, HTTP_UNSUPPORTED_MEDIA_TYPE,
                                apr_psprintf(r->pool, "Unsupported media "
                                             "type \"%s\" in request.",
                                             type));
}

static int answer_options(request_rec *r, const char *metadata)
{
    json_error_t error;

    /* A page of another origin asks before it sends anything. */
    token_http_release_body(r);
    return metadata
        ? token_http_answer(r, HTTP_OK, json_loads(metadata, 0, &error))
        : token_http_answer_empty(r, HTTP_OK);
}

/* Of Django REST framework: ?format=json, and no other. */
static int has_other_format(request_rec *r)
{
    const char *args = r->args;
    int other = 0;

    while (args && *args && token_conf_is_drf(r->server)) {
        const char *pair = ap_getword(r->pool, &args, '&');

        if (strncmp(pair, "format=", 7) == 0) {
            other = pair[7] && strcmp(pair + 7, "json") != 0;
        }
    }
    return other;
}

int token_handler_negotiate(request_rec *r, const char *metadata,
                            int *status)
{
    if (has_other_format(r)) {
        token_http_release_body(r);
        *status = token_handler_detail(r, HTTP_NOT_FOUND, "Not found.");
        return DONE;
    }
    if (!token_http_accepts_json(r)) {
        token_http_release_body(r);
        *status = token_handler_detail(r, HTTP_NOT_ACCEPTABLE, "Could not "
                                       "satisfy the request Accept header.");
        return DONE;
    }
    if (r->method_number == M_OPTIONS) {
        *status = answer_options(r, metadata);
        return DONE;
    }
    return OK;
}

int token_handler_body(request_rec *r, char **body, apr_size_t *len,
                       int *status)
{
    int rc = token_http_read_body(r, body, len, BODY_MAX);

    if (rc == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        *status = token_handler_detail(
            r, rc, apr_psprintf(r->pool, "The body may have %d bytes.",
                                BODY_MAX));
    }
    else if (rc == HTTP_BAD_REQUEST) {
        *status = token_handler_detail(r, rc, "The body could not be read.");
    }
    else {
        *status = rc;
    }
    return rc;
}
