/* SPDX-License-Identifier: Apache-2.0 */
/* What an ECU's own key signs, and how it is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/codec.h"
#include "crypto/digest.h"
#include "crypto/signer.h"

#ifdef ONLY_ED25519_SIGNS
#define TYPES 1 /* Ed25519 is the first */
#else
#define TYPES _KEY_TYPE_MAX
#endif

#define MESSAGE slice_str("a report that an ECU signs")

static Signer *make(KeyType type)
{
        cleanup_buffer Buffer pem = { 0 };
        Signer *signer = NULL;
        Error error = { 0 };

        if (signer_generate_pem(type, &pem, &error) < 0 || signer_new_pem(buffer_slice(&pem), &signer, &error) < 0)
                fail_msg("%s", error.message);
        return signer;
}

static void what_a_signer_signs_verifies_with_its_public_text(void **state)
{
        for (unsigned t = 0; t < TYPES; t++) {
                CLEANUP(signer_free) Signer *signer = make((KeyType) t);
                CLEANUP(public_key_free) PublicKey *key = NULL;
                cleanup_buffer Buffer signature = { 0 };
                Error error = { 0 };

                assert_int_equal(signer_key_type(signer), t);
                assert_int_equal(public_key_new((KeyType) t, signer_public_text(signer), &key, &error), 0);
                assert_int_equal(signer_sign(signer, MESSAGE, &signature, &error), 0);
                assert_true(public_key_verify(key, MESSAGE, buffer_slice(&signature)));
                assert_false(public_key_verify(key, slice_str("another"), buffer_slice(&signature)));
                assert_true(public_key_verify_method(key, signer_method(signer), MESSAGE, buffer_slice(&signature)));
        }
}

static void a_signature_is_appended(void **state)
{
        CLEANUP(signer_free) Signer *signer = make(KEY_ED25519);
        cleanup_buffer Buffer out = { 0 };
        Error error = { 0 };

        buffer_put_str(&out, "before");
        assert_int_equal(signer_sign(signer, MESSAGE, &out, &error), 0);
        assert_int_equal(out.size, 6 + 64);
        assert_memory_equal(out.data, "before", 6);
}

static void public_texts_are_as_metadata_carries_them(void **state)
{
        for (unsigned t = 0; t < TYPES; t++) {
                CLEANUP(signer_free) Signer *signer = make((KeyType) t);
                const char *text = signer_public_text(signer);

                if (t == KEY_ED25519) {
                        assert_int_equal(strlen(text), 64);
                        assert_int_equal(strspn(text, "0123456789abcdef"), 64);
                        continue;
                }
                assert_ptr_equal(strstr(text, "-----BEGIN PUBLIC KEY-----\n"), text);
                assert_string_equal(strrchr(text, '\n'), "\n-----END PUBLIC KEY-----");
        }
}

static void a_key_id_is_the_digest_of_the_der_key(void **state)
{
        static const uint8_t prefix[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 }; /* RFC 8410 */
        CLEANUP(signer_free) Signer *signer = make(KEY_ED25519);
        uint8_t der[sizeof prefix + 32], hash[SHA256_SIZE];
        char expected[2 * SHA256_SIZE + 1];
        Error error = { 0 };

        memcpy(der, prefix, sizeof prefix);
        assert_int_equal(hex_decode(signer_public_text(signer), der + sizeof prefix, 32, &error), 0);
        digest_sha256(slice(der, sizeof der), hash);
        hex_encode(slice(hash, sizeof hash), expected);
        assert_string_equal(signer_key_id(signer), expected);
}

static void a_key_read_twice_is_the_same_key(void **state)
{
        for (unsigned t = 0; t < TYPES; t++) {
                cleanup_buffer Buffer pem = { 0 };
                CLEANUP(signer_free) Signer *a = NULL, *b = NULL, *other = make((KeyType) t);
                Error error = { 0 };

                assert_int_equal(signer_generate_pem((KeyType) t, &pem, &error), 0);
                assert_int_equal(signer_new_pem(buffer_slice(&pem), &a, &error), 0);
                assert_int_equal(signer_new_pem(buffer_slice(&pem), &b, &error), 0);
                assert_string_equal(signer_key_id(a), signer_key_id(b));
                assert_string_not_equal(signer_key_id(a), signer_key_id(other));
        }
}

