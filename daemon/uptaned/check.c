/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a cycle that talks to the back-end: reports of the Secondaries -> vehicle manifest -> Director ->
 * (only if it has something for this vehicle) Image repository -> what to install. All over one connection.
 *
 * A back-end that refuses the manifest does not stop the check: a vehicle that cannot report can still be repaired.
 */
#include <stdio.h>

#include "uptaned/reports.h"
#include "uptaned/verify.h"

typedef struct Check {
        Job job;
        Manager *m;
        bool report_only;
        Fetch *fetch;
        Reports *reports;
        Buffer manifest;
        char *manifest_url;
        int64_t attacks; /* the manifest tells of those up to this number */
        Error manifest_error;
        Verify *director, *image;
        Ecu *ecus; /* the plan borrows from them */
        Plan plan;
        size_t next; /* assignment whose image is looked for */
} Check;

static void check_free(Job *job)
{
        Check *c = (Check *) job;

        plan_done(&c->plan);
        free(c->ecus);
        verify_free(c->director);
        verify_free(c->image);
        reports_free(c->reports);
        fetch_free(c->fetch);
        buffer_done(&c->manifest);
        free(c->manifest_url);
        free(c);
}

static void check_failed(Check *c, const Error *error)
{
        manager_job_failed(c->m, c->report_only ? ENGINE_REPORT_FAILED : ENGINE_CHECK_FAILED, error);
}

static void check_done(Check *c, EngineUpdate *update)
{
        EngineEvent event = {
                .kind = ENGINE_CHECKED,
                .update = update,
                .error = c->manifest_error,
        };
        Error error = { 0 };

        if (manager_raise_floor(c->m, TRUST_DIRECTOR, &error) < 0 ||
            (c->image && manager_raise_floor(c->m, TRUST_IMAGE, &error) < 0)) {
                if (update)
                        engine_update_done(update);
                free(update);
                check_failed(c, &error);
                return;
        }
        manager_job_done(c->m, &event);
}

/* Uptane 5.4.3.3 (1), Uptane 5.4.2.4 (c): the image is what the Director says, and has the hashes that the Director says */
static void fill_ecu(const Assignment *a, EngineEcu *ret)
{
        (void) snprintf(ret->serial, sizeof ret->serial, "%s", a->ecu->serial);
        (void) snprintf(ret->hardware_id, sizeof ret->hardware_id, "%s", a->ecu->hardware_id);
        (void) snprintf(ret->image, sizeof ret->image, "%s", a->director->name);
        (void) snprintf(ret->uri, sizeof ret->uri, "%s", a->uri ? a->uri : "");
        ret->hashes = a->director->hashes;
        ret->length = a->director->length;
        ret->release_counter = a->image ? a->image->release_counter : a->director->release_counter;
        ret->primary = a->ecu->primary;
        ret->ostree = a->ostree;
        ret->state = a->installed ? ENGINE_ECU_INSTALLED : ENGINE_ECU_PENDING;
}

static EngineUpdate *make_update(const Plan *plan, const Verify *director)
{
        EngineUpdate *update = xcalloc(1, sizeof *update);
        const char *id = verify_targets(director)->correlation_id;

        if (id) {
                (void) snprintf(update->id, sizeof update->id, "%s", id);
                (void) snprintf(update->correlation_id, sizeof update->correlation_id, "%s", id);
        } else
                (void) snprintf(update->id, sizeof update->id, "targets-%lld", (long long) verify_targets_version(director));
        update->n_ecus = plan->n_assignments;
        update->ecus = xcalloc(plan->n_assignments, sizeof *update->ecus);
        for (size_t i = 0; i < plan->n_assignments; i++)
                fill_ecu(&plan->assignments[i], &update->ecus[i]);
        engine_update_seal(update);
        return update;
}

static void search_next(Check *c);

/* Uptane 5.4.4.2 (a): not without what the Image repository says of it */
static void on_found(void *userdata, Error *error)
{
        Check *c = userdata;

        if (error->code != ERR_NONE ||
            uptane_check_image(&c->plan, c->next, verify_found(c->image), (const char *const *) c->m->config.must_match_names, error) < 0) {
                check_failed(c, error);
                return;
        }
        c->next++;
        search_next(c);
}

