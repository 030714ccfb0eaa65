/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <stdio.h>

#define JOB_SECONDS 10
#define STATES_MAX 100000

void world_init(World *w, unsigned asks)
{
        *w = (World) { .clock = WORLD_START, .timer = -1, .entropy = 1 };
        sample_policy(asks, &w->policy);
        engine_init(&w->engine, &w->policy);
}

void world_done(World *w)
{
        engine_done(&w->engine);
        buffer_done(&w->stored);
}

/* False if power goes away here. */
static bool power(World *w)
{
        w->points++;
        if (w->points == w->cut || (w->cut_again && w->points == w->cut + w->cut_again))
                w->dark = true;
        return !w->dark;
}

static void write_down(World *w, bool finished, bool attack)
{
        buffer_done(&w->stored);
        engine_save(&w->engine, &w->stored);
        w->writes++;
        w->history += finished;
        w->attacks += attack;
}

static void do_effect(World *w, const EngineEffect *effect, const EngineEffects *all)
{
        switch (effect->kind) {
        case ENGINE_DO_PERSIST:
                write_down(w, effect_find(all, ENGINE_DO_FINISHED), effect_find(all, ENGINE_DO_ATTACK));
                break;
        case ENGINE_DO_STOP:
                w->has_job = false;
                break;
        case ENGINE_DO_INSTALL:
                assert_true(!w->has_job || w->job.kind == ENGINE_DO_INSTALL);
                w->has_job = true;
                w->job = *effect;
                break;
        case ENGINE_DO_REGISTER:
        case ENGINE_DO_CHECK:
        case ENGINE_DO_DOWNLOAD:
        case ENGINE_DO_PREPARE:
        case ENGINE_DO_RESTORE:
        case ENGINE_DO_ASSESS:
        case ENGINE_DO_ROLLBACK:
        case ENGINE_DO_FINALIZE:
        case ENGINE_DO_REPORT:
                assert_true(!w->has_job || w->job.kind == ENGINE_DO_INSTALL); /* of that only those can be left that wait for their reboot */
                w->has_job = true;
                w->job = *effect;
                break;
        case ENGINE_DO_OFFER:
                w->offers[effect->stage]++;
                break;
        case ENGINE_DO_REBOOT:
                w->reboot_asked = true;
                break;
        case ENGINE_DO_HOLD:
                w->holds++;
                break;
        case ENGINE_DO_TIMER:
                w->timer = effect->seconds < 0 ? -1 : w->uptime + effect->seconds;
                break;
        case ENGINE_DO_FINISHED:
                w->finished++;
                w->result = effect->result;
                (void) snprintf(w->finished_id, sizeof w->finished_id, "%s", w->engine.finished.id);
                (void) snprintf(w->why, sizeof w->why, "%s", effect->text);
                break;
        case ENGINE_DO_ATTACK:
                assert_int_equal(all->list[0].kind, ENGINE_DO_PERSIST);
                assert_int_equal(effect->error.code, w->engine.last_error.code);
                break;
        }
}

void world_post(World *w, EngineEvent event)
{
        EngineEffects effects = { 0 };

        event.entropy = w->entropy = w->entropy * 1664525u + 1013904223u;
        engine_step(&w->engine, &event, w->clock, &effects);
        for (size_t i = 0; i < effects.n && power(w); i++)
                do_effect(w, &effects.list[i], &effects);
}

bool world_verb(World *w, EngineEvent event)
{
        Error error = { 0 };

        if (engine_check(&w->engine, &event, w->clock, &error) < 0)
                return false;
        world_post(w, event);
        return true;
}

void world_crash(World *w)
{
        engine_done(&w->engine);
        engine_init(&w->engine, &w->policy);
        w->has_job = w->reboot_asked = w->dark = false;
        w->timer = -1;
}

/* What a boot loader and libostree make of a reboot. */
static void boot(World *w)
{
        if (w->going_back) {
                w->booted = w->before;
                w->going_back = false;
        } else if (w->staged && !w->falls_back && !w->loses) {
                w->before = w->booted;
                w->booted = w->staged;
                w->confirmed = false;
        }
        w->staged = SAMPLE_NONE;
}

void world_start(World *w, bool rebooted)
{
        bool lost = rebooted && w->staged && w->loses;
        Error error = { 0 };

        if (rebooted)
                boot(w);
        w->boots += rebooted;
        if (w->stored.size)
                assert_int_equal(engine_load(&w->engine, buffer_slice(&w->stored), &error), 0);
        world_post(w, (EngineEvent) { .kind = ENGINE_STARTED, .provisioned = w->provisioned, .rebooted = rebooted, .lost = lost,
                                      .booted = sample_commit(w->booted), .rolled_back = w->falls_back });
}

/* ---- jobs ---- */

static bool *secondary(World *w, const EngineEcu *ecu)
{
        return strcmp(ecu->serial, "zone") == 0 ? &w->zone_runs : &w->secondary_runs_a;
}

