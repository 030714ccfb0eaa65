/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CRYPTO_SIGNER_H
#define CRYPTO_SIGNER_H

/*
 * The ECU's own signing key, behind a driver so that a key in hardware can take its place. The core sees only this.
 * A Signer is owned by whoever made it and outlives everything it was lent to.
 */
#include "base/mem.h"
#include "base/slice.h"
#include "crypto/key.h"

typedef struct Signer Signer;

typedef struct SignerDriver {
        /* Appends the raw signature over message to ret. */
        int (*sign)(void *cookie, Slice message, Buffer *ret, Error *error);
        void (*free)(void *cookie);
} SignerDriver;

/* Takes over cookie. public_text is PEM or hex as in public_key_new(). */
Signer *signer_new(const SignerDriver *driver, void *cookie, KeyType type, const char *public_text)
        __attribute__((nonnull(1, 4), returns_nonnull));
/* A private key in PEM (PKCS#8, no passphrase) held in memory; the type is that of the key. */
int signer_new_pem(Slice pem, Signer **ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* A new private key of this type as PKCS#8 PEM; the only use of randomness in the core's libraries. */
int signer_generate_pem(KeyType type, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));
Signer *signer_free(Signer *signer);
DEFINE_CLEANUP(Signer, signer_free)

KeyType signer_key_type(const Signer *signer) __attribute__((nonnull));
/* Public key as metadata carries it: PEM without a trailing newline, or lower-case hex. Lives as long as the signer. */
const char *signer_public_text(const Signer *signer) __attribute__((nonnull, returns_nonnull));
/* 64 hex digits: SHA-256 over the DER SubjectPublicKeyInfo. Lives as long as the signer. */
const char *signer_key_id(const Signer *signer) __attribute__((nonnull, returns_nonnull));
/* "ed25519", "rsassa-pss-sha256" or "ecdsa-sha2-nistp256". */
const char *signer_method(const Signer *signer) __attribute__((nonnull, returns_nonnull));
int signer_sign(const Signer *signer, Slice message, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
