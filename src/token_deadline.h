/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A bound on the time a statement takes.  libpq waits for its server for
 * ever, and apr_dbd has no other way to ask; so a second thread shuts the
 * socket of a statement that is overdue, which ends the wait at once. */
#ifndef TOKEN_DEADLINE_H
#define TOKEN_DEADLINE_H

#include "apr_dbd.h"
#include "apr_pools.h"
#include "apr_time.h"

/* One per process: statements under way. */
typedef struct token_deadline_t token_deadline_t;

/* A statement under way; lives on its thread's stack. */
typedef struct token_overdue_t {
    int socket;                 /* -1: this driver has none to shut */
    apr_time_t begin;
    apr_interval_time_t timeout;
    int shut;
    struct token_overdue_t *next;
    struct token_overdue_t **link;
} token_overdue_t;

apr_status_t token_deadline_create(token_deadline_t **deadline,
                                   apr_pool_t *pool);

/* 0 where a statement of this driver waits without end: PostgreSQL's is
 * bounded by a build with libpq, SQLite's by SQLite. */
int token_deadline_holds(const char *driver);

/* A statement begins on a connection and may take timeout. */
void token_deadline_begin(token_deadline_t *deadline,
                          token_overdue_t *statement,
                          const apr_dbd_driver_t *driver, apr_dbd_t *handle,
                          apr_interval_time_t timeout);

/* The same for a socket, which is closed at the end; -1: there is none. */
void token_deadline_begin_socket(token_deadline_t *deadline,
                                 token_overdue_t *statement, int socket,
                                 apr_interval_time_t timeout);

/* It is over; 1 when its socket was shut. */
int token_deadline_end(token_deadline_t *deadline,
                       token_overdue_t *statement);

/* Shuts the sockets of all that are overdue at now, of token_clock.  Does
 * nothing while another thread holds the list: it is asked again soon. */
void token_deadline_check(token_deadline_t *deadline, apr_time_t now);

#endif
