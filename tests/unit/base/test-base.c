/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, memory, codecs and time: small promises that everything else rests on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/time.h"

static void every_error_has_its_own_name_and_exit_code(void **state)
{
        (void) state;
        for (int i = ERR_NONE + 1; i < _ERR_MAX; i++) {
                const ErrorInfo *a = error_info((ErrorCode) i);

                assert_int_equal(error_code_from_dbus(a->dbus_name), i);
                assert_true(a->exit_code > 2 && a->exit_code < 126);
                assert_true(strlen(a->help) > 10);
                for (int j = i + 1; j < _ERR_MAX; j++) {
                        assert_string_not_equal(a->dbus_name, error_info((ErrorCode) j)->dbus_name);
                        assert_int_not_equal(a->exit_code, error_info((ErrorCode) j)->exit_code);
                }
        }
        assert_int_equal(error_code_from_dbus("org.uptane.Error.NoSuchThing"), ERR_NONE);
        assert_int_equal(error_code_from_dbus(NULL), ERR_NONE);
}

static void a_message_carries_context_and_no_control_characters(void **state)
{
        Error error = { 0 };

        (void) state;
        assert_int_equal(error_set(&error, ERR_HTTP, "it said '%s'", "a\033[31m\nb"), -1);
        assert_int_equal(error_prefix(&error, "director %s", "root"), -1);
        assert_null(strpbrk(error.message, "\033\n"));
        assert_int_equal(strncmp(error.message, "director root: it said 'a", 25), 0);
        error_clear(&error);
        assert_int_equal(error.code, ERR_NONE);
}

static void a_message_that_is_too_long_is_cut(void **state)
{
        Error error = { 0 };
        char text[2000];

        (void) state;
        memset(text, 'x', sizeof text);
        text[sizeof text - 1] = '\0';
        (void) error_set(&error, ERR_HTTP, "%s", text);
        for (int i = 0; i < 10; i++)
                (void) error_prefix(&error, "%s", "prefix");
        assert_true(strlen(error.message) < sizeof error.message);
        assert_int_equal(strncmp(error.message, "prefix: prefix", 14), 0);
}

static void a_buffer_keeps_its_limit_and_what_it_had(void **state)
{
        cleanup_buffer Buffer b = { .limit = 8 };
        Error error = { 0 };

        (void) state;
        assert_int_equal(buffer_append(&b, slice_str("12345678"), &error), 0);
        assert_int_equal(buffer_append(&b, slice_str("9"), &error), -1);
        assert_int_equal(error.code, ERR_TOO_LARGE);
        assert_string_equal(buffer_str(&b), "12345678");
}

static void hex_is_exact(void **state)
{
        static const char *const bad[] = { "", "0", "001", "0g01", "00 1", "000102" };
        uint8_t raw[2];

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Error error = { 0 };

                assert_int_equal(hex_decode(bad[i], raw, sizeof raw, &error), -1);
                assert_int_equal(error.code, ERR_MALFORMED);
        }
        assert_int_equal(hex_decode("aBfF", raw, sizeof raw, &(Error) { 0 }), 0);
        assert_true(raw[0] == 0xab && raw[1] == 0xff);
}

static void base64_round_trips_and_takes_one_form_only(void **state)
{
        static const char *const bad[] = { "A", "AA", "AAA", "AA=A", "AAA=A", "AB==", "AAB=", "A A=", "AAAA\n", "====", "AA==AA==", "AA-_" };
        uint8_t raw[256];

        (void) state;
        for (size_t i = 0; i < sizeof raw; i++)
                raw[i] = (uint8_t) i;
        for (size_t n = 0; n <= sizeof raw; n++) {
                cleanup_buffer Buffer text = { 0 }, back = { 0 };

                base64_encode(slice(raw, n), &text);
                assert_int_equal(base64_decode(buffer_str(&text), &back, &(Error) { 0 }), 0);
                assert_true(slice_equal(buffer_slice(&back), slice(raw, n)));
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cleanup_buffer Buffer back = { 0 };
                Error error = { 0 };

                if (base64_decode(bad[i], &back, &error) == 0)
                        fail_msg("'%s' was taken", bad[i]);
        }
}

static void times_are_read_and_written_alike(void **state)
{
        static const struct {
                const char *text;
                int64_t seconds;
        } good[] = { { "1970-01-01T00:00:00Z", 0 }, { "2000-02-29T23:59:59Z", 951868799 }, { "2038-01-19T03:14:08Z", 2147483648 },
                     { "2027-01-01T00:00:00.123456Z", 1798761600 }, { "9999-12-31T23:59:59Z", 253402300799 } };
        static const char *const bad[] = { "", "2027-01-01", "2027-01-01T00:00:00", "2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-01-01T24:00:00Z",
                                           "2027-01-01T00:60:00Z", "1969-12-31T23:59:59Z", "2027-01-01T00:00:00+01:00", "2027-01-01T00:00:00ZZ",
                                           "2027-01-01 00:00:00Z", "+027-01-01T00:00:00Z", "2027-01-01T00:00:00.Z", "2027-1-01T00:00:00Z" };
        char text[TIME_TEXT_SIZE];
        int64_t seconds;

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                assert_int_equal(time_parse(good[i].text, &seconds, &(Error) { 0 }), 0);
                assert_int_equal(seconds, good[i].seconds);
                time_format(seconds, text);
                assert_int_equal(strncmp(text, good[i].text, 19), 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (time_parse(bad[i], &seconds, &(Error) { 0 }) == 0)
                        fail_msg("'%s' was taken", bad[i]);
        time_format(-5, text);
        assert_string_equal(text, "1970-01-01T00:00:00Z");
        time_format(INT64_MAX, text);
        assert_string_equal(text, "9999-12-31T23:59:59Z");
}

static void an_arena_gives_zeroed_aligned_memory(void **state)
{
        CLEANUP(arena_free) Arena *arena = arena_new();

        (void) state;
        for (size_t i = 1; i < 3000; i += 37) {
                uint8_t *p = arena_alloc(arena, i, 3);

                assert_int_equal((uintptr_t) p % _Alignof(max_align_t), 0);
                for (size_t j = 0; j < 3 * i; j++)
                        assert_int_equal(p[j], 0);
                memset(p, 0xff, 3 * i);
        }
        assert_string_equal(arena_strdup(arena, "text"), "text");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_error_has_its_own_name_and_exit_code),
                cmocka_unit_test(a_message_carries_context_and_no_control_characters),
                cmocka_unit_test(a_message_that_is_too_long_is_cut),
                cmocka_unit_test(a_buffer_keeps_its_limit_and_what_it_had),
                cmocka_unit_test(hex_is_exact),
                cmocka_unit_test(base64_round_trips_and_takes_one_form_only),
                cmocka_unit_test(times_are_read_and_written_alike),
                cmocka_unit_test(an_arena_gives_zeroed_aligned_memory),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
