/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METADATA_JSON_H
#define METADATA_JSON_H

/*
 * Strict reading of JSON from outside, on jansson, and the canonical form. jansson stays inside this layer and uptane/.
 *
 * Refused: duplicate members, NUL in strings, invalid UTF-8, numbers outside int64, nesting deeper than JSON_DEPTH_MAX,
 * anything behind the document. Reals are accepted only inside members nobody reads ("custom").
 */
#include <jansson.h>

#include "base/arena.h"
#include "base/slice.h"

#define JSON_DEPTH_MAX 32

static inline void json_cleanup(json_t **p)
{
        json_decref(*p);
}
#define cleanup_json __attribute__((cleanup(json_cleanup)))

/* The top-level value must be an object. The caller has bounded text.size. */
int json_read(Slice text, json_t **ret, Error *error) __attribute__((nonnull, warn_unused_result));
/*
 * Where the value of top-level member name stands in text, byte for byte as received. Returns 1 and the span, or 0 if there
 * is no such member, or text is no JSON up to there.
 */
int json_member_span(Slice text, const char *name, Slice *ret) __attribute__((nonnull));
/* Whether value, which stands depth levels deep, reaches deeper than JSON_DEPTH_MAX. */
bool json_is_too_deep(const json_t *value, unsigned depth);
/* Compact, keys sorted by code point, raw UTF-8, shortest escapes: what the open-source back-ends sign. */
void json_canonical(const json_t *value, Buffer *ret) __attribute__((nonnull));
/* The same with every non-ASCII character as \uxxxx, lower case: what aktualizr and its generator sign. */
void json_canonical_ascii(const json_t *value, Buffer *ret) __attribute__((nonnull));
/* OLPC canonical JSON: as json_canonical(), but strings escape only '"' and '\'. */
void json_canonical_olpc(const json_t *value, Buffer *ret) __attribute__((nonnull));

typedef enum JsonForm { JSON_FORM_UTF8, JSON_FORM_ASCII, JSON_FORM_OLPC, _JSON_FORM_MAX } JsonForm;
/* One of these forms of a document as text, whatever its size, without a tree of all of it. ERR_MALFORMED. */
int json_canonical_text(Slice text, JsonForm form, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));

/*
 * Typed access to a member of object; the error names it as "where.name". Integers are 0..INT64_MAX.
 * Strings are borrowed from object and at most max bytes long.
 */
int json_get_string(const json_t *object, const char *where, const char *name, size_t max, const char **ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
int json_get_int(const json_t *object, const char *where, const char *name, int64_t *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* An object or array with at most max members. */
int json_get_object(const json_t *object, const char *where, const char *name, size_t max, json_t **ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
int json_get_array(const json_t *object, const char *where, const char *name, size_t max, json_t **ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* True if object has name and it is not null. */
bool json_has(const json_t *object, const char *name) __attribute__((nonnull));

#endif
