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
#include "apr_cstr.h"
#include "apr_strings.h"

#include "token_conf.h"
#include "token_provider.h"
#include "token_table.h"
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

static const token_schemes_t default_schemes = {
    2, { TOKEN_SCHEME_TOKEN, TOKEN_SCHEME_BEARER, TOKEN_SCHEME_BASIC }
};

static const token_limit_t default_login_limit = { 5, 60 };

/* --- create and merge --- */

void *token_conf_create_server(apr_pool_t *pool, server_rec *s)
{
    token_server_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    (void)s;
    conf->prefix = NULL;
    conf->table = UNSET;
    conf->poll_interval = UNSET;
    conf->store.database = 0;
    conf->store.query_timeout = UNSET;
    return conf;
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
    conf->store.database = a->store.database;
    conf->store.query_timeout = a->store.query_timeout != UNSET
        ? a->store.query_timeout : b->store.query_timeout;
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
    conf->lifetime = UNSET;
    conf->scope = NULL;
    conf->cache_ttl = UNSET;
    conf->stale_window = UNSET;
    conf->login_limit.count = UNSET;
    return conf;
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
    conf->lifetime = a->lifetime != UNSET ? a->lifetime : b->lifetime;
    conf->scope = a->scope ? a->scope : b->scope;
    conf->cache_ttl = a->cache_ttl != UNSET ? a->cache_ttl : b->cache_ttl;
    conf->stale_window = a->stale_window != UNSET ? a->stale_window
                                                  : b->stale_window;
    conf->login_limit = a->login_limit.count != UNSET ? a->login_limit
                                                      : b->login_limit;
    return conf;
}

/* --- directives --- */

/* For what only the administrator may choose.  AllowOverrideList could
 * otherwise let them in by name. */
static const char *refuse_htaccess(cmd_parms *cmd)
{
    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS)) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, " is not allowed in "
                           ".htaccess: who gets tokens, and what for, is "
                           "set in the server's configuration", NULL);
    }
    return NULL;
}

static token_server_conf_t *get_server(const cmd_parms *cmd)
{
    return ap_get_module_config(cmd->server->module_config,
                                &authn_token_module);
}

static const char *set_prefix(cmd_parms *cmd, void *dconf, const char *arg)
{
    (void)dconf;
    if (!token_text_is_prefix(arg)) {
        return apr_psprintf(cmd->pool, "AuthTokenPrefix \"%s\": must be 1 "
                            "to %d letters and digits", arg,
                            TOKEN_PREFIX_MAX);
    }
    get_server(cmd)->prefix = arg;
    return NULL;
}

static const char *set_table(cmd_parms *cmd, void *dconf, const char *arg)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    apr_int64_t slots;

    (void)dconf;
    if (wrong) {
        return wrong;
    }
    if (!token_text_number(&slots, arg) || slots > TOKEN_TABLE_MAX) {
        return apr_psprintf(cmd->pool, "AuthTokenTable \"%s\": must be a "
                            "number of slots from 1 to %d, or 0 for no "
                            "table", arg, TOKEN_TABLE_MAX);
    }
    get_server(cmd)->table = slots;
    return NULL;
}

/* Seconds between low and high; NULL when arg is that. */
static const char *read_seconds(cmd_parms *cmd, apr_int64_t *seconds,
                                const char *arg, int low, int high)
{
    if (!token_text_seconds(seconds, arg) || *seconds < low
        || *seconds > high) {
        return apr_psprintf(cmd->pool, "%s \"%s\": must be a number with s, "
                            "min, h or d, from %ds to %ds", cmd->cmd->name,
                            arg, low, high);
    }
    return NULL;
}

static const char *set_query_timeout(cmd_parms *cmd, void *dconf,
                                     const char *arg)
{
    apr_int64_t seconds = 0;
    const char *wrong = read_seconds(cmd, &seconds, arg, 1, 60);

    (void)dconf;
    get_server(cmd)->store.query_timeout = apr_time_from_sec(seconds);
    return wrong;
}

static const char *set_poll_interval(cmd_parms *cmd, void *dconf,
                                     const char *arg)
{
    apr_int64_t seconds = 0;
    const char *wrong = read_seconds(cmd, &seconds, arg, 0, 3600);

    (void)dconf;
    get_server(cmd)->poll_interval = apr_time_from_sec(seconds);
    return wrong;
}

