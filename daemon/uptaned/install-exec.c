/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ECU with a handler program. It is prepared when all metadata and the image are verified and the handler answers; it
 * gets the image whose bytes were hashed (what was verified is what is installed), and then has to say what the ECU
 * runs. Where it asks for a reboot first, a note in the store says so, with the boot in which that was; in a later boot
 * the handler is asked to complete: that of the Primary by its trial (trial-exec.c), which the engine begins, and the
 * others here. Whatever goes wrong, it is told to roll back. Where the reboot waits for consent, that of the Primary is told to
 * hold back what it has installed.
 */
#include <stdio.h>

#include "base/codec.h"
#include "io/file.h"
#include "uptaned/bundle.h"
#include "uptaned/trial-exec.h"

typedef struct InstallExec {
        Work work;
        bool completing;
        TrialExec *hold; /* while the Primary's is told to hold back what it installed */
        Error error; /* why it is rolled back */
} InstallExec;

void install_exec_forget(Manager *m)
{
        for (size_t i = 0; i < m->n_ecus; i++)
                if (m->ecus[i].handler)
                        exec_note_forget(m, &m->ecus[i]);
}

static void reset(Work *w)
{
        InstallExec *in = (InstallExec *) w;

        in->hold = trial_exec_free(in->hold);
}

/* ---- the end ---- */

static void failed(InstallExec *in, const Error *error)
{
        exec_note_forget(in->work.m, in->work.ecu);
        work_failed(&in->work, error);
}

static void done(InstallExec *in, bool need_reboot)
{
        if (!need_reboot)
                exec_note_forget(in->work.m, in->work.ecu);
        work_done(&in->work, need_reboot);
}

/* The reboot into it waits for somebody's consent, or for later. */
static bool must_hold(const InstallExec *in)
{
        return in->work.ecu->primary && engine_holds_reboot(&in->work.m->engine, manager_now(in->work.m));
}

/* A connection of its own for every action: what went wrong with one says nothing about the next. fd: the image, or -1. */
static int call(InstallExec *in, const char *member, int fd, HelperReply reply, Error *error)
{
        Work *w = &in->work;
        const ExecCall c = { .member = member, .ecu = w->ecu, .want = work_ecu(w), .fd = fd, .hold = fd >= 0 && must_hold(in) };

        w->helper = helper_free(w->helper);
        return exec_open(w->m, &w->helper, error) < 0 ? -1 : exec_call(w->m, &c, w->helper, reply, in, error);
}

static int ask_info(InstallExec *in, HelperReply reply, Error *error)
{
        Work *w = &in->work;

        w->helper = helper_free(w->helper);
        return exec_open(w->m, &w->helper, error) < 0 ? -1 : exec_ask_info(w->m, w->ecu, w->helper, reply, in, error);
}

static int take_runs(InstallExec *in, sd_bus_message *reply, ExecRuns *ret, Error *error)
{
        return exec_take_runs(in->work.m, in->work.ecu, work_ecu(&in->work), reply, ret, error);
}

static void on_rolled_back(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;
        const char *status = exec_read_status(reply, error);

        if (!status) {
                manager_note(in->work.m, error);
                (void) error_prefix(&in->error, "rolling back failed, too");
        } else if (strcmp(status, "ok") == 0)
                (void) error_prefix(&in->error, "rolled back");
        failed(in, &in->error);
}

static void roll_back(InstallExec *in, const Error *why)
{
        Error error = { 0 };

        in->error = *why;
        if (call(in, "Rollback", -1, on_rolled_back, &error) < 0)
                on_rolled_back(in, NULL, &error);
}

/* ---- waiting for a boot ---- */

/* One that cannot hold back what it installed is no failure; but the user has to know. */
static void on_held(void *userdata, TrialResult result, Error *error)
{
        InstallExec *in = userdata;
        Manager *m = in->work.m;
        VehicleEcu *ecu = in->work.ecu;

        if (result == TRIAL_FAILED) {
                roll_back(in, error);
                return;
        }
        done(in, true);
        if (result == TRIAL_NOT_HELD)
                trial_exec_tell(m, ecu, error);
}

static void await_boot(InstallExec *in)
{
        Work *w = &in->work;
        Error error = { 0 };

        if (!must_hold(in)) {
                done(in, true);
                return;
        }
        w->helper = helper_free(w->helper);
        in->hold = trial_exec_new(w->m, work_ecu(w), on_held, in);
        if (trial_exec_hold(in->hold, &error) < 0)
                roll_back(in, &error);
}

