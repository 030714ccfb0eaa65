/* SPDX-License-Identifier: Apache-2.0 */
/* A byte of policy, then two bytes for each event. Nothing is installed that was not downloaded; all of it can be stored and read. */
#include <stdio.h>

#include "engine/engine.h"
#include "fuzz.h"

static EngineUpdate *make_update(uint8_t what, EngineUpdate *ret)
{
        *ret = (EngineUpdate) { .n_ecus = 1 + what % 3, .ecus = xcalloc(3, sizeof *ret->ecus) };
        (void) snprintf(ret->id, sizeof ret->id, "%c", 'a' + what % 2);
        for (size_t i = 0; i < ret->n_ecus; i++) {
                ret->ecus[i].hashes.has_sha256 = true;
                ret->ecus[i].primary = i + 1 == ret->n_ecus;
                ret->ecus[i].restorable = what & 8;
                ret->ecus[i].order = i == 0 && what & 4;
                ret->ecus[i].state = what >> (4 + i) & 1 ? ENGINE_ECU_INSTALLED : ENGINE_ECU_PENDING;
        }
        engine_update_seal(ret);
        return ret;
}

static void check_effects(const Engine *e, const EngineEffects *effects)
{
        cleanup_buffer Buffer bytes = { 0 };
        EnginePolicy policy = e->policy;
        Error error = { 0 };
        Engine back;

        for (size_t i = 0; i < effects->n; i++) {
                REQUIRE((effects->list[i].kind != ENGINE_DO_ASSESS &&
                         effects->list[i].kind != ENGINE_DO_ROLLBACK) || effects->list[i].index < e->update.n_ecus);
                if (effects->list[i].kind != ENGINE_DO_PERSIST)
                        continue;
                REQUIRE(i == 0);
                engine_save(e, &bytes);
                engine_init(&back, &policy);
                REQUIRE(engine_load(&back, buffer_slice(&bytes), &error) == 0);
                engine_done(&back);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const commits[] = { "0000000000000000000000000000000000000000000000000000000000000000", "" };
        EnginePolicy policy = { .interval = 3600, .jitter = 10, .parallel = 2 };
        int64_t now = 1700000000;
        Engine e;

        for (unsigned i = 0; size && i < _ENGINE_STAGE_MAX; i++)
                policy.ask[i] = data[0] >> i & 1;
        engine_init(&e, &policy);
        for (size_t i = 1; i + 1 < size && i < 4096; i += 2) {
                uint8_t what = data[i + 1];
                EngineUpdate update = { 0 };
                EngineEffects effects;
                EngineEvent event = {
                        .kind = (EngineEventKind) (data[i] % _ENGINE_EVENT_MAX), .provisioned = what & 1, .rebooted = what & 2,
                        .booted = commits[what >> 5 & 1], .lost = what & 64,
                        .rolled_back = what & 128,
                        .index = what % 4, .need_reboot = what & 4, .stage = (EngineStage) (what % 4), .id = what & 8 ? "a" : "b",
                        .until = now + what - 16, .entropy = what * 77777u,
                };

                event.error.code = (ErrorCode) (1 + what % (_ERR_MAX - 1));
                if ((event.kind == ENGINE_ASSESSED || event.kind == ENGINE_ROLLED_BACK || event.kind == ENGINE_ECU_RESTORED) && what & 8)
                        event.error.code = ERR_NONE;
                if (event.kind == ENGINE_CHECKED) {
                        event.error.code = what & 8 ? event.error.code : ERR_NONE;
                        event.update = make_update(what, &update);
                }
                engine_step(&e, &event, now, &effects);
                check_effects(&e, &effects);
                engine_update_done(&update);
                now += what < 128 ? what : -what; /* clocks jump */
        }
        engine_done(&e);
        return 0;
}
