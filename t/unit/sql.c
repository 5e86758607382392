/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The statements of the native table on a real SQLite file.  PostgreSQL's
 * are run by t/httoken and t/http; rotation.c cuts a rotation on both. */
#include <stdlib.h>

#include "apr_file_io.h"
#include "apr_general.h"
#include "apr_strings.h"
#include "apr_tables.h"

#include "tap.h"
#include "token_sql.h"

#define DIGEST(first) \
    first "4567890123456789012345678901234567890123456789012345678901234"
#define NOW APR_INT64_C(1798041600)

static const char digest_a[] = DIGEST("aaa");
static const char digest_b[] = DIGEST("bbb");
static const char digest_c[] = DIGEST("ccc");

typedef struct {
    tap_t tap;
    apr_pool_t *pool;
    const char *path;
    token_sql_t sql;
} test_t;

static int open_sql(test_t *test, token_sql_t *sql)
{
    const char *error = NULL;

    sql->dialect = token_dialect_find("sqlite3", TOKEN_SCHEMA_NATIVE);
    sql->prepared = apr_hash_make(test->pool);
    sql->pool = test->pool;
    sql->is_plain = 0;
    sql->is_open = 0;
    return apr_dbd_get_driver(test->pool, "sqlite3", &sql->driver)
           == APR_SUCCESS
        && apr_dbd_open_ex(sql->driver, test->pool, test->path, &sql->handle,
                           &error) == APR_SUCCESS;
}

/* What no statement of ours does. */
static int do_sql(const token_sql_t *sql, const char *text)
{
    int rows;

    return apr_dbd_query(sql->driver, sql->handle, &rows, text);
}

static void keep_record(void *baton, const token_record_t *record)
{
    APR_ARRAY_PUSH((apr_array_header_t *)baton, token_record_t) = *record;
}

static apr_array_header_t *select_all(test_t *test, token_sql_name_t name,
                                      const char *first, const char *second)
{
    apr_array_header_t *records =
        apr_array_make(test->pool, 4, sizeof(token_record_t));
    const char *args[2];
    int rc;

    args[0] = first;
    args[1] = second;
    rc = token_sql_select(&test->sql, name, args, keep_record, records,
                          test->pool);
    if (rc) {
        printf("# statement %d: %s\n", name,
               apr_dbd_error(test->sql.driver, test->sql.handle, rc));
        return NULL;
    }
    return records;
}

/* The ids' first letters in the order they came; "error" when it failed. */
static const char *get_letters(test_t *test, token_sql_name_t name,
                               const char *first, const char *second)
{
    apr_array_header_t *records = select_all(test, name, first, second);
    char *letters;
    int i;

    if (!records) {
        return "error";
    }
    letters = apr_pcalloc(test->pool, records->nelts + 1);
    for (i = 0; i < records->nelts; i++) {
        letters[i] = APR_ARRAY_IDX(records, i, token_record_t).id[0];
    }
    return letters;
}

/* When the schema changes, apr_dbd's SQLite refuses a statement that was
 * prepared before, and sometimes again the one prepared right after. */
static const char *get_letters_again(test_t *test, token_sql_name_t name,
                                     const char *first)
{
    const char *letters = "error";
    int attempt;

    for (attempt = 0; attempt < 3 && !strcmp(letters, "error"); attempt++) {
        if (attempt > 0) {
            token_sql_forget(&test->sql);
        }
        letters = get_letters(test, name, first, NULL);
    }
    return letters;
}

static token_record_t get_record(test_t *test, const char *digest)
{
    apr_array_header_t *records = select_all(test, TOKEN_SQL_VALIDATE,
                                             digest, NULL);
    token_record_t none;

    memset(&none, 0, sizeof(none));
    none.id = none.username = none.client = none.scope = none.networks
        = none.family = "?";
    return records && records->nelts == 1
        ? APR_ARRAY_IDX(records, 0, token_record_t) : none;
}

