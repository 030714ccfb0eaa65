/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata/keyset.h"

static bool contains(const Keyset *set, const KeysetEntry *entry)
{
        for (size_t i = 0; i < set->n_entries; i++) {
                const KeysetEntry *other = &set->entries[i];

                if (entry->key && other->key ? public_key_equal(entry->key, other->key)
                                             : !entry->key && !other->key && strcmp(entry->id, other->id) == 0)
                        return true;
        }
        return false;
}

static bool covers(const Keyset *a, const Keyset *b)
{
        for (size_t i = 0; i < a->n_entries; i++)
                if (!contains(b, &a->entries[i]))
                        return false;
        return true;
}

bool keyset_equal(const Keyset *a, const Keyset *b)
{
        return a->threshold == b->threshold && covers(a, b) && covers(b, a);
}
