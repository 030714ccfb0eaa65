/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, transactions, and values under a name. The file is made by us, not by SQLite, so that it is never readable by
 * others, not even for a moment. SQLite gives its journal the same mode.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "io/file.h"
#include "store/store-private.h"

#define DAMAGED_MAX 100
#define PAGE_MIN 512 /* the smallest page of a database, and so the smallest database */

Store *store_free(Store *store)
{
        if (!store)
                return NULL;
        (void) sqlite3_close(store->db);
        free(store->path);
        free(store->folder);
        free(store);
        return NULL;
}

/* The name under which damaged database number n is kept. */
static char *damaged_name(const char *path, int n)
{
        return xasprintf("%s.damaged-%d", path, n);
}

/* A database that was found damaged, and no new one since: an operator has to decide. */
static int check_earlier_damage(const char *path, Error *error)
{
        cleanup_free char *aside = damaged_name(path, 1);

        if (access(path, F_OK) == 0 || access(aside, F_OK) < 0)
                return 0;
        return error_set(error, ERR_DATABASE_DAMAGED, "%s was found damaged and is kept as %s; restore it from a backup, or remove it to "
                                                      "begin with the Root shipped with the image", path, aside);
}

static void keep_aside(const char *path, const char *suffix, int n)
{
        cleanup_free char *from = xasprintf("%s%s", path, suffix), *aside = damaged_name(path, n), *to = xasprintf("%s%s", aside, suffix);

        (void) rename(from, to);
}

static int damaged(const char *path, const char *why, Error *error)
{
        int n = 1;

        for (; n < DAMAGED_MAX; n++) {
                cleanup_free char *aside = damaged_name(path, n);

                if (access(aside, F_OK) < 0)
                        break;
        }
        keep_aside(path, "", n);
        keep_aside(path, "-wal", n);
        return error_set(error, ERR_DATABASE_DAMAGED, "%s is damaged (%s) and was renamed to %s.damaged-%d", path, why, path, n);
}

/* 1: there is a file too short for a database, which SQLite would take for a new one; 0: all well. */
static int make_file(const char *path, Error *error)
{
        cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat st;

        if (fd < 0)
                return error_set_errno(error, errno == ENOSPC ? ERR_NO_SPACE : ERR_STORAGE, errno, "%s", path);
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return error_set(error, ERR_STORAGE, "%s is no regular file", path);
        if ((st.st_mode & 0077) && fchmod(fd, 0600) < 0)
                return error_set_errno(error, ERR_STORAGE, errno, "%s", path);
        return st.st_size > 0 && st.st_size < PAGE_MIN;
}

/* Exclusive locking: there is one user, and then WAL needs no shared memory file. */
static const char settings[] =
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
        "PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 1048576;";

static bool is_damage(int code)
{
        return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

/* Returns 0; 1 and why, if what is there is no sound database. */
static int check_sound(Store *store, char why[static 128], Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        int r;

        if (sqlite3_exec(store->db, settings, NULL, NULL, NULL) == SQLITE_OK &&
            store_prepare(store, &s, error, "PRAGMA quick_check(1)", "") == 0 && store_step(store, s, error) >= 0) {
                (void) snprintf(why, 128, "%s", store_text(s, 0));
                if (strcmp(why, "ok") != 0)
                        return 1;
                (void) snprintf(why, 128, "it holds the tables of another program");
                r = schema_is_ours(store, error);
                return r < 0 ? -1 : r == 0;
        }
        if (!is_damage(sqlite3_extended_errcode(store->db)))
                return error->code != ERR_NONE ? -1 : store_error(store, error);
        error_clear(error);
        (void) snprintf(why, 128, "%s", sqlite3_errmsg(store->db));
        return 1;
}

int store_open(const char *directory, const char *name, Store **ret, Error *error)
{
        CLEANUP(store_free) Store *store = xcalloc(1, sizeof *store);
        /* the folder may be behind links, as every DynamicUser='s is; SQLite would take none anywhere in the path */
        cleanup_free char *folder = realpath(directory, NULL);
        char why[128];
        int r;

        if (!folder)
                return error_set_errno(error, ERR_STORAGE, errno, "%s", directory);
        store->path = xasprintf("%s/%s", folder, name);
        store->folder = xasprintf("%s/metadata", folder);
        if (check_earlier_damage(store->path, error) < 0)
                return -1;
        r = make_file(store->path, error);
        if (r != 0)
                return r < 0 ? -1 : damaged(store->path, "too short for a database", error);
        if (sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK)
                return store->db ? store_error(store, error) : error_set(error, ERR_STORAGE, "%s cannot be opened", store->path);
        r = check_sound(store, why, error);
        if (r > 0) {
                (void) sqlite3_close(TAKE_PTR(store->db));
                return damaged(store->path, why, error);
        }
        if (r < 0 || schema_migrate(store, error) < 0)
                return -1;
        store_sweep(store);
        *ret = TAKE_PTR(store);
        return 0;
}

/* ---- transactions ---- */

int store_begin(Store *store, Error *error)
{
        return store_run(store, error, "BEGIN IMMEDIATE", "");
}

int store_commit(Store *store, Error *error)
{
        return store_run(store, error, "COMMIT", "");
}

void store_rollback(Store *store)
{
        if (!sqlite3_get_autocommit(store->db))
                (void) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- values ---- */

/* Appends the only column of the only row. */
static int get_one(Store *store, const char *sql, const char *name, Buffer *ret, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        int r;

        if (store_prepare(store, &s, error, sql, "t", name) < 0)
                return -1;
        r = store_step(store, s, error);
        if (r > 0 && buffer_append(ret, store_blob(s, 0), error) < 0)
                return -1;
        return r;
}

int store_value_get(Store *store, const char *name, Buffer *ret, Error *error)
{
        return get_one(store, "SELECT value FROM value WHERE name = ?", name, ret, error);
}

/* An equal row is left alone: no write, no fsync. */
int store_value_put(Store *store, const char *name, const char *value, Error *error)
{
        return store_run(store, error,
                         "INSERT INTO value (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2 WHERE value IS NOT ?2", "tt",
                         name, value);
}

int store_number_get(Store *store, const char *name, int64_t *ret, Error *error)
{
        cleanup_buffer Buffer text = { 0 };
        int r = store_value_get(store, name, &text, error);
        char *end;

        if (r < 0)
                return -1;
        *ret = r > 0 ? strtoll(buffer_str(&text), &end, 10) : 0;
        if (r > 0 && (text.size == 0 || *end))
                return error_set(error, ERR_STORAGE, "%s: '%s' is '%.40s', which is no number", store->path, name, buffer_str(&text));
        return 0;
}

int store_number_put(Store *store, const char *name, int64_t value, Error *error)
{
        char text[24];

        (void) snprintf(text, sizeof text, "%" PRId64, value);
        return store_value_put(store, name, text, error);
}

int store_bytes_get(Store *store, const char *name, Buffer *ret, Error *error)
{
        return get_one(store, "SELECT bytes FROM bytes WHERE name = ?", name, ret, error);
}

int store_bytes_put(Store *store, const char *name, Slice bytes, Error *error)
{
        return store_run(store, error,
                         "INSERT INTO bytes (name, bytes) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET bytes = ?2 WHERE bytes IS NOT ?2", "tb",
                         name, bytes);
}
