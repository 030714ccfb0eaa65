/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the engine survives a restart, as one JSON object. It comes back from our own database, but is read as
 * strictly as anything else: a row that does not fit is ERR_STORAGE, never a half-filled engine.
 */
#include "engine/engine.h"

#include <assert.h>
#include <stdio.h>

#include "base/codec.h"
#include "metadata/json.h"

#define FORMAT 1

static void set(json_t *object, const char *name, json_t *value)
{
        if (json_object_set_new(object, name, value) < 0)
                abort(); /* out of memory: all strings in an engine are UTF-8 from verified documents or our own */
}

static json_t *hex_json(const uint8_t *bytes, size_t size)
{
        char text[2 * SHA512_SIZE + 1];

        assert(size <= SHA512_SIZE);
        hex_encode(slice(bytes, size), text);
        return json_string(text);
}

/* One fingerprint behind the other. */
static json_t *refused_json(const Engine *engine)
{
        char text[2 * sizeof engine->refused + 1];

        hex_encode(slice(engine->refused, engine->n_refused * SHA256_SIZE), text);
        return json_string(text);
}

static json_t *text_json(const char *text)
{
        json_t *s = json_string(text);

        return s ? s : json_string("(not UTF-8)");
}

static json_t *save_ecu(const EngineEcu *ecu)
{
        json_t *o = json_object();

        set(o, "serial", text_json(ecu->serial));
        set(o, "hardwareId", text_json(ecu->hardware_id));
        set(o, "image", text_json(ecu->image));
        set(o, "uri", text_json(ecu->uri));
        if (*ecu->kernel_arguments)
                set(o, "kernelArguments", text_json(ecu->kernel_arguments));
        if (ecu->hashes.has_sha256)
                set(o, "sha256", hex_json(ecu->hashes.sha256, SHA256_SIZE));
        if (ecu->hashes.has_sha512)
                set(o, "sha512", hex_json(ecu->hashes.sha512, SHA512_SIZE));
        set(o, "length", json_integer(ecu->length));
        set(o, "releaseCounter", json_integer(ecu->release_counter + 1));
        set(o, "primary", json_integer(ecu->primary));
        set(o, "ostree", json_integer(ecu->ostree));
        set(o, "order", json_integer(ecu->order));
        set(o, "restorable", json_integer(ecu->restorable));
        set(o, "begun", json_integer(ecu->begun));
        if (ecu->reboot_by)
                set(o, "rebootBy", json_integer(ecu->reboot_by));
        set(o, "state", json_integer(ecu->state == ENGINE_ECU_PREPARED ? ENGINE_ECU_PENDING : ecu->state));
        set(o, "result", json_integer(ecu->result));
        set(o, "description", text_json(ecu->description));
        return o;
}

static json_t *save_update(const EngineUpdate *update)
{
        json_t *o = json_object(), *ecus = json_array();

        set(o, "id", text_json(update->id));
        set(o, "correlationId", text_json(update->correlation_id));
        set(o, "fingerprint", hex_json(update->fingerprint, SHA256_SIZE));
        set(o, "offeredAt", json_integer(update->offered_at));
        for (size_t i = 0; i < update->n_ecus; i++)
                if (json_array_append_new(ecus, save_ecu(&update->ecus[i])) < 0)
                        abort();
        set(o, "ecus", ecus);
        return o;
}

void engine_save(const Engine *engine, Buffer *ret)
{
        cleanup_json json_t *o = json_object();

        set(o, "format", json_integer(FORMAT));
        set(o, "state", json_integer(engine->state));
        set(o, "pausedFrom", json_integer(engine->paused_from));
        set(o, "stage", json_integer(engine->stage));
        set(o, "waiting", json_integer(engine->waiting));
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++)
                set(o, engine_stage_name((EngineStage) i), json_integer(engine->approved[i]));
        set(o, "postponedUntil", json_integer(engine->postponed_until));
        set(o, "attempts", json_integer(engine->attempts));
        set(o, "interruptions", json_integer(engine->interruptions));
        set(o, "failures", json_integer(engine->failures));
        set(o, "assessments", json_integer(engine->assessments));
        set(o, "rollingBack", json_integer(engine->rolling_back));
        set(o, "completing", json_integer(engine->completing));
        if (engine->n_refused)
                set(o, "refused", refused_json(engine));
        if (engine->last_error.code != ERR_NONE) {
                set(o, "error", json_string(error_info(engine->last_error.code)->dbus_name));
                set(o, "errorMessage", text_json(engine->last_error.message));
                set(o, "errorTime", json_integer(engine->last_error_time));
        }
        set(o, "lastCheck", json_integer(engine->last_check));
        if (engine->has_update)
                set(o, "update", save_update(&engine->update));
        json_canonical(o, ret);
}

/* An integer member of 0..max. */
static int get_int(const json_t *o, const char *name, int64_t max, int64_t *ret, Error *error)
{
        int64_t v;

        if (json_get_int(o, "engine", name, &v, error) < 0)
                return -1;
        if (v > max)
                return error_set(error, ERR_STORAGE, "engine.%s is %lld, at most %lld is possible", name, (long long) v, (long long) max);
        *ret = v;
        return 0;
}

