/* SPDX-License-Identifier: Apache-2.0 */
#include <gmp.h>
#include <nettle/asn1.h>
#include <nettle/bignum.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include <nettle/eddsa.h>
#include <nettle/nettle-meta.h>
#include <nettle/pss.h>
#include <nettle/rsa.h>
#include <nettle/sha2.h>

#include "crypto/ecdsa-der.h"
#include "crypto/material.h"

#define RSA_EXPONENT_BITS_MAX 64 /* what others use has 17; a longer one costs time */

struct KeyMaterial {
        KeyType type; /* says which of the others is there */
        uint8_t ed25519[ED25519_KEY_SIZE];
        struct rsa_public_key rsa;
        struct ecc_point point;
};

/* ---- SubjectPublicKeyInfo ---- */

typedef struct Spki {
        Slice algorithm; /* OBJECT IDENTIFIER, as the others: its content */
        Slice curve;     /* none where the parameters are no OBJECT IDENTIFIER */
        Slice key;       /* what the BIT STRING holds */
} Spki;

#define OID(...) slice((const uint8_t[]) { __VA_ARGS__ }, sizeof((const uint8_t[]) { __VA_ARGS__ }))
#define OID_ED25519 OID(0x2b, 0x65, 0x70)                                           /* 1.3.101.112 */
#define OID_RSA OID(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01)           /* 1.2.840.113549.1.1.1 */
#define OID_EC OID(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01)                        /* 1.2.840.10045.2.1 */
#define OID_P256 OID(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07)                /* 1.2.840.10045.3.1.7 */
#define OID_P384 OID(0x2b, 0x81, 0x04, 0x00, 0x22)                                  /* 1.3.132.0.34 */

/* SEQUENCE { SEQUENCE { algorithm, parameters OPTIONAL }, BIT STRING }, and nothing behind it. */
static bool read_spki(Slice der, Spki *ret)
{
        struct asn1_der_iterator i, algorithm;

        *ret = (Spki) { 0 };
        if (asn1_der_iterator_first(&i, der.size, der.data) != ASN1_ITERATOR_CONSTRUCTED || i.type != ASN1_SEQUENCE ||
            asn1_der_decode_constructed_last(&i) != ASN1_ITERATOR_CONSTRUCTED || i.type != ASN1_SEQUENCE ||
            asn1_der_decode_constructed(&i, &algorithm) != ASN1_ITERATOR_PRIMITIVE || algorithm.type != ASN1_IDENTIFIER)
                return false;
        ret->algorithm = slice(algorithm.data, algorithm.length);
        if (asn1_der_iterator_next(&algorithm) == ASN1_ITERATOR_PRIMITIVE && algorithm.type == ASN1_IDENTIFIER)
                ret->curve = slice(algorithm.data, algorithm.length);
        if (asn1_der_iterator_next(&i) != ASN1_ITERATOR_PRIMITIVE || i.type != ASN1_BITSTRING || i.length < 2 || i.data[0] != 0)
                return false;
        ret->key = slice(i.data + 1, i.length - 1);
        return asn1_der_iterator_next(&i) == ASN1_ITERATOR_END;
}

/* ---- elliptic curves ---- */

typedef struct Curve {
        size_t size; /* of a coordinate */
        const struct ecc_curve *(*get)(void);
        const char *p, *b; /* y² = x³ - 3x + b mod p (FIPS 186-4 D.1.2), in hex */
} Curve;

static const Curve p256 = {
        32, nettle_get_secp_256r1, "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
        "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
};
static const Curve p384 = {
        48, nettle_get_secp_384r1, "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
        "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
};

/* Of the two y that x may have the one that is odd, or even; nonsense where it has none, which is no point then. p mod 4 is 3. */
static void recover_y(const Curve *curve, const mpz_t x, bool odd, mpz_t y)
{
        mpz_t p, b, e;

        mpz_inits(p, b, e, NULL);
        (void) mpz_set_str(p, curve->p, 16);
        (void) mpz_set_str(b, curve->b, 16);
        mpz_powm_ui(y, x, 3, p);
        mpz_submul_ui(y, x, 3);
        mpz_add(y, y, b);
        mpz_mod(y, y, p);
        mpz_add_ui(e, p, 1);
        mpz_fdiv_q_2exp(e, e, 2);
        mpz_powm(y, y, e, p);
        if ((bool) mpz_odd_p(y) != odd)
                mpz_sub(y, p, y);
        mpz_clears(p, b, e, NULL);
}

