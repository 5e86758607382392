/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what the administrator, and within his bounds the owner of an
 * .htaccess file, has asked for.  Which request it is used for is the
 * flows' matter. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "ap_expr.h"
#include "http_request.h"
#include "apr_cstr.h"
#include "apr_strings.h"

#include "token_conf.h"
#include "token_text.h"

extern module AP_MODULE_DECLARE_DATA authn_token_module;

APLOG_USE_MODULE(authn_token);

#define UNSET (-1)
#define DEFAULT_TOKEN_PREFIX "tok"
#define DEFAULT_LIFETIME ((apr_int64_t)30 * 86400)
#define DEFAULT_TABLE 16384
#define DEFAULT_CACHE_TTL 60
#define DEFAULT_STALE_WINDOW 300
#define DEFAULT_POLL_INTERVAL apr_time_from_sec(1)
#define DEFAULT_FLUSH_INTERVAL apr_time_from_sec(30)
#define DEFAULT_PURGE ((apr_int64_t)30 * 86400)
#define DEFAULT_ROTATION_GRACE 60

static const token_schemes_t default_schemes = {
    2, { TOKEN_SCHEME_TOKEN, TOKEN_SCHEME_BEARER, TOKEN_SCHEME_BASIC }
};

static const token_limit_t default_login_limit = { 5, 60 };
/* Of no password: htpasswd -B's bcrypt, at its default cost. */
static const char default_unknown_hash[] =
    "$2y$05$abcdefghijklmnopqrstuu5s0ZBUXlYQpBmqHxBpu1DBH2xJkmEGG";
static const token_quota_t default_max_per_user = { 50, 0 };

/* --- create and merge --- */

void *token_conf_create_server(apr_pool_t *pool, server_rec *s)
{
    token_server_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    (void)s;
    conf->prefix = NULL;
    conf->table = UNSET;
    conf->poll_interval = UNSET;
    conf->flush_interval = UNSET;
    conf->purge = UNSET;
    conf->audit = UNSET;
    conf->store.database = 0;
    conf->store.dbd_pool = 0;
    conf->store.query_timeout = UNSET;
    conf->store.schema = UNSET;
    conf->store.legacy = UNSET;
    memset(conf->store.replaced, 0, sizeof(conf->store.replaced));
    return conf;
}

static void merge_store(token_store_conf_t *store,
                        const token_store_conf_t *b,
                        const token_store_conf_t *a)
{
    int i;

    store->database = a->database;
    store->dbd_pool = a->dbd_pool;
    store->query_timeout = a->query_timeout != UNSET ? a->query_timeout
                                                     : b->query_timeout;
    store->schema = a->schema != UNSET ? a->schema : b->schema;
    store->legacy = a->legacy != UNSET ? a->legacy : b->legacy;
    for (i = 0; i < TOKEN_SQL_STATEMENTS; i++) {
        store->replaced[i] = a->replaced[i] ? a->replaced[i]
                                            : b->replaced[i];
    }
}

void *token_conf_merge_server(apr_pool_t *pool, void *base, void *add)
{
    const token_server_conf_t *b = base;
    const token_server_conf_t *a = add;
    token_server_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    conf->prefix = a->prefix ? a->prefix : b->prefix;
    conf->table = a->table != UNSET ? a->table : b->table;
    conf->poll_interval = a->poll_interval != UNSET ? a->poll_interval
                                                    : b->poll_interval;
    conf->flush_interval = a->flush_interval != UNSET ? a->flush_interval
                                                      : b->flush_interval;
    conf->purge = a->purge != UNSET ? a->purge : b->purge;
    conf->audit = a->audit != UNSET ? a->audit : b->audit;
    merge_store(&conf->store, &b->store, &a->store);
    return conf;
}

void *token_conf_create_dir(apr_pool_t *pool, char *dir)
{
    token_dir_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    (void)dir;
    conf->schemes.count = 0;
    conf->authoritative = UNSET;
    conf->error_json = UNSET;
    conf->forward = UNSET;
    conf->login_providers = NULL;
    conf->unknown_hash = NULL;
    conf->lifetime = UNSET;
    conf->scope = NULL;
    conf->cache_ttl = UNSET;
    conf->stale_window = UNSET;
    conf->login_limit.count = UNSET;
    conf->idle_timeout = UNSET;
    conf->rotation_grace = UNSET;
    conf->max_per_user.count = UNSET;
    conf->expiry_header = UNSET;
    return conf;
}

