/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store-private.h"

int store_history_add(Store *store, const StoredHistory *h, Error *error)
{
        if (store_run(store, error, "INSERT INTO history (time, \"update\", result, description, details) VALUES (?, ?, ?, ?, ?)", "itttt",
                      h->time, h->update, h->result, h->description, h->details) < 0)
                return -1;
        return store_run(store, error, "DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?", "i", (int64_t) STORE_HISTORY_MAX);
}

int store_history_list(Store *store, size_t limit, Arena *arena, const StoredHistory **ret, size_t *ret_n, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        StoredHistory *list;
        size_t n = 0;
        int r;

        if (limit > STORE_HISTORY_MAX)
                limit = STORE_HISTORY_MAX;
        list = arena_alloc(arena, limit, sizeof *list);
        if (store_prepare(store, &s, error, "SELECT time, \"update\", result, description, details FROM history ORDER BY id DESC LIMIT ?", "i",
                          (int64_t) limit) < 0)
                return -1;
        while ((r = store_step(store, s, error)) > 0 && n < limit)
                list[n++] = (StoredHistory) { sqlite3_column_int64(s, 0), arena_strdup(arena, store_text(s, 1)),
                                              arena_strdup(arena, store_text(s, 2)), arena_strdup(arena, store_text(s, 3)),
                                              arena_strdup(arena, store_text(s, 4)) };
        if (r < 0)
                return -1;
        *ret = list;
        *ret_n = n;
        return 0;
}
