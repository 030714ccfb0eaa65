/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store-private.h"

/* A hash column: NULL, or exactly size bytes. */
static int take_hash(Store *store, sqlite3_stmt *s, int column, uint8_t *ret, size_t size, bool *ret_has, Error *error)
{
        Slice b = store_blob(s, column);

        *ret_has = b.size > 0;
        if (b.size > 0 && b.size != size)
                return error_set(error, ERR_STORAGE, "%s: a hash of %zu bytes in table ecu", store->path, b.size);
        if (b.size > 0)
                memcpy(ret, b.data, size);
        return 0;
}

int store_ecu_get(Store *store, const char *label, Arena *arena, StoredEcu *ret, Error *error)
{
        cleanup_statement sqlite3_stmt *s = NULL;
        StoredEcu ecu = { 0 };
        int r;

        if (store_prepare(store, &s, error, "SELECT * FROM ecu WHERE label = ?", "t", label) < 0)
                return -1;
        r = store_step(store, s, error);
        if (r <= 0)
                return r;
        if (sqlite3_column_int64(s, 3) < 0 || sqlite3_column_int64(s, 3) >= _KEY_TYPE_MAX)
                return error_set(error, ERR_STORAGE, "%s: key type %lld in table ecu", store->path, (long long) sqlite3_column_int64(s, 3));
        ecu.label = arena_strdup(arena, store_text(s, 0));
        ecu.serial = arena_strdup(arena, store_text(s, 1));
        ecu.hardware_id = arena_strdup(arena, store_text(s, 2));
        ecu.key_type = (KeyType) sqlite3_column_int64(s, 3);
        ecu.key_text = arena_strdup(arena, store_text(s, 4));
        ecu.image = arena_strdup(arena, store_text(s, 5));
        ecu.length = sqlite3_column_int64(s, 8);
        ecu.release_counter = sqlite3_column_int64(s, 9);
        if (take_hash(store, s, 6, ecu.hashes.sha256, SHA256_SIZE, &ecu.hashes.has_sha256, error) < 0 ||
            take_hash(store, s, 7, ecu.hashes.sha512, SHA512_SIZE, &ecu.hashes.has_sha512, error) < 0)
                return -1;
        *ret = ecu;
        return 1;
}

int store_ecu_put(Store *store, const StoredEcu *e, Error *error)
{
        Slice sha256 = e->hashes.has_sha256 ? slice(e->hashes.sha256, SHA256_SIZE) : SLICE_NONE;
        Slice sha512 = e->hashes.has_sha512 ? slice(e->hashes.sha512, SHA512_SIZE) : SLICE_NONE;

        return store_run(store, error,
                         "INSERT OR REPLACE INTO ecu (label, serial, hardware_id, key_type, key, image, sha256, sha512, length, release_counter)"
                         " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "tttittbbii", e->label, e->serial,
                         e->hardware_id, (int64_t) e->key_type, e->key_text, e->image, sha256, sha512, e->length, e->release_counter);
}
