/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides which texts are worth a question to which table.  The facts are
 * those of the projects' sources: DRF's models.py, knox's crypto.py and
 * auth.py, OAuth Toolkit's models.py. */
#include <string.h>

#include "apr_cstr.h"
#include "apr_strings.h"

#include "token_crypt.h"
#include "token_schema.h"
#include "token_text.h"

#define DEFAULT_PREFIX "tok"

/* DRF's varchar(40), and what it makes: secrets.token_hex(20). */
#define DRF_MAX 40
/* knox: 64 hex digits by default, but AUTH_TOKEN_CHARACTER_LENGTH. */
#define KNOX_MIN 16
#define KNOX_LEN 64
#define KNOX_MAX 255
/* oauthlib makes 30 letters and digits; a generator may be set. */
#define OAUTH_LEN 30
#define OAUTH_MAX 255

static const struct {
    const char *name;
    const char *version;        /* NULL: the one that is meant by the name */
} known[TOKEN_SCHEMAS] = {
    { "native", NULL }, { "drf", NULL }, { "knox", NULL }, { "knox", "4" },
    { "oauth-toolkit", NULL }, { "oauth-toolkit", "2" }
};

static int is_version(const char *known_version, const char *version)
{
    return known_version && version ? strcmp(known_version, version) == 0
                                    : known_version == version;
}

int token_schema_named(token_schema_t *schema, const char *name,
                       const char *version)
{
    int i;

    for (i = 0; i < TOKEN_SCHEMAS; i++) {
        if (apr_cstr_casecmp(known[i].name, name) == 0
            && is_version(known[i].version, version)) {
            *schema = (token_schema_t)i;
            return 1;
        }
    }
    return 0;
}

const char *token_schema_name(token_schema_t schema)
{
    return known[schema].name;
}

/* --- what a token looks like --- */

static int is_hex(const char *text, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (!((text[i] >= '0' && text[i] <= '9')
              || (text[i] >= 'a' && text[i] <= 'f'))) {
            return 0;
        }
    }
    return 1;
}

static int is_alnum(const char *text, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (!((text[i] >= '0' && text[i] <= '9')
              || (text[i] >= 'a' && text[i] <= 'z')
              || (text[i] >= 'A' && text[i] <= 'Z'))) {
            return 0;
        }
    }
    return 1;
}

static int is_visible(const char *text, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (text[i] < 0x21 || text[i] > 0x7e) {
            return 0;
        }
    }
    return 1;
}

static int is_drf(const char *text, apr_size_t len, int is_password)
{
    if (is_password) {
        return len == DRF_MAX && is_hex(text, len);
    }
    return len >= 1 && len <= DRF_MAX && is_visible(text, len);
}

/* knox puts its TOKEN_PREFIX before the digits, with nothing between. */
static int is_knox(const char *text, apr_size_t len, const char *prefix,
                   int is_password)
{
    apr_size_t before = prefix ? strlen(prefix) : 0;

    if (len < before || len > KNOX_MAX
        || (before && memcmp(text, prefix, before) != 0)) {
        return 0;
    }
    text += before;
    len -= before;
    return len >= KNOX_MIN && len % 2 == 0 && is_hex(text, len)
        && (!is_password || len == KNOX_LEN);
}

static int is_oauth(const char *text, apr_size_t len, int is_password)
{
    if (is_password) {
        return len == OAUTH_LEN && is_alnum(text, len);
    }
    return len >= 1 && len <= OAUTH_MAX && is_visible(text, len);
}

int token_schema_is_token(token_schema_t schema, const char *text,
                          apr_size_t len, const char *prefix,
                          int is_password)
{
    switch (schema) {
    case TOKEN_SCHEMA_NATIVE:
        return token_text_is_native(text, len,
                                    prefix ? prefix : DEFAULT_PREFIX);
    case TOKEN_SCHEMA_DRF:
        return is_drf(text, len, is_password);
    case TOKEN_SCHEMA_KNOX:
    case TOKEN_SCHEMA_KNOX_4:
        return is_knox(text, len, prefix, is_password);
    case TOKEN_SCHEMA_OAUTH:
    case TOKEN_SCHEMA_OAUTH_2:
        return is_oauth(text, len, is_password);
    case TOKEN_SCHEMAS:
        break;
    }
    return 0;
}

/* --- what its row has for it --- */

static int get_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* knox 4 digested the bytes that the digits stand for, and knew no prefix. */
static const char *digest_bytes(const char *text, apr_pool_t *pool)
{
    apr_size_t len = strlen(text) / 2;
    char *bytes = apr_palloc(pool, len + 1);
    const char *key;
    apr_size_t i;

    if (!is_hex(text, 2 * len)) {
        return "";
    }
    for (i = 0; i < len; i++) {
        bytes[i] = (char)(get_digit(text[2 * i]) << 4
                          | get_digit(text[2 * i + 1]));
    }
    key = token_crypt_sha512(bytes, len, pool);
    token_crypt_wipe(bytes, len);
    return key;
}

const char *token_schema_key(token_schema_t schema, const char *text,
                             const char *digest, apr_pool_t *pool)
{
    switch (schema) {
    case TOKEN_SCHEMA_DRF:
    case TOKEN_SCHEMA_OAUTH_2:
        return text;
    case TOKEN_SCHEMA_KNOX:
        return token_crypt_sha512(text, strlen(text), pool);
    case TOKEN_SCHEMA_KNOX_4:
        return digest_bytes(text, pool);
    default:
        return digest;
    }
}
