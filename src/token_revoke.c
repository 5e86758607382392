/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what follows for the table when tokens are taken back, and what
 * is said of it.  Who may take one back is decided by the flows. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_strings.h"

#include "token_clock.h"
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
    store->schema = token_store_schema(store->conf);
    store->address = token_conf_audit(r->server) ? r->useragent_ip : NULL;
    store->asker = NULL;
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
                           token_clock_seconds());
    }
    else {
        /* A poll names a rotated token many times: known once, it stays. */
        token_table_forget(token_shared_table(), &key,
                           record->superseded_at);
    }
}

void token_revoke_refresh(const token_store_conf_t *conf,
                          const char digest[TOKEN_DIGEST_LEN + 1])
{
    token_key_t key;

    if (token_shared_table()) {
        token_table_key(&key, digest, conf->database);
        token_table_forget(token_shared_table(), &key, 0);
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

/* The revocation first: it never waits for the note of it. */
static token_ledger_status_t revoke_records(const token_store_t *store,
                                            token_sql_name_t name,
                                            const char *username,
                                            const char **args,
                                            apr_array_header_t **revoked)
{
    token_ledger_status_t status;
    int i;

    *revoked = apr_array_make(store->pool, 4, sizeof(token_record_t));
    status = token_ledger_revoke(store, username, name, args, *revoked);
    if (status == TOKEN_LEDGER_DONE) {
        for (i = 0; i < (*revoked)->nelts; i++) {
            token_revoke_bury(store->conf, &APR_ARRAY_IDX(*revoked, i,
                                                          token_record_t));
        }
        token_ledger_note(store, TOKEN_EVENT_REVOKED, *revoked);
    }
    return status;
}

static token_ledger_status_t revoke_own(request_rec *r,
                                        token_sql_name_t name,
                                        const char *username,
                                        const char **args)
{
    apr_array_header_t *revoked;
    token_store_t store;
    token_ledger_status_t status;
    int i;

    token_revoke_bind(&store, r, r->pool);
    status = revoke_records(&store, name, username, args, &revoked);
    for (i = 0; status == TOKEN_LEDGER_DONE && i < revoked->nelts; i++) {
        const token_record_t *record = &APR_ARRAY_IDX(revoked, i,
                                                      token_record_t);

        ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                      "token %.*s of user %s, client %s revoked by its "
                      "owner", TOKEN_ID_LEN, record->id, record->username,
                      record->client);
    }
    return status;
}

token_ledger_status_t token_revoke_one(request_rec *r, const char *username,
                                       const char *id)
{
    const char *args[3];

    args[0] = username;
    args[1] = id;
    args[2] = apr_pstrcat(r->pool, id, "g", NULL);
    return revoke_own(r, TOKEN_SQL_REVOKE_OWN, username, args);
}

token_ledger_status_t token_revoke_all(request_rec *r, const char *username)
{
    const char *args[1];

    args[0] = username;
    return revoke_own(r, TOKEN_SQL_REVOKE_ALL, username, args);
}

static void note_reuse(const token_store_t *store,
                       const token_record_t *record)
{
    apr_array_header_t *records = apr_array_make(store->pool, 1,
                                                 sizeof(*record));

    APR_ARRAY_PUSH(records, token_record_t) = *record;
    token_ledger_note(store, TOKEN_EVENT_REUSED, records);
}

void token_revoke_family(request_rec *r, apr_pool_t *pool,
                         const char digest[TOKEN_DIGEST_LEN + 1],
                         const token_record_t *record, apr_int64_t grace)
{
    const char *args[3];
    apr_array_header_t *revoked;
    token_store_t store;

    args[0] = record->family;
    args[1] = digest;
    args[2] = apr_psprintf(pool, "%" APR_INT64_T_FMT, grace);
    token_revoke_bind(&store, r, pool);
    if (revoke_records(&store, TOKEN_SQL_REVOKE_FAMILY, record->username,
                       args, &revoked) == TOKEN_LEDGER_DONE) {
        note_reuse(&store, record);
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "token %s of user %s, client %s was used from %s "
                      "after it had been rotated: it may have been stolen; "
                      "all tokens of its family are revoked",
                      record->id, record->username, record->client,
                      r->useragent_ip);
    }
}
