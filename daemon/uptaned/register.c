/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registration: every Secondary is asked who it is (once; its key is pinned from then on), then the back-end is told.
 * The Primary is registered last, so that a vehicle is either registered with all its ECUs or not at all. A vehicle that the
 * back-end knows already does not wait for a newcomer that does not answer: that one follows when a check finds it there.
 */
#include <stdio.h>

#include "uptane/manifest.h"
#include "uptaned/fetch.h"
#include "uptaned/reports.h"

typedef struct Register {
        Job job;
        Manager *m;
        size_t index; /* ECU being asked */
        bool awaited; /* it could not be reached: it is waited for */
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

static void on_info(void *userdata, sd_bus_message *reply, Error *error);

/* It may be starting: then it comes by itself. */
static void await_info(Register *r, const VehicleEcu *ecu)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        const Config *c = &r->m->config;
        Error error = { 0 };
        int n = 0;

        r->awaited = true;
        if (helper_message(r->helper, "AwaitInfo", &call, &error) == 0) {
                n = sd_bus_message_append(call, "ssu", ecu->address, c->secondaries_listen, (uint32_t) c->announce_timeout);
                if (n >= 0 && helper_call(r->helper, call, c->announce_timeout + c->secondary_timeout, on_info, r, &error) == 0)
                        return;
        }
        if (n < 0)
                (void) error_set_errno(&error, ERR_HELPER, -n, "asking a helper");
        failed(r, &error);
}

static void on_info(void *userdata, sd_bus_message *reply, Error *error)
{
        Register *r = userdata;
        VehicleEcu *ecu = &r->m->ecus[r->index];
        const char *info[4];

        if (!reply && error->code == ERR_UNREACHABLE && !r->awaited && *r->m->config.secondaries_listen) {
                await_info(r, ecu);
                return;
        }
        if (!reply || parse_info(reply, info, error) < 0 ||
            vehicle_learn(r->m, ecu, info[0], info[1], info[2], info[3], error) < 0) {
                ecu->last_error = *error;
                bus_ecu_changed(r->m, ecu);
                (void) error_prefix(error, "%s", ecu->label);
                if (!r->m->registered) {
                        failed(r, error);
                        return;
                }
                manager_note_ecu(r->m, ecu, error); /* the others are not made to wait for a newcomer */
        } else {
                ecu->reachable = true;
                bus_ecu_changed(r->m, ecu);
        }
        r->helper = helper_free(r->helper);
        r->awaited = false;
        r->index++;
        ask_next(r);
}

static int ask(Register *r, VehicleEcu *ecu, Error *error)
{
        if (reports_open_helper(r->m, ecu, &r->helper, error) < 0)
                return -1;
        return reports_ask(ecu, r->helper, "GetInfo", r->m->config.secondary_timeout, on_info, r, error);
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
                r->m->provisioned = r->m->registered = true;
                r->m->ecus_changed = false;
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
        size_t n = 0;

        for (size_t i = 0; i < r->m->n_ecus; i++) {
                const VehicleEcu *ecu = &r->m->ecus[i];

                if (ecu->key)
                        ecus[n++] = (EcuRegistration) { ecu->serial, ecu->hardware_id, ecu->key_type, ecu->key_text };
        }
        ecu_registration_write(ecus, n, &r->body);
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
