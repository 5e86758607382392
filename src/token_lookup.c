/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides whom to ask about a token, the table or the database, and how
 * long an answer is trusted.  Whether a record is good is token_record's
 * rule; what follows from the verdict is the flow's. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_atomic.h"
#include "apr_strings.h"

#include "token_clock.h"
#include "token_conf.h"
#include "token_ledger.h"
#include "token_lookup.h"
#include "token_network.h"
#include "token_revoke.h"
#include "token_shared.h"
#include "token_store.h"

APLOG_USE_MODULE(authn_token);

/* Seconds for which "no such token" and "no such user" are believed without
 * asking again. */
#define UNKNOWN_TTL 5

/* Seconds. */
#define REFRESH_INTERVAL 60

/* Bad tokens that one address may have looked up in the database. */
static const token_limit_t bad_tokens = { 100, 60 };

/* One question, and what the table said to it. */
typedef struct {
    request_rec *r;
    apr_pool_t *pool;           /* keeps the answer */
    const token_sought_t *sought;
    apr_int64_t now;            /* what the record is judged by */
    apr_int64_t second;         /* of token_clock: what its age is */
    token_key_t key;
    token_entry_t *entry;
    token_table_status_t status;
} question_t;

static void deny(token_finding_t *finding, token_reason_t reason)
{
    finding->verdict = TOKEN_DENIED;
    finding->reason = reason;
}

/* Seconds since the entry was checked. */
static apr_int64_t get_age(const question_t *q)
{
    return q->second - q->entry->checked_at;
}

/* Of this request's address, whoever it was that the entry was made for. */
static int is_inside(const question_t *q, const token_record_t *record)
{
    return !record->networks[0]
        || token_network_holds(record->networks, q->r->useragent_addr);
}

static void judge_record(const question_t *q, token_finding_t *finding,
                         const token_record_t *record)
{
    if (record) {
        finding->record = *record;
    }
    finding->verdict = token_record_judge(
        &finding->reason, record, q->now,
        token_conf_rotation_grace(token_conf_dir(q->r)),
        record && is_inside(q, record));
}

/* 1 while a record is believed without asking again. */
static int is_fresh(const question_t *q)
{
    apr_int64_t age = get_age(q);

    return age < token_conf_cache_ttl(token_conf_dir(q->r))
        && (age < UNKNOWN_TTL || !q->entry->record.is_inactive);
}

/* 1 when a token that has ended by the table may not have: another host saw
 * it used, or a Django site with knox's AUTO_REFRESH, since it was checked. */
static int may_last_longer(const question_t *q,
                           const token_finding_t *finding)
{
    apr_int64_t end = finding->record.expires_at;

    return finding->reason == TOKEN_REASON_EXPIRED
        && (q->now < end
            || (q->now - get_age(q) < end
                && token_store_has(token_conf_store(q->r->server),
                                   TOKEN_SQL_REFRESH)));
}

/* 1 when the table alone can answer; the finding is filled all the same,
 * for the case that the database does not. */
static int ask_table(question_t *q, token_finding_t *finding)
{
    token_table_t *table = token_shared_table();

    if (!table) {
        return 0;
    }
    token_table_key(&q->key, q->sought->digest,
                    token_conf_store(q->r->server)->database);
    q->entry = apr_palloc(q->pool, sizeof(*q->entry));
    q->status = token_table_get(table, &q->key, q->entry);
    switch (q->status) {
    case TOKEN_TABLE_MISS:
        return 0;
    case TOKEN_TABLE_UNKNOWN:
        deny(finding, TOKEN_REASON_UNKNOWN);
        return get_age(q) < UNKNOWN_TTL;
    case TOKEN_TABLE_REVOKED:
        deny(finding, TOKEN_REASON_REVOKED);
        return get_age(q) < TOKEN_TABLE_TOMBSTONE;
    case TOKEN_TABLE_RECORD:
        break;
    }
    judge_record(q, finding, &q->entry->record);
    if (finding->verdict == TOKEN_GRANTED) {
        token_table_use(&q->key, q->entry, q->now, q->second);
    }
    else if (may_last_longer(q, finding)) {
        return 0;
    }
    return is_fresh(q);
}

