/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, signatures and digests: for each key type what verifies, and everything that must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/codec.h"
#include "crypto/digest.h"
#include "crypto/signer.h"

static Signer *make_signer(KeyType type)
{
        cleanup_buffer Buffer pem = { 0 };
        Error error = { 0 };
        Signer *s;

        assert_int_equal(signer_generate_pem(type, &pem, &error), 0);
        assert_int_equal(signer_new_pem(buffer_slice(&pem), &s, &error), 0);
        assert_int_equal(signer_key_type(s), type);
        assert_int_equal(strlen(signer_key_id(s)), 64);
        assert_true(key_type_has_method(type, signer_method(s)));
        return s;
}

static PublicKey *key_of(const Signer *s)
{
        PublicKey *key;

        assert_int_equal(public_key_new(signer_key_type(s), signer_public_text(s), &key, &(Error) { 0 }), 0);
        return key;
}

static const char message[] = "what is signed";

static void a_signature_verifies_and_no_spoilt_one_does(void **state)
{
        (void) state;
        for (unsigned type = 0; type < _KEY_TYPE_MAX; type++) {
                CLEANUP(signer_free) Signer *s = make_signer((KeyType) type), *other = make_signer((KeyType) type);
                CLEANUP(public_key_free) PublicKey *key = key_of(s), *other_key = key_of(other);
                cleanup_buffer Buffer sig = { 0 };

                assert_int_equal(signer_sign(s, slice_str(message), &sig, &(Error) { 0 }), 0);
                assert_true(public_key_verify(key, slice_str(message), buffer_slice(&sig)));
                assert_false(public_key_verify(other_key, slice_str(message), buffer_slice(&sig)));
                assert_false(public_key_verify(key, slice_str("What is signed"), buffer_slice(&sig)));
                assert_false(public_key_verify(key, SLICE_NONE, buffer_slice(&sig)));
                assert_false(public_key_verify(key, slice_str(message), SLICE_NONE));
                for (size_t n = 0; n < sig.size; n++)
                        assert_false(public_key_verify(key, slice_str(message), slice(sig.data, n)));
                for (size_t i = 0; i < sig.size; i++) {
                        sig.data[i] ^= 0x10;
                        assert_false(public_key_verify(key, slice_str(message), buffer_slice(&sig)));
                        sig.data[i] ^= 0x10;
                }
                buffer_put_str(&sig, "x");
                assert_false(public_key_verify(key, slice_str(message), buffer_slice(&sig)));
        }
}

static void a_signature_of_one_type_never_verifies_under_another(void **state)
{
        Signer *signers[_KEY_TYPE_MAX];

        (void) state;
        for (unsigned i = 0; i < _KEY_TYPE_MAX; i++)
                signers[i] = make_signer((KeyType) i);
        for (unsigned i = 0; i < _KEY_TYPE_MAX; i++)
                for (unsigned j = 0; j < _KEY_TYPE_MAX; j++) {
                        CLEANUP(public_key_free) PublicKey *key = key_of(signers[j]);
                        cleanup_buffer Buffer sig = { 0 };

                        assert_int_equal(signer_sign(signers[i], slice_str(message), &sig, &(Error) { 0 }), 0);
                        assert_int_equal(public_key_verify(key, slice_str(message), buffer_slice(&sig)), i == j);
                }
        for (unsigned i = 0; i < _KEY_TYPE_MAX; i++)
                signer_free(signers[i]);
}

/* DER that a lenient reader takes too: a long form of the length where the short one does */
static void an_ecdsa_signature_in_another_encoding_is_refused(void **state)
{
        CLEANUP(signer_free) Signer *s = make_signer(KEY_ECDSA_P256);
        CLEANUP(public_key_free) PublicKey *key = key_of(s);
        cleanup_buffer Buffer sig = { 0 }, longer = { 0 };

        (void) state;
        assert_int_equal(signer_sign(s, slice_str(message), &sig, &(Error) { 0 }), 0);
        buffer_put(&longer, (const uint8_t[]) { 0x30, 0x81, sig.data[1] }, 3);
        buffer_put(&longer, sig.data + 2, sig.size - 2);
        assert_true(public_key_verify(key, slice_str(message), buffer_slice(&sig)));
        assert_false(public_key_verify(key, slice_str(message), buffer_slice(&longer)));
}

