/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_PRIVATE_H
#define STORE_STORE_PRIVATE_H

/* What the files of the store share: the connection, and statements with their arguments bound and their errors made. */
#include <sqlite3.h>

#include "store/store.h"

struct Store {
        sqlite3 *db;
        char *path;
        char *folder; /* of large metadata; made when it is needed */
};

static inline void statement_cleanup(sqlite3_stmt **p)
{
        sqlite3_finalize(*p);
}
#define cleanup_statement __attribute__((cleanup(statement_cleanup)))

/* What SQLite says about the last failure, as ERR_STORAGE or ERR_NO_SPACE. */
int store_error(Store *store, Error *error) __attribute__((nonnull));
/*
 * Prepares sql and binds: types has a letter per argument: t text, i int64_t, b Slice (a blob; NULL where its data is).
 * Texts and bytes must live until the statement was stepped.
 */
int store_prepare(Store *store, sqlite3_stmt **ret, Error *error, const char *sql, const char *types, ...)
        __attribute__((nonnull(1, 2, 3, 4, 5), warn_unused_result));
/* 1: a row is there, 0: no more. */
int store_step(Store *store, sqlite3_stmt *statement, Error *error) __attribute__((nonnull, warn_unused_result));
/* Prepares, binds, runs to the end. */
int store_run(Store *store, Error *error, const char *sql, const char *types, ...) __attribute__((nonnull(1, 2, 3, 4), warn_unused_result));
/* Columns of the present row; borrowed until the next step. A NULL text is "". */
const char *store_text(sqlite3_stmt *statement, int column) __attribute__((nonnull, returns_nonnull));
Slice store_blob(sqlite3_stmt *statement, int column) __attribute__((nonnull));

/* metadata.c: removes the files of large metadata that no row names. */
void store_sweep(Store *store) __attribute__((nonnull));
/* schema.c: 1 if the tables are ours or there are none yet, 0 if they are somebody else's. */
int schema_is_ours(Store *store, Error *error) __attribute__((nonnull, warn_unused_result));
/* schema.c: brings the tables to what this version wants. ERR_STORAGE for a database of a newer version. */
int schema_migrate(Store *store, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
