/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys are accepted, and which bytes are a signature by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/codec.h"
#include "crypto/key.h"

#define MESSAGE slice_str("a document that somebody signs")
#define SIGNATURE_SIZE 1024

/* One key of each type, made once: the library's own and what this layer makes of its text. */
typedef struct World {
        EVP_PKEY *pkeys[_KEY_TYPE_MAX], *others[_KEY_TYPE_MAX];
        PublicKey *keys[_KEY_TYPE_MAX], *other_keys[_KEY_TYPE_MAX];
} World;

static EVP_PKEY *generate(KeyType type)
{
        EVP_PKEY *pkey = type == KEY_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                       : type == KEY_RSA     ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 2048)
                       : type == KEY_ECDSA_P384 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384")
                                             : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");

        assert_non_null(pkey);
        return pkey;
}

static char *pem_of(EVP_PKEY *pkey)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data = NULL, *text;
        size_t n;

        assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
        n = (size_t) BIO_get_mem_data(bio, &data);
        text = xstrndup(data, n);
        BIO_free(bio);
        return text;
}

static char *text_of(EVP_PKEY *pkey)
{
        char *text = xcalloc(1, 65);
        uint8_t raw[32];
        size_t n = sizeof raw;

        if (EVP_PKEY_is_a(pkey, "ED25519") != 1) {
                free(text);
                return pem_of(pkey);
        }
        assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, raw, &n), 1);
        hex_encode(slice(raw, n), text);
        return text;
}

static PublicKey *key_from(KeyType type, const char *text)
{
        PublicKey *key = NULL;
        Error error = { 0 };

        if (public_key_new(type, text, &key, &error) < 0)
                fail_msg("%s", error.message);
        return key;
}

static PublicKey *key_of(KeyType type, EVP_PKEY *pkey)
{
        cleanup_free char *text = text_of(pkey);

        return key_from(type, text);
}

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                w->pkeys[t] = generate((KeyType) t);
                w->others[t] = generate((KeyType) t);
                w->keys[t] = key_of((KeyType) t, w->pkeys[t]);
                w->other_keys[t] = key_of((KeyType) t, w->others[t]);
        }
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                EVP_PKEY_free(w->pkeys[t]);
                EVP_PKEY_free(w->others[t]);
                public_key_free(w->keys[t]);
                public_key_free(w->other_keys[t]);
        }
        free(w);
        return 0;
}

/* How to sign: what differs from the accepted way is set. salt is for RSA, 0: no PSS at all. */
typedef struct Way {
        const EVP_MD *digest;
        const EVP_MD *mgf1;
        int padding, salt;
} Way;

static Way way_of(KeyType type)
{
        return type == KEY_ED25519 ? (Way) { 0 }
               : type == KEY_RSA   ? (Way) { EVP_sha256(), EVP_sha256(), RSA_PKCS1_PSS_PADDING, 32 }
               : type == KEY_ECDSA_P384 ? (Way) { .digest = EVP_sha384() }
                                   : (Way) { .digest = EVP_sha256() };
}

static Slice sign(EVP_PKEY *pkey, const Way *way, Slice message, uint8_t *ret)
{
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        EVP_PKEY_CTX *ctx;
        size_t n = SIGNATURE_SIZE;

        assert_int_equal(EVP_DigestSignInit(md, &ctx, way->digest, NULL, pkey), 1);
        if (way->padding)
                assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, way->padding), 1);
        if (way->padding == RSA_PKCS1_PSS_PADDING) {
                assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, way->salt), 1);
                assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, way->mgf1), 1);
        }
        assert_int_equal(EVP_DigestSign(md, ret, &n, message.data, message.size), 1);
        EVP_MD_CTX_free(md);
        return slice(ret, n);
}

static Slice sign_well(const World *w, KeyType type, uint8_t *ret)
{
        Way way = way_of(type);

        return sign(w->pkeys[type], &way, MESSAGE, ret);
}

/* ---- signatures ---- */

static void a_good_signature_of_each_type_verifies(void **state)
{
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                uint8_t bytes[SIGNATURE_SIZE];

                assert_true(public_key_verify(w->keys[t], MESSAGE, sign_well(w, (KeyType) t, bytes)));
        }
}