static const char *add_scheme(cmd_parms *cmd, void *dconf, const char *arg)
{
    token_schemes_t *schemes = &((token_dir_conf_t *)dconf)->schemes;
    token_scheme_t scheme;
    int i;

    if (!token_credential_scheme(&scheme, arg)) {
        return apr_psprintf(cmd->pool, "AuthTokenScheme \"%s\": must be "
                            "Token, Bearer or Basic", arg);
    }
    for (i = 0; i < schemes->count; i++) {
        if (schemes->scheme[i] == scheme) {
            return apr_psprintf(cmd->pool, "AuthTokenScheme \"%s\": named "
                                "twice", arg);
        }
    }
    schemes->scheme[schemes->count++] = scheme;
    return NULL;
}

static const char *set_authoritative(cmd_parms *cmd, void *dconf, int on)
{
    (void)cmd;
    ((token_dir_conf_t *)dconf)->authoritative = on != 0;
    return NULL;
}

static const char *set_error_body(cmd_parms *cmd, void *dconf,
                                  const char *arg)
{
    token_dir_conf_t *conf = dconf;

    if (apr_cstr_casecmp(arg, "json") == 0) {
        conf->error_json = 1;
    }
    else if (apr_cstr_casecmp(arg, "html") == 0) {
        conf->error_json = 0;
    }
    else {
        return apr_psprintf(cmd->pool, "AuthTokenErrorBody \"%s\": must be "
                            "html or json", arg);
    }
    return NULL;
}

static const char *set_forward(cmd_parms *cmd, void *dconf, int on)
{
    ((token_dir_conf_t *)dconf)->forward = on != 0;
    return refuse_htaccess(cmd);
}

static const char *add_login_provider(cmd_parms *cmd, void *dconf,
                                      const char *arg)
{
    token_dir_conf_t *conf = dconf;
    const char *wrong = refuse_htaccess(cmd);

    if (wrong) {
        return wrong;
    }
    wrong = token_provider_add(&conf->login_providers, arg, cmd->pool);
    return wrong ? apr_psprintf(cmd->pool, "AuthTokenLoginProvider \"%s\": "
                                "%s", arg, wrong)
                 : NULL;
}

static const char *set_lifetime(cmd_parms *cmd, void *dconf,
                                const char *arg)
{
    token_dir_conf_t *conf = dconf;
    apr_int64_t seconds;

    if (!token_text_seconds(&seconds, arg) || seconds < 1) {
        return apr_psprintf(cmd->pool, "AuthTokenLifetime \"%s\": must be a "
                            "number with s, min, h or d, from 1s to %dd",
                            arg, (int)(TOKEN_SECONDS_MAX / 86400));
    }
    conf->lifetime = seconds;
    return refuse_htaccess(cmd);
}

static int has_scope(const apr_array_header_t *scope, const char *word)
{
    int i;

    for (i = 0; i < scope->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(scope, i, const char *), word) == 0) {
            return 1;
        }
    }
    return 0;
}

static const char *add_scope(cmd_parms *cmd, void *dconf, const char *arg)
{
    token_dir_conf_t *conf = dconf;

    if (!token_text_is_scope(arg)) {
        return apr_psprintf(cmd->pool, "AuthTokenScope \"%s\": a word may "
                            "have visible ASCII characters but for quotes "
                            "and backslash (RFC 6749, 3.3)", arg);
    }
    if (!conf->scope) {
        conf->scope = apr_array_make(cmd->pool, 4, sizeof(const char *));
    }
    /* "none" alone takes back what an outer section allows. */
    if (apr_cstr_casecmp(arg, "none") != 0
        && !has_scope(conf->scope, arg)) {
        APR_ARRAY_PUSH(conf->scope, const char *) = arg;
    }
    return refuse_htaccess(cmd);
}

static const char *set_cache_ttl(cmd_parms *cmd, void *dconf,
                                 const char *arg)
{
    const char *wrong = read_seconds(
        cmd, &((token_dir_conf_t *)dconf)->cache_ttl, arg, 0, 86400);

    return wrong ? wrong : refuse_htaccess(cmd);
}

static const char *set_stale_window(cmd_parms *cmd, void *dconf,
                                    const char *arg)
{
    const char *wrong = read_seconds(
        cmd, &((token_dir_conf_t *)dconf)->stale_window, arg, 0, 86400);

    return wrong ? wrong : refuse_htaccess(cmd);
}

