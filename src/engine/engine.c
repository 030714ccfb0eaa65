/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One function per event. engine_enter() is the only setter of the state; proceed() is the one place that decides what an
 * update waits for next, so that consent, postponement and restarts all come through the same door.
 */
#include "engine/engine-private.h"

#include <assert.h>
#include <stdio.h>

#include "base/codec.h"

#define BACKOFF_FIRST 30 /* seconds; doubles with every failure in a row, up to BACKOFF_INTERVALS poll intervals */
#define BACKOFF_INTERVALS 4

void engine_init(Engine *engine, const EnginePolicy *policy)
{
        *engine = (Engine) { .policy = *policy, .state = ENGINE_UNPROVISIONED };
        if (engine->policy.parallel == 0)
                engine->policy.parallel = 1;
        memcpy(engine->blocked, policy->conditional, sizeof engine->blocked);
}

void engine_done(Engine *engine)
{
        engine_update_done(&engine->update);
        engine_update_done(&engine->finished);
}

/* ---- effects ---- */

EngineEffect *engine_emit(EngineEffects *effects, EngineEffectKind kind)
{
        EngineEffect *e;

        assert(effects->n < ENGINE_EFFECTS_MAX);
        e = &effects->list[effects->n++];
        *e = (EngineEffect) { .kind = kind };
        return e;
}

/* Stores the engine as it is after this step, before any other effect of it. */
void engine_persist(EngineEffects *effects)
{
        if (effects->n && effects->list[0].kind == ENGINE_DO_PERSIST)
                return;
        assert(effects->n < ENGINE_EFFECTS_MAX);
        memmove(effects->list + 1, effects->list, effects->n++ * sizeof *effects->list);
        effects->list[0] = (EngineEffect) { .kind = ENGINE_DO_PERSIST };
}

void engine_enter(Engine *engine, EngineState state)
{
        engine->state = state;
}

static void arm(Engine *engine, int64_t seconds, uint32_t entropy, int64_t now, EngineEffects *effects)
{
        int64_t spread = seconds * engine->policy.jitter / 100;

        if (spread > 0)
                seconds += (int64_t) (entropy % (uint64_t) (2 * spread + 1)) - spread;
        engine->next_check = now + seconds;
        engine_emit(effects, ENGINE_DO_TIMER)->seconds = seconds;
}

static void arm_interval(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        arm(engine, engine->policy.interval, event->entropy, now, effects);
}

void engine_arm_backoff(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        int64_t pause = BACKOFF_FIRST, most = engine->policy.interval * BACKOFF_INTERVALS;

        if (pause > engine->policy.interval)
                pause = engine->policy.interval;
        for (unsigned i = 1; i < engine->failures && pause < most; i++)
                pause *= 2;
        arm(engine, pause < most ? pause : most, event->entropy, now, effects);
}

/* Tries again after an error: soon and ever later, or at the next regular poll. */
static void arm_after(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        if (error_info(event->error.code)->retry == RETRY_BACKOFF) {
                engine->failures++;
                engine_arm_backoff(engine, event, now, effects);
        } else
                arm_interval(engine, event, now, effects);
}

/* A time further away than anyone may ask for was set by a clock that has since been put right. */
static bool is_postponed(const Engine *engine, int64_t now)
{
        return engine->postponed_until > now && engine->postponed_until - now <= ENGINE_POSTPONE_MAX;
}

/* Until then, exactly; but looks around at every regular poll, for the Director may withdraw the offer meanwhile. */
static void arm_postponed(Engine *engine, int64_t now, EngineEffects *effects)
{
        int64_t rest = engine->postponed_until - now, pause = rest < engine->policy.interval ? rest : engine->policy.interval;

        engine->next_check = now + pause;
        engine_emit(effects, ENGINE_DO_TIMER)->seconds = pause;
}

void engine_disarm(Engine *engine, EngineEffects *effects)
{
        engine->next_check = 0;
        engine_emit(effects, ENGINE_DO_TIMER)->seconds = -1;
}