static void an_empty_message_can_be_signed(void **state)
{
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                uint8_t bytes[SIGNATURE_SIZE];
                Way way = way_of((KeyType) t);
                Slice signature = sign(w->pkeys[t], &way, slice_str(""), bytes);

                assert_true(public_key_verify(w->keys[t], slice_str(""), signature));
                assert_true(public_key_verify(w->keys[t], SLICE_NONE, signature));
                assert_false(public_key_verify(w->keys[t], MESSAGE, signature));
        }
}

static void an_empty_or_malformed_signature_does_not_verify(void **state)
{
        static const uint8_t zeros[512], ones[4] = { 1, 1, 1, 1 };
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                assert_false(public_key_verify(w->keys[t], MESSAGE, SLICE_NONE));
                assert_false(public_key_verify(w->keys[t], MESSAGE, slice(zeros, 0)));
                assert_false(public_key_verify(w->keys[t], MESSAGE, slice(NULL, 64)));
                assert_false(public_key_verify(w->keys[t], MESSAGE, slice(ones, sizeof ones)));
                for (size_t n = 1; n <= sizeof zeros; n *= 2)
                        assert_false(public_key_verify(w->keys[t], MESSAGE, slice(zeros, n)));
        }
}

static void a_truncated_or_extended_signature_does_not_verify(void **state)
{
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                uint8_t bytes[SIGNATURE_SIZE] = { 0 };
                Slice signature = sign_well(w, (KeyType) t, bytes);

                for (size_t n = 0; n < signature.size; n++) {
                        assert_false(public_key_verify(w->keys[t], MESSAGE, slice(bytes, n)));
                        assert_false(public_key_verify(w->keys[t], MESSAGE, slice(bytes + n + 1, signature.size - n - 1)));
                }
                bytes[signature.size] = 0;
                assert_false(public_key_verify(w->keys[t], MESSAGE, slice(bytes, signature.size + 1)));
                assert_false(public_key_verify(w->keys[t], MESSAGE, slice(bytes, signature.size * 2)));
        }
}

/* One in 256 begins with a zero: the library would take it without. */
static void an_rsa_signature_has_one_length(void **state)
{
        World *w = *state;
        uint8_t bytes[SIGNATURE_SIZE];
        Slice signature;

        do
                signature = sign_well(w, KEY_RSA, bytes);
        while (bytes[0] != 0);
        assert_true(public_key_verify(w->keys[KEY_RSA], MESSAGE, signature));
        assert_false(public_key_verify(w->keys[KEY_RSA], MESSAGE, slice(bytes + 1, signature.size - 1)));
}

static void no_flipped_bit_of_a_signature_verifies(void **state)
{
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                uint8_t bytes[SIGNATURE_SIZE];
                Slice signature = sign_well(w, (KeyType) t, bytes);

                for (size_t bit = 0; bit < 8 * signature.size; bit++) {
                        bytes[bit / 8] ^= (uint8_t) (1 << bit % 8);
                        assert_false(public_key_verify(w->keys[t], MESSAGE, signature));
                        bytes[bit / 8] ^= (uint8_t) (1 << bit % 8);
                }
                assert_true(public_key_verify(w->keys[t], MESSAGE, signature));
        }
}

static void no_flipped_bit_of_the_message_verifies(void **state)
{
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                uint8_t bytes[SIGNATURE_SIZE];
                Slice signature = sign_well(w, (KeyType) t, bytes), message = MESSAGE;
                cleanup_free uint8_t *copy = xmemdup(message.data, message.size);

                for (size_t bit = 0; bit < 8 * message.size; bit++) {
                        copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
                        assert_false(public_key_verify(w->keys[t], slice(copy, message.size), signature));
                        copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
                }
                assert_false(public_key_verify(w->keys[t], slice(copy, message.size - 1), signature));
        }
}

static void a_signature_verifies_with_no_other_key(void **state)
{
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                uint8_t bytes[SIGNATURE_SIZE];
                Slice signature = sign_well(w, (KeyType) t, bytes);

                for (unsigned u = 0; u < _KEY_TYPE_MAX; u++) {
                        assert_int_equal(public_key_verify(w->keys[u], MESSAGE, signature), t == u);
                        assert_false(public_key_verify(w->other_keys[u], MESSAGE, signature));
                }
        }
}

