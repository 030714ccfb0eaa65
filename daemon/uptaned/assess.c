/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Behind a reboot into new software: is it good? Where a handler installed it, this is asked first whether it runs at all. Then, in
 * this order, as far as [health] asks for it: boot-complete.target is reached, every check passes, the Director can be spoken to.
 * Then the boot loader, or the handler, is told, and the old may go. Or it is bad: then the old becomes the next to boot again.
 *
 * The exchange with the Director sends no manifest: nobody is told of software that may be gone in a minute.
 */
#include "base/codec.h"
#include "uptaned/fetch.h"
#include "uptaned/trial-exec.h"
#include "uptaned/verify.h"

#define HELPER_GRACE 30   /* seconds beyond what a helper was given itself */
#define DIRECTOR_PAUSE 10 /* seconds between two tries: after a boot, the network takes its time */

typedef struct Assess {
        Job job;
        Manager *m;
        size_t index;
        Helper *helper;
        TrialExec *trial; /* of a Primary with a handler */
        Fetch *fetch;
        Verify *director;
        sd_event_source *pause;
        uint64_t give_up; /* usec */
} Assess;

static void assess_free(Job *job)
{
        Assess *a = (Assess *) job;

        helper_free(a->helper);
        trial_exec_free(a->trial);
        verify_free(a->director);
        fetch_free(a->fetch);
        sd_event_source_disable_unref(a->pause);
        free(a);
}

static Assess *new_job(Manager *m, size_t index)
{
        Assess *a = xcalloc(1, sizeof *a);

        a->job.free = assess_free;
        a->m = m;
        a->index = index;
        m->job = &a->job;
        return a;
}

static void assessed(Assess *a, const Error *error)
{
        manager_job_done(a->m, &(EngineEvent) { .kind = ENGINE_ASSESSED, .index = a->index, .error = *error });
}

/* ---- good ---- */

static void on_confirmed(void *userdata, sd_bus_message *reply, Error *error)
{
        (void) reply;
        assessed(userdata, error);
}

/* The handler's last word on what it has installed. */
static void on_completed(void *userdata, TrialResult result, Error *error)
{
        (void) result;
        assessed(userdata, error);
}

static int complete(Assess *a, Error *error)
{
        trial_exec_free(a->trial);
        a->trial = trial_exec_new(a->m, &a->m->engine.update.ecus[a->index], on_completed, a);
        return trial_exec_complete(a->trial, error);
}

static int confirm(Assess *a, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;

        manager_set_step(a->m, "confirming the new software", 0, 0);
        if (!a->m->engine.update.ecus[a->index].ostree)
                return complete(a, error);
        a->helper = helper_free(a->helper);
        if (helper_open(a->m->event, HELPER_OSTREE, a->m->config.ostree_socket, &a->helper, error) < 0 ||
            helper_message(a->helper, "MarkGood", &call, error) < 0)
                return -1;
        return helper_call(a->helper, call, a->m->config.install_timeout, on_confirmed, a, error);
}

/* ---- the Director ---- */

static int try_director(Assess *a, Error *error);

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
        Assess *a = userdata;
        Error error = { 0 };

        (void) source;
        (void) usec;
        a->pause = sd_event_source_disable_unref(a->pause);
        if (try_director(a, &error) < 0)
                assessed(a, &error);
        return 0;
}

/* Again after a pause, until there is no time left. */
static void again(Assess *a, const Error *why)
{
        Error error = { 0 };
        uint64_t now = 0;

        (void) sd_event_now(a->m->event, CLOCK_BOOTTIME, &now);
        if (now < a->give_up && sd_event_add_time_relative(a->m->event, &a->pause, CLOCK_BOOTTIME, DIRECTOR_PAUSE * UINT64_C(1000000), 0,
                                                            on_pause_over, a) >= 0)
                return;
        (void) error_set(&error, ERR_HEALTH, "health check 'director' failed for %u s: %.300s", a->m->config.health.timeout, why->message);
        assessed(a, &error);
}

static void on_director(void *userdata, Verified *verified, Error *error)
{
        Assess *a = userdata;
        Error failed = { 0 };

        (void) verified;
        if (error->code != ERR_NONE)
                again(a, error);
        else if (confirm(a, &failed) < 0)
                assessed(a, &failed);
}

static int try_director(Assess *a, Error *error)
{
        a->director = verify_free(a->director);
        a->fetch = fetch_free(a->fetch);
        if (fetch_open(a->m->event, a->m->config.fetch_socket, &a->fetch, error) < 0)
                return -1;
        return verify_start(a->m, a->fetch, NULL, on_director, a, &a->director, error);
}

