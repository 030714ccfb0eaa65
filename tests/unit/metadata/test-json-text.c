/* SPDX-License-Identifier: Apache-2.0 */
/* Large JSON, piece by piece: the same as the tree says, and refused wherever the tree is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "metadata/json-text.h"

/* Walks text; returns the number of members, or -1. */
static int walk(const char *text, char open)
{
        Slice key, value;
        Error error = { 0 };
        JsonEach each;
        int n = 0, r;

        if (!json_each_begin(&each, slice_str(text), open))
                return -2;
        while ((r = json_each_next(&each, &key, &value, &error)) > 0)
                n++;
        assert_int_equal(error.code, r < 0 ? ERR_MALFORMED : ERR_NONE);
        return r < 0 ? -1 : n;
}

static void members_are_found_in_their_order(void **state)
{
        const char *text = " { \"a\" : 1 ,\n\"b\\\"}\":{\"x\":[1,{}]},\"c\":\"},\" , \"d\":-1.5e3}";
        static const char *const keys[] = { "\"a\"", "\"b\\\"}\"", "\"c\"", "\"d\"" };
        static const char *const values[] = { "1", "{\"x\":[1,{}]}", "\"},\"", "-1.5e3" };
        Slice key, value;
        Error error = { 0 };
        JsonEach each;

        (void) state;
        assert_true(json_each_begin(&each, slice_str(text), '{'));
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                assert_int_equal(json_each_next(&each, &key, &value, &error), 1);
                assert_true(slice_equal(key, slice_str(keys[i])));
                assert_true(slice_equal(value, slice_str(values[i])));
        }
        assert_int_equal(json_each_next(&each, &key, &value, &error), 0);
}

static void what_stands_between_members_must_be_json(void **state)
{
        static const struct {
                const char *text;
                char open;
                int n;
        } table[] = {
                { "{}", '{', 0 },           { "{ }", '{', 0 },          { "[]", '[', 0 },           { "[1]", '[', 1 },
                { "[1,[2,3],\"]\"]", '[', 3 }, { "{\"a\":1}", '{', 1 }, { "{\"a\":1,}", '{', -1 },  { "{,}", '{', -1 },
                { "{,\"a\":1}", '{', -1 },  { "{\"a\":1 \"b\":2}", '{', -1 }, { "{\"a\" 1}", '{', -1 }, { "{a:1}", '{', -1 },
                { "{\"a\":}", '{', -1 },    { "{\"a\":1", '{', -1 },    { "{\"a", '{', -1 },        { "{\"a\"", '{', -1 },
                { "{\"a\":", '{', -1 },     { "{", '{', -1 },           { "[", '[', -1 },           { "[1", '[', -1 },
                { "[1,", '[', -1 },         { "[,1]", '[', -1 },        { "[1,]", '[', -1 },        { "{}x", '{', -1 },
                { "{} ", '{', -1 },         { "", '{', -2 },            { "[]", '{', -2 },          { "  ", '[', -2 },
                { "{\"a\":[1}", '{', -1 },  { "{\"a\":\"x}", '{', -1 }, { "[\"\\", '[', -1 },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (walk(table[i].text, table[i].open) != table[i].n)
                        fail_msg("%s: %d members", table[i].text, walk(table[i].text, table[i].open));
}

static void a_piece_is_as_strict_as_a_document(void **state)
{
        static const char *const bad[] = { "{\"a\":1,\"a\":2}", "\"\\u0000\"", "\"\xff\"", "1e999", "99999999999999999999", "nul", "[1,]", "01", "",
                                           "\"\\ud800\"", "1 2" };
        json_t *value = NULL;
        Error error = { 0 };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(json_load(slice_str(bad[i]), 0, &value, &error), -1);
                assert_int_equal(error.code, ERR_MALFORMED);
                error_clear(&error);
        }
        assert_int_equal(json_load(slice_str("[[1]]"), JSON_DEPTH_MAX - 3, &value, &error), 0);
        json_decref(value);
        value = NULL;
        assert_int_equal(json_load(slice_str("[[1]]"), JSON_DEPTH_MAX - 2, &value, &error), -1);
}