static const char *set_login_limit(cmd_parms *cmd, void *dconf,
                                   const char *count, const char *time)
{
    token_limit_t *limit = &((token_dir_conf_t *)dconf)->login_limit;
    apr_int64_t n, seconds = 0;
    const char *wrong;

    if (!token_text_number(&n, count) || n > TOKEN_THROTTLE_COUNT_MAX) {
        return apr_psprintf(cmd->pool, "AuthTokenLoginLimit \"%s\": must be "
                            "a number of failures from 1 to %d, or 0 for no "
                            "limit, and a time", count,
                            TOKEN_THROTTLE_COUNT_MAX);
    }
    wrong = read_seconds(cmd, &seconds, time, 1, TOKEN_THROTTLE_SECONDS_MAX);
    if (wrong) {
        return wrong;
    }
    limit->count = (int)n;
    limit->seconds = (int)seconds;
    return refuse_htaccess(cmd);
}

const command_rec token_conf_commands[] = {
    AP_INIT_TAKE1("AuthTokenTable", set_table, NULL, RSRC_CONF,
                  "slots of the shared table, 0 for none (default 16384)"),
    AP_INIT_TAKE1("AuthTokenQueryTimeout", set_query_timeout, NULL,
                  RSRC_CONF,
                  "how long a statement may take (default 2s)"),
    AP_INIT_TAKE1("AuthTokenPollInterval", set_poll_interval, NULL,
                  RSRC_CONF,
                  "how often revocations are looked for, 0 for never "
                  "(default 1s)"),
    AP_INIT_TAKE1("AuthTokenCacheTTL", set_cache_ttl, NULL,
                  RSRC_CONF | ACCESS_CONF,
                  "how long a check is trusted (default 60s)"),
    AP_INIT_TAKE1("AuthTokenStaleWindow", set_stale_window, NULL,
                  RSRC_CONF | ACCESS_CONF,
                  "how much longer while the database is down (default "
                  "300s)"),
    AP_INIT_TAKE2("AuthTokenLoginLimit", set_login_limit, NULL,
                  RSRC_CONF | ACCESS_CONF,
                  "failed logins, and in which time, before 429 (default 5 "
                  "60s)"),
    AP_INIT_TAKE1("AuthTokenPrefix", set_prefix, NULL, RSRC_CONF,
                  "what tokens begin with, before \"_\" (default tok)"),
    AP_INIT_ITERATE("AuthTokenScheme", add_scheme, NULL, OR_AUTHCFG,
                    "accepted schemes: Token, Bearer, Basic (default Token "
                    "Bearer)"),
    AP_INIT_FLAG("AuthTokenAuthoritative", set_authoritative, NULL,
                 OR_AUTHCFG,
                 "Off to let others judge tokens unknown here (default On)"),
    AP_INIT_TAKE1("AuthTokenErrorBody", set_error_body, NULL, OR_AUTHCFG,
                  "html, or json for {\"detail\":\"...\"} (default html)"),
    AP_INIT_FLAG("AuthTokenForward", set_forward, NULL, ACCESS_CONF,
                 "Off to take Authorization away from the handler or proxy "
                 "(default On)"),
    AP_INIT_ITERATE("AuthTokenLoginProvider", add_login_provider, NULL,
                    ACCESS_CONF,
                    "authn providers that check passwords: file, dbd..."),
    AP_INIT_TAKE1("AuthTokenLifetime", set_lifetime, NULL, ACCESS_CONF,
                  "how long tokens issued here are good (default 30d)"),
    AP_INIT_ITERATE("AuthTokenScope", add_scope, NULL, ACCESS_CONF,
                    "scope words that may be asked for here (default none)"),
    { NULL, { NULL }, NULL, 0, NO_ARGS, NULL }
};

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

static const token_server_conf_t *get_conf(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &authn_token_module);
}

const char *token_conf_prefix(const server_rec *s)
{
    const char *prefix = get_conf(s)->prefix;

    return prefix ? prefix : DEFAULT_TOKEN_PREFIX;
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

const char *token_conf_log_name(const request_rec *r, const char *name)
{
    return token_text_is_native(name, strlen(name),
                                token_conf_prefix(r->server))
        ? "(a token in place of a name)" : name;
}

int token_conf_is_login(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(
        r->per_dir_config);
    const char *error = NULL;
    const char *name = core->handler;

    if (core->expr_handler) {
        name = ap_expr_str_exec(r, core->expr_handler, &error);
    }
    return name && !error && strcmp(name, "token-login") == 0;
}