static void rsa_pss_verifies_with_any_salt(void **state)
{
        static const int salts[] = { 0, 1, 20, 32, 64, 222 };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(salts); i++) {
                Way way = way_of(KEY_RSA);
                uint8_t bytes[SIGNATURE_SIZE];

                way.salt = salts[i];
                assert_true(public_key_verify(w->keys[KEY_RSA], MESSAGE, sign(w->pkeys[KEY_RSA], &way, MESSAGE, bytes)));
        }
}

/* T-35: a method, and a scheme in the key, decide the hash; where both speak they must agree */
static void t35_rsa_pss_with_sha_512_needs_its_name(void **state)
{
        static const char *const schemes[] = { NULL, "rsassa-pss-sha256", "rsassa-pss-sha512", "rsassa-pss" };
        static const char *const names[] = { NULL, "rsassa-pss-sha256", "rsassa-pss-sha512", "rsassa-pss", "RSASSA-PSS-SHA512" };
        const Way way_512 = { EVP_sha512(), EVP_sha512(), RSA_PKCS1_PSS_PADDING, 64 };
        World *w = *state;
        cleanup_free char *text = text_of(w->pkeys[KEY_RSA]);
        uint8_t bytes[SIGNATURE_SIZE], bytes_512[SIGNATURE_SIZE];
        Slice with_256 = sign_well(w, KEY_RSA, bytes), with_512 = sign(w->pkeys[KEY_RSA], &way_512, MESSAGE, bytes_512);

        for (size_t i = 0; i < ELEMENTSOF(schemes); i++)
                for (size_t j = 0; j < ELEMENTSOF(names); j++) {
                        CLEANUP(public_key_free) PublicKey *key = NULL;
                        bool scheme_512 = schemes[i] && strstr(schemes[i], "512"), name_512 = names[j] && strstr(names[j], "512");
                        bool agree = !schemes[i] || !names[j] || scheme_512 == name_512, is_512 = name_512 || (!names[j] && scheme_512);
                        Error error = { 0 };

                        assert_int_equal(public_key_new_named("rsa", schemes[i], text, &key, &error), 0);
                        assert_int_equal(public_key_verify_method(key, names[j], MESSAGE, with_256), agree && !is_512);
                        assert_int_equal(public_key_verify_method(key, names[j], MESSAGE, with_512), agree && is_512);
                }
}

/* T-35: a scheme of another type makes the key unusable; PKCS#1 v1.5 has none */
static void t35_a_scheme_must_fit_the_key(void **state)
{
        static const struct {
                KeyType type;
                const char *keytype, *scheme;
                bool good;
        } table[] = {
                { KEY_ED25519, "ed25519", "ed25519", true },
                { KEY_ED25519, "ed25519", "ecdsa-sha2-nistp256", false },
                { KEY_ED25519, "ed25519", "", false },
                { KEY_RSA, "rsa", "rsassa-pss-sha256", true },
                { KEY_RSA, "RSA", "rsassa-pss-sha512", true },
                { KEY_RSA, "rsa", "rsa-pkcs1v15-sha256", false },
                { KEY_RSA, "rsa", "rsassa-pkcs1v15-sha256", false },
                { KEY_RSA, "rsa", "ed25519", false },
                { KEY_ECDSA_P256, "ecdsa", "ecdsa-sha2-nistp256", true },
                { KEY_ECDSA_P256, "ecdsa", NULL, true },
                { KEY_ECDSA_P256, "ecdsa", "ecdsa-sha2-nistp384", false },
                { KEY_ECDSA_P256, "ecdsa-sha2-nistp256", NULL, true },
                { KEY_ECDSA_P256, "ecdsa-sha2-nistp384", NULL, false },
                { KEY_ECDSA_P384, "ecdsa", "ecdsa-sha2-nistp384", true },
                { KEY_ECDSA_P384, "ecdsa", NULL, true },
                { KEY_ECDSA_P384, "ecdsa", "ecdsa-sha2-nistp256", false },
                { KEY_ECDSA_P384, "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", true },
                { KEY_ECDSA_P384, "ecdsa-sha2-nistp256", NULL, false },
                { KEY_ECDSA_P384, "ecprime256v1", NULL, false },
        };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *text = text_of(w->pkeys[table[i].type]);
                CLEANUP(public_key_free) PublicKey *key = NULL;
                uint8_t bytes[SIGNATURE_SIZE];
                Error error = { 0 };
                int r = public_key_new_named(table[i].keytype, table[i].scheme, text, &key, &error);

                if ((r == 0) != table[i].good)
                        fail_msg("%s with scheme %s: %s", table[i].keytype, table[i].scheme ? table[i].scheme : "-", error.message);
                if (r == 0) {
                        assert_int_equal(public_key_type(key), table[i].type);
                        assert_int_equal(public_key_verify(key, MESSAGE, sign_well(w, table[i].type, bytes)),
                                         !table[i].scheme || !strstr(table[i].scheme, "512"));
                } else
                        assert_int_equal(error.code, ERR_UNSUPPORTED);
        }
}

