/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Behind the reboot. What booted is told by its checksum and nothing else; what a handler has installed, by the handler. New
 * software is on trial until it is good: first, while other ECUs complete what needed the boot (ENGINE_INSTALLING, completing),
 * then assessed (ENGINE_FINALIZING), its ECU still ENGINE_ECU_NEED_REBOOT. If it is bad (rolling_back, its ECU ENGINE_ECU_FAILED),
 * or another ECU could not complete (_ROLLING_BACK), the old is made the next to boot, and it is the old that finishes the update
 * and reports. Nobody is asked for consent: bad software may not even be able to ask.
 */
#include <stdio.h>

#include "base/codec.h"
#include "engine/engine-private.h"

static bool is_commit(const char *hex, const EngineEcu *ecu)
{
        uint8_t commit[SHA256_SIZE];
        Error ignored = { 0 };

        return ecu->ostree && hex && hex_decode(hex, commit, sizeof commit, &ignored) == 0 && memcmp(commit, ecu->hashes.sha256, sizeof commit) == 0;
}

static size_t find_primary(const Engine *engine)
{
        size_t i = 0;

        while (i < engine->update.n_ecus && !engine->update.ecus[i].primary)
                i++;
        return i;
}

bool engine_awaits_boot(const Engine *engine)
{
        return engine->state == ENGINE_REBOOT_REQUIRED || engine->completing ||
               (engine->state == ENGINE_FINALIZING &&
                (engine->rolling_back || engine_find_ecu(engine, ENGINE_ECU_NEED_REBOOT) < engine->update.n_ecus));
}

/* While it was being installed, it is on trial only if nothing else is left to do. */
const EngineEcu *engine_on_trial(const Engine *engine, const char *booted)
{
        size_t i = find_primary(engine);
        const EngineEcu *ecu = i < engine->update.n_ecus ? &engine->update.ecus[i] : NULL;

        if (!ecu || !is_commit(booted, ecu))
                return NULL;
        if (engine->state == ENGINE_INSTALLING && !engine->completing)
                return ecu->state == ENGINE_ECU_INSTALLING && engine_find_ecu(engine, ENGINE_ECU_PENDING) == engine->update.n_ecus ? ecu : NULL;
        return engine_awaits_boot(engine) && (engine->rolling_back || ecu->state == ENGINE_ECU_NEED_REBOOT) ? ecu : NULL;
}

/* ---- bad ---- */

static void roll_back(Engine *engine, EngineEffects *effects)
{
        engine_persist(effects);
        engine_emit(effects, ENGINE_DO_ROLLBACK)->index = find_primary(engine);
}

/* Either the old runs again, or there is no way back: both are reported by what runs, when the other ECUs have gone back, too. */
static void end_rollback(Engine *engine, bool done, EngineEffects *effects)
{
        EngineEcu *primary = &engine->update.ecus[find_primary(engine)];

        engine->rolling_back = false;
        if (primary->state == ENGINE_ECU_ROLLING_BACK) { /* which is not at fault */
                primary->state = done ? ENGINE_ECU_ROLLED_BACK : ENGINE_ECU_FAILED;
                if (!done)
                        engine_set_reason(primary, primary->result, "it could not be rolled back: ", engine->last_error.message);
        }
        engine_give_up_failed(engine, effects);
}

/* This ECU is why; the Primary goes back first, where it has a part in the update. */
static void take_back(Engine *engine, EngineEcu *ecu, const Error *error, EngineEffects *effects)
{
        engine_fail_ecu(engine, ecu, error);
        engine->attempts = 0;
        engine->completing = false;
        engine_enter(engine, ENGINE_FINALIZING);
        engine->rolling_back = find_primary(engine) < engine->update.n_ecus;
        if (engine->rolling_back)
                roll_back(engine, effects);
        else
                engine_give_up_failed(engine, effects);
}

static void condemn(Engine *engine, EngineEcu *ecu, const Error *error, int64_t now, EngineEffects *effects)
{
        engine_note_error(engine, error, now, effects);
        engine_refuse_target(engine, ecu);
        take_back(engine, ecu, error, effects);
}

