/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The door: what httpd calls, and which file answers.  Decides the order of
 * our hooks among those of other modules, and nothing else. */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "http_request.h"
#include "ap_provider.h"
#include "mod_auth.h"
#include "apr_version.h"

#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 47)
#error "mod_authn_token needs httpd 2.4.13 or later (ap_hook_force_authn)"
#endif
#if !APR_VERSION_AT_LEAST(1, 7, 0)
#error "mod_authn_token needs APR 1.7 or later (apr_pdecode_base64)"
#endif

#include "mod_status.h"

#include "token_auth.h"
#include "token_authz.h"
#include "token_conf.h"
#include "token_directives.h"
#include "token_django.h"
#include "token_handler.h"
#include "token_header.h"
#include "token_http.h"
#include "token_jobs.h"
#include "token_login.h"
#include "token_manage.h"
#include "token_status.h"
#include "token_store.h"
#include "token_tree.h"

/* mod_dbd calls it for each new connection. */
static apr_status_t prepare_connection(apr_pool_t *pool, dbd_cfg_t *cfg,
                                       ap_dbd_t *dbd)
{
    (void)pool;
    return token_store_connected(token_conf_store(cfg->server), cfg, dbd);
}

static void register_start(void)
{
    ap_hook_check_config(token_tree_check, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_optional_fn_retrieve(token_store_retrieve, NULL, NULL,
                                 APR_HOOK_MIDDLE);
    /* mod_watchdog starts its threads last, mod_dbd connects in child_init
     * and calls us back from there. */
    ap_hook_post_config(token_jobs_post_config, NULL, NULL,
                        APR_HOOK_MIDDLE);
    ap_hook_child_init(token_jobs_child_init, NULL, NULL, APR_HOOK_FIRST);
    APR_OPTIONAL_HOOK(dbd, post_connect, prepare_connection, NULL, NULL,
                      APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(ap, status_hook, token_status_show, NULL, NULL,
                      APR_HOOK_MIDDLE);
}

static void register_authentication(apr_pool_t *pool)
{
    ap_register_auth_provider(pool, AUTHN_PROVIDER_GROUP, "token",
                              AUTHN_PROVIDER_VERSION, &token_auth_provider,
                              AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(pool, AUTHN_PROVIDER_GROUP, "django",
                              AUTHN_PROVIDER_VERSION, &token_django_provider,
                              AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authn(token_auth_check, NULL, NULL, APR_HOOK_MIDDLE,
                        AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_force_authn(token_auth_force, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_note_auth_failure(token_auth_note_failure, NULL, NULL,
                              APR_HOOK_MIDDLE);
    ap_hook_fixups(token_auth_fixups, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

/* Around whatever could copy a header that is to be taken away: SetEnvIf and
 * RewriteRule in .htaccess, handlers. */
static void register_header(void)
{
    ap_hook_map_to_storage(token_header_restore, NULL, NULL,
                           APR_HOOK_REALLY_FIRST);
    ap_hook_header_parser(token_header_hide, NULL, NULL,
                          APR_HOOK_REALLY_FIRST);
    ap_hook_header_parser(token_header_restore, NULL, NULL,
                          APR_HOOK_REALLY_LAST);
    ap_hook_fixups(token_header_hide, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_insert_filter(token_header_hide_from_handler, NULL, NULL,
                          APR_HOOK_REALLY_FIRST);
}

/* What the others say is changed on its way out. */
static void register_authorization(apr_pool_t *pool)
{
    ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, "token-scope",
                              AUTHZ_PROVIDER_VERSION,
                              &token_authz_scope_provider,
                              AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, "token-client",
                              AUTHZ_PROVIDER_VERSION,
                              &token_authz_client_provider,
                              AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authz(token_authz_check, NULL, NULL, APR_HOOK_REALLY_FIRST,
                        AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_fixups(token_authz_fixups, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

static void register_handlers(void)
{
    ap_hook_translate_name(token_handler_shield, NULL, NULL,
                           APR_HOOK_REALLY_FIRST);
    ap_hook_open_htaccess(token_handler_open_htaccess, NULL, NULL,
                          APR_HOOK_REALLY_FIRST);
    ap_hook_handler(token_login_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(token_manage_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(token_http_insert_error_filter, NULL, NULL,
                                APR_HOOK_MIDDLE);
    token_http_register_filters();
}

static void register_hooks(apr_pool_t *pool)
{
    register_start();
    register_authentication(pool);
    register_header();
    register_authorization(pool);
    register_handlers();
}

/* All else is hidden: see -fvisibility in Makefile.apxs. */
#pragma GCC visibility push(default)
AP_DECLARE_MODULE(authn_token) = {
    STANDARD20_MODULE_STUFF,
    token_conf_create_dir,
    token_conf_merge_dir,
    token_conf_create_server,
    token_conf_merge_server,
    token_directives_commands,
    register_hooks
#if defined(AP_MODULE_FLAG_NONE)
    , AP_MODULE_FLAG_NONE
#endif
};
#pragma GCC visibility pop
