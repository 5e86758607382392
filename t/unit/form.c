/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Each file of t/data/form is a body and what must come of it; its name says
 * the point.  The file's head, up to an empty line:
 *     Content-Type: the header's value
 *     error: the whole message, or its beginning and "*"; none: no error
 *     FIELD: ABSENT, TEXT and the text, NULL, OTHER, TWICE or NUL
 * Control characters and backslashes of a text are written \xHH. */
#include <dirent.h>
#include <stdlib.h>

#include "apr_file_info.h"
#include "apr_file_io.h"
#include "apr_general.h"
#include "apr_strings.h"
#include "apr_tables.h"

#include "tap.h"
#include "token_form.h"

#define DIRECTORY "t/data/form"

typedef struct {
    const char *name;           /* of the file, with blanks */
    const char *content_type;
    const char *error;
    const char *field[TOKEN_FIELDS];
    const char *body;
    apr_size_t len;
} case_t;

/* --- reading a case --- */

static char *read_file(const char *path, apr_size_t *len, apr_pool_t *pool)
{
    apr_file_t *file;
    apr_finfo_t info;
    char *bytes;

    if (apr_file_open(&file, path, APR_READ | APR_BINARY, 0, pool)
        != APR_SUCCESS
        || apr_file_info_get(&info, APR_FINFO_SIZE, file) != APR_SUCCESS) {
        return NULL;
    }
    bytes = apr_pcalloc(pool, info.size + 1);
    *len = info.size;
    if (info.size
        && apr_file_read_full(file, bytes, *len, len) != APR_SUCCESS) {
        return NULL;
    }
    apr_file_close(file);
    return bytes;
}

static int read_head(case_t *c, const char *line)
{
    int i;

    if (strncmp(line, "Content-Type: ", 14) == 0) {
        c->content_type = line + 14;
        return 1;
    }
    if (strncmp(line, "error: ", 7) == 0) {
        c->error = line + 7;
        return 1;
    }
    for (i = 0; i < TOKEN_FIELDS; i++) {
        const char *name = token_form_field_name((token_field_name_t)i);
        size_t len = strlen(name);

        if (strncmp(line, name, len) == 0 && line[len] == ':') {
            c->field[i] = line + len + 2;
            return 1;
        }
    }
    return 0;
}

static int read_case(case_t *c, const char *file, apr_pool_t *pool)
{
    apr_size_t len;
    char *bytes = read_file(apr_pstrcat(pool, DIRECTORY "/", file, NULL),
                            &len, pool);
    char *end = bytes ? strstr(bytes, "\n\n") : NULL;
    char *line, *last, *dash;

    memset(c, 0, sizeof(*c));
    c->name = dash = apr_pstrdup(pool, file);
    while ((dash = strchr(dash, '-'))) {
        *dash = ' ';
    }
    if (!end) {
        return 0;
    }
    c->body = end + 2;
    c->len = len - (c->body - bytes);
    *end = '\0';
    for (line = apr_strtok(bytes, "\n", &last); line;
         line = apr_strtok(NULL, "\n", &last)) {
        if (!read_head(c, line)) {
            return 0;
        }
    }
    return c->content_type != NULL;
}

/* --- telling what came of it --- */

static const char *describe_field(const token_field_t *field,
                                  apr_pool_t *pool)
{
    static const char *const states[] = {
        "ABSENT", "TEXT", "NULL", "OTHER", "TWICE", "NUL"
    };
    const char *text = field->text;
    char *out, *o;

    if (field->state != TOKEN_FIELD_TEXT) {
        return states[field->state];
    }
    out = o = apr_palloc(pool, 4 * strlen(text) + 6);
    o += apr_snprintf(o, 6, "TEXT ");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x20 || c == '\\') {
            o += apr_snprintf(o, 5, "\\x%02X", c);
        }
        else {
            *o++ = *text;
        }
    }
    *o = '\0';
    return out;
}

static const char *describe(const char *error, const token_form_t *form,
                            apr_pool_t *pool)
{
    const char *text = error ? apr_pstrcat(pool, "error: ", error, NULL)
                             : "";
    int i;

    for (i = 0; i < TOKEN_FIELDS; i++) {
        /* With an error there must be no field, and no word of any. */
        if (!error || form->field[i].state != TOKEN_FIELD_ABSENT) {
            text = apr_pstrcat(pool, text, i ? "; " : "",
                               describe_field(&form->field[i], pool), NULL);
        }
    }
    return text;
}

/* "*" at the end of the wanted error leaves the rest open. */
static const char *describe_wanted(const case_t *c, const char *got,
                                   apr_pool_t *pool)
{
    const char *text = "";
    int i;

    if (c->error) {
        size_t len = strlen(c->error);

        text = apr_pstrcat(pool, "error: ", c->error, NULL);
        return c->error[len - 1] == '*'
            && strncmp(got, text, strlen(text) - 1) == 0 ? got : text;
    }
    for (i = 0; i < TOKEN_FIELDS; i++) {
        text = apr_pstrcat(pool, text, i ? "; " : "",
                           c->field[i] ? c->field[i] : "ABSENT", NULL);
    }
    return text;
}