/* 1 when an old entry is still good enough.  What ended a token ended it for
 * ever, or it may last longer; and a user may have become active again. */
static int is_usable(const question_t *q, const token_finding_t *finding)
{
    const token_dir_conf_t *conf = token_conf_dir(q->r);

    if (q->status == TOKEN_TABLE_REVOKED) {
        return 1;
    }
    if (q->status != TOKEN_TABLE_RECORD
        || finding->reason == TOKEN_REASON_INACTIVE
        || may_last_longer(q, finding)) {
        return 0;
    }
    return finding->verdict == TOKEN_DENIED
        || get_age(q) < token_conf_cache_ttl(conf)
           + token_conf_stale_window(conf);
}

/* The database is down: an old entry is good for a while longer. */
static void answer_stale(const question_t *q, token_finding_t *finding)
{
    token_shared_count(TOKEN_STATS_DOWN);
    if (is_usable(q, finding)) {
        token_shared_count(TOKEN_STATS_STALE);
        return;
    }
    memset(&finding->record, 0, sizeof(finding->record));
    finding->verdict = TOKEN_UNAVAILABLE;
}

static void keep_record(const question_t *q, const token_ticket_t *ticket,
                        const token_record_t *record)
{
    static volatile apr_uint32_t told;

    if (token_table_put(token_shared_table(), &q->key, ticket, record,
                        q->second)
        && !apr_atomic_xchg32(&told, 1)) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, q->r,
                      "token %s is not kept in the table: its user, client, "
                      "scope and networks have more than %d bytes; it is "
                      "asked of the database each time (said once)",
                      record->id,
                      TOKEN_TABLE_TEXT);
    }
}

/* The table may know of a later use than the database. */
static void merge_use(const question_t *q, token_record_t *record)
{
    if (q->status == TOKEN_TABLE_RECORD
        && q->entry->record.last_used_at > record->last_used_at) {
        record->last_used_at = q->entry->record.last_used_at;
    }
}

/* Where there is no slot to bear it the use is written at once, but not more
 * often than it would be from there; and only if it matters, for the request
 * waits. */
static void write_use(const question_t *q, const token_store_t *store,
                      const token_record_t *record)
{
    apr_int64_t interval = apr_time_sec(
        token_conf_flush_interval(q->r->server));
    const char *args[1];
    int rows;

    if (record->idle_timeout && interval
        && q->now - record->last_used_at >= interval) {
        args[0] = apr_psprintf(q->pool, "{\"%s\":%" APR_INT64_T_FMT "}",
                               q->sought->digest, q->now);
        token_ledger_change(store, TOKEN_SQL_TOUCH, args, TOKEN_STORE_JOB,
                            &rows);
    }
}

/* knox's AUTO_REFRESH: use makes a token last longer, but not for ever; not
 * oftener than its MIN_REFRESH_INTERVAL. */
static void refresh(const question_t *q, const token_store_t *store,
                    token_record_t *record)
{
    const token_dir_conf_t *conf = token_conf_dir(q->r);
    apr_int64_t idle = token_conf_idle_timeout(conf);
    apr_int64_t last = record->created_at + token_conf_lifetime(conf);
    apr_int64_t end = q->now + idle < last ? q->now + idle : last;
    const char *args[2];
    int rows;

    if (!idle || end <= record->expires_at + REFRESH_INTERVAL
        || !token_store_has(store->conf, TOKEN_SQL_REFRESH)) {
        return;
    }
    args[0] = apr_psprintf(q->pool, "%" APR_INT64_T_FMT, end);
    args[1] = token_schema_key(store->schema, q->sought->text,
                               q->sought->digest, q->pool);
    if (token_ledger_change(store, TOKEN_SQL_REFRESH, args, TOKEN_STORE_JOB,
                            &rows) == TOKEN_LEDGER_DONE) {
        record->expires_at = end;
    }
}

static void note_use(const question_t *q, const token_store_t *store,
                     const token_record_t *record)
{
    token_entry_t entry;

    if (token_shared_table()
        && token_table_get(token_shared_table(), &q->key, &entry)
           == TOKEN_TABLE_RECORD) {
        token_table_use(&q->key, &entry, q->now, q->second);
    }
    else {
        write_use(q, store, record);
    }
}

