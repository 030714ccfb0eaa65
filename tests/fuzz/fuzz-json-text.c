/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over text and the tree agree: on what is JSON, on the members, and on the canonical form. */
#include "fuzz.h"
#include "metadata/json-text.h"

/* Walks all members; true if everything is JSON and no key stands twice. */
static bool walk(Slice text, json_t *ret)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        Slice key, value;
        Error error = { 0 };
        JsonEach each;
        int r;

        if (!json_each_begin(&each, text, '{'))
                return false;
        while ((r = json_each_next(&each, &key, &value, &error)) > 0) {
                json_t *piece = NULL;
                const char *name;

                if (json_load_key(key, arena, &name, &error) < 0 || json_load(value, 1, &piece, &error) < 0)
                        return false;
                if (json_object_get(ret, name)) {
                        json_decref(piece);
                        return false;
                }
                REQUIRE(json_object_set_new(ret, name, piece) == 0);
        }
        return r == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_json json_t *tree = NULL, *walked = json_object();
        Slice text = slice(data, size);
        Error error = { 0 };
        bool good;

        /* the walk ends at the closing bracket, a document may have white space behind it */
        while (text.size > 0 && strchr(" \t\r\n", text.data[text.size - 1]) && text.data[text.size - 1])
                text.size--;
        good = json_read(text, &tree, &error) == 0;
        REQUIRE(walk(text, walked) == good);
        if (good) {
                cleanup_buffer Buffer a = { 0 }, b = { 0 };

                REQUIRE(json_equal(tree, walked) == 1);
                json_canonical(tree, &a);
                error_clear(&error);
                REQUIRE(json_canonical_text(text, JSON_FORM_UTF8, &b, &error) == 0);
                REQUIRE(slice_equal(buffer_slice(&a), buffer_slice(&b)));
        }
        return 0;
}
