/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of the IP Secondary protocol: one value, one encoding; everything else is refused. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/codec.h"
#include "metadata/der.h"
#include "metadata/role.h"

static const DerKind kinds[] = {
        DER_GET_INFO_REQ, DER_GET_INFO_RESP, DER_MANIFEST_REQ, DER_MANIFEST_RESP, DER_INSTALL_REQ, DER_UPLOAD_DATA_REQ,
        DER_UPLOAD_DATA_RESP, DER_DOWNLOAD_OSTREE_REQ, DER_DOWNLOAD_OSTREE_RESP, DER_PUT_META_REQ2, DER_PUT_META_RESP2,
        DER_INSTALL_RESP2, DER_VERSION_REQ, DER_VERSION_RESP, DER_ROOT_VERSION_REQ, DER_ROOT_VERSION_RESP, DER_PUT_ROOT_REQ,
        DER_PUT_ROOT_RESP,
};

/* A message of this kind with something in every field that any kind has. */
static DerMessage sample(DerKind kind)
{
        static DerFile image[] = { { "root", { NULL, 0 } }, { "targets", { NULL, 0 } }, { DER_DELEGATED "a supplier", { NULL, 0 } } };
        static DerFile director[] = { { "targets", { NULL, 0 } } };
        DerMessage m = {
                .kind = kind,
                .serial = "s\xc3\xa9rial-0001",
                .hardware_id = "hw",
                .number = 1,
                .data = slice_str("some bytes"),
                .image_files = image,
                .n_image_files = 3,
                .director_files = director,
                .n_director_files = 1,
                .result = DER_NEED_COMPLETION,
                .description = slice_str("reboot me"),
        };

        image[0].json = slice_str("{\"a\":1}");
        image[1].json = slice_str("");
        image[2].json = slice_str("[]");
        director[0].json = slice_str("{}");
        return m;
}

static int decode(Slice bytes, DerMessage *ret, Arena *arena, ErrorCode *code)
{
        Error error = { 0 };
        int r = der_decode(bytes, arena, ret, &error);

        if (code)
                *code = error.code;
        assert_int_equal(r < 0, error.code != ERR_NONE);
        return r;
}

/* Decodes hex; true if it is taken. What is refused must be named malformed or too large, and leave ret alone. */
static bool takes(const char *hex)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_free uint8_t *bytes = xcalloc(strlen(hex) / 2 + 1, 1);
        DerMessage m = { .kind = 99 };
        Error error = { 0 };
        ErrorCode code;

        assert_int_equal(hex_decode(hex, bytes, strlen(hex) / 2, &error), 0);
        if (decode(slice(bytes, strlen(hex) / 2), &m, arena, &code) == 0)
                return true;
        assert_true(code == ERR_MALFORMED || code == ERR_TOO_LARGE);
        assert_int_equal(m.kind, 99);
        return false;
}

static void assert_files_equal(const DerFile *a, size_t n_a, const DerFile *b, size_t n_b)
{
        assert_int_equal(n_a, n_b);
        for (size_t i = 0; i < n_a; i++) {
                assert_string_equal(a[i].role, b[i].role);
                assert_true(slice_equal(a[i].json, b[i].json));
        }
}

static void test_every_kind_survives_a_round_trip(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                CLEANUP(arena_free) Arena *arena = arena_new();
                cleanup_buffer Buffer bytes = { 0 }, again = { 0 };
                DerMessage in = sample(kinds[i]), out;

                der_encode(&in, &bytes);
                assert_int_equal(bytes.data[0], 0xa0 + kinds[i]);
                assert_int_equal(decode(buffer_slice(&bytes), &out, arena, NULL), 0);
                assert_int_equal(out.kind, in.kind);
                if (out.serial) {
                        assert_string_equal(out.serial, in.serial);
                        assert_string_equal(out.hardware_id, in.hardware_id);
                }
                if (out.data.size)
                        assert_true(slice_equal(out.data, in.data));
                if (kinds[i] == DER_PUT_META_REQ2) {
                        assert_files_equal(out.image_files, out.n_image_files, in.image_files, in.n_image_files);
                        assert_files_equal(out.director_files, out.n_director_files, in.director_files, in.n_director_files);
                }
                if (kinds[i] == DER_INSTALL_RESP2) {
                        assert_int_equal(out.result, DER_NEED_COMPLETION);
                        assert_true(slice_equal(out.description, in.description));
                }
                der_encode(&out, &again);
                assert_true(slice_equal(buffer_slice(&bytes), buffer_slice(&again)));
        }
}

