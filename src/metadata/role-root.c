/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root: keys and roles (Uptane 5.2.2). A key of a type nobody here knows keeps its id, so that a threshold that needs it
 * is not reached, but the others still count. A key that claims a known type and is none makes the document malformed.
 */
#include <string.h>

#include "metadata/role-parse.h"

#define ROOT_KEYS_MAX 256
#define ROOT_ROLES_MAX 64
#define KEY_ID_MAX 256
#define KEY_TYPE_NAME_MAX 64

typedef struct Keys {
        const char **ids;
        PublicKey **keys; /* NULL where the type is not supported; owned by the Metadata */
        size_t n;
} Keys;

/* Sets *ret to NULL for a key that cannot be used here, which is no error. */
static int parse_key(const char *id, const json_t *json, PublicKey **ret, Error *error)
{
        const char *type_text, *text;
        Error why = { 0 };
        json_t *value;
        KeyType type;

        *ret = NULL;
        if (strlen(id) > KEY_ID_MAX)
                return error_set(error, ERR_MALFORMED, "root.keys: an id of %zu bytes", strlen(id));
        if (!json_is_object(json))
                return error_set(error, ERR_MALFORMED, "root.keys.%.16s is no object", id);
        if (json_get_string(json, "root.keys", "keytype", KEY_TYPE_NAME_MAX, &type_text, error) < 0)
                return -1;
        if (key_type_from_name(type_text, &type, &why) < 0)
                return 0;
        if (json_get_object(json, "root.keys", "keyval", 16, &value, error) < 0 ||
            json_get_string(value, "root.keys.keyval", "public", KEY_TEXT_MAX, &text, error) < 0)
                return -1;
        if (public_key_new(type, text, ret, &why) == 0 || why.code == ERR_UNSUPPORTED)
                return 0;
        return error_set(error, ERR_MALFORMED, "root.keys.%.16s...: %s", id, why.message);
}

static int parse_keys(Metadata *m, Keys *ret, Error *error)
{
        json_t *keys, *key;
        const char *id;

        if (json_get_object(m->envelope->body, "root", "keys", ROOT_KEYS_MAX, &keys, error) < 0)
                return -1;
        ret->ids = arena_alloc(m->envelope->arena, json_object_size(keys), sizeof *ret->ids);
        m->owned_keys = xcalloc(json_object_size(keys), sizeof *m->owned_keys);
        ret->keys = m->owned_keys;
        json_object_foreach(keys, id, key) {
                if (parse_key(id, key, &m->owned_keys[ret->n], error) < 0)
                        return -1;
                ret->ids[ret->n++] = id;
                m->n_owned_keys = ret->n;
        }
        return 0;
}

static int find_key(const Keys *keys, const char *role, const json_t *json, KeysetEntry *ret, Error *error)
{
        const char *id = json_string_value(json);

        if (!id)
                return error_set(error, ERR_MALFORMED, "root.roles.%s.keyids holds something that is no string", role);
        for (size_t i = 0; i < keys->n; i++)
                if (strcmp(keys->ids[i], id) == 0) {
                        *ret = (KeysetEntry) { keys->ids[i], keys->keys[i] };
                        return 0;
                }
        return error_set(error, ERR_MALFORMED, "root.roles.%s names key %.16s..., which is not among root.keys", role, id);
}

static int check_distinct(const Keyset *set, const char *role, const char *id, Error *error)
{
        for (size_t i = 0; i < set->n_entries; i++)
                if (strcmp(set->entries[i].id, id) == 0)
                        return error_set(error, ERR_MALFORMED, "root.roles.%s names key %.16s... twice", role, id);
        return 0;
}

static int parse_role(Metadata *m, const Keys *keys, const char *role, const json_t *json, Keyset *ret, Error *error)
{
        KeysetEntry *entries;
        json_t *ids;

        if (json_get_array(json, role, "keyids", KEYSET_KEYS_MAX, &ids, error) < 0 ||
            json_get_int(json, role, "threshold", &ret->threshold, error) < 0)
                return error_prefix(error, "root.roles");
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
                return error_set(error, ERR_MALFORMED, "root.roles.%s: a threshold of %lld with %zu keys", role, (long long) ret->threshold,
                                 ret->n_entries);
        return 0;
}

int role_parse_root(Metadata *m, Error *error)
{
        Keys keys = { 0 };
        json_t *roles;

        if (parse_keys(m, &keys, error) < 0 || json_get_object(m->envelope->body, "root", "roles", ROOT_ROLES_MAX, &roles, error) < 0)
                return -1;
        for (unsigned r = 0; r < _ROLE_MAX; r++) {
                const char *name = role_name((Role) r);
                json_t *role;

                if (!json_object_get(roles, name))
                        continue;
                if (json_get_object(roles, "root.roles", name, 16, &role, error) < 0 ||
                    parse_role(m, &keys, name, role, &m->root.keys[r], error) < 0)
                        return -1;
                m->root.has[r] = true;
        }
        /* Uptane 5.2.2: what no repository can do without */
        if (!m->root.has[ROLE_ROOT] || !m->root.has[ROLE_TARGETS])
                return error_set(error, ERR_MALFORMED, "root.roles.%s is missing", m->root.has[ROLE_ROOT] ? "targets" : "root");
        return 0;
}
