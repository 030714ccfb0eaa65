/* SPDX-License-Identifier: Apache-2.0 */
/* A message of an IP Secondary: one value, one encoding; its frame is as long as it is. */
#include "fuzz.h"
#include "metadata/der.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_buffer Buffer again = { 0 };
        Error error = { 0 }, ignored = { 0 };
        DerMessage message;
        size_t frame = 0;
        int r = der_frame_size(slice(data, size), DER_MESSAGE_MAX, &frame, &ignored);

        REQUIRE(r <= 0 || (frame > 0 && frame <= DER_MESSAGE_MAX));
        if (der_decode(slice(data, size), arena, &message, &error) < 0)
                return 0;
        REQUIRE(r == 1 && frame == size);
        der_encode(&message, &again);
        REQUIRE(slice_equal(buffer_slice(&again), slice(data, size)));
        return 0;
}