static void keys_in_hex_and_in_pem_are_the_same_keys(void **state)
{
        World *w = *state;
        const KeyType types[] = { KEY_ECDSA_P256, KEY_ECDSA_P384 };
        cleanup_free char *ed25519 = pem_of(w->pkeys[KEY_ED25519]);
        CLEANUP(public_key_free) PublicKey *from_pem = key_from(KEY_ED25519, ed25519);

        assert_true(public_key_equal(from_pem, w->keys[KEY_ED25519]));
        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                CLEANUP(public_key_free) PublicKey *a = NULL, *b = NULL, *bad = NULL;
                uint8_t der[200], point[100], *p = der;
                char hex[2 * sizeof der + 1];
                int n = i2d_PUBKEY(w->pkeys[types[i]], &p);
                size_t n_point = 0;
                Error error = { 0 };

                assert_in_range(n, 1, sizeof der);
                hex_encode(slice(der, (size_t) n), hex);
                a = key_from(types[i], hex);
                assert_true(public_key_equal(a, w->keys[types[i]]));
                assert_int_equal(EVP_PKEY_get_octet_string_param(w->pkeys[types[i]], OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point, sizeof point,
                                                                 &n_point), 1);
                hex_encode(slice(point, n_point), hex);
                b = key_from(types[i], hex);
                assert_true(public_key_equal(b, w->keys[types[i]]));
                /* T-35: a point that is not on the curve, or not whole */
                point[n_point - 1] ^= 1;
                hex_encode(slice(point, n_point), hex);
                assert_int_equal(public_key_new(types[i], hex, &bad, &error), -1);
                error_clear(&error);
                hex_encode(slice(point, n_point - 1), hex);
                assert_int_equal(public_key_new(types[i], hex, &bad, &error), -1);
                error_clear(&error);
                der[n] = 0;
                hex_encode(slice(der, (size_t) n + 1), hex);
                assert_int_equal(public_key_new(types[i], hex, &bad, &error), -1);
        }
}

/* "ecdsa" does not say which curve: a scheme that does not fit makes such a key useless, and not malformed. */
static void an_ecdsa_key_that_does_not_fit_its_scheme_is_unsupported_in_every_spelling(void **state)
{
        static const char *const schemes[] = { "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha9" };
        static const KeyType types[] = { KEY_ECDSA_P256, KEY_ECDSA_P384 };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                for (size_t s = 0; s < ELEMENTSOF(schemes); s++) {
                        CLEANUP(public_key_free) PublicKey *key = NULL, *hex_key = NULL;
                        cleanup_free char *pem = pem_of(w->pkeys[types[i]]);
                        Error error = { 0 }, hex_error = { 0 };
                        uint8_t point[256];
                        char hex[2 * sizeof point + 1];
                        size_t n;
                        ErrorCode expected = s == i ? ERR_NONE : ERR_UNSUPPORTED;

                        assert_int_equal(EVP_PKEY_get_octet_string_param(w->pkeys[types[i]], OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point, sizeof point, &n), 1);
                        hex_encode(slice(point, n), hex);
                        (void) !public_key_new_named("ecdsa", schemes[s], pem, &key, &error);
                        (void) !public_key_new_named("ecdsa", schemes[s], hex, &hex_key, &hex_error);
                        assert_int_equal(error.code, expected);
                        assert_int_equal(hex_error.code, expected);
                }
}

