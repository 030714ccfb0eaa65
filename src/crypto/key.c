/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys are decoded once, checked for type and strength, and kept as the crypto library's own objects. What may be signed how,
 * and by which key, is decided here, whichever library computes.
 */
#include "crypto/key.h"

#include <assert.h>
#include <strings.h>

#include "crypto/ecdsa-der.h"
#include "crypto/key-text.h"
#include "crypto/material.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

typedef struct Method {
        const char *name;
        KeyType type;
        KeyDigest digest;
} Method;

struct PublicKey {
        KeyType type;
        const Method *scheme; /* NULL: any that fits the type */
        KeyMaterial *material;
};

/* The first of a type is the one that is meant where nothing is said. */
static const Method methods[] = {
        { "ed25519", KEY_ED25519, KEY_DIGEST_OWN },
        { "rsassa-pss-sha256", KEY_RSA, KEY_DIGEST_SHA256 },
        { "rsassa-pss", KEY_RSA, KEY_DIGEST_SHA256 },
        { "rsassa-pss-sha512", KEY_RSA, KEY_DIGEST_SHA512 },
        { "ecdsa-sha2-nistp256", KEY_ECDSA_P256, KEY_DIGEST_SHA256 },
        { "ecdsa", KEY_ECDSA_P256, KEY_DIGEST_SHA256 },
        { "ecdsa-sha2-nistp384", KEY_ECDSA_P384, KEY_DIGEST_SHA384 },
        { "ecdsa", KEY_ECDSA_P384, KEY_DIGEST_SHA384 },
};

/* NULL where a method of this name is none for this type of key. */
static const Method *find_method(KeyType type, const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                if (methods[i].type == type && (!name || strcasecmp(methods[i].name, name) == 0))
                        return &methods[i];
        return NULL;
}

static const char *const type_names[] = {
        [KEY_ED25519] = "ED25519",
        [KEY_RSA] = "RSA",
        [KEY_ECDSA_P256] = "ECPRIME256V1",
        [KEY_ECDSA_P384] = "SECP384R1",
};
static_assert(ELEMENTSOF(type_names) == _KEY_TYPE_MAX, "a key type without a name");

PublicKey *public_key_free(PublicKey *key)
{
        if (!key)
                return NULL;
        key_material_free(key->material);
        free(key);
        return NULL;
}

static int check_strength(KeyType type, const KeyMaterial *material, Error *error)
{
        bool same = key_material_type(material) == type;
        unsigned bits = key_material_rsa_bits(material);

        switch (type) {
        case KEY_ED25519:
                return same ? 0 : error_set(error, ERR_KEY, "not an Ed25519 key");
        case KEY_RSA:
                if (!same)
                        return error_set(error, ERR_KEY, "not an RSA key");
                if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
                        return error_set(error, ERR_UNSUPPORTED, "an RSA key of %u bits; %d to %d are accepted", bits, RSA_BITS_MIN,
                                         RSA_BITS_MAX);
                return 0;
        case KEY_ECDSA_P256:
                return same ? 0 : error_set(error, ERR_UNSUPPORTED, "not an ECDSA key on P-256");
        case KEY_ECDSA_P384:
                return same ? 0 : error_set(error, ERR_UNSUPPORTED, "not an ECDSA key on P-384");
        case _KEY_TYPE_MAX:
                break;
        }
        return error_set(error, ERR_UNSUPPORTED, "unknown key type");
}

int public_key_new(KeyType type, const char *text, PublicKey **ret, Error *error)
{
        CLEANUP(public_key_free) PublicKey *key = xcalloc(1, sizeof *key);
        cleanup_buffer Buffer bytes = { 0 };
        KeyForm form;

        if (strlen(text) > KEY_TEXT_MAX)
                return error_set(error, ERR_KEY, "a public key of %zu characters", strlen(text));
        if (key_text_decode(type, text, &form, &bytes, error) < 0)
                return -1;
        key->type = type;
        key->material = key_material_new(type, form, buffer_slice(&bytes));
        if (!key->material)
                return error_set(error, ERR_KEY, form == KEY_FORM_POINT ? "not a point of its curve" : "not a public key");
        if (check_strength(type, key->material, error) < 0)
                return -1;
        *ret = TAKE_PTR(key);
        return 0;
}

