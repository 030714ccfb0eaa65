/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CRYPTO_KEY_TEXT_H
#define CRYPTO_KEY_TEXT_H

/* The texts that keys come as, and the bytes in them. What the bytes are worth is not known here. */
#include "base/slice.h"
#include "crypto/key.h"

#define ED25519_KEY_SIZE 32
#define ED25519_SIGNATURE_SIZE 64

typedef enum KeyForm {
        KEY_FORM_ED25519, /* ED25519_KEY_SIZE bytes */
        KEY_FORM_POINT,   /* of an elliptic curve, uncompressed: 0x04, x, y */
        KEY_FORM_SPKI,    /* DER SubjectPublicKeyInfo (RFC 5280) */
} KeyForm;

/* A public key's text (public_key_new()), of at most KEY_TEXT_MAX. ERR_KEY. */
int key_text_decode(KeyType type, const char *text, KeyForm *ret_form, Buffer *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* The DER SubjectPublicKeyInfo of a public key's text, appended. ERR_KEY. */
int key_text_spki(KeyType type, const char *text, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* What the first PEM block (RFC 7468) with this label holds, without headers, appended. -1: there is none. */
int pem_decode(const char *text, const char *label, Buffer *ret) __attribute__((nonnull, warn_unused_result));
/* The opposite, with a line break at the end. */
void pem_encode(Slice der, const char *label, Buffer *ret) __attribute__((nonnull));

#endif
