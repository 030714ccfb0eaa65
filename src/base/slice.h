/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

/*
 * Slice: borrowed bytes. It owns nothing and lives as long as what it points into; data may be NULL only if size is 0.
 * Buffer: owned bytes that grow up to a limit its owner sets. A Buffer is embedded: start with {0}, end with buffer_done().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

typedef struct Slice {
        const uint8_t *data;
        size_t size;
} Slice;

#define SLICE_NONE ((Slice) { NULL, 0 })

static inline Slice slice(const void *data, size_t size)
{
        return (Slice) { data, size };
}
static inline Slice slice_str(const char *text)
{
        return (Slice) { (const uint8_t *) text, text ? strlen(text) : 0 };
}
static inline bool slice_equal(Slice a, Slice b)
{
        return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

typedef struct Buffer {
        uint8_t *data;
        size_t size;
        size_t capacity;
        size_t limit; /* 0: none. Set it before bytes from outside are added. */
} Buffer;

/* Appends, or fails with ERR_TOO_LARGE (and appends nothing) where the limit would be passed. */
int buffer_append(Buffer *b, Slice bytes, Error *error) __attribute__((nonnull, warn_unused_result));
/* Appends without a limit: for what this program makes itself. */
void buffer_put(Buffer *b, const void *data, size_t size) __attribute__((nonnull(1)));
void buffer_put_str(Buffer *b, const char *text) __attribute__((nonnull));
void buffer_printf(Buffer *b, const char *fmt, ...) __attribute__((format(printf, 2, 3), nonnull));
/* The content as a NUL-terminated string, borrowed until the next change. */
const char *buffer_str(Buffer *b) __attribute__((nonnull, returns_nonnull));
static inline Slice buffer_slice(const Buffer *b)
{
        return (Slice) { b->data, b->size };
}
/* Frees the content; the Buffer can be used again. */
void buffer_done(Buffer *b) __attribute__((nonnull));
#define cleanup_buffer __attribute__((cleanup(buffer_done)))

#endif