/* What becomes of the tokens issued here. */
static void merge_life(token_dir_conf_t *conf, const token_dir_conf_t *b,
                       const token_dir_conf_t *a)
{
    conf->idle_timeout = a->idle_timeout != UNSET ? a->idle_timeout
                                                  : b->idle_timeout;
    conf->rotation_grace = a->rotation_grace != UNSET ? a->rotation_grace
                                                      : b->rotation_grace;
    conf->max_per_user = a->max_per_user.count != UNSET ? a->max_per_user
                                                        : b->max_per_user;
    conf->expiry_header = a->expiry_header != UNSET ? a->expiry_header
                                                    : b->expiry_header;
}

void *token_conf_merge_dir(apr_pool_t *pool, void *base, void *add)
{
    const token_dir_conf_t *b = base;
    const token_dir_conf_t *a = add;
    token_dir_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    conf->schemes = a->schemes.count ? a->schemes : b->schemes;
    conf->authoritative = a->authoritative != UNSET ? a->authoritative
                                                    : b->authoritative;
    conf->error_json = a->error_json != UNSET ? a->error_json
                                              : b->error_json;
    conf->forward = a->forward != UNSET ? a->forward : b->forward;
    conf->login_providers = a->login_providers ? a->login_providers
                                               : b->login_providers;
    conf->unknown_hash = a->unknown_hash ? a->unknown_hash
                                         : b->unknown_hash;
    conf->lifetime = a->lifetime != UNSET ? a->lifetime : b->lifetime;
    conf->scope = a->scope ? a->scope : b->scope;
    conf->cache_ttl = a->cache_ttl != UNSET ? a->cache_ttl : b->cache_ttl;
    conf->stale_window = a->stale_window != UNSET ? a->stale_window
                                                  : b->stale_window;
    conf->login_limit = a->login_limit.count != UNSET ? a->login_limit
                                                      : b->login_limit;
    merge_life(conf, b, a);
    return conf;
}

/* --- getters --- */

const token_dir_conf_t *token_conf_dir(const request_rec *r)
{
    /* Asked each time: an alias of a provider swaps per_dir_config. */
    return ap_get_module_config(r->per_dir_config, &authn_token_module);
}

const token_schemes_t *token_conf_schemes(const token_dir_conf_t *conf)
{
    return conf->schemes.count ? &conf->schemes : &default_schemes;
}

int token_conf_accepts(const token_dir_conf_t *conf, token_scheme_t scheme)
{
    const token_schemes_t *schemes = token_conf_schemes(conf);
    int i;

    for (i = 0; i < schemes->count; i++) {
        if (schemes->scheme[i] == scheme) {
            return 1;
        }
    }
    return 0;
}

int token_conf_authoritative(const token_dir_conf_t *conf)
{
    return conf->authoritative != 0;
}

int token_conf_error_json(const token_dir_conf_t *conf)
{
    return conf->error_json == 1;
}

int token_conf_forward(const token_dir_conf_t *conf)
{
    return conf->forward != 0;
}

apr_int64_t token_conf_lifetime(const token_dir_conf_t *conf)
{
    return conf->lifetime == UNSET ? DEFAULT_LIFETIME : conf->lifetime;
}

const char *token_conf_scope(const token_dir_conf_t *conf, apr_pool_t *pool)
{
    return conf->scope ? apr_array_pstrcat(pool, conf->scope, ' ') : "";
}

const char *token_conf_unknown_hash(const token_dir_conf_t *conf)
{
    return conf->unknown_hash ? conf->unknown_hash : default_unknown_hash;
}

apr_int64_t token_conf_cache_ttl(const token_dir_conf_t *conf)
{
    return conf->cache_ttl == UNSET ? DEFAULT_CACHE_TTL : conf->cache_ttl;
}

apr_int64_t token_conf_stale_window(const token_dir_conf_t *conf)
{
    return conf->stale_window == UNSET ? DEFAULT_STALE_WINDOW
                                       : conf->stale_window;
}

const token_limit_t *token_conf_login_limit(const token_dir_conf_t *conf)
{
    return conf->login_limit.count == UNSET ? &default_login_limit
                                            : &conf->login_limit;
}

