/* SPDX-License-Identifier: Apache-2.0 */
/* When a signed document is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec.h"
#include "crypto/signer.h"
#include "metadata/envelope.h"

#define BODY "{ \"b\" : \"\xc3\xa4\\n\",\t\"a\": 1.50 }" /* differs from all of its canonical forms */

/* One signer of each type and a stranger, with the keyset that trusts all but the stranger. */
typedef struct World {
        Signer *signers[_KEY_TYPE_MAX], *stranger;
        PublicKey *keys[_KEY_TYPE_MAX];
        KeysetEntry entries[_KEY_TYPE_MAX];
        Buffer document; /* grows by one signature at a time, then is closed */
        size_t n;
} World;

static Signer *make(KeyType type)
{
        cleanup_buffer Buffer pem = { 0 };
        Signer *signer = NULL;
        Error error = { 0 };

        if (signer_generate_pem(type, &pem, &error) < 0 || signer_new_pem(buffer_slice(&pem), &signer, &error) < 0)
                fail_msg("%s", error.message);
        return signer;
}

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);
        Error error = { 0 };

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                w->signers[t] = make((KeyType) t);
                assert_int_equal(public_key_new((KeyType) t, signer_public_text(w->signers[t]), &w->keys[t], &error), 0);
                w->entries[t] = (KeysetEntry) { signer_key_id(w->signers[t]), w->keys[t] };
        }
        w->stranger = make(KEY_ED25519);
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                signer_free(w->signers[t]);
                public_key_free(w->keys[t]);
        }
        signer_free(w->stranger);
        buffer_done(&w->document);
        free(w);
        return 0;
}

static void open_document(World *w)
{
        buffer_done(&w->document);
        buffer_put_str(&w->document, "{\"signatures\":[");
        w->n = 0;
}

/* A signature as text, hex or base64. */
static char *sign_text(const Signer *signer, const char *message, bool hex)
{
        cleanup_buffer Buffer raw = { 0 }, text = { 0 };
        Error error = { 0 };
        char *ret;

        assert_int_equal(signer_sign(signer, slice_str(message), &raw, &error), 0);
        if (!hex) {
                base64_encode(buffer_slice(&raw), &text);
                return xstrdup(buffer_str(&text));
        }
        ret = xcalloc(1, 2 * raw.size + 1);
        hex_encode(buffer_slice(&raw), ret);
        return ret;
}

/* One more entry; method may be NULL. */
static void put(World *w, const char *key_id, const char *method, const char *text)
{
        buffer_printf(&w->document, "%s{\"keyid\":\"%s\",", w->n++ ? "," : "", key_id);
        if (method)
                buffer_printf(&w->document, "\"method\":\"%s\",", method);
        buffer_printf(&w->document, "\"sig\":\"%s\"}", text);
}

static void put_good(World *w, KeyType type)
{
        cleanup_free char *text = sign_text(w->signers[type], BODY, false);

        put(w, signer_key_id(w->signers[type]), signer_method(w->signers[type]), text);
}

static Envelope *close_document(World *w, const char *body)
{
        Envelope *e = NULL;
        Error error = { 0 };

        buffer_printf(&w->document, "],\"signed\":%s}", body);
        if (envelope_parse(buffer_slice(&w->document), NULL, &e, &error) < 0)
                fail_msg("%s: %s", buffer_str(&w->document), error.message);
        return e;
}

static void expect(World *w, const char *body, const Keyset *keyset, bool good)
{
        CLEANUP(envelope_free) Envelope *e = close_document(w, body);
        Error error = { 0 };
        int r = envelope_verify(e, keyset, "this", &error);

        if (r != (good ? 0 : -1))
                fail_msg("%s: %s", buffer_str(&w->document), good ? error.message : "accepted");
        if (good)
                return;
        assert_int_equal(error.code, ERR_BAD_SIGNATURE);
        assert_ptr_equal(strstr(error.message, "this: "), error.message);
}

static Keyset all(const World *w, int64_t threshold)
{
        return (Keyset) { w->entries, _KEY_TYPE_MAX, threshold };
}

/* ---- form ---- */

