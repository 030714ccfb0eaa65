/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys are decoded once, checked for type and strength, and kept as the crypto library's own objects. Every result of a
 * signature check is compared with 1, in verify_raw() and nowhere else.
 */
#include "crypto/key.h"

#include <assert.h>
#include <strings.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/codec.h"

#define ED25519_SIZE 32
#define ECDSA_SIGNATURE_MAX 110 /* two numbers of 49 bytes and what stands around them */
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

typedef struct Method {
        const char *name;
        KeyType type;
        const EVP_MD *(*digest)(void); /* NULL: the algorithm has its own */
} Method;

struct PublicKey {
        KeyType type;
        const Method *scheme; /* NULL: any that fits the type */
        EVP_PKEY *pkey;
};

/* The first of a type is the one that is meant where nothing is said. */
static const Method methods[] = {
        { "ed25519", KEY_ED25519, NULL },
        { "rsassa-pss-sha256", KEY_RSA, EVP_sha256 },
        { "rsassa-pss", KEY_RSA, EVP_sha256 },
        { "rsassa-pss-sha512", KEY_RSA, EVP_sha512 },
        { "ecdsa-sha2-nistp256", KEY_ECDSA_P256, EVP_sha256 },
        { "ecdsa", KEY_ECDSA_P256, EVP_sha256 },
        { "ecdsa-sha2-nistp384", KEY_ECDSA_P384, EVP_sha384 },
        { "ecdsa", KEY_ECDSA_P384, EVP_sha384 },
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

static bool is_hex(const char *text)
{
        size_t n = strlen(text);

        return n > 0 && n % 2 == 0 && strspn(text, "0123456789abcdefABCDEF") == n;
}

/* An uncompressed point on the curve of this type; the library refuses one that is not on it. */
static EVP_PKEY *from_point(KeyType type, Slice point)
{
        OSSL_PARAM params[] = {
                OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *) (type == KEY_ECDSA_P256 ? "P-256" : "P-384"), 0),
                OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *) point.data, point.size),
                OSSL_PARAM_construct_end(),
        };
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
        EVP_PKEY *pkey = NULL;

        if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
                pkey = NULL;
        EVP_PKEY_CTX_free(ctx);
        return pkey;
}

static EVP_PKEY *from_ecdsa_hex(KeyType type, const char *text, Error *error)
{
        size_t n = strlen(text) / 2;
        cleanup_free uint8_t *raw = xcalloc(1, n);
        const uint8_t *p = raw;
        Error ignored = { 0 };
        EVP_PKEY *pkey = NULL;

        if (hex_decode(text, raw, n, &ignored) == 0)
                pkey = raw[0] == 0x04 ? from_point(type, slice(raw, n)) : d2i_PUBKEY(NULL, &p, (long) n);
        if (pkey && raw[0] != 0x04 && p != raw + n) {
                EVP_PKEY_free(pkey);
                pkey = NULL;
        }
        ERR_clear_error();
        if (!pkey)
                (void) error_set(error, ERR_KEY, "neither a public key nor a point of its curve, in hex");
        return pkey;
}

static EVP_PKEY *from_text(KeyType type, const char *text, Error *error)
{
        if (type == KEY_ED25519 && strncmp(text, "-----BEGIN", 10) != 0)
                return from_hex(text, error);
        if ((type == KEY_ECDSA_P256 || type == KEY_ECDSA_P384) && is_hex(text))
                return from_ecdsa_hex(type, text, error);
        return from_pem(text, error);
}

static bool is_on_curve(const EVP_PKEY *pkey, const char *name, const char *other)
{
        char group[32];
        size_t n;

        return EVP_PKEY_is_a(pkey, "EC") == 1 && EVP_PKEY_get_group_name(pkey, group, sizeof group, &n) == 1 &&
               (strcmp(group, name) == 0 || strcmp(group, other) == 0);
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
                return is_on_curve(pkey, "prime256v1", "P-256") ? 0 : error_set(error, ERR_UNSUPPORTED, "not an ECDSA key on P-256");
        case KEY_ECDSA_P384:
                return is_on_curve(pkey, "secp384r1", "P-384") ? 0 : error_set(error, ERR_UNSUPPORTED, "not an ECDSA key on P-384");
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
        key->pkey = from_text(type, text, error);
        if (!key->pkey || check_strength(type, key->pkey, error) < 0)
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

/* Uptane 5.2.1, a key is its material */
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

        if (signature.size == 0 || signature.size > ECDSA_SIGNATURE_MAX)
                return false;
        sig = d2i_ECDSA_SIG(NULL, &p, (long) signature.size);
        n = sig ? i2d_ECDSA_SIG(sig, &again) : -1;
        same = n > 0 && slice_equal(slice(again, (size_t) n), signature);
        OPENSSL_free(again);
        ECDSA_SIG_free(sig);
        return same;
}

static bool set_pss(EVP_PKEY_CTX *ctx, const EVP_MD *digest)
{
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_AUTO) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, digest) == 1;
}

static bool verify_raw(const PublicKey *key, const EVP_MD *digest, Slice message, Slice signature)
{
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        EVP_PKEY_CTX *ctx = NULL; /* owned by md */
        bool good = md && EVP_DigestVerifyInit(md, &ctx, digest, NULL, key->pkey) == 1 && (key->type != KEY_RSA || set_pss(ctx, digest)) &&
                    EVP_DigestVerify(md, signature.data, signature.size, message.data, message.size) == 1;

        EVP_MD_CTX_free(md);
        ERR_clear_error();
        return good;
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

        if (!method || !signature.data || signature.size == 0)
                return false;
        if (!message.data)
                message = slice(&nothing, 0);
        if ((key->type == KEY_ECDSA_P256 || key->type == KEY_ECDSA_P384) && !is_strict_ecdsa(signature))
                return false;
        /* the library takes one without its leading zeros too */
        if (key->type == KEY_RSA && signature.size != (size_t) EVP_PKEY_get_size(key->pkey))
                return false;
        return verify_raw(key, method->digest ? method->digest() : NULL, message, signature);
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
