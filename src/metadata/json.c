/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata/json.h"

/* jansson stops at a depth of 2048 by itself, far below what would hurt; ours is stricter. */
static bool too_deep(const json_t *value, unsigned depth)
{
        const char *name;
        json_t *child;
        size_t i;

        if (depth > JSON_DEPTH_MAX)
                return true;
        if (json_is_object(value)) {
                json_object_foreach((json_t *) value, name, child)
                        if (too_deep(child, depth + 1))
                                return true;
        } else if (json_is_array(value)) {
                json_array_foreach(value, i, child)
                        if (too_deep(child, depth + 1))
                                return true;
        }
        return false;
}

int json_read(Slice text, json_t **ret, Error *error)
{
        cleanup_json json_t *value = NULL;
        json_error_t why;

        if (text.size == 0)
                return error_set(error, ERR_MALFORMED, "an empty file instead of JSON");
        value = json_loadb((const char *) text.data, text.size, JSON_REJECT_DUPLICATES, &why);
        if (!value)
                return error_set(error, ERR_MALFORMED, "not valid JSON, line %d column %d: %.100s", why.line, why.column, why.text);
        if (!json_is_object(value))
                return error_set(error, ERR_MALFORMED, "JSON, but no object");
        if (too_deep(value, 1))
                return error_set(error, ERR_MALFORMED, "JSON nested deeper than %d", JSON_DEPTH_MAX);
        *ret = TAKE_PTR(value);
        return 0;
}

/* ---- the span of a member: a walk over text that is known to be valid JSON ---- */

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

/* Whether the quoted string is name. One written with escapes is compared as what it means. */
static bool key_is(Slice quoted, const char *name)
{
        cleanup_json json_t *s = json_loadb((const char *) quoted.data, quoted.size, JSON_DECODE_ANY, NULL);

        return s && json_is_string(s) && strcmp(json_string_value(s), name) == 0;
}

int json_member_span(Slice t, const char *name, Slice *ret)
{
        size_t i = skip_space(t, 0), key, value;

        if (i >= t.size || t.data[i] != '{')
                return 0;
        for (i = skip_space(t, i + 1); i < t.size && t.data[i] == '"'; i = skip_space(t, i + 1)) {
                key = i;
                i = skip_string(t, i);
                value = skip_space(t, i);
                value = skip_space(t, value + 1); /* behind the colon */
                if (value >= t.size)
                        return 0;
                if (key_is(slice(t.data + key, i - key), name)) {
                        *ret = trim(t.data + value, skip_value(t, value) - value);
                        return 1;
                }
                i = skip_space(t, skip_value(t, value));
                if (i >= t.size || t.data[i] != ',')
                        return 0;
        }
        return 0;
}

/* ---- typed access ---- */

static int get(const json_t *object, const char *where, const char *name, json_t **ret, Error *error)
{
        *ret = json_object_get(object, name);
        return *ret ? 0 : error_set(error, ERR_MALFORMED, "%s.%s is missing", where, name);
}

int json_get_string(const json_t *object, const char *where, const char *name, size_t max, const char **ret, Error *error)
{
        json_t *value;

        if (get(object, where, name, &value, error) < 0)
                return -1;
        if (!json_is_string(value))
                return error_set(error, ERR_MALFORMED, "%s.%s is no string", where, name);
        if (json_string_length(value) > max)
                return error_set(error, ERR_MALFORMED, "%s.%s has %zu bytes, at most %zu are allowed", where, name,
                                 json_string_length(value), max);
        *ret = json_string_value(value);
        return 0;
}

int json_get_int(const json_t *object, const char *where, const char *name, int64_t *ret, Error *error)
{
        json_t *value;

        if (get(object, where, name, &value, error) < 0)
                return -1;
        if (!json_is_integer(value))
                return error_set(error, ERR_MALFORMED, "%s.%s is no integer", where, name);
        if (json_integer_value(value) < 0)
                return error_set(error, ERR_MALFORMED, "%s.%s is negative", where, name);
        *ret = json_integer_value(value);
        return 0;
}

int json_get_object(const json_t *object, const char *where, const char *name, size_t max, json_t **ret, Error *error)
{
        json_t *value;

        if (get(object, where, name, &value, error) < 0)
                return -1;
        if (!json_is_object(value))
                return error_set(error, ERR_MALFORMED, "%s.%s is no object", where, name);
        if (json_object_size(value) > max)
                return error_set(error, ERR_MALFORMED, "%s.%s has %zu members, at most %zu are allowed", where, name,
                                 json_object_size(value), max);
        *ret = value;
        return 0;
}

int json_get_array(const json_t *object, const char *where, const char *name, size_t max, json_t **ret, Error *error)
{
        json_t *value;

        if (get(object, where, name, &value, error) < 0)
                return -1;
        if (!json_is_array(value))
                return error_set(error, ERR_MALFORMED, "%s.%s is no array", where, name);
        if (json_array_size(value) > max)
                return error_set(error, ERR_MALFORMED, "%s.%s has %zu entries, at most %zu are allowed", where, name,
                                 json_array_size(value), max);
        *ret = value;
        return 0;
}

bool json_has(const json_t *object, const char *name)
{
        json_t *value = json_object_get(object, name);

        return value && !json_is_null(value);
}