/* ---- preparing ---- */

/* One that does not answer is not ready to install; one whose installation was begun may have ended it. */
static void on_info_before(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;
        ExecRuns runs;

        if (take_runs(in, reply, &runs, error) < 0)
                work_failed(&in->work, error);
        else if (runs == EXEC_RUNS_WANTED && work_ecu(&in->work)->begun)
                done(in, false);
        else
                work_ready(&in->work);
}

static int ask_info_before(Work *w, Error *error)
{
        return ask_info((InstallExec *) w, on_info_before, error);
}

static int take_image(Work *w, Error *error)
{
        return work_image(w, ask_info_before, error);
}

/* Behind a reboot nothing is installed that was not verified when it was installed: metadata that has expired since does no harm. */
static int prepare(Work *w, Error *error)
{
        InstallExec *in = (InstallExec *) w;
        const EngineEcu *want = work_ecu(w);
        ExecNote note;
        bool held;

        if (exec_note_get(w->m, w->ecu, want, &note, &held, error) < 0)
                return -1;
        in->completing = note == EXEC_NOTE_EARLIER_BOOT && !w->ecu->primary;
        if (in->completing)
                work_ready(w);
        else if (note != EXEC_NOTE_NONE)
                await_boot(in); /* the daemon ended before it could say so */
        if (note != EXEC_NOTE_NONE)
                return 0;
        if (want->ostree)
                return error_set(error, ERR_NOT_SUPPORTED, "'%.100s' is an OSTree image; a handler takes files", want->image);
        if (!want->hashes.has_sha256)
                return error_set(error, ERR_UNSUPPORTED, "'%.100s' has no SHA-256, by which a handler names it", want->image);
        return work_verify(w, take_image, error);
}

/* ---- installing ---- */

static void on_info(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;
        ExecRuns runs;
        int r = take_runs(in, reply, &runs, error);

        if (r == 0 && runs == EXEC_RUNS_OTHER)
                r = error_set(error, in->completing ? ERR_BOOT_FALLBACK : ERR_INSTALL, "'%.100s' was installed, but is not what runs",
                              work_ecu(&in->work)->image);
        if (r < 0)
                roll_back(in, error);
        else
                done(in, false);
}

static void ask_what_runs(InstallExec *in)
{
        Error error = { 0 };

        if (ask_info(in, on_info, &error) < 0)
                roll_back(in, &error);
}

static void on_installed(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;
        const char *status = exec_read_status(reply, error);

        if (status && strcmp(status, "ok") == 0) {
                ask_what_runs(in);
                return;
        }
        if (status && strcmp(status, "need-completion") == 0) {
                if (exec_note_put(in->work.m, in->work.ecu, work_ecu(&in->work), false, error) == 0) {
                        await_boot(in);
                        return;
                }
        } else if (status)
                (void) error_set(error, ERR_HANDLER, "%s does not install", in->work.ecu->handler);
        roll_back(in, error);
}

static int give_image(Work *w, Error *error)
{
        cleanup_close int fd = work_image_open(w, error);

        return fd < 0 ? -1 : call((InstallExec *) w, "Install", fd, on_installed, error);
}

static void on_completed(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;

        if (exec_read_status(reply, error))
                ask_what_runs(in); /* one that does not handle it has nothing to complete */
        else
                roll_back(in, error);
}

/* The Primary verifies for this ECU: right before it gets its image, too. */
static int install(Work *w, Error *error)
{
        InstallExec *in = (InstallExec *) w;

        return in->completing ? call(in, "CompleteInstall", -1, on_completed, error) : work_verify(w, give_image, error);
}

/* ---- going back with the others ---- */

static void on_info_behind(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;
        ExecRuns runs;
        int r = take_runs(in, reply, &runs, error);

        if (r == 0 && runs == EXEC_RUNS_WANTED)
                r = error_set(error, ERR_HANDLER, "it runs '%.100s' still", work_ecu(&in->work)->image);
        if (r < 0)
                work_failed(&in->work, error);
        else
                work_restored(&in->work);
}

static void on_restored(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;

        exec_note_forget(in->work.m, in->work.ecu);
        if (!exec_read_status(reply, error) || ask_info(in, on_info_behind, error) < 0)
                work_failed(&in->work, error);
}

static int restore(Work *w, Error *error)
{
        return call((InstallExec *) w, "Rollback", -1, on_restored, error);
}

const Driver install_exec = { .size = sizeof(InstallExec), .prepare = prepare, .install = install, .restore = restore, .reset = reset };
