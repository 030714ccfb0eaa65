/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

/*
 * Memory that is freed all at once: a parsed document owns one arena, and all its strings and arrays live there.
 * Never grows beyond what the caller asks for; the caller bounds what comes from outside first.
 */
#include <stddef.h>

#include "base/mem.h"
#include "base/slice.h"

typedef struct Arena Arena;

Arena *arena_new(void) __attribute__((returns_nonnull));
/* Accepts NULL; returns NULL. */
Arena *arena_free(Arena *arena);
DEFINE_CLEANUP(Arena, arena_free)

/* count zeroed elements of size bytes each, aligned for any type. Never NULL. */
void *arena_alloc(Arena *arena, size_t count, size_t size) __attribute__((nonnull, returns_nonnull));
char *arena_strdup(Arena *arena, const char *text) __attribute__((nonnull, returns_nonnull));
Slice arena_dup(Arena *arena, Slice bytes) __attribute__((nonnull));

#endif
