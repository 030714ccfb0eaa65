/* SPDX-License-Identifier: Apache-2.0 */
/* The digests are those of FIPS 180-4's examples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec.h"
#include "crypto/digest.h"

static const struct {
        const char *text, *sha256, *sha512;
} table[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
          "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
          "204a8fc6dda82f0a0ced7beb8e08a41657c16ef468b228a8279be331a703c33596fd15c13b1b07f9aa1d3bea57789ca031ad85c7a71dd70354ec631238ca3445" },
};

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
        char text[2 * SHA512_SIZE + 1];

        hex_encode(slice(bytes, size), text);
        assert_string_equal(text, expected);
}

static void known_texts_have_their_known_digests(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint8_t sha256[SHA256_SIZE];
                Hashes h;

                digest_sha256(slice_str(table[i].text), sha256);
                assert_hex(sha256, sizeof sha256, table[i].sha256);
                digest_hashes(slice_str(table[i].text), &h);
                assert_true(h.has_sha256 && h.has_sha512);
                assert_hex(h.sha256, sizeof h.sha256, table[i].sha256);
                assert_hex(h.sha512, sizeof h.sha512, table[i].sha512);
        }
}

static void nothing_is_an_empty_text(void **state)
{
        uint8_t sha256[SHA256_SIZE];

        digest_sha256(SLICE_NONE, sha256);
        assert_hex(sha256, sizeof sha256, table[0].sha256);
}

/* Uptane 3.2.1 (b) */
static void a_stream_has_the_digest_of_the_whole_however_it_is_cut(void **state)
{
        uint8_t bytes[1000];
        Hashes whole;

        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t) (i * 7);
        digest_hashes(slice(bytes, sizeof bytes), &whole);
        for (size_t step = 1; step <= sizeof bytes; step = step * 3 + 1) {
                CLEANUP(hasher_free) Hasher *hasher = hasher_new();
                Hashes got;

                for (size_t at = 0; at < sizeof bytes; at += step)
                        hasher_update(hasher, slice(bytes + at, sizeof bytes - at < step ? sizeof bytes - at : step));
                hasher_update(hasher, SLICE_NONE);
                hasher_finish(hasher, &got);
                assert_memory_equal(got.sha256, whole.sha256, SHA256_SIZE);
                assert_memory_equal(got.sha512, whole.sha512, SHA512_SIZE);
        }
        assert_null(hasher_free(NULL));
}

/* Uptane 5.4.2.4 (d), Uptane 5.4.4.2 (10.2.1b): all hashes that both sides know, and at least one */
static void hashes_match_if_all_shared_ones_do_and_one_is_shared(void **state)
{
        static const struct {
                bool a256, a512, b256, b512; /* which are listed */
                bool same256, same512, match;
        } rows[] = {
                { true, true, true, true, true, true, true },      { true, true, true, true, false, true, false },
                { true, true, true, true, true, false, false },    { true, false, true, true, true, false, true },
                { true, false, true, true, false, true, false },   { false, true, true, true, false, true, true },
                { false, true, true, true, true, false, false },   { true, false, false, true, true, true, false },
                { false, false, true, true, true, true, false },   { false, false, false, false, true, true, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Hashes a, b;

                digest_hashes(slice_str("abc"), &a);
                b = a;
                a.has_sha256 = rows[i].a256;
                a.has_sha512 = rows[i].a512;
                b.has_sha256 = rows[i].b256;
                b.has_sha512 = rows[i].b512;
                b.sha256[SHA256_SIZE - 1] ^= rows[i].same256 ? 0 : 1;
                b.sha512[SHA512_SIZE - 1] ^= rows[i].same512 ? 0 : 1;
                assert_int_equal(hashes_match(&a, &b), rows[i].match);
                assert_int_equal(hashes_match(&b, &a), rows[i].match);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(known_texts_have_their_known_digests),
                cmocka_unit_test(nothing_is_an_empty_text),
                cmocka_unit_test(a_stream_has_the_digest_of_the_whole_however_it_is_cut),
                cmocka_unit_test(hashes_match_if_all_shared_ones_do_and_one_is_shared),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
