/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* A child that dies, stops or is overtaken in the middle of a write.  Only
 * from within can a slot be left half-written on purpose: this test, and no
 * other, has token_table.c in itself. */
#include "../../src/token_table.c"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apr_general.h"
#include "apr_time.h"

#include "table.h"
#include "tap.h"

#define SET 8
#define KILLS 1000

static apr_pool_t *pool;

static token_table_t *make_table(apr_uint32_t slots)
{
    token_table_t *table = NULL;

    if (token_table_create(&table, slots, pool) != APR_SUCCESS) {
        printf("Bail out! no shared memory\n");
        exit(1);
    }
    return table;
}

/* Keeps n, and uses it. */
static void put(token_table_t *table, apr_uint64_t n, apr_int64_t when)
{
    token_ticket_t ticket;
    token_record_t record;
    token_entry_t entry;
    strings_t strings;
    token_key_t key;

    make_key(&key, n, 0);
    make_record(&record, &strings, n, 1);
    token_table_ticket(table, &ticket);
    token_table_put(table, &key, &ticket, &record, when);
    if (token_table_get(table, &key, &entry) == TOKEN_TABLE_RECORD) {
        token_table_use(&key, &entry, LAST_USED, when);
    }
}

/* 1: the record of n; 0: none; -1: what is no record of n; -2: tombstone. */
static int get(token_table_t *table, apr_uint64_t n)
{
    token_entry_t entry;
    token_key_t key;

    make_key(&key, n, 0);
    switch (token_table_get(table, &key, &entry)) {
    case TOKEN_TABLE_RECORD:
        return read_version(&entry.record, n) == 1 ? 1 : -1;
    case TOKEN_TABLE_REVOKED:
        return -2;
    default:
        return 0;
    }
}

static void bury(token_table_t *table, apr_uint64_t n)
{
    token_key_t key;

    make_key(&key, n, 0);
    token_table_revoke(table, &key, NOW);
}

/* How many of the keys from first are there. */
static int count_kept(token_table_t *table, apr_uint64_t first, int n)
{
    int kept = 0;
    int i;

    for (i = 0; i < n; i++) {
        kept += get(table, first + i) == 1;
    }
    return kept;
}

/* Forks a child that takes the slot of victim and is gone, or stopped, by
 * the signal after the key of intruder is written and nothing else.  Then,
 * if it goes on, it gives the slot back. */
static pid_t leave_half(token_table_t *table, int way, apr_uint64_t intruder,
                        int sig)
{
    token_word_t *slot = table->slots + way * TOKEN_SLOT_WORDS;
    token_key_t key;
    apr_uint64_t held;
    pid_t pid = fork();

    if (pid == 0) {
        make_key(&key, intruder, 0);
        if (token_slot_take(slot, &held)) {
            token_slot_write_key(slot, &key, TOKEN_SLOT_LIVE);
            raise(sig);
            token_slot_release(slot, held);
        }
        _exit(0);
    }
    return pid;
}

static void fill_set(token_table_t *table, apr_uint64_t first)
{
    int i;

    for (i = 0; i < SET; i++) {
        put(table, first + i, NOW + (apr_int64_t)first + i);
    }
}

static void test_killed(tap_t *tap)
{
    token_table_t *table = make_table(SET);
    pid_t pid;
    siginfo_t dead;

    fill_set(table, 0);
    pid = leave_half(table, 3, 100, SIGKILL);
    waitid(P_PID, pid, &dead, WEXITED | WNOWAIT);
    tap_ok(tap, get(table, 100) == 0 && get(table, 3) == 0,
           "what a killed child left half-written is not read");
    tap_ok(tap, count_kept(table, 0, SET) == SET - 1,
           "the other slots of the set are");
    fill_set(table, 20);
    tap_ok(tap, count_kept(table, 20, SET) == SET - 1,
           "before it is waited for its slot is skipped");
    waitpid(pid, NULL, 0);
    tap_ok(tap, get(table, 100) == 0,
           "after that it is still not read");
    put(table, 50, NOW + 60);
    tap_ok(tap, get(table, 50) == 1
                && count_kept(table, 20, SET) == SET - 1,
           "the next writer takes the slot over");
}

