/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides which values a directive takes, and says what is wrong with others.
 * What is in force where nothing is set is token_conf's matter. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "apr_cstr.h"
#include "apr_strings.h"

#include "token_conf.h"
#include "token_dialect.h"
#include "token_directives.h"
#include "token_provider.h"
#include "token_table.h"
#include "token_text.h"

extern module AP_MODULE_DECLARE_DATA authn_token_module;

APLOG_USE_MODULE(authn_token);

#define MAX_PER_USER_MAX 100000

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

/* The same, for what only the administrator may choose. */
static const char *read_admin_seconds(cmd_parms *cmd, apr_int64_t *seconds,
                                      const char *arg, int low, int high)
{
    const char *wrong = read_seconds(cmd, seconds, arg, low, high);

    return wrong ? wrong : refuse_htaccess(cmd);
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

static const char *set_flush_interval(cmd_parms *cmd, void *dconf,
                                      const char *arg)
{
    apr_int64_t seconds = 0;
    const char *wrong = read_seconds(cmd, &seconds, arg, 0, 3600);

    (void)dconf;
    get_server(cmd)->flush_interval = apr_time_from_sec(seconds);
    return wrong;
}

static const char *set_purge(cmd_parms *cmd, void *dconf, const char *arg)
{
    (void)dconf;
    return read_seconds(cmd, &get_server(cmd)->purge, arg, 0,
                        (int)TOKEN_SECONDS_MAX);
}

static const char *read_schema(cmd_parms *cmd, int *schema, const char *name,
                               const char *version, const char *known)
{
    token_schema_t found;

    if (!token_schema_named(&found, name, version)) {
        return apr_psprintf(cmd->pool, "%s \"%s%s%s\": must be %s",
                            cmd->cmd->name, name, version ? " " : "",
                            version ? version : "", known);
    }
    *schema = (int)found;
    return NULL;
}

static const char *set_schema(cmd_parms *cmd, void *dconf, const char *name,
                              const char *version)
{
    (void)dconf;
    return read_schema(cmd, &get_server(cmd)->store.schema, name, version,
                       "native, drf, knox, knox 4, oauth-toolkit or "
                       "oauth-toolkit 2");
}

/* No second one is the native one: zero. */
static const char *set_legacy(cmd_parms *cmd, void *dconf, const char *name,
                              const char *version)
{
    (void)dconf;
    if (apr_cstr_casecmp(name, "none") == 0 && !version) {
        name = "native";
    }
    else if (apr_cstr_casecmp(name, "native") == 0) {
        name = "";
    }
    return read_schema(cmd, &get_server(cmd)->store.legacy, name, version,
                       "drf, knox, knox 4, oauth-toolkit, oauth-toolkit 2 or "
                       "none");
}

static const char *set_audit(cmd_parms *cmd, void *dconf, int on)
{
    (void)dconf;
    get_server(cmd)->audit = on != 0;
    return NULL;
}

static const char *replace(cmd_parms *cmd, token_sql_name_t name,
                           const char *arg)
{
    /* httpd gives no empty arguments. */
    const char *text = apr_cstr_casecmp(arg, "none") == 0 ? "" : arg;
    const char *wrong = token_dialect_check(name, text, cmd->pool);

    get_server(cmd)->store.replaced[name] = text;
    return wrong ? apr_pstrcat(cmd->pool, cmd->cmd->name, " \"", arg,
                               "\": ", wrong, NULL)
                 : NULL;
}

static const char *set_query(cmd_parms *cmd, void *dconf, const char *word,
                             const char *text)
{
    token_sql_name_t name;

    (void)dconf;
    if (!token_dialect_name(&name, word)) {
        return apr_psprintf(cmd->pool, "AuthTokenQuery \"%s\": is no "
                            "statement; they are %s", word,
                            token_dialect_names(cmd->pool));
    }
    return replace(cmd, name, text);
}

static const char *set_user_query(cmd_parms *cmd, void *dconf,
                                  const char *text)
{
    (void)dconf;
    return replace(cmd, TOKEN_SQL_USER, text);
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
    return read_admin_seconds(cmd, &((token_dir_conf_t *)dconf)->cache_ttl,
                              arg, 0, 86400);
}

static const char *set_stale_window(cmd_parms *cmd, void *dconf,
                                    const char *arg)
{
    return read_admin_seconds(cmd, &((token_dir_conf_t *)dconf)->stale_window,
                              arg, 0, 86400);
}

/* Says nothing of the text: it may be somebody's. */
static const char *set_unknown_hash(cmd_parms *cmd, void *dconf,
                                    const char *arg)
{
    if (apr_cstr_casecmp(arg, "none") == 0) {
        arg = "";
    }
    else if (!token_provider_is_hash(arg)) {
        return "AuthTokenUnknownHash: must be a hash as htpasswd prints it "
               "(bcrypt up to cost 17, SHA-256, SHA-512, apr1 or SHA), or "
               "none";
    }
    ((token_dir_conf_t *)dconf)->unknown_hash = arg;
    return refuse_htaccess(cmd);
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

static const char *set_idle_timeout(cmd_parms *cmd, void *dconf,
                                    const char *arg)
{
    return read_admin_seconds(cmd, &((token_dir_conf_t *)dconf)->idle_timeout,
                              arg, 0, (int)TOKEN_SECONDS_MAX);
}

static const char *set_rotation_grace(cmd_parms *cmd, void *dconf,
                                      const char *arg)
{
    return read_admin_seconds(cmd, &((token_dir_conf_t *)dconf)->rotation_grace,
                              arg, 0, 86400);
}

static const char *set_max_per_user(cmd_parms *cmd, void *dconf,
                                    const char *count, const char *what)
{
    token_quota_t *quota = &((token_dir_conf_t *)dconf)->max_per_user;
    apr_int64_t n;

    if (!token_text_number(&n, count) || n > MAX_PER_USER_MAX) {
        return apr_psprintf(cmd->pool, "AuthTokenMaxPerUser \"%s\": must be a "
                            "number of tokens from 1 to %d, or 0 for no "
                            "limit", count, MAX_PER_USER_MAX);
    }
    if (what && apr_cstr_casecmp(what, "evict") != 0
        && apr_cstr_casecmp(what, "refuse") != 0) {
        return apr_psprintf(cmd->pool, "AuthTokenMaxPerUser \"%s\": must be "
                            "evict or refuse", what);
    }
    quota->count = (int)n;
    quota->refuse = what && apr_cstr_casecmp(what, "refuse") == 0;
    return refuse_htaccess(cmd);
}

static const char *set_expiry_header(cmd_parms *cmd, void *dconf, int on)
{
    (void)cmd;
    ((token_dir_conf_t *)dconf)->expiry_header = on != 0;
    return NULL;
}

const command_rec token_directives_commands[] = {
    AP_INIT_TAKE1("AuthTokenTable", set_table, NULL, RSRC_CONF,
                  "slots of the shared table, 0 for none (default 16384)"),
    AP_INIT_TAKE1("AuthTokenQueryTimeout", set_query_timeout, NULL,
                  RSRC_CONF,
                  "how long a statement may take (default 2s)"),
    AP_INIT_TAKE12("AuthTokenSchema", set_schema, NULL, RSRC_CONF,
                   "whose tables are read: native, drf, knox, "
                   "oauth-toolkit, and a version (default native)"),
    AP_INIT_TAKE12("AuthTokenLegacy", set_legacy, NULL, RSRC_CONF,
                   "whose tokens are good beside native ones: drf, knox, "
                   "oauth-toolkit, and a version (default none)"),
    AP_INIT_FLAG("AuthTokenAudit", set_audit, NULL, RSRC_CONF,
                 "On to note in auth_token_event what becomes of tokens "
                 "(default Off)"),
    AP_INIT_TAKE2("AuthTokenQuery", set_query, NULL, RSRC_CONF,
                  "name of a statement, and what is run in its place"),
    AP_INIT_TAKE1("AuthTokenUserQuery", set_user_query, NULL, RSRC_CONF,
                  "a row of it means that the user %s may use tokens"),
    AP_INIT_TAKE1("AuthTokenPollInterval", set_poll_interval, NULL,
                  RSRC_CONF,
                  "how often revocations are looked for, 0 for never "
                  "(default 1s)"),
    AP_INIT_TAKE1("AuthTokenFlushInterval", set_flush_interval, NULL,
                  RSRC_CONF,
                  "how often last uses are written, 0 for never (default "
                  "30s)"),
    AP_INIT_TAKE1("AuthTokenPurge", set_purge, NULL, RSRC_CONF,
                  "how long rows of dead tokens are kept, 0 for ever "
                  "(default 30d)"),
    AP_INIT_TAKE1("AuthTokenCacheTTL", set_cache_ttl, NULL,
                  RSRC_CONF | ACCESS_CONF,
                  "how long a check is trusted (default 60s)"),
    AP_INIT_TAKE1("AuthTokenStaleWindow", set_stale_window, NULL,
                  RSRC_CONF | ACCESS_CONF,
                  "how much longer while the database is down (default "
                  "300s)"),
    AP_INIT_TAKE1("AuthTokenUnknownHash", set_unknown_hash, NULL,
                  RSRC_CONF | ACCESS_CONF,
                  "hash that is computed for users nobody knows, or none "
                  "(default bcrypt's of cost 5)"),
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
    AP_INIT_TAKE1("AuthTokenIdleTimeout", set_idle_timeout, NULL,
                  ACCESS_CONF,
                  "how long tokens issued here may be unused, 0 for no "
                  "limit (default 0)"),
    AP_INIT_TAKE1("AuthTokenRotationGrace", set_rotation_grace, NULL,
                  RSRC_CONF | ACCESS_CONF,
                  "how long a token is good after its rotation (default "
                  "60s)"),
    AP_INIT_TAKE12("AuthTokenMaxPerUser", set_max_per_user, NULL,
                   ACCESS_CONF,
                   "how many tokens a user may have, and evict or refuse "
                   "(default 50 evict)"),
    AP_INIT_FLAG("AuthTokenExpiryHeader", set_expiry_header, NULL,
                 OR_AUTHCFG,
                 "On for the token's end in Token-Expires (default Off)"),
    AP_INIT_ITERATE("AuthTokenScope", add_scope, NULL, ACCESS_CONF,
                    "scope words that may be asked for here (default none)"),
    { NULL, { NULL }, NULL, 0, NO_ARGS, NULL }
};
