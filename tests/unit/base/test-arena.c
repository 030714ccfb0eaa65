/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that goes all at once: the sanitizers see to it that nothing overlaps or stays behind. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

static void allocations_are_zeroed_aligned_and_apart(void **state)
{
        static const size_t sizes[] = { 1, 7, 16, 100, 4095, 4096, 4097, 100000, 3, 0 };
        CLEANUP(arena_free) Arena *arena = arena_new();
        unsigned char *blocks[ELEMENTSOF(sizes)];

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                blocks[i] = arena_alloc(arena, sizes[i], 1);
                assert_int_equal((uintptr_t) blocks[i] % alignof(max_align_t), 0);
                for (size_t k = 0; k < sizes[i]; k++)
                        assert_int_equal(blocks[i][k], 0);
                memset(blocks[i], (int) i + 1, sizes[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
                for (size_t k = 0; k < sizes[i]; k++)
                        assert_int_equal(blocks[i][k], i + 1);
}

static void copies_do_not_depend_on_what_they_were_made_from(void **state)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        char text[] = "abc";
        char *copy = arena_strdup(arena, text);
        Slice bytes = arena_dup(arena, slice(text, 2)), none = arena_dup(arena, SLICE_NONE);

        memset(text, 'x', sizeof text - 1);
        assert_string_equal(copy, "abc");
        assert_true(slice_equal(bytes, slice_str("ab")));
        assert_int_equal(bytes.data[2], 0); /* what was text can be read as text */
        assert_int_equal(none.size, 0);
        assert_non_null(none.data);
}

static void nothing_at_all_can_be_freed(void **state)
{
        assert_null(arena_free(NULL));
        assert_null(arena_free(arena_new()));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(allocations_are_zeroed_aligned_and_apart),
                cmocka_unit_test(copies_do_not_depend_on_what_they_were_made_from),
                cmocka_unit_test(nothing_at_all_can_be_freed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
