/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reboot into what was installed: uptane-ostree lets go of what it held back until the user agreed, then logind is
 * asked. From here on every shutdown applies the update, whoever asked for it, until it is held again.
 */
#include "base/codec.h"
#include "uptaned/helper.h"
#include "uptaned/manager.h"

#define RELEASE_SECONDS 60

typedef struct Reboot {
        Job job;
        Manager *m;
        Helper *helper;
} Reboot;

static void reboot_free(Job *job)
{
        Reboot *r = (Reboot *) job;

        helper_free(r->helper);
        free(r);
}

static Reboot *new_job(Manager *m)
{
        Reboot *r = xcalloc(1, sizeof *r);

        r->job.free = reboot_free;
        r->m = m;
        manager_stop_job(m);
        m->job = &r->job;
        return r;
}

/* ---- letting go, and asking for the reboot ---- */

static void on_released(void *userdata, sd_bus_message *reply, Error *error)
{
        Reboot *r = userdata;
        Manager *m = r->m;
        EngineEvent failure = { .kind = ENGINE_REBOOT_FAILED, .error = *error };

        manager_stop_job(m);
        if (!reply || bus_reboot(m, &failure.error) < 0)
                manager_post(m, &failure);
}

int reboot_start(Manager *m, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        Reboot *r;

        if (m->config.exec_installer) /* a handler program has held nothing back */
                return bus_reboot(m, error);
        r = new_job(m);
        if (helper_open(m->event, HELPER_OSTREE, m->config.ostree_socket, &r->helper, error) < 0 ||
            helper_message(r->helper, "Release", &call, error) < 0)
                return -1;
        return helper_call(r->helper, call, RELEASE_SECONDS, on_released, r, error);
}

/* ---- holding ---- */

static void on_held(void *userdata, sd_bus_message *reply, Error *error)
{
        Reboot *r = userdata;
        Manager *m = r->m;

        manager_stop_job(m);
        if (!reply)
                manager_post(m, &(EngineEvent) { .kind = ENGINE_REBOOT_FAILED, .error = *error });
}

static const EngineEcu *waiting_primary(const Manager *m)
{
        const EngineUpdate *update = &m->engine.update;

        for (size_t i = 0; i < update->n_ecus; i++)
                if (update->ecus[i].primary && update->ecus[i].ostree && update->ecus[i].state == ENGINE_ECU_NEED_REBOOT)
                        return &update->ecus[i];
        return NULL;
}

/* A deployment that is there already is not made again: what Deploy does then is to hold it. */
int reboot_hold(Manager *m, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        const EngineEcu *ecu = waiting_primary(m);
        char commit[2 * SHA256_SIZE + 1];
        Reboot *r;
        int n;

        if (!ecu)
                return 0;
        hex_encode(slice(ecu->hashes.sha256, SHA256_SIZE), commit);
        r = new_job(m);
        if (helper_open(m->event, HELPER_OSTREE, m->config.ostree_socket, &r->helper, error) < 0 ||
            helper_message(r->helper, "Deploy", &call, error) < 0)
                return -1;
        n = sd_bus_message_append(call, "ssb", commit, ecu->image, 1);
        if (n < 0)
                return error_set_errno(error, ERR_HELPER, -n, "Deploy");
        return helper_call(r->helper, call, m->config.install_timeout, on_held, r, error);
}
