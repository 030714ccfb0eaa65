/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CRYPTO_KEY_H
#define CRYPTO_KEY_H

/*
 * Public keys and signature checks: Ed25519, RSA-PSS with SHA-256 (2048 bits or more), ECDSA P-256 with SHA-256.
 * The one place where a result of the crypto library becomes a yes or no.
 */
#include <stdbool.h>

#include "base/mem.h"
#include "base/slice.h"

typedef enum KeyType {
        KEY_ED25519,
        KEY_RSA,
        KEY_ECDSA_P256,
        _KEY_TYPE_MAX,
} KeyType;

typedef struct PublicKey PublicKey;

#define KEY_TEXT_MAX ((size_t) 16 * 1024)

/*
 * From the text that metadata carries: 64 hex digits (Ed25519) or PEM SubjectPublicKeyInfo (RSA, ECDSA).
 * ERR_UNSUPPORTED for a type, size or curve that is not accepted, ERR_KEY if the text is no such key.
 */
int public_key_new(KeyType type, const char *text, PublicKey **ret, Error *error) __attribute__((nonnull, warn_unused_result));
PublicKey *public_key_free(PublicKey *key);
DEFINE_CLEANUP(PublicKey, public_key_free)

KeyType public_key_type(const PublicKey *key) __attribute__((nonnull));
/* Same key material, whatever the key ids say. */
bool public_key_equal(const PublicKey *a, const PublicKey *b) __attribute__((nonnull));
/* True only if signature is a valid one over message. RSA: PSS, MGF1-SHA-256, any salt length; ECDSA: strict DER. */
bool public_key_verify(const PublicKey *key, Slice message, Slice signature) __attribute__((nonnull, warn_unused_result));

/*
 * A keytype as metadata spells it, letter case ignored: "ed25519", "rsa", "ecprime256v1", "ecdsa", "ecdsa-sha2-nistp256".
 * Returns 0, or -1 with ERR_UNSUPPORTED.
 */
int key_type_from_name(const char *name, KeyType *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* "ED25519", "RSA", "ECPRIME256V1": as the device API registers keys. */
const char *key_type_name(KeyType type);
/*
 * Whether a signature's method belongs to this type of key, letter case ignored: ed25519; rsassa-pss, rsassa-pss-sha256;
 * ecdsa, ecdsa-sha2-nistp256. The name "rsassa-pkcs1v15..." never matches.
 */
bool key_type_has_method(KeyType type, const char *method) __attribute__((nonnull));

#endif