void engine_note_error(Engine *engine, const Error *error, int64_t now, EngineEffects *effects)
{
        engine->last_error = *error;
        engine->last_error_time = now;
        if (error_info(error->code)->attack == ATTACK_NONE)
                return;
        engine_persist(effects);
        engine_emit(effects, ENGINE_DO_ATTACK)->error = *error;
}

/* ---- the update ---- */

static size_t count_pending(const EngineUpdate *update)
{
        size_t n = 0;

        for (size_t i = 0; i < update->n_ecus; i++)
                n += update->ecus[i].state != ENGINE_ECU_INSTALLED;
        return n;
}

static void drop_update(Engine *engine)
{
        engine_update_done(&engine->update);
        engine->has_update = false;
        engine->waiting = false;
        engine->downloaded = false;
        engine->postponed_until = 0;
        engine->attempts = 0;
        engine->interruptions = 0;
        engine->assessments = 0;
        engine->rolling_back = engine->completing = false;
        memset(engine->approved, 0, sizeof engine->approved);
        memset(engine->offered, 0, sizeof engine->offered);
}

/* The update is over: moves it to where ENGINE_DO_FINISHED finds it. */
static EngineEffect *retire_update(Engine *engine, EngineEffects *effects)
{
        engine_update_done(&engine->finished);
        engine->finished = engine->update;
        engine->update = (EngineUpdate) { 0 };
        drop_update(engine);
        engine_persist(effects);
        return engine_emit(effects, ENGINE_DO_FINISHED);
}

/* The Director does not want it any more: the consent given for it is void, and whoever was asked for it is told. */
static void void_update(Engine *engine, EngineEffects *effects)
{
        EngineEffect *e;

        if (!engine->has_update)
                return;
        e = retire_update(engine, effects);
        e->result = error_info(ERR_WITHDRAWN)->report;
        (void) snprintf(e->text, sizeof e->text, "the Director withdrew or replaced it");
}

/* The same update was verified again: what the ECUs say they run now is newer than what was remembered. */
static void refresh_update(Engine *engine, EngineUpdate *update)
{
        EngineEcu *old = engine->update.ecus;

        assert(update->n_ecus == engine->update.n_ecus); /* the fingerprint covers every ECU */
        for (size_t i = 0; i < update->n_ecus; i++) {
                update->ecus[i].begun = old[i].begun;
                if (update->ecus[i].state == ENGINE_ECU_PENDING && old[i].state == ENGINE_ECU_NEED_REBOOT)
                        update->ecus[i].state = ENGINE_ECU_NEED_REBOOT;
        }
        engine->update.ecus = TAKE_PTR(update->ecus);
        update->n_ecus = 0;
        free(old);
}

static void take_update(Engine *engine, EngineUpdate *update, int64_t now, EngineEffects *effects)
{
        void_update(engine, effects);
        engine->update = *update;
        *update = (EngineUpdate) { 0 };
        engine->update.offered_at = now;
        engine->has_update = true;
}

static void offer(Engine *engine, EngineStage stage, EngineEffects *effects)
{
        if (engine->offered[stage])
                return;
        engine->offered[stage] = true;
        engine_emit(effects, ENGINE_DO_OFFER)->stage = stage;
}

static bool needs_consent(const Engine *engine, EngineStage stage)
{
        return engine->policy.ask[stage] && !engine->approved[stage];
}

static void start_check(Engine *engine, EngineEffects *effects)
{
        engine_enter(engine, ENGINE_CHECKING);
        engine_emit(effects, ENGINE_DO_CHECK);
}

/* Uptane 5.4.3.5 (b): when the vehicle, or who speaks for it, agrees */
static void await_consent(Engine *engine, EngineStage stage, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        engine->stage = stage;
        engine->waiting = true;
        engine_enter(engine, ENGINE_AWAITING_CONSENT);
        engine_persist(effects);
        offer(engine, stage, effects);
        arm_interval(engine, event, now, effects); /* the Director may withdraw the offer meanwhile */
}