/* A Secondary may come to another program, with another library, and keeps its key. */
static void openssl_reads_and_writes_the_same_files(void **state)
{
        cleanup_buffer Buffer pem = { 0 };
        CLEANUP(signer_free) Signer *ours = NULL, *theirs = NULL;
        BIO *bio = BIO_new(BIO_s_mem()), *from;
        EVP_PKEY *pkey;
        Error error = { 0 };
        char *data;
        long n;

        assert_int_equal(signer_generate_pem(KEY_ED25519, &pem, &error), 0);
        assert_int_equal(signer_new_pem(buffer_slice(&pem), &ours, &error), 0);
        from = BIO_new_mem_buf(pem.data, (int) pem.size);
        pkey = PEM_read_bio_PrivateKey(from, NULL, NULL, NULL);
        assert_non_null(pkey);
        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
        n = BIO_get_mem_data(bio, &data);
        assert_true(slice_equal(slice(data, (size_t) n), buffer_slice(&pem)));
        assert_int_equal(signer_new_pem(slice(data, (size_t) n), &theirs, &error), 0);
        assert_string_equal(signer_key_id(ours), signer_key_id(theirs));
        EVP_PKEY_free(pkey);
        BIO_free(from);
        BIO_free(bio);
}

static void what_is_no_private_key_is_refused(void **state)
{
        static const char *const texts[] = {
                "", "x", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        };
        CLEANUP(signer_free) Signer *signer = make(TYPES - 1), *none = NULL;
        Error error = { 0 };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                assert_int_equal(signer_new_pem(slice_str(texts[i]), &none, &error), -1);
                assert_int_equal(error.code, ERR_KEY);
                error_clear(&error);
        }
        assert_int_equal(signer_new_pem(SLICE_NONE, &none, &error), -1);
        error_clear(&error);
        assert_int_equal(signer_new_pem(slice_str(signer_public_text(signer)), &none, &error), -1);
        assert_int_equal(error.code, ERR_KEY);
        assert_null(none);
}

/* The same key with much behind it is refused unread. */
static void an_oversized_key_file_is_refused(void **state)
{
        cleanup_buffer Buffer pem = { 0 };
        CLEANUP(signer_free) Signer *good = NULL, *none = NULL;
        Error error = { 0 };

        assert_int_equal(signer_generate_pem(KEY_ED25519, &pem, &error), 0);
        while (pem.size < KEY_TEXT_MAX)
                buffer_put_str(&pem, "\n");
        assert_int_equal(signer_new_pem(buffer_slice(&pem), &good, &error), 0);
        buffer_put_str(&pem, "\n");
        assert_int_equal(signer_new_pem(buffer_slice(&pem), &none, &error), -1);
        assert_int_equal(error.code, ERR_KEY);
}

static void a_key_of_no_known_type_is_not_made(void **state)
{
        cleanup_buffer Buffer pem = { 0 };
        Error error = { 0 };

        assert_int_equal(signer_generate_pem(_KEY_TYPE_MAX, &pem, &error), -1);
        assert_int_equal(error.code, ERR_KEY);
        assert_int_equal(pem.size, 0);
}

/* Writes pkey (taken over) as a signer would read it, encrypted if there is a passphrase. */
static void refused(EVP_PKEY *pkey, const char *passphrase, ErrorCode code)
{
        CLEANUP(signer_free) Signer *none = NULL;
        BIO *bio = BIO_new(BIO_s_mem());
        Error error = { 0 };
        char *data;
        long n;

        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
                                                       passphrase ? (int) strlen(passphrase) : 0, NULL, NULL), 1);
        n = BIO_get_mem_data(bio, &data);
        assert_int_equal(signer_new_pem(slice(data, (size_t) n), &none, &error), -1);
        assert_int_equal(error.code, code);
        BIO_free(bio);
        EVP_PKEY_free(pkey);
}

static void a_weak_or_foreign_key_signs_nothing(void **state)
{
        refused(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 1024), NULL, ERR_UNSUPPORTED);
        refused(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521"), NULL, ERR_UNSUPPORTED);
        refused(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), NULL, ERR_UNSUPPORTED);
        refused(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), NULL, ERR_UNSUPPORTED);
}

