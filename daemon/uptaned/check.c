/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a cycle that talks to the back-end: reports of the Secondaries -> vehicle manifest -> both repositories,
 * verified by uptane-verify -> what to install. All over one connection.
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
        Verify *verify;
} Check;

static void check_free(Job *job)
{
        Check *c = (Check *) job;

        verify_free(c->verify);
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

/* What was just found unexpired raises the floors. */
static int raise_floors(Check *c, const Verified *verified, Error *error)
{
        if (manager_raise_floor(c->m, TRUST_DIRECTOR, error) < 0)
                return -1;
        return verified->image_repository ? manager_raise_floor(c->m, TRUST_IMAGE, error) : 0;
}

static void on_verified(void *userdata, Verified *verified, Error *error)
{
        Check *c = userdata;
        EngineEvent event = { .kind = ENGINE_CHECKED, .error = c->manifest_error };

        if (!verified || raise_floors(c, verified, error) < 0) {
                check_failed(c, error);
                return;
        }
        event.update = TAKE_PTR(verified->update);
        manager_job_done(c->m, &event);
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
        if (verify_start(c->m, c->fetch, NULL, on_verified, c, &c->verify, &error) < 0)
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
static void on_reports(void *userdata, Error *failed)
{
        Check *c = userdata;
        FetchRequest request = { .seconds = c->m->config.metadata_timeout, .done = on_manifest_sent, .userdata = c };
        Error error = { 0 };

        if (failed->code != ERR_NONE) {
                check_failed(c, failed);
                return;
        }
        if (c->m->ecus_changed && !c->report_only) { /* nothing is to be said about ECUs that the back-end does not know */
                manager_job_done(c->m, &(EngineEvent) { .kind = ENGINE_STARTED, .provisioned = false });
                return;
        }
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
