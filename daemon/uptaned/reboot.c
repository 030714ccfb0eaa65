/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reboot into what was installed: uptane-ostree lets go of what it held back until the user agreed, then logind is
 * asked. From here on every shutdown applies the update, whoever asked for it.
 */
#include "uptaned/helper.h"
#include "uptaned/manager.h"

#define RELEASE_SECONDS 60

typedef struct Release {
        Job job;
        Manager *m;
        Helper *helper;
} Release;

static void release_free(Job *job)
{
        Release *r = (Release *) job;

        helper_free(r->helper);
        free(r);
}

static void on_released(void *userdata, sd_bus_message *reply, Error *error)
{
        Release *r = userdata;
        Manager *m = r->m;
        EngineEvent failure = { .kind = ENGINE_REBOOT_FAILED, .error = *error };

        manager_stop_job(m);
        if (!reply || bus_reboot(m, &failure.error) < 0)
                manager_post(m, &failure);
}

int reboot_start(Manager *m, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        Release *r = xcalloc(1, sizeof *r);

        r->job.free = release_free;
        r->m = m;
        manager_stop_job(m);
        m->job = &r->job;
        if (helper_open(m->event, HELPER_OSTREE, m->config.ostree_socket, &r->helper, error) < 0 ||
            helper_message(r->helper, "Release", &call, error) < 0)
                return -1;
        return helper_call(r->helper, call, RELEASE_SECONDS, on_released, r, error);
}
