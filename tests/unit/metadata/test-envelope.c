/* SPDX-License-Identifier: Apache-2.0 */
/* Who has signed what: thresholds, distinct keys, spellings, and every form of "signed". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec.h"
#include "crypto/signer.h"
#include "metadata/envelope.h"

#define N 3

typedef struct World {
        Signer *signers[N];
        PublicKey *keys[N];
} World;

static int setup(void **state)
{
        static const KeyType types[N] = { KEY_ED25519, KEY_RSA, KEY_ECDSA_P256 };
        World *w = xcalloc(1, sizeof *w);

        for (int i = 0; i < N; i++) {
                cleanup_buffer Buffer pem = { 0 };
                Error error = { 0 };

                if (signer_generate_pem(types[i], &pem, &error) < 0 || signer_new_pem(buffer_slice(&pem), &w->signers[i], &error) < 0 ||
                    public_key_new(types[i], signer_public_text(w->signers[i]), &w->keys[i], &error) < 0)
                        return -1;
        }
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        World *w = *state;

        for (int i = 0; i < N; i++) {
                signer_free(w->signers[i]);
                public_key_free(w->keys[i]);
        }
        free(w);
        return 0;
}

/* One entry of "signatures": over message, in base64 or hex, under this id and method. */
static char *signature(const Signer *s, const char *message, bool hex, const char *id, const char *method)
{
        cleanup_buffer Buffer raw = { 0 }, text = { 0 };
        cleanup_free char *digits = NULL, *member = NULL;

        assert_int_equal(signer_sign(s, slice_str(message), &raw, &(Error) { 0 }), 0);
        base64_encode(buffer_slice(&raw), &text);
        digits = xcalloc(2 * raw.size + 1, 1);
        hex_encode(buffer_slice(&raw), digits);
        member = method ? xasprintf(",\"method\":\"%s\"", method) : xstrdup("");
        return xasprintf("{\"keyid\":\"%s\"%s,\"sig\":\"%s\"}", id ? id : signer_key_id(s), member, hex ? digits : buffer_str(&text));
}

/* Whether enough of keys have signed: document is "signed" as served. */
static ErrorCode verify(const char *document, const char *signatures, const KeysetEntry *entries, size_t n, int64_t threshold)
{
        cleanup_free char *text = xasprintf("{\"signatures\":[%s],\"signed\":%s}", signatures, document);
        const Keyset keyset = { entries, n, threshold };
        CLEANUP(envelope_free) Envelope *e = NULL;
        Error error = { 0 };

        if (envelope_parse(slice_str(text), &e, &error) < 0 || envelope_verify(e, &keyset, "it", &error) < 0)
                return error.code;
        return ERR_NONE;
}

#define BODY "{\"a\":1,\"b\":\"\xc3\xa4\"}"

static void all_entries(const World *w, KeysetEntry ret[N])
{
        for (int i = 0; i < N; i++)
                ret[i] = (KeysetEntry) { signer_key_id(w->signers[i]), w->keys[i] };
}

static void a_threshold_needs_that_many_distinct_keys(void **state)
{
        World *w = *state;
        cleanup_free char *a = signature(w->signers[0], BODY, false, NULL, "ed25519");
        cleanup_free char *b = signature(w->signers[1], BODY, false, NULL, "rsassa-pss-sha256");
        cleanup_free char *c = signature(w->signers[2], BODY, false, NULL, NULL);
        cleanup_free char *two = xasprintf("%s,%s", a, b), *three = xasprintf("%s,%s", two, c);
        KeysetEntry entries[N];

        all_entries(w, entries);
        assert_int_equal(verify(BODY, "", entries, N, 1), ERR_BAD_SIGNATURE);
        assert_int_equal(verify(BODY, a, entries, N, 1), ERR_NONE);
        assert_int_equal(verify(BODY, a, entries, N, 2), ERR_BAD_SIGNATURE);
        assert_int_equal(verify(BODY, two, entries, N, 2), ERR_NONE);
        assert_int_equal(verify(BODY, two, entries, N, 3), ERR_BAD_SIGNATURE);
        assert_int_equal(verify(BODY, three, entries, N, 3), ERR_NONE);
}

static void one_key_under_two_ids_counts_once(void **state)
{
        World *w = *state;
        cleanup_free char *a = signature(w->signers[0], BODY, false, "one", "ed25519"), *b = signature(w->signers[0], BODY, false, "two", "ed25519");
        cleanup_free char *both = xasprintf("%s,%s", a, b);
        const KeysetEntry entries[] = { { "one", w->keys[0] }, { "two", w->keys[0] } };

        assert_int_equal(verify(BODY, both, entries, 2, 1), ERR_NONE);
        assert_int_equal(verify(BODY, both, entries, 2, 2), ERR_BAD_SIGNATURE);
}

