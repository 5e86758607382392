/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what a login body says, and whether it is a body at all.  Which
 * fields are needed, and whether they are good, is the login's decision.
 * Multipart is read by a parser of our own: no packaged library reads it
 * from memory without spooling parts into files. */
#include <string.h>

#include <jansson.h>

#include "apr_cstr.h"
#include "apr_escape.h"
#include "apr_strings.h"

#include "token_crypt.h"
#include "token_form.h"
#include "token_text.h"

/* RFC 2046 section 5.1.1 */
#define BOUNDARY_MAX 70
#define BOUNDARY_CHARS \
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" \
    "'()+_,-./:=? "

static const char *const field_names[TOKEN_FIELDS] = {
    "username", "password", "client", "scope", "expires_in"
};

static const char bad_utf8[] = "it is not UTF-8";

const char *token_form_field_name(token_field_name_t name)
{
    return field_names[name];
}

token_form_type_t token_form_type(const char *content_type)
{
    static const char *const types[] = {
        "application/json", "application/x-www-form-urlencoded",
        "multipart/form-data"
    };
    apr_size_t len;
    int i;

    if (!content_type) {
        return TOKEN_FORM_UNSUPPORTED;
    }
    len = strcspn(content_type, "; \t");
    for (i = 0; i < TOKEN_FORM_UNSUPPORTED; i++) {
        if (strlen(types[i]) == len
            && apr_cstr_casecmpn(types[i], content_type, len) == 0) {
            return (token_form_type_t)i;
        }
    }
    return TOKEN_FORM_UNSUPPORTED;
}

static token_field_t *find_field(token_form_t *form, const char *name)
{
    int i;

    for (i = 0; i < TOKEN_FIELDS; i++) {
        if (strcmp(field_names[i], name) == 0) {
            return &form->field[i];
        }
    }
    return NULL;
}

/* text[len] must be a NUL of the caller's. */
static void set_text(const token_form_t *form, token_field_t *field,
                     char *text, apr_size_t len)
{
    if (field->state != TOKEN_FIELD_ABSENT && !form->last_wins) {
        field->state = TOKEN_FIELD_TWICE;
    }
    else if (memchr(text, '\0', len)) {
        field->state = TOKEN_FIELD_NUL;
    }
    else {
        field->state = TOKEN_FIELD_TEXT;
        field->text = text;
    }
}

/* --- JSON --- */

static void set_json(const token_form_t *form, token_field_t *field,
                     json_t *value, apr_pool_t *pool)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        set_text(form, field,
                 apr_pstrmemdup(pool, json_string_value(value),
                                json_string_length(value)),
                 json_string_length(value));
        break;
    case JSON_INTEGER:
        field->state = TOKEN_FIELD_TEXT;
        /* APR's formatter does not know jansson's "%lld". */
        field->text = apr_psprintf(pool, "%" APR_INT64_T_FMT,
                                   (apr_int64_t)json_integer_value(value));
        break;
    case JSON_REAL:
        field->state = TOKEN_FIELD_TEXT;
        field->text = apr_psprintf(pool, "%.15g", json_real_value(value));
        break;
    case JSON_NULL:
        field->state = TOKEN_FIELD_NULL;
        break;
    default:
        field->state = TOKEN_FIELD_OTHER;
    }
}

static const char *name_json_type(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_ARRAY:
        return "list";
    case JSON_STRING:
        return "str";
    case JSON_INTEGER:
        return "int";
    case JSON_REAL:
        return "float";
    default:
        return "bool";
    }
}

static const char *read_json(token_form_t *form, const char *body,
                             apr_size_t len, apr_pool_t *pool)
{
    const char *wrong = NULL;
    json_error_t error;
    json_t *root;
    int i;

    /* Recursion is bounded by jansson (JSON_PARSER_MAX_DEPTH, 2048). */
    root = json_loadb(body, len, (form->last_wins ? 0
                                                  : JSON_REJECT_DUPLICATES)
                                     | JSON_ALLOW_NUL | JSON_DECODE_ANY,
                      &error);
    if (!root) {
        /* The text of the error may quote the body: only where is said. */
        return apr_psprintf(pool, "JSON parse error - not JSON, or a name "
                            "given twice: line %d column %d (char %d)",
                            error.line, error.column, error.position);
    }
    if (json_is_null(root)) {
        wrong = "No data provided";
    }
    else if (!json_is_object(root)) {
        wrong = apr_psprintf(pool, "Invalid data. Expected a dictionary, "
                             "but got %s.", name_json_type(root));
    }
    form->is_other = wrong != NULL;
    for (i = 0; !wrong && i < TOKEN_FIELDS; i++) {
        json_t *value = json_object_get(root, field_names[i]);

        if (value) {
            set_json(form, &form->field[i], value, pool);
        }
    }
    json_decref(root);
    return wrong;
}

