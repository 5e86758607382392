/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Many at once on a small table: threads, then processes of which some are
 * killed.  Each record read must be one from end to end, and none older
 * than the last revocation that had returned before it was looked for.  The
 * "database" is a version for each key: a revocation raises it, then tells
 * the table, then says how high it is.
 *
 *   table_storm [MILLISECONDS] */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apr_general.h"
#include "apr_time.h"

#include "storm.h"
#include "table.h"
#include "tap.h"

#define KEYS 48
#define SLOTS 32
#define PROCESSES 6

/* Between any two events, so that no tombstone is young and none of two
 * answers is just a moment older. */
#define TICK (TOKEN_TABLE_TOMBSTONE + 100)

/* Shared by all workers. */
typedef struct {
    _Atomic(apr_uint64_t) version[KEYS];
    _Atomic(apr_uint64_t) told[KEYS];   /* revocations below have returned */
    _Atomic(apr_int64_t) clock;
    _Atomic(int) stop;
    _Atomic(apr_uint64_t) reads, hits, revocations, flushes;
    _Atomic(apr_uint64_t) broken, raised;
} world_t;

static world_t *world;
static token_table_t *table;

static apr_int64_t tick(void)
{
    return atomic_fetch_add(&world->clock, TICK);
}

static void fill(unsigned n, apr_uint64_t random)
{
    token_ticket_t ticket;
    token_record_t record;
    strings_t strings;
    token_key_t key;

    make_key(&key, n, 0);
    token_table_ticket(table, &ticket);
    if (random & 1) {
        sched_yield();
    }
    make_record(&record, &strings, n, atomic_load(&world->version[n]));
    if (random & 2) {
        sched_yield();
    }
    token_table_put(table, &key, &ticket, &record, tick());
}

static void revoke_token(unsigned n)
{
    apr_uint64_t version = atomic_fetch_add(&world->version[n], 1) + 1;
    apr_uint64_t seen;
    token_key_t key;

    make_key(&key, n, 0);
    token_table_revoke(table, &key, tick());
    seen = atomic_load(&world->told[n]);
    while (seen < version
           && !atomic_compare_exchange_weak(&world->told[n], &seen,
                                            version)) {
        continue;
    }
    atomic_fetch_add(&world->revocations, 1);
}

static void look(unsigned n)
{
    apr_uint64_t told = atomic_load(&world->told[n]);
    token_entry_t entry;
    token_key_t key;
    apr_int64_t version;

    make_key(&key, n, 0);
    atomic_fetch_add_explicit(&world->reads, 1, memory_order_relaxed);
    if (token_table_get(table, &key, &entry) != TOKEN_TABLE_RECORD) {
        return;
    }
    atomic_fetch_add_explicit(&world->hits, 1, memory_order_relaxed);
    version = read_version(&entry.record, n);
    if (version < 0) {
        atomic_fetch_add(&world->broken, 1);
    }
    else if ((apr_uint64_t)version < told) {
        atomic_fetch_add(&world->raised, 1);
    }
}

static void work(apr_uint64_t seed)
{
    apr_uint64_t i;

    for (i = 0; !atomic_load(&world->stop); i++) {
        apr_uint64_t random = mix(seed * 0x10000000 + i);
        unsigned n = (random >> 32) % KEYS;
        token_key_t key;

        switch (random >> 8 & 31) {
        case 0:
            revoke_token(n);
            break;
        case 1:
            make_key(&key, KEYS + n, 0);
            token_table_put_unknown(table, &key, NOW);
            break;
        case 2:
            make_key(&key, KEYS + n, 0);
            token_table_forget_unknown(table, &key);
            break;
        case 3: case 4: case 5: case 6: case 7: case 8: case 9: case 10:
            fill(n, random);
            break;
        case 11:
            if ((random >> 16 & 15) == 0) {
                token_table_flush(table);
                atomic_fetch_add(&world->flushes, 1);
            }
            break;
        default:
            look(n);
        }
    }
}

static void *run_thread(void *baton)
{
    work((apr_uint64_t)(size_t)baton);
    return NULL;
}

static pid_t start_process(apr_uint64_t seed)
{
    pid_t pid = fork();

    if (pid == 0) {
        storm_interrupt(1000);
        work(seed);
        _exit(0);
    }
    return pid;
}

/* The first half lives as long as the storm. */
static int run_processes(int milliseconds)
{
    apr_time_t end = apr_time_now() + apr_time_from_msec(milliseconds);
    pid_t pids[PROCESSES];
    int kills = 0;
    int i;

    for (i = 0; i < PROCESSES; i++) {
        pids[i] = start_process(100 + i);
    }
    while (apr_time_now() < end) {
        i = PROCESSES / 2 + kills % (PROCESSES / 2);
        usleep(5000 + mix(kills) % 15000);
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
        pids[i] = start_process(1000 + kills++);
    }
    atomic_store(&world->stop, 1);
    for (i = 0; i < PROCESSES; i++) {
        waitpid(pids[i], NULL, 0);
    }
    return kills;
}

static void report(tap_t *tap, const char *who)
{
    printf("# %llu reads, %llu records, %llu revocations, %llu flushes\n",
           (unsigned long long)world->reads, (unsigned long long)world->hits,
           (unsigned long long)world->revocations,
           (unsigned long long)world->flushes);
    tap_ok(tap, world->hits > 0 && world->revocations > 0
                && world->flushes > 0, "%s read, revoke and flush", who);
    tap_ok(tap, world->broken == 0,
           "%s never read a record that is not one from end to end", who);
    tap_ok(tap, world->raised == 0,
           "%s never read a record from before a revocation that is done",
           who);
}

static void prepare(apr_pool_t *pool)
{
    memset(world, 0, sizeof(*world));
    atomic_store(&world->clock, NOW);
    if (token_table_create(&table, SLOTS, pool) != APR_SUCCESS) {
        printf("Bail out! no shared memory\n");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    int milliseconds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 3000;
    tap_t tap = { 0, 0 };
    apr_pool_t *pool;
    int kills;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prepare(pool);
    storm_run(run_thread, &world->stop, milliseconds);
    report(&tap, "threads");
    prepare(pool);
    kills = run_processes(milliseconds);
    report(&tap, "processes, some of them killed,");
    tap_ok(&tap, kills > 0, "%d processes were killed", kills);
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_end(&tap);
}
