/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METADATA_JSON_TEXT_H
#define METADATA_JSON_TEXT_H

/*
 * JSON as text, piece by piece. A tree of a large document takes many times its size; so large objects are walked in the
 * text itself, and only one member at a time becomes a tree. The walk believes nothing: what stands between members must
 * be JSON, and each piece is checked by jansson when it is loaded.
 */
#include "metadata/json.h"

typedef struct JsonEach {
        Slice text; /* the whole value, brackets and all */
        size_t at;  /* where the next member is looked for */
        bool object;
        bool first;
} JsonEach;

/* text is an object (open '{') or an array ('['); false if it does not begin like one. */
bool json_each_begin(JsonEach *each, Slice text, char open) __attribute__((nonnull));
/* 1 and the next member's value, and of an object its key with its quotes; 0 behind the last; -1: ERR_MALFORMED. */
int json_each_next(JsonEach *each, Slice *ret_key, Slice *ret_value, Error *error) __attribute__((nonnull, warn_unused_result));

/* A piece as a tree, as strict as json_read(); it stands depth levels deep in its document. */
int json_load(Slice piece, unsigned depth, json_t **ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* A key without its quotes and escapes, in arena. */
int json_load_key(Slice quoted, Arena *arena, const char **ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