/* --- application/x-www-form-urlencoded --- */

/* Decodes in place; NULL when it is good. */
static const char *decode_part(char *part, apr_size_t *len)
{
    apr_size_t size = 0;

    if (memchr(part, '\0', *len)) {
        return "it has a NUL byte";
    }
    switch (apr_unescape_url(part, part, *len, NULL, NULL, 1, &size)) {
    case APR_SUCCESS:
    case APR_BADCH:
        /* BADCH: with %00 in it, which is the field's fault, not the form's */
        break;
    case APR_NOTFOUND:
        /* nothing was escaped: the text is as it stands */
        return token_text_is_utf8(part, *len) ? NULL : bad_utf8;
    default:
        return "a % without two hex digits";
    }
    *len = size - 1;
    return token_text_is_utf8(part, *len) ? NULL : bad_utf8;
}

static const char *read_pair(token_form_t *form, char *pair, apr_size_t len)
{
    char *value = memchr(pair, '=', len);
    apr_size_t name_len = value ? (apr_size_t)(value - pair) : len;
    apr_size_t value_len = value ? len - name_len - 1 : 0;
    token_field_t *field;
    const char *wrong;

    pair[len] = '\0';
    pair[name_len] = '\0';
    value = pair + (value ? name_len + 1 : len);
    wrong = decode_part(pair, &name_len);
    if (!wrong) {
        wrong = decode_part(value, &value_len);
    }
    if (wrong) {
        return wrong;
    }
    /* "username%00x" is another name than username. */
    field = strlen(pair) == name_len ? find_field(form, pair) : NULL;
    if (field) {
        set_text(form, field, value, value_len);
    }
    return NULL;
}

static const char *read_urlencoded(token_form_t *form, char *body,
                                   apr_size_t len, apr_pool_t *pool)
{
    char *end = body + len;

    while (body < end) {
        char *amp = memchr(body, '&', end - body);
        const char *wrong;

        if (!amp) {
            amp = end;
        }
        wrong = amp > body ? read_pair(form, body, amp - body) : NULL;
        if (wrong) {
            return apr_pstrcat(pool, "Form parse error - ", wrong, NULL);
        }
        body = amp + 1;
    }
    return NULL;
}

/* --- multipart/form-data --- */

/* Copies a parameter's value, quoted or not, to out, and moves the cursor
 * past it and blanks.  0 when a quote is not closed, or when something
 * else than the next parameter follows. */
static int copy_value(char *out, const char **cursor)
{
    const char *c = *cursor;

    if (*c != '"') {
        while (*c && !strchr("; \t\"", *c)) {
            *out++ = *c++;
        }
    }
    else {
        for (c++; *c != '"'; *out++ = *c++) {
            if (*c == '\\') {
                c++;
            }
            if (!*c) {
                return 0;
            }
        }
        c++;
    }
    *out = '\0';
    c += strspn(c, " \t");
    *cursor = c;
    return *c == ';' || !*c;
}

/* The value of a parameter in a header's value, e.g. boundary; NULL when
 * it is not there or not well-formed.  RFC 9110 section 5.6.6. */
static char *get_parameter(const char *header, const char *name,
                           apr_pool_t *pool)
{
    apr_size_t name_len = strlen(name);
    const char *s = strchr(header, ';');

    while (s && *s == ';') {
        char *value = apr_palloc(pool, strlen(s) + 1);
        apr_size_t len;

        s += 1 + strspn(s + 1, " \t");
        len = strcspn(s, "=;\" \t");
        if (s[len] == ';') {
            s += len;
            continue;
        }
        if (s[len] != '=') {
            return NULL;
        }
        if (len == name_len && apr_cstr_casecmpn(s, name, len) == 0) {
            s += len + 1;
            return copy_value(value, &s) ? value : NULL;
        }
        s += len + 1;
        if (!copy_value(value, &s)) {
            return NULL;
        }
    }
    return NULL;
}

static int is_boundary(const char *boundary)
{
    apr_size_t len = boundary ? strlen(boundary) : 0;

    return len > 0 && len <= BOUNDARY_MAX && boundary[len - 1] != ' '
        && strspn(boundary, BOUNDARY_CHARS) == len;
}

static char *find_bytes(char *bytes, const char *end, const char *what,
                        apr_size_t len)
{
    while ((apr_size_t)(end - bytes) >= len) {
        char *hit = memchr(bytes, what[0], end - bytes - len + 1);

        if (!hit) {
            return NULL;
        }
        if (memcmp(hit, what, len) == 0) {
            return hit;
        }
        bytes = hit + 1;
    }
    return NULL;
}

/* The part's head, lines ended by CRLF and the whole by NUL, tells the
 * field's name and whether it is a file. */
