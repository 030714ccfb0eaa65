/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CRYPTO_KEY_H
#define CRYPTO_KEY_H

/*
 * Public keys and signature checks: Ed25519, RSA-PSS with SHA-256 or SHA-512 (2048 to 8192 bits), ECDSA on P-256 with
 * SHA-256 and on P-384 with SHA-384.
 * The one place where a result of the crypto library becomes a yes or no.
 */
#include <stdbool.h>

#include "base/mem.h"
#include "base/slice.h"

typedef enum KeyType {
        KEY_ED25519,
        KEY_RSA,
        KEY_ECDSA_P256,
        KEY_ECDSA_P384,
        _KEY_TYPE_MAX,
} KeyType;

typedef struct PublicKey PublicKey;

#define KEY_TEXT_MAX ((size_t) 16 * 1024)

/*
 * From the text that metadata carries: PEM SubjectPublicKeyInfo, 64 hex digits (Ed25519), or hex of the
 * SubjectPublicKeyInfo or of the uncompressed point (ECDSA).
 * ERR_UNSUPPORTED for a type, size or curve that is not accepted, ERR_KEY if the text is no such key.
 */
int public_key_new(KeyType type, const char *text, PublicKey **ret, Error *error) __attribute__((nonnull, warn_unused_result));
PublicKey *public_key_free(PublicKey *key);
DEFINE_CLEANUP(PublicKey, public_key_free)

/*
 * The same with the key's type and scheme (NULL: not said) as metadata spells them: keytype "ecdsa" takes the curve from
 * the key. ERR_UNSUPPORTED also for a scheme that does not fit the key.
 */
int public_key_new_named(const char *keytype, const char *scheme, const char *text, PublicKey **ret, Error *error)
        __attribute__((nonnull(1, 3, 4, 5), warn_unused_result));

KeyType public_key_type(const PublicKey *key) __attribute__((nonnull));
/* Same key material, whatever the key ids say. */
bool public_key_equal(const PublicKey *a, const PublicKey *b) __attribute__((nonnull));
/*
 * True only if signature is a valid one over message by this method, letter case ignored: ed25519; rsassa-pss,
 * rsassa-pss-sha256, rsassa-pss-sha512; ecdsa, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384; NULL: the key's scheme, or what is
 * usual for its type. A method that does not fit the key, or is not its scheme, verifies nothing; PKCS#1 v1.5 never fits.
 * RSA: PSS, MGF1 with the same hash, any salt length; ECDSA: strict DER.
 */
bool public_key_verify_method(const PublicKey *key, const char *method, Slice message, Slice signature)
        __attribute__((nonnull(1), warn_unused_result));
/* The same without a method. */
bool public_key_verify(const PublicKey *key, Slice message, Slice signature) __attribute__((nonnull, warn_unused_result));

/*
 * A keytype as metadata spells it, letter case ignored: "ed25519", "rsa", "ecprime256v1", "ecdsa",
 * "ecdsa-sha2-nistp256", "secp384r1", "ecdsa-sha2-nistp384".
 * Returns 0, or -1 with ERR_UNSUPPORTED.
 */
int key_type_from_name(const char *name, KeyType *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* "ED25519", "RSA", "ECPRIME256V1", "SECP384R1": the first three as the device API registers keys. */
const char *key_type_name(KeyType type);

#endif
