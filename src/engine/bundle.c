/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bundle, one outcome:
 *
 *   pending -> prepared           every ECU, side by side; nothing that runs is touched, so a failure costs nothing
 *   prepared -> installing -> installed | need-reboot      only when all are prepared, by order; the Primary alone, behind all others
 *   failed; rolling-back -> rolled-back                    where one fails: those that can, what they ran before
 *
 * Where the first installation has begun, there is no way back to waiting: what may be repeated is repeated from here, soon,
 * some times, and then the bundle has failed; a way back that fails, too. Those under way are heard first: an installation is
 * never broken off. Where conditions cease, no other ECU begins; what was prepared by then is prepared again.
 *
 * An ECU that waits for a reboot of its own (reboot_by) is installing, but not busy: it takes nobody's place, and who has failed does
 * not wait for it. Whenever something is prepared, it is asked with the others, and goes on waiting where they begin.
 *
 * Behind the reboot (completing), an ECU whose installation ends only there goes through the same states once more, while the
 * Primary is on trial.
 */
#include <limits.h>

#include "engine/engine-private.h"

size_t engine_find_ecu(const Engine *engine, EngineEcuState state)
{
        size_t i = 0;

        while (i < engine->update.n_ecus && engine->update.ecus[i].state != state)
                i++;
        return i;
}

bool engine_has_ecu(const Engine *engine, EngineEcuState state)
{
        return engine_find_ecu(engine, state) < engine->update.n_ecus;
}

static void move_all(Engine *engine, EngineEcuState from, EngineEcuState to)
{
        for (size_t i = 0; i < engine->update.n_ecus; i++)
                if (engine->update.ecus[i].state == from)
                        engine->update.ecus[i].state = to;
}

/* ---- the end of a bundle that failed ---- */

void engine_set_reason(EngineEcu *ecu, ErrorReport result, const char *prefix, const char *why)
{
        Error text = { 0 };

        (void) error_set(&text, ERR_INSTALL, "%s%s", prefix, why);
        ecu->result = result;
        error_copy_message(&text, ecu->description, sizeof ecu->description);
}

void engine_fail_ecu(Engine *engine, EngineEcu *ecu, const Error *error)
{
        ecu->state = ENGINE_ECU_FAILED;
        ecu->reboot_by = 0;
        ecu->result = error_info(error->code)->report;
        error_copy_message(error, ecu->description, sizeof ecu->description);
        engine_refuse(engine, engine->update.fingerprint);
}

/*
 * One that failed by itself has been told to go back by whoever installed it. What the Primary runs stays, for whatever
 * becomes of the others; what waits for its reboot must not be booted any more.
 */
static bool goes_back(const Engine *engine, const EngineEcu *ecu)
{
        if (!ecu->begun || !ecu->restorable)
                return false;
        return ecu->primary ? ecu->state == ENGINE_ECU_NEED_REBOOT : !engine->policy.keep && ecu->state != ENGINE_ECU_FAILED;
}

/* Who is not at fault says so. */
static void give_up(Engine *engine, ErrorReport result, const char *why, EngineEffects *effects)
{
        const char *prefix = engine_has_ecu(engine, ENGINE_ECU_FAILED) ? "not installed: " : "";

        if (engine->completing) {
                engine_completion_failed(engine, result, why, effects);
                return;
        }
        for (size_t i = 0; i < engine->update.n_ecus; i++) {
                EngineEcu *ecu = &engine->update.ecus[i];

                if (goes_back(engine, ecu)) {
                        ecu->state = ENGINE_ECU_ROLLING_BACK;
                        engine_set_reason(ecu, result, "rolled back: ", why);
                } else if (ecu->state != ENGINE_ECU_INSTALLED && ecu->state != ENGINE_ECU_FAILED && ecu->state != ENGINE_ECU_ROLLED_BACK) {
                        ecu->state = ENGINE_ECU_FAILED;
                        if (!ecu->ended) /* else it has a reason of its own */
                                engine_set_reason(ecu, result, ecu->reboot_by ? "it waits for its reboot still: " : prefix, why);
                }
                ecu->reboot_by = 0;
                ecu->ended = false;
        }
        engine->attempts = engine->interruptions = 0; /* of the way back, from here */
        engine_refuse(engine, engine->update.fingerprint);
        if (!engine_has_ecu(engine, ENGINE_ECU_ROLLING_BACK)) {
                engine_finalize(engine, effects);
                return;
        }
        engine_enter(engine, ENGINE_FINALIZING);
        engine_persist(effects);
        engine_disarm(engine, effects); /* a poll that was planned: the timer is for what is to be repeated */
        engine_emit(effects, ENGINE_DO_RESTORE);
}

