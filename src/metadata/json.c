/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata/json.h"

/* jansson stops at a depth of 2048 by itself, far below what would hurt; ours is stricter. */
bool json_is_too_deep(const json_t *value, unsigned depth)
{
        const char *name;
        json_t *child;
        size_t i;

        if (depth > JSON_DEPTH_MAX)
                return true;
        if (json_is_object(value)) {
                json_object_foreach((json_t *) value, name, child)
                        if (json_is_too_deep(child, depth + 1))
                                return true;
        } else if (json_is_array(value)) {
                json_array_foreach(value, i, child)
                        if (json_is_too_deep(child, depth + 1))
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
        /* Uptane 5.2.2 (b): no member of an object twice, so no key id either */
        value = json_loadb((const char *) text.data, text.size, JSON_REJECT_DUPLICATES, &why);
        if (!value)
                return error_set(error, ERR_MALFORMED, "not valid JSON, line %d column %d: %.100s", why.line, why.column, why.text);
        if (!json_is_object(value))
                return error_set(error, ERR_MALFORMED, "JSON, but no object");
        if (json_is_too_deep(value, 1))
                return error_set(error, ERR_MALFORMED, "JSON nested deeper than %d", JSON_DEPTH_MAX);
        *ret = TAKE_PTR(value);
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
