/* SPDX-License-Identifier: Apache-2.0 */
/* Strict reading, spans to the byte, and the three canonical forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metadata/json.h"

static json_t *read_text(const char *text)
{
        json_t *json;
        Error error = { 0 };

        if (json_read(slice_str(text), &json, &error) < 0)
                fail_msg("%s: %s", text, error.message);
        return json;
}

static void what_is_not_strict_json_is_refused(void **state)
{
        static const char *const bad[] = { "", " ", "null", "[]", "1", "\"a\"", "{", "{}x", "{} {}", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}",
                                           "{'a':1}", "{a:1}", "{\"a\":01}", "{\"a\":99999999999999999999}", "{\"a\":\"\xff\"}", "{\"a\":\"\\u0000\"}",
                                           "{\"a\":\"\\ud800\"}", "{\"a\":1,}", "\xef\xbb\xbf{}", "{\"a\":NaN}" };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Error error = { 0 };
                json_t *json;

                if (json_read(slice_str(bad[i]), &json, &error) == 0)
                        fail_msg("'%s' was taken", bad[i]);
                assert_int_equal(error.code, ERR_MALFORMED);
        }
        assert_int_equal(json_read(slice("{\"a\":\"\0\"}", 9), &(json_t *) { NULL }, &(Error) { 0 }), -1);
}

static void nesting_has_a_limit(void **state)
{
        (void) state;
        for (int depth = JSON_DEPTH_MAX - 2; depth < 3000; depth += depth < 40 ? 1 : 500) {
                cleanup_buffer Buffer b = { 0 };
                cleanup_json json_t *json = NULL;
                Error error = { 0 };

                buffer_put_str(&b, "{\"a\":");
                for (int i = 1; i < depth - 1; i++)
                        buffer_put_str(&b, "[");
                buffer_put_str(&b, "1");
                for (int i = 1; i < depth - 1; i++)
                        buffer_put_str(&b, "]");
                buffer_put_str(&b, "}");
                assert_int_equal(json_read(buffer_slice(&b), &json, &error), depth <= JSON_DEPTH_MAX ? 0 : -1);
        }
}

static void a_member_is_found_to_the_byte(void **state)
{
        static const struct {
                const char *text, *span;
        } cases[] = {
                { "{\"signed\":{}}", "{}" },
                { " { \"x\" : [1,{\"signed\":2}] , \"signed\" : { \"a\" : \"}\\\"{\" } } ", "{ \"a\" : \"}\\\"{\" }" },
                { "{\"a\":\"signed\",\"signed\":-12.5e3 }", "-12.5e3" },
                { "{\"a\":\"\\\\\",\"\\u0073igned\":true}", "true" },
                { "{\"signed\":\"x\\\"y\",\"z\":1}", "\"x\\\"y\"" },
                { "{\"signed\":[[],{}],\"signatures\":[]}", "[[],{}]" },
                { "{\"a\":{\"signed\":1}}", NULL },
                { "{}", NULL },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Slice span = SLICE_NONE;

                json_decref(read_text(cases[i].text)); /* the promise json_member_span() rests on */
                assert_int_equal(json_member_span(slice_str(cases[i].text), "signed", &span), cases[i].span != NULL);
                if (cases[i].span && !slice_equal(span, slice_str(cases[i].span)))
                        fail_msg("%s: %.*s", cases[i].text, (int) span.size, span.data);
        }
}

static void must_be(const json_t *json, void (*form)(const json_t *, Buffer *), const char *expected)
{
        cleanup_buffer Buffer b = { 0 };

        form(json, &b);
        assert_string_equal(buffer_str(&b), expected);
}

static void the_three_forms_are_those_of_the_field(void **state)
{
        cleanup_json json_t *json = read_text("{\"b\": [1, -2, true, null], \"a\": \"\\n\\u00e4\\ud83d\\ude00\\u007f\\u0001\\\"\\\\/\", \"\\u00e4\": {}, \"A\": 0}");

        (void) state;
        must_be(json, json_canonical, "{\"A\":0,\"a\":\"\\n\xc3\xa4\xf0\x9f\x98\x80\x7f\\u0001\\\"\\\\/\",\"b\":[1,-2,true,null],\"\xc3\xa4\":{}}");
        must_be(json, json_canonical_ascii,
                "{\"A\":0,\"a\":\"\\n\\u00e4\\ud83d\\ude00\x7f\\u0001\\\"\\\\/\",\"b\":[1,-2,true,null],\"\\u00e4\":{}}");
        must_be(json, json_canonical_olpc, "{\"A\":0,\"a\":\"\n\xc3\xa4\xf0\x9f\x98\x80\x7f\x01\\\"\\\\/\",\"b\":[1,-2,true,null],\"\xc3\xa4\":{}}");
}

static void members_are_read_with_their_type_and_size(void **state)
{
        cleanup_json json_t *json = read_text("{\"s\":\"12345\",\"i\":7,\"n\":-1,\"r\":1.0,\"o\":{\"a\":1,\"b\":2},\"l\":[1,2,3],\"z\":null}");
        const char *text;
        int64_t number;
        json_t *value;

        (void) state;
        assert_int_equal(json_get_string(json, "x", "s", 5, &text, &(Error) { 0 }), 0);
        assert_int_equal(json_get_string(json, "x", "s", 4, &text, &(Error) { 0 }), -1);
        assert_int_equal(json_get_string(json, "x", "i", 5, &text, &(Error) { 0 }), -1);
        assert_int_equal(json_get_int(json, "x", "i", &number, &(Error) { 0 }), 0);
        assert_int_equal(json_get_int(json, "x", "n", &number, &(Error) { 0 }), -1);
        assert_int_equal(json_get_int(json, "x", "r", &number, &(Error) { 0 }), -1);
        assert_int_equal(json_get_int(json, "x", "missing", &number, &(Error) { 0 }), -1);
        assert_int_equal(json_get_object(json, "x", "o", 2, &value, &(Error) { 0 }), 0);
        assert_int_equal(json_get_object(json, "x", "o", 1, &value, &(Error) { 0 }), -1);
        assert_int_equal(json_get_array(json, "x", "l", 3, &value, &(Error) { 0 }), 0);
        assert_int_equal(json_get_array(json, "x", "l", 2, &value, &(Error) { 0 }), -1);
        assert_int_equal(json_get_array(json, "x", "o", 9, &value, &(Error) { 0 }), -1);
        assert_false(json_has(json, "z"));
        assert_true(json_has(json, "n"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_not_strict_json_is_refused),
                cmocka_unit_test(nesting_has_a_limit),
                cmocka_unit_test(a_member_is_found_to_the_byte),
                cmocka_unit_test(the_three_forms_are_those_of_the_field),
                cmocka_unit_test(members_are_read_with_their_type_and_size),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