void engine_give_up(Engine *engine, const Error *error, EngineEffects *effects)
{
        give_up(engine, error_info(error->code)->report, error->message, effects);
}

void engine_give_up_failed(Engine *engine, EngineEffects *effects)
{
        size_t i = engine_find_ecu(engine, ENGINE_ECU_FAILED);
        EngineEcu ecu = { .result = REPORT_INSTALL_FAILED };

        if (i < engine->update.n_ecus)
                ecu = engine->update.ecus[i];
        give_up(engine, ecu.result, ecu.description, effects);
}

/* ---- installing ---- */

/* Waiting for a reboot of its own is not. */
static bool is_busy(const Engine *engine)
{
        for (size_t i = 0; i < engine->update.n_ecus; i++)
                if (engine->update.ecus[i].state == ENGINE_ECU_INSTALLING && !engine->update.ecus[i].reboot_by)
                        return true;
        return false;
}

/* What is completed behind the reboot was begun before it, and decides about what runs now: it waits for nothing. */
static bool is_blocked(const Engine *engine)
{
        return engine->blocked[ENGINE_STAGE_INSTALL] && !engine->completing;
}

/* Nothing is begun on an ECU that only waits for its reboot. */
static bool may_go_on(const Engine *engine, const EngineEcu *ecu)
{
        return ecu->state == ENGINE_ECU_PREPARED && (ecu->reboot_by || !is_blocked(engine));
}

static bool can_go_on(const Engine *engine)
{
        for (size_t i = 0; i < engine->update.n_ecus; i++)
                if (may_go_on(engine, &engine->update.ecus[i]))
                        return true;
        return false;
}

static int order_of(const EngineEcu *ecu)
{
        return ecu->primary ? INT_MAX : ecu->order;
}

/* The next ECUs: those of the lowest order, as many at a time as may be. */
static void commit(Engine *engine, EngineEffects *effects)
{
        EngineUpdate *update = &engine->update;
        int order = INT_MAX;
        unsigned running = 0;
        bool more = false;

        for (size_t i = 0; i < update->n_ecus; i++) {
                bool installing = update->ecus[i].state == ENGINE_ECU_INSTALLING;

                running += installing && !update->ecus[i].reboot_by;
                if ((installing || may_go_on(engine, &update->ecus[i])) && order_of(&update->ecus[i]) < order)
                        order = order_of(&update->ecus[i]);
        }
        for (size_t i = 0; i < update->n_ecus; i++) {
                EngineEcu *ecu = &update->ecus[i];

                if (!may_go_on(engine, ecu) || order_of(ecu) != order || (!ecu->reboot_by && running >= engine->policy.parallel))
                        continue;
                ecu->state = ENGINE_ECU_INSTALLING;
                ecu->begun = more = true;
                running += !ecu->reboot_by;
        }
        engine_persist(effects);
        if (more)
                engine_emit(effects, ENGINE_DO_INSTALL);
}

/* Whether this update has changed an ECU. */
static bool is_on_an_ecu(const Engine *engine)
{
        for (size_t i = 0; i < engine->update.n_ecus; i++) {
                const EngineEcu *ecu = &engine->update.ecus[i];

                if (ecu->begun && (ecu->state == ENGINE_ECU_INSTALLED || ecu->state == ENGINE_ECU_NEED_REBOOT || ecu->reboot_by))
                        return true;
        }
        return false;
}

/* A condition does not hold (any more). What is on an ECU stays there, and the rest waits; before, it is as if nothing was prepared. */
static void hold_back(Engine *engine, int64_t now, EngineEffects *effects)
{
        engine->interruptions = 0; /* it may be held for as long as it likes */
        if (is_on_an_ecu(engine)) {
                engine_enter(engine, ENGINE_INSTALLING);
                engine_persist(effects);
                return;
        }
        move_all(engine, ENGINE_ECU_PREPARED, ENGINE_ECU_PENDING);
        engine_await_conditions(engine, now, effects);
}

