/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides whether an Authorization header is one credential of a scheme we
 * know.  Whether that scheme is accepted, and the credential good, is the
 * flow's decision. */
#include <string.h>

#include "apr_cstr.h"
#include "apr_encode.h"
#include "apr_strings.h"

#include "token_credential.h"
#include "token_text.h"

static const char *const scheme_names[TOKEN_SCHEMES] = {
    "Token", "Bearer", "Basic"
};

const char *token_credential_scheme_name(token_scheme_t scheme)
{
    return scheme_names[scheme];
}

static int find_scheme(token_scheme_t *scheme, const char *name,
                       apr_size_t len)
{
    int i;

    for (i = 0; i < TOKEN_SCHEMES; i++) {
        if (strlen(scheme_names[i]) == len
            && apr_cstr_casecmpn(scheme_names[i], name, len) == 0) {
            *scheme = (token_scheme_t)i;
            return 1;
        }
    }
    return 0;
}

int token_credential_scheme(token_scheme_t *scheme, const char *name)
{
    return find_scheme(scheme, name, strlen(name));
}

/* What a credential is made of: visible ASCII but the comma. */
static const char is_good[256] = { ['!' ... '+'] = 1, ['-' ... '~'] = 1 };

/* What is wrong with the one word that should follow the scheme. */
static token_credential_status_t check_word(const char *word,
                                            apr_size_t len)
{
    apr_size_t i = 0;

    while (i < len && is_good[(unsigned char)word[i]]) {
        i++;
    }
    if (i == len) {
        return TOKEN_CREDENTIAL_OK;
    }
    return memchr(word + i, ' ', len - i) ? TOKEN_CREDENTIAL_SPACES
                                          : TOKEN_CREDENTIAL_CHARS;
}

token_credential_status_t token_credential_read(token_credential_t *out,
                                                const char *value)
{
    token_credential_status_t status;
    apr_size_t len, max;

    memset(out, 0, sizeof(*out));
    if (!value || !*value) {
        return TOKEN_CREDENTIAL_NONE;
    }
    len = strcspn(value, " ");
    if (!find_scheme(&out->scheme, value, len)) {
        return TOKEN_CREDENTIAL_FOREIGN;
    }
    value += len;
    value += strspn(value, " ");
    len = strlen(value);
    if (len == 0) {
        return TOKEN_CREDENTIAL_EMPTY;
    }
    max = out->scheme == TOKEN_SCHEME_BASIC ? TOKEN_CREDENTIAL_BASIC_MAX
                                            : TOKEN_CREDENTIAL_MAX;
    if (len > max) {
        return TOKEN_CREDENTIAL_LONG;
    }
    status = check_word(value, len);
    if (status == TOKEN_CREDENTIAL_OK) {
        out->text = value;
        out->len = len;
    }
    return status;
}

/* 1 unless the last character before the padding has bits of no byte: then
 * another spelling decodes to the same (RFC 4648 section 3.5). */
static int is_canonical(const token_credential_t *credential)
{
    const char *end = credential->text + credential->len;

    if (credential->len < 4 || end[-1] != '=') {
        return 1;
    }
    return end[-2] == '=' ? strchr("AQgw", end[-3]) != NULL
                          : strchr("AEIMQUYcgkosw048", end[-2]) != NULL;
}

int token_credential_basic(const char **user, const char **password,
                           const token_credential_t *credential,
                           apr_pool_t *pool)
{
    apr_size_t len = 0;
    char *pair;
    char *colon;

    *user = NULL;
    *password = NULL;
    /* What apr_pdecode_base64 takes without the relaxed flag: missing
     * padding, and the URL's alphabet (RFC 4648 section 5). */
    if (credential->len % 4 != 0
        || memchr(credential->text, '-', credential->len)
        || memchr(credential->text, '_', credential->len)
        || !is_canonical(credential)) {
        return 0;
    }
    pair = (char *)apr_pdecode_base64(pool, credential->text,
                                      credential->len, 0, &len);
    if (!pair || !token_text_is_utf8(pair, len)
        || !token_text_is_printable(pair, len)) {
        return 0;
    }
    colon = memchr(pair, ':', len);
    if (!colon) {
        return 0;
    }
    *colon = '\0';
    *user = pair;
    *password = colon + 1;
    return 1;
}