/* --- the tests --- */

/* In memory of exactly the size that is promised. */
static const char *read_body(token_form_t *form, const case_t *c,
                             apr_size_t len, apr_pool_t *pool)
{
    char *body = malloc(len + 1);
    const char *error;
    const char *text;

    memcpy(body, c->body, len);
    body[len] = 'X';
    error = token_form_read(form, body, len, c->content_type, 0, pool);
    text = describe(error, form, pool);
    token_form_wipe(form);
    free(body);
    return text;
}

static void test_case(tap_t *tap, const char *file, apr_pool_t *pool)
{
    case_t c;
    token_form_t form;
    const char *got;
    apr_size_t len;
    apr_pool_t *scratch;

    if (!read_case(&c, file, pool)) {
        tap_ok(tap, 0, "%s is a case", file);
        return;
    }
    got = read_body(&form, &c, c.len, pool);
    tap_is(tap, got, describe_wanted(&c, got, pool), "%s", c.name);
    /* Whatever comes of them, the sanitizers must stay silent. */
    apr_pool_create(&scratch, pool);
    for (len = 0; len < c.len && len < 1000; len++) {
        read_body(&form, &c, len, scratch);
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void test_files(tap_t *tap, apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 200, sizeof(char *));
    DIR *directory = opendir(DIRECTORY);
    struct dirent *entry;
    int i;

    while (directory && (entry = readdir(directory))) {
        if (entry->d_name[0] != '.') {
            APR_ARRAY_PUSH(names, const char *) =
                apr_pstrdup(pool, entry->d_name);
        }
    }
    if (directory) {
        closedir(directory);
    }
    tap_ok(tap, names->nelts >= 100, "%s has its cases", DIRECTORY);
    qsort(names->elts, names->nelts, sizeof(char *), compare_names);
    for (i = 0; i < names->nelts; i++) {
        test_case(tap, APR_ARRAY_IDX(names, i, const char *), pool);
    }
}

static void test_wipe(tap_t *tap, apr_pool_t *pool)
{
    static const char *const types[] = {
        "application/json", "application/x-www-form-urlencoded"
    };
    static const char *const bodies[] = {
        "{\"username\":\"alice\",\"password\":\"wonder\"}",
        "username=alice&password=wonder"
    };
    token_form_t form;
    int i;

    for (i = 0; i < 2; i++) {
        char *body = apr_pstrdup(pool, bodies[i]);
        char *password;

        token_form_read(&form, body, strlen(body), types[i], 0, pool);
        password = form.field[TOKEN_FIELD_PASSWORD].text;
        token_form_wipe(&form);
        tap_ok(tap, memcmp(password, "\0\0\0\0\0\0", 7) == 0
                    && !strcmp(form.field[TOKEN_FIELD_USERNAME].text,
                               "alice"),
               "the password of %s is wiped, and it alone", types[i]);
    }
    memset(&form, 0, sizeof(form));
    token_form_wipe(&form);
    tap_ok(tap, 1, "a form without a password is wiped without harm");
}

static void test_no_type(tap_t *tap, apr_pool_t *pool)
{
    token_form_t form;
    char body[] = "{}";

    tap_ok(tap, token_form_type(NULL) == TOKEN_FORM_UNSUPPORTED,
           "no Content-Type is not supported");
    tap_is(tap, token_form_read(&form, body, 2, NULL, 0, pool),
           "Unsupported media type", "a body without one is not read");
}

/* A field given twice: an error, or the last of both. */
static void test_twice(tap_t *tap, apr_pool_t *pool)
{
    static const struct {
        const char *type, *body;
    } given[] = {
        { "application/json",
          "{\"username\":\"x\",\"username\":\"alice\"}" },
        { "application/x-www-form-urlencoded", "username=x&username=alice" }
    };
    token_form_t form;
    int i;

    for (i = 0; i < 2; i++) {
        char *body = apr_pstrdup(pool, given[i].body);
        const char *wrong = token_form_read(&form, body, strlen(body),
                                            given[i].type, 0, pool);

        tap_ok(tap, wrong || form.field[TOKEN_FIELD_USERNAME].state
                    == TOKEN_FIELD_TWICE,
               "%s: a field given twice is an error", given[i].type);
        body = apr_pstrdup(pool, given[i].body);
        wrong = token_form_read(&form, body, strlen(body), given[i].type, 1,
                                pool);
        tap_ok(tap, !wrong
                    && form.field[TOKEN_FIELD_USERNAME].state
                       == TOKEN_FIELD_TEXT
                    && strcmp(form.field[TOKEN_FIELD_USERNAME].text,
                              "alice") == 0,
               "%s: or its last is taken", given[i].type);
    }
}

int main(void)
{
    tap_t tap = { 0, 0 };
    apr_pool_t *pool;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    test_files(&tap, pool);
    test_wipe(&tap, pool);
    test_no_type(&tap, pool);
    test_twice(&tap, pool);
    return tap_end(&tap);
}