apr_int64_t token_conf_idle_timeout(const token_dir_conf_t *conf)
{
    return conf->idle_timeout == UNSET ? 0 : conf->idle_timeout;
}

apr_int64_t token_conf_rotation_grace(const token_dir_conf_t *conf)
{
    return conf->rotation_grace == UNSET ? DEFAULT_ROTATION_GRACE
                                         : conf->rotation_grace;
}

void token_conf_trust(token_trust_t *trust, const token_dir_conf_t *conf)
{
    trust->cache_ttl = token_conf_cache_ttl(conf);
    trust->stale_window = token_conf_stale_window(conf);
    trust->rotation_grace = token_conf_rotation_grace(conf);
}

const token_quota_t *token_conf_max_per_user(const token_dir_conf_t *conf)
{
    return conf->max_per_user.count == UNSET ? &default_max_per_user
                                             : &conf->max_per_user;
}

int token_conf_expiry_header(const token_dir_conf_t *conf)
{
    return conf->expiry_header == 1;
}

static const token_server_conf_t *get_conf(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &authn_token_module);
}

const char *token_conf_prefix(const server_rec *s)
{
    const char *prefix = get_conf(s)->prefix;

    return prefix ? prefix : DEFAULT_TOKEN_PREFIX;
}

const char *token_conf_own_prefix(const server_rec *s)
{
    const char *prefix = get_conf(s)->prefix;

    return prefix ? prefix : "";
}

int token_conf_is_drf(const server_rec *s)
{
    const token_store_conf_t *store = token_conf_store(s);

    return token_store_schema(store) == TOKEN_SCHEMA_DRF
        || store->legacy == TOKEN_SCHEMA_DRF;
}

int token_conf_is_token(const server_rec *s, const char *text,
                        apr_size_t len, int is_password,
                        token_schema_t *schema)
{
    const token_server_conf_t *conf = get_conf(s);

    *schema = token_store_schema(&conf->store);
    if (token_schema_is_token(*schema, text, len, conf->prefix,
                              is_password)) {
        return 1;
    }
    if (conf->store.legacy > 0) {
        *schema = (token_schema_t)conf->store.legacy;
        return token_schema_is_token(*schema, text, len, NULL, is_password);
    }
    return 0;
}

const token_store_conf_t *token_conf_store(const server_rec *s)
{
    return &get_conf(s)->store;
}

apr_uint32_t token_conf_table(const server_rec *s)
{
    apr_int64_t table = get_conf(s)->table;

    return table == UNSET ? DEFAULT_TABLE : (apr_uint32_t)table;
}

apr_interval_time_t token_conf_poll_interval(const server_rec *s)
{
    apr_interval_time_t interval = get_conf(s)->poll_interval;

    return interval == UNSET ? DEFAULT_POLL_INTERVAL : interval;
}

apr_interval_time_t token_conf_flush_interval(const server_rec *s)
{
    apr_interval_time_t interval = get_conf(s)->flush_interval;

    return interval == UNSET ? DEFAULT_FLUSH_INTERVAL : interval;
}

int token_conf_audit(const server_rec *s)
{
    return get_conf(s)->audit == 1;
}

apr_int64_t token_conf_purge(const server_rec *s)
{
    apr_int64_t seconds = get_conf(s)->purge;

    return seconds == UNSET ? DEFAULT_PURGE : seconds;
}

const char *token_conf_log_name(const request_rec *r, const char *name)
{
    token_schema_t schema;

    return token_conf_is_token(r->server, name, strlen(name), 1, &schema)
        ? "(a token in place of a name)" : name;
}

int token_conf_is_ours(request_rec *r)
{
    const char *type = ap_auth_type(r);

    return type && apr_cstr_casecmp(type, "Token") == 0;
}

int token_conf_sets_handler(request_rec *r, ap_conf_vector_t *section,
                            const char *handler)
{
    const core_dir_config *core = ap_get_core_module_config(section);
    const char *error = NULL;
    const char *name = core->handler;

    if (core->expr_handler) {
        name = ap_expr_str_exec(r, core->expr_handler, &error);
    }
    return name && !error && strcmp(name, handler) == 0;
}

int token_conf_is_handler(request_rec *r, const char *handler)
{
    return token_conf_sets_handler(r, r->per_dir_config, handler);
}
