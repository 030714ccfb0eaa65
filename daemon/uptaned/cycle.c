/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The road from an event to what it causes. An event is looked at only when every effect of the one before has been
 * carried out. Where a durable write fails (a full or broken disk), everything behind it waits and the write is tried
 * again: nothing is ever done that was not written down first.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>

#include "uptaned/attack.h"
#include "uptaned/bundle.h"
#include "uptaned/image.h"
#include "uptaned/journal.h"
#include "uptaned/log.h"
#include "uptaned/manager.h"

#define RETRY_SECONDS 30 /* between two tries to write */

static void run_effects(Manager *m);

static void done_event(EngineEvent *event)
{
        if (event->update) {
                engine_update_done(event->update);
                free(event->update);
        }
        event->update = NULL;
}

/* ---- telling ---- */

static void tell_error(Manager *m)
{
        const Error *e = &m->engine.last_error;

        if (e->code == m->announced_error.code && m->engine.last_error_time == m->announced_error_time &&
            strcmp(e->message, m->announced_error.message) == 0)
                return;
        m->announced_error = *e;
        m->announced_error_time = m->engine.last_error_time;
        bus_changed(m, (const char *const[]) { "LastError", NULL });
        if (e->code == ERR_NONE)
                return;
        log_write(&(LogContext) { .priority = LOG_ERR, .message_id = is_attack(e) ? MESSAGE_ATTACK_DETECTED : MESSAGE_CYCLE_FAILED,
                                  .error = e, .cycle = m->cycle, .update = m->engine.has_update ? m->engine.update.id : NULL },
                  "%s", e->message);
}

/* D-Bus, journal and service status follow from the engine here and nowhere else. */
static void announce(Manager *m)
{
        EngineState state = m->engine.state;

        tell_error(m);
        (void) sd_notifyf(0, "STATUS=%s%s%s", engine_state_name(state), m->engine.last_error.code != ERR_NONE ? ": " : "",
                          m->engine.last_error.code != ERR_NONE ? m->engine.last_error.message : "");
        bus_changed(m, (const char *const[]) { "State", "Update", "LastCheck", "NextCheck", "Provisioned", "WaitingFor", NULL });
        for (size_t i = 0; i < m->n_ecus; i++)
                bus_ecu_changed(m, &m->ecus[i]);
        if (state == m->announced_state)
                return;
        m->announced_state = state;
        log_write(&(LogContext) { .priority = LOG_INFO, .cycle = m->cycle }, "%s", engine_state_name(state));
}

/* ---- effects ---- */

static const EngineEffect *find_effect(const EngineEffects *effects, EngineEffectKind kind)
{
        for (size_t i = 0; i < effects->n; i++)
                if (effects->list[i].kind == kind)
                        return &effects->list[i];
        return NULL;
}

/* Uptane 5.4.4 (e): all or nothing of it, and first of all */
static int persist(Manager *m, Error *error)
{
        const EngineEffect *finished = find_effect(&m->effects, ENGINE_DO_FINISHED), *attack = find_effect(&m->effects, ENGINE_DO_ATTACK);
        cleanup_buffer Buffer bytes = { 0 };

        engine_save(&m->engine, &bytes);
        if (store_begin(m->store, error) < 0)
                return -1;
        if (store_bytes_put(m->store, "engine", buffer_slice(&bytes), error) < 0 ||
            store_value_put(m->store, "boot-id", m->boot_id, error) < 0 ||
            (finished && history_add(m, finished, error) < 0) ||
            (attack && attack_remember(m, &attack->error, error) < 0) || store_commit(m->store, error) < 0) {
                store_rollback(m->store);
                return -1;
        }
        m->rebooted = false;
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        Manager *m = userdata;

        (void) source;
        (void) usec;
        m->timer = sd_event_source_disable_unref(m->timer);
        manager_post(m, &(EngineEvent) { .kind = ENGINE_TIMER });
        return 0;
}

static void set_timer(Manager *m, int64_t seconds)
{
        m->timer = sd_event_source_disable_unref(m->timer);
        if (seconds >= 0)
                (void) sd_event_add_time_relative(m->event, &m->timer, CLOCK_BOOTTIME, (uint64_t) seconds * 1000000, 100000, on_timer, m);
}

