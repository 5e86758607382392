/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides when a statement has waited long enough.  The list is locked
 * while a socket is shut and while a statement leaves it.  What is shut is
 * a descriptor of our own for the socket: libpq closes its own as soon as
 * the server hangs up, and the number may be a client's a moment later. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apr_thread_mutex.h"

#ifdef HAVE_LIBPQ
#include <libpq-fe.h>
#endif

#include "token_clock.h"
#include "token_deadline.h"

struct token_deadline_t {
    apr_thread_mutex_t *mutex;
    token_overdue_t *first;
};

apr_status_t token_deadline_create(token_deadline_t **deadline,
                                   apr_pool_t *pool)
{
    token_deadline_t *d = apr_pcalloc(pool, sizeof(*d));
    apr_status_t rv = apr_thread_mutex_create(
        &d->mutex, APR_THREAD_MUTEX_DEFAULT, pool);

    *deadline = rv == APR_SUCCESS ? d : NULL;
    return rv;
}

int token_deadline_holds(const char *driver)
{
#ifdef HAVE_LIBPQ
    (void)driver;
    return 1;
#else
    return strcmp(driver, "pgsql") != 0;
#endif
}

/* A second descriptor of the connection's socket, or -1. */
static int get_socket(const apr_dbd_driver_t *driver, apr_dbd_t *handle)
{
#ifdef HAVE_LIBPQ
    if (strcmp(apr_dbd_name(driver), "pgsql") == 0) {
        int fd = PQsocket(apr_dbd_native_handle(driver, handle));

        return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
#endif
    (void)driver;
    (void)handle;
    return -1;
}

void token_deadline_begin(token_deadline_t *deadline,
                          token_overdue_t *statement,
                          const apr_dbd_driver_t *driver, apr_dbd_t *handle,
                          apr_interval_time_t timeout)
{
    token_deadline_begin_socket(deadline, statement,
                                get_socket(driver, handle), timeout);
}

void token_deadline_begin_socket(token_deadline_t *deadline,
                                 token_overdue_t *statement, int socket,
                                 apr_interval_time_t timeout)
{
    memset(statement, 0, sizeof(*statement));
    statement->socket = socket;
    if (socket < 0) {
        return;
    }
    statement->begin = token_clock_now();
    statement->timeout = timeout;
    apr_thread_mutex_lock(deadline->mutex);
    statement->next = deadline->first;
    statement->link = &deadline->first;
    if (deadline->first) {
        deadline->first->link = &statement->next;
    }
    deadline->first = statement;
    apr_thread_mutex_unlock(deadline->mutex);
}

int token_deadline_end(token_deadline_t *deadline,
                       token_overdue_t *statement)
{
    if (statement->socket < 0) {
        return 0;
    }
    apr_thread_mutex_lock(deadline->mutex);
    *statement->link = statement->next;
    if (statement->next) {
        statement->next->link = statement->link;
    }
    apr_thread_mutex_unlock(deadline->mutex);
    close(statement->socket);
    return statement->shut;
}

void token_deadline_check(token_deadline_t *deadline, apr_time_t now)
{
    token_overdue_t *statement;

    if (apr_thread_mutex_trylock(deadline->mutex) != APR_SUCCESS) {
        return;
    }
    for (statement = deadline->first; statement;
         statement = statement->next) {
        if (!statement->shut && now - statement->begin
                                    >= statement->timeout) {
            statement->shut = 1;
            shutdown(statement->socket, SHUT_RDWR);
        }
    }
    apr_thread_mutex_unlock(deadline->mutex);
}
