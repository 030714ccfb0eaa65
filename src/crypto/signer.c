/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/signer.h"

#include <assert.h>

#include "base/codec.h"
#include "crypto/digest.h"
#include "crypto/key-text.h"
#include "crypto/material.h"

struct Signer {
        const SignerDriver *driver;
        void *cookie;
        KeyType type;
        char *public_text;
        char key_id[2 * SHA256_SIZE + 1];
};

static const char *const methods[] = {
        [KEY_ED25519] = "ed25519",
        [KEY_RSA] = "rsassa-pss-sha256",
        [KEY_ECDSA_P256] = "ecdsa-sha2-nistp256",
        [KEY_ECDSA_P384] = "ecdsa-sha2-nistp384",
};
static_assert(ELEMENTSOF(methods) == _KEY_TYPE_MAX, "a key type without a method");

/* SHA-256 over the DER SubjectPublicKeyInfo; over the text itself where a driver's text is no key we can read. */
static void compute_key_id(Signer *signer)
{
        cleanup_buffer Buffer der = { 0 };
        uint8_t hash[SHA256_SIZE];
        Error ignored = { 0 };
        int r = key_text_spki(signer->type, signer->public_text, &der, &ignored);

        digest_sha256(r == 0 ? buffer_slice(&der) : slice_str(signer->public_text), hash);
        hex_encode(slice(hash, sizeof hash), signer->key_id);
}

Signer *signer_new(const SignerDriver *driver, void *cookie, KeyType type, const char *public_text)
{
        Signer *signer = xcalloc(1, sizeof *signer);

        assert(type < _KEY_TYPE_MAX);
        signer->driver = driver;
        signer->cookie = cookie;
        signer->type = type;
        signer->public_text = xstrdup(public_text);
        compute_key_id(signer);
        return signer;
}

Signer *signer_free(Signer *signer)
{
        if (!signer)
                return NULL;
        if (signer->driver->free)
                signer->driver->free(signer->cookie);
        free(signer->public_text);
        free(signer);
        return NULL;
}

/* ---- a key in memory ---- */

static int pem_sign(void *cookie, Slice message, Buffer *ret, Error *error)
{
        cleanup_buffer Buffer signature = { 0 };

        if (private_key_sign(cookie, message, &signature) < 0)
                return error_set(error, ERR_KEY, "signing failed");
        return buffer_append(ret, buffer_slice(&signature), error);
}

static void pem_free(void *cookie)
{
        (void) private_key_free(cookie);
}

static const SignerDriver pem_driver = { pem_sign, pem_free };

int signer_new_pem(Slice pem, Signer **ret, Error *error)
{
        CLEANUP(private_key_free) PrivateKey *key = pem.size > 0 && pem.size <= KEY_TEXT_MAX ? private_key_new(pem) : NULL;
        CLEANUP(public_key_free) PublicKey *usable = NULL;
        cleanup_buffer Buffer text = { 0 };
        KeyType type;

        if (!key)
                return error_set(error, ERR_KEY, "not a private key in PEM without a passphrase");
        type = private_key_type(key);
        if (type == _KEY_TYPE_MAX || private_key_public_text(key, &text) < 0)
                return error_set(error, ERR_UNSUPPORTED, "a private key of a type that is not supported");
        /* held to the same strength as everybody else's keys */
        if (public_key_new(type, buffer_str(&text), &usable, error) < 0)
                return -1;
        *ret = signer_new(&pem_driver, TAKE_PTR(key), type, buffer_str(&text));
        return 0;
}

int signer_generate_pem(KeyType type, Buffer *ret, Error *error)
{
        return private_key_generate_pem(type, ret, error);
}

KeyType signer_key_type(const Signer *signer)
{
        return signer->type;
}

const char *signer_public_text(const Signer *signer)
{
        return signer->public_text;
}

const char *signer_key_id(const Signer *signer)
{
        return signer->key_id;
}

const char *signer_method(const Signer *signer)
{
        return methods[signer->type];
}

int signer_sign(const Signer *signer, Slice message, Buffer *ret, Error *error)
{
        return signer->driver->sign(signer->cookie, message, ret, error);
}
