/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides of which statements a change consists, and what their answers
 * mean.  How a statement reaches the database is token_store's matter. */
#include <string.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_strings.h"

#include "token_ledger.h"

APLOG_USE_MODULE(authn_token);

/* --- one statement --- */

typedef struct {
    apr_pool_t *pool;
    token_sql_name_t name;
    const char **args;
    token_sql_each_t *each;     /* NULL: it changes rows */
    void *baton;
    int rows;
} statement_t;

static void count_record(void *baton, const token_record_t *record)
{
    statement_t *statement = baton;

    statement->rows++;
    statement->each(statement->baton, record);
}

static int run_statement(token_sql_t *sql, void *baton, int attempt)
{
    statement_t *statement = baton;

    (void)attempt;
    statement->rows = 0;
    return statement->each
        ? token_sql_select(sql, statement->name, statement->args,
                           count_record, statement, statement->pool)
        : token_sql_change(sql, statement->name, statement->args,
                           &statement->rows, statement->pool);
}

static token_ledger_status_t run(const token_store_t *store,
                                 statement_t *statement,
                                 token_store_kind_t kind)
{
    statement->pool = store->pool;
    if (!token_store_run(store, run_statement, statement, kind)) {
        return TOKEN_LEDGER_DOWN;
    }
    return statement->rows ? TOKEN_LEDGER_DONE : TOKEN_LEDGER_NONE;
}

token_ledger_status_t token_ledger_select(
    const token_store_t *store, token_sql_name_t name, const char **args,
    token_store_kind_t kind, token_sql_each_t *each, void *baton)
{
    statement_t statement;

    statement.name = name;
    statement.args = args;
    statement.each = each;
    statement.baton = baton;
    return run(store, &statement, kind);
}

token_ledger_status_t token_ledger_change(
    const token_store_t *store, token_sql_name_t name, const char **args,
    token_store_kind_t kind, int *rows)
{
    statement_t statement;
    token_ledger_status_t status;

    statement.name = name;
    statement.args = args;
    statement.each = NULL;
    status = run(store, &statement, kind);
    *rows = statement.rows;
    return status;
}

/* --- tokens taken back --- */

typedef struct {
    statement_t statement;
    const char *username;
    apr_array_header_t *revoked;        /* token_record_t */
    int earlier;                /* of these, by attempts before this one */
} revocation_t;

/* An attempt whose end was not heard of may have revoked what it answered:
 * the next one finds it again, or it was so.  Either way it counts once. */
static void keep_revoked(void *baton, const token_record_t *record)
{
    revocation_t *revocation = baton;
    int i;

    for (i = 0; i < revocation->earlier; i++) {
        if (strcmp(APR_ARRAY_IDX(revocation->revoked, i, token_record_t).id,
                   record->id) == 0) {
            return;
        }
    }
    APR_ARRAY_PUSH(revocation->revoked, token_record_t) = *record;
}

static int revoke_rows(token_sql_t *sql, void *baton, int attempt)
{
    revocation_t *revocation = baton;
    int rc = token_sql_begin(sql);

    revocation->earlier = revocation->revoked->nelts;
    if (rc == 0) {
        rc = token_sql_lock(sql, revocation->username,
                            revocation->statement.pool);
    }
    if (rc == 0) {
        rc = run_statement(sql, &revocation->statement, attempt);
    }
    return rc ? rc : token_sql_commit(sql);
}

token_ledger_status_t token_ledger_revoke(
    const token_store_t *store, const char *username, token_sql_name_t name,
    const char **args, apr_array_header_t *revoked)
{
    revocation_t revocation;

    revocation.statement.pool = store->pool;
    revocation.statement.name = name;
    revocation.statement.args = args;
    revocation.statement.each = keep_revoked;
    revocation.statement.baton = &revocation;
    revocation.username = username;
    revocation.revoked = revoked;
    if (!token_store_run(store, revoke_rows, &revocation, TOKEN_STORE_WRITE)) {
        return TOKEN_LEDGER_DOWN;
    }
    return revoked->nelts ? TOKEN_LEDGER_DONE : TOKEN_LEDGER_NONE;
}

static void count_one(void *baton, const token_record_t *record)
{
    (void)record;
    ++*(int *)baton;
}

/* --- a token, its user --- */

typedef struct {
    apr_pool_t *pool;
    const char *argument;       /* a digest, or a username */
    token_record_t *record;
    int found;
} search_t;

