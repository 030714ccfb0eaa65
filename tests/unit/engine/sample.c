/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"

#include <stdio.h>

#include "base/codec.h"
#include "engine/engine-private.h"

static void fill(EngineEcu *ecu, const char *serial, const char *image, uint8_t byte, bool primary)
{
        (void) snprintf(ecu->serial, sizeof ecu->serial, "%s", serial);
        (void) snprintf(ecu->hardware_id, sizeof ecu->hardware_id, "%s-hw", serial);
        (void) snprintf(ecu->image, sizeof ecu->image, "%s", image);
        ecu->hashes.has_sha256 = true;
        memset(ecu->hashes.sha256, byte, sizeof ecu->hashes.sha256);
        ecu->length = primary ? 0 : 4096;
        ecu->release_counter = primary ? -1 : 3;
        ecu->primary = ecu->ostree = primary;
}

void sample_update(Sample which, size_t installed, EngineUpdate *ret)
{
        *ret = (EngineUpdate) { .n_ecus = which == SAMPLE_A ? 2 : which == SAMPLE_C ? 3 : 1 };
        ret->ecus = xcalloc(ret->n_ecus, sizeof *ret->ecus);
        (void) snprintf(ret->id, sizeof ret->id, "%s", sample_id(which));
        if (which == SAMPLE_A) {
                (void) snprintf(ret->correlation_id, sizeof ret->correlation_id, SAMPLE_A_ID);
                fill(&ret->ecus[0], "bcm", "bcm-2.bin", 0x51, false);
                fill(&ret->ecus[1], "prim", "ivi-2", 0xa2, true);
        } else if (which == SAMPLE_C) {
                fill(&ret->ecus[0], "prim", "ivi-4", 0xc4, true);
                fill(&ret->ecus[1], "bcm", "bcm-4.bin", 0x51, false);
                fill(&ret->ecus[2], "zone", "zone-4.bin", 0x61, false);
                ret->ecus[1].restorable = true;
        } else
                fill(&ret->ecus[0], "prim", "ivi-3", 0xb3, true);
        for (size_t i = 0; i < installed && i < ret->n_ecus; i++)
                ret->ecus[i].state = ENGINE_ECU_INSTALLED;
        engine_update_seal(ret);
}

void sample_target(Sample which, size_t index, uint8_t *ret)
{
        EnginePolicy policy;
        Engine e;

        sample_policy(0, &policy);
        engine_init(&e, &policy);
        sample_update(which, 0, &e.update);
        engine_refuse_target(&e, &e.update.ecus[index]);
        memcpy(ret, e.refused[0], SHA256_SIZE);
        engine_done(&e);
}

Sample sample_of(const uint8_t *fingerprint)
{
        for (unsigned i = SAMPLE_A; i < _SAMPLE_MAX; i++) {
                EngineUpdate update;
                bool same;

                sample_update((Sample) i, 0, &update);
                same = memcmp(update.fingerprint, fingerprint, SHA256_SIZE) == 0;
                engine_update_done(&update);
                if (same)
                        return (Sample) i;
        }
        return SAMPLE_NONE;
}

const char *sample_commit(Sample which)
{
        switch (which) {
        case SAMPLE_A:
                return "a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2";
        case SAMPLE_B:
                return "b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3b3";
        case SAMPLE_C:
                return "c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4";
        case SAMPLE_NONE:
        case _SAMPLE_MAX:
                break;
        }
        return "0101010101010101010101010101010101010101010101010101010101010101";
}

const char *sample_id(Sample which)
{
        return which == SAMPLE_A ? SAMPLE_A_ID : which == SAMPLE_B ? SAMPLE_B_ID : which == SAMPLE_C ? SAMPLE_C_ID : "nothing";
}

Error sample_error(ErrorCode code)
{
        Error error = { 0 };

        (void) error_set(&error, code, "as tried by this test");
        return error;
}

void sample_policy(unsigned asks, EnginePolicy *ret)
{
        *ret = (EnginePolicy) { .interval = 3600, .jitter = 20, .parallel = 2 };
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++)
                ret->ask[i] = asks >> i & 1;
}

const EngineEffect *effect_find(const EngineEffects *effects, EngineEffectKind kind)
{
        for (size_t i = 0; i < effects->n; i++)
                if (effects->list[i].kind == kind)
                        return &effects->list[i];
        return NULL;
}