static char *pem_of(EVP_PKEY *pkey)
{
        BIO *bio = BIO_new(BIO_s_mem());
        char *data, *text;
        long n;

        assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
        n = BIO_get_mem_data(bio, &data);
        text = xstrndup(data, (size_t) n);
        BIO_free(bio);
        EVP_PKEY_free(pkey);
        return text;
}

static void refuse(KeyType type, const char *text, ErrorCode expected)
{
        Error error = { 0 };
        PublicKey *key;

        assert_int_equal(public_key_new(type, text, &key, &error), -1);
        assert_int_equal(error.code, expected);
}

static void weak_and_wrong_keys_are_refused(void **state)
{
        cleanup_free char *rsa1024 = pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 1024));
        cleanup_free char *p384 = pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"));
        cleanup_free char *p256 = pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"));

        (void) state;
        refuse(KEY_RSA, rsa1024, ERR_UNSUPPORTED);
        refuse(KEY_ECDSA_P256, p384, ERR_UNSUPPORTED);
        refuse(KEY_RSA, p256, ERR_KEY);
        refuse(KEY_ED25519, p256, ERR_KEY);
        refuse(KEY_ED25519, "", ERR_KEY);
        refuse(KEY_ED25519, "00", ERR_KEY);
        refuse(KEY_RSA, "", ERR_KEY);
        refuse(KEY_RSA, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", ERR_KEY);
}

static void keys_are_the_same_by_material(void **state)
{
        CLEANUP(signer_free) Signer *s = make_signer(KEY_ED25519), *other = make_signer(KEY_ED25519);
        CLEANUP(public_key_free) PublicKey *a = key_of(s), *b = NULL, *c = key_of(other);
        cleanup_free char *upper = xstrdup(signer_public_text(s));

        (void) state;
        for (char *p = upper; *p; p++)
                if (*p >= 'a')
                        *p = (char) (*p - 'a' + 'A');
        assert_int_equal(public_key_new(KEY_ED25519, upper, &b, &(Error) { 0 }), 0);
        assert_true(public_key_equal(a, b));
        assert_false(public_key_equal(a, c));
}

static void names_of_types_and_methods_are_those_of_the_field(void **state)
{
        KeyType type;

        (void) state;
        assert_int_equal(key_type_from_name("ed25519", &type, &(Error) { 0 }), 0);
        assert_int_equal(type, KEY_ED25519);
        assert_int_equal(key_type_from_name("RSA", &type, &(Error) { 0 }), 0);
        assert_int_equal(type, KEY_RSA);
        assert_int_equal(key_type_from_name("dsa", &type, &(Error) { 0 }), -1);
        assert_true(key_type_has_method(KEY_RSA, "RSASSA-PSS"));
        assert_false(key_type_has_method(KEY_RSA, "rsassa-pkcs1v15-sha256"));
        assert_false(key_type_has_method(KEY_RSA, "ed25519"));
}

static void every_shared_hash_must_agree_and_one_must_be_shared(void **state)
{
        Hashes a, b;

        (void) state;
        digest_hashes(slice_str("a"), &a);
        b = a;
        assert_true(hashes_match(&a, &b));
        b.sha512[0] ^= 1;
        assert_false(hashes_match(&a, &b));
        b.has_sha512 = false;
        assert_true(hashes_match(&a, &b));
        b.has_sha256 = false;
        assert_false(hashes_match(&a, &b));
        a.has_sha256 = false;
        b.has_sha256 = true;
        assert_false(hashes_match(&a, &b));
}

static void a_stream_has_the_hash_of_its_bytes(void **state)
{
        CLEANUP(hasher_free) Hasher *h = hasher_new();
        char hex[2 * SHA256_SIZE + 1];
        Hashes got;

        (void) state;
        hasher_update(h, slice_str("a"));
        hasher_update(h, SLICE_NONE);
        hasher_update(h, slice_str("bc"));
        hasher_finish(h, &got);
        hex_encode(slice(got.sha256, SHA256_SIZE), hex);
        assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_signature_verifies_and_no_spoilt_one_does),
                cmocka_unit_test(a_signature_of_one_type_never_verifies_under_another),
                cmocka_unit_test(an_ecdsa_signature_in_another_encoding_is_refused),
                cmocka_unit_test(weak_and_wrong_keys_are_refused),
                cmocka_unit_test(keys_are_the_same_by_material),
                cmocka_unit_test(names_of_types_and_methods_are_those_of_the_field),
                cmocka_unit_test(every_shared_hash_must_agree_and_one_must_be_shared),
                cmocka_unit_test(a_stream_has_the_hash_of_its_bytes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