bool engine_is_held(const Engine *engine)
{
        return engine->state == ENGINE_INSTALLING && engine_has_ecu(engine, ENGINE_ECU_PREPARED) &&
               !engine_has_ecu(engine, ENGINE_ECU_PENDING) && !is_busy(engine);
}

void engine_let_go(Engine *engine, int64_t now, EngineEffects *effects)
{
        move_all(engine, ENGINE_ECU_PREPARED, ENGINE_ECU_PENDING);
        engine_go_on(engine, now, effects);
}

void engine_go_on(Engine *engine, int64_t now, EngineEffects *effects)
{
        if (engine_has_ecu(engine, ENGINE_ECU_PENDING)) {
                move_all(engine, ENGINE_ECU_INSTALLING, ENGINE_ECU_PENDING); /* what waits for its reboot is asked again */
                engine_enter(engine, ENGINE_INSTALLING);
                engine_persist(effects);
                engine_disarm(engine, effects); /* a poll that was planned: the timer is for what is to be repeated */
                engine_emit(effects, ENGINE_DO_PREPARE);
        } else if (can_go_on(engine)) {
                engine_enter(engine, ENGINE_INSTALLING);
                commit(engine, effects);
        } else if (engine_has_ecu(engine, ENGINE_ECU_PREPARED)) {
                hold_back(engine, now, effects);
        } else if (engine_has_ecu(engine, ENGINE_ECU_INSTALLING)) {
                engine_persist(effects); /* until it is rebooted */
        } else if (engine->completing) {
                engine_assess(engine, effects);
        } else if (engine_has_ecu(engine, ENGINE_ECU_NEED_REBOOT)) {
                engine_enter(engine, ENGINE_REBOOT_REQUIRED);
                engine_persist(effects);
                engine_request_reboot(engine, now, effects);
        } else
                engine_finalize(engine, effects);
}

/* Some could not for now. While nothing is changed there is no hurry, and the Director may think better of it. */
static void repeat(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        Error error = event->kind == ENGINE_ECU_REFUSED ? event->error : engine->last_error;

        move_all(engine, ENGINE_ECU_PREPARED, ENGINE_ECU_PENDING);
        if (!is_on_an_ecu(engine)) {
                engine_update_failed(engine, event, now, effects);
                return;
        }
        if (++engine->attempts >= ENGINE_ATTEMPTS_MAX) {
                if (error.code == ERR_NONE) /* of a newer version: not known here */
                        (void) error_set(&error, ERR_INSTALL, "an ECU could not install its image in %d attempts", engine->attempts);
                if (event->kind == ENGINE_ECU_REFUSED)
                        engine_fail_ecu(engine, &engine->update.ecus[event->index], &error);
                engine_give_up(engine, &error, effects);
                return;
        }
        engine->failures++;
        if (engine_has_ecu(engine, ENGINE_ECU_INSTALLING))
                engine_emit(effects, ENGINE_DO_STOP); /* what waits for its reboot is asked again, with the others */
        move_all(engine, ENGINE_ECU_INSTALLING, ENGINE_ECU_PENDING);
        engine_persist(effects);
        engine_arm_backoff(engine, event, now, effects);
}

/* An ECU has ended what it was installing. */
static void settle(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        bool failed = engine_has_ecu(engine, ENGINE_ECU_FAILED), again = engine_has_ecu(engine, ENGINE_ECU_PENDING);

        engine_persist(effects);
        if (is_busy(engine)) {
                if (!failed && !again && !is_blocked(engine))
                        commit(engine, effects);
        } else if (failed)
                engine_give_up_failed(engine, effects);
        else if (again)
                repeat(engine, event, now, effects);
        else
                engine_go_on(engine, now, effects);
}

/* Whether this is still being prepared, or is on its way back. */
static bool is_under_way(const Engine *engine, EngineEcuState state)
{
        for (size_t i = 0; i < engine->update.n_ecus; i++)
                if (engine->update.ecus[i].state == state && !engine->update.ecus[i].ended)
                        return true;
        return false;
}

