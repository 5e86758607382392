/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Overdue statements are ended, all others are left alone: with sockets
 * that nobody answers on, and with libpq before a server that shakes hands
 * and then says no more. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apr_general.h"
#include "apr_strings.h"
#include "tap.h"
#include "token_clock.h"
#include "token_deadline.h"

#define SECOND apr_time_from_sec(1)

static apr_pool_t *pool;
static token_deadline_t *deadline;

/* One end of a socket that a thread reads from; ours is the other. */
typedef struct {
    int ends[2];
    pthread_t thread;
    token_overdue_t statement;
    apr_interval_time_t timeout;
    int said;                   /* by read() */
    int shut;
} reader_t;

static void *read_blocked(void *baton)
{
    reader_t *reader = baton;
    char c;

    reader->said = (int)read(reader->ends[0], &c, 1);
    reader->shut = token_deadline_end(deadline, &reader->statement);
    return NULL;
}

static void start_reader(reader_t *reader, apr_interval_time_t timeout)
{
    memset(reader, 0, sizeof(*reader));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, reader->ends) != 0) {
        printf("Bail out! no sockets\n");
        exit(1);
    }
    token_deadline_begin_socket(deadline, &reader->statement,
                                dup(reader->ends[0]), timeout);
    pthread_create(&reader->thread, NULL, read_blocked, reader);
}

static void end_reader(reader_t *reader)
{
    pthread_join(reader->thread, NULL);
    close(reader->ends[0]);
    close(reader->ends[1]);
}

/* 1 while the other end of a socket has not been shut. */
static int is_open(int fd)
{
    struct pollfd p = { fd, POLLIN, 0 };

    return poll(&p, 1, 0) == 0;
}

static int count_descriptors(void)
{
    int n = 0;
    int fd;

    for (fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) != -1;
    }
    return n;
}

static void test_overdue(tap_t *tap)
{
    apr_time_t now = token_clock_now();
    reader_t slow, slower;

    start_reader(&slow, 2 * SECOND);
    start_reader(&slower, 20 * SECOND);
    token_deadline_check(deadline, now + SECOND);
    tap_ok(tap, is_open(slow.ends[1]) && is_open(slower.ends[1]),
           "before its time no statement is shut");
    token_deadline_check(deadline, now + 3 * SECOND);
    pthread_join(slow.thread, NULL);
    tap_ok(tap, slow.said == 0 && slow.shut,
           "at its time a blocked reader is freed, and is told");
    tap_ok(tap, is_open(slower.ends[1]), "another one is not");
    if (write(slower.ends[1], "x", 1) != 1) {
        printf("# cannot write\n");
    }
    end_reader(&slower);
    tap_ok(tap, slower.said == 1 && !slower.shut,
           "one that is answered ends as if nobody had watched");
    close(slow.ends[0]);
    close(slow.ends[1]);
}

static void test_ended(tap_t *tap)
{
    apr_time_t now = token_clock_now();
    token_overdue_t statements[3];
    int ends[3][2];
    int i;

    for (i = 0; i < 3; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends[i]) != 0) {
            exit(1);
        }
        token_deadline_begin_socket(deadline, &statements[i],
                                    dup(ends[i][0]), SECOND);
    }
    token_deadline_end(deadline, &statements[1]);
    token_deadline_check(deadline, now + 5 * SECOND);
    tap_ok(tap, is_open(ends[1][1]), "a statement that ended is never shut");
    tap_ok(tap, !is_open(ends[0][1]) && !is_open(ends[2][1]),
           "those beside it in the list are");
    tap_ok(tap, token_deadline_end(deadline, &statements[0])
                && token_deadline_end(deadline, &statements[2]),
           "and say so when they end");
    token_deadline_check(deadline, now + 9 * SECOND);
    for (i = 0; i < 3; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
}

/* libpq closes its socket while its statement is in the list, and somebody
 * else gets the number. */
static void test_reused_number(tap_t *tap)
{
    apr_time_t now = token_clock_now();
    token_overdue_t statement;
    int ends[2], others[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        exit(1);
    }
    token_deadline_begin_socket(deadline, &statement, dup(ends[0]), SECOND);
    close(ends[0]);
    close(ends[1]);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, others) != 0) {
        exit(1);
    }
    token_deadline_check(deadline, now + 5 * SECOND);
    tap_ok(tap, is_open(others[0]) && is_open(others[1]),
           "a socket with the number of one that was closed is not shut");
    token_deadline_end(deadline, &statement);
    close(others[0]);
    close(others[1]);
}

static void test_none(tap_t *tap)
{
    token_overdue_t statement;

    token_deadline_begin_socket(deadline, &statement, -1, 0);
    token_deadline_check(deadline, token_clock_now() + SECOND);
    tap_ok(tap, token_deadline_end(deadline, &statement) == 0,
           "a database without a socket has no deadline");
}

static void *check_often(void *baton)
{
    int i;

    (void)baton;
    for (i = 0; i < 20000; i++) {
        token_deadline_check(deadline, token_clock_now());
    }
    return NULL;
}