#ifdef ONLY_ED25519_SIGNS
static void a_key_that_another_program_can_sign_with_is_unsupported(void **state)
{
        for (unsigned t = TYPES; t < _KEY_TYPE_MAX; t++) {
                cleanup_buffer Buffer pem = { 0 };
                Error error = { 0 };

                assert_int_equal(signer_generate_pem((KeyType) t, &pem, &error), -1);
                assert_int_equal(error.code, ERR_UNSUPPORTED);
                assert_int_equal(pem.size, 0);
        }
        refused(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 2048), NULL, ERR_UNSUPPORTED);
        refused(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), NULL, ERR_UNSUPPORTED);
}
#endif

/* Were anybody asked for the passphrase, this test would stand still. */
static void an_encrypted_key_is_refused_without_a_question(void **state)
{
        refused(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "secret", ERR_KEY);
}

/* ---- a driver of somebody else ---- */

typedef struct Hardware {
        int signed_, freed;
        bool broken;
} Hardware;

static int hardware_sign(void *cookie, Slice message, Buffer *ret, Error *error)
{
        Hardware *h = cookie;

        if (h->broken)
                return error_set(error, ERR_KEY, "the token is gone");
        h->signed_++;
        return buffer_append(ret, slice_str("signature"), error);
}

static void hardware_free(void *cookie)
{
        ((Hardware *) cookie)->freed++;
}

static void a_key_in_hardware_signs_through_its_driver(void **state)
{
        static const SignerDriver driver = { hardware_sign, hardware_free };
        KeyType type = TYPES > 1 ? KEY_ECDSA_P256 : KEY_ED25519;
        CLEANUP(signer_free) Signer *soft = make(type);
        Hardware hardware = { 0 };
        Signer *signer = signer_new(&driver, &hardware, type, signer_public_text(soft));
        cleanup_buffer Buffer out = { 0 };
        Error error = { 0 };

        assert_string_equal(signer_key_id(signer), signer_key_id(soft)); /* the same key, wherever it is kept */
        assert_string_equal(signer_method(signer), TYPES > 1 ? "ecdsa-sha2-nistp256" : "ed25519");
        assert_int_equal(signer_sign(signer, MESSAGE, &out, &error), 0);
        assert_string_equal(buffer_str(&out), "signature");
        hardware.broken = true;
        assert_int_equal(signer_sign(signer, MESSAGE, &out, &error), -1);
        assert_string_equal(error.message, "the token is gone");
        assert_null(signer_free(signer));
        assert_int_equal(hardware.signed_, 1);
        assert_int_equal(hardware.freed, 1);
        assert_null(signer_free(NULL));
}

/* A driver may have nothing to free and a text that is no key here: its id still is its own. */
static void a_driver_with_a_text_of_its_own_has_an_id_of_its_own(void **state)
{
        static const SignerDriver driver = { hardware_sign, NULL };
        Hardware hardware = { 0 };

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                CLEANUP(signer_free) Signer *signer = signer_new(&driver, &hardware, (KeyType) t, "slot 7");
                char expected[2 * SHA256_SIZE + 1];
                uint8_t hash[SHA256_SIZE];

                digest_sha256(slice_str("slot 7"), hash);
                hex_encode(slice(hash, sizeof hash), expected);
                assert_string_equal(signer_key_id(signer), expected);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_a_signer_signs_verifies_with_its_public_text),
                cmocka_unit_test(a_signature_is_appended),
                cmocka_unit_test(public_texts_are_as_metadata_carries_them),
                cmocka_unit_test(a_key_id_is_the_digest_of_the_der_key),
                cmocka_unit_test(a_key_read_twice_is_the_same_key),
                cmocka_unit_test(openssl_reads_and_writes_the_same_files),
#ifdef ONLY_ED25519_SIGNS
                cmocka_unit_test(a_key_that_another_program_can_sign_with_is_unsupported),
#endif
                cmocka_unit_test(what_is_no_private_key_is_refused),
                cmocka_unit_test(an_oversized_key_file_is_refused),
                cmocka_unit_test(a_key_of_no_known_type_is_not_made),
                cmocka_unit_test(a_weak_or_foreign_key_signs_nothing),
                cmocka_unit_test(an_encrypted_key_is_refused_without_a_question),
                cmocka_unit_test(a_key_in_hardware_signs_through_its_driver),
                cmocka_unit_test(a_driver_with_a_text_of_its_own_has_an_id_of_its_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