/* One cannot be prepared: the others may have reasons of their own why not, which are heard before it is over. */
static void settle_failed_preparation(Engine *engine, EngineEffects *effects)
{
        if (is_under_way(engine, ENGINE_ECU_PENDING))
                engine_persist(effects);
        else
                engine_give_up_failed(engine, effects);
}

static void on_not_prepared(Engine *engine, EngineEcu *ecu, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        bool never = error_info(event->error.code)->retry == RETRY_NEVER;

        engine_note_error(engine, &event->error, now, effects);
        if (!never && !engine_has_ecu(engine, ENGINE_ECU_FAILED)) {
                engine_emit(effects, ENGINE_DO_STOP); /* it is made again as a whole: the others need not go on */
                settle(engine, event, now, effects);
                return;
        }
        engine_fail_ecu(engine, ecu, &event->error);
        if (!never) {
                ecu->state = ENGINE_ECU_PENDING; /* it might have been, but there is no other time */
                ecu->ended = true;
        }
        settle_failed_preparation(engine, effects);
}

static void on_refused(Engine *engine, EngineEcu *ecu, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        if (ecu->state == ENGINE_ECU_PENDING) {
                on_not_prepared(engine, ecu, event, now, effects);
                return;
        }
        engine_note_error(engine, &event->error, now, effects);
        if (error_info(event->error.code)->retry == RETRY_NEVER)
                engine_fail_ecu(engine, ecu, &event->error);
        else
                ecu->state = ENGINE_ECU_PENDING;
        settle(engine, event, now, effects);
}

/* It leaves its place to others. Behind a restart it says so again, and the time that it has stays the same. */
static void on_awaits(Engine *engine, EngineEcu *ecu, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        if (ecu->reboot_by || engine->completing)
                return;
        ecu->reboot_by = event->until;
        settle(engine, event, now, effects);
}

/* Others may have been waiting for it, and for long: they are prepared again. */
static bool kept_others_waiting(const Engine *engine)
{
        return engine_has_ecu(engine, ENGINE_ECU_PREPARED) && !engine_has_ecu(engine, ENGINE_ECU_FAILED) && engine_is_held(engine);
}

static void on_done(Engine *engine, EngineEcu *ecu, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        bool prepared = ecu->state == ENGINE_ECU_PENDING, waited = ecu->reboot_by;
        EngineEvent refused = { .kind = ENGINE_ECU_REFUSED, .index = event->index };

        ecu->begun = true;
        if (event->need_reboot && engine->completing) {
                (void) error_set(&refused.error, ERR_INSTALL, "%s: it asks for one more reboot", ecu->serial);
                on_refused(engine, ecu, &refused, now, effects);
                return;
        }
        ecu->state = event->need_reboot ? ENGINE_ECU_NEED_REBOOT : ENGINE_ECU_INSTALLED;
        ecu->reboot_by = 0;
        if (!prepared && waited && kept_others_waiting(engine))
                engine_let_go(engine, now, effects);
        else if (!prepared)
                settle(engine, event, now, effects);
        else if (engine_has_ecu(engine, ENGINE_ECU_FAILED))
                settle_failed_preparation(engine, effects);
        else if (engine_has_ecu(engine, ENGINE_ECU_PENDING))
                engine_persist(effects);
        else
                engine_go_on(engine, now, effects);
}

static void on_ready(Engine *engine, EngineEcu *ecu, int64_t now, EngineEffects *effects)
{
        ecu->state = ENGINE_ECU_PREPARED;
        if (engine_has_ecu(engine, ENGINE_ECU_FAILED))
                settle_failed_preparation(engine, effects);
        else if (!engine_has_ecu(engine, ENGINE_ECU_PENDING))
                engine_go_on(engine, now, effects);
}

static void end_restore(Engine *engine, EngineEffects *effects)
{
        move_all(engine, ENGINE_ECU_ROLLING_BACK, ENGINE_ECU_FAILED);
        engine_finalize(engine, effects);
}

void engine_resume_restore(Engine *engine, EngineEffects *effects)
{
        if (++engine->interruptions >= ENGINE_INTERRUPTIONS_MAX) {
                end_restore(engine, effects);
                return;
        }
        engine_persist(effects);
        engine_emit(effects, ENGINE_DO_RESTORE);
}

