/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides what a command line asks for and whether it may be asked: every
 * name, scope and lifetime is checked here.  Nothing is done here. */
#include <string.h>

#include "apr_getopt.h"
#include "apr_strings.h"

#include "httoken_options.h"
#include "httoken_output.h"
#include "token_network.h"
#include "token_sql.h"
#include "token_text.h"

#define USERNAME_MAX 255
#define CLIENT_MAX 100
#define SCOPE_MAX 1000
#define LIFETIME ((apr_int64_t)30 * 86400)
#define AGE ((apr_int64_t)30 * 86400)

/* Options without a letter. */
enum { OPTION_JSON = 256, OPTION_PREFIX, OPTION_PRINT, OPTION_USER,
    OPTION_AGE };

static const apr_getopt_option_t known_options[] = {
    { "driver", 'd', 1, NULL },
    { "params", 'p', 1, NULL },
    { "file", 'f', 1, NULL },
    { "client", 'c', 1, NULL },
    { "scope", 's', 1, NULL },
    { "networks", 'n', 1, NULL },
    { "lifetime", 'e', 1, NULL },
    { "json", OPTION_JSON, 0, NULL },
    { "prefix", OPTION_PREFIX, 1, NULL },
    { "print", OPTION_PRINT, 0, NULL },
    { "user", OPTION_USER, 1, NULL },
    { "age", OPTION_AGE, 1, NULL },
    { "help", 'h', 0, NULL },
    { NULL, 0, 0, NULL }
};

static const struct {
    const char *name;
    int least, most;            /* arguments */
} known_commands[HTTOKEN_COMMANDS] = {
    { "help", 0, 0 },
    { "init", 0, 0 },
    { "create", 1, 1 },
    { "list", 0, 1 },
    { "show", 1, 1 },
    { "rotate", 1, 1 },
    { "revoke", 0, 1 },
    { "verify", 0, 0 },
    { "purge", 0, 0 },
    { "import", 1, 1 }
};

const char httoken_options_usage[] =
    "usage: httoken [-d DRIVER -p PARAMS | -f FILE] [--json] "
    "[--prefix WORD]\n"
    "               COMMAND\n"
    "\n"
    "  init [--print]       make the table; --print shows its SQL instead\n"
    "  create USER [-c CLIENT] [-s SCOPE] [-e LIFETIME] [-n NETWORKS]\n"
    "                       make a token and print it, this once; -n is where\n"
    "                       it is good, such as 192.0.2.0/24,2001:db8::/32\n"
    "  list [USER]          tokens, newest first\n"
    "  show ID              one token\n"
    "  rotate ID            make its heir and print it, this once; the old\n"
    "                       one is good for AuthTokenRotationGrace\n"
    "  revoke ID            end one token\n"
    "  revoke --user USER   end all tokens of a user\n"
    "  verify               read a token from stdin and say what it is\n"
    "  purge [--age TIME]   remove rows of tokens dead for so long (30d)\n"
    "  import drf [-c CLIENT] [-s SCOPE] [-e LIFETIME] [-n NETWORKS]\n"
    "                       take over the keys of Django REST framework in\n"
    "                       the same database; they end as said from now\n"
    "\n"
    "  -d DRIVER -p PARAMS  the DBDriver and DBDParams of httpd.conf\n"
    "  -f FILE              the SQLite database FILE\n"
    "  --json               answer in JSON\n"
    "  --prefix WORD        the AuthTokenPrefix of httpd.conf (tok)\n"
    "\n"
    "exit code: 0 good, 1 refused, 2 usage, 3 database\n";

static int is_name(const char *what, const char *text, apr_size_t least,
                   apr_size_t most)
{
    apr_size_t len = strlen(text);

    if (len < least || len > most || !token_text_is_utf8(text, len)
        || !token_text_is_printable(text, len)) {
        httoken_output_error("%s must be %d to %d bytes of UTF-8 without "
                             "control characters", what, (int)least,
                             (int)most);
        return 0;
    }
    return 1;
}

/* Adds words to the scope: -s given twice is both. */
static int add_scope(httoken_options_t *options, const char *text,
                     apr_pool_t *pool)
{
    char *last, *word;

    for (word = apr_strtok(apr_pstrdup(pool, text), " ", &last); word;
         word = apr_strtok(NULL, " ", &last)) {
        if (!token_text_is_scope(word)) {
            httoken_output_error("-s: a word of a scope is printable ASCII "
                                 "without quotation mark and backslash");
            return 0;
        }
        options->scope = apr_pstrcat(pool, options->scope,
                                     *options->scope ? " " : "", word, NULL);
    }
    if (strlen(options->scope) > SCOPE_MAX) {
        httoken_output_error("-s: a scope has at most %d bytes", SCOPE_MAX);
        return 0;
    }
    return 1;
}

