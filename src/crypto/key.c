/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys are decoded once, checked for type and strength, and kept as the crypto library's own objects. Every result of a
 * signature check is compared with 1, in verify_raw() and nowhere else.
 */
#include "crypto/key.h"

#include <assert.h>
#include <strings.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/codec.h"

#define ED25519_SIZE 32
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

struct PublicKey {
        KeyType type;
        EVP_PKEY *pkey;
};

static const char *const type_names[] = {
        [KEY_ED25519] = "ED25519",
        [KEY_RSA] = "RSA",
        [KEY_ECDSA_P256] = "ECPRIME256V1",
};
static_assert(ELEMENTSOF(type_names) == _KEY_TYPE_MAX, "a key type without a name");

PublicKey *public_key_free(PublicKey *key)
{
        if (!key)
                return NULL;
        EVP_PKEY_free(key->pkey);
        free(key);
        return NULL;
}

static EVP_PKEY *from_hex(const char *text, Error *error)
{
        uint8_t raw[ED25519_SIZE];
        Error why = { 0 };
        EVP_PKEY *pkey;

        if (hex_decode(text, raw, sizeof raw, &why) < 0) {
                (void) error_set(error, ERR_KEY, "an Ed25519 key is %d hex digits: %s", 2 * ED25519_SIZE, why.message);
                return NULL;
        }
        pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, sizeof raw);
        if (!pkey)
                (void) error_set(error, ERR_KEY, "not an Ed25519 key");
        return pkey;
}

/*
 * One PEM block of a SubjectPublicKeyInfo; the text has been bounded. The empty passphrase keeps the library from asking
 * for one at the terminal if the text claims to be encrypted.
 */
static EVP_PKEY *from_pem(const char *text, Error *error)
{
        BIO *bio = BIO_new_mem_buf(text, (int) strlen(text));
        EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, (void *) "") : NULL;

        BIO_free(bio);
        ERR_clear_error();
        if (!pkey)
                (void) error_set(error, ERR_KEY, "not a public key in PEM");
        return pkey;
}

static bool is_p256(const EVP_PKEY *pkey)
{
        char name[32];
        size_t n;

        return EVP_PKEY_is_a(pkey, "EC") == 1 && EVP_PKEY_get_group_name(pkey, name, sizeof name, &n) == 1 &&
               (strcmp(name, "prime256v1") == 0 || strcmp(name, "P-256") == 0);
}

static int check_strength(KeyType type, const EVP_PKEY *pkey, Error *error)
{
        int bits = EVP_PKEY_get_bits(pkey);

        switch (type) {
        case KEY_ED25519:
                return EVP_PKEY_is_a(pkey, "ED25519") == 1 ? 0 : error_set(error, ERR_KEY, "not an Ed25519 key");
        case KEY_RSA:
                if (EVP_PKEY_is_a(pkey, "RSA") != 1)
                        return error_set(error, ERR_KEY, "not an RSA key");
                if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
                        return error_set(error, ERR_UNSUPPORTED, "an RSA key of %d bits; %d to %d are accepted", bits, RSA_BITS_MIN,
                                         RSA_BITS_MAX);
                return 0;
        case KEY_ECDSA_P256:
                return is_p256(pkey) ? 0 : error_set(error, ERR_UNSUPPORTED, "not an ECDSA key on P-256");
        case _KEY_TYPE_MAX:
                break;
        }
        return error_set(error, ERR_UNSUPPORTED, "unknown key type");
}

int public_key_new(KeyType type, const char *text, PublicKey **ret, Error *error)
{
        CLEANUP(public_key_free) PublicKey *key = xcalloc(1, sizeof *key);

        if (strlen(text) > KEY_TEXT_MAX)
                return error_set(error, ERR_KEY, "a public key of %zu characters", strlen(text));
        key->type = type;
        key->pkey = type == KEY_ED25519 ? from_hex(text, error) : from_pem(text, error);
        if (!key->pkey || check_strength(type, key->pkey, error) < 0)
                return -1;
        *ret = TAKE_PTR(key);
        return 0;
}

KeyType public_key_type(const PublicKey *key)
{
        return key->type;
}

bool public_key_equal(const PublicKey *a, const PublicKey *b)
{
        return a->type == b->type && EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}

/* A signature the library would take in another encoding too is refused: there is one form of each. */
static bool is_strict_ecdsa(Slice signature)
{
        const uint8_t *p = signature.data;
        uint8_t *again = NULL;
        ECDSA_SIG *sig;
        bool same;
        int n;

        if (signature.size == 0 || signature.size > 80)
                return false;
        sig = d2i_ECDSA_SIG(NULL, &p, (long) signature.size);
        n = sig ? i2d_ECDSA_SIG(sig, &again) : -1;
        same = n > 0 && slice_equal(slice(again, (size_t) n), signature);
        OPENSSL_free(again);
        ECDSA_SIG_free(sig);
        return same;
}

static bool set_pss(EVP_PKEY_CTX *ctx)
{
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_AUTO) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
}

static bool verify_raw(const PublicKey *key, Slice message, Slice signature)
{
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        EVP_PKEY_CTX *ctx = NULL; /* owned by md */
        bool good = md && EVP_DigestVerifyInit(md, &ctx, key->type == KEY_ED25519 ? NULL : EVP_sha256(), NULL, key->pkey) == 1 &&
                    (key->type != KEY_RSA || set_pss(ctx)) &&
                    EVP_DigestVerify(md, signature.data, signature.size, message.data, message.size) == 1;

        EVP_MD_CTX_free(md);
        ERR_clear_error();
        return good;
}

bool public_key_verify(const PublicKey *key, Slice message, Slice signature)
{
        static const uint8_t nothing = 0;

        if (!signature.data || signature.size == 0)
                return false;
        if (!message.data)
                message = slice(&nothing, 0);
        if (key->type == KEY_ECDSA_P256 && !is_strict_ecdsa(signature))
                return false;
        return verify_raw(key, message, signature);
}

int key_type_from_name(const char *name, KeyType *ret, Error *error)
{
        static const struct {
                const char *name;
                KeyType type;
        } table[] = {
                { "ed25519", KEY_ED25519 },       { "rsa", KEY_RSA },
                { "ecprime256v1", KEY_ECDSA_P256 }, { "ecdsa", KEY_ECDSA_P256 },
                { "ecdsa-sha2-nistp256", KEY_ECDSA_P256 },
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

bool key_type_has_method(KeyType type, const char *method)
{
        static const struct {
                KeyType type;
                const char *method;
        } table[] = {
                { KEY_ED25519, "ed25519" },
                { KEY_RSA, "rsassa-pss" },
                { KEY_RSA, "rsassa-pss-sha256" },
                { KEY_ECDSA_P256, "ecdsa" },
                { KEY_ECDSA_P256, "ecdsa-sha2-nistp256" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].type == type && strcasecmp(table[i].method, method) == 0)
                        return true;
        return false;
}
