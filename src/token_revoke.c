/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what follows for the table when tokens are taken back, and what
 * is said of it.  Who may take one back is decided by the flows. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_strings.h"

#include "token_conf.h"
#include "token_revoke.h"
#include "token_shared.h"

APLOG_USE_MODULE(authn_token);

void token_revoke_bind(token_store_t *store, request_rec *r,
                       apr_pool_t *pool)
{
    store->server = r->server;
    store->conf = token_conf_store(r->server);
    store->pool = pool;
}

/* --- the table --- */

void token_revoke_bury(const token_store_conf_t *conf,
                       const token_record_t *record)
{
    token_key_t key;

    if (!token_shared_table() || strlen(record->id) != TOKEN_DIGEST_LEN) {
        return;
    }
    token_table_key(&key, record->id, conf->database);
    if (record->revoked_at) {
        token_table_revoke(token_shared_table(), &key,
                           apr_time_sec(apr_time_now()));
    }
    else {
        token_table_forget(token_shared_table(), &key);
    }
}

void token_revoke_refresh(const token_store_conf_t *conf,
                          const char digest[TOKEN_DIGEST_LEN + 1])
{
    token_key_t key;

    if (token_shared_table()) {
        token_table_key(&key, digest, conf->database);
        token_table_forget(token_shared_table(), &key);
    }
}

void token_revoke_forget_unknown(const token_store_conf_t *conf,
                                 const char digest[TOKEN_DIGEST_LEN + 1])
{
    token_key_t key;

    if (token_shared_table()) {
        token_table_key(&key, digest, conf->database);
        token_table_forget_unknown(token_shared_table(), &key);
    }
}

/* --- the database --- */

static void note_revoked(void *baton, const token_record_t *record)
{
    request_rec *r = baton;

    token_revoke_bury(token_conf_store(r->server), record);
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                  "token %.*s of user %s, client %s revoked by its owner",
                  TOKEN_ID_LEN, record->id, record->username,
                  record->client);
}

token_ledger_status_t token_revoke_one(request_rec *r, const char *username,
                                       const char *id)
{
    token_store_t store;
    const char *args[3];

    token_revoke_bind(&store, r, r->pool);
    args[0] = username;
    args[1] = id;
    args[2] = apr_pstrcat(r->pool, id, "g", NULL);
    return token_ledger_select(&store, TOKEN_SQL_REVOKE_OWN, args,
                               TOKEN_STORE_WRITE, note_revoked, r);
}

token_ledger_status_t token_revoke_all(request_rec *r, const char *username)
{
    token_store_t store;
    const char *args[1];

    token_revoke_bind(&store, r, r->pool);
    args[0] = username;
    return token_ledger_select(&store, TOKEN_SQL_REVOKE_ALL, args,
                               TOKEN_STORE_WRITE, note_revoked, r);
}

static void bury_relative(void *baton, const token_record_t *record)
{
    token_revoke_bury(baton, record);
}

void token_revoke_family(request_rec *r, apr_pool_t *pool,
                         const char digest[TOKEN_DIGEST_LEN + 1],
                         const token_record_t *record, apr_int64_t grace)
{
    token_store_t store;
    const char *args[3];

    token_revoke_bind(&store, r, pool);
    args[0] = record->family;
    args[1] = digest;
    args[2] = apr_psprintf(pool, "%" APR_INT64_T_FMT, grace);
    if (token_ledger_select(&store, TOKEN_SQL_REVOKE_FAMILY, args,
                            TOKEN_STORE_WRITE, bury_relative,
                            (void *)store.conf) == TOKEN_LEDGER_DONE) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "token %s of user %s, client %s was used from %s "
                      "after it had been rotated: it may have been stolen; "
                      "all tokens of its family are revoked",
                      record->id, record->username, record->client,
                      r->useragent_ip);
    }
}
