/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables, as a list of steps from each version to the next: user_version counts the steps taken. A step that was
 * ever released is never changed.
 *
 * New software may be rolled back, and the old one then finds tables that it does not know. Steps should only add what the
 * old one can leave alone: a table, or a column that may be NULL (statements name their columns). Such a step leaves
 * OLDEST as it is: the oldest version that can work with the tables, written into them for software that is older still.
 */
#include "store/store-private.h"

static const char *const steps[] = {
        "CREATE TABLE value (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
        "CREATE TABLE bytes (name TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;"
        "CREATE TABLE root (repository INTEGER NOT NULL, version INTEGER NOT NULL, bytes BLOB NOT NULL,"
        "  PRIMARY KEY (repository, version)) STRICT;"
        "CREATE TABLE metadata (repository INTEGER NOT NULL, role INTEGER NOT NULL, version INTEGER NOT NULL, bytes BLOB NOT NULL,"
        "  PRIMARY KEY (repository, role)) STRICT;"
        "CREATE TABLE ecu (label TEXT PRIMARY KEY, serial TEXT NOT NULL, hardware_id TEXT NOT NULL, key_type INTEGER NOT NULL,"
        "  key TEXT NOT NULL, image TEXT NOT NULL, sha256 BLOB, sha512 BLOB, length INTEGER NOT NULL,"
        "  release_counter INTEGER NOT NULL) STRICT;"
        "CREATE TABLE report (id INTEGER PRIMARY KEY CHECK (id = 1), correlation_id TEXT NOT NULL, raw TEXT NOT NULL) STRICT;"
        "CREATE TABLE report_result (position INTEGER PRIMARY KEY, serial TEXT NOT NULL, hardware_id TEXT NOT NULL,"
        "  code INTEGER NOT NULL, description TEXT NOT NULL) STRICT;"
        "CREATE TABLE history (id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, \"update\" TEXT NOT NULL,"
        "  result TEXT NOT NULL, description TEXT NOT NULL, details TEXT NOT NULL) STRICT;",
        "CREATE TABLE delegated (id INTEGER PRIMARY KEY, repository INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,"
        "  bytes BLOB NOT NULL, UNIQUE (repository, name)) STRICT;",
        "CREATE TABLE attack (sequence INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, attack TEXT NOT NULL, text TEXT NOT NULL,"
        "  time INTEGER NOT NULL, count INTEGER NOT NULL) STRICT;",
        "ALTER TABLE metadata ADD COLUMN file TEXT; ALTER TABLE delegated ADD COLUMN file TEXT;",
        "CREATE TABLE ecu_report (label TEXT PRIMARY KEY, counter INTEGER NOT NULL, received INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;",
};

#define OLDEST 4
#define OLDEST_NAME "oldest-format"

static int get_version(Store *store, int64_t *ret, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;

        if (store_prepare(store, &s, error, "PRAGMA user_version", "") < 0 || store_step(store, s, error) < 0)
                return -1;
        *ret = sqlite3_column_int64(s, 0);
        return 0;
}

/* The tables of the first version: every database of ours has them, and one that was just made has none at all. */
static const char count_sql[] = "SELECT count(*), count(*) FILTER (WHERE type = 'table' AND name IN ('value', 'bytes', 'root', 'metadata'))"
                                " FROM sqlite_schema";
#define FIRST_TABLES 4

int schema_is_ours(Store *store, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        int64_t version;

        if (get_version(store, &version, error) < 0 || store_prepare(store, &s, error, count_sql, "") < 0 || store_step(store, s, error) < 0)
                return -1;
        return version == 0 ? sqlite3_column_int64(s, 0) == 0 : sqlite3_column_int64(s, 1) == FIRST_TABLES;
}

static int take_step(Store *store, size_t step, Error *error)
{
        cleanup_free char *sql = xasprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %zu; COMMIT;", steps[step], step + 1);

        if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK)
                return 0;
        (void) store_error(store, error);
        store_rollback(store);
        return -1;
}

/* Of newer software that was rolled back: whether its tables can be worked with. */
static int check_newer(Store *store, int64_t version, Error *error)
{
        int64_t oldest;

        if (store_number_get(store, OLDEST_NAME, &oldest, error) < 0)
                return -1;
        if (oldest > 0 && oldest <= (int64_t) ELEMENTSOF(steps))
                return 0;
        return error_set(error, ERR_STORAGE, "%s was written by a newer version of this software (format %lld, known is %zu)", store->path,
                         (long long) version, ELEMENTSOF(steps));
}

int schema_migrate(Store *store, Error *error)
{
        int64_t version;

        if (get_version(store, &version, error) < 0)
                return -1;
        if (version < 0 || (size_t) version > ELEMENTSOF(steps))
                return check_newer(store, version, error);
        for (size_t i = (size_t) version; i < ELEMENTSOF(steps); i++)
                if (take_step(store, i, error) < 0)
                        return -1;
        return store_number_put(store, OLDEST_NAME, OLDEST, error);
}