static int issue(test_t *test, const char *digest, const char *user,
                 apr_int64_t created, int *rows)
{
    token_record_t record;

    memset(&record, 0, sizeof(record));
    record.id = apr_pstrmemdup(test->pool, digest, TOKEN_ID_LEN);
    record.username = user;
    record.client = "git";
    record.scope = "read write";
    record.networks = strcmp(user, "alice") == 0 ? "" : "192.0.2.0/24 ::1";
    record.family = record.id;
    record.created_at = created;
    record.expires_at = created + 100;
    return token_sql_issue(&test->sql, &record, digest, rows, test->pool);
}

static void test_dialects(test_t *test)
{
    static const char *const known[] = { "pgsql", "sqlite3" };
    int i, name;

    for (i = 0; i < 2; i++) {
        const token_dialect_t *dialect = token_dialect_find(
            known[i], TOKEN_SCHEMA_NATIVE);
        int given = 0;

        for (name = 0; dialect && name < TOKEN_SQL_STATEMENTS; name++) {
            given += (dialect->statement[name] != NULL)
                == (name != TOKEN_SQL_USER && name < TOKEN_SQL_KEY);
        }
        tap_ok(&test->tap, given == TOKEN_SQL_STATEMENTS,
               "%s has each statement but those of Django's tables", known[i]);
    }
    tap_ok(&test->tap, !token_dialect_find("mysql", TOKEN_SCHEMA_NATIVE)
                       && !token_dialect_find("", TOKEN_SCHEMA_NATIVE),
           "other drivers have none");
}

/* A statement that there is not, one that was replaced, and what may stand
 * there. */
static void test_replaced(test_t *test)
{
    static const struct {
        token_sql_name_t name;
        const char *text;
        int good;
    } given[] = {
        { TOKEN_SQL_USER, "SELECT 1 WHERE 'a' = %s", 1 },
        { TOKEN_SQL_USER, "SELECT '%%' WHERE 'a' = %s", 1 },
        { TOKEN_SQL_USER, "", 1 },
        { TOKEN_SQL_USER, "SELECT 1", 0 },
        { TOKEN_SQL_USER, "SELECT %s, %s", 0 },
        { TOKEN_SQL_USER, "SELECT %%s", 0 },
        { TOKEN_SQL_USER, "SELECT %s%", 0 },
        { TOKEN_SQL_USER, "SELECT %s, %ld", 0 },
        { TOKEN_SQL_VALIDATE, "", 0 },
        { TOKEN_SQL_VALIDATE, "SELECT %s", 1 }
    };
    const char *replaced[TOKEN_SQL_STATEMENTS] = { NULL };
    const char *bob[] = { "bob" };
    int rows = 1;
    apr_size_t i;

    tap_ok(&test->tap, !token_sql_has(&test->sql, TOKEN_SQL_USER)
                       && token_sql_change(&test->sql, TOKEN_SQL_USER, bob,
                                           &rows, test->pool) == 0
                       && rows == 0
                       && select_all(test, TOKEN_SQL_USER, "bob",
                                     NULL)->nelts == 0,
           "a statement that there is not is good, and of no row");
    test->sql.replaced = replaced;
    replaced[TOKEN_SQL_USER] = "SELECT 1 WHERE 'bob' = %s";
    tap_ok(&test->tap, token_sql_has(&test->sql, TOKEN_SQL_USER)
                       && select_all(test, TOKEN_SQL_USER, "bob",
                                     NULL)->nelts == 1,
           "one in its place is run");
    replaced[TOKEN_SQL_TOUCH] = "";
    tap_ok(&test->tap, !token_sql_has(&test->sql, TOKEN_SQL_TOUCH),
           "an empty one is none");
    test->sql.replaced = NULL;
    for (i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        const char *wrong = token_dialect_check(given[i].name, given[i].text,
                                                test->pool);

        tap_ok(&test->tap, (wrong == NULL) == given[i].good,
               "\"%s\" is %s", given[i].text, given[i].good ? "good" : "bad");
    }
}

