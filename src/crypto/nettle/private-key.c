/* SPDX-License-Identifier: Apache-2.0 */
/* Ed25519 alone: it is what a Secondary makes for itself unless it is told otherwise. */
#include <nettle/asn1.h>
#include <nettle/eddsa.h>
#include <sys/random.h>

#include "base/codec.h"
#include "crypto/material.h"

struct PrivateKey {
        KeyType type;
        uint8_t seed[ED25519_KEY_SIZE], public_key[ED25519_KEY_SIZE];
};

/* PKCS#8 (RFC 8410 7): SEQUENCE { 0, SEQUENCE { id-Ed25519 }, OCTET STRING { OCTET STRING } } */
static const uint8_t prefix[] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };

static bool is_pkcs8(Slice der)
{
        struct asn1_der_iterator i;

        return asn1_der_iterator_first(&i, der.size, der.data) == ASN1_ITERATOR_CONSTRUCTED && i.type == ASN1_SEQUENCE &&
               asn1_der_decode_constructed_last(&i) == ASN1_ITERATOR_PRIMITIVE && i.type == ASN1_INTEGER;
}

static void forget(Buffer *secret)
{
        if (secret->data)
                explicit_bzero(secret->data, secret->size);
        buffer_done(secret);
}

PrivateKey *private_key_new(Slice pem)
{
        cleanup_free char *text = xstrndup((const char *) pem.data, pem.size);
        __attribute__((cleanup(forget))) Buffer der = { .limit = KEY_TEXT_MAX };
        PrivateKey *key;
        int r = pem_decode(text, "PRIVATE KEY", &der);

        explicit_bzero(text, strlen(text));
        if (r < 0 || !is_pkcs8(buffer_slice(&der)))
                return NULL;
        key = xcalloc(1, sizeof *key);
        key->type = _KEY_TYPE_MAX;
        if (der.size == sizeof prefix + ED25519_KEY_SIZE && memcmp(der.data, prefix, sizeof prefix) == 0) {
                key->type = KEY_ED25519;
                memcpy(key->seed, der.data + sizeof prefix, ED25519_KEY_SIZE);
                ed25519_sha512_public_key(key->public_key, key->seed);
        }
        return key;
}

PrivateKey *private_key_free(PrivateKey *key)
{
        if (key)
                explicit_bzero(key, sizeof *key);
        free(key);
        return NULL;
}

KeyType private_key_type(const PrivateKey *key)
{
        return key->type;
}

int private_key_public_text(const PrivateKey *key, Buffer *ret)
{
        char text[2 * ED25519_KEY_SIZE + 1];

        hex_encode(slice(key->public_key, ED25519_KEY_SIZE), text);
        buffer_put_str(ret, text);
        return 0;
}

int private_key_sign(const PrivateKey *key, Slice message, Buffer *ret)
{
        uint8_t signature[ED25519_SIGNATURE_SIZE];

        ed25519_sha512_sign(key->public_key, key->seed, message.size, message.data, signature);
        buffer_put(ret, signature, sizeof signature);
        return 0;
}

int private_key_generate_pem(KeyType type, Buffer *ret, Error *error)
{
        uint8_t der[sizeof prefix + ED25519_KEY_SIZE];

        if (type == _KEY_TYPE_MAX)
                return error_set(error, ERR_KEY, "a key of no type");
        if (type != KEY_ED25519)
                return error_set(error, ERR_UNSUPPORTED, "a private key of type %s: this program has Ed25519 alone", key_type_name(type));
        memcpy(der, prefix, sizeof prefix);
        if (getrandom(der + sizeof prefix, ED25519_KEY_SIZE, 0) != ED25519_KEY_SIZE)
                return error_set(error, ERR_KEY, "making a key failed");
        pem_encode(slice(der, sizeof der), "PRIVATE KEY", ret);
        explicit_bzero(der, sizeof der);
        return 0;
}