void engine_request_reboot(Engine *engine, int64_t now, EngineEffects *effects)
{
        if (is_postponed(engine, now)) {
                engine_emit(effects, ENGINE_DO_HOLD); /* it may have been released before */
                arm_postponed(engine, now, effects);
        } else if (needs_consent(engine, ENGINE_STAGE_REBOOT))
                offer(engine, ENGINE_STAGE_REBOOT, effects);
        else
                engine_emit(effects, engine->blocked[ENGINE_STAGE_REBOOT] ? ENGINE_DO_HOLD : ENGINE_DO_REBOOT);
}

/* Looks around at every regular poll, for the Director may withdraw the update meanwhile. */
void engine_await_conditions(Engine *engine, int64_t now, EngineEffects *effects)
{
        engine->waiting = false;
        engine_enter(engine, ENGINE_READY);
        engine_persist(effects);
        engine->next_check = now + engine->policy.interval;
        engine_emit(effects, ENGINE_DO_TIMER)->seconds = engine->policy.interval;
}

void engine_finalize(Engine *engine, EngineEffects *effects)
{
        engine_enter(engine, ENGINE_FINALIZING);
        engine_persist(effects);
        engine_emit(effects, ENGINE_DO_FINALIZE);
}

/* What the update waits for next. Uptane 5.4 (a), Uptane 5.4.3 (3): what is installed was fetched and verified before. */
static void proceed(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        EngineStage stage = engine->downloaded ? ENGINE_STAGE_INSTALL : ENGINE_STAGE_DOWNLOAD;

        if (is_postponed(engine, now)) {
                engine_enter(engine, engine->waiting ? ENGINE_AWAITING_CONSENT : ENGINE_READY);
                engine_persist(effects);
                arm_postponed(engine, now, effects);
        } else if (needs_consent(engine, stage)) {
                await_consent(engine, stage, event, now, effects);
        } else if (engine->blocked[stage]) {
                engine_await_conditions(engine, now, effects);
        } else if (!engine->downloaded) {
                engine->waiting = false;
                engine_enter(engine, ENGINE_DOWNLOADING);
                engine_persist(effects);
                engine_emit(effects, ENGINE_DO_DOWNLOAD);
        } else {
                engine->waiting = false;
                engine_go_on(engine, now, effects);
        }
}

bool engine_holds_reboot(const Engine *engine, int64_t now)
{
        return needs_consent(engine, ENGINE_STAGE_REBOOT) || is_postponed(engine, now) || engine->blocked[ENGINE_STAGE_REBOOT];
}

bool engine_waits_for_conditions(const Engine *engine, int64_t now, EngineStage *ret)
{
        if (engine->state == ENGINE_READY)
                *ret = engine->downloaded ? ENGINE_STAGE_INSTALL : ENGINE_STAGE_DOWNLOAD;
        else if (engine->state == ENGINE_REBOOT_REQUIRED && !needs_consent(engine, ENGINE_STAGE_REBOOT))
                *ret = ENGINE_STAGE_REBOOT;
        else if (engine_is_held(engine))
                *ret = ENGINE_STAGE_INSTALL;
        else
                return false;
        return engine->blocked[*ret] && (engine->state == ENGINE_INSTALLING || !is_postponed(engine, now));
}

/* Back to waiting; what was interrupted will be started again. */
static void retreat(Engine *engine, EngineEffects *effects)
{
        for (size_t i = 0; i < engine->update.n_ecus; i++)
                if (engine->update.ecus[i].state == ENGINE_ECU_INSTALLING || engine->update.ecus[i].state == ENGINE_ECU_PREPARED)
                        engine->update.ecus[i].state = ENGINE_ECU_PENDING;
        engine_enter(engine, engine->has_update && engine->waiting ? ENGINE_AWAITING_CONSENT : ENGINE_IDLE);
        engine_persist(effects);
}