static void test_integers_survive_at_their_limits(void **state)
{
        static const int64_t values[] = { 0, 1, 127, 128, 255, 256, 32767, 32768, INT64_MAX, -1, -128, -129, -32768, -32769, INT64_MIN };

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                CLEANUP(arena_free) Arena *arena = arena_new();
                cleanup_buffer Buffer bytes = { 0 };
                DerMessage in = { .kind = DER_ROOT_VERSION_RESP, .number = values[i] }, out;

                der_encode(&in, &bytes);
                assert_int_equal(decode(buffer_slice(&bytes), &out, arena, NULL), 0);
                assert_true(out.number == values[i]);
        }
}

static void test_every_result_survives_and_others_are_refused(void **state)
{
        static const int known[] = { -1, 0, 1, 3, 4, 5, 18, 19, 21, 22, 23 };

        for (int value = -128; value < 128; value++) {
                char hex[32];
                bool expected = false;

                for (size_t i = 0; i < ELEMENTSOF(known); i++)
                        expected |= known[i] == value;
                (void) snprintf(hex, sizeof hex, "b00730050a01%02x0400", (unsigned) value & 0xff);
                assert_int_equal(takes(hex), expected);
        }
}

static void test_lengths_around_each_form_survive(void **state)
{
        static const size_t sizes[] = { 0, 1, 117, 118, 121, 122, 127, 128, 255, 256, 1024, 65535, 65536, 70000 };

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                CLEANUP(arena_free) Arena *arena = arena_new();
                cleanup_free uint8_t *data = xcalloc(sizes[i] + 1, 1);
                cleanup_buffer Buffer bytes = { 0 };
                DerMessage in = { .kind = DER_UPLOAD_DATA_REQ, .data = slice(data, sizes[i]) }, out;
                Error error = { 0 };
                size_t whole;

                der_encode(&in, &bytes);
                assert_int_equal(decode(buffer_slice(&bytes), &out, arena, NULL), 0);
                assert_int_equal(out.data.size, sizes[i]);
                assert_int_equal(der_frame_size(buffer_slice(&bytes), DER_MESSAGE_MAX, &whole, &error), 1);
                assert_int_equal(whole, bytes.size);
        }
}

static void test_a_message_cut_anywhere_is_refused(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                cleanup_buffer Buffer bytes = { 0 };
                DerMessage in = sample(kinds[i]);

                der_encode(&in, &bytes);
                for (size_t n = 0; n < bytes.size; n++) {
                        CLEANUP(arena_free) Arena *arena = arena_new();
                        cleanup_free uint8_t *exact = xmemdup(bytes.data, n); /* so that a sanitizer sees a read beyond it */
                        Error error = { 0 };
                        DerMessage out;
                        size_t whole = 0;

                        assert_int_equal(decode(slice(exact, n), &out, arena, NULL), -1);
                        assert_in_range(der_frame_size(slice(exact, n), DER_MESSAGE_MAX, &whole, &error), 0, 1);
                        assert_true(whole == 0 || whole == bytes.size);
                }
        }
}

static void test_a_byte_changed_anywhere_is_refused_or_canonical(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                cleanup_buffer Buffer bytes = { 0 };
                DerMessage in = sample(kinds[i]);

                der_encode(&in, &bytes);
                for (size_t at = 0; at < 8 * bytes.size; at++) {
                        CLEANUP(arena_free) Arena *arena = arena_new();
                        cleanup_buffer Buffer again = { 0 };
                        DerMessage out;

                        bytes.data[at / 8] ^= (uint8_t) (1u << at % 8);
                        if (decode(buffer_slice(&bytes), &out, arena, NULL) == 0) {
                                der_encode(&out, &again);
                                assert_true(slice_equal(buffer_slice(&bytes), buffer_slice(&again)));
                        }
                        bytes.data[at / 8] ^= (uint8_t) (1u << at % 8);
                }
        }
}

static void test_bytes_behind_a_message_are_refused(void **state)
{
        assert_true(takes("a0023000"));
        assert_false(takes("a002300000"));
        assert_false(takes("a00330000000"));
        assert_false(takes("a003300000")); /* behind the sequence */
        assert_false(takes("a0043002050000"));
        assert_false(takes("a00430020500")); /* behind the fields */
        assert_false(takes("ae0c300a30060400040004003000")); /* behind the fields of a file */
}

static void test_other_encodings_of_a_value_are_refused(void **state)
{
        assert_true(takes("b10530030201" "02"));
        assert_false(takes("b1810530030201" "02"));   /* long form of a short length */
        assert_false(takes("b182000530030201" "02"));
        assert_false(takes("b180300302010200" "00")); /* indefinite length */
        assert_false(takes("b1063004020200" "02"));   /* integer with a leading zero */
        assert_false(takes("b10630040202ff" "ff"));   /* integer with a leading ff */
        assert_false(takes("b10430020200"));          /* integer without content */
        assert_false(takes("b10d300b0209" "010000000000000000")); /* more than int64 */
        assert_false(takes("b10530030a01" "02"));     /* enumerated in place of integer */
        assert_false(takes("3003020102"));
        assert_false(takes("bf110530030201" "02"));   /* the tag in its long form */
        assert_false(takes("9105300302010" "2"));     /* primitive */
        assert_false(takes("aa0830062404" "04020102")); /* constructed octet string */
}

