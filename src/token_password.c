/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides which texts are hashes of Django's (django.contrib.auth.hashers,
 * those of old versions included) and what they may cost.  Django compares
 * the whole text with the one it would write itself, so a number with a
 * leading zero or a digit in the other case is a wrong password: numbers are
 * read strictly here, the rest is compared as text.  Who has which hash, and
 * what follows, is token_django's matter. */
#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#ifdef HAVE_ARGON2
#include <argon2.h>
#endif

#include "apr_md5.h"

#include "token_password.h"

/* Iterations that another kind's unit of work counts as. */
#define BCRYPT_COST 12              /* of a default hash, as a power of two */
#define BCRYPT_COST_MAX 15
#define BCRYPT_LEN 60
#define SCRYPT_UNITS (16384 * 8 * 5)
#define ARGON2_UNITS (102400 * 2)

#define SHA512_ROUNDS_MAX 5000000

#define HEX "0123456789abcdef"
#define BASE64 \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#define CRYPT64 \
    "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* Part of a hash's text. */
typedef struct {
    const char *text;
    apr_size_t len;
} slice_t;

/* Cuts off what stands before the next end, which is passed over. */
static int take(slice_t *field, const char **rest, char end)
{
    const char *found = strchr(*rest, end);

    if (!found) {
        return 0;
    }
    field->text = *rest;
    field->len = found - *rest;
    *rest = found + 1;
    return 1;
}

/* 0: no number, or not as it would be written.  What has more than nine
 * digits is too much for anything, and still below 2^32. */
static apr_uint64_t read_number(const slice_t *field)
{
    apr_uint64_t number = 0;
    apr_size_t i;

    if (field->len == 0 || field->text[0] == '0') {
        return 0;
    }
    for (i = 0; i < field->len; i++) {
        if (field->text[i] < '0' || field->text[i] > '9') {
            return 0;
        }
        if (i < 9) {
            number = number * 10 + (field->text[i] - '0');
        }
    }
    return i > 9 ? APR_UINT32_MAX : number;
}

static int take_number(apr_uint64_t *number, const char **rest, char end)
{
    slice_t field;

    return take(&field, rest, end) && (*number = read_number(&field)) != 0;
}

static token_hash_t compare(const char *ours, const char *theirs,
                            apr_size_t len)
{
    return CRYPTO_memcmp(ours, theirs, len) == 0 ? TOKEN_HASH_MATCHES
                                                 : TOKEN_HASH_DIFFERS;
}

static token_hash_t fail(void)
{
    /* mod_ssl would read it as its own. */
    ERR_clear_error();
    return TOKEN_HASH_FAILED;
}

/* text has the length of the hash's base64, with its padding. */
static token_hash_t compare_base64(unsigned char *hash, int len,
                                   const char *text)
{
    unsigned char ours[4 * EVP_MAX_MD_SIZE / 3 + 5];
    int n = EVP_EncodeBlock(ours, hash, len);
    token_hash_t result = compare((char *)ours, text, n);

    OPENSSL_cleanse(ours, sizeof(ours));
    OPENSSL_cleanse(hash, len);
    return result;
}

static int is_base64(const char *text, apr_size_t bytes)
{
    return strlen(text) == (bytes + 2) / 3 * 4;
}

/* --- pbkdf2_sha256$ITERATIONS$SALT$BASE64 --- */

static token_hash_t check_pbkdf2(const char *rest, const char *password,
                                 apr_uint32_t *work, const EVP_MD *md)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    int len = EVP_MD_size(md);
    apr_uint64_t iterations;
    slice_t salt;

    if (!take_number(&iterations, &rest, '$') || !take(&salt, &rest, '$')
        || salt.len == 0 || !is_base64(rest, len)) {
        return TOKEN_HASH_MALFORMED;
    }
    if (iterations > TOKEN_PASSWORD_WORK_MAX) {
        return TOKEN_HASH_COSTLY;
    }
    if (PKCS5_PBKDF2_HMAC(password, (int)strlen(password),
                          (const unsigned char *)salt.text, (int)salt.len,
                          (int)iterations, md, len, hash) != 1) {
        return fail();
    }
    *work = (apr_uint32_t)iterations;
    return compare_base64(hash, len, rest);
}

