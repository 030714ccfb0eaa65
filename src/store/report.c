/* SPDX-License-Identifier: Apache-2.0 */
/* The installation report that waits for its manifest. It is small, and replaced as a whole. */
#include "store/store-private.h"

#define RESULTS_MAX 1024

static int put_all(Store *store, const char *correlation_id, const char *raw, const InstallResult *results, size_t n, Error *error)
{
        if (store_report_clear(store, error) < 0 ||
            store_run(store, error, "INSERT INTO report (id, correlation_id, raw) VALUES (1, ?, ?)", "tt", correlation_id, raw) < 0)
                return -1;
        for (size_t i = 0; i < n; i++)
                if (store_run(store, error, "INSERT INTO report_result (position, serial, hardware_id, code, description) VALUES (?, ?, ?, ?, ?)",
                              "ittit", (int64_t) i, results[i].serial,
                              results[i].hardware_id, (int64_t) results[i].code, results[i].description ? results[i].description : "") < 0)
                        return -1;
        return 0;
}

/* In the caller's transaction, or in one of its own: half a report would be a lie. */
int store_report_put(Store *store, const char *correlation_id, const char *raw_report, const InstallResult *results, size_t n_results,
                     Error *error)
{
        bool own = sqlite3_get_autocommit(store->db);

        if (own && store_begin(store, error) < 0)
                return -1;
        if (put_all(store, correlation_id, raw_report, results, n_results, error) == 0 && (!own || store_commit(store, error) == 0))
                return 0;
        if (own)
                store_rollback(store);
        return -1;
}

static int get_results(Store *store, Arena *arena, VehicleManifest *ret, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        InstallResult *results = arena_alloc(arena, RESULTS_MAX, sizeof *results);
        size_t n = 0;
        int r;

        if (store_prepare(store, &s, error, "SELECT serial, hardware_id, code, description FROM report_result ORDER BY position", "") < 0)
                return -1;
        while ((r = store_step(store, s, error)) > 0 && n < RESULTS_MAX) {
                int64_t code = sqlite3_column_int64(s, 2);

                if (code < 0 || code >= _REPORT_MAX)
                        return error_set(error, ERR_STORAGE, "%s: result code %lld in table report_result", store->path, (long long) code);
                results[n++] = (InstallResult) { arena_strdup(arena, store_text(s, 0)), arena_strdup(arena, store_text(s, 1)),
                                                 (ErrorReport) code, arena_strdup(arena, store_text(s, 3)) };
        }
        ret->results = results;
        ret->n_results = n;
        return r < 0 ? -1 : 1;
}

int store_report_get(Store *store, Arena *arena, VehicleManifest *ret, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        int r;

        if (store_prepare(store, &s, error, "SELECT correlation_id, raw FROM report", "") < 0)
                return -1;
        r = store_step(store, s, error);
        if (r <= 0)
                return r;
        ret->correlation_id = arena_strdup(arena, store_text(s, 0));
        ret->raw_report = arena_strdup(arena, store_text(s, 1));
        return get_results(store, arena, ret, error);
}

int store_report_clear(Store *store, Error *error)
{
        if (store_run(store, error, "DELETE FROM report_result", "") < 0)
                return -1;
        return store_run(store, error, "DELETE FROM report", "");
}
