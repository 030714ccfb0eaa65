/* SPDX-License-Identifier: Apache-2.0 */
/* The three forms in which JSON is signed: a signature by somebody else depends on every byte of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "metadata/json.h"

static const struct {
        const char *text, *utf8, *ascii, *olpc; /* NULL: as utf8 */
} table[] = {
        { "{}", "{}", NULL, NULL },
        { " { \"b\" : [ 1 , 2 ] , \"a\" : null } ", "{\"a\":null,\"b\":[1,2]}", NULL, NULL },
        { "{\"b\":{\"d\":true,\"c\":false},\"a\":[]}", "{\"a\":[],\"b\":{\"c\":false,\"d\":true}}", NULL, NULL },
        { "{\"n\":[0,-0,-1,9223372036854775807,-9223372036854775808]}", "{\"n\":[0,0,-1,9223372036854775807,-9223372036854775808]}", NULL, NULL },
        /* names: by code point, upper case first, a prefix before what it begins */
        { "{\"a\":1,\"B\":2,\"aa\":3,\"_\":4,\"\":5,\"a.b\":6,\"1\":7}", "{\"\":5,\"1\":7,\"B\":2,\"_\":4,\"a\":1,\"a.b\":6,\"aa\":3}", NULL, NULL },
        /* U+FB33 before U+1F697, though its UTF-16 comes behind */
        { "{\"\xf0\x9f\x9a\x97\":1,\"\xef\xac\xb3\":2}", "{\"\xef\xac\xb3\":2,\"\xf0\x9f\x9a\x97\":1}",
          "{\"\\ufb33\":2,\"\\ud83d\\ude97\":1}", NULL },
        { "{\"a\":\"\\u00e4\\u20ac\\ud83d\\ude97\"}", "{\"a\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\x97\"}",
          "{\"a\":\"\\u00e4\\u20ac\\ud83d\\ude97\"}", NULL },
        { "{\"a\":\"\xc3\xa4\"}", "{\"a\":\"\xc3\xa4\"}", "{\"a\":\"\\u00e4\"}", NULL },
        { "{\"a\":\"\\/ / \\u002f\"}", "{\"a\":\"/ / /\"}", NULL, NULL },
        { "{\"a\":\"\\\" \\\\\"}", "{\"a\":\"\\\" \\\\\"}", NULL, NULL },
        { "{\"a\":\"\\n\\t\\r\\b\\f\"}", "{\"a\":\"\\n\\t\\r\\b\\f\"}", NULL, "{\"a\":\"\n\t\r\b\f\"}" },
        { "{\"a\":\"\\u000a\\u0001\\u001f\\u007f\"}", "{\"a\":\"\\n\\u0001\\u001f\x7f\"}", NULL, "{\"a\":\"\n\x01\x1f\x7f\"}" },
        { "{\"a\\nb\":1}", "{\"a\\nb\":1}", NULL, "{\"a\nb\":1}" },
        { "{\"r\":[1.5,1e3,0.1,-2.0]}", "{\"r\":[1.5,1000.0,0.1,-2.0]}", NULL, NULL },
};

static void check(void (*canonical)(const json_t *, Buffer *), const char *text, const char *expected)
{
        cleanup_json json_t *value = NULL;
        cleanup_buffer Buffer b = { 0 };
        Error error = { 0 };

        assert_int_equal(json_read(slice_str(text), &value, &error), 0);
        canonical(value, &b);
        assert_string_equal(buffer_str(&b), expected);
}

/* T-37 */
static void the_form_of_the_back_ends_is_compact_sorted_utf8(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                check(json_canonical, table[i].text, table[i].utf8);
}

/* T-37 */
static void the_ascii_form_escapes_all_else(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                check(json_canonical_ascii, table[i].text, table[i].ascii ? table[i].ascii : table[i].utf8);
}

/* T-37 */
static void the_olpc_form_escapes_two_characters_only(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                check(json_canonical_olpc, table[i].text, table[i].olpc ? table[i].olpc : table[i].utf8);
}

static void canonical_text_is_its_own_canonical_form(void **state)
{
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                check(json_canonical, table[i].utf8, table[i].utf8);
                if (table[i].ascii)
                        check(json_canonical_ascii, table[i].ascii, table[i].ascii);
        }
}

static void canonical_text_is_appended(void **state)
{
        cleanup_json json_t *value = json_object();
        cleanup_buffer Buffer b = { 0 };

        buffer_put_str(&b, "x");
        json_canonical(value, &b);
        assert_string_equal(buffer_str(&b), "x{}");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_form_of_the_back_ends_is_compact_sorted_utf8),
                cmocka_unit_test(the_ascii_form_escapes_all_else),
                cmocka_unit_test(the_olpc_form_escapes_two_characters_only),
                cmocka_unit_test(canonical_text_is_its_own_canonical_form),
                cmocka_unit_test(canonical_text_is_appended),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