static void keep_answer(const question_t *q, const token_store_t *store,
                        const token_ticket_t *ticket,
                        token_finding_t *finding)
{
    if (finding->verdict == TOKEN_GRANTED) {
        refresh(q, store, &finding->record);
    }
    if (token_shared_table()) {
        keep_record(q, ticket, &finding->record);
    }
    if (finding->verdict == TOKEN_GRANTED) {
        note_use(q, store, &finding->record);
    }
}

static void forget_record(const question_t *q)
{
    token_throttle_fail(token_shared_throttle(),
                        TOKEN_THROTTLE_TOKEN_ADDRESS,
                        q->r->useragent_addr, NULL, &bad_tokens, q->second);
    if (!token_shared_table()) {
        return;
    }
    if (q->status == TOKEN_TABLE_RECORD) {
        token_table_revoke(token_shared_table(), &q->key, q->second);
    }
    token_table_put_unknown(token_shared_table(), &q->key, q->second);
}

static token_ledger_status_t find_record(const question_t *q,
                                         const token_store_t *store,
                                         token_record_t *record)
{
    const char *key = token_schema_key(q->sought->schema, q->sought->text,
                                       q->sought->digest, q->pool);
    token_store_t own = *store;

    own.schema = token_store_schema(store->conf);
    if (own.schema != store->schema) {
        /* "httoken import" may have taken it over. */
        token_ledger_status_t status = token_ledger_find(
            &own, q->sought->digest, q->sought->digest, record);

        if (status != TOKEN_LEDGER_NONE) {
            return status;
        }
    }
    if (!key) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r,
                      "OpenSSL cannot compute SHA-512");
        return TOKEN_LEDGER_DOWN;
    }
    return token_ledger_find(store, key, q->sought->digest, record);
}

static void ask_database(const question_t *q, token_finding_t *finding)
{
    token_record_t record;
    token_ticket_t ticket;
    token_store_t store;

    token_revoke_bind(&store, q->r, q->pool);
    store.schema = q->sought->schema;
    if (token_shared_table()) {
        token_table_ticket(token_shared_table(), &ticket);
    }
    token_shared_count(TOKEN_STATS_MISS);
    switch (find_record(q, &store, &record)) {
    case TOKEN_LEDGER_DONE:
        merge_use(q, &record);
        judge_record(q, finding, &record);
        keep_answer(q, &store, &ticket, finding);
        break;
    case TOKEN_LEDGER_NONE:
        memset(&finding->record, 0, sizeof(finding->record));
        deny(finding, TOKEN_REASON_UNKNOWN);
        forget_record(q);
        break;
    default:
        answer_stale(q, finding);
        break;
    }
}

static void answer(question_t *q, token_finding_t *finding)
{
    if (ask_table(q, finding)) {
        token_shared_count(q->status == TOKEN_TABLE_UNKNOWN
                               ? TOKEN_STATS_NEGATIVE : TOKEN_STATS_HIT);
        return;
    }
    if (q->status == TOKEN_TABLE_MISS || q->status == TOKEN_TABLE_UNKNOWN) {
        finding->wait = token_throttle_wait(
            token_shared_throttle(), TOKEN_THROTTLE_TOKEN_ADDRESS,
            q->r->useragent_addr, NULL, &bad_tokens, q->second);
        if (finding->wait) {
            finding->verdict = TOKEN_THROTTLED;
            return;
        }
    }
    ask_database(q, finding);
}

void token_lookup_find(request_rec *r, apr_pool_t *pool,
                       const token_sought_t *sought,
                       token_finding_t *finding)
{
    question_t q;

    memset(finding, 0, sizeof(*finding));
    memset(&q, 0, sizeof(q));
    q.r = r;
    q.pool = pool;
    q.sought = sought;
    /* Not request_time: a request may be long in coming. */
    q.now = apr_time_sec(apr_time_now());
    q.second = token_clock_seconds();
    answer(&q, finding);
    if (finding->verdict == TOKEN_DENIED
        && finding->reason == TOKEN_REASON_REUSE) {
        token_revoke_family(r, pool, sought->digest, &finding->record,
                            token_conf_rotation_grace(token_conf_dir(r)));
    }
}