static void test_create(test_t *test)
{
    tap_is(&test->tap, get_letters(test, TOKEN_SQL_EXISTS, NULL, NULL), "",
           "the table is not there before it is made");
    tap_ok(&test->tap, !select_all(test, TOKEN_SQL_LIST, NULL, NULL),
           "reading it before is an error, not an empty answer");
    tap_ok(&test->tap, token_sql_create(&test->sql) == 0,
           "the table is made");
    tap_is(&test->tap, get_letters_again(test, TOKEN_SQL_EXISTS, NULL), "a",
           "it is there then");
    tap_ok(&test->tap, token_sql_create(&test->sql) == 0,
           "making it again is no error");
    tap_is(&test->tap, get_letters(test, TOKEN_SQL_LIST, NULL, NULL), "",
           "a new table is empty");
}

static void test_issue(test_t *test)
{
    int rows = 9;
    int rc = issue(test, digest_a, "alice", NOW, &rows);

    tap_ok(&test->tap, rc == 0 && rows == 1, "a token is issued: one row");
    rc = issue(test, digest_a, "mallory", NOW + 50, &rows);
    tap_ok(&test->tap, rc == 0 && rows == 0,
           "issuing it again changes no row");
    tap_is(&test->tap, get_record(test, digest_a).username, "alice",
           "it still is the first one's");
    issue(test, digest_b, "bob'; DROP TABLE auth_token; --", NOW + 1, &rows);
    tap_is(&test->tap, get_record(test, digest_b).username,
           "bob'; DROP TABLE auth_token; --",
           "a name is a value, whatever is in it");
    tap_is(&test->tap, get_record(test, digest_b).networks,
           "192.0.2.0/24 ::1", "networks are kept");
    tap_ok(&test->tap, issue(test, digest_c, "alice", NOW + 1, &rows) == 0,
           "a user may have two tokens");
}

static void test_validate(test_t *test)
{
    token_record_t record = get_record(test, digest_a);

    tap_is(&test->tap, record.id, "aaa4567890123456",
           "the id is the digest's beginning");
    tap_is(&test->tap, record.client, "git", "the client is kept");
    tap_is(&test->tap, record.scope, "read write", "the scope is kept");
    tap_is(&test->tap, record.networks, "", "networks are empty");
    tap_ok(&test->tap, record.created_at == NOW, "its creation is kept");
    tap_ok(&test->tap, record.expires_at == NOW + 100, "its end is kept");
    tap_ok(&test->tap, record.last_used_at == 0 && record.superseded_at == 0
                       && record.revoked_at == 0,
           "what is NULL is a moment that has not come");
    tap_is(&test->tap,
           get_letters(test, TOKEN_SQL_VALIDATE, DIGEST("fff"), NULL), "",
           "an unknown digest is no row");
    tap_is(&test->tap,
           get_letters(test, TOKEN_SQL_VALIDATE, "aaa4567890123456", NULL),
           "", "a digest's beginning is no row");
    tap_is(&test->tap, get_letters(test, TOKEN_SQL_VALIDATE, "", NULL), "",
           "nothing is no row");
    do_sql(&test->sql, "UPDATE auth_token SET last_used_at = 7, "
           "superseded_at = 8 WHERE username = 'alice'");
    record = get_record(test, digest_a);
    tap_ok(&test->tap, record.last_used_at == 7 && record.superseded_at == 8,
           "moments that have come are read");
    do_sql(&test->sql, "UPDATE auth_token SET last_used_at = NULL, "
           "superseded_at = NULL");
}

