/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first thing at start: which deployment runs. Without that knowledge nothing is finished, and nothing is undone.
 * A handler program that installs for the Primary is asked the same; whether what it installed is what runs behind a
 * reboot, it is asked by the installation (install-exec.c).
 */
#include <stdio.h>

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
        bool lost; /* what waited for a reboot has no boot entry */
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

/* What boots is the truth: where it is not what was written down, it is reported by its hash. */
static int take_booted(Manager *m, const char *booted, Error *error)
{
        VehicleEcu *primary = &m->ecus[0];
        Hashes hashes = { .has_sha256 = true };

        (void) snprintf(m->booted, sizeof m->booted, "%s", booted);
        if (!*booted)
                return 0;
        if (hex_decode(booted, hashes.sha256, sizeof hashes.sha256, error) < 0)
                return error_prefix(error, "uptane-ostree names the booted commit '%.80s'", booted);
        if (hashes_match(&hashes, &primary->hashes))
                return 0;
        return vehicle_set_installed(m, primary, "", &hashes, 0, -1, error);
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
        EngineEvent event = { .kind = ENGINE_STARTED, .provisioned = m->provisioned, .rebooted = m->rebooted,
                              .lost = s->lost, .booted = m->booted };

        if (error->code != ERR_NONE) {
                manager_note(m, error);
                if (m->engine.state == ENGINE_REBOOT_REQUIRED && !m->config.exec_installer &&
                    sd_event_add_time_relative(m->event, &s->pause, CLOCK_BOOTTIME, STATUS_PAUSE * UINT64_C(1000000), 0,
                                               on_pause_over, s) >= 0)
                        return;
        }
        m->started = true;
        manager_job_done(m, &event);
}

static void on_is_deployed(void *userdata, sd_bus_message *reply, Error *error)
{
        Status *s = userdata;
        int deployed = true;

        if (reply && sd_bus_message_read(reply, "b", &deployed) < 0)
                (void) error_set(error, ERR_HELPER, "uptane-ostree answered in another form than agreed");
        s->lost = error->code == ERR_NONE && !deployed;
        answer(s, error);
}

/* The Primary's image, if there was a reboot for it and something else runs. */
static const EngineEcu *missed(const Manager *m)
{
        for (size_t i = 0; m->rebooted && m->engine.state == ENGINE_REBOOT_REQUIRED && i < m->engine.update.n_ecus; i++) {
                const EngineEcu *ecu = &m->engine.update.ecus[i];

                if (ecu->primary && ecu->state == ENGINE_ECU_NEED_REBOOT && memcmp(ecu->hashes.sha256, m->ecus[0].hashes.sha256, SHA256_SIZE) != 0)
                        return ecu;
        }
        return NULL;
}

/* A boot loader that fell back and a deployment that no shutdown has written look the same, but for the boot entries. */
static int ask_is_deployed(Status *s, const EngineEcu *ecu, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        char commit[2 * SHA256_SIZE + 1];
        int r;

        hex_encode(slice(ecu->hashes.sha256, SHA256_SIZE), commit);
        if (helper_message(s->helper, "IsDeployed", &call, error) < 0)
                return -1;
        r = sd_bus_message_append(call, "s", commit);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "asking for a deployment");
        return helper_call(s->helper, call, STATUS_SECONDS, on_is_deployed, s, error);
}

static void on_status(void *userdata, sd_bus_message *reply, Error *error)
{
        Status *s = userdata;
        const char *booted = "";

        if (reply && sd_bus_message_read(reply, "s", &booted) < 0)
                (void) error_set(error, ERR_HELPER, "uptane-ostree answered in another form than agreed");
        if (error->code == ERR_NONE && take_booted(s->m, booted, error) == 0) {
                const EngineEcu *ecu = missed(s->m);

                if (ecu && ask_is_deployed(s, ecu, error) == 0)
                        return;
        }
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