static void the_right_key_with_the_wrong_algorithm_does_not_verify(void **state)
{
        World *w = *state;
        const struct {
                KeyType type;
                Way way;
        } table[] = {
                { KEY_RSA, { EVP_sha256(), NULL, RSA_PKCS1_PADDING, 0 } },
                { KEY_RSA, { EVP_sha512(), EVP_sha512(), RSA_PKCS1_PSS_PADDING, 32 } },
                { KEY_RSA, { EVP_sha1(), EVP_sha1(), RSA_PKCS1_PSS_PADDING, 20 } },
                { KEY_RSA, { EVP_sha256(), EVP_sha1(), RSA_PKCS1_PSS_PADDING, 32 } },
                { KEY_RSA, { EVP_sha512(), EVP_sha256(), RSA_PKCS1_PSS_PADDING, 32 } },
                { KEY_ECDSA_P256, { .digest = EVP_sha1() } },
                { KEY_ECDSA_P256, { .digest = EVP_sha384() } },
                { KEY_ECDSA_P256, { .digest = EVP_sha3_256() } },
                { KEY_ECDSA_P384, { .digest = EVP_sha256() } },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint8_t bytes[SIGNATURE_SIZE];
                Slice signature = sign(w->pkeys[table[i].type], &table[i].way, MESSAGE, bytes);

                assert_false(public_key_verify(w->keys[table[i].type], MESSAGE, signature));
        }
}

/* Where r and s begin in a good signature, and how long they are. */
typedef struct Parts {
        const uint8_t *r, *s;
        size_t r_size, s_size;
} Parts;

static Parts parts_of(Slice signature)
{
        Parts p = { .r = signature.data + 4, .r_size = signature.data[3] };

        p.s = p.r + p.r_size + 2;
        p.s_size = p.r[p.r_size + 1];
        assert_int_equal(signature.size, 6 + p.r_size + p.s_size);
        return p;
}

/* The same two numbers in another encoding are another signature, which would make the document's hash a choice. */
static void ecdsa_signatures_have_one_encoding(void **state)
{
        World *w = *state;
        PublicKey *key = w->keys[KEY_ECDSA_P256];
        uint8_t good[SIGNATURE_SIZE], bad[SIGNATURE_SIZE];
        Slice signature = sign_well(w, KEY_ECDSA_P256, good);
        Parts p = parts_of(signature);
        size_t n;

        /* length in the long form */
        bad[0] = 0x30, bad[1] = 0x81, bad[2] = good[1];
        memcpy(bad + 3, good + 2, signature.size - 2);
        assert_false(public_key_verify(key, MESSAGE, slice(bad, signature.size + 1)));
        /* length not said */
        bad[0] = 0x30, bad[1] = 0x80;
        memcpy(bad + 2, good + 2, signature.size - 2);
        bad[signature.size] = bad[signature.size + 1] = 0;
        assert_false(public_key_verify(key, MESSAGE, slice(bad, signature.size + 2)));
        /* a zero in front of r */
        bad[0] = 0x30, bad[1] = (uint8_t) (good[1] + 1), bad[2] = 0x02, bad[3] = (uint8_t) (p.r_size + 1), bad[4] = 0;
        memcpy(bad + 5, p.r, signature.size - 4);
        assert_false(public_key_verify(key, MESSAGE, slice(bad, signature.size + 1)));
        /* something behind s, inside the sequence */
        memcpy(bad, good, signature.size);
        bad[1]++;
        bad[signature.size] = 0;
        assert_false(public_key_verify(key, MESSAGE, slice(bad, signature.size + 1)));
        /* r and s side by side without any DER */
        memset(bad, 0, 64);
        n = p.r_size > 32 ? 32 : p.r_size;
        memcpy(bad + 32 - n, p.r + p.r_size - n, n);
        n = p.s_size > 32 ? 32 : p.s_size;
        memcpy(bad + 64 - n, p.s + p.s_size - n, n);
        assert_false(public_key_verify(key, MESSAGE, slice(bad, 64)));
}