static int get_text(const json_t *o, const char *name, char *ret, size_t size, Error *error)
{
        const char *text;

        if (json_get_string(o, "engine", name, size - 1, &text, error) < 0)
                return -1;
        (void) snprintf(ret, size, "%s", text);
        return 0;
}

/* Returns 0 and sets *ret_has to whether there was one. */
static int get_hash(const json_t *o, const char *name, uint8_t *ret, size_t size, bool *ret_has, Error *error)
{
        const char *text;

        *ret_has = json_has(o, name);
        if (!*ret_has)
                return 0;
        if (json_get_string(o, "engine", name, 2 * size, &text, error) < 0)
                return -1;
        return hex_decode(text, ret, size, error);
}

/* What came later than the format: a row of an older version has none of it. */
static int load_ecu_bundle(const json_t *o, EngineEcu *ret, Error *error)
{
        int64_t order = 0, restorable = 0, begun = 0;

        if (json_has(o, "kernelArguments") &&
            get_text(o, "kernelArguments", ret->kernel_arguments, sizeof ret->kernel_arguments, error) < 0)
                return -1;
        if ((json_has(o, "order") && get_int(o, "order", ENGINE_ORDER_MAX, &order, error) < 0) ||
            (json_has(o, "restorable") && get_int(o, "restorable", 1, &restorable, error) < 0) ||
            (json_has(o, "begun") && get_int(o, "begun", 1, &begun, error) < 0) ||
            (json_has(o, "rebootBy") && get_int(o, "rebootBy", INT64_MAX, &ret->reboot_by, error) < 0))
                return -1;
        ret->order = (int) order;
        ret->restorable = restorable;
        ret->begun = begun;
        return 0;
}

static int load_ecu(const json_t *o, EngineEcu *ret, Error *error)
{
        int64_t counter = 0, primary = 0, ostree = 0, state = 0, result = 0;

        if (get_text(o, "serial", ret->serial, sizeof ret->serial, error) < 0 ||
            get_text(o, "hardwareId", ret->hardware_id, sizeof ret->hardware_id, error) < 0 ||
            get_text(o, "image", ret->image, sizeof ret->image, error) < 0 ||
            get_text(o, "uri", ret->uri, sizeof ret->uri, error) < 0 ||
            get_text(o, "description", ret->description, sizeof ret->description, error) < 0 ||
            get_hash(o, "sha256", ret->hashes.sha256, SHA256_SIZE, &ret->hashes.has_sha256, error) < 0 ||
            get_hash(o, "sha512", ret->hashes.sha512, SHA512_SIZE, &ret->hashes.has_sha512, error) < 0 ||
            get_int(o, "length", INT64_MAX, &ret->length, error) < 0 ||
            get_int(o, "releaseCounter", INT64_MAX, &counter, error) < 0 ||
            get_int(o, "primary", 1, &primary, error) < 0 || get_int(o, "ostree", 1, &ostree, error) < 0 ||
            get_int(o, "state", _ENGINE_ECU_STATE_MAX - 1, &state, error) < 0 ||
            get_int(o, "result", _REPORT_MAX - 1, &result, error) < 0 || load_ecu_bundle(o, ret, error) < 0)
                return -1;
        if (!ret->hashes.has_sha256 && !ret->hashes.has_sha512)
                return error_set(error, ERR_STORAGE, "an image of %s has no hash", ret->serial);
        ret->release_counter = counter - 1;
        ret->primary = primary;
        ret->ostree = ostree;
        ret->state = (EngineEcuState) state;
        ret->result = (ErrorReport) result;
        return 0;
}

static int load_update(const json_t *o, EngineUpdate *ret, Error *error)
{
        json_t *ecus;
        bool has;

        if (get_text(o, "id", ret->id, sizeof ret->id, error) < 0 ||
            get_text(o, "correlationId", ret->correlation_id, sizeof ret->correlation_id, error) < 0 ||
            get_hash(o, "fingerprint", ret->fingerprint, SHA256_SIZE, &has, error) < 0 ||
            get_int(o, "offeredAt", INT64_MAX, &ret->offered_at, error) < 0 ||
            json_get_array(o, "engine", "ecus", ENGINE_ECUS_MAX, &ecus, error) < 0)
                return -1;
        if (!has || json_array_size(ecus) == 0)
                return error_set(error, ERR_STORAGE, "an update without a fingerprint or without ECUs");
        ret->n_ecus = json_array_size(ecus);
        ret->ecus = xcalloc(ret->n_ecus, sizeof *ret->ecus);
        for (size_t i = 0; i < ret->n_ecus; i++)
                if (load_ecu(json_array_get(ecus, i), &ret->ecus[i], error) < 0)
                        return -1;
        return 0;
}