static void keep_found(void *baton, const token_record_t *record)
{
    search_t *search = baton;

    *search->record = *record;
    search->found = 1;
}

/* 1 in *active unless there is a statement and it has no row. */
static int ask_user(const token_sql_t *sql, const char *username,
                    int *active, apr_pool_t *pool)
{
    const char *args[1];
    int rows = 0;
    int rc;

    args[0] = username;
    rc = token_sql_select(sql, TOKEN_SQL_USER, args, count_one, &rows, pool);
    *active = rows > 0 || !token_sql_has(sql, TOKEN_SQL_USER);
    return rc;
}

/* Whether he is active, unless the record itself says it. */
static int judge_user(const token_sql_t *sql, token_record_t *record,
                          apr_pool_t *pool)
{
    int active = 0;
    int rc;

    if (record->is_inactive >= 0) {
        return 0;
    }
    rc = ask_user(sql, record->username, &active, pool);
    record->is_inactive = !active;
    return rc;
}

static int find_token(token_sql_t *sql, void *baton, int attempt)
{
    search_t *search = baton;
    const char *args[1];
    int rc;

    (void)attempt;
    search->found = 0;
    args[0] = search->argument;
    rc = token_sql_select(sql, TOKEN_SQL_VALIDATE, args, keep_found, search,
                          search->pool);
    if (rc == 0 && search->found) {
        rc = judge_user(sql, search->record, search->pool);
    }
    return rc;
}

static int find_user(token_sql_t *sql, void *baton, int attempt)
{
    search_t *search = baton;

    (void)attempt;
    return ask_user(sql, search->argument, &search->found, search->pool);
}

static token_ledger_status_t run_search(const token_store_t *store,
                                        token_store_work_t *work,
                                        search_t *search)
{
    search->pool = store->pool;
    if (!token_store_run(store, work, search, TOKEN_STORE_READ)) {
        return TOKEN_LEDGER_DOWN;
    }
    return search->found ? TOKEN_LEDGER_DONE : TOKEN_LEDGER_NONE;
}

token_ledger_status_t token_ledger_find(
    const token_store_t *store, const char *key,
    const char digest[TOKEN_DIGEST_LEN + 1], token_record_t *record)
{
    search_t search;
    token_ledger_status_t status;

    search.argument = key;
    search.record = record;
    status = run_search(store, find_token, &search);
    if (status == TOKEN_LEDGER_DONE && !*record->id) {
        record->id = apr_pstrmemdup(store->pool, digest, TOKEN_ID_LEN);
    }
    return status;
}

token_ledger_status_t token_ledger_user(const token_store_t *store,
                                        const char *username)
{
    search_t search;

    if (!token_store_has(store->conf, TOKEN_SQL_USER)) {
        return TOKEN_LEDGER_DONE;
    }
    search.argument = username;
    return run_search(store, find_user, &search);
}

/* --- what became of tokens --- */

typedef struct {
    const token_store_t *store;
    const char *event;
    const apr_array_header_t *records;
} note_t;

static int write_notes(const token_sql_t *sql, const note_t *note)
{
    int rc = 0;
    int i;

    for (i = 0; i < note->records->nelts && rc == 0; i++) {
        rc = token_sql_note(sql, note->event,
                            &APR_ARRAY_IDX(note->records, i, token_record_t),
                            note->store->address, note->store->pool);
    }
    return rc;
}

static int commit_notes(token_sql_t *sql, void *baton, int attempt)
{
    int rc = token_sql_begin(sql);

    (void)attempt;
    if (rc == 0) {
        rc = write_notes(sql, baton);
    }
    return rc ? rc : token_sql_commit(sql);
}

void token_ledger_note(const token_store_t *store, const char *event,
                       const apr_array_header_t *records)
{
    note_t note = { store, event, records };

    if (store->address && records->nelts) {
        token_store_run(store, commit_notes, &note, TOKEN_STORE_NOTE);
    }
}

/* --- a new token --- */

typedef struct {
    const token_store_t *store;
    apr_pool_t *pool;
    const char *digest;
    const token_record_t *record;
    const token_quota_t *quota;
    apr_array_header_t *evicted;    /* token_record_t */
    int count;                      /* of his other tokens */
    token_ledger_status_t status;
} issue_t;

static void note_evicted(void *baton, const token_record_t *record)
{
    APR_ARRAY_PUSH(((issue_t *)baton)->evicted, token_record_t) = *record;
}

