/* SPDX-License-Identifier: Apache-2.0 */
#include "uptaned/trial-exec.h"

struct TrialExec {
        Manager *m;
        VehicleEcu *ecu;
        const EngineEcu *want;
        Helper *helper; /* of the action that runs */
        TrialEnd end;
        void *userdata;
};

TrialExec *trial_exec_new(Manager *m, const EngineEcu *want, TrialEnd end, void *userdata)
{
        TrialExec *t = xcalloc(1, sizeof *t);

        *t = (TrialExec) { .m = m, .ecu = &m->ecus[0], .want = want, .end = end, .userdata = userdata };
        return t;
}

TrialExec *trial_exec_free(TrialExec *t)
{
        if (!t)
                return NULL;
        helper_free(t->helper);
        free(t);
        return NULL;
}

/* The last thing that is done with t: it may be freed in here. */
static void end(TrialExec *t, TrialResult result, Error *error)
{
        t->end(t->userdata, result, error);
}

static int act(TrialExec *t, const char *member, HelperReply reply, Error *error)
{
        const ExecCall c = { .member = member, .ecu = t->ecu, .want = t->want, .fd = -1 };

        t->helper = helper_free(t->helper);
        return exec_open(t->m, &t->helper, error) < 0 ? -1 : exec_call(t->m, &c, t->helper, reply, t, error);
}

static int ask_info(TrialExec *t, HelperReply reply, Error *error)
{
        t->helper = helper_free(t->helper);
        return exec_open(t->m, &t->helper, error) < 0 ? -1 : exec_ask_info(t->m, t->ecu, t->helper, reply, t, error);
}

/* ---- what booted ---- */

static void on_look(void *userdata, sd_bus_message *reply, Error *error)
{
        TrialExec *t = userdata;
        bool held = false;
        ExecNote note;
        ExecRuns runs;

        if (exec_take_runs(t->m, t->ecu, t->want, reply, &runs, error) < 0 ||
            (runs != EXEC_RUNS_WANTED && exec_note_get(t->m, t->ecu, t->want, &note, &held, error) < 0))
                end(t, TRIAL_FAILED, error);
        else
                end(t, held ? TRIAL_HELD : runs == EXEC_RUNS_OTHER ? TRIAL_OTHER : TRIAL_DONE, error);
}

int trial_exec_look(TrialExec *t, Error *error)
{
        return ask_info(t, on_look, error);
}

/* ---- good ---- */

static void on_info_behind(void *userdata, sd_bus_message *reply, Error *error)
{
        TrialExec *t = userdata;
        ExecRuns runs;

        if (exec_take_runs(t->m, t->ecu, t->want, reply, &runs, error) == 0 && runs == EXEC_RUNS_OTHER)
                (void) error_set(error, ERR_BOOT_FALLBACK, "'%.100s' was installed, but is not what runs", t->want->image);
        if (error->code == ERR_NONE)
                exec_note_forget(t->m, t->ecu);
        end(t, error->code == ERR_NONE ? TRIAL_DONE : TRIAL_FAILED, error);
}

/* One that does not handle it has nothing to complete. */
static void on_completed(void *userdata, sd_bus_message *reply, Error *error)
{
        TrialExec *t = userdata;

        if (!exec_read_status(reply, error) || ask_info(t, on_info_behind, error) < 0)
                end(t, TRIAL_FAILED, error);
}

int trial_exec_complete(TrialExec *t, Error *error)
{
        return act(t, "CompleteInstall", on_completed, error);
}

/* ---- bad ---- */

static void on_rolled_back(void *userdata, sd_bus_message *reply, Error *error)
{
        TrialExec *t = userdata;
        const char *status = exec_read_status(reply, error);

        exec_note_forget(t->m, t->ecu);
        end(t, !status ? TRIAL_FAILED : strcmp(status, "need-completion") == 0 ? TRIAL_NEED_REBOOT : TRIAL_DONE, error);
}

int trial_exec_rollback(TrialExec *t, Error *error)
{
        return act(t, "Rollback", on_rolled_back, error);
}

/* ---- held, and let go ---- */

void trial_exec_tell(Manager *m, VehicleEcu *ecu, const Error *error)
{
        ecu->last_error = *error;
        manager_note_ecu(m, ecu, error);
        bus_ecu_changed(m, ecu);
}

static void on_held(void *userdata, sd_bus_message *reply, Error *error)
{
        TrialExec *t = userdata;
        const char *status = exec_read_status(reply, error);

        if (status && strcmp(status, "ok") != 0) {
                (void) error_set(error, ERR_NOT_SUPPORTED, "%.200s holds nothing back: whatever reboots the vehicle boots '%.100s'",
                                 t->ecu->handler, t->want->image);
                end(t, TRIAL_NOT_HELD, error);
        } else if (!status || exec_note_put(t->m, t->ecu, t->want, true, error) < 0)
                end(t, TRIAL_FAILED, error);
        else
                end(t, TRIAL_DONE, error);
}

int trial_exec_hold(TrialExec *t, Error *error)
{
        return act(t, "Hold", on_held, error);
}

/* The note comes last: until then a boot into the old software is none that it has failed. */
static void on_released(void *userdata, sd_bus_message *reply, Error *error)
{
        TrialExec *t = userdata;

        if (!exec_read_status(reply, error) || exec_note_put(t->m, t->ecu, t->want, false, error) < 0)
                end(t, TRIAL_FAILED, error);
        else
                end(t, TRIAL_DONE, error);
}

int trial_exec_release(TrialExec *t, Error *error)
{
        return act(t, "Release", on_released, error);
}
