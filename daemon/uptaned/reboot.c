/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reboot into what was installed: uptane-ostree, or the handler of the Primary, lets go of what it held back until the user agreed,
 * then logind is asked. From here on every shutdown applies the update, whoever asked for it, until it is held again.
 */
#include "base/codec.h"
#include "uptaned/helper.h"
#include "uptaned/manager.h"
#include "uptaned/trial-exec.h"

#define RELEASE_SECONDS 60

typedef struct Reboot {
        Job job;
        Manager *m;
        Helper *helper;
        TrialExec *trial; /* where a handler installs for the Primary */
} Reboot;

static void reboot_free(Job *job)
{
        Reboot *r = (Reboot *) job;

        helper_free(r->helper);
        trial_exec_free(r->trial);
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

/* What the Primary waits for; NULL: it has no part in this, or is there already. */
static const EngineEcu *waiting_primary(const Manager *m)
{
        const EngineUpdate *update = &m->engine.update;

        for (size_t i = 0; i < update->n_ecus; i++)
                if (update->ecus[i].primary && update->ecus[i].state == ENGINE_ECU_NEED_REBOOT)
                        return &update->ecus[i];
        return NULL;
}

/* ---- letting go, and asking for the reboot ---- */

static void released(Reboot *r, const Error *error)
{
        Manager *m = r->m;
        EngineEvent failure = { .kind = ENGINE_REBOOT_FAILED, .error = *error };

        manager_stop_job(m);
        if (failure.error.code != ERR_NONE || bus_reboot(m, &failure.error) < 0)
                manager_post(m, &failure);
}

static void on_released(void *userdata, sd_bus_message *reply, Error *error)
{
        (void) reply;
        released(userdata, error);
}

static void on_handler_released(void *userdata, TrialResult result, Error *error)
{
        (void) result;
        released(userdata, error);
}

/* The way back was never held. */
static int reboot_exec(Manager *m, Error *error)
{
        const EngineEcu *ecu = waiting_primary(m);
        Reboot *r;

        if (!ecu)
                return bus_reboot(m, error);
        r = new_job(m);
        r->trial = trial_exec_new(m, ecu, on_handler_released, r);
        return trial_exec_release(r->trial, error);
}

int reboot_start(Manager *m, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        Reboot *r;

        if (m->config.exec_installer)
                return reboot_exec(m, error);
        r = new_job(m);
        if (helper_open(m->event, HELPER_OSTREE, m->config.ostree_socket, &r->helper, error) < 0 ||
            helper_message(r->helper, "Release", &call, error) < 0)
                return -1;
        return helper_call(r->helper, call, RELEASE_SECONDS, on_released, r, error);
}

/* ---- holding ---- */

static void held(Reboot *r, const Error *error)
{
        EngineEvent failure = { .kind = ENGINE_REBOOT_FAILED, .error = *error };
        Manager *m = r->m;

        manager_stop_job(m);
        if (failure.error.code != ERR_NONE)
                manager_post(m, &failure);
}

static void on_held(void *userdata, sd_bus_message *reply, Error *error)
{
        (void) reply;
        held(userdata, error);
}

/* One that cannot hold back will not be able to the next time: the user has to know, and that is all. */
static void on_handler_held(void *userdata, TrialResult result, Error *error)
{
        Reboot *r = userdata;
        Error none = { 0 };

        if (result == TRIAL_NOT_HELD)
                trial_exec_tell(r->m, &r->m->ecus[0], error);
        held(r, result == TRIAL_NOT_HELD ? &none : error);
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
        r = new_job(m);
        if (!ecu->ostree) {
                r->trial = trial_exec_new(m, ecu, on_handler_held, r);
                return trial_exec_hold(r->trial, error);
        }
        hex_encode(slice(ecu->hashes.sha256, SHA256_SIZE), commit);
        if (helper_open(m->event, HELPER_OSTREE, m->config.ostree_socket, &r->helper, error) < 0 ||
            helper_message(r->helper, "Deploy", &call, error) < 0)
                return -1;
        n = sd_bus_message_append(call, "ssb", commit, ecu->image, 1);
        if (n < 0)
                return error_set_errno(error, ERR_HELPER, -n, "Deploy");
        return helper_call(r->helper, call, m->config.install_timeout, on_held, r, error);
}