static void test_kinds_of_version_1_and_unknown_ones_are_refused(void **state)
{
        for (unsigned kind = 0; kind < 31; kind++) {
                char hex[16];

                if (kind <= 3 || kind == 8 || (kind >= 10 && kind <= 22))
                        continue;
                (void) snprintf(hex, sizeof hex, "%02x023000", 0xa0 + kind);
                assert_false(takes(hex));
        }
}

static void test_enumerations_outside_their_range_are_refused(void **state)
{
        assert_true(takes("b30530030a0100"));
        assert_true(takes("b30530030a0101"));
        assert_false(takes("b30530030a0102"));
        assert_false(takes("b30530030a01ff"));
        assert_true(takes("a10e300c0c01730c01680a01020401" "6b"));
        assert_false(takes("a10e300c0c01730c01680a01030401" "6b"));
}

static void test_texts_that_are_not_plain_utf8_are_refused(void **state)
{
        assert_true(takes("a110300e0c03e282ac0c01680a01000401" "6b"));
        assert_false(takes("a10e300c0c01000c01680a01000401" "6b"));     /* NUL */
        assert_false(takes("a10e300c0c010a0c01680a01000401" "6b"));     /* line feed */
        assert_false(takes("a10e300c0c01ff0c01680a01000401" "6b"));
        assert_false(takes("a10e300c0c01c30c01680a01000401" "6b"));     /* cut */
        assert_false(takes("a10f300d0c02c0af0c01680a01000401" "6b"));   /* overlong */
        assert_false(takes("a10f300d0c02c2850c01680a01000401" "6b"));   /* C1 control */
        assert_false(takes("a110300e0c03eda0800c01680a01000401" "6b")); /* surrogate */
        assert_false(takes("a111300f0c04f49080800c01680a01000401" "6b"));
        assert_false(takes("ae0b30093005040100040030" "00")); /* a role with NUL */
}

static void test_length_bombs_are_refused_before_memory_is_taken(void **state)
{
        static const char *const bombs[] = { "aa84ffffffff", "aa847fffffff", "aa8402800001" };
        uint8_t bytes[6];
        size_t whole = 7;

        for (size_t i = 0; i < ELEMENTSOF(bombs); i++) {
                Error error = { 0 };

                assert_int_equal(hex_decode(bombs[i], bytes, sizeof bytes, &error), 0);
                assert_int_equal(der_frame_size(slice(bytes, sizeof bytes), DER_MESSAGE_MAX, &whole, &error), -1);
                assert_int_equal(error.code, ERR_TOO_LARGE);
                assert_false(takes(bombs[i]));
        }
        assert_false(takes("aa85ffffffffff"));
        assert_false(takes("aaffffffffffff"));
        assert_false(takes("aa08300604" "84ffffffff")); /* inside */
        assert_false(takes("aa0a3084ffffffff04020102"));
        assert_int_equal(whole, 7);
}

static void test_more_files_than_allowed_are_refused(void **state)
{
        for (size_t n = DER_FILES_MAX; n <= DER_FILES_MAX + 1; n++) {
                cleanup_buffer Buffer hex = { 0 };

                buffer_printf(&hex, "ae82%04zx3082%04zx3082%04zx", 6 * n + 10, 6 * n + 6, 6 * n);
                for (size_t i = 0; i < n; i++)
                        buffer_put_str(&hex, "300404000400");
                buffer_put_str(&hex, "3000");
                assert_int_equal(takes(buffer_str(&hex)), n == DER_FILES_MAX);
        }
}

static void test_the_longest_name_of_a_delegated_role_fits_and_no_longer_one(void **state)
{
        char role[sizeof DER_DELEGATED + ROLE_NAME_MAX + 2] = DER_DELEGATED;

        memset(role + strlen(role), 'x', ROLE_NAME_MAX);
        for (int fits = 1; fits >= 0; fits--) {
                CLEANUP(arena_free) Arena *arena = arena_new();
                cleanup_buffer Buffer bytes = { 0 };
                DerFile file = { role, slice_str("{}") };
                DerMessage m = { .kind = DER_PUT_META_REQ2, .image_files = &file, .n_image_files = 1 };

                der_encode(&m, &bytes);
                assert_int_equal(decode(buffer_slice(&bytes), &m, arena, NULL), fits ? 0 : -1);
                strcat(role, "x");
        }
}