/* Uptane 5.4.4.2 (10a), Uptane 5.4.2.3 (a): every image that the Director lists */
static void search_next(Check *c)
{
        const Assignment *a = &c->plan.assignments[c->next];
        Error error = { 0 };

        if (c->next == c->plan.n_assignments)
                check_done(c, make_update(&c->plan, c->director));
        else if (verify_search(c->image, a->director->name, a->ecu->hardware_id, on_found, c, &error) < 0)
                check_failed(c, &error);
}

/* Uptane 5.4.2.3 (b) */
static void on_image(void *userdata, Error *error)
{
        Check *c = userdata;

        if (error->code != ERR_NONE)
                check_failed(c, error);
        else
                search_next(c);
}

static void on_director(void *userdata, Error *error)
{
        Check *c = userdata;

        c->ecus = vehicle_ecus(c->m);
        if (error->code != ERR_NONE || vehicle_check_targets(c->m, verify_targets(c->director), error) < 0 ||
            uptane_check_director(verify_targets(c->director), c->ecus, c->m->n_ecus, true, &c->plan, error) < 0)
                check_failed(c, error);
        /* Uptane 5.4.4.2 (6a): nothing new for this vehicle ends the check */
        else if (c->plan.n_pending == 0)
                check_done(c, c->plan.n_assignments ? make_update(&c->plan, c->director) : NULL);
        else {
                /* Uptane 5.4.4 (a) */
                manager_set_step(c->m, "verifying the Image repository", 0, 0);
                if (verify_online(c->m, c->fetch, TRUST_IMAGE, on_image, c, &c->image, error) < 0)
                        check_failed(c, error);
        }
}

static void after_manifest(Check *c)
{
        Error error = { 0 };

        if (c->report_only) {
                if (c->manifest_error.code != ERR_NONE)
                        check_failed(c, &c->manifest_error);
                else
                        manager_job_done(c->m, &(EngineEvent) { .kind = ENGINE_REPORTED });
                return;
        }
        /* Uptane 5.4.2 (3), Uptane 5.4 (g) */
        manager_set_step(c->m, "verifying the Director", 0, 0);
        if (verify_online(c->m, c->fetch, TRUST_DIRECTOR, on_director, c, &c->director, &error) < 0)
                check_failed(c, &error);
}

static void on_manifest_sent(void *userdata, const FetchAnswer *answer, Error *error)
{
        Check *c = userdata;

        if (!answer) {
                (void) error_prefix(error, "sending the vehicle manifest");
                check_failed(c, error);
                return;
        }
        if (answer->status >= 200 && answer->status < 300) {
                if (manifest_accepted(c->m, c->attacks, error) < 0) {
                        check_failed(c, error);
                        return;
                }
        } else
                (void) error_set_sys(&c->manifest_error, ERR_REJECTED, (int) answer->status,
                                     "the Director refused the vehicle manifest: status %u: %.*s", answer->status,
                                     (int) (answer->body.size < 200 ? answer->body.size : 200),
                                     answer->body.data ? (const char *) answer->body.data : "");
        after_manifest(c);
}

/* Uptane 5.4.2 (1) */
static void on_reports(void *userdata)
{
        Check *c = userdata;
        FetchRequest request = { .seconds = c->m->config.metadata_timeout, .done = on_manifest_sent, .userdata = c };
        Error error = { 0 };

        manager_set_step(c->m, "sending the vehicle manifest", 0, 0);
        c->manifest_url = manager_url(c->m->config.director_url, "manifest");
        request.url = c->manifest_url;
        request.authenticate = manager_authenticates(c->m, c->manifest_url);
        if (manifest_build(c->m, &c->manifest, &c->attacks, &error) < 0) {
                check_failed(c, &error);
                return;
        }
        buffer_done(&c->m->last_manifest);
        buffer_put(&c->m->last_manifest, c->manifest.data, c->manifest.size);
        if (fetch_open(c->m->event, c->m->config.fetch_socket, &c->fetch, &error) < 0 ||
            fetch_send(c->fetch, &request, "PUT", "application/json", buffer_slice(&c->manifest), &error) < 0)
                check_failed(c, &error);
}

int check_start(Manager *m, bool report_only, Error *error)
{
        Check *c = xcalloc(1, sizeof *c);

        c->job.free = check_free;
        c->m = m;
        c->report_only = report_only;
        m->job = &c->job;
        manager_set_step(m, "asking the ECUs", 0, 0);
        return reports_start(m, on_reports, c, &c->reports, error);
}
