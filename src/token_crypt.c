/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides how a token is drawn and digested.  What a token looks like is
 * token_text's; who gets one is not decided here. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "apr_thread_proc.h"

#include "token_crypt.h"

struct token_crypt_t {
    const EVP_MD *sha256;
    apr_threadkey_t *context;   /* each thread's own, to be used again */
};

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

static apr_status_t free_key(void *key)
{
    return apr_threadkey_private_delete(key);
}

#if OPENSSL_VERSION_NUMBER >= 0x30000000L
static apr_status_t free_md(void *md)
{
    EVP_MD_free(md);
    return APR_SUCCESS;
}

/* Looked for once, not for each digest. */
static const EVP_MD *fetch_sha256(apr_pool_t *pool)
{
    EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);

    if (md) {
        apr_pool_cleanup_register(pool, md, free_md, apr_pool_cleanup_null);
    }
    return md;
}
#else
static const EVP_MD *fetch_sha256(apr_pool_t *pool)
{
    (void)pool;
    return EVP_sha256();
}
#endif

apr_status_t token_crypt_create(token_crypt_t **crypt, apr_pool_t *pool)
{
    token_crypt_t *c = apr_pcalloc(pool, sizeof(*c));
    apr_status_t rv = apr_threadkey_private_create(&c->context, free_context,
                                                   pool);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_cleanup_register(pool, c->context, free_key,
                              apr_pool_cleanup_null);
    c->sha256 = fetch_sha256(pool);
    *crypt = c;
    return c->sha256 ? APR_SUCCESS : APR_EGENERAL;
}

/* OpenSSL would else allocate one for each digest. */
static EVP_MD_CTX *get_context(const token_crypt_t *crypt)
{
    void *context = NULL;

    apr_threadkey_private_get(&context, crypt->context);
    if (!context) {
        context = EVP_MD_CTX_new();
        apr_threadkey_private_set(context, crypt->context);
    }
    return context;
}

static int digest_text(unsigned char md[EVP_MAX_MD_SIZE], unsigned int *mdlen,
                       const token_crypt_t *crypt, const char *text,
                       apr_size_t len)
{
    EVP_MD_CTX *context = get_context(crypt);

    return context && EVP_DigestInit_ex(context, crypt->sha256, NULL) == 1
        && EVP_DigestUpdate(context, text, len) == 1
        && EVP_DigestFinal_ex(context, md, mdlen) == 1;
}

static void write_hex(char *out, const unsigned char *bytes, apr_size_t len)
{
    static const char hex[] = "0123456789abcdef";
    apr_size_t i;

    for (i = 0; i < len; i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

apr_status_t token_crypt_digest(char out[TOKEN_DIGEST_LEN + 1],
                                const token_crypt_t *crypt,
                                const char *text, apr_size_t len)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned int mdlen = 0;

    out[0] = '\0';
    if (!digest_text(md, &mdlen, crypt, text, len)
        || mdlen * 2 != TOKEN_DIGEST_LEN) {
        return APR_EGENERAL;
    }
    write_hex(out, md, mdlen);
    return APR_SUCCESS;
}

const char *token_crypt_sha512(const char *bytes, apr_size_t len,
                               apr_pool_t *pool)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned int mdlen = 0;
    char *out = apr_palloc(pool, 2 * EVP_MAX_MD_SIZE + 1);

    if (EVP_Digest(bytes, len, md, &mdlen, EVP_sha512(), NULL) != 1) {
        return NULL;
    }
    write_hex(out, md, mdlen);
    return out;
}

apr_status_t token_crypt_hex(char *out, apr_size_t n)
{
    unsigned char bytes[TOKEN_HEX_MAX / 2];

    out[0] = '\0';
    if (n > TOKEN_HEX_MAX || RAND_bytes(bytes, (int)(n / 2)) != 1) {
        return APR_EGENERAL;
    }
    write_hex(out, bytes, n / 2);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return APR_SUCCESS;
}

/* Bytes of 248 and more are thrown away: 248 is the largest multiple of 62
 * in a byte, so each character is equally likely. */
static apr_status_t draw_base62(char *out, apr_size_t n)
{
    static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz";
    unsigned char bytes[TOKEN_RANDOM_LEN + 10];
    apr_size_t have = 0;

    while (have < n) {
        apr_size_t i;

        if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
            return APR_EGENERAL;
        }
        for (i = 0; i < sizeof(bytes) && have < n; i++) {
            if (bytes[i] < 248) {
                out[have++] = base62[bytes[i] % 62];
            }
        }
    }
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return APR_SUCCESS;
}

apr_status_t token_crypt_token(char out[TOKEN_TEXT_MAX + 1],
                               const char *prefix)
{
    char random[TOKEN_RANDOM_LEN];
    apr_status_t rv = draw_base62(random, sizeof(random));

    out[0] = '\0';
    if (rv == APR_SUCCESS) {
        token_text_compose(out, prefix, random);
    }
    OPENSSL_cleanse(random, sizeof(random));
    return rv;
}

void token_crypt_wipe(void *bytes, apr_size_t len)
{
    OPENSSL_cleanse(bytes, len);
}