/* A first attempt may have left the token itself. */
static void count_other(void *baton, const token_record_t *record)
{
    issue_t *issue = baton;

    issue->count += strcmp(record->id, issue->digest) != 0;
}

/* 1 in *found when the token of a digest is there: a first attempt came to its
 * end, but its connection broke before that was known. */
static int find_made(const token_sql_t *sql, const char *digest, int *found,
                     apr_pool_t *pool)
{
    const char *args[1];

    args[0] = digest;
    *found = 0;
    return token_sql_select(sql, TOKEN_SQL_VALIDATE, args, count_one, found,
                            pool);
}

/* Inserts it: a repeated insert finds the row that the first one left before
 * its connection broke.  On the first attempt there can be none: random bits
 * do not repeat. */
static int insert_record(const token_sql_t *sql, issue_t *issue, int attempt)
{
    int rows = 0;
    int rc = token_sql_issue(sql, issue->record, issue->digest, &rows,
                             issue->pool);

    issue->status = rc == 0 && (rows == 1 || attempt > 1)
        ? TOKEN_LEDGER_DONE : TOKEN_LEDGER_NONE;
    return rc;
}

/* Finds out whether he may have one more. */
static int check_room(const token_sql_t *sql, issue_t *issue)
{
    const char *args[1];
    int rc;

    args[0] = issue->record->username;
    issue->count = 0;
    rc = token_sql_select(sql, TOKEN_SQL_COUNT, args, count_other, issue,
                          issue->pool);
    if (issue->count >= issue->quota->count) {
        issue->status = TOKEN_LEDGER_FULL;
    }
    return rc;
}

/* The request may have been long in coming: its token was good when it
 * began.  An attempt before this one may have evicted it. */
static int check_asker(const token_sql_t *sql, issue_t *issue, int attempt)
{
    int good;
    int rc = token_sql_ask(sql, issue->store->asker,
                           issue->record->created_at, &good, issue->pool);

    if (rc == 0 && !good && attempt > 1) {
        rc = find_made(sql, issue->digest, &good, issue->pool);
    }
    if (!good) {
        issue->status = TOKEN_LEDGER_REFUSED;
    }
    return rc;
}

/* Under the user's lock. */
static int check_issue(const token_sql_t *sql, issue_t *issue, int attempt)
{
    int rc = 0;

    issue->status = TOKEN_LEDGER_DONE;
    if (issue->quota->count || issue->store->asker) {
        rc = token_sql_lock(sql, issue->record->username, issue->pool);
    }
    if (rc == 0 && issue->store->asker) {
        rc = check_asker(sql, issue, attempt);
    }
    return rc == 0 && issue->status == TOKEN_LEDGER_DONE
        && issue->quota->count && issue->quota->refuse
        ? check_room(sql, issue) : rc;
}

static int evict(const token_sql_t *sql, issue_t *issue)
{
    const char *args[3];

    if (!issue->quota->count || issue->quota->refuse) {
        return 0;
    }
    args[0] = issue->record->username;
    args[1] = issue->digest;
    args[2] = apr_itoa(issue->pool, issue->quota->count - 1);
    return token_sql_select(sql, TOKEN_SQL_EVICT, args, note_evicted, issue,
                            issue->pool);
}

static int note_issue(const token_sql_t *sql, const issue_t *issue)
{
    note_t note = { issue->store, TOKEN_EVENT_EVICTED, issue->evicted };
    int rc;

    if (!issue->store->address) {
        return 0;
    }
    rc = token_sql_note(sql, TOKEN_EVENT_ISSUED, issue->record,
                        issue->store->address, issue->pool);
    return rc ? rc : write_notes(sql, &note);
}

/* Under the user's lock, so that the number is exact: each of two logins
 * alone would see the other's row only after its end. */
static int issue_whole(token_sql_t *sql, issue_t *issue, int attempt)
{
    int rc = token_sql_begin(sql);

    if (rc == 0) {
        rc = check_issue(sql, issue, attempt);
    }
    if (rc == 0 && issue->status == TOKEN_LEDGER_DONE) {
        rc = insert_record(sql, issue, attempt);
        if (rc == 0 && issue->status == TOKEN_LEDGER_DONE) {
            rc = evict(sql, issue);
        }
    }
    if (rc == 0 && issue->status == TOKEN_LEDGER_DONE) {
        rc = note_issue(sql, issue);
    }
    return rc == 0 && issue->status == TOKEN_LEDGER_DONE
        ? token_sql_commit(sql) : rc;
}

