/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registration: every Secondary is asked who it is (once; its key is pinned from then on), then the back-end is told.
 * The Primary is registered last, so that a vehicle is either registered with all its ECUs or not at all.
 */
#include <stdio.h>

#include "uptane/manifest.h"
#include "uptaned/fetch.h"
#include "uptaned/reports.h"

typedef struct Register {
        Job job;
        Manager *m;
        size_t index; /* ECU being asked */
        Helper *helper;
        Fetch *fetch;
        char *url;
        Buffer body;
} Register;

static void ask_next(Register *r);

static void register_free(Job *job)
{
        Register *r = (Register *) job;

        helper_free(r->helper);
        fetch_free(r->fetch);
        free(r->url);
        buffer_done(&r->body);
        free(r);
}

static void failed(Register *r, Error *error)
{
        (void) error_prefix(error, "registering");
        manager_job_failed(r->m, ENGINE_REGISTER_FAILED, error);
}

static int parse_info(sd_bus_message *reply, const char **ret, Error *error)
{
        if (sd_bus_message_read(reply, "ssss", &ret[0], &ret[1], &ret[2], &ret[3]) < 0)
                return error_set(error, ERR_HELPER, "the helper answered in another form than agreed");
        return 0;
}

static void on_info(void *userdata, sd_bus_message *reply, Error *error)
{
        Register *r = userdata;
        VehicleEcu *ecu = &r->m->ecus[r->index];
        const char *info[4];

        if (!reply || parse_info(reply, info, error) < 0 ||
            vehicle_learn(r->m, ecu, info[0], info[1], info[2], info[3], error) < 0) {
                ecu->last_error = *error;
                bus_ecu_changed(r->m, ecu);
                (void) error_prefix(error, "%s", ecu->label);
                failed(r, error);
                return;
        }
        ecu->reachable = true;
        bus_ecu_changed(r->m, ecu);
        r->helper = helper_free(r->helper);
        r->index++;
        ask_next(r);
}

static int ask(Register *r, VehicleEcu *ecu, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        int n;

        if (reports_open_helper(r->m, ecu, &r->helper, error) < 0 || helper_message(r->helper, "GetInfo", &call, error) < 0)
                return -1;
        n = sd_bus_message_append(call, "s", ecu->address);
        if (n < 0)
                return error_set_errno(error, ERR_HELPER, -n, "asking a helper");
        return helper_call(r->helper, call, r->m->config.secondary_timeout, on_info, r, error);
}

static void on_sent(void *userdata, const FetchAnswer *answer, Error *error)
{
        Register *r = userdata;

        if (answer && (answer->status < 200 || answer->status >= 300))
                (void) error_set_sys(error, ERR_REJECTED, (int) answer->status, "the back-end refused: status %u: %.*s",
                                     answer->status, (int) (answer->body.size < 200 ? answer->body.size : 200),
                                     answer->body.data ? (const char *) answer->body.data : "");
        if (error->code == ERR_NONE && vehicle_registered(r->m, error) == 0 &&
            store_value_put(r->m->store, "registered", "yes", error) == 0) {
                r->m->provisioned = true;
                manager_job_done(r->m, &(EngineEvent) { .kind = ENGINE_REGISTERED });
                return;
        }
        failed(r, error);
}

static void send(Register *r)
{
        FetchRequest request = { .seconds = r->m->config.metadata_timeout, .done = on_sent, .userdata = r };
        cleanup_free EcuRegistration *ecus = xcalloc(r->m->n_ecus, sizeof *ecus);
        Error error = { 0 };

        for (size_t i = 0; i < r->m->n_ecus; i++) {
                const VehicleEcu *ecu = &r->m->ecus[i];

                ecus[i] = (EcuRegistration) { ecu->serial, ecu->hardware_id, ecu->key_type, ecu->key_text };
        }
        ecu_registration_write(ecus, r->m->n_ecus, &r->body);
        r->url = manager_url(r->m->config.director_url, "ecus");
        request.url = r->url;
        request.authenticate = manager_authenticates(r->m, r->url);
        if (fetch_open(r->m->event, r->m->config.fetch_socket, &r->fetch, &error) < 0 ||
            fetch_send(r->fetch, &request, "POST", "application/json", buffer_slice(&r->body), &error) < 0)
                failed(r, &error);
}

static void ask_next(Register *r)
{
        Error error = { 0 };

        while (r->index < r->m->n_ecus && r->m->ecus[r->index].key)
                r->index++;
        if (r->index == r->m->n_ecus)
                send(r);
        else if (ask(r, &r->m->ecus[r->index], &error) < 0)
                failed(r, &error);
}

int register_start(Manager *m, Error *error)
{
        Register *r = xcalloc(1, sizeof *r);

        (void) error;
        r->job.free = register_free;
        r->m = m;
        m->job = &r->job;
        manager_set_step(m, "registering", 0, 0);
        ask_next(r);
        return 0;
}
