/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* The input's lines are httoken's arguments.  What is taken keeps every
 * promise of the header, and asked again in its plainest form is the same;
 * what is refused says why, and never repeats the value of -p. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apr_strings.h"
#include "apr_tables.h"

#include "fuzz.h"
#include "httoken_options.h"
#include "httoken_output.h"
#include "token_network.h"
#include "token_sql.h"
#include "token_text.h"

#define WORDS 64
#define SECRET "password=zauberwort"

/* What was said on stderr. */
static char *said;
static size_t said_size;

static int read_options(httoken_options_t *options, apr_array_header_t *words,
                        apr_pool_t *pool)
{
    static FILE *mine;
    FILE *theirs = stderr;
    int code;

    if (!mine) {
        mine = open_memstream(&said, &said_size);
    }
    rewind(mine);
    *(const char **)apr_array_push(words) = NULL;
    stderr = mine;
    code = httoken_options_read(options, words->nelts - 1,
                                (const char *const *)words->elts, pool);
    stderr = theirs;
    fputc('\0', mine);
    fflush(mine);
    return code;
}

static void add(apr_array_header_t *words, const char *word)
{
    *(const char **)apr_array_push(words) = word;
}

static int is_name(const char *text, apr_size_t least, apr_size_t most)
{
    apr_size_t len = strlen(text);

    return len >= least && len <= most && token_text_is_utf8(text, len)
        && token_text_is_printable(text, len);
}

static void check_values(const httoken_options_t *options, apr_pool_t *pool)
{
    const char *networks;

    HOLDS(token_text_is_prefix(options->prefix), "a prefix is one");
    HOLDS(is_name(options->client, 0, 100), "a client is a name");
    HOLDS(strlen(options->scope) <= 1000
          && token_text_is_printable(options->scope, strlen(options->scope))
          && token_text_is_utf8(options->scope, strlen(options->scope))
          && !strpbrk(options->scope, "\"\\") && options->scope[0] != ' '
          && !strstr(options->scope, "  "), "a scope has words");
    HOLDS(!*options->networks
          || (token_network_normalize(&networks, options->networks, pool)
              && strcmp(networks, options->networks) == 0),
          "networks are a list");
    HOLDS(options->lifetime > 0 && options->lifetime <= TOKEN_SECONDS_MAX,
          "a lifetime has its bounds");
    HOLDS(!options->user || is_name(options->user, 1, 255),
          "a user is a name");
}

static void check_command(const httoken_options_t *options)
{
    HOLDS(options->command > HTTOKEN_HELP
          && options->command < HTTOKEN_COMMANDS, "a command is known");
    HOLDS(options->driver && token_dialect_find(options->driver,
                                                 TOKEN_SCHEMA_NATIVE),
          "a driver is known");
    HOLDS(options->params
          || (options->command == HTTOKEN_INIT && options->print),
          "a database is named");
    HOLDS(options->command != HTTOKEN_CREATE
          || (options->argument && is_name(options->argument, 1, 255)),
          "a token has a user");
    HOLDS(options->command != HTTOKEN_REVOKE
          || !options->argument != !options->user, "one thing is revoked");
    HOLDS((options->command != HTTOKEN_SHOW
           && options->command != HTTOKEN_ROTATE) || options->argument,
          "an id is there");
}

/* The plainest words that ask for the same. */
static apr_array_header_t *make_words(const httoken_options_t *options,
                                      apr_pool_t *pool)
{
    static const char *const names[HTTOKEN_COMMANDS] = {
        "", "init", "create", "list", "show", "rotate", "revoke", "verify",
        "purge", "import"
    };
    apr_array_header_t *words = apr_array_make(pool, 32, sizeof(char *));

    add(words, "httoken");
    add(words, apr_pstrcat(pool, "--driver=", options->driver, NULL));
    if (options->params) {
        add(words, apr_pstrcat(pool, "--params=", options->params, NULL));
    }
    add(words, apr_pstrcat(pool, "--prefix=", options->prefix, NULL));
    if (options->json) {
        add(words, "--json");
    }
    if (options->print) {
        add(words, "--print");
    }
    if (options->user) {
        add(words, apr_pstrcat(pool, "--user=", options->user, NULL));
    }
    if (options->command == HTTOKEN_CREATE
        || options->command == HTTOKEN_IMPORT) {
        add(words, apr_pstrcat(pool, "--client=", options->client, NULL));
        add(words, apr_pstrcat(pool, "--scope=", options->scope, NULL));
        add(words, apr_psprintf(pool, "--lifetime=%" APR_INT64_T_FMT,
                                options->lifetime));
        if (*options->networks) {
            add(words, apr_pstrcat(pool, "--networks=", options->networks,
                                   NULL));
        }
    }
    if (options->command == HTTOKEN_PURGE) {
        add(words, apr_psprintf(pool, "--age=%" APR_INT64_T_FMT,
                                options->age));
    }
    add(words, "--");
    add(words, names[options->command]);
    if (options->argument) {
        add(words, options->argument);
    }
    return words;
}

static int is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_again(const httoken_options_t *options, apr_pool_t *pool)
{
    httoken_options_t again;

    HOLDS(read_options(&again, make_words(options, pool), pool)
          == HTTOKEN_GOOD, "what was taken is taken again");
    HOLDS(again.command == options->command
          && is_same(again.argument, options->argument)
          && is_same(again.driver, options->driver)
          && is_same(again.params, options->params)
          && is_same(again.prefix, options->prefix)
          && is_same(again.client, options->client)
          && is_same(again.scope, options->scope)
          && is_same(again.networks, options->networks)
          && is_same(again.user, options->user)
          && again.lifetime == options->lifetime
          && again.age == options->age
          && !again.json == !options->json
          && !again.print == !options->print,
          "what is asked again is the same");
}

static void check_secret(const apr_array_header_t *input, apr_pool_t *pool)
{
    apr_array_header_t *words = apr_array_make(pool, 32, sizeof(char *));
    httoken_options_t options;

    add(words, "httoken");
    add(words, "-p");
    add(words, SECRET);
    apr_array_cat(words, input);
    read_options(&options, words, pool);
    HOLDS(!strstr(said, "zauberwort"), "the value of -p is not repeated");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    apr_pool_t *pool = fuzz_begin();
    apr_array_header_t *input = apr_array_make(pool, 32, sizeof(char *));
    apr_array_header_t *words = apr_array_make(pool, 32, sizeof(char *));
    httoken_options_t options;
    int is_told = 0;
    char *line;

    while (input->nelts < WORDS && (line = fuzz_line(&data, &size))) {
        add(input, line);
        is_told |= strstr(line, "zauberwort") != NULL;
    }
    add(words, "httoken");
    apr_array_cat(words, input);
    if (read_options(&options, words, pool) == HTTOKEN_GOOD) {
        HOLDS(!*said, "what is taken is taken in silence");
        if (options.command != HTTOKEN_HELP) {
            check_values(&options, pool);
            check_command(&options);
            check_again(&options, pool);
        }
    }
    else {
        HOLDS(strstr(said, "see httoken --help\n"),
              "what is refused says where to look");
        HOLDS(strchr(said, '\n') != strrchr(said, '\n'),
              "what is refused says why");
    }
    if (!is_told) {
        check_secret(input, pool);
    }
    fuzz_end();
    return 0;
}
