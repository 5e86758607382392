/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what can only be seen in the text of the whole configuration, for
 * httpd keeps it as a tree: whether something is missing without which no
 * token can be checked, and which hosts share a database. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_cstr.h"
#include "apr_strings.h"

#include "token_conf.h"
#include "token_tree.h"

extern module AP_MODULE_DECLARE_DATA authn_token_module;

APLOG_USE_MODULE(authn_token);

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
        use = has_word(d->args, "token", pool)
            || has_word(d->args, "django", pool);
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

int token_tree_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
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
        return complain(s, seen.use, "tokens and Django's users are in a "
                        "database: load mod_dbd (a2enmod dbd)");
    }
    if (!seen.driver) {
        return complain(s, seen.use, "tokens and Django's users are in a "
                        "database: set DBDriver sqlite3 or pgsql, and "
                        "DBDParams");
    }
    if (seen.login && !seen.provider) {
        return complain(s, seen.login, "nobody could log in: name the "
                        "providers that check passwords, e.g. "
                        "AuthTokenLoginProvider file");
    }
    return OK;
}

/* --- which hosts share a database --- */

static int has_database(const ap_directive_t *d)
{
    for (; d; d = d->next) {
        if (apr_cstr_casecmpn(d->directive, "DBD", 3) == 0
            || has_database(d->first_child)) {
            return 1;
        }
    }
    return 0;
}

/* What is known of the <VirtualHost> that made a server. */
typedef enum { HOST_UNKNOWN = 0, HOST_SHARES, HOST_OWN } host_t;

/* Told by file and line.  A file that is included twice has several of these,
 * and <IfDefine> may have made them differ: one with a database of its own
 * is enough. */
static host_t find_host(const ap_directive_t *d, const server_rec *s)
{
    host_t found = HOST_UNKNOWN;

    for (; d && found != HOST_OWN; d = d->next) {
        host_t within;

        if (apr_cstr_casecmp(d->directive, "<VirtualHost") == 0
            && s->defn_name && d->filename
            && (unsigned)d->line_num == s->defn_line_number
            && strcmp(d->filename, s->defn_name) == 0) {
            within = has_database(d->first_child) ? HOST_OWN : HOST_SHARES;
        }
        else {
            within = find_host(d->first_child, s);
        }
        found = within > found ? within : found;
    }
    return found;
}

int token_tree_has_database(void)
{
    return has_database(ap_conftree);
}

/* The settings of a host, to be changed for it alone: httpd merges only
 * where a host has a directive of ours, and shares them otherwise. */
static token_server_conf_t *own_conf(server_rec *host, const server_rec *s,
                                     apr_pool_t *pconf)
{
    token_server_conf_t *conf = ap_get_module_config(host->module_config,
                                                     &authn_token_module);

    if (conf == ap_get_module_config(s->module_config,
                                     &authn_token_module)) {
        conf = apr_pmemdup(pconf, conf, sizeof(*conf));
        ap_set_module_config(host->module_config, &authn_token_module, conf);
    }
    return conf;
}

/* 1 when the same database would be asked other things. */
static int asks_otherwise(const token_server_conf_t *conf,
                          const server_rec *s)
{
    const token_store_conf_t *store = token_conf_store(s);

    return conf->store.schema != store->schema
        || conf->store.legacy != store->legacy
        || memcmp(conf->store.replaced, store->replaced,
                  sizeof(conf->store.replaced)) != 0;
}

apr_uint32_t token_tree_number_databases(server_rec *s, apr_pool_t *pconf)
{
    apr_uint32_t count = 1;
    server_rec *host;

    /* A host of which nothing is said uses the main server's.  One that has
     * a line of its own is another database, were it only to be sure; one
     * that asks otherwise goes to the main server's pool all the same. */
    for (host = s->next; host; host = host->next) {
        token_server_conf_t *conf = own_conf(host, s, pconf);
        int shares = find_host(ap_conftree, host) == HOST_SHARES;

        conf->store.database = shares && !asks_otherwise(conf, s) ? 0
                                                                  : count++;
        conf->store.dbd_pool = shares ? 0 : conf->store.database;
    }
    return count;
}

/* --- what the databases are --- */

/* A host's DBDriver, DBDParams and AuthTokenSchema, the last of each. */
typedef struct {
    const char *driver;
    const char *params;
    token_schema_t schema;
    int used;                   /* a line is about tokens */
} database_t;

/* The provider django is not: its users are in a table of Django's. */
static int is_about_tokens(const ap_directive_t *d, apr_pool_t *pool)
{
    if (apr_cstr_casecmp(d->directive, "SetHandler") == 0) {
        return has_word(d->args, "token-login", pool)
            || has_word(d->args, "token-manage", pool);
    }
    if (apr_cstr_casecmp(d->directive, "AuthType") == 0
        || apr_cstr_casecmp(d->directive, "AuthBasicProvider") == 0
        || apr_cstr_casecmp(d->directive, "<AuthnProviderAlias") == 0) {
        return has_word(d->args, "token", pool);
    }
    if (apr_cstr_casecmp(d->directive, "Require") == 0) {
        return has_word(d->args, "token-scope", pool)
            || has_word(d->args, "token-client", pool);
    }
    return apr_cstr_casecmpn(d->directive, "AuthToken", 9) == 0
        && apr_cstr_casecmp(d->directive, "AuthTokenUnknownHash") != 0;
}

static void see_database(database_t *database, const ap_directive_t *d,
                         apr_pool_t *pool)
{
    for (; d; d = d->next) {
        const char *args = d->args;

        database->used |= is_about_tokens(d, pool);
        if (apr_cstr_casecmp(d->directive, "DBDriver") == 0) {
            database->driver = ap_getword_conf(pool, &args);
        }
        else if (apr_cstr_casecmp(d->directive, "DBDParams") == 0) {
            database->params = ap_getword_conf(pool, &args);
        }
        else if (apr_cstr_casecmp(d->directive, "AuthTokenSchema") == 0) {
            token_schema_named(&database->schema,
                               ap_getword_conf(pool, &args), NULL);
        }
        else if (apr_cstr_casecmp(d->directive, "<VirtualHost") != 0) {
            see_database(database, d->first_child, pool);
        }
    }
}

static void visit_database(const database_t *database,
                           token_tree_visit_fn *visit, void *baton)
{
    if (database->used && database->driver && database->params
        && database->schema == TOKEN_SCHEMA_NATIVE) {
        visit(baton, database->driver, database->params);
    }
}

static void visit_hosts(const ap_directive_t *d, const database_t *main,
                        token_tree_visit_fn *visit, void *baton,
                        apr_pool_t *pool)
{
    for (; d; d = d->next) {
        if (apr_cstr_casecmp(d->directive, "<VirtualHost") == 0) {
            database_t own = *main;

            see_database(&own, d->first_child, pool);
            visit_database(&own, visit, baton);
        }
        else {
            visit_hosts(d->first_child, main, visit, baton, pool);
        }
    }
}

void token_tree_databases(token_tree_visit_fn *visit, void *baton,
                          apr_pool_t *ptemp)
{
    database_t main = { NULL, NULL, TOKEN_SCHEMA_NATIVE, 0 };

    see_database(&main, ap_conftree, ptemp);
    visit_database(&main, visit, baton);
    visit_hosts(ap_conftree, &main, visit, baton, ptemp);
}