static void offer(Manager *m, EngineStage stage)
{
        log_write(&(LogContext) { .priority = LOG_NOTICE, .message_id = MESSAGE_UPDATE_OFFERED, .cycle = m->cycle,
                                  .update = m->engine.update.id },
                  "update %s is there for %zu ECUs (%s)", m->engine.update.id, m->engine.update.n_ecus, engine_stage_name(stage));
        bus_offered(m);
}

static void finished(Manager *m, const EngineEffect *effect)
{
        const EngineUpdate *update = &m->engine.finished;

        log_write(&(LogContext) { .priority = effect->result == REPORT_OK ? LOG_NOTICE : LOG_ERR, .message_id = MESSAGE_UPDATE_FINISHED,
                                  .cycle = m->cycle, .update = update->id },
                  "update %s is over: %s%s%s", update->id, error_report_name(effect->result), *effect->text ? ": " : "", effect->text);
        image_remove_all(m);
        install_exec_forget(m);
        for (size_t i = 0; i < m->n_ecus; i++)
                m->ecus[i].progress_done = m->ecus[i].progress_total = 0;
        bus_finished(m, update, effect);
}

/* Begins a job; one that cannot even begin ends like one that failed. */
static void start(Manager *m, const EngineEffect *effect)
{
        EngineEvent failure = { 0 };
        int r = 0;

        manager_stop_job(m);
        switch (effect->kind) {
        case ENGINE_DO_REGISTER:
                failure.kind = ENGINE_REGISTER_FAILED;
                r = register_start(m, &failure.error);
                break;
        case ENGINE_DO_CHECK:
                m->cycle++;
                failure.kind = ENGINE_CHECK_FAILED;
                r = check_start(m, false, &failure.error);
                break;
        case ENGINE_DO_REPORT:
                failure.kind = ENGINE_REPORT_FAILED;
                r = check_start(m, true, &failure.error);
                break;
        case ENGINE_DO_DOWNLOAD:
                failure.kind = ENGINE_DOWNLOAD_FAILED;
                r = download_start(m, &failure.error);
                break;
        case ENGINE_DO_ASSESS:
                failure.kind = ENGINE_ASSESSED;
                failure.index = effect->index;
                r = assess_start(m, effect->index, &failure.error);
                break;
        case ENGINE_DO_ROLLBACK:
                failure.kind = ENGINE_ROLLED_BACK;
                r = rollback_start(m, effect->index, &failure.error);
                break;
        case ENGINE_DO_PERSIST:
        case ENGINE_DO_STOP:
        case ENGINE_DO_PREPARE:
        case ENGINE_DO_INSTALL:
        case ENGINE_DO_RESTORE:
        case ENGINE_DO_FINALIZE:
        case ENGINE_DO_OFFER:
        case ENGINE_DO_REBOOT:
        case ENGINE_DO_HOLD:
        case ENGINE_DO_TIMER:
        case ENGINE_DO_FINISHED:
        case ENGINE_DO_ATTACK:
                assert(false);
        }
        if (r < 0)
                manager_job_done(m, &failure);
}

static void reboot(Manager *m)
{
        EngineEvent failure = { .kind = ENGINE_REBOOT_FAILED };

        log_write(&(LogContext) { .priority = LOG_NOTICE, .message_id = MESSAGE_REBOOT_REQUESTED, .cycle = m->cycle,
                                  .update = m->engine.update.id },
                  "asking for a reboot into the %s software", m->engine.rolling_back ? "old" : "new");
        if (reboot_start(m, &failure.error) < 0)
                manager_job_done(m, &failure);
}

static void hold(Manager *m)
{
        EngineEvent failure = { .kind = ENGINE_REBOOT_FAILED };

        if (reboot_hold(m, &failure.error) < 0)
                manager_job_done(m, &failure);
}

