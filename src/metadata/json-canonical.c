/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three forms in which JSON is signed in the field. They differ only in how strings are written. Members are sorted
 * by bytes of UTF-8, which is the order of code points.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "metadata/json-text.h"

#define PIECE_SIZE ((size_t) 64 * 1024) /* what becomes a tree at once */

static void put_value(const json_t *value, JsonForm form, Buffer *b);

/* The code point at *p, which is valid UTF-8; moves *p behind it. */
static uint32_t next_code_point(const uint8_t **p)
{
        const uint8_t *s = *p;
        unsigned more = *s < 0x80 ? 0 : *s < 0xe0 ? 1 : *s < 0xf0 ? 2 : 3;
        uint32_t c = more == 0 ? *s : *s & (0x3fU >> more);

        for (unsigned i = 1; i <= more; i++)
                c = c << 6 | (s[i] & 0x3fU);
        *p = s + more + 1;
        return c;
}

static const char *short_escape(uint32_t c)
{
        switch (c) {
        case '"':
                return "\\\"";
        case '\\':
                return "\\\\";
        case '\b':
                return "\\b";
        case '\f':
                return "\\f";
        case '\n':
                return "\\n";
        case '\r':
                return "\\r";
        case '\t':
                return "\\t";
        default:
                return NULL;
        }
}