/*
 * An update that could not be downloaded or installed: again later, or never; then that is reported at once
 * (Uptane 5.4.3.3 (e), Uptane 5.4.3.4 (c)).
 */
void engine_update_failed(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        ErrorRetry retry = error_info(event->error.code)->retry;
        /* A bad network may last for days; everything else is given up after some attempts. */
        bool transport = retry == RETRY_BACKOFF && engine->state == ENGINE_DOWNLOADING;

        engine_note_error(engine, &event->error, now, effects);
        if (retry == RETRY_NEVER || (!transport && ++engine->attempts >= ENGINE_ATTEMPTS_MAX)) {
                if (event->kind == ENGINE_ECU_REFUSED)
                        engine_fail_ecu(engine, &engine->update.ecus[event->index], &event->error);
                engine_give_up(engine, &event->error, effects);
                return;
        }
        engine->downloaded = false;
        retreat(engine, effects);
        arm_after(engine, event, now, effects);
}

static void finish(Engine *engine, EngineEffects *effects)
{
        EngineEffect *e = retire_update(engine, effects);

        for (size_t i = 0; i < engine->finished.n_ecus && e->result == REPORT_OK; i++)
                if (engine->finished.ecus[i].state != ENGINE_ECU_INSTALLED) {
                        e->result = engine->finished.ecus[i].result;
                        (void) snprintf(e->text, sizeof e->text, "%s", engine->finished.ecus[i].description);
                }
        engine_enter(engine, ENGINE_IDLE);
}

/* ---- events ---- */

/* The store does not know of a registration (any more): everything else can only follow from a new one. */
static void unprovision(Engine *engine, EngineEffects *effects)
{
        void_update(engine, effects);
        engine->paused_from = ENGINE_UNPROVISIONED;
        if (engine->state != ENGINE_PAUSED)
                engine_enter(engine, ENGINE_UNPROVISIONED);
}

static void on_started(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        if (!event->provisioned)
                unprovision(engine, effects);
        switch (engine->state) {
        case ENGINE_UNPROVISIONED:
                if (event->provisioned)
                        start_check(engine, effects);
                else
                        engine_emit(effects, ENGINE_DO_REGISTER);
                break;
        case ENGINE_IDLE:
        case ENGINE_CHECKING:
        case ENGINE_AWAITING_CONSENT:
        case ENGINE_DOWNLOADING:
        case ENGINE_READY:
                start_check(engine, effects);
                break;
        case ENGINE_INSTALLING:
                engine_resume_install(engine, event, now, effects);
                break;
        case ENGINE_REBOOT_REQUIRED:
                engine_after_reboot(engine, event, now, effects);
                break;
        case ENGINE_FINALIZING:
                if (engine_awaits_boot(engine))
                        engine_after_reboot(engine, event, now, effects);
                else if (engine_has_ecu(engine, ENGINE_ECU_ROLLING_BACK))
                        engine_resume_restore(engine, effects);
                else
                        engine_emit(effects, ENGINE_DO_FINALIZE);
                break;
        case ENGINE_REPORTING:
                engine_emit(effects, ENGINE_DO_REPORT);
                break;
        case ENGINE_PAUSED:
        case _ENGINE_STATE_MAX:
                break;
        }
}

static void on_timer(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        engine->next_check = 0;
        if (engine->state == ENGINE_UNPROVISIONED)
                engine_emit(effects, ENGINE_DO_REGISTER);
        else if (engine->state == ENGINE_REBOOT_REQUIRED)
                engine_request_reboot(engine, now, effects);
        else if (engine->state == ENGINE_INSTALLING)
                engine_go_on(engine, now, effects);
        else if (engine->state == ENGINE_FINALIZING)
                engine_trial_timer(engine, effects);
        else if (engine->state == ENGINE_IDLE || engine->state == ENGINE_AWAITING_CONSENT || engine->state == ENGINE_READY)
                start_check(engine, effects);
}

