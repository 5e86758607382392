/* Copyright (C) 2026 the mod_authn_token authors
 * SPDX-License-Identifier: Apache-2.0 */

/* Decides whether a connection to SQLite still has the file of DBDParams,
 * and opens it anew.  When it is asked is token_store's matter. */
#include <string.h>

#include "apr_file_info.h"
#include "apr_strings.h"
#include "apr_time.h"

#include "token_clock.h"
#include "token_file.h"

#define KEY "authn_token_file"

#define RETRY_PAUSE apr_time_from_sec(5)

typedef struct {
    const dbd_cfg_t *cfg;
    apr_dev_t device;
    apr_ino_t inode;
    apr_time_t opened;
} file_t;

static file_t *get_file(const ap_dbd_t *dbd)
{
    void *file = NULL;

    apr_pool_userdata_get(&file, KEY, dbd->pool);
    return file;
}

static int find(apr_finfo_t *info, const char *path, apr_pool_t *pool)
{
    return apr_stat(info, path, APR_FINFO_IDENT, pool) == APR_SUCCESS;
}

static void take(file_t *file, const apr_finfo_t *info)
{
    file->device = info->device;
    file->inode = info->inode;
    file->opened = token_clock_now();
}

void token_file_note(const dbd_cfg_t *cfg, ap_dbd_t *dbd)
{
    apr_finfo_t info;
    file_t *file;

    /* Neither a URI nor a database in memory. */
    if (!cfg->params || !*cfg->params || *cfg->params == ':'
        || strncmp(cfg->params, "file:", 5) == 0
        || !find(&info, cfg->params, dbd->pool)) {
        return;
    }
    file = apr_pcalloc(dbd->pool, sizeof(*file));
    file->cfg = cfg;
    take(file, &info);
    apr_pool_userdata_setn(file, KEY, NULL, dbd->pool);
}

int token_file_is_current(const ap_dbd_t *dbd, apr_pool_t *pool)
{
    const file_t *file = get_file(dbd);
    apr_finfo_t info;

    return !file
        || (find(&info, file->cfg->params, pool)
            && info.inode == file->inode && info.device == file->device);
}

/* As mod_dbd does for a connection that is new: NULL when one fails. */
static apr_hash_t *prepare_all(const dbd_cfg_t *cfg, const ap_dbd_t *dbd,
                               apr_dbd_t *handle)
{
    apr_hash_t *prepared = apr_hash_make(dbd->pool);
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, cfg->queries); i; i = apr_hash_next(i)) {
        apr_dbd_prepared_t *statement = NULL;
        const void *label;
        void *text;

        apr_hash_this(i, &label, NULL, &text);
        if (strcmp(text, "") == 0) {
            continue;
        }
        if (apr_dbd_prepare(dbd->driver, dbd->pool, handle, text, label,
                            &statement)) {
            return NULL;
        }
        apr_hash_set(prepared, label, APR_HASH_KEY_STRING, statement);
    }
    return prepared;
}

/* Up to the first that fails, as mod_dbd has it. */
static void run_init_queries(const dbd_cfg_t *cfg, const ap_dbd_t *dbd,
                             apr_dbd_t *handle)
{
    int i;

    for (i = 0; i < cfg->init_queries->nelts; i++) {
        int rows;

        if (apr_dbd_query(dbd->driver, handle, &rows,
                          APR_ARRAY_IDX(cfg->init_queries, i,
                                        const char *))) {
            return;
        }
    }
}

const char *token_file_reopen(ap_dbd_t *dbd, apr_pool_t *pool)
{
    file_t *file = get_file(dbd);
    const char *error = NULL;
    apr_dbd_t *handle = NULL;
    apr_hash_t *prepared;
    apr_finfo_t info;

    if (!file) {
        return "its file is not known";
    }
    if (!find(&info, file->cfg->params, pool)) {
        return apr_pstrcat(pool, "the file ", file->cfg->params,
                           " is not there", NULL);
    }
    /* In the pool that outlives it, for mod_dbd closes it there. */
    if (apr_dbd_open_ex(dbd->driver, dbd->pool, file->cfg->params, &handle,
                        &error) != APR_SUCCESS) {
        return error ? apr_pstrdup(pool, error) : "the file cannot be opened";
    }
    prepared = prepare_all(file->cfg, dbd, handle);
    if (!prepared) {
        error = apr_pstrdup(pool, apr_dbd_error(dbd->driver, handle, 1));
        apr_dbd_close(dbd->driver, handle);
        return error;
    }
    apr_dbd_close(dbd->driver, dbd->handle);
    dbd->handle = handle;
    dbd->prepared = prepared;
    run_init_queries(file->cfg, dbd, handle);
    take(file, &info);
    return NULL;
}

const char *token_file_retry(ap_dbd_t *dbd, apr_pool_t *pool)
{
    const file_t *file = get_file(dbd);
    if (!file) {
        return "its file is not known";
    }
    return token_clock_now() - file->opened < RETRY_PAUSE
        ? "it was opened just now" : token_file_reopen(dbd, pool);
}
