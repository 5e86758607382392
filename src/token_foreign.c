/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what a login answers where the tokens are Django's.  DRF has one
 * key for all of a user's clients, and gives it again; knox makes one for
 * each login.  Who may log in is decided by the flow. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_strings.h"

#include "token_conf.h"
#include "token_foreign.h"
#include "token_handler.h"
#include "token_http.h"
#include "token_revoke.h"
#include "token_shared.h"

APLOG_USE_MODULE(authn_token);

/* Hex digits: DRF's secrets.token_hex(20), knox's default. */
#define DRF_DIGITS 40
#define KNOX_DIGITS 64

/* knox keeps so many characters of a token beside its digest. */
#define KNOX_KEY_LEN 15
#define KNOX_4_KEY_LEN 8

const char token_foreign_metadata[] =
    "{\"name\":\"Obtain Auth Token\",\"description\":\"\","
    "\"renders\":[\"application/json\"],"
    "\"parses\":[\"application/x-www-form-urlencoded\","
    "\"multipart/form-data\",\"application/json\"],"
    "\"actions\":{\"POST\":{"
    "\"username\":{\"type\":\"string\",\"required\":true,"
    "\"read_only\":false,\"label\":\"Username\"},"
    "\"password\":{\"type\":\"string\",\"required\":true,"
    "\"read_only\":false,\"label\":\"Password\"},"
    "\"token\":{\"type\":\"string\",\"required\":false,"
    "\"read_only\":true,\"label\":\"Token\"}}}}";

int token_foreign_check(request_rec *r)
{
    const token_store_conf_t *store = token_conf_store(r->server);

    if (token_store_schema(store) == TOKEN_SCHEMA_NATIVE
        || token_store_has(store, TOKEN_SQL_ADD_KEY)
        || token_store_has(store, TOKEN_SQL_ADD_KNOX)) {
        return OK;
    }
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "token-login refused at %s: tokens of AuthTokenSchema %s "
                  "are issued by Django alone", r->uri,
                  token_schema_name(token_store_schema(store)));
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* Says of whom it is.  The id is that of the log lines of its use. */
static void note_issue(request_rec *r, const token_store_t *store,
                       const char *text, int is_new)
{
    char digest[TOKEN_DIGEST_LEN + 1];
    char id[TOKEN_ID_LEN + 1];

    token_shared_count(TOKEN_STATS_LOGIN);
    if (token_shared_digest(digest, text, strlen(text)) != APR_SUCCESS) {
        return;
    }
    token_revoke_forget_unknown(store->conf, digest);
    apr_cpystrn(id, digest, sizeof(id));
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r,
                  "token %s %s user %s", id,
                  is_new ? "issued to" : "given again to", r->user);
}

/* --- what is stored --- */

static apr_int64_t get_knox_lifetime(request_rec *r)
{
    const token_dir_conf_t *conf = token_conf_dir(r);
    apr_int64_t idle = token_conf_idle_timeout(conf);
    apr_int64_t lifetime = token_conf_lifetime(conf);

    return idle && idle < lifetime ? idle : lifetime;
}

static token_ledger_status_t store_knox(request_rec *r,
                                        const token_store_t *store,
                                        const char *text,
                                        apr_int64_t lifetime)
{
    const char *args[4];
    int rows;

    args[0] = token_schema_key(store->schema, text, "", r->pool);
    args[1] = apr_pstrndup(r->pool, text,
                           store->schema == TOKEN_SCHEMA_KNOX
                               ? KNOX_KEY_LEN : KNOX_4_KEY_LEN);
    args[2] = apr_psprintf(r->pool, "%" APR_INT64_T_FMT, lifetime);
    args[3] = r->user;
    return token_ledger_change(store, TOKEN_SQL_ADD_KNOX, args,
                               TOKEN_STORE_WRITE, &rows);
}

/* --- what is answered --- */

static int answer_failure(request_rec *r, token_ledger_status_t status)
{
    if (status == TOKEN_LEDGER_NONE) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "no token for user %s: Django has no active user of "
                      "that name", r->user);
    }
    return token_handler_down(r);
}

static int login_drf(request_rec *r, const token_store_t *store)
{
    char drawn[DRF_DIGITS + 1];
    const char *key = NULL;
    token_ledger_status_t status = TOKEN_LEDGER_DOWN;

    if (token_crypt_hex(drawn, DRF_DIGITS) == APR_SUCCESS) {
        status = token_ledger_key(store, r->user, drawn, &key);
    }
    if (status != TOKEN_LEDGER_DONE) {
        return answer_failure(r, status);
    }
    note_issue(r, store, key, strcmp(key, drawn) == 0);
    token_crypt_wipe(drawn, sizeof(drawn));
    return token_http_answer(r, HTTP_OK, json_pack("{s:s}", "token", key));
}

static int login_knox(request_rec *r, const token_store_t *store)
{
    apr_int64_t lifetime = get_knox_lifetime(r);
    const char *prefix = store->schema == TOKEN_SCHEMA_KNOX
        ? token_conf_own_prefix(r->server) : "";
    char drawn[KNOX_DIGITS + 1];
    char date[TOKEN_DATE_SIZE];
    token_ledger_status_t status = TOKEN_LEDGER_DOWN;
    char *text;
    json_t *answer;

    if (token_crypt_hex(drawn, KNOX_DIGITS) != APR_SUCCESS) {
        return answer_failure(r, status);
    }
    text = apr_pstrcat(r->pool, prefix, drawn, NULL);
    token_text_date(date, apr_time_sec(apr_time_now()) + lifetime);
    status = store_knox(r, store, text, lifetime);
    if (status != TOKEN_LEDGER_DONE) {
        return answer_failure(r, status);
    }
    note_issue(r, store, text, 1);
    answer = json_pack("{s:s, s:s}", "expiry", date, "token", text);
    token_crypt_wipe(drawn, sizeof(drawn));
    token_crypt_wipe(text, strlen(text));
    return token_http_answer(r, HTTP_OK, answer);
}

int token_foreign_login(request_rec *r)
{
    token_store_t store;

    token_revoke_bind(&store, r, r->pool);
    return store.schema == TOKEN_SCHEMA_DRF ? login_drf(r, &store)
                                            : login_knox(r, &store);
}