static token_hash_t check_pbkdf2_sha256(const char *rest,
                                        const char *password,
                                        apr_uint32_t *work)
{
    return check_pbkdf2(rest, password, work, EVP_sha256());
}

static token_hash_t check_pbkdf2_sha1(const char *rest, const char *password,
                                      apr_uint32_t *work)
{
    return check_pbkdf2(rest, password, work, EVP_sha1());
}

/* --- scrypt$N$SALT$R$P$BASE64 --- */

typedef struct {
    apr_uint64_t n, r, p;
    slice_t salt;
} scrypt_t;

static int is_scrypt_cheap(const scrypt_t *s)
{
    /* Each below 2^32, so that nothing overflows before it is too much. */
    return s->n * s->r <= TOKEN_PASSWORD_MEMORY_MAX / 128
        && s->r * s->p <= TOKEN_PASSWORD_MEMORY_MAX / 128
        && 128 * s->r * (s->n + 2 + s->p) <= TOKEN_PASSWORD_MEMORY_MAX
        && s->n * s->r * s->p <= (apr_uint64_t)10 * SCRYPT_UNITS;
}

static token_hash_t check_scrypt(const char *rest, const char *password,
                                 apr_uint32_t *work)
{
    unsigned char hash[64];
    scrypt_t s;

    if (!take_number(&s.n, &rest, '$') || !take(&s.salt, &rest, '$')
        || s.salt.len == 0 || !take_number(&s.r, &rest, '$')
        || !take_number(&s.p, &rest, '$') || !is_base64(rest, sizeof(hash))) {
        return TOKEN_HASH_MALFORMED;
    }
    if (!is_scrypt_cheap(&s)) {
        return TOKEN_HASH_COSTLY;
    }
    if (s.n < 2 || (s.n & (s.n - 1)) != 0) {
        return TOKEN_HASH_MALFORMED;
    }
    if (EVP_PBE_scrypt(password, strlen(password),
                       (const unsigned char *)s.salt.text, s.salt.len,
                       s.n, s.r, s.p, TOKEN_PASSWORD_MEMORY_MAX + 65536,
                       hash, sizeof(hash)) != 1) {
        return fail();
    }
    *work = (apr_uint32_t)(s.n * s.r * s.p * TOKEN_PASSWORD_WORK
                           / SCRYPT_UNITS);
    return compare_base64(hash, sizeof(hash), rest);
}

/* --- argon2$argon2id$v=19$m=102400,t=2,p=8$BASE64$BASE64 --- */

#ifdef HAVE_ARGON2
typedef struct {
    argon2_type type;
    apr_uint64_t version, memory, passes, lanes;
    unsigned char salt[TOKEN_PASSWORD_HASH_MAX];
    apr_size_t salt_len;
    const char *hash;           /* its base64, without padding */
} argon2_t;

static int take_value(apr_uint64_t *value, const char **rest,
                      const char *name, char end)
{
    apr_size_t len = strlen(name);

    if (strncmp(*rest, name, len) != 0) {
        return 0;
    }
    *rest += len;
    return take_number(value, rest, end);
}

/* Strict: what it would not write itself is no salt. */
static int decode_salt(argon2_t *a, const slice_t *text)
{
    char padded[TOKEN_PASSWORD_HASH_MAX + 4];
    unsigned char again[sizeof(padded) + 4];
    apr_size_t len = (text->len + 3) / 4 * 4;

    if (text->len == 0 || text->len % 4 == 1
        || strspn(text->text, BASE64) != text->len) {
        return 0;
    }
    memset(padded, '=', len);
    memcpy(padded, text->text, text->len);
    if (EVP_DecodeBlock(a->salt, (unsigned char *)padded, (int)len) < 0) {
        ERR_clear_error();
        return 0;
    }
    a->salt_len = text->len * 3 / 4;
    EVP_EncodeBlock(again, a->salt, (int)a->salt_len);
    return memcmp(again, padded, len) == 0;
}