/* SQLite keeps in a column what it is given. */
static void test_odd_values(test_t *test)
{
    static const char *const not_null[] = {
        "'now'", "''", "0", "0.5", "-1", "-9223372036854775808"
    };
    token_record_t record;
    int i;

    for (i = 0; i < 6; i++) {
        do_sql(&test->sql, apr_pstrcat(test->pool, "UPDATE auth_token SET "
                                       "revoked_at = ", not_null[i],
                                       ", superseded_at = ", not_null[i],
                                       NULL));
        record = get_record(test, digest_a);
        tap_ok(&test->tap, record.revoked_at == 1
                           && record.superseded_at == 1,
               "what is %s has happened", not_null[i]);
    }
    do_sql(&test->sql, "UPDATE auth_token SET revoked_at = NULL, "
           "superseded_at = NULL, created_at = -9223372036854775808, "
           "expires_at = 9223372036854775807, last_used_at = 1e300");
    record = get_record(test, digest_a);
    tap_ok(&test->tap, record.created_at == 0
                       && record.expires_at == TOKEN_LAST_SECOND
                       && record.last_used_at == 1,
           "moments past all bounds are clipped");
    do_sql(&test->sql, "UPDATE auth_token SET expires_at = 'never', "
           "last_used_at = NULL");
    tap_ok(&test->tap, get_record(test, digest_a).expires_at == 0,
           "an end that is no number has come");
    do_sql(&test->sql, apr_psprintf(test->pool, "UPDATE auth_token SET "
           "created_at = %" APR_INT64_T_FMT " + (digest > 'b'), "
           "expires_at = %" APR_INT64_T_FMT, NOW, NOW + 100));
}

static void test_list(test_t *test)
{
    tap_is(&test->tap, get_letters(test, TOKEN_SQL_LIST, NULL, NULL), "bca",
           "a list is newest first, equals by digest");
    tap_is(&test->tap,
           get_letters(test, TOKEN_SQL_LIST_USER, "alice", NULL), "ca",
           "a user's list is his own");
    tap_is(&test->tap,
           get_letters(test, TOKEN_SQL_LIST_USER, "Alice", NULL), "",
           "users are case-sensitive");
    tap_is(&test->tap, get_letters(test, TOKEN_SQL_LIST_USER, "%", NULL),
           "", "there is no wildcard");
    tap_is(&test->tap,
           get_letters(test, TOKEN_SQL_SHOW, "bbb4567890123456",
                       "bbb4567890123456g"), "b",
           "an id shows its token");
    tap_is(&test->tap,
           get_letters(test, TOKEN_SQL_SHOW, "bbb4567890123455",
                       "bbb4567890123455g"), "",
           "another id shows none");
}

/* How many it revoked; -1 for an error. */
static int revoke_by(test_t *test, token_sql_name_t name, const char **args)
{
    apr_array_header_t *records = apr_array_make(test->pool, 4,
                                                 sizeof(token_record_t));

    return token_sql_select(&test->sql, name, args, keep_record, records,
                            test->pool) == 0 ? records->nelts : -1;
}

static void test_revoke(test_t *test)
{
    const char *args[3] = { "alice", "aaa4567890123456",
                            "aaa4567890123456g" };
    apr_int64_t before = apr_time_sec(apr_time_now());
    apr_int64_t moment;

    tap_ok(&test->tap, revoke_by(test, TOKEN_SQL_REVOKE_OWN, args) == 1,
           "a token is revoked: one row");
    moment = get_record(test, digest_a).revoked_at;
    tap_ok(&test->tap, moment >= before
                       && moment <= apr_time_sec(apr_time_now())
                       && get_record(test, digest_c).revoked_at == 0,
           "then it is revoked now, and no other");
    tap_ok(&test->tap, revoke_by(test, TOKEN_SQL_REVOKE_OWN, args) == 0
                       && get_record(test, digest_a).revoked_at == moment,
           "revoking it again changes no row, nor the moment");
    tap_ok(&test->tap, revoke_by(test, TOKEN_SQL_REVOKE_ALL, args) == 1,
           "revoking a user's tokens changes those that are not");
    tap_ok(&test->tap, get_record(test, digest_c).revoked_at >= moment
                       && get_record(test, digest_b).revoked_at == 0,
           "and none of another user");
    args[0] = "bob";
    tap_ok(&test->tap, revoke_by(test, TOKEN_SQL_REVOKE_OWN, args) == 0,
           "another user's id is no row");
    args[1] = "0000000000000000";
    args[2] = "0000000000000000g";
    tap_ok(&test->tap, revoke_by(test, TOKEN_SQL_REVOKE_OWN, args) == 0,
           "nor is an unknown one");
}

