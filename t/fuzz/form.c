/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The input is a Content-Type, a line's end and the body of a login.  What
 * is read as text is text, and is the same when it is written in each of the
 * three forms and read again; what is refused leaves no field, and its error
 * repeats nothing of the body. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "apr_escape.h"
#include "apr_strings.h"

#include "fuzz.h"
#include "token_form.h"
#include "token_text.h"

#define BOUNDARY "=_fuzz_of_forms_="

static const char *read_form(token_form_t *form, const void *body,
                             size_t len, const char *type, apr_pool_t *pool)
{
    return token_form_read(form, fuzz_copy(body, len), len, type, 0, pool);
}

static void check_fields(const token_form_t *form)
{
    int i;

    for (i = 0; i < TOKEN_FIELDS; i++) {
        const token_field_t *field = &form->field[i];

        if (field->state == TOKEN_FIELD_TEXT) {
            HOLDS(field->text, "a field of text has one");
            HOLDS(token_text_is_utf8(field->text, strlen(field->text)),
                  "a field is UTF-8");
        }
    }
}

/* Fixed words, and for JSON a place: nothing that was sent.  A NUL stands
 * for all else, so each byte of it is looked at. */
static void check_error(const token_form_t *form, const char *wrong)
{
    static const char *const known[] = {
        "JSON parse error - ", "No data provided",
        "Invalid data. Expected a dictionary, but got ",
        "Form parse error - ", "Multipart form parse error - ",
        "Unsupported media type"
    };
    int i, is_known = 0;

    for (i = 0; i < (int)(sizeof(known) / sizeof(known[0])); i++) {
        is_known |= strncmp(wrong, known[i], strlen(known[i])) == 0;
    }
    HOLDS(is_known && strlen(wrong) < 150, "an error is a known one");
    HOLDS(strspn(wrong, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                 "0123456789 -.,:()%'8") == strlen(wrong),
          "an error is words");
    for (i = 0; i < TOKEN_FIELDS; i++) {
        HOLDS(form->field[i].state == TOKEN_FIELD_ABSENT
              && !form->field[i].text, "a body refused leaves no field");
    }
}

static void check_same(const token_form_t *form, const char *body,
                       const char *type, const char *what, apr_pool_t *pool)
{
    token_form_t again;
    int i;

    HOLDS(!read_form(&again, body, strlen(body), type, pool), what);
    for (i = 0; i < TOKEN_FIELDS; i++) {
        const token_field_t *field = &form->field[i];
        int is_text = field->state == TOKEN_FIELD_TEXT;

        HOLDS(again.field[i].state
              == (is_text ? TOKEN_FIELD_TEXT : TOKEN_FIELD_ABSENT), what);
        HOLDS(!is_text || strcmp(field->text, again.field[i].text) == 0,
              what);
    }
}

static void write_json(const token_form_t *form, apr_pool_t *pool)
{
    json_t *json = json_object();
    char *text;
    int i;

    for (i = 0; i < TOKEN_FIELDS; i++) {
        if (form->field[i].state == TOKEN_FIELD_TEXT) {
            json_object_set_new(json, token_form_field_name(i),
                                json_string(form->field[i].text));
        }
    }
    text = json_dumps(json, JSON_ENSURE_ASCII);
    check_same(form, text, "application/json",
               "fields written as JSON are the same", pool);
    free(text);
    json_decref(json);
}

static void write_urlencoded(const token_form_t *form, apr_pool_t *pool)
{
    const char *body = "";
    int i;

    for (i = 0; i < TOKEN_FIELDS; i++) {
        if (form->field[i].state == TOKEN_FIELD_TEXT) {
            const char *text = form->field[i].text;
            char *hex = apr_palloc(pool, 3 * strlen(text) + 1);
            char *out = hex;

            for (; *text; text++, out += 3) {
                apr_snprintf(out, 4, "%%%02X", (unsigned char)*text);
            }
            *out = '\0';
            body = apr_pstrcat(pool, body, token_form_field_name(i), "=",
                               hex, "&", NULL);
        }
    }
    check_same(form, body, "application/x-www-form-urlencoded",
               "fields written as a form are the same", pool);
}

static void write_multipart(const token_form_t *form, apr_pool_t *pool)
{
    const char *body = "";
    int i;

    for (i = 0; i < TOKEN_FIELDS; i++) {
        if (form->field[i].state == TOKEN_FIELD_TEXT) {
            if (strstr(form->field[i].text, BOUNDARY)) {
                return;
            }
            body = apr_pstrcat(pool, body, "--" BOUNDARY "\r\n"
                               "Content-Disposition: form-data; name=\"",
                               token_form_field_name(i), "\"\r\n\r\n",
                               form->field[i].text, "\r\n", NULL);
        }
    }
    check_same(form, apr_pstrcat(pool, body, "--" BOUNDARY "--\r\n", NULL),
               "multipart/form-data; boundary=\"" BOUNDARY "\"",
               "fields written as multipart are the same", pool);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    apr_pool_t *pool = fuzz_begin();
    const char *type = fuzz_line(&data, &size);
    token_form_t form;
    const char *wrong = read_form(&form, data, size, type, pool);

    if (wrong) {
        check_error(&form, wrong);
    }
    else {
        HOLDS(token_form_type(type) != TOKEN_FORM_UNSUPPORTED,
              "what is read has a type");
        check_fields(&form);
        write_json(&form, pool);
        write_urlencoded(&form, pool);
        write_multipart(&form, pool);
    }
    token_form_wipe(&form);
    fuzz_end();
    return 0;
}