void engine_completion_failed(Engine *engine, ErrorReport result, const char *why, EngineEffects *effects)
{
        EngineUpdate *update = &engine->update;
        size_t pending = engine_find_ecu(engine, ENGINE_ECU_PENDING);

        if (!engine_has_ecu(engine, ENGINE_ECU_FAILED) && pending < update->n_ecus) {
                update->ecus[pending].state = ENGINE_ECU_FAILED;
                engine_set_reason(&update->ecus[pending], result, "", why);
        }
        engine_refuse(engine, update->fingerprint);
        engine->attempts = 0;
        if (!engine->policy.keep) {
                EngineEcu *primary = &update->ecus[find_primary(engine)];

                primary->state = ENGINE_ECU_ROLLING_BACK;
                engine_set_reason(primary, result, "rolled back: ", why);
                engine->completing = false;
                engine->rolling_back = true;
                engine_enter(engine, ENGINE_FINALIZING);
                roll_back(engine, effects);
                return;
        }
        for (size_t i = 0; i < update->n_ecus; i++)
                if (!update->ecus[i].primary && update->ecus[i].state != ENGINE_ECU_INSTALLED && update->ecus[i].state != ENGINE_ECU_FAILED) {
                        update->ecus[i].state = ENGINE_ECU_FAILED;
                        engine_set_reason(&update->ecus[i], result, "not installed: ", why);
                }
        engine_assess(engine, effects);
}

/* Installed and never booted: it must not be booted any more, by no reboot. It is the update that is declined, not the software. */
void engine_decline_reboot(Engine *engine, const Error *error, int64_t now, EngineEffects *effects)
{
        size_t primary = find_primary(engine);

        engine_note_error(engine, error, now, effects);
        engine_enter(engine, ENGINE_FINALIZING);
        if (primary == engine->update.n_ecus || engine->update.ecus[primary].state != ENGINE_ECU_NEED_REBOOT ||
            !engine->update.ecus[primary].ostree)
                engine_give_up(engine, error, effects);
        else
                take_back(engine, &engine->update.ecus[primary], error, effects);
}

void engine_rolled_back(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        if (engine->state != ENGINE_FINALIZING || !engine->rolling_back)
                return;
        if (event->error.code == ERR_NONE && event->need_reboot) {
                engine_emit(effects, ENGINE_DO_REBOOT);
                return;
        }
        if (event->error.code == ERR_NONE) {
                end_rollback(engine, true, effects);
                return;
        }
        engine_note_error(engine, &event->error, now, effects);
        if (error_info(event->error.code)->retry == RETRY_NEVER || ++engine->attempts >= ENGINE_ATTEMPTS_MAX) {
                end_rollback(engine, false, effects);
                return;
        }
        engine->failures++;
        engine_persist(effects);
        engine_arm_backoff(engine, event, now, effects);
}

/* The old software, too, gets only so many chances to come up. */
static void resume_rollback(Engine *engine, const EngineEvent *event, EngineEffects *effects)
{
        bool still_there = !event->rebooted || engine_on_trial(engine, event->booted);

        if (!still_there || (event->rebooted && ++engine->attempts >= ENGINE_ATTEMPTS_MAX))
                end_rollback(engine, !still_there, effects);
        else
                roll_back(engine, effects);
}

/* ---- on trial ---- */

void engine_assess(Engine *engine, EngineEffects *effects)
{
        engine->completing = false;
        engine->attempts = 0;
        engine_enter(engine, ENGINE_FINALIZING);
        engine_persist(effects);
        engine_emit(effects, ENGINE_DO_ASSESS)->index = engine_find_ecu(engine, ENGINE_ECU_NEED_REBOOT);
}

/* Every boot counts in which the trial begins anew: software that brings the machine down is bad, too. */
static bool is_worn_out(Engine *engine, const EngineEvent *event)
{
        bool first = engine->state != ENGINE_FINALIZING && !engine->completing;

        if (first)
                engine->assessments = engine->interruptions = engine->attempts = 0;
        return (first || event->rebooted) && ++engine->assessments > ENGINE_ATTEMPTS_MAX;
}

/* What the others have to complete comes first: the Primary's software is not good before they run what belongs to it. */
static void complete(Engine *engine, int64_t now, EngineEffects *effects)
{
        engine->completing = true;
        engine_go_on_interrupted(engine, "the completion of the installation", now, effects);
}

static void begin_trial(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        size_t i = engine_find_ecu(engine, ENGINE_ECU_NEED_REBOOT);
        Error error = { 0 };

        if (i == engine->update.n_ecus) {
                engine_go_on(engine, now, effects); /* what has to be completed, or nothing more */
                return;
        }
        if (is_worn_out(engine, event)) {
                (void) error_set(&error, ERR_HEALTH, "the assessment of the new software was interrupted by %d reboots", engine->assessments - 1);
                engine->assessments = 0;
                condemn(engine, &engine->update.ecus[i], &error, now, effects);
        } else if (engine->completing || engine_has_ecu(engine, ENGINE_ECU_PENDING))
                complete(engine, now, effects);
        else
                engine_assess(engine, effects);
}

/* What a handler has refused it refuses again; the boot loader's tools may come to their senses. */
static bool is_last_word(const EngineEcu *ecu, const Error *error)
{
        return !ecu->ostree && error_info(error->code)->retry == RETRY_NEVER;
}