/* When all have been heard, those that could not go back try again, soon; at the next start, too. */
static void repeat_restore(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        for (size_t i = 0; i < engine->update.n_ecus; i++)
                engine->update.ecus[i].ended = false;
        if (++engine->attempts >= ENGINE_ATTEMPTS_MAX) {
                end_restore(engine, effects);
                return;
        }
        engine->failures++;
        engine_arm_backoff(engine, event, now, effects);
}

static void on_restored(Engine *engine, EngineEcu *ecu, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        static const char again[] = "it could not be rolled back: ";

        if (event->error.code != ERR_NONE) {
                engine_note_error(engine, &event->error, now, effects);
                engine_set_reason(ecu, ecu->result, again, event->error.message);
                ecu->ended = true;
        } else {
                if (strncmp(ecu->description, again, strlen(again)) == 0)
                        engine_set_reason(ecu, ecu->result, "rolled back: ", "not at the first attempt");
                ecu->state = ENGINE_ECU_ROLLED_BACK;
        }
        engine_persist(effects);
        if (!engine_has_ecu(engine, ENGINE_ECU_ROLLING_BACK))
                engine_finalize(engine, effects);
        else if (!is_under_way(engine, ENGINE_ECU_ROLLING_BACK))
                repeat_restore(engine, event, now, effects);
}

void engine_ecu_event(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        bool known = event->index < engine->update.n_ecus && !engine->update.ecus[event->index].ended;
        EngineEcu *ecu = known ? &engine->update.ecus[event->index] : NULL;
        bool installing = ecu && engine->state == ENGINE_INSTALLING;
        bool pending = installing && ecu->state == ENGINE_ECU_PENDING && !engine_has_ecu(engine, ENGINE_ECU_INSTALLING);
        bool under_way = pending || (installing && ecu->state == ENGINE_ECU_INSTALLING);

        if (event->kind == ENGINE_ECU_READY && pending)
                on_ready(engine, ecu, now, effects);
        else if (event->kind == ENGINE_ECU_DONE && under_way)
                on_done(engine, ecu, event, now, effects);
        else if (event->kind == ENGINE_ECU_AWAITS && under_way && !pending)
                on_awaits(engine, ecu, event, now, effects);
        else if (event->kind == ENGINE_ECU_REFUSED && under_way)
                on_refused(engine, ecu, event, now, effects);
        else if (event->kind == ENGINE_ECU_RESTORED && ecu && ecu->state == ENGINE_ECU_ROLLING_BACK && !engine->rolling_back &&
                 engine->state == ENGINE_FINALIZING)
                on_restored(engine, ecu, event, now, effects);
}

/* Nothing is left but to wait for reboots, which may be through many of ours: only longer than they have is too often. */
static bool awaits_reboots(const Engine *engine, int64_t now)
{
        size_t n = 0;

        for (size_t i = 0; i < engine->update.n_ecus; i++) {
                const EngineEcu *ecu = &engine->update.ecus[i];

                if (ecu->reboot_by && ecu->reboot_by > now)
                        n++;
                else if (ecu->state == ENGINE_ECU_PENDING && (ecu->begun || ecu->reboot_by))
                        return false;
        }
        return n > 0;
}

void engine_go_on_interrupted(Engine *engine, const char *what, int64_t now, EngineEffects *effects)
{
        Error error = { 0 };

        if (engine_has_ecu(engine, ENGINE_ECU_FAILED)) {
                engine_give_up_failed(engine, effects);
                return;
        }
        if (awaits_reboots(engine, now) || ++engine->interruptions < ENGINE_INTERRUPTIONS_MAX) {
                engine_go_on(engine, now, effects);
                return;
        }
        (void) error_set(&error, ERR_INSTALL, "%s was interrupted %d times", what, engine->interruptions);
        engine_note_error(engine, &error, now, effects);
        engine_give_up(engine, &error, effects);
}

/* Every installer finds out by itself how far it had come. */
void engine_resume_install(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        /* it was rebooted into what had just been deployed, or is behind the reboot for long */
        bool behind = engine_on_trial(engine, event->booted) || engine->completing;

        move_all(engine, ENGINE_ECU_INSTALLING, ENGINE_ECU_PENDING);
        if (behind)
                engine_after_reboot(engine, event, now, effects);
        else
                engine_go_on_interrupted(engine, "the installation", now, effects);
}