/* Fails only where something could not be written. */
static int run_effect(Manager *m, const EngineEffect *effect, Error *error)
{
        switch (effect->kind) {
        case ENGINE_DO_PERSIST:
                return persist(m, error);
        case ENGINE_DO_FINALIZE:
                if (manifest_finalize(m, error) < 0)
                        return -1;
                manager_post(m, &(EngineEvent) { .kind = ENGINE_FINALIZED });
                break;
        case ENGINE_DO_STOP:
                manager_stop_job(m);
                m->reboot_call = sd_bus_slot_unref(m->reboot_call);
                manager_set_step(m, "", 0, 0);
                break;
        case ENGINE_DO_REGISTER:
        case ENGINE_DO_CHECK:
        case ENGINE_DO_REPORT:
        case ENGINE_DO_DOWNLOAD:
        case ENGINE_DO_ASSESS:
        case ENGINE_DO_ROLLBACK:
                start(m, effect);
                break;
        case ENGINE_DO_PREPARE:
                bundle_prepare(m);
                break;
        case ENGINE_DO_INSTALL:
                bundle_install(m);
                break;
        case ENGINE_DO_RESTORE:
                bundle_restore(m);
                break;
        case ENGINE_DO_OFFER:
                offer(m, effect->stage);
                break;
        case ENGINE_DO_REBOOT:
                reboot(m);
                break;
        case ENGINE_DO_HOLD:
                hold(m);
                break;
        case ENGINE_DO_TIMER:
                set_timer(m, effect->seconds);
                break;
        case ENGINE_DO_FINISHED:
                finished(m, effect);
                break;
        case ENGINE_DO_ATTACK:
                m->engine.last_error = effect->error; /* a write that failed meanwhile may stand there */
                break;
        }
        return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        Manager *m = userdata;

        (void) source;
        (void) usec;
        m->retry = sd_event_source_disable_unref(m->retry);
        run_effects(m);
        return 0;
}

static void run_effects(Manager *m)
{
        while (m->next_effect < m->effects.n) {
                Error error = { 0 };

                if (run_effect(m, &m->effects.list[m->next_effect], &error) < 0) {
                        m->engine.last_error = error;
                        m->engine.last_error_time = manager_now(m);
                        (void) sd_event_add_time_relative(m->event, &m->retry, CLOCK_BOOTTIME, RETRY_SECONDS * UINT64_C(1000000), 0,
                                                          on_retry, m);
                        break;
                }
                m->next_effect++;
        }
        bundle_settle(m);
        announce(m);
        (void) sd_event_source_set_enabled(m->dispatch, m->n_events > 0 && !m->retry ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

/* ---- events ---- */

static void step(Manager *m, EngineEvent *event)
{
        assert(m->next_effect == m->effects.n);
        if (getrandom(&event->entropy, sizeof event->entropy, GRND_NONBLOCK) < 0)
                event->entropy = (uint32_t) manager_now(m); /* spreads polls; nothing secret depends on it */
        engine_step(&m->engine, event, manager_now(m), &m->effects);
        m->next_effect = 0;
        done_event(event);
        run_effects(m);
}

static int on_dispatch(sd_event_source *source, void *userdata)
{
        Manager *m = userdata;

        (void) source;
        while (m->n_events > 0 && !m->retry) {
                EngineEvent event = m->events[0];

                memmove(m->events, m->events + 1, --m->n_events * sizeof *m->events);
                step(m, &event);
        }
        return 0;
}

int cycle_start(Manager *m, Error *error)
{
        int r = sd_event_add_defer(m->event, &m->dispatch, on_dispatch, m);

        if (r >= 0)
                r = sd_event_source_set_enabled(m->dispatch, SD_EVENT_OFF);
        return r < 0 ? error_set_errno(error, ERR_SYSTEM, -r, "event loop") : 0;
}

void cycle_done(Manager *m)
{
        for (size_t i = 0; i < m->n_events; i++)
                done_event(&m->events[i]);
        free(m->events);
        m->events = NULL;
        m->n_events = 0;
}

void manager_post(Manager *m, const EngineEvent *event)
{
        for (size_t i = 0; event->kind == ENGINE_CONDITIONS && i < m->n_events; i++)
                if (m->events[i].kind == ENGINE_CONDITIONS) {
                        m->events[i] = *event; /* only how things are now matters */
                        return;
                }
        /* one of each ECU, one timer, one reboot: there are never more */
        m->events = xrealloc(m->events, m->n_events + 1, sizeof *m->events);
        m->events[m->n_events++] = *event;
        if (!m->retry)
                (void) sd_event_source_set_enabled(m->dispatch, SD_EVENT_ONESHOT);
}

int manager_check_started(const Manager *m, Error *error)
{
        return m->started ? 0 : error_set(error, ERR_WRONG_STATE, "still starting");
}

int manager_verb(Manager *m, EngineEvent *event, Error *error)
{
        (void) on_dispatch(m->dispatch, m);
        if (m->retry)
                return error_set(error, ERR_STORAGE, "nothing can be written at present: %.300s", m->engine.last_error.message);
        if (manager_check_started(m, error) < 0)
                return -1;
        if (engine_check(&m->engine, event, manager_now(m), error) < 0)
                return -1;
        step(m, event);
        return 0;
}
