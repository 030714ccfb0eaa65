/* SPDX-License-Identifier: Apache-2.0 */
/* Every result of a signature check is compared with 1, in key_material_verify() and nowhere else. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/material.h"

/* There is no struct of this name: it is the library's own object. */
static EVP_PKEY *pkey_of(const KeyMaterial *material)
{
        return (EVP_PKEY *) material;
}

/* The library refuses one that is not on the curve of this type. */
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

static EVP_PKEY *from_spki(Slice der)
{
        const uint8_t *p = der.data;
        EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long) der.size);

        if (pkey && p != der.data + der.size) {
                EVP_PKEY_free(pkey);
                pkey = NULL;
        }
        return pkey;
}

KeyMaterial *key_material_new(KeyType type, KeyForm form, Slice bytes)
{
        EVP_PKEY *pkey = form == KEY_FORM_ED25519 ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes.data, bytes.size)
                         : form == KEY_FORM_POINT ? from_point(type, bytes)
                                                  : from_spki(bytes);

        ERR_clear_error();
        return (KeyMaterial *) pkey;
}

KeyMaterial *key_material_free(KeyMaterial *material)
{
        EVP_PKEY_free(pkey_of(material));
        return NULL;
}

static bool is_on_curve(const EVP_PKEY *pkey, const char *name, const char *other)
{
        char group[32];
        size_t n;

        return EVP_PKEY_get_group_name(pkey, group, sizeof group, &n) == 1 && (strcmp(group, name) == 0 || strcmp(group, other) == 0);
}

KeyType key_material_type(const KeyMaterial *material)
{
        const EVP_PKEY *pkey = pkey_of(material);

        if (EVP_PKEY_is_a(pkey, "ED25519") == 1)
                return KEY_ED25519;
        if (EVP_PKEY_is_a(pkey, "RSA") == 1)
                return KEY_RSA;
        if (EVP_PKEY_is_a(pkey, "EC") != 1)
                return _KEY_TYPE_MAX;
        return is_on_curve(pkey, "prime256v1", "P-256") ? KEY_ECDSA_P256 : is_on_curve(pkey, "secp384r1", "P-384") ? KEY_ECDSA_P384 : _KEY_TYPE_MAX;
}

unsigned key_material_rsa_bits(const KeyMaterial *material)
{
        int bits = EVP_PKEY_is_a(pkey_of(material), "RSA") == 1 ? EVP_PKEY_get_bits(pkey_of(material)) : 0;

        return bits > 0 ? (unsigned) bits : 0;
}

bool key_material_equal(const KeyMaterial *a, const KeyMaterial *b)
{
        return EVP_PKEY_eq(pkey_of(a), pkey_of(b)) == 1;
}

static bool set_pss(EVP_PKEY_CTX *ctx, const EVP_MD *digest)
{
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_AUTO) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, digest) == 1;
}

/* NULL: the algorithm has its own. */
static const EVP_MD *digest_of(KeyDigest digest)
{
        return digest == KEY_DIGEST_SHA256   ? EVP_sha256()
               : digest == KEY_DIGEST_SHA384 ? EVP_sha384()
               : digest == KEY_DIGEST_SHA512 ? EVP_sha512()
                                             : NULL;
}

/* Uptane 3.2.1 (a) */
bool key_material_verify(const KeyMaterial *material, KeyDigest digest, Slice message, Slice signature)
{
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        EVP_PKEY_CTX *ctx = NULL; /* owned by md */
        bool good = md && EVP_DigestVerifyInit(md, &ctx, digest_of(digest), NULL, pkey_of(material)) == 1 &&
                    (EVP_PKEY_is_a(pkey_of(material), "RSA") != 1 || set_pss(ctx, digest_of(digest))) &&
                    EVP_DigestVerify(md, signature.data, signature.size, message.data, message.size) == 1;

        EVP_MD_CTX_free(md);
        ERR_clear_error();
        return good;
}