static int read_variety(argon2_t *a, const slice_t *field)
{
    static const argon2_type types[] = { Argon2_id, Argon2_i, Argon2_d };
    apr_size_t i;

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const char *name = argon2_type2string(types[i], 0);

        if (strlen(name) == field->len
            && memcmp(name, field->text, field->len) == 0) {
            a->type = types[i];
            return 1;
        }
    }
    return 0;
}

/* No version is the first one. */
static int read_version(argon2_t *a, const char **rest)
{
    a->version = ARGON2_VERSION_10;
    return **rest != 'v'
        || (take_value(&a->version, rest, "v=", '$')
            && (a->version == ARGON2_VERSION_10
                || a->version == ARGON2_VERSION_13));
}

static int read_argon2(argon2_t *a, const char *rest)
{
    slice_t field;

    if (!take(&field, &rest, '$') || !read_variety(a, &field)
        || !read_version(a, &rest)
        || !take_value(&a->memory, &rest, "m=", ',')
        || !take_value(&a->passes, &rest, "t=", ',')
        || !take_value(&a->lanes, &rest, "p=", '$')
        || !take(&field, &rest, '$') || !decode_salt(a, &field)) {
        return 0;
    }
    a->hash = rest;
    return *rest && strlen(rest) % 4 != 1;
}

/* One thread, for the others are httpd's: how many processors hash
 * passwords is decided elsewhere. */
static int run_argon2(unsigned char *hash, apr_size_t len, argon2_t *a,
                      const char *password)
{
    argon2_context context;

    memset(&context, 0, sizeof(context));
    context.out = hash;
    context.outlen = (uint32_t)len;
    context.pwd = (uint8_t *)password;      /* is not written to */
    context.pwdlen = (uint32_t)strlen(password);
    context.salt = a->salt;
    context.saltlen = (uint32_t)a->salt_len;
    context.t_cost = (uint32_t)a->passes;
    context.m_cost = (uint32_t)a->memory;
    context.lanes = (uint32_t)a->lanes;
    context.threads = 1;
    context.version = (uint32_t)a->version;
    context.flags = ARGON2_DEFAULT_FLAGS;
    return argon2_ctx(&context, a->type);
}

static token_hash_t check_argon2(const char *rest, const char *password,
                                 apr_uint32_t *work)
{
    unsigned char hash[TOKEN_PASSWORD_HASH_MAX];
    unsigned char ours[2 * TOKEN_PASSWORD_HASH_MAX];
    token_hash_t result;
    apr_size_t len;
    argon2_t a;
    int rc;

    if (!read_argon2(&a, rest)) {
        return TOKEN_HASH_MALFORMED;
    }
    if (a.memory > TOKEN_PASSWORD_MEMORY_MAX / 1024
        || a.memory * a.passes > (apr_uint64_t)10 * ARGON2_UNITS) {
        return TOKEN_HASH_COSTLY;
    }
    len = strlen(a.hash) * 3 / 4;
    rc = run_argon2(hash, len, &a, password);
    if (rc != ARGON2_OK) {
        return rc == ARGON2_MEMORY_ALLOCATION_ERROR ? TOKEN_HASH_FAILED
                                                    : TOKEN_HASH_MALFORMED;
    }
    *work = (apr_uint32_t)(a.memory * a.passes * TOKEN_PASSWORD_WORK
                           / ARGON2_UNITS);
    EVP_EncodeBlock(ours, hash, (int)len);
    result = compare((char *)ours, a.hash, strlen(a.hash));
    OPENSSL_cleanse(hash, sizeof(hash));
    OPENSSL_cleanse(ours, sizeof(ours));
    return result;
}
#else
static token_hash_t check_argon2(const char *rest, const char *password,
                                 apr_uint32_t *work)
{
    (void)rest;
    (void)password;
    (void)work;
    return TOKEN_HASH_LACKING;
}
#endif

/* --- bcrypt$$2b$12$SALT22HASH31 --- */