/* The key of one token over the record of another: nobody may ever see it,
 * whoever comes to the slot next. */
static void test_mixture(tap_t *tap)
{
    int wrong = 0;
    int step;

    for (step = 0; step < 5; step++) {
        token_table_t *table = make_table(SET);
        token_ticket_t ticket;
        token_record_t record;
        strings_t strings;
        token_key_t key;

        fill_set(table, 0);
        token_table_ticket(table, &ticket);
        waitpid(leave_half(table, 3, 100, SIGKILL), NULL, 0);
        make_key(&key, 200, 0);
        make_record(&record, &strings, 200, 1);
        if (step == 0) {
            bury(table, 200);
        }
        else if (step == 1) {
            bury(table, 100);
        }
        else if (step == 2) {
            bury(table, 200);
            token_table_put(table, &key, &ticket, &record, NOW);
        }
        else if (step == 3) {
            make_key(&key, 100, 0);
            token_table_put_unknown(table, &key, NOW);
            token_table_forget_unknown(table, &key);
            bury(table, 200);
        }
        else {
            bury(table, 100);
            make_key(&key, 100, 0);
            make_record(&record, &strings, 100, 1);
            token_table_put(table, &key, &ticket, &record, NOW);
        }
        if (get(table, 100) == -1 || get(table, 100) == 1
            || count_kept(table, 0, SET) < SET - 1) {
            printf("# step %d: %d, %d kept\n", step, get(table, 100),
                   count_kept(table, 0, SET));
            wrong++;
        }
    }
    tap_ok(tap, wrong == 0, "a token never gets the record of another from "
           "a half-written slot, whoever comes next");
}

static void test_false_tombstone(tap_t *tap)
{
    token_table_t *table = make_table(SET);

    fill_set(table, 0);
    bury(table, 3);
    waitpid(leave_half(table, 3, 100, SIGKILL), NULL, 0);
    /* As if it had died a word earlier: a tombstone with a foreign key. */
    token_slot_store(&table->slots[3 * TOKEN_SLOT_WORDS + TOKEN_SLOT_KIND],
                     (apr_uint64_t)TOKEN_SLOT_REVOKED << 32);
    put(table, 100, NOW + 60);
    tap_ok(tap, get(table, 100) == 1,
           "a half-written tombstone buries nobody");
}

