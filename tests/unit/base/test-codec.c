/* SPDX-License-Identifier: Apache-2.0 */
/* Hex and base64 have one reading each; the base64 rows are those of RFC 4648, section 10. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/mem.h"

static void hex_is_written_in_lower_case(void **state)
{
        static const uint8_t bytes[] = { 0x00, 0x0f, 0xa5, 0xff };
        char text[2 * sizeof bytes + 1];

        hex_encode(slice(bytes, sizeof bytes), text);
        assert_string_equal(text, "000fa5ff");
        hex_encode(SLICE_NONE, text);
        assert_string_equal(text, "");
}

static void hex_is_read_in_either_case(void **state)
{
        static const uint8_t expected[] = { 0x00, 0x0f, 0xa5, 0xff };
        static const char *const texts[] = { "000fa5ff", "000FA5FF", "000fA5Ff" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                uint8_t bytes[4] = { 0 };
                Error error = { 0 };

                assert_int_equal(hex_decode(texts[i], bytes, sizeof bytes, &error), 0);
                assert_memory_equal(bytes, expected, sizeof bytes);
        }
}

static void bad_hex_is_refused_and_writes_nothing(void **state)
{
        static const char *const texts[] = { "", "00", "0011223", "001122334", "0011223344", "0011223g", " 0112233", "0x112233",
                "001122\xc3\xa4", "-0112233" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                uint8_t bytes[4] = { 1, 2, 3, 4 };
                Error error = { 0 };

                assert_int_equal(hex_decode(texts[i], bytes, sizeof bytes, &error), -1);
                assert_int_equal(error.code, ERR_MALFORMED);
                assert_memory_equal(bytes, "\1\2\3\4", 4);
        }
}

static const struct {
        const char *bytes, *text;
} pairs[] = {
        { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" }, { "\xfb\xff\xfe", "+//+" },
};

static void base64_goes_both_ways(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
                cleanup_buffer Buffer text = { 0 }, bytes = { 0 };
                Error error = { 0 };

                base64_encode(slice_str(pairs[i].bytes), &text);
                assert_string_equal(buffer_str(&text), pairs[i].text);
                assert_int_equal(base64_decode(pairs[i].text, &bytes, &error), 0);
                assert_true(slice_equal(buffer_slice(&bytes), slice_str(pairs[i].bytes)));
        }
}

static void base64_of_every_byte_goes_both_ways(void **state)
{
        uint8_t all[256];

        for (size_t i = 0; i < sizeof all; i++)
                all[i] = (uint8_t) i;
        for (size_t n = 0; n <= sizeof all; n++) {
                cleanup_buffer Buffer text = { 0 }, bytes = { 0 };
                Error error = { 0 };

                base64_encode(slice(all, n), &text);
                assert_int_equal(base64_decode(buffer_str(&text), &bytes, &error), 0);
                assert_true(slice_equal(buffer_slice(&bytes), slice(all, n)));
        }
}

/* A second text for the same bytes would be a second signature for the same document. */
static void bad_base64_is_refused(void **state)
{
        static const char *const texts[] = {
                "Z", "Zg", "Zg=", "Zm8", "Zm9vY", "====", "=g==", "Z===", "Zg=a", "Zg==Zg==", "Zm8=Zm8=", /* padding */
                "Zh==", "Zm9=", "Z/==",                                                                    /* stray bits */
                "Zm9v\n", "Zm 9", " Zm9", "Zm9v\r\n\r\n", "Zm-v", "Zm_v", "Zm9\xc3", "Zm9*",               /* alphabet */
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                cleanup_buffer Buffer bytes = { 0 };
                Error error = { 0 };

                assert_int_equal(base64_decode(texts[i], &bytes, &error), -1);
                assert_int_equal(error.code, ERR_MALFORMED);
        }
}

static void base64_stops_at_the_limit_of_its_buffer(void **state)
{
        cleanup_buffer Buffer fits = { .limit = 6 }, passes = { .limit = 5 };
        Error error = { 0 };

        assert_int_equal(base64_decode("Zm9vYmFy", &fits, &error), 0);
        assert_int_equal(base64_decode("Zm9vYmFy", &passes, &error), -1);
        assert_int_equal(error.code, ERR_TOO_LARGE);
        assert_true(passes.size <= 5);
}

static void a_json_string_is_written_as_one(void **state)
{
        cleanup_buffer Buffer b = { 0 };

        json_quote("a\"b\\c\n\x1f\xc3\xa4", &b);
        assert_string_equal(buffer_str(&b), "\"a\\\"b\\\\c\\u000a\\u001f\xc3\xa4\"");
}

static void what_is_percent_encoded_is_one_name_unless_more_is_kept(void **state)
{
        cleanup_buffer Buffer all = { 0 }, path = { 0 };

        percent_encode("../aZ09-_.~/%2e \xc3\xa4?#", "", &all);
        assert_string_equal(buffer_str(&all), "..%2FaZ09-_.~%2F%252e%20%C3%A4%3F%23");
        percent_encode("a/b c", "/", &path);
        assert_string_equal(buffer_str(&path), "a/b%20c");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(hex_is_written_in_lower_case),
                cmocka_unit_test(hex_is_read_in_either_case),
                cmocka_unit_test(bad_hex_is_refused_and_writes_nothing),
                cmocka_unit_test(base64_goes_both_ways),
                cmocka_unit_test(base64_of_every_byte_goes_both_ways),
                cmocka_unit_test(bad_base64_is_refused),
                cmocka_unit_test(base64_stops_at_the_limit_of_its_buffer),
                cmocka_unit_test(a_json_string_is_written_as_one),
                cmocka_unit_test(what_is_percent_encoded_is_one_name_unless_more_is_kept),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