/* APR's bcrypt, that of crypt_blowfish, knows it as $2y$: the others name
 * mistakes of other programs, which Django's never made.  It compares with
 * strcmp, of a text that nobody can choose without the salt. */
static token_hash_t check_bcrypt(const char *rest, const char *password,
                                 apr_uint32_t *work)
{
    char setting[BCRYPT_LEN + 1];
    int cost;

    if (strlen(rest) != BCRYPT_LEN || strncmp(rest, "$2", 2) != 0
        || !strchr("aby", rest[2]) || rest[3] != '$' || rest[6] != '$'
        || strspn(rest + 4, "0123456789") != 2
        || strspn(rest + 7, CRYPT64) != BCRYPT_LEN - 7) {
        return TOKEN_HASH_MALFORMED;
    }
    cost = 10 * (rest[4] - '0') + rest[5] - '0';
    if (cost < 4 || cost > 31) {
        return TOKEN_HASH_MALFORMED;
    }
    if (cost > BCRYPT_COST_MAX) {
        return TOKEN_HASH_COSTLY;
    }
    memcpy(setting, rest, sizeof(setting));
    setting[2] = 'y';
    *work = (TOKEN_PASSWORD_WORK << (cost - 4)) >> (BCRYPT_COST - 4);
    return apr_password_validate(password, setting) == APR_SUCCESS
        ? TOKEN_HASH_MATCHES : TOKEN_HASH_DIFFERS;
}

/* --- fast hashes in hex --- */

/* Of salt and password, in lower case; 0 when OpenSSL cannot. */
static int digest(char hex[2 * EVP_MAX_MD_SIZE + 1], const EVP_MD *md,
                  const slice_t *salt, const char *password)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    unsigned int i;
    int good = context && EVP_DigestInit_ex(context, md, NULL) == 1
        && EVP_DigestUpdate(context, salt->text, salt->len) == 1
        && EVP_DigestUpdate(context, password, strlen(password)) == 1
        && EVP_DigestFinal_ex(context, hash, &len) == 1;

    EVP_MD_CTX_free(context);
    for (i = 0; i < len; i++) {
        hex[2 * i] = HEX[hash[i] >> 4];
        hex[2 * i + 1] = HEX[hash[i] & 15];
    }
    hex[2 * len] = '\0';
    OPENSSL_cleanse(hash, sizeof(hash));
    return good;
}

static token_hash_t compare_digest(const char *text, const EVP_MD *md,
                                   const slice_t *salt, const char *password)
{
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    apr_size_t len = 2 * EVP_MD_size(md);
    token_hash_t result;

    if (strlen(text) != len) {
        return TOKEN_HASH_MALFORMED;
    }
    if (!digest(hex, md, salt, password)) {
        return fail();
    }
    result = compare(hex, text, len);
    OPENSSL_cleanse(hex, sizeof(hex));
    return result;
}

/* Also for no salt at all, which Django has hashers of their own for. */
static token_hash_t check_digest(const char *rest, const char *password,
                                 const EVP_MD *md)
{
    slice_t salt;

    return take(&salt, &rest, '$')
        ? compare_digest(rest, md, &salt, password) : TOKEN_HASH_MALFORMED;
}

static token_hash_t check_md5(const char *rest, const char *password,
                              apr_uint32_t *work)
{
    (void)work;
    return check_digest(rest, password, EVP_md5());
}

static token_hash_t check_sha1(const char *rest, const char *password,
                               apr_uint32_t *work)
{
    (void)work;
    return check_digest(rest, password, EVP_sha1());
}

static token_hash_t check_bare_md5(const char *encoded, const char *password)
{
    slice_t none = { "", 0 };

    return compare_digest(encoded, EVP_md5(), &none, password);
}

/* bcrypt's 72 bytes are enough for the hex of it. */
static token_hash_t check_bcrypt_sha256(const char *rest,
                                        const char *password,
                                        apr_uint32_t *work)
{
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    slice_t none = { "", 0 };
    token_hash_t result;

    if (!digest(hex, EVP_sha256(), &none, password)) {
        return fail();
    }
    result = check_bcrypt(rest, hex, work);
    OPENSSL_cleanse(hex, sizeof(hex));
    return result;
}