static void degenerate_ecdsa_signatures_do_not_verify(void **state)
{
        static const uint8_t zeros[] = { 0x30, 6, 2, 1, 0, 2, 1, 0 }, ones[] = { 0x30, 6, 2, 1, 1, 2, 1, 1 }, negative[] = { 0x30, 6, 2, 1,
                0xff, 2, 1, 0xff };
        World *w = *state;

        assert_false(public_key_verify(w->keys[KEY_ECDSA_P256], MESSAGE, slice(zeros, sizeof zeros)));
        assert_false(public_key_verify(w->keys[KEY_ECDSA_P256], MESSAGE, slice(ones, sizeof ones)));
        assert_false(public_key_verify(w->keys[KEY_ECDSA_P256], MESSAGE, slice(negative, sizeof negative)));
}

/* RFC 8032, section 7.1, TEST 2 */
static void ed25519_is_that_of_rfc_8032(void **state)
{
        CLEANUP(public_key_free) PublicKey *key = key_from(KEY_ED25519, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        uint8_t signature[64];
        Error error = { 0 };

        assert_int_equal(hex_decode("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                                    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
                                    signature, sizeof signature, &error), 0);
        assert_true(public_key_verify(key, slice("\x72", 1), slice(signature, sizeof signature)));
        assert_false(public_key_verify(key, slice("\x73", 1), slice(signature, sizeof signature)));
}

/* ---- keys ---- */

static void refused(KeyType type, const char *text, ErrorCode code)
{
        PublicKey *key = NULL;
        Error error = { 0 };

        if (public_key_new(type, text, &key, &error) == 0)
                fail_msg("accepted: %s", text);
        if (error.code != code)
                fail_msg("%s: %s", error_info(error.code)->name, error.message);
        assert_null(key);
}

static void what_is_no_key_is_refused(void **state)
{
        static const char *const texts[] = {
                "", "x", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
                "-----BEGIN PUBLIC KEY-----", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660cc",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660g",
        };

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++)
                for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                        refused((KeyType) t, texts[i], ERR_KEY);
}

static void a_key_text_is_bounded(void **state)
{
        cleanup_free char *text = xcalloc(1, KEY_TEXT_MAX + 2);

        memset(text, '\n', KEY_TEXT_MAX + 1);
        refused(KEY_RSA, text, ERR_KEY);
        memset(text, 'a', KEY_TEXT_MAX + 1);
        refused(KEY_ED25519, text, ERR_KEY);
}

/* The library would read the passphrase from the terminal, or where there is none from the process' input. */
static void a_key_that_claims_to_be_encrypted_asks_nobody(void **state)
{
        int input[2], saved = dup(STDIN_FILENO);
        char left[8];

        assert_int_equal(pipe(input), 0);
        assert_int_equal(write(input[1], "secret\n", 7), 7);
        assert_int_equal(dup2(input[0], STDIN_FILENO), STDIN_FILENO);
        close(input[1]);
        refused(KEY_RSA,
                "-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,000102030405060708090A0B0C0D0E0F\n\n"
                "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMFkwEwYHKoZIzj0CAQYIKoZIzj0D\n-----END PUBLIC KEY-----\n",
                ERR_KEY);
        assert_int_equal(read(input[0], left, sizeof left), 7); /* nobody read it */
        assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
        close(saved);
        close(input[0]);
}

static void a_private_key_is_no_public_key(void **state)
{
        World *w = *state;
        BIO *bio = BIO_new(BIO_s_mem());
        char *data = NULL;

        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, w->pkeys[KEY_ECDSA_P256], NULL, NULL, 0, NULL, NULL), 1);
        BIO_write(bio, "", 1);
        assert_true(BIO_get_mem_data(bio, &data) > 0);
        refused(KEY_ECDSA_P256, data, ERR_KEY);
        BIO_free(bio);
}

static void a_key_of_one_type_is_none_of_another(void **state)
{
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                cleanup_free char *text = text_of(w->pkeys[t]);

                for (unsigned u = 0; u < _KEY_TYPE_MAX; u++)
                        if (t != u)
                                refused((KeyType) u, text, t != KEY_ED25519 && (u == KEY_ECDSA_P256 || u == KEY_ECDSA_P384) ? ERR_UNSUPPORTED : ERR_KEY);
        }
}

