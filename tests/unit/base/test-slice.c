/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/slice.h"

static void slices_are_equal_by_their_bytes(void **state)
{
        const char with_nul[] = { 'a', '\0', 'b' };

        assert_true(slice_equal(slice_str("abc"), slice("abcd", 3)));
        assert_false(slice_equal(slice_str("abc"), slice_str("abd")));
        assert_false(slice_equal(slice_str("abc"), slice_str("ab")));
        assert_false(slice_equal(slice(with_nul, 3), slice("a\0c", 3)));
        assert_true(slice_equal(SLICE_NONE, slice_str("")));
        assert_true(slice_equal(slice_str(NULL), SLICE_NONE));
}

static void a_buffer_takes_all_up_to_its_limit_and_nothing_beyond(void **state)
{
        cleanup_buffer Buffer b = { .limit = 10 };
        Error error = { 0 };

        assert_int_equal(buffer_append(&b, slice_str("12345"), &error), 0);
        assert_int_equal(buffer_append(&b, slice_str("67890"), &error), 0);
        assert_int_equal(buffer_append(&b, SLICE_NONE, &error), 0);
        assert_int_equal(buffer_append(&b, slice_str("x"), &error), -1);
        assert_int_equal(error.code, ERR_TOO_LARGE);
        assert_string_equal(buffer_str(&b), "1234567890");
        error_clear(&error);
        assert_int_equal(buffer_append(&b, (Slice) { (const uint8_t *) "x", SIZE_MAX }, &error), -1); /* the sum overflows */
        assert_int_equal(error.code, ERR_TOO_LARGE);
        assert_int_equal(b.size, 10);
}

static void a_buffer_grows_and_keeps_what_it_has(void **state)
{
        cleanup_buffer Buffer b = { 0 };

        for (unsigned i = 0; i < 5000; i++)
                buffer_printf(&b, "%04u", i);
        assert_int_equal(b.size, 20000);
        assert_memory_equal(b.data, "00000001", 8);
        assert_string_equal(buffer_str(&b) + 20000 - 8, "49984999");
        buffer_put_str(&b, "end");
        assert_string_equal(buffer_str(&b) + 20000, "end");
}

static void an_empty_buffer_is_an_empty_text(void **state)
{
        cleanup_buffer Buffer b = { .limit = 3 };
        Error error = { 0 };

        assert_string_equal(buffer_str(&b), "");
        assert_int_equal(buffer_append(&b, slice_str("abc"), &error), 0);
        buffer_done(&b);
        assert_int_equal(b.size, 0);
        assert_null(b.data);
        assert_int_equal(b.limit, 3); /* used again, it is held to the same limit */
        assert_int_equal(buffer_append(&b, slice_str("abcd"), &error), -1);
}

static void ownership_is_handed_over_once(void **state)
{
        cleanup_free char *a = xasprintf("%d-%s", 1, "x"), *b = TAKE_PTR(a);

        assert_null(a);
        assert_string_equal(b, "1-x");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(slices_are_equal_by_their_bytes),
                cmocka_unit_test(a_buffer_takes_all_up_to_its_limit_and_nothing_beyond),
                cmocka_unit_test(a_buffer_grows_and_keeps_what_it_has),
                cmocka_unit_test(an_empty_buffer_is_an_empty_text),
                cmocka_unit_test(ownership_is_handed_over_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
