/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says as which role the rest is read: 'r', 't' (Timestamp), 's', 'T'; anything else by its value. */
#include "fuzz.h"
#include "metadata/role.h"

static Role role_of(uint8_t c)
{
        return c == 'r' ? ROLE_ROOT : c == 't' ? ROLE_TIMESTAMP : c == 's' ? ROLE_SNAPSHOT : c == 'T' ? ROLE_TARGETS : (Role) (c % _ROLE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(metadata_free) Metadata *m = NULL;
        Error error = { 0 };

        if (size == 0 || metadata_parse(role_of(data[0]), slice(data + 1, size - 1), &m, &error) < 0)
                return 0;
        REQUIRE(m->role == role_of(data[0]) && m->version >= 1 && m->expires >= 0);
        for (size_t i = 0; m->role == ROLE_TARGETS && i < m->targets.n_targets; i++)
                REQUIRE(targets_find(&m->targets, targets_at(&m->targets, i)->name) == targets_at(&m->targets, i));
        for (size_t i = 0; m->role == ROLE_SNAPSHOT && i < m->snapshot.n_files; i++)
                REQUIRE(snapshot_find(&m->snapshot, m->snapshot.files[i].name) == &m->snapshot.files[i]);
        for (unsigned i = 0; m->role == ROLE_ROOT && i < _ROLE_MAX; i++)
                REQUIRE(!m->root.has[i] || (m->root.keys[i].threshold >= 1 && m->root.keys[i].threshold <= (int64_t) m->root.keys[i].n_entries));
        return 0;
}
