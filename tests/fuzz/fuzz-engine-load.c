/* SPDX-License-Identifier: Apache-2.0 */
/* A stored engine: refused, or taken and written again as the same. */
#include "engine/engine.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_buffer Buffer once = { 0 }, twice = { 0 };
        EnginePolicy policy = { .interval = 60 };
        EngineEvent started = { .kind = ENGINE_STARTED, .provisioned = true };
        EngineEffects effects;
        Engine e, again;
        Error error = { 0 };

        engine_init(&e, &policy);
        if (engine_load(&e, slice(data, size), &error) < 0)
                return 0;
        engine_save(&e, &once);
        engine_init(&again, &policy);
        REQUIRE(engine_load(&again, buffer_slice(&once), &error) == 0);
        engine_save(&again, &twice);
        REQUIRE(slice_equal(buffer_slice(&once), buffer_slice(&twice)));
        engine_step(&again, &started, 1700000000, &effects);
        engine_done(&again);
        engine_done(&e);
        return 0;
}