void engine_assessed(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        if (engine->state != ENGINE_FINALIZING || engine->rolling_back || event->index != engine_find_ecu(engine, ENGINE_ECU_NEED_REBOOT) ||
            event->index == engine->update.n_ecus)
                return;
        if (event->error.code == ERR_NONE && event->need_reboot) { /* it waits still; what else waited for a boot had one */
                if (engine_has_ecu(engine, ENGINE_ECU_FAILED))
                        engine_give_up_failed(engine, effects);
                else
                        engine_go_on(engine, now, effects);
                return;
        }
        if (event->error.code == ERR_NONE) {
                for (size_t i; (i = engine_find_ecu(engine, ENGINE_ECU_NEED_REBOOT)) < engine->update.n_ecus;)
                        engine->update.ecus[i].state = ENGINE_ECU_INSTALLED;
                engine_go_on(engine, now, effects);
                return;
        }
        if (event->error.code == ERR_HEALTH || is_last_word(&engine->update.ecus[event->index], &event->error) ||
            ++engine->attempts >= ENGINE_ATTEMPTS_MAX) {
                condemn(engine, &engine->update.ecus[event->index], &event->error, now, effects);
                return;
        }
        engine_note_error(engine, &event->error, now, effects);
        engine->failures++;
        engine_persist(effects);
        engine_arm_backoff(engine, event, now, effects);
}

void engine_trial_timer(Engine *engine, EngineEffects *effects)
{
        size_t i = engine_find_ecu(engine, ENGINE_ECU_NEED_REBOOT);

        if (engine->rolling_back)
                roll_back(engine, effects);
        else if (i < engine->update.n_ecus)
                engine_emit(effects, ENGINE_DO_ASSESS)->index = i;
        else if (engine_has_ecu(engine, ENGINE_ECU_ROLLING_BACK))
                engine_emit(effects, ENGINE_DO_RESTORE);
}

/* ---- what booted ---- */

static void fell_back(Engine *engine, const EngineEvent *event, EngineEcu *ecu, int64_t now, EngineEffects *effects)
{
        bool known = event->booted && *event->booted;
        Error error = { 0 };

        (void) error_set(&error, ERR_BOOT_FALLBACK, "%s: '%s' was installed, but %s%s is running%s", ecu->serial, ecu->image,
                         known ? "commit " : "other software", known ? event->booted : "",
                         event->rolled_back ? "; the boot loader gave it up" : "");
        engine_note_error(engine, &error, now, effects);
        engine_refuse_target(engine, ecu);
        engine_fail_ecu(engine, ecu, &error);
        engine->completing = false;
        engine_give_up(engine, &error, effects);
}

/*
 * The deployment that waited for the reboot was never written: the power failed, or the vehicle was switched off before
 * the user agreed. It was never tried, and nothing speaks against it. The second may go on for as long as the user likes.
 */
static void install_again(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        for (size_t i; (i = engine_find_ecu(engine, ENGINE_ECU_NEED_REBOOT)) < engine->update.n_ecus;)
                engine->update.ecus[i].state = ENGINE_ECU_PENDING;
        if (engine_holds_reboot(engine, now))
                engine_go_on(engine, now, effects);
        else
                engine_resume_install(engine, event, now, effects);
}

void engine_after_reboot(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        if (engine->rolling_back) {
                resume_rollback(engine, event, effects);
                return;
        }
        if (engine->state == ENGINE_INSTALLING) /* or it is that already */
                engine->update.ecus[find_primary(engine)].state = ENGINE_ECU_NEED_REBOOT;
        for (size_t i = 0; i < engine->update.n_ecus; i++) {
                EngineEcu *ecu = &engine->update.ecus[i];

                if (ecu->state != ENGINE_ECU_NEED_REBOOT || is_commit(event->booted, ecu))
                        continue;
                /* of an image of another kind whoever installed it finds out whether it runs: when it completes it, or on trial */
                if (!ecu->ostree && event->rebooted) {
                        if (!ecu->primary)
                                ecu->state = ENGINE_ECU_PENDING;
                        continue;
                }
                if (event->rebooted && engine->state == ENGINE_REBOOT_REQUIRED && event->lost)
                        install_again(engine, event, now, effects);
                else if (event->rebooted)
                        fell_back(engine, event, ecu, now, effects);
                else if (engine->state == ENGINE_REBOOT_REQUIRED)
                        engine_request_reboot(engine, now, effects);
                else
                        begin_trial(engine, event, now, effects); /* what runs cannot have changed */
                return;
        }
        begin_trial(engine, event, now, effects);
}
