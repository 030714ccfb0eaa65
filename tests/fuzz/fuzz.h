/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

/* What a target offers; libFuzzer or replay.c calls it. A broken promise aborts. */
#include <stdint.h>
#include <stdlib.h>

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(what) ((what) ? (void) 0 : abort())

/* Takes the part of *rest before the next line "---" (or all of it) off its front. */
static inline Slice fuzz_chunk(Slice *rest)
{
        static const char line[] = "\n---\n";
        const uint8_t *end = rest->data && rest->size ? memmem(rest->data, rest->size, line, sizeof line - 1) : NULL;
        Slice chunk = slice(rest->data, end ? (size_t) (end - rest->data) : rest->size);
        size_t used = end ? chunk.size + sizeof line - 1 : chunk.size;

        *rest = slice(rest->data ? rest->data + used : NULL, rest->size - used);
        return chunk;
}

#endif