static void test_unknown(tap_t *tap)
{
    token_table_t *table = make_table(SET);
    token_key_t key, old;
    token_entry_t entry;
    pid_t pid;

    make_key(&old, 7, 0);
    make_key(&key, 7, 1);
    key.digest[3]++;
    token_table_put_unknown(table, &old, NOW);
    pid = fork();
    if (pid == 0) {
        token_word_t *slot = choose_unknown_slot(table, &old);
        apr_uint64_t held;
        int i;

        token_slot_take(slot, &held);
        for (i = 0; i < 4; i++) {
            token_slot_store(&slot[TOKEN_SLOT_KEY + i], key.digest[i]);
        }
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
    token_table_put_unknown(table, &old, NOW);
    key.database = 0;
    token_table_forget_unknown(table, &old);
    tap_ok(tap, token_table_get(table, &key, &entry)
                    == TOKEN_TABLE_MISS,
           "half of an unknown token is unknown in no other database");
}

static void test_stopped(tap_t *tap)
{
    token_table_t *table = make_table(SET);
    apr_time_t begin;
    int status;
    pid_t pid;
    int i;

    fill_set(table, 0);
    pid = leave_half(table, 3, 3, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    fill_set(table, 20);
    tap_ok(tap, count_kept(table, 20, SET) == SET - 1,
           "a stopped writer is not robbed of its slot");
    begin = apr_time_now();
    bury(table, 3);
    tap_ok(tap, apr_time_now() - begin < apr_time_from_msec(500),
           "a revocation does not wait for it");
    tap_ok(tap, get(table, 3) == 0, "what it writes is not read");
    kill(pid, SIGCONT);
    waitpid(pid, &status, 0);
    tap_ok(tap, get(table, 3) == 0,
           "nor is it when it goes on after the revocation");
    tap_ok(tap, count_kept(table, 20, SET) == SET - 1,
           "and the rest of the table has not gone");

    table = make_table(SET);
    fill_set(table, 0);
    pid = leave_half(table, 3, 3, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    bury(table, 400);
    bury(table, 3);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    for (i = 0; i < SET; i++) {
        put(table, 30 + i, NOW + 20 + i);
    }
    tap_ok(tap, count_kept(table, 30, SET) == SET && get(table, 3) == 0,
           "a slot that was void when its writer died is used again");
}

static void test_reused_pid(tap_t *tap)
{
    token_table_t *table = make_table(SET);
    token_word_t *lock = &table->slots[3 * TOKEN_SLOT_WORDS];

    fill_set(table, 0);
    /* A dead writer's number that is this process's now. */
    token_slot_store(lock, (apr_uint64_t)getpid() << 32 | 5);
    bury(table, 400);
    bury(table, 3);
    tap_ok(tap, get(table, 3) == 0 && count_kept(table, 0, SET) == SET - 1,
           "a process number in use again costs one slot and no other");
    fill_set(table, 20);
    tap_ok(tap, count_kept(table, 20, SET) == SET - 1,
           "the set goes on with the rest");
    bury(table, 21);
    tap_ok(tap, get(table, 21) == -2 && count_kept(table, 22, SET - 3) > 0,
           "a revocation in that set empties nothing else");
}

static void write_until_killed(token_table_t *table, unsigned seed)
{
    apr_int64_t when = NOW + seed;
    apr_uint64_t i;

    for (i = 0;; i++) {
        apr_uint64_t n = mix(seed + i) % 64;
        token_key_t key;

        make_key(&key, 1000 + n, 0);
        if (i % 16 == 15) {
            bury(table, n);
        }
        else if (i % 4 == 3) {
            token_table_put_unknown(table, &key, when);
            token_table_forget_unknown(table, &key);
        }
        else {
            put(table, n, when);
        }
        when += TOKEN_TABLE_TOMBSTONE;
    }
}

static void test_random(tap_t *tap)
{
    token_table_t *table = make_table(4 * SET);
    int broken = 0;
    int half = 0;
    int full = 0;
    int k;

    for (k = 0; k < KILLS; k++) {
        pid_t pids[2];
        int i;

        for (i = 0; i < 2; i++) {
            pids[i] = fork();
            if (pids[i] == 0) {
                write_until_killed(table, 1 + 2 * k + i);
            }
        }
        usleep(mix(k) % 1500);
        for (i = 0; i < 2; i++) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
        for (i = 0; i < 4 * SET; i++) {
            half += token_slot_is_locked(
                token_slot_load(&table->slots[i * TOKEN_SLOT_WORDS]));
        }
        for (i = 0; i < 64; i++) {
            broken += get(table, i) == -1;
        }
    }
    token_table_flush(table);
    for (k = 0; k < 400; k++) {
        put(table, 5000 + k, NOW);
    }
    for (k = 0; k < 400; k++) {
        full += get(table, 5000 + k) == 1;
    }
    tap_ok(tap, broken == 0, "after %d kills at random no record is broken "
           "(slots seen half-written: %d)", 2 * KILLS, half);
    tap_ok(tap, full == 4 * SET, "and every slot is used again");
}

int main(void)
{
    tap_t tap = { 0, 0 };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_killed(&tap);
    test_mixture(&tap);
    test_false_tombstone(&tap);
    test_unknown(&tap);
    test_stopped(&tap);
    test_reused_pid(&tap);
    test_random(&tap);
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_end(&tap);
}