static void a_key_is_read_as_it_is_meant(void **state)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        static const char *const table[][2] = { { "\"a\"", "a" }, { "\"\\u0061\"", "a" }, { "\"\xc3\xa4\"", "\xc3\xa4" }, { "\"\"", "" },
                                                { "\"\\\"\"", "\"" } };
        static const char *const bad[] = { "\"", "", "\"\xff\"", "\"\\u0000\"", "1", "[]" };
        const char *key;
        Error error = { 0 };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                assert_int_equal(json_load_key(slice_str(table[i][0]), arena, &key, &error), 0);
                assert_string_equal(key, table[i][1]);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(json_load_key(slice_str(bad[i]), arena, &key, &error), -1);
                error_clear(&error);
        }
}

/* An object of n members in no order, with everything that is written in several ways. */
static void put_large(Buffer *b, unsigned n, const char *inner)
{
        buffer_put_str(b, "{ ");
        for (unsigned i = 0; i < n; i++)
                buffer_printf(b, "%s\"k\xc3\xa4%u\" : { \"z\":\"\xf0\x9f\x9a\x97 \\\"\\\\\\/\\n\\u001f\x7f\", \"a\":[1, -2 ,1.5,true,null,%s]}", i ? "\n, " : "",
                              i * 7919 % n, inner);
        buffer_put_str(b, "}");
}

/* The promise of json_canonical_text(): what the tree says, whatever the size. */
static void large_text_has_the_same_canonical_forms_as_its_tree(void **state)
{
        static void (*const by_tree[])(const json_t *value, Buffer *ret) = { json_canonical, json_canonical_ascii, json_canonical_olpc };
        cleanup_buffer Buffer inner = { 0 }, text = { 0 };
        cleanup_json json_t *value = NULL;
        Error error = { 0 };

        (void) state;
        put_large(&inner, 997, "[]");
        assert_true(inner.size > 64 * 1024);
        buffer_put_str(&text, "{\"list\":[");
        for (int i = 0; i < 3; i++)
                buffer_printf(&text, "%s%s", i ? " ,\n" : "", buffer_str(&inner));
        buffer_put_str(&text, "],\"empty\":{},\"a\":");
        buffer_put_str(&text, buffer_str(&inner));
        buffer_put_str(&text, "}");
        assert_int_equal(json_read(buffer_slice(&text), &value, &error), 0);
        for (JsonForm form = 0; form < _JSON_FORM_MAX; form++) {
                cleanup_buffer Buffer a = { 0 }, b = { 0 };

                by_tree[form](value, &a);
                assert_int_equal(json_canonical_text(buffer_slice(&text), form, &b, &error), 0);
                assert_true(slice_equal(buffer_slice(&a), buffer_slice(&b)));
        }
}

static void large_text_that_is_no_json_has_no_canonical_form(void **state)
{
        static const char *const ends[] = { "\"a\":1", ("\"k\xc3\xa4" "5\":1,\"y\":2}"), "\"x\":1,}", "\"x\":nul}", "\"x\":[1}", "\"x\xff\":1}", "x:1}", "\"x\":1}}" };
        Error error = { 0 };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                cleanup_buffer Buffer text = { 0 }, ret = { 0 };

                put_large(&text, 997, "[]");
                text.size--; /* open again */
                buffer_put_str(&text, ",");
                buffer_put_str(&text, ends[i]);
                assert_int_equal(json_canonical_text(buffer_slice(&text), JSON_FORM_UTF8, &ret, &error), -1);
                assert_int_equal(error.code, ERR_MALFORMED);
                error_clear(&error);
        }
}

static void depth_is_bounded_in_large_text_too(void **state)
{
        cleanup_buffer Buffer text = { 0 }, ret = { 0 };
        Error error = { 0 };

        (void) state;
        for (int i = 0; i < JSON_DEPTH_MAX + 1; i++)
                buffer_put_str(&text, "{\"a\":");
        put_large(&text, 997, "[]");
        for (int i = 0; i < JSON_DEPTH_MAX + 1; i++)
                buffer_put_str(&text, "}");
        assert_int_equal(json_canonical_text(buffer_slice(&text), JSON_FORM_UTF8, &ret, &error), -1);
        assert_non_null(strstr(error.message, "nested deeper"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(members_are_found_in_their_order),
                cmocka_unit_test(what_stands_between_members_must_be_json),
                cmocka_unit_test(a_piece_is_as_strict_as_a_document),
                cmocka_unit_test(a_key_is_read_as_it_is_meant),
                cmocka_unit_test(large_text_has_the_same_canonical_forms_as_its_tree),
                cmocka_unit_test(large_text_that_is_no_json_has_no_canonical_form),
                cmocka_unit_test(depth_is_bounded_in_large_text_too),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
