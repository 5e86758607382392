/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides whether asking a database is worth the while now.  What asking
 * is, and what a failure is, is token_store's matter. */
#include "apr_portable.h"
#include "apr_thread_cond.h"
#include "apr_thread_mutex.h"

#include "token_breaker.h"
#include "token_clock.h"

/* The first pause after a failure; it doubles up to TOKEN_BREAKER_PAUSE. */
#define FIRST_PAUSE apr_time_from_msec(125)

typedef enum {
    UNKNOWN = 0,
    GUESSED,
    KNOWN
} limit_source_t;

struct token_breaker_t {
    apr_thread_mutex_t *mutex;
    apr_thread_cond_t *vacancy;
    int limit;
    limit_source_t source;      /* of the limit */
    int connections;
    int inside;
    int open;
    int probing;                /* while open: somebody is trying it */
    apr_os_thread_t prober;     /* and who that is */
    apr_time_t answered;        /* when it last did */
    apr_time_t pause;
    apr_time_t try_at;          /* while open: not before */
};

apr_status_t token_breaker_create(token_breaker_t **breaker,
                                  apr_pool_t *pool)
{
    token_breaker_t *b = apr_pcalloc(pool, sizeof(*b));
    apr_status_t rv = apr_thread_mutex_create(
        &b->mutex, APR_THREAD_MUTEX_DEFAULT, pool);

    if (rv == APR_SUCCESS) {
        rv = apr_thread_cond_create(&b->vacancy, pool);
    }
    b->limit = 1;
    *breaker = rv == APR_SUCCESS ? b : NULL;
    return rv;
}

void token_breaker_limit(token_breaker_t *breaker, int limit, int is_guess)
{
    apr_thread_mutex_lock(breaker->mutex);
    if (!is_guess || breaker->source != KNOWN) {
        breaker->limit = limit > 1 ? limit : 1;
        breaker->source = is_guess ? GUESSED : KNOWN;
        apr_thread_cond_broadcast(breaker->vacancy);
    }
    apr_thread_mutex_unlock(breaker->mutex);
}

void token_breaker_count(token_breaker_t *breaker, int change)
{
    apr_thread_mutex_lock(breaker->mutex);
    breaker->connections += change;
    if (change > 0) {
        breaker->answered = token_clock_now();
    }
    apr_thread_cond_broadcast(breaker->vacancy);
    apr_thread_mutex_unlock(breaker->mutex);
}

/* With the mutex held: 1 when all who may be inside are. */
static int is_full(const token_breaker_t *b)
{
    return b->inside >= b->limit
        || (b->source == KNOWN && b->inside > b->connections);
}

/* With the mutex held: 1 when the way in is free. */
static int may_enter(const token_breaker_t *b, apr_time_t now)
{
    if (b->open) {
        return !b->probing && now >= b->try_at;
    }
    return !is_full(b);
}

/* With the mutex held: how long whoever has waited since begin still may. */
static apr_interval_time_t get_rest(const token_breaker_t *b,
                                    apr_time_t begin, apr_time_t now)
{
    apr_time_t last = b->answered > begin ? b->answered : begin;
    apr_time_t end = last + TOKEN_BREAKER_WAIT;

    if (end > begin + TOKEN_BREAKER_PATIENCE) {
        end = begin + TOKEN_BREAKER_PATIENCE;
    }
    return end - now;
}

/* With the mutex held: the time when there is a vacancy, or when no more is
 * waited for one.  A database that is down is not waited for. */
static apr_time_t await_vacancy(token_breaker_t *b)
{
    apr_time_t begin = token_clock_now();
    apr_time_t now = begin;
    apr_interval_time_t rest;

    while (!b->open && is_full(b)
           && (rest = get_rest(b, begin, now)) > 0) {
        apr_thread_cond_timedwait(b->vacancy, b->mutex, rest);
        now = token_clock_now();
    }
    return now;
}

int token_breaker_enter(token_breaker_t *breaker)
{
    int entered;

    apr_thread_mutex_lock(breaker->mutex);
    entered = may_enter(breaker, await_vacancy(breaker));
    if (entered) {
        breaker->inside++;
        breaker->probing = breaker->open;
        breaker->prober = apr_os_thread_current();
    }
    apr_thread_mutex_unlock(breaker->mutex);
    return entered;
}

/* With the mutex held: nobody goes in, until it is time for a probe. */
static void shut(token_breaker_t *b)
{
    b->open = 1;
    b->probing = 0;
    b->pause = b->pause ? b->pause * 2 : FIRST_PAUSE;
    if (b->pause > TOKEN_BREAKER_PAUSE) {
        b->pause = TOKEN_BREAKER_PAUSE;
    }
    b->try_at = token_clock_now() + b->pause;
    /* Whoever waits for a vacancy need not any more. */
    apr_thread_cond_broadcast(b->vacancy);
}

token_breaker_change_t token_breaker_leave(token_breaker_t *breaker,
                                           int worked)
{
    token_breaker_change_t change = TOKEN_BREAKER_SAME;
    int was_open;

    apr_thread_mutex_lock(breaker->mutex);
    was_open = breaker->open;
    breaker->inside--;
    if (worked) {
        breaker->answered = token_clock_now();
    }
    /* While it is open only the probe tells news: those who went in before
     * it opened bring what was true then, good or bad. */
    if (!was_open
        || (breaker->probing
            && apr_os_thread_equal(breaker->prober,
                                   apr_os_thread_current()))) {
        if (worked) {
            breaker->open = 0;
            breaker->probing = 0;
            breaker->pause = 0;
        }
        else {
            shut(breaker);
        }
    }
    if (was_open != breaker->open) {
        change = was_open ? TOKEN_BREAKER_CLOSED : TOKEN_BREAKER_OPENED;
    }
    apr_thread_cond_signal(breaker->vacancy);
    apr_thread_mutex_unlock(breaker->mutex);
    return change;
}

int token_breaker_has_answered(token_breaker_t *breaker, apr_time_t since)
{
    int answered;

    apr_thread_mutex_lock(breaker->mutex);
    answered = !breaker->open && breaker->answered > since;
    apr_thread_mutex_unlock(breaker->mutex);
    return answered;
}

int token_breaker_is_open(token_breaker_t *breaker)
{
    int open;

    apr_thread_mutex_lock(breaker->mutex);
    open = breaker->open;
    apr_thread_mutex_unlock(breaker->mutex);
    return open;
}
