/* SPDX-License-Identifier: Apache-2.0 */
/* A list of blocks; an allocation that does not fit the newest block gets a block of its own size or more. */
#include "base/arena.h"

#include <stdalign.h>
#include <string.h>

#define BLOCK_SIZE ((size_t) 4096)

typedef struct Block {
        struct Block *next;
        size_t used, size;
        alignas(max_align_t) unsigned char data[];
} Block;

struct Arena {
        Block *blocks;
};

Arena *arena_new(void)
{
        return xcalloc(1, sizeof(Arena));
}

Arena *arena_free(Arena *arena)
{
        if (!arena)
                return NULL;
        for (Block *b = arena->blocks, *next; b; b = next) {
                next = b->next;
                free(b);
        }
        free(arena);
        return NULL;
}

static Block *block_for(Arena *arena, size_t bytes)
{
        size_t size = bytes > BLOCK_SIZE ? bytes : BLOCK_SIZE, total;
        Block *b = arena->blocks;

        if (b && b->size - b->used >= bytes)
                return b;
        if (__builtin_add_overflow(sizeof(Block), size, &total))
                abort();
        b = xcalloc(1, total);
        b->size = size;
        b->next = arena->blocks;
        arena->blocks = b;
        return b;
}

void *arena_alloc(Arena *arena, size_t count, size_t size)
{
        const size_t align = alignof(max_align_t);
        size_t bytes;
        Block *b;
        void *p;

        if (__builtin_mul_overflow(count, size, &bytes) || __builtin_add_overflow(bytes, align - 1, &bytes))
                abort();
        bytes &= ~(align - 1);
        b = block_for(arena, bytes);
        p = b->data + b->used;
        b->used += bytes;
        return p;
}

Slice arena_dup(Arena *arena, Slice bytes)
{
        uint8_t *p = arena_alloc(arena, bytes.size + 1, 1);

        if (bytes.size)
                memcpy(p, bytes.data, bytes.size);
        return slice(p, bytes.size);
}

char *arena_strdup(Arena *arena, const char *text)
{
        size_t n = strlen(text) + 1;

        return memcpy(arena_alloc(arena, n, 1), text, n);
}
