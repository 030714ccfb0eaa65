/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delegations in the spellings of the field: "roles" of the TUF specification, "succinct_roles" (TAP 15),
 * and multi-role delegations (TAP 3), either as that text spells them (a list in "delegations", its keys in
 * "keys_for_delegations") or as members of an entry of "roles".
 */
#include "metadata/role-keys.h"
#include "metadata/role-parse.h"

#define KEYS_NAME_TAP3 "keys_for_delegations"
#define BIT_LENGTH_MAX 32

bool targets_delegate(const Targets *targets)
{
        return targets->n_delegations > 0 || targets->succinct.name_prefix;
}

static bool is_top_level(const char *name)
{
        for (unsigned role = 0; role < _ROLE_MAX; role++)
                if (strcmp(name, role_name((Role) role)) == 0)
                        return true;
        return false;
}

/* Uptane 5.2.3.2 (h): a role has a name. It is only ever a key in a database and a URL-encoded part of a URL; still it is shown to people. */
static int check_name(const char *name, Error *error)
{
        if (*name == '\0')
                return error_set(error, ERR_MALFORMED, "delegations: a role without a name");
        if (is_top_level(name))
                return error_set(error, ERR_MALFORMED, "delegations: '%s' is the name of a top-level role", name);
        for (const unsigned char *p = (const unsigned char *) name; *p; p++)
                if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0)) /* U+0080 to U+009f too */
                        return error_set(error, ERR_MALFORMED, "delegations: a control character in the name of a role");
        return 0;
}

/* A list of strings of 1 to max_size bytes. */
static int get_strings(Metadata *m, const json_t *object, const char *where, const char *name, size_t max, size_t max_size,
                       const char *const **ret, size_t *ret_n, Error *error)
{
        const char **list;
        json_t *array;

        if (json_get_array(object, where, name, max, &array, error) < 0)
                return -1;
        list = arena_alloc(m->envelope->arena, json_array_size(array) + 1, sizeof *list);
        for (size_t i = 0; i < json_array_size(array); i++) {
                const json_t *entry = json_array_get(array, i);

                if (!json_is_string(entry) || json_string_length(entry) < 1 || json_string_length(entry) > max_size)
                        return error_set(error, ERR_MALFORMED, "%s.%s: entry %zu is no text of 1 to %zu bytes", where, name, i + 1, max_size);
                list[i] = json_string_value(entry);
        }
        *ret = list;
        *ret_n = json_array_size(array);
        return 0;
}

static int parse_role(Metadata *m, const Keys *keys, const json_t *json, const char *name_member, DelegatedRole *ret, Error *error)
{
        if (!json_is_object(json))
                return error_set(error, ERR_MALFORMED, "delegations: an entry is no object");
        if (json_get_string(json, "delegations", name_member, ROLE_NAME_MAX, &ret->name, error) < 0 || check_name(ret->name, error) < 0)
                return -1;
        return role_parse_keyset(m, keys, ret->name, json, &ret->keys, error);
}

static int parse_roleinfo(Metadata *m, const Keys *keys, const json_t *json, Delegation *ret, Error *error)
{
        DelegatedRole *roles;
        int64_t agreeing;
        json_t *list;

        if (json_get_array(json, "delegations", "roleinfo", DELEGATION_ROLES_MAX, &list, error) < 0 ||
            json_get_int(json, "delegations", "min_roles_in_agreement", &agreeing, error) < 0)
                return -1;
        if (agreeing < 1 || (uint64_t) agreeing > json_array_size(list))
                return error_set(error, ERR_MALFORMED, "delegations: %lld of %zu roles in agreement are wanted", (long long) agreeing,
                                 json_array_size(list));
        roles = arena_alloc(m->envelope->arena, json_array_size(list), sizeof *roles);
        ret->roles = roles;
        ret->n_agreeing = (size_t) agreeing;
        for (; ret->n_roles < json_array_size(list); ret->n_roles++) {
                if (parse_role(m, keys, json_array_get(list, ret->n_roles), "rolename", &roles[ret->n_roles], error) < 0)
                        return -1;
                /* one role cannot agree with itself */
                for (size_t i = 0; i < ret->n_roles; i++)
                        if (strcmp(roles[i].name, roles[ret->n_roles].name) == 0)
                                return error_set(error, ERR_MALFORMED, "delegations: role '%.80s' stands twice in one delegation",
                                                 roles[i].name);
        }
        return 0;
}

static int parse_hash_prefixes(Metadata *m, const json_t *json, Delegation *ret, Error *error)
{
        if (get_strings(m, json, "delegations", "path_hash_prefixes", DELEGATION_PATHS_MAX, (size_t) 2 * SHA256_SIZE, &ret->hash_prefixes,
                        &ret->n_patterns, error) < 0)
                return -1;
        for (size_t i = 0; i < ret->n_patterns; i++)
                if (strspn(ret->hash_prefixes[i], "0123456789abcdef") != strlen(ret->hash_prefixes[i]))
                        return error_set(error, ERR_MALFORMED, "delegations.path_hash_prefixes: '%s' are no lower-case hex digits",
                                         ret->hash_prefixes[i]);
        return 0;
}

