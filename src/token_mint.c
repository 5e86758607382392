/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides how long a new token lives, and how it comes into the table.  Who
 * gets one is decided by the flows. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_strings.h"

#include "token_conf.h"
#include "token_mint.h"
#include "token_revoke.h"
#include "token_shared.h"

APLOG_USE_MODULE(authn_token);

int token_mint_make(request_rec *r, token_mint_t *mint,
                    const char *username, const token_ask_t *ask)
{
    const token_dir_conf_t *conf = token_conf_dir(r);
    token_record_t *record = &mint->record;

    memset(mint, 0, sizeof(*mint));
    if (token_crypt_token(mint->text, token_conf_prefix(r->server))
            != APR_SUCCESS
        || token_shared_digest(mint->digest, mint->text, strlen(mint->text))
            != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "OpenSSL has no random bytes or no SHA-256: no token "
                      "issued");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    record->id = apr_pstrmemdup(r->pool, mint->digest, TOKEN_ID_LEN);
    record->username = username;
    record->client = ask->client;
    record->scope = ask->scope;
    record->networks = "";
    record->family = record->id;
    record->created_at = apr_time_sec(apr_time_now());
    record->expires_at = token_record_end(
        record->created_at, token_conf_lifetime(conf), ask->expires_in);
    record->idle_timeout = token_conf_idle_timeout(conf);
    return OK;
}

static void bury_evicted(void *baton, const token_record_t *record)
{
    request_rec *r = baton;

    token_revoke_bury(token_conf_store(r->server), record);
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                  "token %.*s of user %s, client %s evicted: he has more "
                  "than AuthTokenMaxPerUser allows", TOKEN_ID_LEN,
                  record->id, record->username, record->client);
}

/* The table, by which it was good, may not know what became of it. */
static void note_refused(request_rec *r, const token_store_t *store,
                         const token_record_t *record)
{
    if (store->asker) {
        token_revoke_refresh(store->conf, store->asker);
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "token %.*s of user %s makes none: it, or the one to "
                      "be rotated, was rotated, revoked or ended meanwhile",
                      TOKEN_ID_LEN, store->asker, record->username);
    }
}

token_ledger_status_t token_mint_issue(request_rec *r, token_mint_t *mint)
{
    token_store_t store;
    token_ledger_status_t status;

    token_revoke_bind(&store, r, r->pool);
    store.asker = mint->asker;
    status = token_ledger_issue(&store, mint->digest, &mint->record,
                                token_conf_max_per_user(token_conf_dir(r)),
                                bury_evicted, r);
    if (status == TOKEN_LEDGER_REFUSED) {
        note_refused(r, &store, &mint->record);
    }
    if (status == TOKEN_LEDGER_DONE) {
        token_revoke_forget_unknown(store.conf, mint->digest);
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      "token %s issued to user %s, client %s",
                      mint->record.id, mint->record.username,
                      mint->record.client);
    }
    return status;
}

static void inherit(token_record_t *heir, const token_record_t *old,
                    apr_int64_t lifetime, apr_int64_t latest)
{
    heir->client = old->client;
    heir->scope = old->scope;
    heir->networks = old->networks;
    heir->family = old->family;
    heir->idle_timeout = old->idle_timeout;
    heir->expires_at = token_record_heir_end(
        old, heir->created_at, lifetime,
        heir->expires_at - heir->created_at);
    if (latest && heir->expires_at > latest) {
        heir->expires_at = latest;
    }
}

token_ledger_status_t token_mint_rotate(request_rec *r, token_mint_t *mint,
                                        const token_record_t *old,
                                        apr_int64_t latest)
{
    token_record_t *heir = &mint->record;
    token_store_t store;
    token_ledger_status_t status;

    inherit(heir, old, token_conf_lifetime(token_conf_dir(r)), latest);
    token_revoke_bind(&store, r, r->pool);
    store.asker = mint->asker;
    status = token_ledger_rotate(&store, old->id, mint->digest, heir);
    if (status == TOKEN_LEDGER_NONE) {
        note_refused(r, &store, heir);
    }
    if (status == TOKEN_LEDGER_DONE) {
        token_revoke_forget_unknown(store.conf, mint->digest);
        token_revoke_refresh(store.conf, old->id);
        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      "token %.*s of user %s, client %s rotated: its heir is "
                      "%s", TOKEN_ID_LEN, old->id, heir->username,
                      heir->client, heir->id);
    }
    return status;
}

json_t *token_mint_json(const token_mint_t *mint)
{
    char date[TOKEN_DATE_SIZE];

    token_text_date(date, mint->record.expires_at);
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "token", mint->text,
                     "id", mint->record.id, "client", mint->record.client,
                     "scope", mint->record.scope, "expires", date);
}

void token_mint_wipe(token_mint_t *mint)
{
    token_crypt_wipe(mint->text, sizeof(mint->text));
}
