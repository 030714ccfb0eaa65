/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>

#include "store/store-private.h"

int store_error(Store *store, Error *error)
{
        int code = sqlite3_extended_errcode(store->db);

        return error_set_sys(error, (code & 0xff) == SQLITE_FULL ? ERR_NO_SPACE : ERR_STORAGE, code, "%s: %s", store->path,
                             sqlite3_errmsg(store->db));
}

static int bind(sqlite3_stmt *s, const char *types, va_list ap)
{
        int r = SQLITE_OK;

        for (int i = 0; types[i] && r == SQLITE_OK; i++)
                if (types[i] == 't')
                        r = sqlite3_bind_text(s, i + 1, va_arg(ap, const char *), -1, SQLITE_STATIC);
                else if (types[i] == 'i')
                        r = sqlite3_bind_int64(s, i + 1, va_arg(ap, int64_t));
                else {
                        Slice b = va_arg(ap, Slice);

                        r = sqlite3_bind_blob64(s, i + 1, b.data, b.size, SQLITE_STATIC);
                }
        return r;
}

static int prepare(Store *store, sqlite3_stmt **ret, Error *error, const char *sql, const char *types, va_list ap)
{
        cleanup_statement sqlite3_stmt *s = NULL;

        if (sqlite3_prepare_v2(store->db, sql, -1, &s, NULL) != SQLITE_OK || bind(s, types, ap) != SQLITE_OK)
                return store_error(store, error);
        *ret = TAKE_PTR(s);
        return 0;
}

int store_prepare(Store *store, sqlite3_stmt **ret, Error *error, const char *sql, const char *types, ...)
{
        va_list ap;
        int r;

        va_start(ap, types);
        r = prepare(store, ret, error, sql, types, ap);
        va_end(ap);
        return r;
}

int store_step(Store *store, sqlite3_stmt *statement, Error *error)
{
        int r = sqlite3_step(statement);

        if (r == SQLITE_ROW)
                return 1;
        return r == SQLITE_DONE ? 0 : store_error(store, error);
}

int store_run(Store *store, Error *error, const char *sql, const char *types, ...)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        va_list ap;
        int r;

        va_start(ap, types);
        r = prepare(store, &s, error, sql, types, ap);
        va_end(ap);
        while (r >= 0 && (r = store_step(store, s, error)) > 0)
                ;
        return r;
}

const char *store_text(sqlite3_stmt *statement, int column)
{
        const char *text = (const char *) sqlite3_column_text(statement, column);

        return text ? text : "";
}

Slice store_blob(sqlite3_stmt *statement, int column)
{
        const void *data = sqlite3_column_blob(statement, column);

        return slice(data, (size_t) sqlite3_column_bytes(statement, column));
}
