/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The directives: how they are parsed, merged and read.  Only the getters
 * know defaults; in the structs unset is unset. */
#ifndef TOKEN_CONF_H
#define TOKEN_CONF_H

#include "httpd.h"
#include "http_config.h"
#include "apr_tables.h"

#include "token_crypt.h"
#include "token_http.h"

/* Of a server or virtual host. */
typedef struct token_server_conf_t {
    const char *prefix;                 /* NULL: unset */
} token_server_conf_t;

/* Of a directory, location or .htaccess file. */
typedef struct token_dir_conf_t {
    token_schemes_t schemes;            /* count 0: unset */
    int authoritative;                  /* -1: unset, as for all below */
    int error_json;
    int forward;
    apr_array_header_t *login_providers;    /* NULL: unset */
    apr_int64_t lifetime;               /* seconds */
    apr_array_header_t *scope;          /* of const char *; NULL: unset */
} token_dir_conf_t;

extern const command_rec token_conf_commands[];

void *token_conf_create_server(apr_pool_t *pool, server_rec *s);
void *token_conf_merge_server(apr_pool_t *pool, void *base, void *add);
void *token_conf_create_dir(apr_pool_t *pool, char *dir);
void *token_conf_merge_dir(apr_pool_t *pool, void *base, void *add);

/* For the check_config hook: what can be seen to be wrong before a server
 * runs, so that "apachectl configtest" says it. */
int token_conf_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                     server_rec *s);

/* For the child_init hook. */
void token_conf_child_init(apr_pool_t *pool, server_rec *s);

/* The process's digest algorithm, after child_init. */
const token_crypt_t *token_conf_crypt(void);

/* The settings in force for a request, read through the getters. */
const token_dir_conf_t *token_conf_dir(const request_rec *r);

const token_schemes_t *token_conf_schemes(const token_dir_conf_t *conf);
int token_conf_accepts(const token_dir_conf_t *conf, token_scheme_t scheme);
int token_conf_authoritative(const token_dir_conf_t *conf);
int token_conf_error_json(const token_dir_conf_t *conf);
int token_conf_forward(const token_dir_conf_t *conf);
apr_int64_t token_conf_lifetime(const token_dir_conf_t *conf);

/* The words that may be asked for, separated by one blank; "" for none. */
const char *token_conf_scope(const token_dir_conf_t *conf,
                             apr_pool_t *pool);

const char *token_conf_prefix(const server_rec *s);

/* What a log line may say of a name somebody sent: the name, unless it is a
 * token in the wrong place. */
const char *token_conf_log_name(const request_rec *r, const char *name);

/* 1 when SetHandler makes token-login this request's handler; good as soon
 * as r->per_dir_config is. */
int token_conf_is_login(request_rec *r);

#endif
