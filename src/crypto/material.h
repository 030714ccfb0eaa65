/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CRYPTO_MATERIAL_H
#define CRYPTO_MATERIAL_H

/*
 * What a crypto library does for key.c, signer.c and digest.h: numbers, and nothing that is decided. openssl/ has it for every
 * program, nettle/ for a Secondary that has little memory; a program is linked with one of them, and both are held to the same
 * tests. What neither does: texts (key-text.h), names, and which key may sign what (key.c).
 */
#include "base/slice.h"
#include "crypto/key-text.h"
#include "crypto/key.h"

/* ---- a public key ---- */

typedef struct KeyMaterial KeyMaterial;

/* NULL if these bytes are no public key at all. type: which curve a point is on. */
KeyMaterial *key_material_new(KeyType type, KeyForm form, Slice bytes) __attribute__((warn_unused_result));
KeyMaterial *key_material_free(KeyMaterial *material);
/* _KEY_TYPE_MAX for a key of any other algorithm or curve. */
KeyType key_material_type(const KeyMaterial *material) __attribute__((nonnull));
/* Of the modulus of an RSA key; 0 for others. */
unsigned key_material_rsa_bits(const KeyMaterial *material) __attribute__((nonnull));
/* Of two keys of one type. */
bool key_material_equal(const KeyMaterial *a, const KeyMaterial *b) __attribute__((nonnull));

typedef enum KeyDigest { KEY_DIGEST_OWN, KEY_DIGEST_SHA256, KEY_DIGEST_SHA384, KEY_DIGEST_SHA512 } KeyDigest;

/*
 * The key is of a type that is known and the signature of its length, or strict DER (ecdsa-der.h). RSA: PSS, MGF1 with the same
 * digest, any salt length.
 */
bool key_material_verify(const KeyMaterial *material, KeyDigest digest, Slice message, Slice signature)
        __attribute__((nonnull, warn_unused_result));

/* ---- a private key ---- */

typedef struct PrivateKey PrivateKey;

/* NULL if this is no private key in PEM (PKCS#8, no passphrase). Nobody is asked for anything. */
PrivateKey *private_key_new(Slice pem) __attribute__((warn_unused_result));
PrivateKey *private_key_free(PrivateKey *key);
DEFINE_CLEANUP(PrivateKey, private_key_free)
/* _KEY_TYPE_MAX for a type that this library does not sign with here. */
KeyType private_key_type(const PrivateKey *key) __attribute__((nonnull));
/* Its public key as signer_public_text() has it, appended. -1: it cannot be told. */
int private_key_public_text(const PrivateKey *key, Buffer *ret) __attribute__((nonnull, warn_unused_result));
/* Appends the signature, with SHA-256, or SHA-384 on P-384; RSA: PSS, the salt as long as the digest. -1: it failed. */
int private_key_sign(const PrivateKey *key, Slice message, Buffer *ret) __attribute__((nonnull, warn_unused_result));
/* Appends a new key in PEM. ERR_UNSUPPORTED for a type that this library does not make here, ERR_KEY. */
int private_key_generate_pem(KeyType type, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