static bool same_update(const EngineUpdate *update, const uint8_t *fingerprint)
{
        return update->n_ecus && memcmp(update->fingerprint, fingerprint, SHA256_SIZE) == 0;
}

/* What a check says about the world apart from the update. Writes only what changed: a poll that finds nothing is silent. */
static void note_check(Engine *engine, const EngineEvent *event, bool refused, int64_t now, EngineEffects *effects)
{
        bool failed = event->error.code != ERR_NONE;
        bool cleared = engine->last_error.code != ERR_NONE && !refused; /* why it is refused stays visible */

        engine->last_check = now;
        if (failed || cleared || engine->failures)
                engine_persist(effects);
        engine->failures = 0;
        if (failed)
                engine_note_error(engine, &event->error, now, effects);
        else if (cleared)
                error_clear(&engine->last_error);
}

static void on_checked(Engine *engine, EngineEvent *event, int64_t now, EngineEffects *effects)
{
        EngineUpdate none = { 0 }, *update = event->update ? event->update : &none;
        bool refused = engine_is_refused(engine, update);
        bool known = engine->has_update && same_update(update, engine->update.fingerprint);

        if (engine->state != ENGINE_CHECKING)
                return;
        note_check(engine, event, refused, now, effects);
        if (known)
                refresh_update(engine, update);
        else if (!refused && count_pending(update) > 0)
                take_update(engine, update, now, effects);
        else {
                void_update(engine, effects);
                engine_enter(engine, ENGINE_IDLE);
                arm_interval(engine, event, now, effects);
                return;
        }
        if (count_pending(&engine->update) == 0) {
                engine_finalize(engine, effects); /* it got there after all, behind a failure that was reported too early */
                return;
        }
        if (!engine->downloaded && !is_postponed(engine, now))
                offer(engine, ENGINE_STAGE_DOWNLOAD, effects);
        proceed(engine, event, now, effects);
}

/* Uptane 5.4.4 (d): the next check may succeed; Uptane 5.4.3.2 (b): and its manifest tells of this one */
static void on_check_failed(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        if (engine->state != ENGINE_CHECKING)
                return;
        engine_note_error(engine, &event->error, now, effects);
        retreat(engine, effects);
        arm_after(engine, event, now, effects);
}

static void on_register_failed(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        if (engine->state != ENGINE_UNPROVISIONED)
                return;
        engine_note_error(engine, &event->error, now, effects);
        arm_after(engine, event, now, effects);
}

static void on_registered(Engine *engine, EngineEffects *effects)
{
        if (engine->state != ENGINE_UNPROVISIONED)
                return;
        error_clear(&engine->last_error);
        engine->failures = 0;
        start_check(engine, effects);
        engine_persist(effects);
}

static void on_reported(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        if (engine->state != ENGINE_REPORTING)
                return;
        finish(engine, effects);
        if (event->kind == ENGINE_REPORT_FAILED) {
                engine_note_error(engine, &event->error, now, effects); /* the report itself waits in the store and goes with the next manifest */
                arm_after(engine, event, now, effects);
        } else {
                engine->failures = 0;
                arm_interval(engine, event, now, effects);
        }
}

static void on_reboot_failed(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        if (engine->state != ENGINE_REBOOT_REQUIRED && !engine->rolling_back)
                return;
        engine_note_error(engine, &event->error, now, effects);
        engine->failures++;
        engine_persist(effects);
        engine_arm_backoff(engine, event, now, effects);
}