/* Each value is whole in itself: an empty one, of a variable that was not
 * set, must not make a token that is good everywhere. */
static int add_networks(httoken_options_t *options, const char *text,
                        apr_pool_t *pool)
{
    const char *both = apr_pstrcat(pool, options->networks, " ", text, NULL);
    const char *good;

    if (!token_network_normalize(&good, text, pool)
        || !token_network_normalize(&options->networks, both, pool)) {
        httoken_output_error("-n %s: networks are addresses or ranges such "
                             "as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32, "
                             "separated by commas or blanks, at most %d and "
                             "%d characters", text, TOKEN_NETWORK_RANGES,
                             TOKEN_NETWORK_TEXT);
        return 0;
    }
    return 1;
}

static int set_lifetime(httoken_options_t *options, const char *text)
{
    if (!token_text_seconds(&options->lifetime, text)
        || options->lifetime == 0) {
        httoken_output_error("-e %s: a lifetime is a number, with s, min, h "
                             "or d behind it, more than 0 and at most ten "
                             "years", text);
        return 0;
    }
    return 1;
}

static int set_age(httoken_options_t *options, const char *text)
{
    if (!token_text_seconds(&options->age, text)) {
        httoken_output_error("--age %s: an age is a number, with s, min, h "
                             "or d behind it, at most ten years", text);
        return 0;
    }
    return 1;
}

static int set_prefix(httoken_options_t *options, const char *text)
{
    options->prefix = text;
    if (!token_text_is_prefix(text)) {
        httoken_output_error("--prefix %s: a prefix is 1 to %d letters and "
                             "digits", text, TOKEN_PREFIX_MAX);
        return 0;
    }
    return 1;
}

/* Both ways to name a database, until they are sorted out. */
typedef struct {
    const char *driver;
    const char *params;
    const char *file;
} database_t;

/* Options that belong to one command, as bits. */
enum { OF_INIT = 1, OF_CREATE = 2, OF_REVOKE = 4, OF_PURGE = 8 };

static int set_database(database_t *database, int option, const char *value)
{
    *(option == 'd' ? &database->driver
      : option == 'p' ? &database->params : &database->file) = value;
    return 1;
}

static int set_option(httoken_options_t *options, database_t *database,
                      int option, const char *value, apr_pool_t *pool)
{
    switch (option) {
    case 'c':
        options->client = value;
        return is_name("-c CLIENT", value, 0, CLIENT_MAX);
    case 's':
        return add_scope(options, value, pool);
    case 'e':
        return set_lifetime(options, value);
    case 'n':
        return add_networks(options, value, pool);
    case 'h':
        options->command = HTTOKEN_HELP;
        return 1;
    case OPTION_JSON:
        options->json = 1;
        return 1;
    case OPTION_PREFIX:
        return set_prefix(options, value);
    case OPTION_PRINT:
        options->print = 1;
        return 1;
    case OPTION_AGE:
        return set_age(options, value);
    case OPTION_USER:
        options->user = value;
        return is_name("--user USER", value, 1, USERNAME_MAX);
    default:
        return set_database(database, option, value);
    }
}

/* Of two values one would be forgotten, and with it for whom a command was;
 * but the words of -s add up, and the ranges of -n. */
static int is_repeated(int *seen, int option)
{
    int i = 0;

    while (known_options[i].optch != option) {
        i++;
    }
    if ((*seen & 1 << i) && known_options[i].has_arg && option != 's'
        && option != 'n') {
        httoken_output_error("--%s is given twice, and has one value",
                             known_options[i].name);
        return 1;
    }
    *seen |= 1 << i;
    return 0;
}

static int get_owner(int option)
{
    switch (option) {
    case OPTION_PRINT:
        return OF_INIT;
    case 'c':
    case 's':
    case 'e':
    case 'n':
        return OF_CREATE;
    case OPTION_USER:
        return OF_REVOKE;
    case OPTION_AGE:
        return OF_PURGE;
    default:
        return 0;
    }
}

