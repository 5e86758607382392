/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides whether a name and a password belong together, by asking httpd's
 * providers in their order.  What follows from it, a token or a request
 * granted, is the flow's. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "ap_provider.h"
#include "mod_auth.h"
#include "apr_cstr.h"
#include "apr_md5.h"
#include "apr_strings.h"

#include "token_conf.h"
#include "token_provider.h"

APLOG_USE_MODULE(authn_token);

#define CRYPT64 \
    "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* htpasswd's largest. */
#define BCRYPT_COST_MAX 17
#define BCRYPT_LEN 60
#define SHA_LEN 33

/* In r->notes. */
#define NOTE_HASH "authn_token-hash"

typedef struct {
    const char *name;
    const authn_provider *provider;
} named_provider_t;

const char *token_provider_add(apr_array_header_t **list, const char *name,
                               apr_pool_t *pool)
{
    char *lower = apr_pstrdup(pool, name);
    const authn_provider *provider;
    named_provider_t *entry;

    ap_str_tolower(lower);
    if (strcmp(lower, "token") == 0) {
        return "token is this module's own provider: a token cannot be "
               "exchanged for a token";
    }
    provider = ap_lookup_provider(AUTHN_PROVIDER_GROUP, lower,
                                  AUTHN_PROVIDER_VERSION);
    if (!provider) {
        return "no such authn provider: load its module (e.g. "
               "mod_authn_file for file) or define the alias before";
    }
    if (!provider->check_password) {
        return "this authn provider cannot check passwords";
    }
    if (!*list) {
        *list = apr_array_make(pool, 2, sizeof(named_provider_t));
    }
    entry = apr_array_push(*list);
    entry->name = lower;
    entry->provider = provider;
    return NULL;
}

static int is_bcrypt(const char *text)
{
    int cost;

    if (strlen(text) != BCRYPT_LEN || strncmp(text, "$2y$", 4) != 0
        || strspn(text + 4, "0123456789") != 2 || text[6] != '$'
        || strspn(text + 7, CRYPT64) != BCRYPT_LEN - 7) {
        return 0;
    }
    cost = 10 * (text[4] - '0') + text[5] - '0';
    return cost >= 4 && cost <= BCRYPT_COST_MAX;
}

int token_provider_is_hash(const char *text)
{
    static const char *const crypts[] = { "$apr1$", "$5$", "$6$" };
    apr_size_t i;

    for (i = 0; i < sizeof(crypts) / sizeof(crypts[0]); i++) {
        apr_size_t len = strlen(crypts[i]);

        if (strncmp(text, crypts[i], len) == 0) {
            return strchr(text + len, '$') != NULL
                && strspn(text, CRYPT64 "$=") == strlen(text);
        }
    }
    return is_bcrypt(text)
        || (strncmp(text, "{SHA}", 5) == 0 && strlen(text) == SHA_LEN);
}

static authn_status ask_provider(request_rec *r,
                                 const named_provider_t *entry,
                                 const char *user, const char *password)
{
    authn_status status;

    /* An alias finds itself by this note. */
    apr_table_setn(r->notes, AUTHN_PROVIDER_NAME_NOTE, entry->name);
    status = entry->provider->check_password(r, user, password);
    apr_table_unset(r->notes, AUTHN_PROVIDER_NAME_NOTE);
    return status;
}

void token_provider_note_hash(request_rec *r)
{
    apr_table_setn(r->notes, NOTE_HASH, "1");
}

static authn_status ask_list(request_rec *r, const apr_array_header_t *list,
                             const char *user, const char *password)
{
    authn_status status = AUTH_USER_NOT_FOUND;
    int i;

    for (i = 0; i < list->nelts && status == AUTH_USER_NOT_FOUND; i++) {
        status = ask_provider(r, &APR_ARRAY_IDX(list, i, named_provider_t),
                              user, password);
    }
    return status;
}

/* For a user nobody knows, who is to take the time of one who is known. */
static void compute_hash(request_rec *r, const token_dir_conf_t *conf,
                         const char *user, const char *password)
{
    const char *hash = token_conf_unknown_hash(conf);

    if (!*hash || apr_table_get(r->notes, NOTE_HASH)) {
        return;
    }
    apr_password_validate(password, hash);
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r,
                  "nobody knows user %s: a hash as %.7s... was computed",
                  token_conf_log_name(r, user), hash);
}

static token_password_t ask_all(request_rec *r, const token_dir_conf_t *conf,
                                const char *user, const char *password)
{
    char *before = r->user;
    authn_status status;

    /* Providers may replace it, as mod_authnz_ldap does. */
    r->user = apr_pstrdup(r->pool, user);
    apr_table_unset(r->notes, NOTE_HASH);
    status = ask_list(r, conf->login_providers, user, password);
    if (status == AUTH_GRANTED) {
        return TOKEN_PASSWORD_RIGHT;
    }
    r->user = before;
    if (status == AUTH_DENIED) {
        return TOKEN_PASSWORD_WRONG;
    }
    if (status == AUTH_USER_NOT_FOUND) {
        compute_hash(r, conf, user, password);
        return TOKEN_PASSWORD_WRONG;
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "no authn provider could check a password: see the lines "
                  "before; the client is told to come back");
    return TOKEN_PASSWORD_UNAVAILABLE;
}

token_password_t token_provider_check(request_rec *r,
                                      const token_dir_conf_t *conf,
                                      const char *user,
                                      const char *password)
{
    if (!conf->login_providers || !*user
        || strlen(password) > TOKEN_PASSWORD_MAX) {
        return TOKEN_PASSWORD_WRONG;
    }
    return ask_all(r, conf, user, password);
}