static const char *read_part_head(const char **name, int *is_file,
                                  char *head, apr_pool_t *pool)
{
    static const char disposition[] = "Content-Disposition:";
    char *line, *last;

    *name = NULL;
    for (line = apr_strtok(head, "\r\n", &last); line;
         line = apr_strtok(NULL, "\r\n", &last)) {
        if (apr_cstr_casecmpn(line, disposition, sizeof(disposition) - 1)) {
            continue;
        }
        if (*name) {
            return "a part with two dispositions";
        }
        line += sizeof(disposition) - 1;
        line += strspn(line, " \t");
        if (apr_cstr_casecmpn(line, "form-data", 9)
            || !strchr("; \t", line[9])) {
            return "a part that is no form-data";
        }
        *name = get_parameter(line, "name", pool);
        *is_file = get_parameter(line, "filename", pool) != NULL
            || get_parameter(line, "filename*", pool) != NULL;
    }
    return *name ? NULL : "a part without a name";
}

/* One part, from behind its delimiter line to before the next delimiter. */
static const char *read_part(token_form_t *form, char *part, char *end,
                             apr_pool_t *pool)
{
    char *blank = find_bytes(part, end, "\r\n\r\n", 4);
    token_field_t *field;
    const char *name;
    const char *wrong;
    char *value;
    int is_file = 0;

    if (!blank) {
        return "a part without an empty line";
    }
    *blank = '\0';
    if (memchr(part, '\0', blank - part)) {
        return "a NUL byte in a part's head";
    }
    wrong = read_part_head(&name, &is_file, part, pool);
    if (wrong) {
        return wrong;
    }
    field = find_field(form, name);
    if (!field) {
        return NULL;
    }
    value = blank + 4;
    if (is_file) {
        field->state = TOKEN_FIELD_OTHER;
        return NULL;
    }
    if (!token_text_is_utf8(value, end - value)) {
        return bad_utf8;
    }
    *end = '\0';
    set_text(form, field, value, end - value);
    return NULL;
}

/* The delimiter is CRLF "--" boundary; the first one stands at the very
 * start of the body, without CRLF.  The last one is followed by "--". */
static const char *read_parts(token_form_t *form, char *body, char *end,
                              const char *delimiter, apr_pool_t *pool)
{
    apr_size_t len = strlen(delimiter);
    const char *wrong = NULL;

    if ((apr_size_t)(end - body) < len - 2
        || memcmp(body, delimiter + 2, len - 2) != 0) {
        return "it does not begin with its boundary";
    }
    body += len - 2;
    while (!wrong) {
        char *next;

        if (end - body >= 2 && memcmp(body, "--", 2) == 0) {
            return NULL;
        }
        if (end - body < 2 || memcmp(body, "\r\n", 2) != 0) {
            return "a boundary that is not a line";
        }
        body += 2;
        next = find_bytes(body, end, delimiter, len);
        if (!next) {
            return "it does not end with its boundary";
        }
        wrong = read_part(form, body, next, pool);
        body = next + len;
    }
    return wrong;
}

static const char *read_multipart(token_form_t *form, char *body,
                                  apr_size_t len, const char *content_type,
                                  apr_pool_t *pool)
{
    const char *boundary = get_parameter(content_type, "boundary", pool);
    const char *wrong;

    if (!is_boundary(boundary)) {
        return "Multipart form parse error - Invalid boundary in multipart: "
               "None";
    }
    wrong = read_parts(form, body, body + len,
                       apr_pstrcat(pool, "\r\n--", boundary, NULL), pool);
    return wrong ? apr_pstrcat(pool, "Multipart form parse error - ", wrong,
                               NULL)
                 : NULL;
}

static const char *read_body(token_form_t *form, char *body, apr_size_t len,
                             const char *content_type, apr_pool_t *pool)
{
    switch (token_form_type(content_type)) {
    case TOKEN_FORM_JSON:
        return len ? read_json(form, body, len, pool) : NULL;
    case TOKEN_FORM_URLENCODED:
        return read_urlencoded(form, body, len, pool);
    case TOKEN_FORM_MULTIPART:
        return read_multipart(form, body, len, content_type, pool);
    case TOKEN_FORM_UNSUPPORTED:
        break;
    }
    return "Unsupported media type";
}

const char *token_form_read(token_form_t *form, char *body, apr_size_t len,
                            const char *content_type, int last_wins,
                            apr_pool_t *pool)
{
    const char *wrong;

    memset(form, 0, sizeof(*form));
    form->last_wins = last_wins;
    wrong = read_body(form, body, len, content_type, pool);
    if (wrong) {
        /* Fields that were read before it is known. */
        token_form_wipe(form);
        memset(form->field, 0, sizeof(form->field));
    }
    return wrong;
}

void token_form_wipe(token_form_t *form)
{
    token_field_t *password = &form->field[TOKEN_FIELD_PASSWORD];

    if (password->text) {
        token_crypt_wipe(password->text, strlen(password->text));
    }
}
