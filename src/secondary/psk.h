/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_PSK_H
#define SECONDARY_PSK_H

/*
 * Keys that both ends of a protected link were given (TLS 1.3, external PSK with DHE): a file that only its owner may read, one
 * key a line, "IDENTITY HEX". The identity is the Secondary's serial; 16 to 64 bytes of key.
 */
#include "base/error.h"
#include "base/mem.h"
#include "base/slice.h"
#include "secondary/tls.h"

#define PSK_MAX 256 /* keys in a file */
#define PSK_SIZE_MIN 16
#define PSK_SIZE_MAX 64

typedef struct Psk {
        char identity[SECONDARY_TLS_NAME_MAX + 1];
        uint8_t key[PSK_SIZE_MAX];
        size_t size;
} Psk;

typedef struct PskList {
        Psk list[PSK_MAX];
        size_t n;
} PskList;

/* ERR_KEY names the file and the line, never the key. */
int psk_load(const char *path, PskList **ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* Leaves nothing of the keys in memory. */
PskList *psk_free(PskList *psks);
DEFINE_CLEANUP(PskList, psk_free)
/* NULL: there is none of this identity. */
const Psk *psk_find(const PskList *psks, Slice identity) __attribute__((nonnull));

#endif