static void a_document_keeps_the_bytes_it_came_in(void **state)
{
        World *w = *state;
        CLEANUP(envelope_free) Envelope *e = NULL;

        open_document(w);
        put_good(w, KEY_ED25519);
        e = close_document(w, BODY);
        assert_true(slice_equal(e->bytes, buffer_slice(&w->document)));
        assert_true(slice_equal(e->signed_span, slice_str(BODY)));
        assert_true(e->bytes.data != w->document.data);
        assert_int_equal(e->n_signatures, 1);
        assert_int_equal(e->signatures[0].bytes.size, 64);
}

/* Uptane 5.2.1 (b, c): what is signed, the signatures, and whose they are */
static void what_is_no_signed_document_is_refused(void **state)
{
        static const struct {
                const char *text, *message;
        } table[] = {
                { "", "empty" },
                { "[]", "no object" },
                { "{}", "document.signed is missing" },
                { "{\"signed\":{}}", "document.signatures is missing" },
                { "{\"signatures\":[]}", "document.signed is missing" },
                { "{\"signatures\":[],\"signed\":[]}", "document.signed is no object" },
                { "{\"signatures\":[],\"signed\":null}", "document.signed is no object" },
                { "{\"signatures\":{},\"signed\":{}}", "document.signatures is no array" },
                { "{\"signatures\":[1],\"signed\":{}}", "a signature is no object" },
                { "{\"signatures\":[{}],\"signed\":{}}", "signatures.keyid is missing" },
                { "{\"signatures\":[{\"keyid\":\"a\"}],\"signed\":{}}", "signatures.sig is missing" },
                { "{\"signatures\":[{\"keyid\":1,\"sig\":\"\"}],\"signed\":{}}", "signatures.keyid is no string" },
                { "{\"signatures\":[{\"keyid\":\"a\",\"sig\":[]}],\"signed\":{}}", "signatures.sig is no string" },
                { "{\"signatures\":[{\"keyid\":\"a\",\"method\":1,\"sig\":\"\"}],\"signed\":{}}", "signatures.method is no string" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Envelope *e = NULL;
                Error error = { 0 };

                assert_int_equal(envelope_parse(slice_str(table[i].text), NULL, &e, &error), -1);
                assert_int_equal(error.code, ERR_MALFORMED);
                assert_non_null(strstr(error.message, table[i].message));
                assert_null(e);
        }
}

static void signatures_are_bounded_in_number_and_size(void **state)
{
        World *w = *state;

        for (unsigned extra = 0; extra < 2; extra++) {
                Envelope *e = NULL;
                Error error = { 0 };

                open_document(w);
                for (unsigned i = 0; i < ENVELOPE_SIGNATURES_MAX + extra; i++) {
                        char id[16];

                        (void) snprintf(id, sizeof id, "%u", i);
                        put(w, id, NULL, "");
                }
                buffer_put_str(&w->document, "],\"signed\":{}}");
                assert_int_equal(envelope_parse(buffer_slice(&w->document), NULL, &e, &error), extra ? -1 : 0);
                envelope_free(e);
        }
        for (size_t n = 4096; n <= 4100; n += 4) {
                cleanup_free char *text = xcalloc(1, n + 1);
                Envelope *e = NULL;
                Error error = { 0 };

                memset(text, 'A', n);
                open_document(w);
                put(w, "a", NULL, text);
                buffer_put_str(&w->document, "],\"signed\":{}}");
                assert_int_equal(envelope_parse(buffer_slice(&w->document), NULL, &e, &error), n > 4096 ? -1 : 0);
                envelope_free(e);
        }
}

/* T-5 */
static void a_key_that_signs_twice_is_refused(void **state)
{
        World *w = *state;
        Envelope *e = NULL;
        Error error = { 0 };

        open_document(w);
        put_good(w, KEY_ED25519);
        put_good(w, KEY_ED25519);
        buffer_put_str(&w->document, "],\"signed\":" BODY "}");
        assert_int_equal(envelope_parse(buffer_slice(&w->document), NULL, &e, &error), -1);
        assert_int_equal(error.code, ERR_BAD_SIGNATURE);
        assert_non_null(strstr(error.message, "twice"));
}

/* ---- signatures ---- */

static void one_good_signature_of_any_type_reaches_a_threshold_of_one(void **state)
{
        World *w = *state;
        Keyset keyset = all(w, 1);

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                open_document(w);
                put_good(w, (KeyType) t);
                expect(w, BODY, &keyset, true);
        }
}

