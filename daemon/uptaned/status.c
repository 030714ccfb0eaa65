/* SPDX-License-Identifier: Apache-2.0 */
/* The first thing at start: which deployment runs. Without that knowledge nothing is finished, and nothing is undone. */
#include <stdio.h>

#include "base/codec.h"
#include "uptaned/helper.h"
#include "uptaned/manager.h"

#define STATUS_SECONDS 60

typedef struct Status {
        Job job;
        Manager *m;
        Helper *helper;
} Status;

static void status_free(Job *job)
{
        Status *s = (Status *) job;

        helper_free(s->helper);
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

static void on_status(void *userdata, sd_bus_message *reply, Error *error)
{
        Status *s = userdata;
        Manager *m = s->m;
        const char *booted = "";
        EngineEvent event = { .kind = ENGINE_STARTED, .provisioned = m->provisioned };

        if (reply && sd_bus_message_read(reply, "s", &booted) < 0)
                (void) error_set(error, ERR_HELPER, "uptane-ostree answered in another form than agreed");
        if (error->code == ERR_NONE)
                (void) take_booted(m, booted, error);
        if (error->code != ERR_NONE)
                manager_note(m, error);
        /* A sysroot nobody could look into says nothing about a reboot. */
        event.rebooted = m->rebooted && error->code == ERR_NONE;
        event.booted = m->booted;
        manager_job_done(m, &event);
}

int status_start(Manager *m, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        Status *s = xcalloc(1, sizeof *s);

        s->job.free = status_free;
        s->m = m;
        m->job = &s->job;
        if (helper_open(m->event, HELPER_OSTREE, m->config.ostree_socket, &s->helper, error) < 0 ||
            helper_message(s->helper, "GetStatus", &call, error) < 0)
                return -1;
        return helper_call(s->helper, call, STATUS_SECONDS, on_status, s, error);
}
