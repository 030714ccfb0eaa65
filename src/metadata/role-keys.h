/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METADATA_ROLE_KEYS_H
#define METADATA_ROLE_KEYS_H

/*
 * The keys a document trusts others with: those of Root's roles, and those of delegated roles. Private to metadata/.
 *
 * A key of a type nobody here knows keeps its id, so that a threshold that needs it is not reached, but the others still
 * count. A key that claims a known type and is none makes the document malformed.
 */
#include "metadata/role.h"

typedef struct KeyById {
        const char *id;
        const PublicKey *key; /* NULL where the type is not supported; owned by the Metadata */
} KeyById;

typedef struct Keys {
        const KeyById *list; /* sorted by id */
        size_t n;
} Keys;

/* Member name of object, an object of at most max keys by id; once per document. where names object in errors ("root"). */
int role_parse_keys(Metadata *m, const json_t *object, const char *name, const char *where, size_t max, Keys *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* Members "keyids" and "threshold" of object; role names it in errors ("root.roles.targets"). */
int role_parse_keyset(Metadata *m, const Keys *keys, const char *role, const json_t *object, Keyset *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));

#endif
