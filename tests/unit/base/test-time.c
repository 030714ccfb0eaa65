/* SPDX-License-Identifier: Apache-2.0 */
/* The expected numbers are those of date -u -d TEXT +%s. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/time.h"

static const struct {
        const char *text;
        int64_t seconds;
} moments[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-12-31T23:59:59Z", 31535999 },
        { "1972-02-29T12:00:00Z", 68212800 },
        { "2000-02-29T00:00:00Z", 951782400 },
        { "2000-03-01T00:00:00Z", 951868800 },
        { "2027-01-15T08:00:00Z", 1800000000 },
        { "2038-01-19T03:14:08Z", 2147483648 },
        { "2100-02-28T23:59:59Z", 4107542399 },
        { "2100-03-01T00:00:00Z", 4107542400 },
        { "9999-12-31T23:59:59Z", 253402300799 },
};

static void times_go_both_ways(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(moments); i++) {
                char text[TIME_TEXT_SIZE];
                Error error = { 0 };
                int64_t seconds;

                assert_int_equal(time_parse(moments[i].text, &seconds, &error), 0);
                assert_int_equal(seconds, moments[i].seconds);
                time_format(moments[i].seconds, text);
                assert_string_equal(text, moments[i].text);
        }
}

static void every_day_of_four_centuries_goes_both_ways(void **state)
{
        for (int64_t day = 0; day < 146097; day++) {
                char text[TIME_TEXT_SIZE];
                Error error = { 0 };
                int64_t seconds;

                time_format(day * 86400 + day % 86400, text);
                if (time_parse(text, &seconds, &error) < 0 || seconds != day * 86400 + day % 86400)
                        fail_msg("%s: %s", text, error.message);
        }
}

static void fractions_are_read_and_ignored(void **state)
{
        static const char *const texts[] = { "2027-01-15T08:00:00.0Z", "2027-01-15T08:00:00.999Z", "2027-01-15T08:00:00.123456789Z" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Error error = { 0 };
                int64_t seconds;

                assert_int_equal(time_parse(texts[i], &seconds, &error), 0);
                assert_int_equal(seconds, 1800000000);
        }
}

static void what_is_no_time_is_refused(void **state)
{
        static const char *const texts[] = {
                "", "2027", "2027-01-15", "2027-01-15T08:00:00", "2027-01-15 08:00:00Z", "2027-01-15T08:00:00z", "2027-01-15t08:00:00Z",
                "2027-01-15T08:00:00+00:00", "2027-01-15T08:00:00+01:00", "2027-01-15T08:00:00ZZ", "2027-01-15T08:00:00Z ", " 2027-01-15T08:00:00Z",
                "2027-01-15T08:00Z", "27-01-15T08:00:00Z", "12027-01-15T08:00:00Z", "2027-1-15T08:00:00Z", "-027-01-15T08:00:00Z",
                "2027-00-15T08:00:00Z", "2027-13-15T08:00:00Z", "2027-01-00T08:00:00Z", "2027-01-32T08:00:00Z", "2027-04-31T08:00:00Z",
                "2027-02-29T08:00:00Z", "2100-02-29T08:00:00Z", "2027-01-15T24:00:00Z", "2027-01-15T08:60:00Z", "2027-01-15T08:00:60Z",
                "1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "2027-01-15T08:00:00.Z", "2027-01-15T08:00:00.1", "2027-01-15T08:00:00,1Z",
                "2027-01-15T08:00:00.1234567890Z", "2027-01-15T08:00:0\xc2\xb2Z", "1800000000", "now",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                int64_t seconds = -5;
                Error error = { 0 };

                if (time_parse(texts[i], &seconds, &error) == 0)
                        fail_msg("'%s' was read as a time", texts[i]);
                assert_int_equal(error.code, ERR_MALFORMED);
                assert_int_equal(seconds, -5);
        }
}

static void times_nobody_can_write_are_clamped(void **state)
{
        char text[TIME_TEXT_SIZE];

        time_format(-1, text);
        assert_string_equal(text, "1970-01-01T00:00:00Z");
        time_format(INT64_MIN, text);
        assert_string_equal(text, "1970-01-01T00:00:00Z");
        time_format(INT64_C(253402300800), text);
        assert_string_equal(text, "9999-12-31T23:59:59Z");
        time_format(INT64_MAX, text);
        assert_string_equal(text, "9999-12-31T23:59:59Z");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(times_go_both_ways),
                cmocka_unit_test(every_day_of_four_centuries_goes_both_ways),
                cmocka_unit_test(fractions_are_read_and_ignored),
                cmocka_unit_test(what_is_no_time_is_refused),
                cmocka_unit_test(times_nobody_can_write_are_clamped),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