/* An RSA key with a modulus of so many bits; that nobody knows its factors is no matter. */
static char *rsa_text(unsigned bits)
{
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
        BIGNUM *n = BN_new(), *e = BN_new();
        EVP_PKEY *pkey = NULL;
        OSSL_PARAM *params;
        char *text;

        assert_int_equal(BN_rand(n, (int) bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD), 1);
        assert_int_equal(BN_set_word(e, 65537), 1);
        assert_int_equal(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n), 1);
        assert_int_equal(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e), 1);
        params = OSSL_PARAM_BLD_to_param(build);
        assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
        assert_int_equal(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
        text = pem_of(pkey);
        OSSL_PARAM_free(params);
        OSSL_PARAM_BLD_free(build);
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(pkey);
        BN_free(n);
        BN_free(e);
        return text;
}

static void rsa_keys_have_2048_to_8192_bits(void **state)
{
        static const struct {
                unsigned bits;
                bool good;
        } table[] = { { 512, false }, { 1024, false }, { 2047, false }, { 2048, true }, { 3072, true }, { 4096, true }, { 8192, true },
                { 8193, false }, { 16384, false } };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *text = rsa_text(table[i].bits);
                CLEANUP(public_key_free) PublicKey *key = NULL;

                if (table[i].good)
                        key = key_from(KEY_RSA, text);
                else
                        refused(KEY_RSA, text, ERR_UNSUPPORTED);
        }
}

static void ecdsa_keys_are_on_p_256(void **state)
{
        static const char *const curves[] = { "P-224", "P-384", "P-521", "secp256k1", "brainpoolP256r1" };

        for (size_t i = 0; i < ELEMENTSOF(curves); i++) {
                EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curves[i]);
                cleanup_free char *text = pem_of(pkey);

                refused(KEY_ECDSA_P256, text, ERR_UNSUPPORTED);
                EVP_PKEY_free(pkey);
        }
}

/* Uptane 5.2.1 */
static void keys_are_equal_by_their_material(void **state)
{
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                CLEANUP(public_key_free) PublicKey *again = key_of((KeyType) t, w->pkeys[t]);

                assert_true(public_key_equal(w->keys[t], again));
                assert_false(public_key_equal(w->keys[t], w->other_keys[t]));
                for (unsigned u = 0; u < _KEY_TYPE_MAX; u++)
                        assert_int_equal(public_key_equal(w->keys[t], w->keys[u]), t == u);
        }
}

/* One key in two spellings must not count as two. */
static void another_spelling_of_a_key_is_the_same_key(void **state)
{
        World *w = *state;
        cleanup_free char *hex = text_of(w->pkeys[KEY_ED25519]), *rsa = text_of(w->pkeys[KEY_RSA]),
                *with_comment = xasprintf("a comment\n%s\n\n", rsa);
        CLEANUP(public_key_free) PublicKey *compressed = NULL, *upper = NULL, *commented = key_from(KEY_RSA, with_comment);
        EVP_PKEY *copy = EVP_PKEY_dup(w->pkeys[KEY_ECDSA_P256]);

        for (char *p = hex; *p; p++)
                *p = *p >= 'a' ? (char) (*p - 'a' + 'A') : *p;
        upper = key_from(KEY_ED25519, hex);
        assert_true(public_key_equal(upper, w->keys[KEY_ED25519]));
        assert_true(public_key_equal(commented, w->keys[KEY_RSA]));
        assert_int_equal(EVP_PKEY_set_utf8_string_param(copy, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"), 1);
        compressed = key_of(KEY_ECDSA_P256, copy);
        assert_true(public_key_equal(compressed, w->keys[KEY_ECDSA_P256]));
        EVP_PKEY_free(copy);
}

/* ---- names ---- */

static void key_types_are_read_as_metadata_spells_them(void **state)
{
        static const struct {
                const char *name;
                KeyType type;
        } table[] = {
                { "ed25519", KEY_ED25519 },           { "ED25519", KEY_ED25519 },
                { "rsa", KEY_RSA },                   { "RSA", KEY_RSA },
                { "ecprime256v1", KEY_ECDSA_P256 },   { "ECPRIME256V1", KEY_ECDSA_P256 },
                { "ecdsa", KEY_ECDSA_P256 },          { "ecdsa-sha2-nistp256", KEY_ECDSA_P256 },
                { "secp384r1", KEY_ECDSA_P384 },      { "ecdsa-sha2-nistp384", KEY_ECDSA_P384 },
        };
        static const char *const unknown[] = { "", "ed448", "rsa2048", "ed25519 ", "dsa", "ecdsa-sha2-nistp521", "sphincs" };
        Error error = { 0 };
        KeyType type;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                assert_int_equal(key_type_from_name(table[i].name, &type, &error), 0);
                assert_int_equal(type, table[i].type);
        }
        for (size_t i = 0; i < ELEMENTSOF(unknown); i++) {
                assert_int_equal(key_type_from_name(unknown[i], &type, &error), -1);
                assert_int_equal(error.code, ERR_UNSUPPORTED);
                error_clear(&error);
        }
        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                assert_int_equal(key_type_from_name(key_type_name((KeyType) t), &type, &error), 0);
                assert_int_equal(type, t);
        }
}