static void test_poll(test_t *test)
{
    const char *args[1] = { "3600" };
    apr_array_header_t *records = select_all(test, TOKEN_SQL_POLL, args[0],
                                             args[0]);

    tap_ok(&test->tap, records && records->nelts == 2
                       && strlen(APR_ARRAY_IDX(records, 0,
                                               token_record_t).id) == 64,
           "what was revoked in the last hour is polled by whole digests");
    do_sql(&test->sql, "UPDATE auth_token SET revoked_at = revoked_at - 7200"
                       " WHERE revoked_at IS NOT NULL");
    records = select_all(test, TOKEN_SQL_POLL, args[0], args[0]);
    tap_ok(&test->tap, records && records->nelts == 0,
           "and what was revoked before is not");
}

/* Text in an integer column would make comparisons lie. */
static void test_types(test_t *test)
{
    int rc = do_sql(&test->sql,
                    "CREATE TABLE wrong AS SELECT 1 FROM auth_token WHERE "
                    "typeof(created_at) <> 'integer' OR "
                    "typeof(expires_at) <> 'integer' OR "
                    "typeof(revoked_at) NOT IN ('integer', 'null')");
    int rows = -1;

    tap_ok(&test->tap, rc == 0
                       && apr_dbd_query(test->sql.driver, test->sql.handle,
                                        &rows, "DELETE FROM wrong") == 0
                       && rows == 0,
           "moments are integers in the table");
}

static void test_schema_change(test_t *test)
{
    token_sql_t other;

    tap_ok(&test->tap, open_sql(test, &other)
                       && do_sql(&other, "ALTER TABLE auth_token ADD COLUMN "
                                         "note text") == 0
                       && do_sql(&other, "CREATE INDEX auth_token_client ON "
                                         "auth_token (client)") == 0,
           "another connection changes the schema");
    tap_is(&test->tap, get_letters_again(test, TOKEN_SQL_VALIDATE, digest_b),
           "b", "prepared again, a statement answers within three attempts");
    tap_is(&test->tap, get_letters(test, TOKEN_SQL_VALIDATE, digest_b, NULL),
           "b", "and goes on to answer");
    apr_dbd_close(other.driver, other.handle);
}

static void test_prepare(test_t *test)
{
    static int foreign;

    apr_hash_set(test->sql.prepared, "foreign", APR_HASH_KEY_STRING,
                 &foreign);
    token_sql_forget(&test->sql);
    tap_ok(&test->tap, token_sql_prepare(&test->sql, TOKEN_SQL_SHOW) == 0,
           "a statement is prepared");
    tap_ok(&test->tap, apr_hash_get(test->sql.prepared, "foreign",
                                    APR_HASH_KEY_STRING) == &foreign,
           "forgetting leaves what is another module's");
    do_sql(&test->sql, "DROP TABLE auth_token");
    tap_ok(&test->tap, token_sql_prepare(&test->sql, TOKEN_SQL_SHOW) == 0,
           "it is prepared once");
    token_sql_forget(&test->sql);
    tap_ok(&test->tap, token_sql_prepare(&test->sql, TOKEN_SQL_SHOW) != 0,
           "and afresh when it was forgotten");
    tap_ok(&test->tap, token_sql_prepare(&test->sql, TOKEN_SQL_SHOW) != 0,
           "one that cannot be prepared is not kept");
    tap_ok(&test->tap, !select_all(test, TOKEN_SQL_VALIDATE, digest_b, NULL),
           "without the table an answer is an error, not unknown");
}

static const char *make_file(apr_pool_t *pool)
{
    const char *dir = NULL;
    char *path;
    apr_file_t *file;

    apr_temp_dir_get(&dir, pool);
    path = apr_pstrcat(pool, dir, "/authn_token_unit_XXXXXX", NULL);
    if (apr_file_mktemp(&file, path, APR_READ | APR_WRITE | APR_CREATE
                                         | APR_EXCL, pool) != APR_SUCCESS) {
        return NULL;
    }
    apr_file_close(file);
    return path;
}

static int change(test_t *test, token_sql_name_t name, const char **args)
{
    int rows = 0;
    int rc = token_sql_change(&test->sql, name, args, &rows, test->pool);

    return rc == 0 ? rows : -1;
}