/* Uptane 5.4.3.5 (b) */
static void on_conditions(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        EngineStage next = engine->downloaded ? ENGINE_STAGE_INSTALL : ENGINE_STAGE_DOWNLOAD;
        bool held_back = engine->blocked[ENGINE_STAGE_REBOOT], blocked = engine->blocked[ENGINE_STAGE_INSTALL];

        for (unsigned i = 0; i < _ENGINE_STAGE_MAX; i++)
                engine->blocked[i] = event->blocked >> i & 1;
        if (engine->state == ENGINE_DOWNLOADING && engine->blocked[ENGINE_STAGE_DOWNLOAD]) {
                engine_emit(effects, ENGINE_DO_STOP); /* what came so far stays */
                engine_await_conditions(engine, now, effects);
        } else if (engine->state == ENGINE_READY && !is_postponed(engine, now) && !engine->blocked[next])
                proceed(engine, event, now, effects);
        else if (engine_is_held(engine) && blocked && !engine->blocked[ENGINE_STAGE_INSTALL])
                engine_let_go(engine, now, effects);
        else if (engine->state == ENGINE_REBOOT_REQUIRED && held_back != engine->blocked[ENGINE_STAGE_REBOOT])
                engine_request_reboot(engine, now, effects);
}

/* ---- the user's verbs; engine_check() has let them pass ---- */

static void on_approve(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        engine->approved[event->stage] = true;
        engine->postponed_until = 0;
        engine_persist(effects);
        if (engine->state == ENGINE_REBOOT_REQUIRED)
                engine_request_reboot(engine, now, effects);
        else if ((engine->state == ENGINE_AWAITING_CONSENT || engine->state == ENGINE_READY) && engine->downloaded)
                proceed(engine, event, now, effects);
        else if (engine->state == ENGINE_AWAITING_CONSENT || engine->state == ENGINE_READY || engine->state == ENGINE_IDLE)
                start_check(engine, effects); /* the offer may be old: look whether it still stands */
}

static void on_decline(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        Error error = { 0 };

        (void) error_set(&error, ERR_DECLINED, "declined by the user%s%.200s", event->text && *event->text ? ": " : "",
                         event->text ? event->text : "");
        engine_emit(effects, ENGINE_DO_STOP);
        if (engine->state == ENGINE_REBOOT_REQUIRED) {
                engine_disarm(engine, effects);
                engine_decline_reboot(engine, &error, now, effects);
                return;
        }
        engine_note_error(engine, &error, now, effects);
        engine_give_up(engine, &error, effects);
}

static void on_postpone(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        engine->postponed_until = event->until;
        memset(engine->offered, 0, sizeof engine->offered); /* the user is asked again then */
        engine_persist(effects);
        if (engine->state == ENGINE_DOWNLOADING || engine->state == ENGINE_CHECKING)
                return; /* takes effect when that is done */
        if (engine->state == ENGINE_REBOOT_REQUIRED)
                engine_request_reboot(engine, now, effects);
        else
                arm_postponed(engine, now, effects);
}

static void on_cancel(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *effects)
{
        Error error = { 0 };

        (void) error_set(&error, ERR_CANCELLED, "cancelled by the user while %s", engine_state_name(engine->state));
        engine_emit(effects, ENGINE_DO_STOP);
        engine_note_error(engine, &error, now, effects);
        drop_update(engine);
        engine_enter(engine, ENGINE_IDLE);
        engine_persist(effects);
        arm_interval(engine, event, now, effects);
}

static void on_pause(Engine *engine, EngineEffects *effects)
{
        engine->paused_from = engine->state;
        engine_emit(effects, ENGINE_DO_STOP);
        engine_enter(engine, ENGINE_PAUSED);
        engine_persist(effects);
        engine_disarm(engine, effects);
}

static void on_resume(Engine *engine, EngineEffects *effects)
{
        if (engine->paused_from == ENGINE_UNPROVISIONED) {
                engine_enter(engine, ENGINE_UNPROVISIONED);
                engine_emit(effects, ENGINE_DO_REGISTER);
        } else
                start_check(engine, effects);
        engine_persist(effects);
}

static void on_check(Engine *engine, EngineEffects *effects)
{
        if (engine->state == ENGINE_UNPROVISIONED)
                engine_emit(effects, ENGINE_DO_REGISTER);
        else if (engine->state != ENGINE_CHECKING)
                start_check(engine, effects);
}

static void on_reboot(Engine *engine, int64_t now, EngineEffects *effects)
{
        engine->approved[ENGINE_STAGE_REBOOT] = true;
        engine->postponed_until = 0;
        engine_persist(effects);
        engine_request_reboot(engine, now, effects);
}

