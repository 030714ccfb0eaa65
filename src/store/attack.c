/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attacks that the Director was not told of yet. Replacing a row gives it a new number, so that clearing by number never
 * takes away what was seen after the report was made.
 */
#include "store/store-private.h"

static const char add_sql[] = "INSERT OR REPLACE INTO attack (key, attack, text, time, count)"
                              " SELECT ?1, ?2, ?3, ?4, coalesce(max(count), 0) + 1 FROM attack WHERE key = ?1";
/* How it began and how it stands are worth most: the one before the newest gives way. */
static const char bound_sql[] = "DELETE FROM attack WHERE sequence IN (SELECT sequence FROM attack ORDER BY sequence LIMIT -1 OFFSET ?)"
                                " AND sequence < (SELECT max(sequence) FROM attack)";

int store_attack_add(Store *store, const char *key, const char *attack, const char *text, int64_t time, Error *error)
{
        if (store_run(store, error, add_sql, "ttti", key, attack, text, time) < 0)
                return -1;
        return store_run(store, error, bound_sql, "i", (int64_t) STORE_ATTACKS_MAX - 1);
}

int store_attack_list(Store *store, Arena *arena, const DetectedAttack **ret, size_t *ret_n, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        DetectedAttack *list = arena_alloc(arena, STORE_ATTACKS_MAX, sizeof *list);
        size_t n = 0;
        int r;

        if (store_prepare(store, &s, error, "SELECT sequence, attack, text, time, count FROM attack ORDER BY sequence", "") < 0)
                return -1;
        while ((r = store_step(store, s, error)) > 0 && n < STORE_ATTACKS_MAX)
                list[n++] = (DetectedAttack) { sqlite3_column_int64(s, 0), arena_strdup(arena, store_text(s, 1)),
                                               arena_strdup(arena, store_text(s, 2)), sqlite3_column_int64(s, 3), sqlite3_column_int64(s, 4) };
        if (r < 0)
                return -1;
        *ret = list;
        *ret_n = n;
        return 0;
}

int store_attack_clear(Store *store, int64_t sequence, Error *error)
{
        return store_run(store, error, "DELETE FROM attack WHERE sequence <= ?", "i", sequence);
}
