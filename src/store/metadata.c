/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verified metadata. Roots are kept, every one: a Secondary that missed some gets them one by one. Large files of the other
 * roles lie beside the database, under a name that nothing but their row knows; what no row names is swept away.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/codec.h"
#include "io/file.h"
#include "store/store-private.h"

static int storage_error(Error *error, const char *what)
{
        return error_set_errno(error, errno == ENOSPC ? ERR_NO_SPACE : ERR_STORAGE, errno, "%s", what);
}

static int get(Store *store, sqlite3_stmt *s, Buffer *ret, Error *error)
{
        int r = store_step(store, s, error);

        if (r > 0 && buffer_append(ret, store_blob(s, 0), error) < 0)
                return -1;
        return r;
}

/* ---- files beside the database ---- */

static int open_folder(Store *store, Error *error)
{
        int fd;

        if (mkdir(store->folder, 0700) < 0 && errno != EEXIST)
                return storage_error(error, store->folder);
        fd = open(store->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? storage_error(error, store->folder) : fd;
}

int store_file_new(Store *store, StoreFile *ret, Error *error)
{
        cleanup_close int folder = open_folder(store, error);
        uint8_t random[16];

        *ret = (StoreFile) { .fd = -1 };
        if (folder < 0)
                return -1;
        if (getrandom(random, sizeof random, 0) != (ssize_t) sizeof random)
                return error_set_errno(error, ERR_SYSTEM, errno, "random numbers");
        hex_encode(slice(random, sizeof random), ret->name);
        ret->fd = openat(folder, ret->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        return ret->fd < 0 ? storage_error(error, store->folder) : 0;
}

void store_file_done(StoreFile *file)
{
        if (file->fd >= 0)
                (void) close(file->fd);
        file->fd = -1;
}

static int is_named(Store *store, const char *name, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;

        if (store_prepare(store, &s, error, "SELECT 1 FROM metadata WHERE file = ?1 UNION ALL SELECT 1 FROM delegated WHERE file = ?1", "t",
                          name) < 0)
                return -1;
        return store_step(store, s, error);
}

void store_sweep(Store *store)
{
        DIR *d = opendir(store->folder);
        Error ignored = { 0 };

        if (!d)
                return; /* none was ever needed */
        for (struct dirent *e; (e = readdir(d));)
                if (e->d_name[0] != '.' && is_named(store, e->d_name, &ignored) == 0)
                        (void) unlinkat(dirfd(d), e->d_name, 0);
        (void) closedir(d);
}

static int open_file(Store *store, const char *name, Error *error)
{
        cleanup_close int folder = open_folder(store, error);
        int fd;

        if (folder < 0)
                return -1;
        fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? error_set_errno(error, ERR_STORAGE, errno, "%s/%s, which holds trusted metadata", store->folder, name) : fd;
}

static int select_row(Store *store, sqlite3_stmt **ret, TrustKind kind, Role role, const char *name, Error *error)
{
        if (name)
                return store_prepare(store, ret, error, "SELECT bytes, file FROM delegated WHERE repository = ? AND name = ?", "it",
                                     (int64_t) kind, name);
        if (role == ROLE_ROOT)
                return store_prepare(store, ret, error, "SELECT bytes, NULL FROM root WHERE repository = ? ORDER BY version DESC LIMIT 1",
                                     "i", (int64_t) kind);
        return store_prepare(store, ret, error, "SELECT bytes, file FROM metadata WHERE repository = ? AND role = ?", "ii", (int64_t) kind,
                             (int64_t) role);
}

int store_metadata_open(Store *store, TrustKind kind, Role role, const char *name, int *ret, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        const char *file;
        int r = select_row(store, &s, kind, role, name, error);

        if (r == 0)
                r = store_step(store, s, error);
        if (r <= 0)
                return r;
        file = store_text(s, 1);
        *ret = *file ? open_file(store, file, error) : file_memory(store_blob(s, 0), error);
        return *ret < 0 ? -1 : 1;
}

int store_metadata_get(Store *store, TrustKind kind, Role role, const char *name, Buffer *ret, Error *error)
{
        cleanup_close int fd = -1;
        int r = store_metadata_open(store, kind, role, name, &fd, error);

        return r > 0 && file_read_fd(fd, "trusted metadata", SIZE_MAX, ret, error) < 0 ? -1 : r;
}

int store_metadata_put(Store *store, TrustKind kind, Role role, int64_t version, Slice bytes, Error *error)
{
        if (role == ROLE_ROOT)
                return store_run(store, error,
                                 "INSERT INTO root (repository, version, bytes) VALUES (?1, ?2, ?3)"
                                 " ON CONFLICT DO UPDATE SET bytes = ?3 WHERE bytes IS NOT ?3", "iib",
                                 (int64_t) kind, version, bytes);
        return store_run(store, error,
                         "INSERT INTO metadata (repository, role, version, bytes, file) VALUES (?1, ?2, ?3, ?4, NULL)"
                         " ON CONFLICT DO UPDATE SET version = ?3, bytes = ?4, file = NULL"
                         " WHERE version IS NOT ?3 OR bytes IS NOT ?4 OR file IS NOT NULL",
                         "iiib", (int64_t) kind, (int64_t) role, version, bytes);
}

/* REPLACE gives a new id: those that have not changed for the longest time go first. */
static int put_delegated(Store *store, TrustKind kind, const char *name, int64_t version, Slice bytes, const char *file, Error *error)
{
        if (store_run(store, error, "INSERT OR REPLACE INTO delegated (repository, name, version, bytes, file) VALUES (?, ?, ?, ?, ?)", "itibt",
                      (int64_t) kind, name, version, bytes, file) < 0)
                return -1;
        return store_run(store, error, "DELETE FROM delegated WHERE id NOT IN (SELECT id FROM delegated ORDER BY id DESC LIMIT ?)", "i",
                         (int64_t) STORE_DELEGATED_MAX);
}

int store_delegated_put(Store *store, TrustKind kind, const char *name, int64_t version, Slice bytes, Error *error)
{
        return put_delegated(store, kind, name, version, bytes, NULL, error);
}

int store_metadata_put_file(Store *store, TrustKind kind, Role role, const char *name, int64_t version, const StoreFile *file, Error *error)
{
        static const Slice none = { (const uint8_t *) "", 0 };
        cleanup_close int folder = open_folder(store, error);
        int r;

        if (folder < 0)
                return -1;
        if (fsync(folder) < 0)
                return storage_error(error, store->folder);
        if (name)
                r = put_delegated(store, kind, name, version, none, file->name, error);
        else
                r = store_run(store, error, "INSERT OR REPLACE INTO metadata (repository, role, version, bytes, file) VALUES (?, ?, ?, ?, ?)",
                              "iiibt", (int64_t) kind, (int64_t) role, version, none, file->name);
        if (r == 0)
                store_sweep(store);
        return r;
}

int store_metadata_forget(Store *store, TrustKind kind, Error *error)
{
        if (store_run(store, error, "DELETE FROM metadata WHERE repository = ? AND role IN (?, ?)", "iii", (int64_t) kind,
                      (int64_t) ROLE_TIMESTAMP, (int64_t) ROLE_SNAPSHOT) < 0)
                return -1;
        store_sweep(store);
        return 0;
}

int store_root_get(Store *store, TrustKind kind, int64_t version, Buffer *ret, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;

        if (store_prepare(store, &s, error, "SELECT bytes FROM root WHERE repository = ? AND version = ?", "ii", (int64_t) kind, version) < 0)
                return -1;
        return get(store, s, ret, error);
}

/* ---- the first Root ---- */

static int read_shipped(TrustKind kind, const char *folder, Buffer *ret, int64_t *ret_version, Error *error)
{
        CLEANUP(trust_repo_free) TrustRepo *repo = trust_repo_new(&(TrustOptions) { .kind = kind });
        cleanup_free char *path = xasprintf("%s/%s.root.json", folder, trust_kind_name(kind));
        int r = file_read(path, ROLE_ROOT_BYTES_MAX, ret, error);

        if (r == 0)
                return error_set(error, ERR_NO_ROOT, "%s is missing: the first trusted %s Root must be shipped with the image", path,
                                 trust_kind_name(kind));
        if (r < 0 || trust_repo_restore(repo, ROLE_ROOT, buffer_slice(ret), error) < 0)
                return error_prefix(error, "%s", path);
        *ret_version = trust_repo_metadata(repo, ROLE_ROOT)->version;
        return 0;
}

int store_root_shipped(TrustKind kind, const char *folder, Buffer *ret, Error *error)
{
        int64_t version;

        return read_shipped(kind, folder, ret, &version, error);
}

int store_root_install(Store *store, TrustKind kind, const char *folder, Error *error)
{
        cleanup_buffer Buffer bytes = { 0 };
        int64_t version;
        int r = store_metadata_get(store, kind, ROLE_ROOT, NULL, &bytes, error);

        if (r != 0)
                return r < 0 ? -1 : 0;
        if (read_shipped(kind, folder, &bytes, &version, error) < 0)
                return -1;
        return store_metadata_put(store, kind, ROLE_ROOT, version, buffer_slice(&bytes), error);
}