static int new_of_type(KeyType type, const char *scheme, const char *text, PublicKey **ret, Error *error)
{
        CLEANUP(public_key_free) PublicKey *key = NULL;

        if (public_key_new(type, text, &key, error) < 0)
                return -1;
        if (scheme) {
                key->scheme = find_method(type, scheme);
                if (!key->scheme)
                        return error_set(error, ERR_UNSUPPORTED, "scheme '%.40s' is none of a key of type %s", scheme, key_type_name(type));
        }
        *ret = TAKE_PTR(key);
        return 0;
}

int public_key_new_named(const char *keytype, const char *scheme, const char *text, PublicKey **ret, Error *error)
{
        CLEANUP(public_key_free) PublicKey *key = NULL;
        Error why = { 0 };
        KeyType type;

        if (key_type_from_name(keytype, &type, error) < 0)
                return -1;
        /* "ecdsa" is either curve; which one only the key itself says, whatever the scheme */
        if (strcasecmp(keytype, "ecdsa") == 0 && public_key_new(KEY_ECDSA_P256, text, &key, &why) < 0)
                type = KEY_ECDSA_P384;
        return new_of_type(type, scheme, text, ret, error);
}

KeyType public_key_type(const PublicKey *key)
{
        return key->type;
}

/* Uptane 5.2.1 (a): a key is its material */
bool public_key_equal(const PublicKey *a, const PublicKey *b)
{
        return a->type == b->type && key_material_equal(a->material, b->material);
}

/* One length, or one encoding, for each: a library may take others. */
static bool has_form(const PublicKey *key, Slice signature)
{
        Slice r, s;

        switch (key->type) {
        case KEY_ED25519:
                return signature.size == ED25519_SIGNATURE_SIZE;
        case KEY_RSA:
                return signature.size == (key_material_rsa_bits(key->material) + 7) / 8;
        case KEY_ECDSA_P256:
        case KEY_ECDSA_P384:
                return ecdsa_der_read(signature, &r, &s);
        case _KEY_TYPE_MAX:
                break;
        }
        return false;
}

/* What method says, but never other than the key's own scheme. NULL: it does not fit. */
static const Method *choose(const PublicKey *key, const char *name)
{
        const Method *method = name || !key->scheme ? find_method(key->type, name) : key->scheme;

        return method && key->scheme && method->digest != key->scheme->digest ? NULL : method;
}

bool public_key_verify_method(const PublicKey *key, const char *name, Slice message, Slice signature)
{
        static const uint8_t nothing = 0;
        const Method *method = choose(key, name);

        if (!method || !signature.data || !has_form(key, signature))
                return false;
        return key_material_verify(key->material, method->digest, message.data ? message : slice(&nothing, 0), signature);
}

bool public_key_verify(const PublicKey *key, Slice message, Slice signature)
{
        return public_key_verify_method(key, NULL, message, signature);
}

int key_type_from_name(const char *name, KeyType *ret, Error *error)
{
        static const struct {
                const char *name;
                KeyType type;
        } table[] = {
                { "ed25519", KEY_ED25519 },       { "rsa", KEY_RSA },
                { "ecprime256v1", KEY_ECDSA_P256 }, { "ecdsa", KEY_ECDSA_P256 },
                { "ecdsa-sha2-nistp256", KEY_ECDSA_P256 }, { "secp384r1", KEY_ECDSA_P384 },
                { "ecdsa-sha2-nistp384", KEY_ECDSA_P384 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strcasecmp(table[i].name, name) == 0) {
                        *ret = table[i].type;
                        return 0;
                }
        return error_set(error, ERR_UNSUPPORTED, "key type '%.40s' is not supported", name);
}

const char *key_type_name(KeyType type)
{
        assert(type < _KEY_TYPE_MAX);
        return type_names[type];
}