/* A row that tells of a theft stays while its family lives. */
static void test_purge(test_t *test)
{
    static const char *const age[2] = { "100", "10" };
    const char *args[2];
    token_record_t heir;
    token_rotation_t rotation = { digest_a, digest_b, &heir, NULL, NULL };
    int rows;

    args[0] = age[0];
    args[1] = age[1];
    memset(&heir, 0, sizeof(heir));
    heir.username = "alice";
    heir.created_at = NOW;
    heir.expires_at = APR_INT64_C(4000000000);
    token_sql_create(&test->sql);
    issue(test, digest_a, "alice", APR_INT64_C(3900000000), &rows);
    tap_ok(&test->tap, token_sql_rotate(&test->sql, &rotation, &rows,
                                        test->pool) == 0
                       && rows == 1, "a token is rotated");
    do_sql(&test->sql, "UPDATE auth_token SET expires_at = 1000 "
                       "WHERE superseded_at IS NOT NULL");
    tap_ok(&test->tap, change(test, TOKEN_SQL_PURGE_EXPIRED, args) == 0,
           "an expired token whose heir lives is not purged");
    do_sql(&test->sql, "UPDATE auth_token SET expires_at = 1000");
    tap_ok(&test->tap, change(test, TOKEN_SQL_PURGE_EXPIRED, args) == 2,
           "with its heir it is");
}

static void keep_text(void *baton, const token_sql_row_t *row)
{
    test_t *test = ((void **)baton)[0];
    const char **text = ((void **)baton)[1];

    *text = row->columns == 2 ? apr_pstrcat(test->pool, *text,
                                            row->column[0], ",",
                                            row->column[1], ";", NULL)
                              : "another number of columns";
}

/* "hash,is_active;" of each user of that name; "error" when it failed. */
static const char *get_password(test_t *test, const char *name)
{
    const char *text = "";
    void *baton[2] = { test, &text };
    const char *args[1] = { name };
    int attempt;

    for (attempt = 0; attempt < 3; attempt++) {
        if (token_sql_rows(&test->sql, TOKEN_SQL_PASSWORD, args, keep_text,
                           baton, test->pool) == 0) {
            return text;
        }
        token_sql_forget(&test->sql);
    }
    return "error";
}

/* Django's table, but for other columns. */
static void test_password(test_t *test)
{
    tap_is(&test->tap, get_password(test, "o'neil"), "error",
           "without auth_user it is an error to ask for a password");
    do_sql(&test->sql, "CREATE TABLE auth_user (password varchar(128) NOT "
           "NULL, username varchar(150) NOT NULL UNIQUE, is_active bool NOT "
           "NULL)");
    do_sql(&test->sql, "INSERT INTO auth_user VALUES ('md5$a$b', 'o''neil', "
           "1), ('!', 'O''Neil', 0)");
    tap_is(&test->tap, get_password(test, "o'neil"), "md5$a$b,1;",
           "the hash and is_active of one user are told");
    tap_is(&test->tap, get_password(test, "nobody"), "",
           "of an unknown one nothing is");
}

int main(void)
{
    test_t test;

    memset(&test, 0, sizeof(test));
    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&test.pool, NULL);
    apr_dbd_init(test.pool);
    test.path = make_file(test.pool);
    if (!test.path || !open_sql(&test, &test.sql)) {
        printf("Bail out! no SQLite file could be opened\n");
        return 1;
    }
    test_dialects(&test);
    test_create(&test);
    test_replaced(&test);
    test_issue(&test);
    test_validate(&test);
    test_odd_values(&test);
    test_list(&test);
    test_revoke(&test);
    test_poll(&test);
    test_types(&test);
    test_schema_change(&test);
    test_prepare(&test);
    test_purge(&test);
    test_password(&test);
    apr_dbd_close(test.sql.driver, test.sql.handle);
    apr_file_remove(test.path, test.pool);
    apr_file_remove(apr_pstrcat(test.pool, test.path, "-wal", NULL),
                    test.pool);
    apr_file_remove(apr_pstrcat(test.pool, test.path, "-shm", NULL),
                    test.pool);
    return tap_end(&test.tap);
}