static void no_signature_is_not_enough(void **state)
{
        World *w = *state;
        Keyset keyset = all(w, 1);

        open_document(w);
        expect(w, BODY, &keyset, false);
}

/* Uptane 5.4.4.3 (2.3c): a threshold of keys */
static void a_threshold_counts_distinct_good_signatures(void **state)
{
        World *w = *state;

        for (unsigned signers = 0; signers <= _KEY_TYPE_MAX; signers++)
                for (int64_t threshold = 1; threshold <= _KEY_TYPE_MAX; threshold++) {
                        Keyset keyset = all(w, threshold);

                        open_document(w);
                        for (unsigned t = 0; t < signers; t++)
                                put_good(w, (KeyType) t);
                        expect(w, BODY, &keyset, (int64_t) signers >= threshold);
                }
}

/* T-5: Uptane 5.4.4.3 (2.3c): the same key under another name is no other key */
static void one_key_under_two_ids_counts_once(void **state)
{
        World *w = *state;
        const KeysetEntry entries[] = { { "one", w->keys[KEY_ED25519] }, { "two", w->keys[KEY_ED25519] } };
        cleanup_free char *text = sign_text(w->signers[KEY_ED25519], BODY, false);
        Keyset one = { entries, 2, 1 }, two = { entries, 2, 2 };

        open_document(w);
        put(w, "one", NULL, text);
        put(w, "two", NULL, text);
        expect(w, BODY, &two, false);
        open_document(w);
        put(w, "one", NULL, text);
        put(w, "two", NULL, text);
        expect(w, BODY, &one, true);
}

/* T-5: One key that signs many times with different signatures, too. */
static void a_randomised_signature_does_not_make_a_second_key(void **state)
{
        World *w = *state;
        const KeysetEntry entries[] = { { "one", w->keys[KEY_RSA] }, { "two", w->keys[KEY_RSA] } };
        cleanup_free char *a = sign_text(w->signers[KEY_RSA], BODY, false), *b = sign_text(w->signers[KEY_RSA], BODY, false);
        Keyset two = { entries, 2, 2 };

        assert_string_not_equal(a, b);
        open_document(w);
        put(w, "one", NULL, a);
        put(w, "two", NULL, b);
        expect(w, BODY, &two, false);
}

static void a_stranger_signs_in_vain(void **state)
{
        World *w = *state;
        cleanup_free char *text = sign_text(w->stranger, BODY, false);
        Keyset keyset = all(w, 1);

        open_document(w);
        put(w, signer_key_id(w->stranger), NULL, text);
        expect(w, BODY, &keyset, false);
        /* under a trusted name */
        open_document(w);
        put(w, signer_key_id(w->signers[KEY_ED25519]), NULL, text);
        expect(w, BODY, &keyset, false);
        /* and does no harm beside a good one */
        open_document(w);
        put(w, signer_key_id(w->stranger), NULL, text);
        put_good(w, KEY_RSA);
        expect(w, BODY, &keyset, true);
}

/* T-34 */
static void a_key_of_an_unknown_type_never_signs(void **state)
{
        World *w = *state;
        const KeysetEntry entries[] = { { "future", NULL }, w->entries[KEY_ED25519] };
        Keyset one = { entries, 2, 1 }, two = { entries, 2, 2 };

        open_document(w);
        put(w, "future", "sphincs", "AAAA");
        expect(w, BODY, &one, false);
        open_document(w);
        put(w, "future", "sphincs", "AAAA");
        put_good(w, KEY_ED25519);
        expect(w, BODY, &one, true);
        open_document(w);
        put(w, "future", "sphincs", "AAAA");
        put_good(w, KEY_ED25519);
        expect(w, BODY, &two, false);
}

