/* SPDX-License-Identifier: Apache-2.0 */
/* What is JSON from outside, where its members stand, and how they are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "metadata/json.h"

static json_t *read_good(const char *text)
{
        json_t *value = NULL;
        Error error = { 0 };

        if (json_read(slice_str(text), &value, &error) < 0)
                fail_msg("%s: %s", text, error.message);
        return value;
}

static void read_bad(Slice text)
{
        json_t *value = NULL;
        Error error = { 0 };

        if (json_read(text, &value, &error) == 0)
                fail_msg("accepted: %.*s", (int) text.size, (const char *) text.data);
        assert_int_equal(error.code, ERR_MALFORMED);
        assert_null(value);
}

static void what_is_json_is_read(void **state)
{
        static const char *const texts[] = {
                "{}", " \t\r\n{ } \n", "{\"a\":null,\"b\":true,\"c\":[false,{}]}", "{\"n\":9223372036854775807}", "{\"n\":-9223372036854775808}",
                "{\"r\":1.5e3}", "{\"\":0}", "{\"u\":\"\\u00e4 \xc3\xa4 \\ud83d\\ude97\"}", "{\"e\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                cleanup_json json_t *value = read_good(texts[i]);

                assert_true(json_is_object(value));
        }
}

/* T-36 */
static void what_is_no_json_object_is_refused(void **state)
{
        static const char *const texts[] = {
                "", " ", "{", "}", "[]", "1", "null", "\"x\"", "{}{}", "{}x", "{} {}", "{}\1", "{a:1}", "{'a':1}", "{\"a\"}", "{\"a\":}",
                "{\"a\":1,}",
                "{\"a\":1 \"b\":2}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":.5}", "{\"a\":1.}", "{\"a\":0x1}", "{\"a\":NaN}", "{\"a\":Infinity}",
                "{\"a\":1e999}", "{\"a\":True}", "{\"a\":/**/1}", "{\"a\":[1,]}", "{\"a\":[1}", "{\"a\":\"\\x\"}", "{\"a\":\"\n\"}",
                "{\"a\":\"", "\xef\xbb\xbf{}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                read_bad(slice_str(texts[i]));
        read_bad(SLICE_NONE);
        read_bad(slice("{}\0", 3));
}

/* T-36 */
static void a_member_given_twice_is_refused(void **state)
{
        read_bad(slice_str("{\"a\":1,\"a\":1}"));
        read_bad(slice_str("{\"a\":1,\"b\":{\"c\":1,\"d\":2,\"c\":3}}"));
        read_bad(slice_str("{\"a\":1,\"\\u0061\":2}"));
}

/* T-36 */
static void numbers_beyond_int64_are_refused(void **state)
{
        read_bad(slice_str("{\"a\":9223372036854775808}"));
        read_bad(slice_str("{\"a\":-9223372036854775809}"));
        read_bad(slice_str("{\"a\":99999999999999999999999999999999999999}"));
}

/* T-36 */
static void nul_and_invalid_utf8_are_refused(void **state)
{
        static const char *const texts[] = {
                "{\"a\":\"\\u0000\"}", "{\"\\u0000\":1}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc3\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xed\xa0\x80\"}",
                "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"\xff\":1}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\\ud800\"}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                read_bad(slice_str(texts[i]));
        read_bad(slice("{\"a\":\"x\0y\"}", 11));
}

/* {"a":{"a":...{}...}} or {"a":[[...]]}, depth values in each other */
static char *nested(unsigned depth, const char *open, const char *inner, const char *close)
{
        Buffer b = { 0 };

        buffer_put_str(&b, "{\"a\":");
        for (unsigned i = 0; i + 2 < depth; i++)
                buffer_put_str(&b, open);
        buffer_put_str(&b, inner);
        for (unsigned i = 0; i + 2 < depth; i++)
                buffer_put_str(&b, close);
        buffer_put_str(&b, "}");
        (void) buffer_str(&b);
        return (char *) b.data;
}

/* T-36 */
static void nesting_is_bounded(void **state)
{
        static const struct {
                const char *open, *inner, *close;
        } kinds[] = { { "{\"a\":", "{}", "}" }, { "[", "[]", "]" } };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                cleanup_free char *fits = nested(JSON_DEPTH_MAX, kinds[i].open, kinds[i].inner, kinds[i].close);
                cleanup_free char *deep = nested(JSON_DEPTH_MAX + 1, kinds[i].open, kinds[i].inner, kinds[i].close);
                cleanup_free char *abyss = nested(200000, kinds[i].open, kinds[i].inner, kinds[i].close);

                json_decref(read_good(fits));
                read_bad(slice_str(deep));
                read_bad(slice_str(abyss));
        }
}

static void a_member_is_found_byte_for_byte(void **state)
{
        static const struct {
                const char *text, *span; /* NULL: no such member */
        } table[] = {
                { "{\"signed\":{}}", "{}" },
                { " { \"signed\" : { \"a\" : 1 } } ", "{ \"a\" : 1 }" },
                { "{\"signatures\":[],\"signed\":{\"x\":[1,2]}}", "{\"x\":[1,2]}" },
                { "{\"signed\":{\"x\":1},\"signatures\":[]}", "{\"x\":1}" },
                { "{\"a\":{\"signed\":{\"no\":1}},\"signed\":{\"yes\":1}}", "{\"yes\":1}" },
                { "{\"a\":\"\\\"signed\\\":{}\",\"signed\":{\"yes\":1}}", "{\"yes\":1}" },
                { "{\"a\":[\"signed\",{\"signed\":{}},\"]\"],\"signed\":{\"yes\":\"}\"}}", "{\"yes\":\"}\"}" },
                { "{\"signed\":{\"s\":\"\\\\\"},\"b\":1}", "{\"s\":\"\\\\\"}" },
                { "{\"signed\":{\"s\":\"\\\\\\\"}\"},\"b\":1}", "{\"s\":\"\\\\\\\"}\"}" },
                { "{\"\\u0073igned\":{\"escaped\":1}}", "{\"escaped\":1}" },
                { "{\"signed \":1,\"Signed\":2,\"signe\":3}", NULL },
                { "{\"signed\":12 ,\"b\":1}", "12" },
                { "{\"signed\":-1.5e3\n}", "-1.5e3" },
                { "{\"signed\":\"a, }\"}", "\"a, }\"" },
                { "{\"signed\":null}", "null" },
                { "{\"signed\":[ {} , [] ]\t}", "[ {} , [] ]" },
                { "{}", NULL },
                { "{\"a\":{\"signed\":1}}", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Slice span;

                json_decref(read_good(table[i].text));
                assert_int_equal(json_member_span(slice_str(table[i].text), "signed", &span), table[i].span != NULL);
                if (table[i].span && !slice_equal(span, slice_str(table[i].span)))
                        fail_msg("%.*s where %s was expected", (int) span.size, (const char *) span.data, table[i].span);
        }
}

static void members_are_read_by_type_and_bounded(void **state)
{
        cleanup_json json_t *o = read_good("{\"s\":\"abc\",\"i\":7,\"neg\":-1,\"r\":1.0,\"z\":0,\"max\":9223372036854775807,"
                                           "\"o\":{\"a\":1,\"b\":2},\"l\":[1,2],\"null\":null,\"t\":true}");
        const char *text;
        json_t *value;
        int64_t n;
        Error e = { 0 };

        assert_int_equal(json_get_string(o, "x", "s", 3, &text, &e), 0);
        assert_string_equal(text, "abc");
        assert_int_equal(json_get_int(o, "x", "i", &n, &e), 0);
        assert_int_equal(n, 7);
        assert_int_equal(json_get_int(o, "x", "z", &n, &e), 0);
        assert_int_equal(n, 0);
        assert_int_equal(json_get_int(o, "x", "max", &n, &e), 0);
        assert_true(n == INT64_MAX);
        assert_int_equal(json_get_object(o, "x", "o", 2, &value, &e), 0);
        assert_int_equal(json_get_array(o, "x", "l", 2, &value, &e), 0);
        assert_true(json_has(o, "s"));
        assert_false(json_has(o, "null"));
        assert_false(json_has(o, "nothing"));
}

static void what_a_member_is_not_is_said(void **state)
{
        cleanup_json json_t *o = read_good("{\"s\":\"abc\",\"neg\":-1,\"r\":1.0,\"o\":{\"a\":1,\"b\":2},\"l\":[1,2],\"null\":null,\"t\":true}");
        static const struct {
                char kind;
                const char *name;
                size_t max;
                const char *message;
        } table[] = {
                { 's', "no", 9, "x.no is missing" },  { 's', "o", 9, "x.o is no string" },  { 's', "null", 9, "x.null is no string" },
                { 's', "s", 2, "x.s has 3 bytes" },   { 'i', "no", 0, "x.no is missing" },  { 'i', "s", 0, "x.s is no integer" },
                { 'i', "r", 0, "x.r is no integer" }, { 'i', "t", 0, "x.t is no integer" }, { 'i', "neg", 0, "x.neg is negative" },
                { 'o', "no", 9, "x.no is missing" },  { 'o', "l", 9, "x.l is no object" },  { 'o', "o", 1, "x.o has 2 members" },
                { 'a', "no", 9, "x.no is missing" },  { 'a', "o", 9, "x.o is no array" },   { 'a', "l", 1, "x.l has 2 entries" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *text = NULL;
                json_t *value = NULL;
                int64_t n = -7;
                Error e = { 0 };
                int r = table[i].kind == 's' ? json_get_string(o, "x", table[i].name, table[i].max, &text, &e)
                      : table[i].kind == 'i' ? json_get_int(o, "x", table[i].name, &n, &e)
                      : table[i].kind == 'o' ? json_get_object(o, "x", table[i].name, table[i].max, &value, &e)
                                             : json_get_array(o, "x", table[i].name, table[i].max, &value, &e);

                assert_int_equal(r, -1);
                assert_int_equal(e.code, ERR_MALFORMED);
                assert_ptr_equal(strstr(e.message, table[i].message), e.message);
                assert_true(!text && !value && n == -7);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_json_is_read),
                cmocka_unit_test(what_is_no_json_object_is_refused),
                cmocka_unit_test(a_member_given_twice_is_refused),
                cmocka_unit_test(numbers_beyond_int64_are_refused),
                cmocka_unit_test(nul_and_invalid_utf8_are_refused),
                cmocka_unit_test(nesting_is_bounded),
                cmocka_unit_test(a_member_is_found_byte_for_byte),
                cmocka_unit_test(members_are_read_by_type_and_bounded),
                cmocka_unit_test(what_a_member_is_not_is_said),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
