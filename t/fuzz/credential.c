/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The input is the value of an Authorization header.  What is read from it
 * can be written again and is the same; what is refused leaves nothing. */
#include <string.h>

#include "apr_encode.h"
#include "apr_strings.h"

#include "fuzz.h"
#include "token_credential.h"
#include "token_text.h"

static void check_good(const token_credential_t *credential, apr_pool_t *pool)
{
    token_credential_t again;
    const char *name = token_credential_scheme_name(credential->scheme);
    char *text = fuzz_copy(credential->text, credential->len);

    HOLDS(credential->len > 0
          && credential->len <= (credential->scheme == TOKEN_SCHEME_BASIC
                                 ? TOKEN_CREDENTIAL_BASIC_MAX
                                 : TOKEN_CREDENTIAL_MAX),
          "a credential has its length");
    HOLDS(strlen(text) == credential->len && !strpbrk(text, " ,\t\r\n"),
          "a credential is one word");
    HOLDS(token_text_is_utf8(text, credential->len)
          && token_text_is_printable(text, credential->len),
          "a credential is printable");
    HOLDS(token_credential_read(&again, apr_pstrcat(pool, name, " ", text,
                                                    NULL))
          == TOKEN_CREDENTIAL_OK
          && again.scheme == credential->scheme
          && again.len == credential->len
          && memcmp(again.text, text, again.len) == 0,
          "a credential written again is the same");
}

static void check_basic(const token_credential_t *credential,
                        apr_pool_t *pool)
{
    const char *user, *password;
    const char *pair, *encoded;

    if (!token_credential_basic(&user, &password, credential, pool)) {
        HOLDS(!user && !password, "a pair refused is no pair");
        return;
    }
    HOLDS(!strchr(user, ':'), "the user ends at the first colon");
    pair = apr_pstrcat(pool, user, ":", password, NULL);
    HOLDS(token_text_is_utf8(pair, strlen(pair))
          && token_text_is_printable(pair, strlen(pair)),
          "a pair is printable UTF-8");
    encoded = apr_pencode_base64(pool, pair, APR_ENCODE_STRING, 0, NULL);
    HOLDS(strlen(encoded) == credential->len
          && memcmp(encoded, credential->text, credential->len) == 0,
          "a pair has one spelling");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    apr_pool_t *pool = fuzz_begin();
    char *value = fuzz_copy(data, size);
    token_credential_t credential;

    /* To have the bytes end where the string does. */
    value = fuzz_copy(value, strlen(value));
    if (token_credential_read(&credential, value) == TOKEN_CREDENTIAL_OK) {
        check_good(&credential, pool);
        check_basic(&credential, pool);
    }
    else {
        HOLDS(!credential.text && !credential.len,
              "what is refused leaves no credential");
    }
    fuzz_end();
    return 0;
}
