/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what the administrator, and within his bounds the owner of an
 * .htaccess file, has asked for.  Which request it is used for is the
 * flows' matter. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "ap_expr.h"
#include "apr_cstr.h"
#include "apr_strings.h"

#include "token_conf.h"
#include "token_provider.h"
#include "token_text.h"

extern module AP_MODULE_DECLARE_DATA authn_token_module;

APLOG_USE_MODULE(authn_token);

#define UNSET (-1)
#define DEFAULT_TOKEN_PREFIX "tok"
#define DEFAULT_LIFETIME ((apr_int64_t)30 * 86400)

static const token_schemes_t default_schemes = {
    2, { TOKEN_SCHEME_TOKEN, TOKEN_SCHEME_BEARER, TOKEN_SCHEME_BASIC }
};

static token_crypt_t *process_crypt;

/* --- create and merge --- */

void *token_conf_create_server(apr_pool_t *pool, server_rec *s)
{
    token_server_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    (void)s;
    conf->prefix = NULL;
    return conf;
}

void *token_conf_merge_server(apr_pool_t *pool, void *base, void *add)
{
    const token_server_conf_t *b = base;
    const token_server_conf_t *a = add;
    token_server_conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    conf->prefix = a->prefix ? a->prefix : b->prefix;
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

static const char *set_prefix(cmd_parms *cmd, void *dconf, const char *arg)
{
    token_server_conf_t *conf = ap_get_module_config(
        cmd->server->module_config, &authn_token_module);

    (void)dconf;
    if (!token_text_is_prefix(arg)) {
        return apr_psprintf(cmd->pool, "AuthTokenPrefix \"%s\": must be 1 "
                            "to %d letters and digits", arg,
                            TOKEN_PREFIX_MAX);
    }
    conf->prefix = arg;
    return NULL;
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

const command_rec token_conf_commands[] = {
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

/* --- the check before a server runs --- */

/* What the configuration's text has, found in its tree. */
typedef struct {
    const ap_directive_t *use;          /* the first that needs us */
    const ap_directive_t *login;        /* SetHandler token-login */
    const ap_directive_t *provider;     /* AuthTokenLoginProvider */
    const ap_directive_t *driver;       /* DBDriver */
} seen_t;

static int has_word(const char *args, const char *word, apr_pool_t *pool)
{
    while (*args) {
        if (apr_cstr_casecmp(ap_getword_conf(pool, &args), word) == 0) {
            return 1;
        }
    }
    return 0;
}

static void see_directive(seen_t *seen, const ap_directive_t *d,
                          apr_pool_t *pool)
{
    int use = 0;

    if (apr_cstr_casecmp(d->directive, "SetHandler") == 0
        && has_word(d->args, "token-login", pool)) {
        use = 1;
        seen->login = seen->login ? seen->login : d;
    }
    else if (apr_cstr_casecmp(d->directive, "AuthTokenLoginProvider") == 0) {
        seen->provider = d;
    }
    else if (apr_cstr_casecmp(d->directive, "DBDriver") == 0) {
        seen->driver = d;
    }
    else if (apr_cstr_casecmp(d->directive, "AuthType") == 0
             || apr_cstr_casecmp(d->directive, "AuthBasicProvider") == 0
             || apr_cstr_casecmp(d->directive, "<AuthnProviderAlias") == 0) {
        use = has_word(d->args, "token", pool);
    }
    if (use && !seen->use) {
        seen->use = d;
    }
}

static void see_tree(seen_t *seen, const ap_directive_t *d,
                     apr_pool_t *pool)
{
    for (; d; d = d->next) {
        see_directive(seen, d, pool);
        see_tree(seen, d->first_child, pool);
    }
}

static int complain(const server_rec *s, const ap_directive_t *d,
                    const char *cure)
{
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, s,
                 "%s %s (%s, line %d): %s", d->directive, d->args,
                 d->filename, d->line_num, cure);
    return HTTP_INTERNAL_SERVER_ERROR;
}

int token_conf_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                     server_rec *s)
{
    seen_t seen;

    (void)pconf;
    (void)plog;
    memset(&seen, 0, sizeof(seen));
    see_tree(&seen, ap_conftree, ptemp);
    if (!seen.use) {
        return OK;
    }
    if (!ap_find_linked_module("mod_dbd.c")) {
        return complain(s, seen.use, "tokens are kept in a database: load "
                        "mod_dbd (a2enmod dbd)");
    }
    if (!seen.driver) {
        return complain(s, seen.use, "tokens are kept in a database: set "
                        "DBDriver sqlite3 or pgsql, and DBDParams");
    }
    if (seen.login && !seen.provider) {
        return complain(s, seen.login, "nobody could log in: name the "
                        "providers that check passwords, e.g. "
                        "AuthTokenLoginProvider file");
    }
    return OK;
}

void token_conf_child_init(apr_pool_t *pool, server_rec *s)
{
    if (token_crypt_create(&process_crypt, pool) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s,
                     "OpenSSL has no SHA-256: every token will be refused");
    }
}

const token_crypt_t *token_conf_crypt(void)
{
    return process_crypt;
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

const char *token_conf_prefix(const server_rec *s)
{
    const token_server_conf_t *conf = ap_get_module_config(
        s->module_config, &authn_token_module);

    return conf->prefix ? conf->prefix : DEFAULT_TOKEN_PREFIX;
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
