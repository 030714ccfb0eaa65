/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ECU with a handler program. It is prepared when all metadata and the image are verified and the handler answers; it
 * gets the image whose bytes were hashed (what was verified is what is installed), and then has to say what the ECU
 * runs. Where it asks for a reboot first, a note in the store says so, with the boot in which that was; in a later boot
 * the handler is asked to complete. Whatever goes wrong, it is told to roll back.
 */
#include <stdio.h>

#include "base/codec.h"
#include "io/file.h"
#include "uptaned/bundle.h"
#include "uptaned/exec.h"

typedef struct InstallExec {
        Work work;
        bool completing;
        Error error; /* why it is rolled back */
} InstallExec;

/* ---- the note that a reboot is waited for ---- */

static char *note_name(const VehicleEcu *ecu)
{
        return xasprintf("pending %s", ecu->label);
}

/* Which image, installed in which boot. */
static char *note_text(Manager *m, const EngineEcu *want)
{
        char sha256[2 * SHA256_SIZE + 1];

        hex_encode(slice(want->hashes.sha256, SHA256_SIZE), sha256);
        return xasprintf("%s %s", sha256, m->boot_id);
}

static int put_note(Manager *m, const VehicleEcu *ecu, const char *text, Error *error)
{
        cleanup_free char *name = note_name(ecu);

        return store_value_put(m->store, name, text, error);
}

typedef enum Note { NOTE_NONE, NOTE_THIS_BOOT, NOTE_EARLIER_BOOT } Note;

static int get_note(InstallExec *in, Note *ret, Error *error)
{
        cleanup_free char *name = note_name(in->work.ecu), *here = note_text(in->work.m, work_ecu(&in->work));
        cleanup_buffer Buffer text = { 0 };

        if (store_value_get(in->work.m->store, name, &text, error) < 0)
                return -1;
        if (text.size < 2 * SHA256_SIZE || strncmp(buffer_str(&text), here, 2 * SHA256_SIZE) != 0)
                *ret = NOTE_NONE;
        else
                *ret = strcmp(buffer_str(&text), here) == 0 ? NOTE_THIS_BOOT : NOTE_EARLIER_BOOT;
        return 0;
}

static void forget_note(Manager *m, const VehicleEcu *ecu)
{
        cleanup_free char *name = note_name(ecu);
        cleanup_buffer Buffer text = { 0 };
        Error error = { 0 };
        int r = store_value_get(m->store, name, &text, &error);

        if (r > 0 && text.size > 0)
                r = put_note(m, ecu, "", &error);
        if (r < 0)
                manager_note(m, &error);
}

void install_exec_forget(Manager *m)
{
        for (size_t i = 0; i < m->n_ecus; i++)
                if (m->ecus[i].handler)
                        forget_note(m, &m->ecus[i]);
}

/* ---- the end ---- */

static void failed(InstallExec *in, const Error *error)
{
        forget_note(in->work.m, in->work.ecu);
        work_failed(&in->work, error);
}

static void done(InstallExec *in, bool need_reboot)
{
        if (!need_reboot)
                forget_note(in->work.m, in->work.ecu);
        work_done(&in->work, need_reboot);
}

/* A connection of its own for every action: what went wrong with one says nothing about the next. fd: the image, or -1. */
static int call(InstallExec *in, const char *member, int fd, HelperReply reply, Error *error)
{
        Work *w = &in->work;
        const ExecCall c = { .member = member, .ecu = w->ecu, .want = work_ecu(w), .fd = fd };

        w->helper = helper_free(w->helper);
        return exec_open(w->m, &w->helper, error) < 0 ? -1 : exec_call(w->m, &c, w->helper, reply, in, error);
}

static int ask_info(InstallExec *in, HelperReply reply, Error *error)
{
        Work *w = &in->work;

        w->helper = helper_free(w->helper);
        return exec_open(w->m, &w->helper, error) < 0 ? -1 : exec_ask_info(w->m, w->ecu, w->helper, reply, in, error);
}

/* 1: the handler says that it runs the image, 0: another, or it does not say; -1: it does not answer. */
static int take_info(InstallExec *in, sd_bus_message *reply, bool *ret_known, Error *error)
{
        int known = reply ? exec_take_info(in->work.m, in->work.ecu, reply, error) : -1;

        *ret_known = known > 0;
        return known < 0 ? -1 : known > 0 && hashes_match(&in->work.ecu->hashes, &work_ecu(&in->work)->hashes);
}

/* What it answered: the status, or NULL and error. */
static const char *read_status(sd_bus_message *reply, Error *error)
{
        const char *status, *message;

        if (!reply)
                return NULL;
        if (sd_bus_message_read(reply, "ss", &status, &message) < 0) {
                (void) error_set(error, ERR_HELPER, "uptane-exec answered in another form than agreed");
                return NULL;
        }
        return status;
}

static void on_rolled_back(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;
        const char *status = read_status(reply, error);

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

/* ---- preparing ---- */

/* One that does not answer is not ready to install; one whose installation was begun may have ended it. */
static void on_info_before(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;
        bool known;
        int runs = take_info(in, reply, &known, error);

        if (runs < 0)
                work_failed(&in->work, error);
        else if (runs > 0 && work_ecu(&in->work)->begun)
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
        Note note;

        if (get_note(in, &note, error) < 0)
                return -1;
        in->completing = note == NOTE_EARLIER_BOOT;
        if (note == NOTE_THIS_BOOT)
                done(in, true); /* the daemon ended before it could say so */
        else if (note == NOTE_EARLIER_BOOT)
                work_ready(w);
        if (note != NOTE_NONE)
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
        bool known;
        int runs = take_info(in, reply, &known, error);

        if (runs == 0 && known)
                runs = error_set(error, in->completing ? ERR_BOOT_FALLBACK : ERR_INSTALL, "'%.100s' was installed, but is not what runs",
                                 work_ecu(&in->work)->image);
        if (runs < 0)
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
        cleanup_free char *note = NULL;
        InstallExec *in = userdata;
        const char *status = read_status(reply, error);

        if (status && strcmp(status, "ok") == 0) {
                ask_what_runs(in);
                return;
        }
        if (status && strcmp(status, "need-completion") == 0) {
                note = note_text(in->work.m, work_ecu(&in->work));
                if (put_note(in->work.m, in->work.ecu, note, error) == 0) {
                        done(in, true);
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

        if (read_status(reply, error))
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
        bool known;
        int runs = take_info(in, reply, &known, error);

        if (runs > 0)
                runs = error_set(error, ERR_HANDLER, "it runs '%.100s' still", work_ecu(&in->work)->image);
        if (runs < 0)
                work_failed(&in->work, error);
        else
                work_restored(&in->work);
}

static void on_restored(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;

        forget_note(in->work.m, in->work.ecu);
        if (!read_status(reply, error) || ask_info(in, on_info_behind, error) < 0)
                work_failed(&in->work, error);
}

static int restore(Work *w, Error *error)
{
        return call((InstallExec *) w, "Rollback", -1, on_restored, error);
}

const Driver install_exec = { .size = sizeof(InstallExec), .prepare = prepare, .install = install, .restore = restore };