static void a_method_belongs_to_one_type_of_key(void **state)
{
        static const struct {
                const char *method;
                int type; /* -1: none */
        } table[] = {
                { "ed25519", KEY_ED25519 },         { "ED25519", KEY_ED25519 },
                { "rsassa-pss", KEY_RSA },          { "rsassa-pss-sha256", KEY_RSA },
                { "RSASSA-PSS-SHA256", KEY_RSA },   { "ecdsa-sha2-nistp384", KEY_ECDSA_P384 },
                { "ecdsa-sha2-nistp256", KEY_ECDSA_P256 },
                { "rsassa-pkcs1v15", -1 },          { "rsassa-pkcs1v15-sha256", -1 },
                { "rsassa-pss-sha512", -1 }, /* the signature is with SHA-256 */
                { "none", -1 },                     { "", -1 },
        };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                        uint8_t bytes[SIGNATURE_SIZE];

                        assert_int_equal(public_key_verify_method(w->keys[t], table[i].method, MESSAGE, sign_well(w, (KeyType) t, bytes)),
                                         (int) t == table[i].type);
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_good_signature_of_each_type_verifies),
                cmocka_unit_test(an_empty_message_can_be_signed),
                cmocka_unit_test(an_empty_or_malformed_signature_does_not_verify),
                cmocka_unit_test(a_truncated_or_extended_signature_does_not_verify),
                cmocka_unit_test(an_rsa_signature_has_one_length),
                cmocka_unit_test(no_flipped_bit_of_a_signature_verifies),
                cmocka_unit_test(no_flipped_bit_of_the_message_verifies),
                cmocka_unit_test(a_signature_verifies_with_no_other_key),
                cmocka_unit_test(rsa_pss_verifies_with_any_salt),
                cmocka_unit_test(t35_rsa_pss_with_sha_512_needs_its_name),
                cmocka_unit_test(t35_a_scheme_must_fit_the_key),
                cmocka_unit_test(keys_in_hex_and_in_pem_are_the_same_keys),
                cmocka_unit_test(an_ecdsa_key_that_does_not_fit_its_scheme_is_unsupported_in_every_spelling),
                cmocka_unit_test(the_right_key_with_the_wrong_algorithm_does_not_verify),
                cmocka_unit_test(ecdsa_signatures_have_one_encoding),
                cmocka_unit_test(degenerate_ecdsa_signatures_do_not_verify),
                cmocka_unit_test(ed25519_is_that_of_rfc_8032),
                cmocka_unit_test(what_is_no_key_is_refused),
                cmocka_unit_test(a_key_text_is_bounded),
                cmocka_unit_test(a_key_that_claims_to_be_encrypted_asks_nobody),
                cmocka_unit_test(a_private_key_is_no_public_key),
                cmocka_unit_test(a_key_of_one_type_is_none_of_another),
                cmocka_unit_test(rsa_keys_have_2048_to_8192_bits),
                cmocka_unit_test(ecdsa_keys_are_on_p_256),
                cmocka_unit_test(keys_are_equal_by_their_material),
                cmocka_unit_test(another_spelling_of_a_key_is_the_same_key),
                cmocka_unit_test(key_types_are_read_as_metadata_spells_them),
                cmocka_unit_test(a_method_belongs_to_one_type_of_key),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