static void on_verb(Engine *engine, const EngineEvent *event, int64_t now, EngineEffects *ret)
{
        Error error = { 0 };

        if (engine_check(engine, event, now, &error) < 0)
                return;
        if (event->kind == ENGINE_CHECK)
                on_check(engine, ret);
        else if (event->kind == ENGINE_APPROVE)
                on_approve(engine, event, now, ret);
        else if (event->kind == ENGINE_DECLINE)
                on_decline(engine, event, now, ret);
        else if (event->kind == ENGINE_POSTPONE)
                on_postpone(engine, event, now, ret);
        else if (event->kind == ENGINE_CANCEL)
                on_cancel(engine, event, now, ret);
        else if (event->kind == ENGINE_PAUSE)
                on_pause(engine, ret);
        else if (event->kind == ENGINE_RESUME)
                on_resume(engine, ret);
        else if (event->kind == ENGINE_REBOOT)
                on_reboot(engine, now, ret);
}

void engine_step(Engine *engine, EngineEvent *event, int64_t now, EngineEffects *ret)
{
        ret->n = 0;
        switch (event->kind) {
        case ENGINE_STARTED:
                on_started(engine, event, now, ret);
                break;
        case ENGINE_REGISTERED:
                on_registered(engine, ret);
                break;
        case ENGINE_REGISTER_FAILED:
                on_register_failed(engine, event, now, ret);
                break;
        case ENGINE_TIMER:
                on_timer(engine, event, now, ret);
                break;
        case ENGINE_CHECKED:
                on_checked(engine, event, now, ret);
                break;
        case ENGINE_CHECK_FAILED:
                on_check_failed(engine, event, now, ret);
                break;
        case ENGINE_DOWNLOADED:
                if (engine->state == ENGINE_DOWNLOADING) {
                        engine->downloaded = true;
                        engine_enter(engine, ENGINE_READY);
                        proceed(engine, event, now, ret);
                }
                break;
        case ENGINE_DOWNLOAD_FAILED:
                if (engine->state == ENGINE_DOWNLOADING)
                        engine_update_failed(engine, event, now, ret);
                break;
        case ENGINE_ECU_READY:
        case ENGINE_ECU_DONE:
        case ENGINE_ECU_AWAITS:
        case ENGINE_ECU_REFUSED:
        case ENGINE_ECU_RESTORED:
                engine_ecu_event(engine, event, now, ret);
                break;
        case ENGINE_ASSESSED:
                engine_assessed(engine, event, now, ret);
                break;
        case ENGINE_ROLLED_BACK:
                engine_rolled_back(engine, event, now, ret);
                break;
        case ENGINE_FINALIZED: /* Uptane 5.4.3 (6) */
                if (engine->state == ENGINE_FINALIZING && !engine_awaits_boot(engine) && !engine_has_ecu(engine, ENGINE_ECU_ROLLING_BACK)) {
                        engine_enter(engine, ENGINE_REPORTING);
                        engine_persist(ret);
                        engine_emit(ret, ENGINE_DO_REPORT);
                }
                break;
        case ENGINE_REPORTED:
        case ENGINE_REPORT_FAILED:
                on_reported(engine, event, now, ret);
                break;
        case ENGINE_REBOOT_FAILED:
                on_reboot_failed(engine, event, now, ret);
                break;
        case ENGINE_CONDITIONS:
                on_conditions(engine, event, now, ret);
                break;
        case ENGINE_CHECK:
        case ENGINE_APPROVE:
        case ENGINE_DECLINE:
        case ENGINE_POSTPONE:
        case ENGINE_CANCEL:
        case ENGINE_PAUSE:
        case ENGINE_RESUME:
        case ENGINE_REBOOT:
                on_verb(engine, event, now, ret);
                break;
        case _ENGINE_EVENT_MAX:
                break;
        }
}