static void a_changed_body_is_not_what_was_signed(void **state)
{
        static const char *const bodies[] = { "{}", "{ \"b\" : \"\xc3\xa4\\n\",\t\"a\": 1.51 }",
                "{ \"b\" : \"\xc3\xa4\\n\",\t\"a\": 1.50, \"c\": 1 }",
                                              "{ \"b\" : \"\xc3\xa4 \\n\",\t\"a\": 1.50 }", "{\"B\":\"\xc3\xa4\\n\",\"a\":1.50}" };
        World *w = *state;
        Keyset keyset = all(w, 1);

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                open_document(w);
                for (unsigned t = 0; t < _KEY_TYPE_MAX; t++)
                        put_good(w, (KeyType) t);
                expect(w, bodies[i], &keyset, false);
        }
}

static void a_signature_text_that_decodes_as_nothing_is_no_signature(void **state)
{
        static const char *const texts[] = { "", "=", "A", "AAA", "AAAA", "!!!!", "zz", "00", "AAAA\\n", "\xc3\xa4", "0123456789abcdef" };
        World *w = *state;
        Keyset keyset = all(w, 1);

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++)
                for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                        open_document(w);
                        put(w, signer_key_id(w->signers[t]), signer_method(w->signers[t]), texts[i]);
                        expect(w, BODY, &keyset, false);
                }
}

static void a_spoilt_signature_text_is_no_signature(void **state)
{
        World *w = *state;
        Keyset keyset = all(w, 1);

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                cleanup_free char *text = sign_text(w->signers[t], BODY, false);
                size_t n = strlen(text);

                for (size_t i = 0; i < n; i += 5) {
                        char c = text[i];

                        text[i] = c == 'A' ? 'B' : 'A';
                        open_document(w);
                        put(w, signer_key_id(w->signers[t]), NULL, text);
                        expect(w, BODY, &keyset, false);
                        text[i] = c;
                }
        }
}

static void signatures_may_be_hex(void **state)
{
        World *w = *state;
        Keyset keyset = all(w, _KEY_TYPE_MAX);

        open_document(w);
        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                cleanup_free char *text = sign_text(w->signers[t], BODY, true);

                put(w, signer_key_id(w->signers[t]), NULL, text);
        }
        expect(w, BODY, &keyset, true);
}

static void a_method_must_be_one_of_the_key(void **state)
{
        static const struct {
                const char *method;
                KeyType type;
                bool good;
        } table[] = {
                { NULL, KEY_ED25519, true },                    { "ed25519", KEY_ED25519, true },
                { "ED25519", KEY_ED25519, true },               { "rsassa-pss", KEY_RSA, true },
                { "rsassa-pss-sha256", KEY_RSA, true },         { "rsassa-pkcs1v15-sha256", KEY_RSA, false },
                { "ed25519", KEY_RSA, false },                  { "rsassa-pss-sha256", KEY_ED25519, false },
                { "ecdsa-sha2-nistp256", KEY_ECDSA_P256, true }, { "ecdsa", KEY_ECDSA_P256, true },
                { "ed25519", KEY_ECDSA_P256, false },           { "", KEY_ED25519, false },
                { "none", KEY_ED25519, false },
        };
        World *w = *state;
        Keyset keyset = all(w, 1);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *text = sign_text(w->signers[table[i].type], BODY, false);

                open_document(w);
                put(w, signer_key_id(w->signers[table[i].type]), table[i].method, text);
                expect(w, BODY, &keyset, table[i].good);
        }
}

/* T-34: Beside enough good signatures it stops nobody. */
static void an_unknown_method_is_passed_over(void **state)
{
        World *w = *state;
        Keyset keyset = all(w, 1);

        open_document(w);
        put(w, signer_key_id(w->signers[KEY_RSA]), "dilithium3", "AAAA");
        put(w, "nobody", "falcon-512", "AAAA");
        put_good(w, KEY_ED25519);
        expect(w, BODY, &keyset, true);
}

/* The servers sign canonical text; what reaches us may have been written anew on its way. */
static void a_signature_over_a_canonical_form_counts(void **state)
{
        static const char *const forms[] = { "{\"a\":1.5,\"b\":\"\xc3\xa4\\n\"}", "{\"a\":1.5,\"b\":\"\\u00e4\\n\"}",
                "{\"a\":1.5,\"b\":\"\xc3\xa4\n\"}" };
        World *w = *state;
        Keyset keyset = all(w, 1);

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                cleanup_free char *text = sign_text(w->signers[KEY_ED25519], forms[i], false);

                open_document(w);
                put(w, signer_key_id(w->signers[KEY_ED25519]), "ed25519", text);
                expect(w, BODY, &keyset, true);
        }
}