static int load_error(const json_t *o, Engine *engine, Error *error)
{
        char name[128];

        if (!json_has(o, "error"))
                return 0;
        if (get_text(o, "error", name, sizeof name, error) < 0 ||
            get_text(o, "errorMessage", engine->last_error.message, sizeof engine->last_error.message, error) < 0 ||
            get_int(o, "errorTime", INT64_MAX, &engine->last_error_time, error) < 0)
                return -1;
        engine->last_error.code = error_code_from_dbus(name); /* ERR_NONE: a newer version's error, not known here */
        return 0;
}

/* What came later than the format: a row of an older version has none of it. */
static int load_trial(const json_t *o, Engine *engine, Error *error)
{
        int64_t assessments = 0, rolling_back = 0, completing = 0;
        const char *text = "";

        if ((json_has(o, "assessments") && get_int(o, "assessments", ENGINE_ATTEMPTS_MAX, &assessments, error) < 0) ||
            (json_has(o, "rollingBack") && get_int(o, "rollingBack", 1, &rolling_back, error) < 0) ||
            (json_has(o, "completing") && get_int(o, "completing", 1, &completing, error) < 0) ||
            (json_has(o, "refused") && json_get_string(o, "engine", "refused", 2 * sizeof engine->refused, &text, error) < 0))
                return -1;
        if (strlen(text) % (2 * SHA256_SIZE) != 0 || (json_has(o, "refused") && !*text))
                return error_set(error, ERR_STORAGE, "engine.refused is no list of fingerprints");
        engine->assessments = (int) assessments;
        engine->rolling_back = rolling_back;
        engine->completing = completing;
        engine->n_refused = strlen(text) / (2 * SHA256_SIZE);
        return engine->n_refused ? hex_decode(text, engine->refused[0], engine->n_refused * SHA256_SIZE, error) : 0;
}

static int load_scalars(const json_t *o, Engine *engine, Error *error)
{
        int64_t format, state, paused_from, stage, waiting, attempts, interruptions, failures, approved[_ENGINE_STAGE_MAX];

        if (get_int(o, "format", FORMAT, &format, error) < 0 ||
            get_int(o, "state", _ENGINE_STATE_MAX - 1, &state, error) < 0 ||
            get_int(o, "pausedFrom", _ENGINE_STATE_MAX - 1, &paused_from, error) < 0 ||
            get_int(o, "stage", _ENGINE_STAGE_MAX - 1, &stage, error) < 0 ||
            get_int(o, "waiting", 1, &waiting, error) < 0 ||
            get_int(o, "postponedUntil", INT64_MAX, &engine->postponed_until, error) < 0 ||
            get_int(o, "attempts", ENGINE_ATTEMPTS_MAX, &attempts, error) < 0 ||
            get_int(o, "interruptions", ENGINE_INTERRUPTIONS_MAX, &interruptions, error) < 0 ||
            get_int(o, "failures", UINT32_MAX, &failures, error) < 0 ||
            get_int(o, "lastCheck", INT64_MAX, &engine->last_check, error) < 0 || load_trial(o, engine, error) < 0)
                return -1;
        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++) {
                if (get_int(o, engine_stage_name((EngineStage) i), 1, &approved[i], error) < 0)
                        return -1;
                engine->approved[i] = approved[i];
        }
        engine->state = (EngineState) state;
        engine->paused_from = (EngineState) paused_from;
        engine->stage = (EngineStage) stage;
        engine->waiting = waiting;
        engine->attempts = (int) attempts;
        engine->interruptions = (int) interruptions;
        engine->failures = (unsigned) failures;
        return 0;
}

/* Whether this state is about an update. */
static bool has_subject(EngineState state)
{
        return state == ENGINE_AWAITING_CONSENT || state == ENGINE_DOWNLOADING || state == ENGINE_READY || state == ENGINE_INSTALLING ||
               state == ENGINE_REBOOT_REQUIRED || state == ENGINE_FINALIZING || state == ENGINE_REPORTING;
}

static int load(Engine *engine, Slice bytes, Error *error)
{
        cleanup_json json_t *o = NULL;
        json_t *update;

        if (json_read(bytes, &o, error) < 0 || load_scalars(o, engine, error) < 0 || load_error(o, engine, error) < 0)
                return -1;
        engine->has_update = json_has(o, "update");
        if (engine->has_update && (json_get_object(o, "engine", "update", 64, &update, error) < 0 ||
                                   load_update(update, &engine->update, error) < 0))
                return -1;
        if (!engine->has_update && (has_subject(engine->state) || engine->waiting || engine->rolling_back || engine->completing))
                return error_set(error, ERR_STORAGE, "%s, but there is no update", engine_state_name(engine->state));
        return 0;
}

int engine_load(Engine *engine, Slice bytes, Error *error)
{
        EnginePolicy policy = engine->policy;
        Error why = { 0 };

        if (load(engine, bytes, &why) == 0)
                return 0;
        engine_done(engine);
        engine_init(engine, &policy);
        return error_set(error, ERR_STORAGE, "the stored engine state cannot be read: %.300s", why.message);
}
