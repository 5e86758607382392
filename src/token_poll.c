/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides how far back is asked for what was revoked elsewhere, and what
 * follows for the table.  When it is done is token_jobs' matter. */
#include <stdatomic.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_strings.h"

#include "token_breaker.h"
#include "token_clock.h"
#include "token_ledger.h"
#include "token_poll.h"
#include "token_revoke.h"
#include "token_shared.h"

APLOG_USE_MODULE(authn_token);

/* Seconds looked back further than the last poll: a revocation is visible
 * only when its transaction ends, after the moment it bears. */
#define POLL_OVERLAP 10

/* Rows that a statement of a minute revokes all bear its beginning.  To look
 * back so far each time would name each row by 70 polls: it is done every
 * POLL_DEEP seconds. */
#define POLL_DEEP 15
#define POLL_DEEP_OVERLAP (60 + POLL_DEEP)

/* So many polls in a row take too long while short ones do not. */
#define POLL_OVERDUE 2

/* After so many polls without a table, which databases of hosts that have
 * nothing to do with tokens lack: how many seconds none is sought, unless a
 * request finds one. */
#define TABLELESS_POLLS 10
#define TABLELESS_PAUSE 30

/* After so many seconds without an answer the table is emptied as well. */
#define POLL_LOST 3600

typedef struct {
    const token_store_conf_t *conf;
    int changes;
} poll_t;

static void bury_token(void *baton, const token_record_t *record)
{
    poll_t *poll = baton;

    token_revoke_bury(poll->conf, record);
    poll->changes++;
}

/* What was revoked or superseded in the last so many seconds. */
static token_ledger_status_t ask_for_changes(const token_store_t *store,
                                             int seconds, int *changes)
{
    poll_t poll = { store->conf, 0 };
    const char *args[2];
    token_ledger_status_t status;

    args[0] = args[1] = apr_itoa(store->pool, seconds);
    status = token_ledger_select(store, TOKEN_SQL_POLL, args,
                                 TOKEN_STORE_POLL, bury_token, &poll);
    *changes = poll.changes;
    return status;
}

/* There are more than were named: all are asked for again.  A revocation of
 * so many is named by several polls, and said once, until a deep one does
 * not name it. */
static void forget_all(const token_store_t *store, int changes, int deep)
{
    static atomic_int told;

    if (changes < TOKEN_DIALECT_POLL_ROWS) {
        if (deep) {
            atomic_store(&told, 0);
        }
        return;
    }
    token_table_flush(token_shared_table());
    if (!atomic_exchange(&told, 1)) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, store->server,
                     "%d tokens or more were revoked or rotated in a short "
                     "time: the table of tokens is emptied",
                     TOKEN_DIALECT_POLL_ROWS);
    }
}

/* Seconds since the last answer, to whichever child: the one that polls may
 * end.  Rows bear the clock of their database, which may be ours: by what
 * that was set forward, it is longer ago. */
static apr_int64_t get_poll_age(token_shared_database_t *shared,
                                apr_int64_t now, apr_int64_t second)
{
    apr_int64_t last = atomic_load(&shared->last_poll);
    apr_int64_t age = now - atomic_load(&shared->last_poll_at);

    return age > second - last ? age : second - last;
}

static int ask(const token_store_t *store, token_shared_database_t *shared,
               int seconds, int *changes)
{
    apr_time_t begin = token_clock_now();

    if (ask_for_changes(store, seconds, changes) != TOKEN_LEDGER_DOWN) {
        return 1;
    }
    if (!atomic_load(&shared->has_table)
        && atomic_load(&shared->tableless_polls) >= TABLELESS_POLLS) {
        atomic_store(&shared->next_poll,
                     token_clock_seconds() + TABLELESS_PAUSE);
    }
    /* Who only found no way in waited less. */
    if (seconds > POLL_OVERLAP
        && token_clock_now() - begin > TOKEN_BREAKER_PATIENCE) {
        atomic_fetch_add(&shared->overdue_polls, 1);
    }
    return 0;
}

/* After a poll that was overdue a short one tells whether the database is
 * well.  If so and the next long one was overdue, too, no other would be
 * better: 1, and what it would have named is asked for again. */
static int give_up(const token_store_t *store,
                   token_shared_database_t *shared, int seconds)
{
    if (atomic_load(&shared->overdue_polls) < POLL_OVERDUE) {
        return 0;
    }
    token_table_flush(token_shared_table());
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, store->server,
                 "the database tells what was revoked in the last %d s, but "
                 "not in the last %d s within AuthTokenQueryTimeout: the "
                 "table of tokens is emptied", POLL_OVERLAP, seconds);
    return 1;
}

static void note_poll(token_shared_database_t *shared, apr_int64_t now,
                      apr_int64_t second, int deep)
{
    atomic_store(&shared->overdue_polls, 0);
    atomic_store(&shared->tableless_polls, 0);
    atomic_store(&shared->last_poll_at, now);
    atomic_store(&shared->last_poll, second);
    if (deep) {
        atomic_store(&shared->last_deep_poll, second);
    }
}

void token_poll_changes(const token_store_t *store)
{
    token_shared_database_t *shared =
        token_shared_database(store->conf->database);
    apr_int64_t now = apr_time_sec(apr_time_now());
    apr_int64_t second = token_clock_seconds();
    apr_int64_t age = get_poll_age(shared, now, second);
    int lost = age > POLL_LOST;
    int deep = second - atomic_load(&shared->last_deep_poll) >= POLL_DEEP;
    int seconds = (lost ? 0 : (int)age)
        + (deep ? POLL_DEEP_OVERLAP : POLL_OVERLAP);
    int changes;

    if (second < atomic_load(&shared->next_poll)
        && !atomic_load(&shared->has_table)) {
        return;
    }
    if (atomic_load(&shared->overdue_polls)
        && !ask(store, shared, POLL_OVERLAP, &changes)) {
        return;
    }
    if (!give_up(store, shared, seconds)) {
        if (!ask(store, shared, seconds, &changes)) {
            return;
        }
        /* Only now: while the database is down the table is all there is. */
        if (lost) {
            token_table_flush(token_shared_table());
        }
        forget_all(store, changes, deep);
    }
    note_poll(shared, now, second, deep);
}
