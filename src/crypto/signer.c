/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/signer.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/codec.h"
#include "crypto/digest.h"

#define RSA_BITS 2048
#define SIGNATURE_MAX 1024

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

static EVP_PKEY *public_from_text(KeyType type, const char *text)
{
        EVP_PKEY *pkey = NULL;
        Error ignored = { 0 };
        uint8_t raw[32];
        BIO *bio;

        if (type == KEY_ED25519)
                return hex_decode(text, raw, sizeof raw, &ignored) < 0 ? NULL
                                                                       : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, sizeof raw);
        bio = BIO_new_mem_buf(text, -1);
        if (bio)
                pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, (void *) ""); /* asks nobody for a passphrase */
        BIO_free(bio);
        return pkey;
}

/* SHA-256 over the DER SubjectPublicKeyInfo; over the text itself where a driver's text is no key we can read. */
static void compute_key_id(Signer *signer)
{
        EVP_PKEY *pkey = public_from_text(signer->type, signer->public_text);
        uint8_t hash[SHA256_SIZE], *der = NULL;
        int n = pkey ? i2d_PUBKEY(pkey, &der) : -1;

        digest_sha256(n > 0 ? slice(der, (size_t) n) : slice_str(signer->public_text), hash);
        hex_encode(slice(hash, sizeof hash), signer->key_id);
        OPENSSL_free(der);
        EVP_PKEY_free(pkey);
        ERR_clear_error();
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

static bool set_pss(EVP_PKEY_CTX *ctx)
{
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
}

/* NULL: the algorithm has its own. */
static const EVP_MD *digest_of(const EVP_PKEY *pkey)
{
        if (EVP_PKEY_is_a(pkey, "ED25519") == 1)
                return NULL;
        return EVP_PKEY_is_a(pkey, "EC") == 1 && EVP_PKEY_get_bits(pkey) == 384 ? EVP_sha384() : EVP_sha256();
}

static int pem_sign(void *cookie, Slice message, Buffer *ret, Error *error)
{
        EVP_PKEY *pkey = cookie;
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        EVP_PKEY_CTX *ctx = NULL; /* owned by md */
        uint8_t signature[SIGNATURE_MAX];
        size_t n = sizeof signature;
        bool good = md && EVP_DigestSignInit(md, &ctx, digest_of(pkey), NULL, pkey) == 1 &&
                    (EVP_PKEY_is_a(pkey, "RSA") != 1 || set_pss(ctx)) &&
                    EVP_DigestSign(md, signature, &n, message.data, message.size) == 1;

        EVP_MD_CTX_free(md);
        ERR_clear_error();
        if (!good)
                return error_set(error, ERR_KEY, "signing failed");
        return buffer_append(ret, slice(signature, n), error);
}

static void pem_free(void *cookie)
{
        EVP_PKEY_free(cookie);
}

static const SignerDriver pem_driver = { pem_sign, pem_free };

static int type_of(const EVP_PKEY *pkey, KeyType *ret)
{
        if (EVP_PKEY_is_a(pkey, "ED25519") == 1)
                *ret = KEY_ED25519;
        else if (EVP_PKEY_is_a(pkey, "RSA") == 1)
                *ret = KEY_RSA;
        else if (EVP_PKEY_is_a(pkey, "EC") == 1)
                *ret = EVP_PKEY_get_bits(pkey) == 384 ? KEY_ECDSA_P384 : KEY_ECDSA_P256;
        else
                return -1;
        return 0;
}

static int public_text(EVP_PKEY *pkey, Buffer *ret)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data = NULL;
        long n = bio && PEM_write_bio_PUBKEY(bio, pkey) == 1 ? BIO_get_mem_data(bio, &data) : 0;

        while (n > 0 && data[n - 1] == '\n')
                n--;
        if (n > 0)
                buffer_put(ret, data, (size_t) n);
        BIO_free(bio);
        return n > 0 ? 0 : -1;
}

static int public_hex(EVP_PKEY *pkey, Buffer *ret)
{
        char text[2 * 32 + 1];
        uint8_t raw[32];
        size_t n = sizeof raw;

        if (EVP_PKEY_get_raw_public_key(pkey, raw, &n) != 1 || n != sizeof raw)
                return -1;
        hex_encode(slice(raw, n), text);
        buffer_put_str(ret, text);
        return 0;
}

int signer_new_pem(Slice pem, Signer **ret, Error *error)
{
        BIO *bio = pem.size <= KEY_TEXT_MAX ? BIO_new_mem_buf(pem.data, (int) pem.size) : NULL;
        EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *) "") : NULL;
        CLEANUP(public_key_free) PublicKey *usable = NULL;
        cleanup_buffer Buffer text = { 0 };
        KeyType type;

        BIO_free(bio);
        ERR_clear_error();
        if (!pkey)
                return error_set(error, ERR_KEY, "not a private key in PEM without a passphrase");
        if (type_of(pkey, &type) < 0 || (type == KEY_ED25519 ? public_hex(pkey, &text) : public_text(pkey, &text)) < 0) {
                EVP_PKEY_free(pkey);
                return error_set(error, ERR_UNSUPPORTED, "a private key of a type that is not supported");
        }
        /* held to the same strength as everybody else's keys */
        if (public_key_new(type, buffer_str(&text), &usable, error) < 0) {
                EVP_PKEY_free(pkey);
                return -1;
        }
        *ret = signer_new(&pem_driver, pkey, type, buffer_str(&text));
        return 0;
}

static EVP_PKEY *generate(KeyType type)
{
        switch (type) {
        case KEY_ED25519:
                return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        case KEY_RSA:
                return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) RSA_BITS);
        case KEY_ECDSA_P256:
                return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        case KEY_ECDSA_P384:
                return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
        case _KEY_TYPE_MAX:
                break;
        }
        return NULL;
}

int signer_generate_pem(KeyType type, Buffer *ret, Error *error)
{
        EVP_PKEY *pkey = generate(type);
        BIO *bio = BIO_new(BIO_s_secmem());
        char *data = NULL;
        long n = 0;

        if (pkey && bio && PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1)
                n = BIO_get_mem_data(bio, &data);
        if (n > 0)
                buffer_put(ret, data, (size_t) n);
        BIO_free(bio);
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return n > 0 ? 0 : error_set(error, ERR_KEY, "making a key failed");
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
