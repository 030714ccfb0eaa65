/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/codec.h"
#include "crypto/material.h"

#define RSA_BITS 2048
#define SIGNATURE_MAX 1024

/* There is no struct of this name: it is the library's own object. */
static EVP_PKEY *pkey_of(const PrivateKey *key)
{
        return (EVP_PKEY *) key;
}

/* The empty passphrase keeps the library from asking for one at the terminal. */
PrivateKey *private_key_new(Slice pem)
{
        BIO *bio = BIO_new_mem_buf(pem.data, (int) pem.size);
        EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *) "") : NULL;

        BIO_free(bio);
        ERR_clear_error();
        return (PrivateKey *) pkey;
}

PrivateKey *private_key_free(PrivateKey *key)
{
        EVP_PKEY_free(pkey_of(key));
        return NULL;
}

/* A private key is the public one, and more. */
KeyType private_key_type(const PrivateKey *key)
{
        return key_material_type((const KeyMaterial *) pkey_of(key));
}

static int public_pem(EVP_PKEY *pkey, Buffer *ret)
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
        char text[2 * ED25519_KEY_SIZE + 1];
        uint8_t raw[ED25519_KEY_SIZE];
        size_t n = sizeof raw;

        if (EVP_PKEY_get_raw_public_key(pkey, raw, &n) != 1 || n != sizeof raw)
                return -1;
        hex_encode(slice(raw, n), text);
        buffer_put_str(ret, text);
        return 0;
}

int private_key_public_text(const PrivateKey *key, Buffer *ret)
{
        return private_key_type(key) == KEY_ED25519 ? public_hex(pkey_of(key), ret) : public_pem(pkey_of(key), ret);
}

static bool set_pss(EVP_PKEY_CTX *ctx)
{
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
}

/* NULL: the algorithm has its own. */
static const EVP_MD *digest_of(KeyType type)
{
        return type == KEY_ED25519 ? NULL : type == KEY_ECDSA_P384 ? EVP_sha384() : EVP_sha256();
}

int private_key_sign(const PrivateKey *key, Slice message, Buffer *ret)
{
        KeyType type = private_key_type(key);
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        EVP_PKEY_CTX *ctx = NULL; /* owned by md */
        uint8_t signature[SIGNATURE_MAX];
        size_t n = sizeof signature;
        bool good = md && EVP_DigestSignInit(md, &ctx, digest_of(type), NULL, pkey_of(key)) == 1 && (type != KEY_RSA || set_pss(ctx)) &&
                    EVP_DigestSign(md, signature, &n, message.data, message.size) == 1;

        EVP_MD_CTX_free(md);
        ERR_clear_error();
        if (good)
                buffer_put(ret, signature, n);
        return good ? 0 : -1;
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

int private_key_generate_pem(KeyType type, Buffer *ret, Error *error)
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
