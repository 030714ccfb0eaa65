/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

/* Room for extra more bytes and a terminating NUL; doubles, so that n appends cost O(n). */
static void reserve(Buffer *b, size_t extra)
{
        size_t need, capacity = b->capacity ? b->capacity : 256;

        if (__builtin_add_overflow(b->size, extra, &need) || __builtin_add_overflow(need, 1, &need))
                abort();
        if (need <= b->capacity)
                return;
        while (capacity < need)
                if (__builtin_mul_overflow(capacity, 2, &capacity))
                        abort();
        b->data = xrealloc(b->data, capacity, 1);
        b->capacity = capacity;
}

int buffer_append(Buffer *b, Slice bytes, Error *error)
{
        size_t total;

        if (__builtin_add_overflow(b->size, bytes.size, &total) || (b->limit && total > b->limit))
                return error_set(error, ERR_TOO_LARGE, "more than the allowed %zu bytes", b->limit);
        buffer_put(b, bytes.data, bytes.size);
        return 0;
}

void buffer_put(Buffer *b, const void *data, size_t size)
{
        if (size == 0)
                return;
        reserve(b, size);
        memcpy(b->data + b->size, data, size);
        b->size += size;
}

void buffer_put_str(Buffer *b, const char *text)
{
        buffer_put(b, text, strlen(text));
}

void buffer_printf(Buffer *b, const char *fmt, ...)
{
        cleanup_free char *text = NULL;
        va_list ap;

        va_start(ap, fmt);
        if (vasprintf(&text, fmt, ap) < 0)
                abort();
        va_end(ap);
        buffer_put_str(b, text);
}

const char *buffer_str(Buffer *b)
{
        reserve(b, 0);
        b->data[b->size] = '\0';
        return (const char *) b->data;
}

void buffer_done(Buffer *b)
{
        size_t limit = b->limit;

        free(b->data);
        *b = (Buffer) { .limit = limit };
}