static void an_id_that_signs_twice_is_refused(void **state)
{
        World *w = *state;
        cleanup_free char *a = signature(w->signers[0], BODY, false, NULL, "ed25519"), *twice = xasprintf("%s,%s", a, a);
        KeysetEntry entries[N];

        all_entries(w, entries);
        assert_int_equal(verify(BODY, twice, entries, N, 1), ERR_BAD_SIGNATURE);
}

static void unknown_methods_and_keys_beside_good_ones_do_no_harm(void **state)
{
        World *w = *state;
        cleanup_free char *a = signature(w->signers[0], BODY, false, NULL, "ed25519"), *b = signature(w->signers[1], BODY, false, NULL, "sphincs");
        cleanup_free char *c = signature(w->signers[2], BODY, false, "stranger", NULL);
        cleanup_free char *all = xasprintf("%s,%s,%s,{\"keyid\":\"x\",\"method\":\"?\",\"sig\":\"not base64!\"}", b, c, a);
        KeysetEntry entries[N];

        all_entries(w, entries);
        assert_int_equal(verify(BODY, all, entries, N, 1), ERR_NONE);
        assert_int_equal(verify(BODY, all, entries, N, 2), ERR_BAD_SIGNATURE);
}

static void a_method_of_another_key_type_does_not_count(void **state)
{
        World *w = *state;
        cleanup_free char *a = signature(w->signers[0], BODY, false, NULL, "rsassa-pss-sha256");
        KeysetEntry entries[N];

        all_entries(w, entries);
        assert_int_equal(verify(BODY, a, entries, N, 1), ERR_BAD_SIGNATURE);
}

static void hex_signatures_verify_like_base64_ones(void **state)
{
        World *w = *state;
        KeysetEntry entries[N];

        all_entries(w, entries);
        for (int i = 0; i < N; i++) {
                cleanup_free char *s = signature(w->signers[i], BODY, true, NULL, NULL);

                assert_int_equal(verify(BODY, s, entries, N, 1), ERR_NONE);
        }
}

static void a_signature_over_any_canonical_form_verifies(void **state)
{
        static const char *const pretty = "{ \"b\" : \"\xc3\xa4\\n\",\n  \"a\" : 1 }";
        static const char *const forms[] = { "{\"a\":1,\"b\":\"\xc3\xa4\\n\"}", "{\"a\":1,\"b\":\"\\u00e4\\n\"}", "{\"a\":1,\"b\":\"\xc3\xa4\n\"}" };
        World *w = *state;
        KeysetEntry entries[N];

        all_entries(w, entries);
        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                cleanup_free char *s = signature(w->signers[0], forms[i], false, NULL, "ed25519");

                assert_int_equal(verify(pretty, s, entries, N, 1), ERR_NONE);
                assert_int_equal(verify("{\"a\":2,\"b\":\"\xc3\xa4\\n\"}", s, entries, N, 1), ERR_BAD_SIGNATURE);
        }
}

static void what_is_no_envelope_is_malformed(void **state)
{
        static const char *const bad[] = { "{}", "{\"signed\":{}}", "{\"signatures\":[]}", "{\"signatures\":{},\"signed\":{}}", "{\"signatures\":[],\"signed\":[]}",
                                           "{\"signatures\":[1],\"signed\":{}}", "{\"signatures\":[{}],\"signed\":{}}",
                                           "{\"signatures\":[{\"keyid\":1,\"sig\":\"\"}],\"signed\":{}}", "{\"signatures\":[{\"keyid\":\"a\",\"sig\":1}],\"signed\":{}}",
                                           "{\"signatures\":[{\"keyid\":\"a\",\"sig\":\"\",\"method\":1}],\"signed\":{}}" };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Error error = { 0 };
                Envelope *e;

                if (envelope_parse(slice_str(bad[i]), &e, &error) == 0)
                        fail_msg("%s was taken", bad[i]);
                assert_int_equal(error.code, ERR_MALFORMED);
        }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_threshold_needs_that_many_distinct_keys),
                TEST(one_key_under_two_ids_counts_once),
                TEST(an_id_that_signs_twice_is_refused),
                TEST(unknown_methods_and_keys_beside_good_ones_do_no_harm),
                TEST(a_method_of_another_key_type_does_not_count),
                TEST(hex_signatures_verify_like_base64_ones),
                TEST(a_signature_over_any_canonical_form_verifies),
                cmocka_unit_test(what_is_no_envelope_is_malformed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
