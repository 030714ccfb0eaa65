/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first thing at start: which deployment runs. Without that knowledge nothing is finished, and nothing is undone.
 * A handler program that installs for the Primary is asked the same; whether what it installed is what runs behind a
 * reboot, it is asked by the installation (install-exec.c).
 * A boot loader that counts is told that this boot was a good one, unless that has to be found out first.
 */
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "uptaned/exec.h"
#include "uptaned/manager.h"

#define STATUS_SECONDS 60
#define STATUS_PAUSE 10 /* seconds before it is asked again */

typedef struct Status {
        Job job;
        Manager *m;
        Helper *helper;
        sd_event_source *pause;
        bool known; /* what booted */
} Status;

static int ask(Status *s, Error *error);
static void answer(Status *s, const Error *error);

static void status_free(Job *job)
{
        Status *s = (Status *) job;

        helper_free(s->helper);
        sd_event_source_disable_unref(s->pause);
        free(s);
}

static void forget_deployed(Manager *m)
{
        strv_free(TAKE_PTR(m->deployed));
}

/* Software on trial is not what is installed, not before it is good. */
static int take_status(Manager *m, sd_bus_message *reply, bool *ret_trial, Error *error)
{
        const char *booted;
        char **deployed = NULL;
        int trial, rolled_back;

        forget_deployed(m);
        if (sd_bus_message_read(reply, "s", &booted) < 0 || strlen(booted) >= sizeof m->booted ||
            sd_bus_message_read_strv(reply, &deployed) < 0 || sd_bus_message_read(reply, "bb", &trial, &rolled_back) < 0) {
                strv_free(deployed);
                return error_set(error, ERR_HELPER, "uptane-ostree answered in another form than agreed");
        }
        m->deployed = deployed;
        (void) snprintf(m->booted, sizeof m->booted, "%s", booted);
        m->rolled_back = rolled_back;
        *ret_trial = trial;
        return engine_on_trial(&m->engine, m->booted) ? 0 : vehicle_take_booted(m, error);
}

/*
 * Whether this boot is none that something hangs on: not one of new software, and not the last one of the old before the
 * new is booted, which has to be counted then.
 */
static bool is_settled(const Manager *m)
{
        bool waits = engine_awaits_boot(&m->engine), came_back = waits && m->rebooted;
        bool other_is_next = m->deployed && m->deployed[0] && strcmp(m->deployed[0], m->booted) != 0;

        if (m->engine.state == ENGINE_INSTALLING || engine_on_trial(&m->engine, m->booted) || (waits && !came_back))
                return false;
        return came_back || m->rolled_back || !other_is_next;
}

/* A boot loader that fell back and a deployment that no shutdown has written look the same, but for the boot entries. */
static bool is_lost(const Manager *m)
{
        const EngineUpdate *update = &m->engine.update;

        for (size_t i = 0; m->engine.state == ENGINE_REBOOT_REQUIRED && m->deployed && i < update->n_ecus; i++) {
                char commit[2 * SHA256_SIZE + 1];

                if (!update->ecus[i].primary || update->ecus[i].state != ENGINE_ECU_NEED_REBOOT)
                        continue;
                hex_encode(slice(update->ecus[i].hashes.sha256, SHA256_SIZE), commit);
                for (size_t k = 0; m->deployed[k]; k++)
                        if (strcmp(m->deployed[k], commit) == 0)
                                return false;
                return true;
        }
        return false;
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
        Status *s = userdata;
        Error error = { 0 };

        (void) source;
        (void) usec;
        s->pause = sd_event_source_disable_unref(s->pause);
        if (ask(s, &error) < 0)
                answer(s, &error);
        return 0;
}

/*
 * A sysroot nobody could look into says nothing about a reboot: while an update waits to be finished it is asked again,
 * for neither "it worked" nor another reboot may rest on a guess. Otherwise the vehicle can go on without it.
 */
static void answer(Status *s, const Error *error)
{
        Manager *m = s->m;
        EngineEvent event = { .kind = ENGINE_STARTED, .provisioned = m->provisioned, .rebooted = m->rebooted, .booted = m->booted,
                              .lost = m->rebooted && is_lost(m), .rolled_back = m->rolled_back };

        if (error->code != ERR_NONE) {
                manager_note(m, error);
                if (engine_awaits_boot(&m->engine) && !m->config.exec_installer && !s->known &&
                    sd_event_add_time_relative(m->event, &s->pause, CLOCK_BOOTTIME, STATUS_PAUSE * UINT64_C(1000000), 0,
                                               on_pause_over, s) >= 0)
                        return;
        }
        m->started = true;
        manager_job_done(m, &event);
}

static void on_marked(void *userdata, sd_bus_message *reply, Error *error)
{
        (void) reply;
        answer(userdata, error);
}

static int mark_good(Status *s, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;

        if (helper_message(s->helper, "MarkGood", &call, error) < 0)
                return -1;
        return helper_call(s->helper, call, STATUS_SECONDS, on_marked, s, error);
}

static void on_status(void *userdata, sd_bus_message *reply, Error *error)
{
        Status *s = userdata;
        bool trial = false;

        s->known = reply && take_status(s->m, reply, &trial, error) == 0;
        if (!s->known || !trial || !is_settled(s->m) || mark_good(s, error) < 0)
                answer(s, error);
}

static void on_firmware_info(void *userdata, sd_bus_message *reply, Error *error)
{
        Status *s = userdata;

        if (reply && exec_take_info(s->m, &s->m->ecus[0], reply, error) < 0)
                (void) error_prefix(error, "what the Primary runs");
        answer(s, error);
}

static int ask(Status *s, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;

        s->helper = helper_free(s->helper);
        if (s->m->config.exec_installer)
                return exec_open(s->m, &s->helper, error) < 0 ? -1 : exec_ask_info(s->m, &s->m->ecus[0], s->helper, on_firmware_info, s, error);
        if (helper_open(s->m->event, HELPER_OSTREE, s->m->config.ostree_socket, &s->helper, error) < 0 ||
            helper_message(s->helper, "GetStatus", &call, error) < 0)
                return -1;
        return helper_call(s->helper, call, STATUS_SECONDS, on_status, s, error);
}

int status_start(Manager *m, Error *error)
{
        Status *s = xcalloc(1, sizeof *s);
        Error why = { 0 };

        (void) error;
        s->job.free = status_free;
        s->m = m;
        m->job = &s->job;
        if (ask(s, &why) < 0)
                answer(s, &why);
        return 0;
}