/* 04 x y, or 02 or 03 and x (SEC 1 2.3.4). The library refuses what is not on the curve. */
static bool set_point(KeyMaterial *material, const Curve *curve, Slice octets)
{
        bool compressed = octets.size == 1 + curve->size && (octets.data[0] == 2 || octets.data[0] == 3);
        bool good = compressed || (octets.size == 1 + 2 * curve->size && octets.data[0] == 4);
        mpz_t x, y;

        ecc_point_init(&material->point, curve->get());
        if (!good)
                return false;
        mpz_inits(x, y, NULL);
        nettle_mpz_set_str_256_u(x, curve->size, octets.data + 1);
        if (compressed)
                recover_y(curve, x, octets.data[0] == 3, y);
        else
                nettle_mpz_set_str_256_u(y, curve->size, octets.data + 1 + curve->size);
        good = ecc_point_set(&material->point, x, y) == 1;
        mpz_clears(x, y, NULL);
        return good;
}

/* ---- public keys ---- */

static bool set_ed25519(KeyMaterial *material, Slice key)
{
        if (key.size != ED25519_KEY_SIZE)
                return false;
        memcpy(material->ed25519, key.data, ED25519_KEY_SIZE);
        return true;
}

static bool set_rsa(KeyMaterial *material, Slice key)
{
        struct asn1_der_iterator i;

        rsa_public_key_init(&material->rsa);
        return asn1_der_iterator_first(&i, key.size, key.data) == ASN1_ITERATOR_CONSTRUCTED &&
               rsa_public_key_from_der_iterator(&material->rsa, 0, &i) == 1 && mpz_sizeinbase(material->rsa.e, 2) <= RSA_EXPONENT_BITS_MAX;
}

static bool set_spki(KeyMaterial *material, Slice der)
{
        Spki spki;

        if (!read_spki(der, &spki))
                return false;
        if (slice_equal(spki.algorithm, OID_ED25519)) {
                material->type = KEY_ED25519;
                return set_ed25519(material, spki.key);
        }
        if (slice_equal(spki.algorithm, OID_RSA)) {
                material->type = KEY_RSA;
                return set_rsa(material, spki.key);
        }
        if (slice_equal(spki.algorithm, OID_EC) && slice_equal(spki.curve, OID_P256)) {
                material->type = KEY_ECDSA_P256;
                return set_point(material, &p256, spki.key);
        }
        if (slice_equal(spki.algorithm, OID_EC) && slice_equal(spki.curve, OID_P384)) {
                material->type = KEY_ECDSA_P384;
                return set_point(material, &p384, spki.key);
        }
        return true; /* of another type */
}

static bool set(KeyMaterial *material, KeyType type, KeyForm form, Slice bytes)
{
        switch (form) {
        case KEY_FORM_ED25519:
                material->type = KEY_ED25519;
                return set_ed25519(material, bytes);
        case KEY_FORM_POINT:
                material->type = type;
                return set_point(material, type == KEY_ECDSA_P256 ? &p256 : &p384, bytes);
        case KEY_FORM_SPKI:
                return set_spki(material, bytes);
        }
        return false;
}

KeyMaterial *key_material_new(KeyType type, KeyForm form, Slice bytes)
{
        KeyMaterial *material = xcalloc(1, sizeof *material);

        material->type = _KEY_TYPE_MAX;
        return set(material, type, form, bytes) ? material : key_material_free(material);
}

KeyMaterial *key_material_free(KeyMaterial *material)
{
        if (!material)
                return NULL;
        if (material->type == KEY_RSA)
                rsa_public_key_clear(&material->rsa);
        if (material->type == KEY_ECDSA_P256 || material->type == KEY_ECDSA_P384)
                ecc_point_clear(&material->point);
        free(material);
        return NULL;
}

KeyType key_material_type(const KeyMaterial *material)
{
        return material->type;
}

unsigned key_material_rsa_bits(const KeyMaterial *material)
{
        return material->type == KEY_RSA ? (unsigned) mpz_sizeinbase(material->rsa.n, 2) : 0;
}