static void test_frame_size_waits_for_the_length_and_no_longer(void **state)
{
        static const uint8_t bytes[] = { 0xaa, 0x82, 0x04, 0x08, 0x30 };
        size_t whole = 0;
        Error error = { 0 };

        for (size_t n = 0; n < 4; n++)
                assert_int_equal(der_frame_size(slice(bytes, n), 2000, &whole, &error), 0);
        assert_int_equal(der_frame_size(slice(bytes, 4), 1036, &whole, &error), 1);
        assert_int_equal(whole, 1036);
        assert_int_equal(der_frame_size(slice(bytes, 4), 1035, &whole, &error), -1);
        assert_int_equal(error.code, ERR_TOO_LARGE);
        error_clear(&error);
        assert_int_equal(der_frame_size(slice_str("GET / HTTP/1.1"), 2000, &whole, &error), -1);
        assert_int_equal(error.code, ERR_MALFORMED);
}

/* A fixed pseudo-random sequence behind a right beginning: nothing may be read beyond the end, nothing may crash. */
static void test_garbage_is_refused(void **state)
{
        uint32_t x = 1;

        for (size_t round = 0; round < 20000; round++) {
                CLEANUP(arena_free) Arena *arena = arena_new();
                cleanup_free uint8_t *bytes = xcalloc(64, 1);
                size_t size = round % 64;
                DerMessage m;

                for (size_t i = 0; i < size; i++) {
                        x = x * 1664525 + 1013904223;
                        bytes[i] = (uint8_t) (x >> 24);
                }
                if (size > 3 && round % 2) {
                        bytes[0] = (uint8_t) (0xa0 + round % 23);
                        bytes[1] = (uint8_t) (size - 2);
                        bytes[2] = 0x30;
                        bytes[3] = (uint8_t) (size - 4);
                }
                (void) decode(slice(bytes, size), &m, arena, NULL);
        }
}

static void check_recorded(const char *path)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_buffer Buffer again = { 0 };
        cleanup_free uint8_t *bytes = xcalloc(1, 1 << 20);
        FILE *f = fopen(path, "re");
        DerMessage m;
        size_t size;

        assert_non_null(f);
        size = fread(bytes, 1, 1 << 20, f);
        assert_int_equal(fclose(f), 0);
        if (decode(slice(bytes, size), &m, arena, NULL) < 0)
                fail_msg("%s is refused", path);
        der_encode(&m, &again);
        assert_true(slice_equal(slice(bytes, size), buffer_slice(&again)));
}

/* Run alone, as a test of its own that is skipped (77) where there are no recordings. */
static int reencode_recorded_messages(void)
{
        const char *dir = getenv("INTEROP_DIR"), *root = getenv("PROJECT_ROOT");
        cleanup_free char *pattern = dir ? xasprintf("%s/2[012]*/asn1-vectors/*.der", dir)
                                         : xasprintf("%s/../shared/interop/2[012]*/asn1-vectors/*.der", root ? root : ".");
        glob_t found = { 0 };

        if (glob(pattern, 0, NULL, &found) != 0) {
                print_message("no recorded messages at %s\n", pattern);
                return 77;
        }
        for (size_t i = 0; i < found.gl_pathc; i++)
                check_recorded(found.gl_pathv[i]);
        print_message("%zu recorded messages\n", found.gl_pathc);
        globfree(&found);
        return 0;
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_kind_survives_a_round_trip),
                cmocka_unit_test(test_integers_survive_at_their_limits),
                cmocka_unit_test(test_every_result_survives_and_others_are_refused),
                cmocka_unit_test(test_lengths_around_each_form_survive),
                cmocka_unit_test(test_a_message_cut_anywhere_is_refused),
                cmocka_unit_test(test_a_byte_changed_anywhere_is_refused_or_canonical),
                cmocka_unit_test(test_bytes_behind_a_message_are_refused),
                cmocka_unit_test(test_other_encodings_of_a_value_are_refused),
                cmocka_unit_test(test_kinds_of_version_1_and_unknown_ones_are_refused),
                cmocka_unit_test(test_enumerations_outside_their_range_are_refused),
                cmocka_unit_test(test_texts_that_are_not_plain_utf8_are_refused),
                cmocka_unit_test(test_length_bombs_are_refused_before_memory_is_taken),
                cmocka_unit_test(test_more_files_than_allowed_are_refused),
                cmocka_unit_test(test_the_longest_name_of_a_delegated_role_fits_and_no_longer_one),
                cmocka_unit_test(test_frame_size_waits_for_the_length_and_no_longer),
                cmocka_unit_test(test_garbage_is_refused),
        };

        if (argc == 2 && strcmp(argv[1], "recorded") == 0)
                return reencode_recorded_messages();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