static bool runs(World *w, const EngineEcu *ecu)
{
        static const uint8_t commits[_SAMPLE_MAX] = { 0x01, 0xa2, 0xb3, 0xc4 };

        return ecu->primary ? ecu->hashes.sha256[0] == commits[w->booted] : *secondary(w, ecu);
}

static bool fails(World *w, ErrorCode code, EngineEvent *event, EngineEventKind kind)
{
        if (code == ERR_NONE)
                return false;
        if (w->fails && --w->fails == 0)
                w->check_fails = w->download_fails = w->secondary_fails = w->zone_fails = w->primary_fails = w->report_fails =
                        w->prepare_fails = w->restore_fails = w->assess_fails = w->rollback_fails = ERR_NONE;
        event->kind = kind;
        event->error = sample_error(code);
        return true;
}

static void end_check(World *w)
{
        EngineEvent event = { .kind = ENGINE_CHECKED };
        EngineUpdate update = { 0 };

        w->checks++;
        if (w->last_check && w->uptime - w->last_check > w->longest_pause)
                w->longest_pause = w->uptime - w->last_check;
        w->last_check = w->uptime;
        if (!fails(w, w->check_fails, &event, ENGINE_CHECK_FAILED) && w->assigned) {
                sample_update(w->assigned, 0, &update);
                for (size_t i = 0; i < update.n_ecus; i++)
                        if (runs(w, &update.ecus[i]))
                                update.ecus[i].state = ENGINE_ECU_INSTALLED;
                event.update = &update;
        }
        world_post(w, event);
        engine_update_done(&update);
}

/* The next of the ECUs in this state; the job goes on while there are others. */
static size_t next_ecu(World *w, EngineEcuState state)
{
        const EngineUpdate *update = &w->engine.update;
        size_t n = 0, first = 0;

        for (size_t i = update->n_ecus; i-- > 0;)
                if (update->ecus[i].state == state && !update->ecus[i].ended) {
                        if (n == 0 || !update->ecus[i].reboot_by || update->ecus[first].reboot_by)
                                first = i;
                        n++;
                }
        assert_true(n > 0);
        w->has_job = n > 1;
        return first;
}

static void end_prepare(World *w)
{
        size_t index = next_ecu(w, ENGINE_ECU_PENDING);
        EngineEvent event = { .kind = ENGINE_ECU_READY, .index = index };

        w->prepared++;
        if (strcmp(w->engine.update.ecus[index].serial, "zone") == 0)
                (void) fails(w, w->prepare_fails, &event, ENGINE_ECU_REFUSED);
        world_post(w, event);
}

static void end_restore(World *w)
{
        size_t index = next_ecu(w, ENGINE_ECU_ROLLING_BACK);
        EngineEvent event = { .kind = ENGINE_ECU_RESTORED, .index = index };

        w->restores++;
        if (!fails(w, w->restore_fails, &event, ENGINE_ECU_RESTORED))
                *secondary(w, &w->engine.update.ecus[index]) = false;
        if (power(w))
                world_post(w, event);
}

static ErrorCode install_fails(const World *w, const EngineEcu *ecu)
{
        return ecu->primary ? w->primary_fails : strcmp(ecu->serial, "zone") == 0 ? w->zone_fails : w->secondary_fails;
}

/* It has its image, and is rebooted by somebody else; fills the event where it has something new to say. */
static bool awaits(World *w, const EngineEcu *ecu, EngineEvent *event)
{
        bool tells = true;

        if (ecu->primary || strcmp(ecu->serial, "zone") == 0 || !w->secondary_awaits)
                return false;
        if (w->secondary_reboots_at == 0)
                w->secondary_reboots_at = w->uptime + w->secondary_awaits;
        if (!ecu->reboot_by)
                *event = (EngineEvent) { .kind = ENGINE_ECU_AWAITS, .index = event->index, .until = w->clock + WORLD_AWAITS_MAX };
        else if (w->uptime >= w->secondary_reboots_at)
                *secondary(w, ecu) = true;
        else if (w->clock >= ecu->reboot_by)
                *event = (EngineEvent) { .kind = ENGINE_ECU_REFUSED, .index = event->index, .error = sample_error(ERR_INSTALL) };
        else
                tells = false;
        w->has_job |= !tells || event->kind == ENGINE_ECU_AWAITS;
        if (tells && power(w))
                world_post(w, *event);
        return true;
}

static void end_install(World *w)
{
        size_t index = next_ecu(w, ENGINE_ECU_INSTALLING);
        const EngineEcu *ecu = &w->engine.update.ecus[index];
        EngineEvent event = { .kind = ENGINE_ECU_DONE, .index = index };

        if (awaits(w, ecu, &event))
                return;
        w->installs++;
        if (!fails(w, install_fails(w, ecu), &event, ENGINE_ECU_REFUSED)) {
                if (!ecu->primary && w->secondary_needs_reboot && (!w->secondary_waits || w->secondary_boot == w->boots)) {
                        w->secondary_waits = event.need_reboot = true;
                        w->secondary_boot = w->boots;
                } else if (!ecu->primary)
                        *secondary(w, ecu) = true;
                else if (!runs(w, ecu)) {
                        w->staged = sample_of(w->engine.update.fingerprint);
                        event.need_reboot = true;
                }
        }
        if (power(w)) /* it was done, but nobody heard of it */
                world_post(w, event);
}