static void put_escaped(uint32_t c, Buffer *b)
{
        const char *escape = short_escape(c);

        if (escape)
                buffer_put_str(b, escape);
        else if (c < 0x10000)
                buffer_printf(b, "\\u%04" PRIx32, c);
        else
                buffer_printf(b, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
}

static bool must_escape(uint32_t c, JsonForm form)
{
        if (c == '"' || c == '\\')
                return true;
        if (form == JSON_FORM_OLPC)
                return false;
        return c < 0x20 || (form == JSON_FORM_ASCII && c > 0x7f);
}

static void put_string(const char *text, size_t size, JsonForm form, Buffer *b)
{
        const uint8_t *p = (const uint8_t *) text, *end = p + size, *start;

        buffer_put_str(b, "\"");
        while (p < end) {
                uint32_t c;

                start = p;
                c = next_code_point(&p);
                if (must_escape(c, form))
                        put_escaped(c, b);
                else
                        buffer_put(b, start, (size_t) (p - start));
        }
        buffer_put_str(b, "\"");
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void put_object(const json_t *object, JsonForm form, Buffer *b)
{
        size_t n = json_object_size(object), i = 0;
        cleanup_free const char **names = xcalloc(n, sizeof *names);
        const char *name;
        json_t *value;

        json_object_foreach((json_t *) object, name, value)
                names[i++] = name;
        qsort(names, n, sizeof *names, compare_names);
        buffer_put_str(b, "{");
        for (i = 0; i < n; i++) {
                if (i > 0)
                        buffer_put_str(b, ",");
                put_string(names[i], strlen(names[i]), form, b);
                buffer_put_str(b, ":");
                put_value(json_object_get(object, names[i]), form, b);
        }
        buffer_put_str(b, "}");
}

static void put_array(const json_t *array, JsonForm form, Buffer *b)
{
        buffer_put_str(b, "[");
        for (size_t i = 0; i < json_array_size(array); i++) {
                if (i > 0)
                        buffer_put_str(b, ",");
                put_value(json_array_get(array, i), form, b);
        }
        buffer_put_str(b, "]");
}

/* In "custom" only, where the received bytes count first. As Python writes it: the shortest that reads as the same real. */
static void put_real(double value, Buffer *b)
{
        char text[40] = "";

        for (int digits = 15; digits <= 17 && (!*text || strtod(text, NULL) != value); digits++)
                (void) snprintf(text, sizeof text, "%.*g", digits, value);
        buffer_put_str(b, text);
        if (!strpbrk(text, ".e"))
                buffer_put_str(b, ".0");
}

static void put_value(const json_t *value, JsonForm form, Buffer *b)
{
        switch (json_typeof(value)) {
        case JSON_OBJECT:
                put_object(value, form, b);
                break;
        case JSON_ARRAY:
                put_array(value, form, b);
                break;
        case JSON_STRING:
                put_string(json_string_value(value), json_string_length(value), form, b);
                break;
        case JSON_INTEGER:
                buffer_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
                break;
        case JSON_REAL:
                put_real(json_real_value(value), b);
                break;
        case JSON_TRUE:
                buffer_put_str(b, "true");
                break;
        case JSON_FALSE:
                buffer_put_str(b, "false");
                break;
        case JSON_NULL:
                buffer_put_str(b, "null");
                break;
        }
}

void json_canonical(const json_t *value, Buffer *ret)
{
        put_value(value, JSON_FORM_UTF8, ret);
}

void json_canonical_ascii(const json_t *value, Buffer *ret)
{
        put_value(value, JSON_FORM_ASCII, ret);
}

void json_canonical_olpc(const json_t *value, Buffer *ret)
{
        put_value(value, JSON_FORM_OLPC, ret);
}

/* ---- from text ---- */

typedef struct Member {
        const char *key;
        Slice value;
} Member;

static int put_text(Slice text, JsonForm form, unsigned depth, Buffer *b, Error *error);

static int compare_members(const void *a, const void *b)
{
        return strcmp(((const Member *) a)->key, ((const Member *) b)->key);
}

static int read_members(Slice text, Arena *arena, Member **ret, size_t *ret_n, Error *error)
{
        size_t capacity = 0;
        Slice key, value;
        JsonEach each;
        int r;

        (void) json_each_begin(&each, text, '{');
        while ((r = json_each_next(&each, &key, &value, error)) > 0) {
                if (*ret_n == capacity) {
                        capacity = capacity ? 2 * capacity : 256;
                        *ret = xrealloc(*ret, capacity, sizeof **ret);
                }
                (*ret)[*ret_n].value = value;
                if (json_load_key(key, arena, &(*ret)[*ret_n].key, error) < 0)
                        return -1;
                ++*ret_n;
        }
        return r;
}

static int put_object_text(Slice text, JsonForm form, unsigned depth, Buffer *b, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_free Member *members = NULL;
        size_t n = 0;

        if (read_members(text, arena, &members, &n, error) < 0)
                return -1;
        if (n > 0)
                qsort(members, n, sizeof *members, compare_members);
        buffer_put_str(b, "{");
        for (size_t i = 0; i < n; i++) {
                if (i > 0 && strcmp(members[i - 1].key, members[i].key) == 0)
                        return error_set(error, ERR_MALFORMED, "not valid JSON, '%.100s' occurs twice", members[i].key);
                if (i > 0)
                        buffer_put_str(b, ",");
                put_string(members[i].key, strlen(members[i].key), form, b);
                buffer_put_str(b, ":");
                if (put_text(members[i].value, form, depth + 1, b, error) < 0)
                        return -1;
        }
        buffer_put_str(b, "}");
        return 0;
}

static int put_array_text(Slice text, JsonForm form, unsigned depth, Buffer *b, Error *error)
{
        Slice key, value;
        bool first = true;
        JsonEach each;
        int r;

        (void) json_each_begin(&each, text, '[');
        buffer_put_str(b, "[");
        while ((r = json_each_next(&each, &key, &value, error)) > 0) {
                if (!first)
                        buffer_put_str(b, ",");
                first = false;
                if (put_text(value, form, depth + 1, b, error) < 0)
                        return -1;
        }
        buffer_put_str(b, "]");
        return r;
}

static int put_text(Slice text, JsonForm form, unsigned depth, Buffer *b, Error *error)
{
        cleanup_json json_t *value = NULL;

        if (depth >= JSON_DEPTH_MAX)
                return error_set(error, ERR_MALFORMED, "JSON nested deeper than %d", JSON_DEPTH_MAX);
        if (text.size > PIECE_SIZE && text.data[0] == '{')
                return put_object_text(text, form, depth, b, error);
        if (text.size > PIECE_SIZE && text.data[0] == '[')
                return put_array_text(text, form, depth, b, error);
        if (json_load(text, depth, &value, error) < 0)
                return -1;
        put_value(value, form, b);
        return 0;
}

int json_canonical_text(Slice text, JsonForm form, Buffer *ret, Error *error)
{
        JsonEach each;

        if (!json_each_begin(&each, text, '{'))
                return error_set(error, ERR_MALFORMED, "JSON, but no object");
        return put_text(text, form, 0, ret, error);
}