static bool same_point(const struct ecc_point *a, const struct ecc_point *b)
{
        mpz_t ax, ay, bx, by;
        bool same;

        mpz_inits(ax, ay, bx, by, NULL);
        ecc_point_get(a, ax, ay);
        ecc_point_get(b, bx, by);
        same = mpz_cmp(ax, bx) == 0 && mpz_cmp(ay, by) == 0;
        mpz_clears(ax, ay, bx, by, NULL);
        return same;
}

bool key_material_equal(const KeyMaterial *a, const KeyMaterial *b)
{
        switch (a->type) {
        case KEY_ED25519:
                return memcmp(a->ed25519, b->ed25519, ED25519_KEY_SIZE) == 0;
        case KEY_RSA:
                return mpz_cmp(a->rsa.n, b->rsa.n) == 0 && mpz_cmp(a->rsa.e, b->rsa.e) == 0;
        case KEY_ECDSA_P256:
        case KEY_ECDSA_P384:
                return same_point(&a->point, &b->point);
        case _KEY_TYPE_MAX:
                break;
        }
        return false;
}

/* ---- signatures ---- */

static const struct nettle_hash *hash_of(KeyDigest digest)
{
        return digest == KEY_DIGEST_SHA512 ? &nettle_sha512 : digest == KEY_DIGEST_SHA384 ? &nettle_sha384 : &nettle_sha256;
}

static void compute(KeyDigest digest, Slice message, uint8_t ret[static SHA512_DIGEST_SIZE])
{
        union {
                struct sha256_ctx sha256;
                struct sha512_ctx sha512; /* SHA-384's, too */
        } ctx;
        const struct nettle_hash *hash = hash_of(digest);

        hash->init(&ctx);
        hash->update(&ctx, message.size, message.data);
        hash->digest(&ctx, hash->digest_size, ret);
}

/* The library wants to be told how long the salt is; the signer did not say. It is as long as the digest nearly always. */
static bool is_pss(const mpz_t m, unsigned bits, const struct nettle_hash *hash, const uint8_t *digest)
{
        size_t size = (bits + 7) / 8, longest = size - hash->digest_size - 2;

        if (pss_verify_mgf1(m, bits, hash, hash->digest_size, digest) == 1)
                return true;
        for (size_t salt = 0; salt <= longest; salt++)
                if (salt != hash->digest_size && pss_verify_mgf1(m, bits, hash, salt, digest) == 1)
                        return true;
        return false;
}

static bool verify_rsa(const KeyMaterial *material, KeyDigest digest, const uint8_t *hash, Slice signature)
{
        bool good;
        mpz_t m;

        nettle_mpz_init_set_str_256_u(m, signature.size, signature.data);
        good = mpz_cmp(m, material->rsa.n) < 0;
        if (good) {
                mpz_powm(m, m, material->rsa.e, material->rsa.n);
                good = is_pss(m, key_material_rsa_bits(material) - 1, hash_of(digest), hash);
        }
        mpz_clear(m);
        return good;
}

static bool verify_ecdsa(const KeyMaterial *material, KeyDigest digest, const uint8_t *hash, Slice signature)
{
        struct dsa_signature numbers;
        Slice r, s;
        bool good;

        if (!ecdsa_der_read(signature, &r, &s))
                return false;
        dsa_signature_init(&numbers);
        nettle_mpz_set_str_256_u(numbers.r, r.size, r.data);
        nettle_mpz_set_str_256_u(numbers.s, s.size, s.data);
        good = ecdsa_verify(&material->point, hash_of(digest)->digest_size, hash, &numbers) == 1;
        dsa_signature_clear(&numbers);
        return good;
}

/* Uptane 3.2.1 (a) */
bool key_material_verify(const KeyMaterial *material, KeyDigest digest, Slice message, Slice signature)
{
        uint8_t hash[SHA512_DIGEST_SIZE];

        if (digest != KEY_DIGEST_OWN)
                compute(digest, message, hash);
        switch (material->type) {
        case KEY_ED25519:
                return ed25519_sha512_verify(material->ed25519, message.size, message.data, signature.data) == 1;
        case KEY_RSA:
                return verify_rsa(material, digest, hash, signature);
        case KEY_ECDSA_P256:
        case KEY_ECDSA_P384:
                return verify_ecdsa(material, digest, hash, signature);
        case _KEY_TYPE_MAX:
                break;
        }
        return false;
}