static int issue_record(token_sql_t *sql, void *baton, int attempt)
{
    issue_t *issue = baton;

    apr_array_clear(issue->evicted);
    return issue->quota->count || issue->store->address
        || issue->store->asker ? issue_whole(sql, issue, attempt)
        : insert_record(sql, issue, attempt);
}

token_ledger_status_t token_ledger_issue(
    const token_store_t *store, const char digest[TOKEN_DIGEST_LEN + 1],
    const token_record_t *record, const token_quota_t *quota,
    token_sql_each_t *evicted, void *baton)
{
    issue_t issue;
    int i;

    issue.store = store;
    issue.pool = store->pool;
    issue.digest = digest;
    issue.record = record;
    issue.quota = quota;
    issue.evicted = apr_array_make(store->pool, 4, sizeof(token_record_t));
    if (!token_store_run(store, issue_record, &issue, TOKEN_STORE_WRITE)) {
        return TOKEN_LEDGER_DOWN;
    }
    if (issue.status == TOKEN_LEDGER_NONE) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, store->server,
                     "a new token's row was there already: is the random "
                     "source of this host broken");
        return TOKEN_LEDGER_DOWN;
    }
    for (i = 0; i < issue.evicted->nelts; i++) {
        evicted(baton, &APR_ARRAY_IDX(issue.evicted, i, token_record_t));
    }
    return issue.status;
}

/* --- a token in another's table --- */

typedef struct {
    apr_pool_t *pool;
    const char *username;
    const char *drawn;
    const char *key;
} adding_t;

static void keep_key(void *baton, const token_record_t *record)
{
    ((adding_t *)baton)->key = record->id;
}

static int find_key(const token_sql_t *sql, adding_t *adding)
{
    const char *args[1];

    args[0] = adding->username;
    return token_sql_select(sql, TOKEN_SQL_KEY, args, keep_key, adding,
                            adding->pool);
}

static int add_key(token_sql_t *sql, void *baton, int attempt)
{
    adding_t *adding = baton;
    int rc = find_key(sql, adding);
    const char *args[2];
    int rows;

    (void)attempt;
    if (rc || adding->key) {
        return rc;
    }
    args[0] = adding->drawn;
    args[1] = adding->username;
    rc = token_sql_change(sql, TOKEN_SQL_ADD_KEY, args, &rows, adding->pool);
    /* Another login may have been faster. */
    return rc ? rc : find_key(sql, adding);
}

token_ledger_status_t token_ledger_key(const token_store_t *store,
                                       const char *username,
                                       const char *drawn, const char **key)
{
    adding_t adding = { store->pool, username, drawn, NULL };

    if (!token_store_run(store, add_key, &adding, TOKEN_STORE_WRITE)) {
        return TOKEN_LEDGER_DOWN;
    }
    *key = adding.key;
    return adding.key ? TOKEN_LEDGER_DONE : TOKEN_LEDGER_NONE;
}

/* --- an heir --- */

typedef struct {
    apr_pool_t *pool;
    token_rotation_t rotation;
    token_ledger_status_t status;
} rotate_t;

static int rotate_token(token_sql_t *sql, void *baton, int attempt)
{
    rotate_t *rotate = baton;
    int done = 0;
    int rc = token_sql_rotate(sql, &rotate->rotation, &done, rotate->pool);

    if (rc == 0 && !done && attempt > 1) {
        rc = find_made(sql, rotate->rotation.heir_digest, &done,
                       rotate->pool);
    }
    rotate->status = done ? TOKEN_LEDGER_DONE : TOKEN_LEDGER_NONE;
    return rc;
}

token_ledger_status_t token_ledger_rotate(
    const token_store_t *store, const char digest[TOKEN_DIGEST_LEN + 1],
    const char heir_digest[TOKEN_DIGEST_LEN + 1],
    const token_record_t *heir)
{
    rotate_t rotate;

    rotate.pool = store->pool;
    rotate.rotation.digest = digest;
    rotate.rotation.heir_digest = heir_digest;
    rotate.rotation.heir = heir;
    rotate.rotation.address = store->address;
    rotate.rotation.asker = store->asker;
    return token_store_run(store, rotate_token, &rotate, TOKEN_STORE_WRITE)
        ? rotate.status : TOKEN_LEDGER_DOWN;
}