static int ask_director(Assess *a, Error *error)
{
        if (!a->m->config.health.director)
                return confirm(a, error);
        manager_set_step(a->m, "looking for the Director", 0, 0);
        (void) sd_event_now(a->m->event, CLOCK_BOOTTIME, &a->give_up);
        a->give_up += a->m->config.health.timeout * UINT64_C(1000000);
        return try_director(a, error);
}

/* ---- what uptane-health finds ---- */

static int ask_health(Assess *a, const char *member, unsigned seconds, HelperReply reply, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        int r;

        a->helper = helper_free(a->helper);
        if (helper_open(a->m->event, HELPER_HEALTH, a->m->config.health_socket, &a->helper, error) < 0 ||
            helper_message(a->helper, member, &call, error) < 0)
                return -1;
        r = sd_bus_message_append(call, "u", (uint32_t) seconds);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "%s", member);
        return helper_call(a->helper, call, seconds + HELPER_GRACE, reply, a, error);
}

static void on_checks(void *userdata, sd_bus_message *reply, Error *error)
{
        if (!reply || ask_director(userdata, error) < 0)
                assessed(userdata, error);
}

static int run_checks(Assess *a, Error *error)
{
        if (!a->m->config.health.checks)
                return ask_director(a, error);
        manager_set_step(a->m, "running the health checks", 0, 0);
        return ask_health(a, "RunChecks", a->m->config.health.check_timeout, on_checks, error);
}

static void on_boot(void *userdata, sd_bus_message *reply, Error *error)
{
        if (!reply || run_checks(userdata, error) < 0)
                assessed(userdata, error);
}

static int wait_boot(Assess *a, Error *error)
{
        if (!a->m->config.health.boot_complete)
                return run_checks(a, error);
        manager_set_step(a->m, "waiting for boot-complete.target", 0, 0);
        return ask_health(a, "WaitBoot", a->m->config.health.timeout, on_boot, error);
}

/* ---- what booted, where that is not told by a commit ---- */

/* The health of other software says nothing; why that runs, its handler may know. */
static void on_look(void *userdata, TrialResult result, Error *error)
{
        Assess *a = userdata;

        if (result == TRIAL_HELD)
                manager_job_done(a->m, &(EngineEvent) { .kind = ENGINE_ASSESSED, .index = a->index, .need_reboot = true });
        else if (result == TRIAL_FAILED || (result == TRIAL_OTHER ? complete(a, error) : wait_boot(a, error)) < 0)
                assessed(a, error);
}

int assess_start(Manager *m, size_t index, Error *error)
{
        Assess *a = new_job(m, index);

        if (m->engine.update.ecus[index].ostree)
                return wait_boot(a, error);
        manager_set_step(m, "looking what was booted", 0, 0);
        a->trial = trial_exec_new(m, &m->engine.update.ecus[index], on_look, a);
        return trial_exec_look(a->trial, error);
}

/* ---- bad ---- */

static void on_rolled_back(void *userdata, sd_bus_message *reply, Error *error)
{
        Assess *a = userdata;
        EngineEvent event = { .kind = ENGINE_ROLLED_BACK };
        int need_reboot = 0;

        if (reply && sd_bus_message_read(reply, "b", &need_reboot) < 0)
                (void) error_set(error, ERR_HELPER, "uptane-ostree answered in another form than agreed");
        event.need_reboot = need_reboot;
        event.error = *error;
        manager_job_done(a->m, &event);
}

static void on_taken_back(void *userdata, TrialResult result, Error *error)
{
        Assess *a = userdata;

        manager_job_done(a->m, &(EngineEvent) { .kind = ENGINE_ROLLED_BACK, .need_reboot = result == TRIAL_NEED_REBOOT, .error = *error });
}

int rollback_start(Manager *m, size_t index, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        Assess *a = new_job(m, index);
        char commit[2 * SHA256_SIZE + 1];
        int r;

        manager_set_step(m, "going back to the software before", 0, 0);
        if (!m->engine.update.ecus[index].ostree) {
                a->trial = trial_exec_new(m, &m->engine.update.ecus[index], on_taken_back, a);
                return trial_exec_rollback(a->trial, error);
        }
        hex_encode(slice(m->engine.update.ecus[index].hashes.sha256, SHA256_SIZE), commit);
        if (helper_open(m->event, HELPER_OSTREE, m->config.ostree_socket, &a->helper, error) < 0 ||
            helper_message(a->helper, "Rollback", &call, error) < 0)
                return -1;
        r = sd_bus_message_append(call, "s", commit);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "Rollback");
        return helper_call(a->helper, call, m->config.install_timeout, on_rolled_back, a, error);
}
