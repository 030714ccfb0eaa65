/* SPDX-License-Identifier: Apache-2.0 */
/* Verified metadata. Roots are kept, every one: a Secondary that missed some gets them one by one. */
#include "io/file.h"
#include "store/store-private.h"

static int get(Store *store, sqlite3_stmt *s, Buffer *ret, Error *error)
{
        int r = store_step(store, s, error);

        if (r > 0 && buffer_append(ret, store_blob(s, 0), error) < 0)
                return -1;
        return r;
}

int store_metadata_get(Store *store, TrustKind kind, Role role, Buffer *ret, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        int r;

        if (role == ROLE_ROOT)
                r = store_prepare(store, &s, error, "SELECT bytes FROM root WHERE repository = ? ORDER BY version DESC LIMIT 1", "i",
                                  (int64_t) kind);
        else
                r = store_prepare(store, &s, error, "SELECT bytes FROM metadata WHERE repository = ? AND role = ?", "ii", (int64_t) kind,
                                  (int64_t) role);
        return r < 0 ? -1 : get(store, s, ret, error);
}

int store_metadata_put(Store *store, TrustKind kind, Role role, int64_t version, Slice bytes, Error *error)
{
        if (role == ROLE_ROOT)
                return store_run(store, error,
                                 "INSERT INTO root VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET bytes = ?3 WHERE bytes IS NOT ?3", "iib",
                                 (int64_t) kind, version, bytes);
        return store_run(store, error,
                         "INSERT INTO metadata VALUES (?1, ?2, ?3, ?4)"
                         " ON CONFLICT DO UPDATE SET version = ?3, bytes = ?4 WHERE version IS NOT ?3 OR bytes IS NOT ?4",
                         "iiib", (int64_t) kind, (int64_t) role, version, bytes);
}

int store_delegated_get(Store *store, TrustKind kind, const char *name, Buffer *ret, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;

        if (store_prepare(store, &s, error, "SELECT bytes FROM delegated WHERE repository = ? AND name = ?", "it", (int64_t) kind, name) < 0)
                return -1;
        return get(store, s, ret, error);
}

/* REPLACE gives a new id: those that have not changed for the longest time go first. */
int store_delegated_put(Store *store, TrustKind kind, const char *name, int64_t version, Slice bytes, Error *error)
{
        if (store_run(store, error, "INSERT OR REPLACE INTO delegated (repository, name, version, bytes) VALUES (?, ?, ?, ?)", "itib",
                      (int64_t) kind, name, version, bytes) < 0)
                return -1;
        return store_run(store, error, "DELETE FROM delegated WHERE id NOT IN (SELECT id FROM delegated ORDER BY id DESC LIMIT ?)", "i",
                         (int64_t) STORE_DELEGATED_MAX);
}

int store_metadata_forget(Store *store, TrustKind kind, Error *error)
{
        return store_run(store, error, "DELETE FROM metadata WHERE repository = ? AND role IN (?, ?)", "iii", (int64_t) kind,
                         (int64_t) ROLE_TIMESTAMP, (int64_t) ROLE_SNAPSHOT);
}

int store_root_get(Store *store, TrustKind kind, int64_t version, Buffer *ret, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;

        if (store_prepare(store, &s, error, "SELECT bytes FROM root WHERE repository = ? AND version = ?", "ii", (int64_t) kind, version) < 0)
                return -1;
        return get(store, s, ret, error);
}

int store_root_install(Store *store, TrustKind kind, const char *folder, Error *error)
{
        CLEANUP(trust_repo_free) TrustRepo *repo = trust_repo_new(&(TrustOptions) { .kind = kind });
        cleanup_free char *path = xasprintf("%s/%s.root.json", folder, trust_kind_name(kind));
        cleanup_buffer Buffer bytes = { 0 };
        int r = store_metadata_get(store, kind, ROLE_ROOT, &bytes, error);

        if (r != 0)
                return r < 0 ? -1 : 0;
        r = file_read(path, ROLE_ROOT_BYTES_MAX, &bytes, error);
        if (r == 0)
                return error_set(error, ERR_NO_ROOT, "%s is missing: the first trusted %s Root must be shipped with the image", path,
                                 trust_kind_name(kind));
        if (r < 0 || trust_repo_restore(repo, ROLE_ROOT, buffer_slice(&bytes), error) < 0)
                return error_prefix(error, "%s", path);
        return store_metadata_put(store, kind, ROLE_ROOT, trust_repo_metadata(repo, ROLE_ROOT)->version, buffer_slice(&bytes), error);
}