static void each_signature_may_be_over_a_form_of_its_own(void **state)
{
        World *w = *state;
        cleanup_free char *raw = sign_text(w->signers[KEY_ED25519], BODY, false), *olpc = sign_text(w->signers[KEY_RSA],
                "{\"a\":1.5,\"b\":\"\xc3\xa4\n\"}", true);
        Keyset keyset = all(w, 2);

        open_document(w);
        put(w, signer_key_id(w->signers[KEY_ED25519]), NULL, raw);
        put(w, signer_key_id(w->signers[KEY_RSA]), NULL, olpc);
        expect(w, BODY, &keyset, true);
}

/* ---- signing ---- */

static void what_is_signed_here_verifies_here_and_is_canonical(void **state)
{
        World *w = *state;

        for (unsigned t = 0; t < _KEY_TYPE_MAX; t++) {
                CLEANUP(envelope_free) Envelope *e = NULL;
                cleanup_buffer Buffer out = { 0 }, again = { 0 };
                Keyset keyset = { &w->entries[t], 1, 1 };
                Error error = { 0 };

                assert_int_equal(envelope_sign(json_pack("{ss si}", "z", "\xc3\xa4", "a", 1), w->signers[t], &out, &error), 0);
                assert_int_equal(envelope_parse(buffer_slice(&out), NULL, &e, &error), 0);
                assert_int_equal(envelope_verify(e, &keyset, "this", &error), 0);
                assert_string_equal(e->signatures[0].key_id, signer_key_id(w->signers[t]));
                assert_string_equal(e->signatures[0].method, signer_method(w->signers[t]));
                assert_true(slice_equal(e->signed_span, slice_str("{\"a\":1,\"z\":\"\xc3\xa4\"}")));
                json_canonical(e->json, &again);
                assert_true(slice_equal(buffer_slice(&again), buffer_slice(&out)));
        }
}

static int broken_sign(void *cookie, Slice message, Buffer *ret, Error *error)
{
        return error_set(error, ERR_KEY, "the token is gone");
}

static void a_signer_that_fails_leaves_nothing(void **state)
{
        static const SignerDriver driver = { broken_sign, NULL };
        CLEANUP(signer_free) Signer *signer = signer_new(&driver, NULL, KEY_ED25519, "no key");
        cleanup_buffer Buffer out = { 0 };
        Error error = { 0 };

        assert_int_equal(envelope_sign(json_object(), signer, &out, &error), -1);
        assert_int_equal(error.code, ERR_KEY);
        assert_int_equal(out.size, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_document_keeps_the_bytes_it_came_in),
                cmocka_unit_test(what_is_no_signed_document_is_refused),
                cmocka_unit_test(signatures_are_bounded_in_number_and_size),
                cmocka_unit_test(a_key_that_signs_twice_is_refused),
                cmocka_unit_test(one_good_signature_of_any_type_reaches_a_threshold_of_one),
                cmocka_unit_test(no_signature_is_not_enough),
                cmocka_unit_test(a_threshold_counts_distinct_good_signatures),
                cmocka_unit_test(one_key_under_two_ids_counts_once),
                cmocka_unit_test(a_randomised_signature_does_not_make_a_second_key),
                cmocka_unit_test(a_stranger_signs_in_vain),
                cmocka_unit_test(a_key_of_an_unknown_type_never_signs),
                cmocka_unit_test(a_changed_body_is_not_what_was_signed),
                cmocka_unit_test(a_signature_text_that_decodes_as_nothing_is_no_signature),
                cmocka_unit_test(a_spoilt_signature_text_is_no_signature),
                cmocka_unit_test(signatures_may_be_hex),
                cmocka_unit_test(a_method_must_be_one_of_the_key),
                cmocka_unit_test(an_unknown_method_is_passed_over),
                cmocka_unit_test(a_signature_over_a_canonical_form_counts),
                cmocka_unit_test(each_signature_may_be_over_a_form_of_its_own),
                cmocka_unit_test(what_is_signed_here_verifies_here_and_is_canonical),
                cmocka_unit_test(a_signer_that_fails_leaves_nothing),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
