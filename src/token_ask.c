/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what may be asked for a token, and what it gets when nothing is.
 * Errors are worded as Django REST framework words them. */
#include <string.h>

#include "httpd.h"
#include "apr_strings.h"

#include "token_ask.h"
#include "token_text.h"

/* Bytes. */
#define CLIENT_MAX 100

const char *token_ask_check(const token_field_t *field, int required)
{
    switch (field->state) {
    case TOKEN_FIELD_ABSENT:
        return required ? "This field is required." : NULL;
    case TOKEN_FIELD_NULL:
        return "This field may not be null.";
    case TOKEN_FIELD_OTHER:
        return "Not a valid string.";
    case TOKEN_FIELD_TWICE:
        return "This field may be given only once.";
    case TOKEN_FIELD_NUL:
        return "Null characters are not allowed.";
    case TOKEN_FIELD_TEXT:
        break;
    }
    return required && !field->text[0] ? "This field may not be blank."
                                       : NULL;
}

void token_ask_trim(token_field_t *field)
{
    static const char blanks[] = " \t\r\n\v\f";

    if (field->state == TOKEN_FIELD_TEXT) {
        apr_size_t len;

        field->text += strspn(field->text, blanks);
        len = strlen(field->text);
        while (len && strchr(blanks, field->text[len - 1])) {
            field->text[--len] = '\0';
        }
    }
}

/* The User-Agent's product, "curl" of "curl/7.88.1". */
static const char *name_client(request_rec *r)
{
    const char *agent = apr_table_get(r->headers_in, "User-Agent");
    apr_size_t len = agent ? strcspn(agent, "/ \t(;") : 0;

    if (len == 0 || len > CLIENT_MAX || !token_text_is_utf8(agent, len)
        || !token_text_is_printable(agent, len)) {
        return "unknown";
    }
    return apr_pstrmemdup(r->pool, agent, len);
}

static const char *read_client(request_rec *r, token_field_t *field,
                               token_ask_t *ask)
{
    const char *wrong = token_ask_check(field, 0);

    ask->client = NULL;
    if (wrong) {
        return wrong;
    }
    if (field->state == TOKEN_FIELD_ABSENT || !field->text[0]) {
        ask->client = name_client(r);
        return NULL;
    }
    if (strlen(field->text) > CLIENT_MAX) {
        return apr_psprintf(r->pool, "Ensure this field has no more than %d "
                            "bytes.", CLIENT_MAX);
    }
    if (!token_text_is_printable(field->text, strlen(field->text))) {
        return "Control characters are not allowed.";
    }
    ask->client = field->text;
    return NULL;
}

/* Every word asked for must be allowed; nothing asked is all. */
static const char *read_scope(request_rec *r, token_field_t *field,
                              const char *allowed, token_ask_t *ask)
{
    const char *wrong = token_ask_check(field, 0);
    const char *word;

    ask->scope = allowed;
    if (wrong || field->state == TOKEN_FIELD_ABSENT) {
        return wrong;
    }
    ask->scope = "";
    for (word = field->text; *(word += strspn(word, " "));) {
        apr_size_t len = strcspn(word, " ");

        if (!token_text_has_word(allowed, word, len)) {
            return apr_psprintf(r->pool, "\"%s\" is not a valid choice.",
                                apr_pstrmemdup(r->pool, word, len));
        }
        if (!token_text_has_word(ask->scope, word, len)) {
            ask->scope = apr_pstrcat(r->pool, ask->scope,
                                     *ask->scope ? " " : "",
                                     apr_pstrmemdup(r->pool, word, len),
                                     NULL);
        }
        word += len;
    }
    if (!*ask->scope) {
        ask->scope = allowed;
    }
    return NULL;
}

static const char *read_expires_in(request_rec *r, token_field_t *field,
                                   token_ask_t *ask)
{
    const char *wrong = token_ask_check(field, 0);

    ask->expires_in = 0;
    if (wrong || field->state == TOKEN_FIELD_ABSENT) {
        return wrong;
    }
    if (!token_text_number(&ask->expires_in, field->text)
        || ask->expires_in < 1) {
        return apr_psprintf(r->pool, "A number of seconds from 1 to %"
                            APR_INT64_T_FMT " is required.",
                            TOKEN_SECONDS_MAX);
    }
    return NULL;
}

void token_ask_error(json_t *errors, token_field_name_t name,
                     const char *wrong)
{
    if (wrong) {
        json_object_set_new(errors, token_form_field_name(name),
                            json_pack("[s]", wrong));
    }
}

void token_ask_read(request_rec *r, token_form_t *form, const char *allowed,
                    token_ask_t *ask, json_t *errors)
{
    token_field_t *field = form->field;

    token_ask_trim(&field[TOKEN_FIELD_CLIENT]);
    token_ask_trim(&field[TOKEN_FIELD_EXPIRES_IN]);
    token_ask_error(errors, TOKEN_FIELD_CLIENT,
                    read_client(r, &field[TOKEN_FIELD_CLIENT], ask));
    token_ask_error(errors, TOKEN_FIELD_SCOPE,
                    read_scope(r, &field[TOKEN_FIELD_SCOPE], allowed, ask));
    token_ask_error(errors, TOKEN_FIELD_EXPIRES_IN,
                    read_expires_in(r, &field[TOKEN_FIELD_EXPIRES_IN], ask));
}
