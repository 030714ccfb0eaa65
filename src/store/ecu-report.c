/* SPDX-License-Identifier: Apache-2.0 */
/* The last good version report of each ECU, and which ECUs are known at all. */
#include "store/store-private.h"

#define ECUS_MAX 512 /* twice as many as there may be: those of another configuration are there until the back-end knows */

int store_ecu_report_get(Store *store, const char *label, Arena *arena, StoredEcuReport *ret, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        int r;

        if (store_prepare(store, &s, error, "SELECT counter, received, bytes FROM ecu_report WHERE label = ?", "t", label) < 0)
                return -1;
        r = store_step(store, s, error);
        if (r <= 0)
                return r;
        *ret = (StoredEcuReport) { sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1), arena_dup(arena, store_blob(s, 2)) };
        return 1;
}

int store_ecu_report_put(Store *store, const char *label, const StoredEcuReport *report, Error *error)
{
        return store_run(store, error, "INSERT OR REPLACE INTO ecu_report (label, counter, received, bytes) VALUES (?, ?, ?, ?)", "tiib", label,
                         report->counter, report->received, report->bytes);
}

int store_ecu_list(Store *store, Arena *arena, const char *const **ret, size_t *ret_n, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        const char **labels = arena_alloc(arena, ECUS_MAX, sizeof *labels);
        size_t n = 0;
        int r;

        if (store_prepare(store, &s, error, "SELECT label FROM ecu ORDER BY label", "") < 0)
                return -1;
        while ((r = store_step(store, s, error)) > 0 && n < ECUS_MAX)
                labels[n++] = arena_strdup(arena, store_text(s, 0));
        if (r < 0)
                return -1;
        *ret = labels;
        *ret_n = n;
        return 0;
}

int store_ecu_forget(Store *store, const char *label, Error *error)
{
        if (store_run(store, error, "DELETE FROM ecu_report WHERE label = ?", "t", label) < 0)
                return -1;
        return store_run(store, error, "DELETE FROM ecu WHERE label = ?", "t", label);
}
