/* SPDX-License-Identifier: Apache-2.0 */
/* The names of everything the engine shows, and what makes an update this one and no other. */
#include <assert.h>

#include "engine/engine-private.h"

static const char *const state_names[] = {
        [ENGINE_UNPROVISIONED] = "unprovisioned",
        [ENGINE_IDLE] = "idle",
        [ENGINE_CHECKING] = "checking",
        [ENGINE_AWAITING_CONSENT] = "awaiting-consent",
        [ENGINE_DOWNLOADING] = "downloading",
        [ENGINE_READY] = "ready",
        [ENGINE_INSTALLING] = "installing",
        [ENGINE_REBOOT_REQUIRED] = "reboot-required",
        [ENGINE_FINALIZING] = "finalizing",
        [ENGINE_REPORTING] = "reporting",
        [ENGINE_PAUSED] = "paused",
};
static_assert(ELEMENTSOF(state_names) == _ENGINE_STATE_MAX, "a state without a name");

static const char *const stage_names[] = {
        [ENGINE_STAGE_DOWNLOAD] = "download",
        [ENGINE_STAGE_INSTALL] = "install",
        [ENGINE_STAGE_REBOOT] = "reboot",
};
static_assert(ELEMENTSOF(stage_names) == _ENGINE_STAGE_MAX, "a stage without a name");

static const char *const ecu_state_names[] = {
        [ENGINE_ECU_PENDING] = "pending",
        [ENGINE_ECU_INSTALLING] = "installing",
        [ENGINE_ECU_NEED_REBOOT] = "reboot-required",
        [ENGINE_ECU_INSTALLED] = "installed",
        [ENGINE_ECU_FAILED] = "failed",
        [ENGINE_ECU_ROLLING_BACK] = "rolling-back",
        [ENGINE_ECU_ROLLED_BACK] = "rolled-back",
        [ENGINE_ECU_PREPARED] = "prepared",
};
static_assert(ELEMENTSOF(ecu_state_names) == _ENGINE_ECU_STATE_MAX, "an ECU state without a name");

const char *engine_state_name(EngineState state)
{
        assert(state < _ENGINE_STATE_MAX);
        return state_names[state];
}

const char *engine_stage_name(EngineStage stage)
{
        assert(stage < _ENGINE_STAGE_MAX);
        return stage_names[stage];
}

const char *engine_ecu_state_name(EngineEcuState state)
{
        assert(state < _ENGINE_ECU_STATE_MAX);
        return ecu_state_names[state];
}

const char *engine_ecu_shown(const EngineEcu *ecu)
{
        bool under_way = ecu->state == ENGINE_ECU_PENDING || ecu->state == ENGINE_ECU_PREPARED || ecu->state == ENGINE_ECU_INSTALLING;

        return ecu->reboot_by && under_way ? "awaiting-reboot" : engine_ecu_state_name(ecu->state);
}

int engine_stage_from_name(const char *name, EngineStage *ret, Error *error)
{
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++)
                if (strcmp(stage_names[i], name) == 0) {
                        *ret = (EngineStage) i;
                        return 0;
                }
        return error_set(error, ERR_INVALID_ARGUMENT, "'%.40s' is no stage; it is download, install or reboot", name);
}

void engine_update_done(EngineUpdate *update)
{
        free(update->ecus);
        *update = (EngineUpdate) { 0 };
}

static void put_field(Buffer *b, const void *data, size_t size)
{
        uint64_t n = size;

        buffer_put(b, &n, sizeof n); /* lengths in front: no two lists of fields look alike */
        buffer_put(b, data, size);
}

void engine_update_seal(EngineUpdate *update)
{
        cleanup_buffer Buffer b = { 0 };

        put_field(&b, update->correlation_id, strlen(update->correlation_id));
        for (size_t i = 0; i < update->n_ecus; i++) {
                const EngineEcu *ecu = &update->ecus[i];

                put_field(&b, ecu->serial, strlen(ecu->serial));
                put_field(&b, ecu->image, strlen(ecu->image));
                put_field(&b, ecu->hashes.sha256, ecu->hashes.has_sha256 ? SHA256_SIZE : 0);
                put_field(&b, ecu->hashes.sha512, ecu->hashes.has_sha512 ? SHA512_SIZE : 0);
                put_field(&b, &ecu->length, sizeof ecu->length);
                if (*ecu->kernel_arguments)
                        put_field(&b, ecu->kernel_arguments, strlen(ecu->kernel_arguments));
        }
        digest_sha256(buffer_slice(&b), update->fingerprint);
}

/* ---- what is never tried again by itself ---- */

static bool is_listed(const Engine *engine, const uint8_t *fingerprint)
{
        for (size_t i = 0; i < engine->n_refused; i++)
                if (memcmp(engine->refused[i], fingerprint, SHA256_SIZE) == 0)
                        return true;
        return false;
}

/* Of too many, the oldest is forgotten. */
void engine_refuse(Engine *engine, const uint8_t *fingerprint)
{
        if (is_listed(engine, fingerprint))
                return;
        if (engine->n_refused == ENGINE_REFUSED_MAX)
                memmove(engine->refused[0], engine->refused[1], sizeof engine->refused - sizeof engine->refused[0]);
        else
                engine->n_refused++;
        memcpy(engine->refused[engine->n_refused - 1], fingerprint, SHA256_SIZE);
}

static void target_fingerprint(const char *correlation_id, const EngineEcu *ecu, uint8_t *ret)
{
        cleanup_buffer Buffer b = { 0 };

        put_field(&b, "target", strlen("target"));
        put_field(&b, correlation_id, strlen(correlation_id));
        put_field(&b, ecu->serial, strlen(ecu->serial));
        put_field(&b, ecu->image, strlen(ecu->image));
        put_field(&b, ecu->hashes.sha256, ecu->hashes.has_sha256 ? SHA256_SIZE : 0);
        put_field(&b, ecu->hashes.sha512, ecu->hashes.has_sha512 ? SHA512_SIZE : 0);
        put_field(&b, &ecu->length, sizeof ecu->length);
        digest_sha256(buffer_slice(&b), ret);
}

void engine_refuse_target(Engine *engine, const EngineEcu *ecu)
{
        uint8_t fingerprint[SHA256_SIZE];

        target_fingerprint(engine->update.correlation_id, ecu, fingerprint);
        engine_refuse(engine, fingerprint);
}

bool engine_is_refused(const Engine *engine, const EngineUpdate *update)
{
        if (update->n_ecus == 0)
                return false;
        if (is_listed(engine, update->fingerprint))
                return true;
        for (size_t i = 0; i < update->n_ecus; i++) {
                uint8_t fingerprint[SHA256_SIZE];

                target_fingerprint(update->correlation_id, &update->ecus[i], fingerprint);
                if (update->ecus[i].state == ENGINE_ECU_PENDING && is_listed(engine, fingerprint))
                        return true;
        }
        return false;
}
