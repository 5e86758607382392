/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* What is set: how it is merged and read; token_directives fills it.  Only
 * the getters know defaults; in the structs unset is unset. */
#ifndef TOKEN_CONF_H
#define TOKEN_CONF_H

#include "httpd.h"
#include "http_config.h"
#include "apr_tables.h"

#include "token_http.h"
#include "token_ledger.h"
#include "token_store.h"
#include "token_throttle.h"

/* Of a server or virtual host. */
typedef struct token_server_conf_t {
    const char *prefix;                 /* NULL: unset */
    apr_int64_t table;                  /* slots; -1: unset */
    apr_interval_time_t poll_interval;  /* -1: unset */
    apr_interval_time_t flush_interval; /* -1: unset */
    apr_int64_t purge;                  /* seconds; -1: unset */
    int audit;                          /* -1: unset */
    token_store_conf_t store;
} token_server_conf_t;

/* Of a directory, location or .htaccess file. */
typedef struct token_dir_conf_t {
    token_schemes_t schemes;            /* count 0: unset */
    int authoritative;                  /* -1: unset, as for all below */
    int error_json;
    int forward;
    apr_array_header_t *login_providers;    /* NULL: unset */
    const char *unknown_hash;           /* "": none; NULL: unset */
    apr_int64_t lifetime;               /* seconds */
    apr_array_header_t *scope;          /* of const char *; NULL: unset */
    apr_int64_t cache_ttl;              /* seconds */
    apr_int64_t stale_window;           /* seconds */
    token_limit_t login_limit;          /* count -1: unset */
    apr_int64_t idle_timeout;           /* seconds */
    apr_int64_t rotation_grace;         /* seconds */
    token_quota_t max_per_user;         /* count -1: unset */
    int expiry_header;
} token_dir_conf_t;

void *token_conf_create_server(apr_pool_t *pool, server_rec *s);
void *token_conf_merge_server(apr_pool_t *pool, void *base, void *add);
void *token_conf_create_dir(apr_pool_t *pool, char *dir);
void *token_conf_merge_dir(apr_pool_t *pool, void *base, void *add);

/* The settings in force for a request, read through the getters. */
const token_dir_conf_t *token_conf_dir(const request_rec *r);

const token_schemes_t *token_conf_schemes(const token_dir_conf_t *conf);
int token_conf_accepts(const token_dir_conf_t *conf, token_scheme_t scheme);
int token_conf_authoritative(const token_dir_conf_t *conf);
int token_conf_error_json(const token_dir_conf_t *conf);
int token_conf_forward(const token_dir_conf_t *conf);
const char *token_conf_unknown_hash(const token_dir_conf_t *conf);
apr_int64_t token_conf_lifetime(const token_dir_conf_t *conf);

/* The words that may be asked for, separated by one blank; "" for none. */
const char *token_conf_scope(const token_dir_conf_t *conf,
                             apr_pool_t *pool);

apr_int64_t token_conf_cache_ttl(const token_dir_conf_t *conf);
apr_int64_t token_conf_stale_window(const token_dir_conf_t *conf);
const token_limit_t *token_conf_login_limit(const token_dir_conf_t *conf);

/* Seconds a token may be unused; 0: no limit. */
apr_int64_t token_conf_idle_timeout(const token_dir_conf_t *conf);

/* Seconds a token is good after it was rotated away. */
apr_int64_t token_conf_rotation_grace(const token_dir_conf_t *conf);

/* What a verdict depends on besides the token. */
typedef struct {
    apr_int64_t cache_ttl;
    apr_int64_t stale_window;
    apr_int64_t rotation_grace;
} token_trust_t;

void token_conf_trust(token_trust_t *trust, const token_dir_conf_t *conf);
const token_quota_t *token_conf_max_per_user(const token_dir_conf_t *conf);
int token_conf_expiry_header(const token_dir_conf_t *conf);

/* What native tokens begin with. */
const char *token_conf_prefix(const server_rec *s);

/* AuthTokenPrefix, or "" where it is not set. */
const char *token_conf_own_prefix(const server_rec *s);

/* 1 when Django REST framework's clients expect its answers here: its tables
 * are used, first or second. */
int token_conf_is_drf(const server_rec *s);

/* 1 when a text could be a token of this host; *schema says in whose tables
 * it would be.  For is_password see token_schema.h. */
int token_conf_is_token(const server_rec *s, const char *text,
                        apr_size_t len, int is_password,
                        token_schema_t *schema);
const token_store_conf_t *token_conf_store(const server_rec *s);
apr_uint32_t token_conf_table(const server_rec *s);
apr_interval_time_t token_conf_poll_interval(const server_rec *s);
apr_interval_time_t token_conf_flush_interval(const server_rec *s);

/* 1: what becomes of tokens is noted in auth_token_event. */
int token_conf_audit(const server_rec *s);

/* Seconds after which the row of a dead token goes; 0: never. */
apr_int64_t token_conf_purge(const server_rec *s);

/* What a log line may say of a name somebody sent: the name, unless it is a
 * token in the wrong place. */
const char *token_conf_log_name(const request_rec *r, const char *name);

/* 1 when AuthType is Token for this request. */
int token_conf_is_ours(request_rec *r);

/* 1 when SetHandler makes this the request's handler; good as soon as
 * r->per_dir_config is. */
int token_conf_is_handler(request_rec *r, const char *handler);

/* The same, for the SetHandler of one section. */
int token_conf_sets_handler(request_rec *r, ap_conf_vector_t *section,
                            const char *handler);

#endif
