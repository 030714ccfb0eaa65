/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata/role-keys.h"

#define KEY_ID_MAX 256
#define KEY_TYPE_NAME_MAX 64

static bool key_type_is_known(const char *name)
{
        Error ignored = { 0 };
        KeyType type;

        return key_type_from_name(name, &type, &ignored) == 0;
}

/* Uptane 5.2.3.2 (d): a key says of which type it is. Sets *ret to NULL for one that cannot be used here, which is no error. */
static int parse_key(const char *where, const char *id, const json_t *json, PublicKey **ret, Error *error)
{
        const char *type, *text, *scheme = NULL;
        Error why = { 0 };
        json_t *value;

        *ret = NULL;
        if (strlen(id) > KEY_ID_MAX)
                return error_set(error, ERR_MALFORMED, "%s.keys: an id of %zu bytes", where, strlen(id));
        if (!json_is_object(json))
                return error_set(error, ERR_MALFORMED, "%s.keys.%.16s is no object", where, id);
        if (json_get_string(json, "keys", "keytype", KEY_TYPE_NAME_MAX, &type, error) < 0 ||
            (json_has(json, "scheme") && json_get_string(json, "keys", "scheme", KEY_TYPE_NAME_MAX, &scheme, error) < 0))
                return error_prefix(error, "%s", where);
        if (!key_type_is_known(type))
                return 0;
        if (json_get_object(json, "keys", "keyval", 16, &value, error) < 0 ||
            json_get_string(value, "keys.keyval", "public", KEY_TEXT_MAX, &text, error) < 0)
                return error_prefix(error, "%s", where);
        if (public_key_new_named(type, scheme, text, ret, &why) == 0 || why.code == ERR_UNSUPPORTED)
                return 0;
        return error_set(error, ERR_MALFORMED, "%s.keys.%.16s...: %s", where, id, why.message);
}

static int compare(const void *a, const void *b)
{
        return strcmp(((const KeyById *) a)->id, ((const KeyById *) b)->id);
}

int role_parse_keys(Metadata *m, const json_t *object, const char *name, const char *where, size_t max, Keys *ret, Error *error)
{
        json_t *keys, *key;
        KeyById *list;
        const char *id;

        if (json_get_object(object, where, name, max, &keys, error) < 0)
                return -1;
        list = arena_alloc(m->envelope->arena, json_object_size(keys), sizeof *list);
        m->owned_keys = xcalloc(json_object_size(keys), sizeof *m->owned_keys);
        json_object_foreach(keys, id, key) {
                if (parse_key(where, id, key, &m->owned_keys[m->n_owned_keys], error) < 0)
                        return -1;
                list[m->n_owned_keys] = (KeyById) { id, m->owned_keys[m->n_owned_keys] };
                m->n_owned_keys++;
        }
        qsort(list, m->n_owned_keys, sizeof *list, compare);
        *ret = (Keys) { list, m->n_owned_keys };
        return 0;
}

static int find_key(const Keys *keys, const char *role, const json_t *json, KeysetEntry *ret, Error *error)
{
        const KeyById wanted = { json_string_value(json), NULL }, *found;

        if (!wanted.id)
                return error_set(error, ERR_MALFORMED, "%s.keyids holds something that is no string", role);
        found = keys->n ? bsearch(&wanted, keys->list, keys->n, sizeof *keys->list, compare) : NULL;
        if (!found)
                return error_set(error, ERR_MALFORMED, "%s names key %.16s..., which is not among the keys", role, wanted.id);
        *ret = (KeysetEntry) { found->id, found->key };
        return 0;
}

static int check_distinct(const Keyset *set, const char *role, const char *id, Error *error)
{
        for (size_t i = 0; i < set->n_entries; i++)
                if (strcmp(set->entries[i].id, id) == 0)
                        return error_set(error, ERR_MALFORMED, "%s names key %.16s... twice", role, id);
        return 0;
}

/* Uptane 5.2.2 (c), Uptane 5.2.3.2 (i, j): which keys, and how many of them */
int role_parse_keyset(Metadata *m, const Keys *keys, const char *role, const json_t *object, Keyset *ret, Error *error)
{
        KeysetEntry *entries;
        json_t *ids;

        if (json_get_array(object, role, "keyids", KEYSET_KEYS_MAX, &ids, error) < 0 ||
            json_get_int(object, role, "threshold", &ret->threshold, error) < 0)
                return -1;
        entries = arena_alloc(m->envelope->arena, json_array_size(ids), sizeof *entries);
        ret->entries = entries;
        for (size_t i = 0; i < json_array_size(ids); i++) {
                if (find_key(keys, role, json_array_get(ids, i), &entries[i], error) < 0 ||
                    check_distinct(ret, role, entries[i].id, error) < 0)
                        return -1;
                ret->n_entries = i + 1;
        }
        /* a threshold nobody can miss, or nobody can reach, is no threshold */
        if (ret->threshold < 1 || (uint64_t) ret->threshold > ret->n_entries)
                return error_set(error, ERR_MALFORMED, "%s: a threshold of %lld with %zu keys", role, (long long) ret->threshold,
                                 ret->n_entries);
        return 0;
}