static int parse_scope(Metadata *m, const json_t *json, Delegation *ret, Error *error)
{
        bool paths = json_has(json, "paths"), prefixes = json_has(json, "path_hash_prefixes");
        const json_t *terminating = json_object_get(json, "terminating");

        /* Uptane 5.2.3.2 (e): for which images */
        if (paths == prefixes)
                return error_set(error, ERR_MALFORMED, "delegations to '%.80s': %s of 'paths' and 'path_hash_prefixes'", ret->roles[0].name,
                                 paths ? "both" : "neither");
        if (paths && get_strings(m, json, "delegations", "paths", DELEGATION_PATHS_MAX, PATH_PATTERN_MAX, &ret->paths, &ret->n_patterns,
                                 error) < 0)
                return -1;
        if (prefixes && parse_hash_prefixes(m, json, ret, error) < 0)
                return -1;
        /* Uptane 5.2.3.2 (f): for which hardware */
        if (json_has(json, "hardwareIds") && get_strings(m, json, "delegations", "hardwareIds", TARGET_HARDWARE_IDS_MAX, HARDWARE_ID_MAX,
                                                         &ret->hardware_ids, &ret->n_hardware_ids, error) < 0)
                return -1;
        if (terminating && !json_is_boolean(terminating))
                return error_set(error, ERR_MALFORMED, "delegations to '%.80s': 'terminating' is neither true nor false", ret->roles[0].name);
        /* Uptane 5.1.2.1 (b), Uptane 5.2.3.2 (g): where it is not said, the field means yes: of the two the one that trusts fewer roles */
        ret->terminating = !terminating || json_is_true(terminating);
        return 0;
}

static int parse_delegation(Metadata *m, const Keys *keys, const json_t *json, Delegation *ret, Error *error)
{
        if (json_is_object(json) && json_has(json, "roleinfo")) {
                if (parse_roleinfo(m, keys, json, ret, error) < 0)
                        return -1;
        } else {
                DelegatedRole *role = arena_alloc(m->envelope->arena, 1, sizeof *role);

                if (parse_role(m, keys, json, "name", role, error) < 0)
                        return -1;
                ret->roles = role;
                ret->n_roles = ret->n_agreeing = 1;
        }
        return parse_scope(m, json, ret, error);
}

/* Uptane 5.2.3.2 (b): in the order in which they stand there */
static int parse_list(Metadata *m, const Keys *keys, const json_t *list, Error *error)
{
        size_t n = json_array_size(list);
        Delegation *delegations = arena_alloc(m->envelope->arena, n, sizeof *delegations);

        if (n > DELEGATIONS_MAX)
                return error_set(error, ERR_MALFORMED, "delegations: %zu of them, at most %d are allowed", n, DELEGATIONS_MAX);
        m->targets.delegations = delegations;
        for (; m->targets.n_delegations < n; m->targets.n_delegations++)
                if (parse_delegation(m, keys, json_array_get(list, m->targets.n_delegations), &delegations[m->targets.n_delegations], error) < 0)
                        return -1;
        return 0;
}

static int parse_succinct(Metadata *m, const Keys *keys, const json_t *delegations, Error *error)
{
        SuccinctRoles *s = &m->targets.succinct;
        int64_t bits;
        json_t *json;

        if (json_get_object(delegations, "delegations", "succinct_roles", 16, &json, error) < 0 ||
            role_parse_keyset(m, keys, "succinct_roles", json, &s->keys, error) < 0 ||
            json_get_int(json, "succinct_roles", "bit_length", &bits, error) < 0 ||
            json_get_string(json, "succinct_roles", "name_prefix", ROLE_NAME_MAX - 9, &s->name_prefix, error) < 0 ||
            check_name(s->name_prefix, error) < 0)
                return -1;
        if (bits < 1 || bits > BIT_LENGTH_MAX)
                return error_set(error, ERR_MALFORMED, "succinct_roles.bit_length is %lld, 1 to %d are allowed", (long long) bits,
                                 BIT_LENGTH_MAX);
        s->bit_length = (unsigned) bits;
        return 0;
}

static int parse_object(Metadata *m, const json_t *delegations, Error *error)
{
        bool roles = json_has(delegations, "roles"), succinct = json_has(delegations, "succinct_roles");
        Keys keys = { 0 };
        json_t *list;

        if (roles && succinct)
                return error_set(error, ERR_MALFORMED, "delegations: both 'roles' and 'succinct_roles'");
        if (!roles && !succinct)
                return 0; /* a way to say none */
        /* Uptane 5.2.3.2 (c): the keys of all that are delegated to */
        if (role_parse_keys(m, delegations, "keys", "delegations", DELEGATIONS_MAX, &keys, error) < 0)
                return -1;
        if (succinct)
                return parse_succinct(m, &keys, delegations, error);
        return json_get_array(delegations, "delegations", "roles", DELEGATIONS_MAX, &list, error) < 0 ? -1 : parse_list(m, &keys, list, error);
}

int role_parse_delegations(Metadata *m, Error *error)
{
        const json_t *delegations = json_object_get(m->envelope->body, "delegations");
        Keys keys = { 0 };

        if (!delegations || json_is_null(delegations))
                return 0;
        if (json_is_object(delegations))
                return parse_object(m, delegations, error);
        if (!json_is_array(delegations))
                return error_set(error, ERR_MALFORMED, "targets.delegations is neither an object nor a list");
        if (json_array_size(delegations) == 0)
                return 0;
        if (role_parse_keys(m, m->envelope->body, KEYS_NAME_TAP3, "targets", DELEGATIONS_MAX, &keys, error) < 0)
                return -1;
        return parse_list(m, &keys, delegations, error);
}
