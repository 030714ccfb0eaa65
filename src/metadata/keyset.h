/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METADATA_KEYSET_H
#define METADATA_KEYSET_H

/*
 * The keys of one role and how many of them must sign. Entries borrow from the document they were read in.
 * A key of an unknown type keeps its place (key == NULL) and can never sign.
 */
#include "crypto/key.h"

#define KEYSET_KEYS_MAX 64

typedef struct KeysetEntry {
        const char *id;
        const PublicKey *key; /* NULL: type not supported here */
} KeysetEntry;

typedef struct Keyset {
        const KeysetEntry *entries;
        size_t n_entries;
        int64_t threshold; /* 1..n_entries */
} Keyset;

/* Same set of key material and same threshold. Order and ids do not matter. */
bool keyset_equal(const Keyset *a, const Keyset *b) __attribute__((nonnull));

#endif