static void *begin_and_end(void *baton)
{
    size_t shut = 0;
    int ends[2];
    int i;

    (void)baton;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        exit(1);
    }
    for (i = 0; i < 3000; i++) {
        token_overdue_t statement;

        token_deadline_begin_socket(deadline, &statement, dup(ends[0]),
                                    600 * SECOND);
        shut += token_deadline_end(deadline, &statement);
    }
    shut += !is_open(ends[1]);
    close(ends[0]);
    close(ends[1]);
    return (void *)shut;
}

static void test_threads(tap_t *tap)
{
    pthread_t checker, threads[6];
    size_t shut = 0;
    int i;

    pthread_create(&checker, NULL, check_often, NULL);
    for (i = 0; i < 6; i++) {
        pthread_create(&threads[i], NULL, begin_and_end, NULL);
    }
    for (i = 0; i < 6; i++) {
        void *result;

        pthread_join(threads[i], &result);
        shut += (size_t)result;
    }
    pthread_join(checker, NULL);
    tap_ok(tap, shut == 0,
           "six threads begin and end while a seventh looks: none is shut");
}

#ifdef HAVE_LIBPQ
/* Greets every client, and answers none of his statements. */
static void greet(int listener)
{
    static const char greeting[] =
        "R\0\0\0\x08\0\0\0\0"           /* authentication: ok */
        "S\0\0\0\x19" "client_encoding\0UTF8\0"
        "Z\0\0\0\x05I";                 /* ready for statements */
    char request[1024];

    for (;;) {
        int client = accept(listener, NULL, NULL);
        ssize_t n = read(client, request, sizeof(request));

        /* Eight bytes ask for TLS or GSSAPI: no. */
        while (n == 8 && write(client, "N", 1) == 1) {
            n = read(client, request, sizeof(request));
        }
        if (n <= 0 || write(client, greeting, sizeof(greeting) - 1) < 0) {
            close(client);
        }
    }
}

static pid_t start_server(int *port)
{
    struct sockaddr_in sa;
    socklen_t len = sizeof(sa);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pid_t pid;

    memset(&sa, 0, sizeof(sa));
    sa.sin_family = AF_INET;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&sa, sizeof(sa)) != 0
        || listen(listener, 5) != 0
        || getsockname(listener, (struct sockaddr *)&sa, &len) != 0) {
        printf("Bail out! no listener\n");
        exit(1);
    }
    *port = ntohs(sa.sin_port);
    pid = fork();
    if (pid == 0) {
        /* Should the test die: neither it nor its output is kept open. */
        alarm(120);
        close(STDOUT_FILENO);
        greet(listener);
    }
    close(listener);
    return pid;
}

static void *wait_and_check(void *baton)
{
    (void)baton;
    usleep(300000);
    token_deadline_check(deadline, token_clock_now());
    return NULL;
}

static void test_libpq(tap_t *tap)
{
    const apr_dbd_driver_t *driver;
    apr_dbd_t *handle = NULL;
    token_overdue_t statement;
    pthread_t checker;
    apr_time_t begin;
    int port, rows, rc, shut;
    pid_t server;

    if (apr_dbd_init(pool) != APR_SUCCESS
        || apr_dbd_get_driver(pool, "pgsql", &driver) != APR_SUCCESS) {
        printf("# no apr_dbd driver for PostgreSQL\n");
        return;
    }
    server = start_server(&port);
    if (apr_dbd_open(driver, pool,
                     apr_psprintf(pool, "hostaddr=127.0.0.1 port=%d "
                                  "user=x dbname=x sslmode=disable "
                                  "gssencmode=disable connect_timeout=5",
                                  port), &handle) != APR_SUCCESS) {
        tap_ok(tap, 0, "libpq connects to a server that greets it");
    }
    else {
        begin = token_clock_now();
        token_deadline_begin(deadline, &statement, driver, handle,
                             apr_time_from_msec(250));
        pthread_create(&checker, NULL, wait_and_check, NULL);
        rc = apr_dbd_query(driver, handle, &rows, "select 1");
        shut = token_deadline_end(deadline, &statement);
        tap_ok(tap, rc != 0 && shut
                    && token_clock_now() - begin < 3 * SECOND,
               "a statement of libpq that has no answer ends: %d ms",
               (int)apr_time_as_msec(token_clock_now() - begin));
        pthread_join(checker, NULL);
        tap_ok(tap, apr_dbd_check_conn(driver, pool, handle) == APR_SUCCESS,
               "the connection is mended after that");
        token_deadline_begin(deadline, &statement, driver, handle, SECOND);
        tap_ok(tap, statement.socket >= 0,
               "and the next statement watched");
        token_deadline_end(deadline, &statement);
        apr_dbd_close(driver, handle);
    }
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}
#endif

int main(void)
{
    tap_t tap = { 0, 0 };
    int descriptors;

    alarm(120);
    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (token_deadline_create(&deadline, pool) != APR_SUCCESS) {
        printf("Bail out! no mutex\n");
        return 1;
    }
    descriptors = count_descriptors();
    test_overdue(&tap);
    test_ended(&tap);
    test_reused_number(&tap);
    test_none(&tap);
    test_threads(&tap);
    tap_ok(&tap, count_descriptors() == descriptors,
           "no descriptor is left over");
#ifdef HAVE_LIBPQ
    test_libpq(&tap);
#endif
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_end(&tap);
}