/* It is not interrupted by power alone: software that is bad may be what takes it away. */
static void end_assessment(World *w, EngineEvent *event)
{
        w->assessments++;
        event->kind = ENGINE_ASSESSED;
        event->index = w->job.index;
        if (!fails(w, w->assess_fails, event, ENGINE_ASSESSED))
                w->confirmed = true;
}

static void end_rollback(World *w, EngineEvent *event)
{
        w->rollbacks++;
        event->kind = ENGINE_ROLLED_BACK;
        if (fails(w, w->rollback_fails, event, ENGINE_ROLLED_BACK))
                return;
        event->need_reboot = runs(w, &w->engine.update.ecus[w->job.index]);
        w->going_back = event->need_reboot;
        w->staged = SAMPLE_NONE;
}

static void end_job(World *w)
{
        EngineEvent event = { 0 };

        w->has_job = false;
        switch (w->job.kind) {
        case ENGINE_DO_REGISTER:
                w->provisioned = true;
                event.kind = ENGINE_REGISTERED;
                break;
        case ENGINE_DO_CHECK:
                end_check(w);
                return;
        case ENGINE_DO_PREPARE:
                end_prepare(w);
                return;
        case ENGINE_DO_INSTALL:
                end_install(w);
                return;
        case ENGINE_DO_RESTORE:
                end_restore(w);
                return;
        case ENGINE_DO_DOWNLOAD:
                w->downloads++;
                event.kind = ENGINE_DOWNLOADED;
                (void) fails(w, w->download_fails, &event, ENGINE_DOWNLOAD_FAILED);
                break;
        case ENGINE_DO_ASSESS:
                end_assessment(w, &event);
                break;
        case ENGINE_DO_ROLLBACK:
                end_rollback(w, &event);
                break;
        case ENGINE_DO_FINALIZE:
                event.kind = ENGINE_FINALIZED;
                break;
        case ENGINE_DO_REPORT:
                w->reports++;
                event.kind = ENGINE_REPORTED;
                (void) fails(w, w->report_fails, &event, ENGINE_REPORT_FAILED);
                break;
        case ENGINE_DO_PERSIST:
        case ENGINE_DO_STOP:
        case ENGINE_DO_OFFER:
        case ENGINE_DO_REBOOT:
        case ENGINE_DO_HOLD:
        case ENGINE_DO_TIMER:
        case ENGINE_DO_FINISHED:
        case ENGINE_DO_ATTACK:
                fail();
        }
        world_post(w, event);
}

/* ---- time ---- */

static bool user_acts(World *w)
{
        const Engine *e = &w->engine;
        EngineEvent event = { .kind = ENGINE_APPROVE, .id = e->update.id, .stage = e->stage };

        if (!w->user)
                return false;
        if (e->state == ENGINE_REBOOT_REQUIRED && !w->reboot_asked && w->timer < 0)
                return world_verb(w, (EngineEvent) { .kind = ENGINE_REBOOT });
        if (e->state != ENGINE_AWAITING_CONSENT)
                return false;
        if (w->declines && e->stage == ENGINE_STAGE_INSTALL)
                event = (EngineEvent) { .kind = ENGINE_DECLINE, .id = e->update.id, .text = "no" };
        return world_verb(w, event);
}

static void pass(World *w, int64_t seconds)
{
        w->uptime += seconds;
        w->clock += seconds;
}

/* The next thing that happens within rest seconds; false if nothing does. */
static bool advance(World *w, int64_t rest)
{
        if (w->dark || w->reboot_asked) {
                bool rebooted = w->dark ? w->staged != SAMPLE_NONE || w->going_back : true;

                w->reboots += w->reboot_asked && !w->dark;
                world_crash(w);
                pass(w, JOB_SECONDS);
                world_start(w, rebooted);
        } else if (w->has_job) {
                pass(w, JOB_SECONDS);
                if (power(w))
                        end_job(w);
        } else if (user_acts(w)) {
                pass(w, 1);
        } else if (w->timer >= 0 && w->timer <= w->uptime + rest) {
                pass(w, w->timer > w->uptime ? w->timer - w->uptime : 0);
                w->timer = -1;
                world_post(w, (EngineEvent) { .kind = ENGINE_TIMER });
        } else
                return false;
        return true;
}

void world_run(World *w, int64_t seconds)
{
        int64_t end = w->uptime + seconds;

        for (unsigned i = 0; w->uptime < end && advance(w, end - w->uptime); i++)
                assert_true(i < STATES_MAX);
        if (w->uptime < end)
                pass(w, end - w->uptime);
}

void world_run_until(World *w, EngineState state)
{
        for (unsigned i = 0; w->engine.state != state || w->dark; i++) {
                assert_true(i < 1000);
                assert_true(advance(w, INT64_MAX / 4));
        }
}
