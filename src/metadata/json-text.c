/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata/json-text.h"

static size_t skip_space(Slice t, size_t i)
{
        while (i < t.size && (t.data[i] == ' ' || t.data[i] == '\t' || t.data[i] == '\n' || t.data[i] == '\r'))
                i++;
        return i;
}

/* i is at the opening quote; returns the place behind the closing one. */
static size_t skip_string(Slice t, size_t i)
{
        for (i++; i < t.size && t.data[i] != '"'; i++)
                if (t.data[i] == '\\')
                        i++;
        return i < t.size ? i + 1 : t.size;
}

static size_t skip_value(Slice t, size_t i)
{
        size_t depth = 0;

        while (i < t.size) {
                uint8_t c = t.data[i];

                if (c == '"') {
                        i = skip_string(t, i);
                        if (depth == 0)
                                return i;
                        continue;
                }
                if ((c == ',' || c == '}' || c == ']') && depth == 0)
                        return i;
                i++;
                if (c == '{' || c == '[')
                        depth++;
                else if ((c == '}' || c == ']') && --depth == 0)
                        return i;
        }
        return i;
}

/* Takes white space off the end of a number or literal, which ends where the next token begins. */
static Slice trim(const uint8_t *data, size_t size)
{
        while (size > 0 && (data[size - 1] == ' ' || data[size - 1] == '\t' || data[size - 1] == '\n' || data[size - 1] == '\r'))
                size--;
        return slice(data, size);
}

bool json_each_begin(JsonEach *each, Slice text, char open)
{
        *each = (JsonEach) { .text = text, .at = skip_space(text, 0), .object = open == '{', .first = true };
        if (each->at >= text.size || text.data[each->at] != open)
                return false;
        each->at = skip_space(text, each->at + 1);
        return true;
}

static int broken(const JsonEach *each, Error *error)
{
        return error_set(error, ERR_MALFORMED, "not valid JSON, %zu bytes into %s", each->at, each->object ? "an object" : "an array");
}

static bool is_at(const JsonEach *each, char c)
{
        return each->at < each->text.size && each->text.data[each->at] == c;
}

/* 1: a member follows, 0: it was the last. */
static int separator(JsonEach *each, Error *error)
{
        if (is_at(each, each->object ? '}' : ']'))
                return each->at + 1 == each->text.size ? 0 : broken(each, error);
        if (each->first) {
                each->first = false;
                return 1;
        }
        if (!is_at(each, ','))
                return broken(each, error);
        each->at = skip_space(each->text, each->at + 1);
        return 1;
}

int json_each_next(JsonEach *each, Slice *ret_key, Slice *ret_value, Error *error)
{
        size_t begin = each->at;
        int r = separator(each, error);

        if (r <= 0)
                return r;
        *ret_key = SLICE_NONE;
        if (each->object) {
                if (!is_at(each, '"'))
                        return broken(each, error);
                begin = each->at;
                each->at = skip_string(each->text, each->at);
                *ret_key = slice(each->text.data + begin, each->at - begin);
                each->at = skip_space(each->text, each->at);
                if (!is_at(each, ':'))
                        return broken(each, error);
                each->at = skip_space(each->text, each->at + 1);
        }
        begin = each->at;
        each->at = skip_value(each->text, each->at);
        *ret_value = trim(each->text.data + begin, each->at - begin);
        if (ret_value->size == 0)
                return broken(each, error);
        each->at = skip_space(each->text, each->at);
        return 1;
}

int json_load(Slice piece, unsigned depth, json_t **ret, Error *error)
{
        cleanup_json json_t *value = NULL;
        json_error_t why;

        value = json_loadb((const char *) piece.data, piece.size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
        if (!value)
                return error_set(error, ERR_MALFORMED, "not valid JSON, line %d column %d of a part: %.100s", why.line, why.column, why.text);
        if (json_is_too_deep(value, depth + 1))
                return error_set(error, ERR_MALFORMED, "JSON nested deeper than %d", JSON_DEPTH_MAX);
        *ret = TAKE_PTR(value);
        return 0;
}

/* Most keys are what they look like. */
static bool is_plain(Slice text)
{
        for (size_t i = 0; i < text.size; i++)
                if (text.data[i] < 0x20 || text.data[i] > 0x7e || text.data[i] == '\\')
                        return false;
        return true;
}

int json_load_key(Slice quoted, Arena *arena, const char **ret, Error *error)
{
        cleanup_json json_t *value = NULL;
        Slice text = quoted.size >= 2 ? slice(quoted.data + 1, quoted.size - 2) : SLICE_NONE;

        if (is_plain(text) && quoted.size >= 2 && quoted.data[quoted.size - 1] == '"') {
                *ret = (const char *) arena_dup(arena, text).data;
                return 0;
        }
        if (json_load(quoted, 0, &value, error) < 0)
                return -1;
        if (!json_is_string(value))
                return error_set(error, ERR_MALFORMED, "not valid JSON, a key is no string");
        *ret = arena_strdup(arena, json_string_value(value));
        return 0;
}

/* Whether the quoted string is name. One written with escapes is compared as what it means. */
static bool key_is(Slice quoted, const char *name)
{
        cleanup_json json_t *s = json_loadb((const char *) quoted.data, quoted.size, JSON_DECODE_ANY, NULL);

        return s && json_is_string(s) && strcmp(json_string_value(s), name) == 0;
}

int json_member_span(Slice text, const char *name, Slice *ret)
{
        Slice key, value;
        Error ignored = { 0 };
        JsonEach each;

        if (!json_each_begin(&each, text, '{'))
                return 0;
        while (json_each_next(&each, &key, &value, &ignored) > 0)
                if (key_is(key, name)) {
                        *ret = value;
                        return 1;
                }
        return 0;
}