/* --- crypt$$TEXT of crypt(3) --- */

/* $5$SALT$HASH or $5$rounds=N$SALT$HASH.  The default is 5000. */
static token_hash_t judge_rounds(const char *text)
{
    apr_uint64_t rounds = 5000;

    if (strncmp(text, "rounds=", 7) == 0) {
        text += 7;
        if (!take_number(&rounds, &text, '$')) {
            return TOKEN_HASH_MALFORMED;
        }
    }
    return rounds > SHA512_ROUNDS_MAX ? TOKEN_HASH_COSTLY
                                      : TOKEN_HASH_DIFFERS;
}

/* Of crypt(3)'s formats those whose cost is known here.  DIFFERS: go on.
 * APR has meanings of its own for "{SHA}" and "$apr1$". */
static token_hash_t judge_crypt(const char *text)
{
    if (strlen(text) == 13 && strspn(text, CRYPT64) == 13) {
        return TOKEN_HASH_DIFFERS;
    }
    if (strspn(text, CRYPT64 "$=") != strlen(text)) {
        return TOKEN_HASH_MALFORMED;
    }
    if (strncmp(text, "$1$", 3) == 0) {
        return TOKEN_HASH_DIFFERS;
    }
    return strncmp(text, "$5$", 3) == 0 || strncmp(text, "$6$", 3) == 0
        ? judge_rounds(text + 3) : TOKEN_HASH_MALFORMED;
}

static token_hash_t check_crypt(const char *rest, const char *password,
                                apr_uint32_t *work)
{
    token_hash_t result;
    slice_t unused;

    if (!take(&unused, &rest, '$')) {
        return TOKEN_HASH_MALFORMED;
    }
    if (strncmp(rest, "$2", 2) == 0) {
        return check_bcrypt(rest, password, work);
    }
    result = judge_crypt(rest);
    return result == TOKEN_HASH_DIFFERS
        && apr_password_validate(password, rest) == APR_SUCCESS
        ? TOKEN_HASH_MATCHES : result;
}

/* --- which hash is it --- */

static const struct {
    const char *prefix;
    token_hash_t (*check)(const char *rest, const char *password,
                          apr_uint32_t *work);
} formats[] = {
    { "pbkdf2_sha256$", check_pbkdf2_sha256 },
    { "pbkdf2_sha1$", check_pbkdf2_sha1 },
    { "argon2$", check_argon2 },
    { "bcrypt_sha256$", check_bcrypt_sha256 },
    { "bcrypt$", check_bcrypt },
    { "scrypt$", check_scrypt },
    { "md5$", check_md5 },
    { "sha1$", check_sha1 },
    { "crypt$", check_crypt }
};

token_hash_t token_password_check(const char *encoded, const char *password,
                                  apr_uint32_t *work)
{
    apr_size_t i;

    *work = 0;
    if (*encoded == '!') {
        return TOKEN_HASH_UNUSABLE;
    }
    if (strlen(encoded) > TOKEN_PASSWORD_HASH_MAX
        || strlen(password) > INT_MAX) {
        return TOKEN_HASH_MALFORMED;
    }
    if (strlen(encoded) == 32 && !strchr(encoded, '$')) {
        return check_bare_md5(encoded, password);
    }
    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        apr_size_t len = strlen(formats[i].prefix);

        if (strncmp(encoded, formats[i].prefix, len) == 0) {
            return formats[i].check(encoded + len, password, work);
        }
    }
    return TOKEN_HASH_MALFORMED;
}

void token_password_spend(const char *password, apr_uint32_t work)
{
    static const unsigned char salt[] = "this is nobody's salt.";
    unsigned char hash[32];

    if (work < TOKEN_PASSWORD_WORK
        && PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt,
                             sizeof(salt) - 1,
                             (int)(TOKEN_PASSWORD_WORK - work), EVP_sha256(),
                             sizeof(hash), hash) != 1) {
        ERR_clear_error();
    }
    OPENSSL_cleanse(hash, sizeof(hash));
}
