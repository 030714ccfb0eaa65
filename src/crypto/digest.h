/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

/*
 * SHA-256 and SHA-512: of bytes at hand, and of a stream. Every hash that metadata lists and this file knows is
 * compared, not just one (Uptane 5.4.2.4).
 */
#include <stdbool.h>

#include "base/mem.h"
#include "base/slice.h"

#define SHA256_SIZE 32
#define SHA512_SIZE 64

/* The hashes listed for a file, or computed over one. At least one is set in anything that was parsed. */
typedef struct Hashes {
        bool has_sha256, has_sha512;
        uint8_t sha256[SHA256_SIZE];
        uint8_t sha512[SHA512_SIZE];
} Hashes;

void digest_sha256(Slice bytes, uint8_t ret[static SHA256_SIZE]);
/* Both hashes of bytes. */
void digest_hashes(Slice bytes, Hashes *ret) __attribute__((nonnull));

/* True if a and b share at least one algorithm and agree in all they share. */
bool hashes_match(const Hashes *a, const Hashes *b) __attribute__((nonnull));

/* Both hashes of a stream. */
typedef struct Hasher Hasher;

Hasher *hasher_new(void) __attribute__((returns_nonnull));
Hasher *hasher_free(Hasher *hasher);
DEFINE_CLEANUP(Hasher, hasher_free)
void hasher_update(Hasher *hasher, Slice bytes) __attribute__((nonnull));
/* Ends the stream; only hasher_free() may follow. */
void hasher_finish(Hasher *hasher, Hashes *ret) __attribute__((nonnull));

#endif
