/* SPDX-License-Identifier: Apache-2.0 */
/* Root: keys and roles. */
#include <stdio.h>

#include "metadata/role-keys.h"
#include "metadata/role-parse.h"

#define ROOT_KEYS_MAX 256
#define ROOT_ROLES_MAX 64

static int parse_role(Metadata *m, const Keys *keys, const json_t *roles, Role role, Error *error)
{
        char where[sizeof "root.roles." + 16];
        json_t *json;

        if (!json_object_get(roles, role_name(role)))
                return 0;
        (void) snprintf(where, sizeof where, "root.roles.%s", role_name(role));
        if (json_get_object(roles, "root.roles", role_name(role), 16, &json, error) < 0 ||
            role_parse_keyset(m, keys, where, json, &m->root.keys[role], error) < 0)
                return -1;
        m->root.has[role] = true;
        return 0;
}

int role_parse_root(Metadata *m, Error *error)
{
        Keys keys = { 0 };
        json_t *roles;

        if (role_parse_keys(m, m->envelope->body, "keys", "root", ROOT_KEYS_MAX, &keys, error) < 0 ||
            json_get_object(m->envelope->body, "root", "roles", ROOT_ROLES_MAX, &roles, error) < 0)
                return -1;
        for (unsigned r = 0; r < _ROLE_MAX; r++)
                if (parse_role(m, &keys, roles, (Role) r, error) < 0)
                        return -1;
        m->root.consistent_snapshot = json_is_true(json_object_get(m->envelope->body, "consistent_snapshot"));
        /* Uptane 5.2.2 (a): what no repository can do without */
        if (!m->root.has[ROLE_ROOT] || !m->root.has[ROLE_TARGETS])
                return error_set(error, ERR_MALFORMED, "root.roles.%s is missing", m->root.has[ROLE_ROOT] ? "targets" : "root");
        return 0;
}