static int check_owners(httoken_command_t command, int owners)
{
    if ((owners & OF_INIT) && command != HTTOKEN_INIT) {
        httoken_output_error("--print is for init");
        return 0;
    }
    if ((owners & OF_CREATE) && command != HTTOKEN_CREATE
        && command != HTTOKEN_IMPORT) {
        httoken_output_error("-c, -s, -e and -n are for create and import");
        return 0;
    }
    if ((owners & OF_REVOKE) && command != HTTOKEN_REVOKE) {
        httoken_output_error("--user is for revoke");
        return 0;
    }
    if ((owners & OF_PURGE) && command != HTTOKEN_PURGE) {
        httoken_output_error("--age is for purge");
        return 0;
    }
    return 1;
}

static int check_database(httoken_options_t *options,
                          const database_t *database)
{
    int needs_params = !(options->command == HTTOKEN_INIT && options->print);

    if (database->file && (database->driver || database->params)) {
        httoken_output_error("-f FILE stands for -d sqlite3 -p FILE: give "
                             "one or the other");
        return 0;
    }
    options->driver = database->file ? "sqlite3" : database->driver;
    options->params = database->file ? database->file : database->params;
    options->shown = database->file ? database->file : "the file of -p";
    if (!options->driver || (needs_params && !options->params)) {
        httoken_output_error("which database? -d DRIVER and -p PARAMS, or "
                             "-f FILE");
        return 0;
    }
    if (!token_dialect_find(options->driver, TOKEN_SCHEMA_NATIVE)) {
        httoken_output_error("-d %s: tokens can be kept with pgsql and "
                             "sqlite3 only", options->driver);
        return 0;
    }
    return 1;
}

/* argv holds the command and what follows it. */
static int check_command(httoken_options_t *options, int argc,
                         const char *const *argv)
{
    int i = HTTOKEN_INIT;

    if (argc == 0) {
        httoken_output_error("a command is missing");
        return 0;
    }
    while (i < HTTOKEN_COMMANDS
           && strcmp(known_commands[i].name, argv[0]) != 0) {
        i++;
    }
    if (i == HTTOKEN_COMMANDS) {
        httoken_output_error("%s is no command", argv[0]);
        return 0;
    }
    options->command = (httoken_command_t)i;
    if (argc - 1 < known_commands[i].least
        || argc - 1 > known_commands[i].most) {
        httoken_output_error("%s takes %s", argv[0],
                             known_commands[i].most == 0 ? "no argument"
                             : known_commands[i].least ? "one argument"
                             : "one argument or none");
        return 0;
    }
    options->argument = argc > 1 ? argv[1] : NULL;
    if (options->command == HTTOKEN_REVOKE
        && !options->argument == !options->user) {
        httoken_output_error("revoke takes an ID or --user USER");
        return 0;
    }
    if (options->command == HTTOKEN_IMPORT && options->argument
        && strcmp(options->argument, "drf") != 0) {
        httoken_output_error("import takes drf: other tables have digests "
                             "that are not ours, see AuthTokenLegacy");
        return 0;
    }
    return options->command != HTTOKEN_CREATE || !options->argument
        || is_name("USER", options->argument, 1, USERNAME_MAX);
}

static int read_words(httoken_options_t *options, int argc,
                      const char *const *argv, apr_pool_t *pool)
{
    database_t database = { NULL, NULL, NULL };
    apr_getopt_t *words;
    const char *value;
    int option = 0;
    int owners = 0;
    int seen = 0;
    apr_status_t rv = apr_getopt_init(&words, pool, argc, argv);

    words->interleave = 1;
    while (rv == APR_SUCCESS) {
        rv = apr_getopt_long(words, known_options, &option, &value);
        if (rv != APR_SUCCESS) {
            break;
        }
        owners |= get_owner(option);
        if (is_repeated(&seen, option)
            || !set_option(options, &database, option, value, pool)) {
            return 0;
        }
        if (option == 'h') {
            return 1;
        }
    }
    /* Any other status was told by apr_getopt_long. */
    return rv == APR_EOF
        && check_command(options, argc - words->ind,
                         words->argv + words->ind)
        && check_owners(options->command, owners)
        && check_database(options, &database);
}

int httoken_options_read(httoken_options_t *options, int argc,
                         const char *const *argv, apr_pool_t *pool)
{
    memset(options, 0, sizeof(*options));
    options->prefix = "tok";
    options->scope = "";
    options->networks = "";
    options->lifetime = LIFETIME;
    options->age = AGE;
    if (!read_words(options, argc, argv, pool)) {
        httoken_output_error("see httoken --help");
        return HTTOKEN_USAGE;
    }
    if (!options->client) {
        options->client = options->command == HTTOKEN_IMPORT ? "drf"
                                                             : "httoken";
    }
    return HTTOKEN_GOOD;
}
