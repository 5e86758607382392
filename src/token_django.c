/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides whether Django would let a user in: his row of auth_user, its
 * hash, then is_active.  Whatever the reason of a refusal, it takes the time
 * of a hash.  A user without a row is AUTH_USER_NOT_FOUND, so that the next
 * provider is asked; that his hash is computed all the same is told to
 * token_provider, which would compute one more. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "ap_provider.h"
#include "mod_auth.h"
#include "apr_atomic.h"
#include "apr_base64.h"
#include "apr_cstr.h"

#include "token_conf.h"
#include "token_crypt.h"
#include "token_django.h"
#include "token_http.h"
#include "token_password.h"
#include "token_revoke.h"
#include "token_provider.h"
#include "token_store.h"
#include "token_text.h"

APLOG_USE_MODULE(authn_token);

/* Bytes of the 150 characters that auth_user can hold. */
#define USERNAME_MAX 600

/* What auth_user says. */
typedef struct {
    apr_pool_t *pool;
    const char *name;
    char *encoded;              /* password; NULL: no such user */
    int is_active;
} row_t;

static const char *get_column(const token_sql_row_t *row, int i)
{
    return i < row->columns && row->column[i] ? row->column[i] : "";
}

static void keep_row(void *baton, const token_sql_row_t *given)
{
    row_t *row = baton;
    const char *active = get_column(given, 1);

    row->encoded = (char *)get_column(given, 0);
    row->is_active = strcmp(active, "1") == 0 || strcmp(active, "t") == 0;
}

static int select_row(token_sql_t *sql, void *baton, int attempt)
{
    row_t *row = baton;
    const char *args[1];

    (void)attempt;
    args[0] = row->name;
    row->encoded = NULL;
    return token_sql_rows(sql, TOKEN_SQL_PASSWORD, args, keep_row, row,
                          row->pool);
}

/* Others the database might take for an error, and has none of. */
static int is_name(const char *name)
{
    apr_size_t len = strlen(name);

    return len > 0 && len <= USERNAME_MAX && token_text_is_utf8(name, len)
        && token_text_is_printable(name, len);
}

/* 1 with what there is of that user, 0 when the database cannot tell. */
static int find_row(request_rec *r, row_t *row, const char *name)
{
    token_store_t store;

    row->pool = r->pool;
    row->name = name;
    row->encoded = NULL;
    row->is_active = 0;
    token_revoke_bind(&store, r, r->pool);
    return !is_name(name)
        || token_store_run(&store, select_row, row, TOKEN_STORE_USERS);
}

/* mod_auth_basic decodes what a client sent like this, and then sees no more
 * of it than stands before the first NUL: "right NUL wrong" as "right". */
static int is_cut(request_rec *r)
{
    const char *value = apr_table_get(r->headers_in,
                                      token_http_credential_name(r));
    char *pair;
    int len;
    int cut;

    if (!value
        || apr_cstr_casecmp(ap_getword(r->pool, &value, ' '), "Basic") != 0) {
        return 0;
    }
    value += strspn(value, " \t");
    pair = apr_palloc(r->pool, apr_base64_decode_len(value));
    len = apr_base64_decode(pair, value);
    cut = memchr(pair, '\0', len) != NULL;
    token_crypt_wipe(pair, len);
    return cut;
}

static void complain(request_rec *r, int level, const char *name,
                     const char *why)
{
    ap_log_rerror(APLOG_MARK, level, 0, r, "user %s of Django refused: %s",
                  token_conf_log_name(r, name), why);
}

/* A warning once in a child. */
static int first_warns(volatile apr_uint32_t *told)
{
    return apr_atomic_xchg32(told, 1) ? APLOG_INFO : APLOG_WARNING;
}

static void note_refusal(request_rec *r, const row_t *row, token_hash_t hash)
{
    static volatile apr_uint32_t told_costly;
    static volatile apr_uint32_t told_lacking;

    switch (hash) {
    case TOKEN_HASH_MATCHES:
        complain(r, APLOG_INFO, row->name, "is_active is off");
        break;
    case TOKEN_HASH_UNUSABLE:
        complain(r, APLOG_INFO, row->name, "no password is set for him");
        break;
    case TOKEN_HASH_MALFORMED:
        complain(r, APLOG_INFO, row->name,
                 "his hash is none that Django writes, or of a hasher that "
                 "is not known here");
        break;
    case TOKEN_HASH_COSTLY:
        complain(r, first_warns(&told_costly), row->name,
                 "his hash would cost more than ten of Django's default, or "
                 "256 MiB (a warning once)");
        break;
    case TOKEN_HASH_LACKING:
        complain(r, first_warns(&told_lacking), row->name,
                 "his hash is argon2, and this module was built without "
                 "libargon2 (a warning once)");
        break;
    default:
        break;
    }
}

static authn_status judge_row(request_rec *r, const row_t *row,
                              const char *password)
{
    apr_uint32_t work;
    token_hash_t hash = token_password_check(row->encoded, password, &work);

    token_crypt_wipe(row->encoded, strlen(row->encoded));
    if (hash == TOKEN_HASH_FAILED) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "no hash for user %s of Django: not enough memory, or "
                      "OpenSSL refuses the algorithm (FIPS)",
                      token_conf_log_name(r, row->name));
        return AUTH_GENERAL_ERROR;
    }
    if (hash == TOKEN_HASH_MATCHES && row->is_active) {
        return AUTH_GRANTED;
    }
    token_password_spend(password, work);
    note_refusal(r, row, hash);
    return AUTH_DENIED;
}

static authn_status check_password(request_rec *r, const char *user,
                                   const char *password)
{
    row_t row;

    if (is_cut(r)) {
        token_password_spend(password, 0);
        complain(r, APLOG_INFO, user, "a NUL byte in his password");
        return AUTH_DENIED;
    }
    if (!find_row(r, &row, user)) {
        return AUTH_GENERAL_ERROR;
    }
    if (!row.encoded) {
        token_password_spend(password, 0);
        token_provider_note_hash(r);
        return AUTH_USER_NOT_FOUND;
    }
    return judge_row(r, &row, password);
}

const authn_provider token_django_provider = { check_password, NULL };
