/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_ENGINE_SAMPLE_H
#define TEST_ENGINE_SAMPLE_H

/*
 * Two updates for a vehicle of two ECUs: [0] a Secondary, [1] the Primary, which has to be rebooted. And one for a vehicle
 * of three, with the Primary in front, of whose Secondaries the first can go back to what it ran before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/engine.h"

typedef enum Sample {
        SAMPLE_NONE,
        SAMPLE_A, /* both ECUs, with a correlation id */
        SAMPLE_B, /* the Primary alone, without one */
        SAMPLE_C, /* three ECUs, without one */
        _SAMPLE_MAX,
} Sample;

#define SAMPLE_A_ID "campaign-a"
#define SAMPLE_B_ID "targets-7"
#define SAMPLE_C_ID "targets-8"
#define SECONDARY 0

/* Filled and sealed; engine_update_done(). installed: that many ECUs, from the first, run their image already. */
void sample_update(Sample which, size_t installed, EngineUpdate *ret);
/* What the engine remembers of this sample's software for one ECU, where that does not stand its trial. */
void sample_target(Sample which, size_t index, uint8_t *ret);
/* Which sample this is, by its fingerprint. */
Sample sample_of(const uint8_t *fingerprint);
/* The Primary's commit as it boots, in hex. */
const char *sample_commit(Sample which);
const char *sample_id(Sample which);
Error sample_error(ErrorCode code);
void sample_policy(unsigned asks, EnginePolicy *ret); /* a bit per stage */
const EngineEffect *effect_find(const EngineEffects *effects, EngineEffectKind kind);

#endif
