/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Installs one image through an ECU's handler program: all metadata and the image are verified once more, the handler
 * gets the descriptor that was just hashed (what was verified is what is installed), and then has to say what the ECU
 * runs. Where it asks for a reboot first, a note in the store says so, with the boot in which that was; in a later boot
 * the handler is asked to complete. Whatever goes wrong, it is told to roll back.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/codec.h"
#include "uptaned/exec.h"
#include "uptaned/image.h"
#include "uptaned/verify.h"

typedef struct InstallExec {
        Job job;
        Manager *m;
        size_t index;
        VehicleEcu *ecu;
        Verify *verify;
        Helper *helper;
        int fd;
        ImageHash *hash;
        bool completing;
        Error error; /* why it is rolled back */
} InstallExec;

static EngineEcu *current(InstallExec *in)
{
        return &in->m->engine.update.ecus[in->index];
}

static void install_exec_free(Job *job)
{
        InstallExec *in = (InstallExec *) job;

        verify_free(in->verify);
        helper_free(in->helper);
        image_hash_free(in->hash);
        if (in->fd >= 0)
                close(in->fd);
        free(in);
}

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
        cleanup_free char *name = note_name(in->ecu), *here = note_text(in->m, current(in));
        cleanup_buffer Buffer text = { 0 };

        if (store_value_get(in->m->store, name, &text, error) < 0)
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
        EngineEvent event = { .kind = ENGINE_ECU_REFUSED, .index = in->index, .error = *error };

        forget_note(in->m, in->ecu);
        if (!in->ecu->primary)
                (void) error_prefix(&event.error, "%s", in->ecu->label);
        in->ecu->last_error = event.error;
        manager_job_done(in->m, &event);
}

static void done(InstallExec *in, bool need_reboot)
{
        if (!need_reboot)
                forget_note(in->m, in->ecu);
        in->ecu->last_error = (Error) { 0 };
        manager_job_done(in->m, &(EngineEvent) { .kind = ENGINE_ECU_DONE, .index = in->index, .need_reboot = need_reboot });
}

/* A connection of its own for every action: what went wrong with one says nothing about the next. */
static int call(InstallExec *in, const char *member, HelperReply reply, Error *error)
{
        const ExecCall c = { .member = member, .ecu = in->ecu, .want = current(in), .fd = in->fd };

        in->helper = helper_free(in->helper);
        return exec_open(in->m, &in->helper, error) < 0 ? -1 : exec_call(in->m, &c, in->helper, reply, in, error);
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
                manager_note(in->m, error);
                (void) error_prefix(&in->error, "rolling back failed, too");
        } else if (strcmp(status, "ok") == 0)
                (void) error_prefix(&in->error, "rolled back");
        failed(in, &in->error);
}

static void roll_back(InstallExec *in, const Error *why)
{
        Error error = { 0 };

        in->error = *why;
        if (in->fd >= 0)
                close(in->fd);
        in->fd = -1;
        manager_set_step(in->m, "rolling back", 0, 0);
        if (call(in, "Rollback", on_rolled_back, &error) < 0)
                on_rolled_back(in, NULL, &error);
}

/* ---- what it runs now ---- */

static void on_info(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;
        VehicleEcu *ecu = in->ecu;
        int known = reply ? exec_take_info(in->m, ecu, reply, error) : -1;

        if (known > 0 && !hashes_match(&ecu->hashes, &current(in)->hashes))
                known = error_set(error, in->completing ? ERR_BOOT_FALLBACK : ERR_INSTALL, "'%.100s' was installed, but is not what runs",
                                  current(in)->image);
        if (known < 0)
                roll_back(in, error);
        else
                done(in, false);
}

static void ask_info(InstallExec *in)
{
        Error error = { 0 };

        in->helper = helper_free(in->helper);
        if (exec_open(in->m, &in->helper, &error) < 0 || exec_ask_info(in->m, in->ecu, in->helper, on_info, in, &error) < 0)
                roll_back(in, &error);
}

/* ---- installing ---- */

static void on_installed(void *userdata, sd_bus_message *reply, Error *error)
{
        cleanup_free char *note = NULL;
        InstallExec *in = userdata;
        const char *status = read_status(reply, error);

        if (status && strcmp(status, "ok") == 0) {
                ask_info(in);
                return;
        }
        if (status && strcmp(status, "need-completion") == 0) {
                note = note_text(in->m, current(in));
                if (put_note(in->m, in->ecu, note, error) == 0) {
                        done(in, true);
                        return;
                }
        } else if (status)
                (void) error_set(error, ERR_HANDLER, "%s does not install", in->ecu->handler);
        roll_back(in, error);
}

/* The file may have been changed since it was downloaded: what is installed is what was hashed now, through the same fd. */
static void on_image_hashed(void *userdata, Hasher *hasher, uint64_t size, Error *error)
{
        CLEANUP(hasher_free) Hasher *owned = hasher;
        InstallExec *in = userdata;

        in->hash = image_hash_free(in->hash);
        if (error->code != ERR_NONE || image_verify(current(in), owned, size, error) < 0) {
                image_remove(in->m, current(in), IMAGE_WHOLE);
                failed(in, error);
                return;
        }
        if (lseek(in->fd, 0, SEEK_SET) < 0)
                (void) error_set_errno(error, ERR_STORAGE, errno, "reading an image");
        if (error->code != ERR_NONE || call(in, "Install", on_installed, error) < 0)
                failed(in, error);
}

static void on_verified(void *userdata, Verified *verified, Error *error)
{
        InstallExec *in = userdata;

        if (verified && verified_check(verified, current(in), error) == 0) {
                in->fd = image_open(in->m, current(in), IMAGE_WHOLE, error);
                if (in->fd >= 0 && image_hash_start(in->m, in->fd, (uint64_t) current(in)->length, on_image_hashed, in, &in->hash, error) == 0)
                        return;
        }
        failed(in, error);
}

static int begin(InstallExec *in, Error *error)
{
        const EngineEcu *want = current(in);

        if (want->ostree)
                return error_set(error, ERR_NOT_SUPPORTED, "'%.100s' is an OSTree image; a handler takes files", want->image);
        if (!want->hashes.has_sha256)
                return error_set(error, ERR_UNSUPPORTED, "'%.100s' has no SHA-256, by which a handler names it", want->image);
        return verify_start(in->m, NULL, in->ecu->serial, on_verified, in, &in->verify, error);
}

/* ---- behind a reboot ---- */

static void on_completed(void *userdata, sd_bus_message *reply, Error *error)
{
        InstallExec *in = userdata;

        if (read_status(reply, error))
                ask_info(in); /* one that does not handle it has nothing to complete */
        else
                roll_back(in, error);
}

/* Nothing is installed here that was not verified when it was installed: metadata that has expired since does no harm. */
static void complete(InstallExec *in)
{
        Error error = { 0 };

        in->completing = true;
        manager_set_step(in->m, "completing the installation", 0, 0);
        if (call(in, "CompleteInstall", on_completed, &error) < 0)
                roll_back(in, &error);
}

int install_exec_start(Manager *m, size_t index, Error *error)
{
        InstallExec *in = xcalloc(1, sizeof *in);
        Note note;

        in->job.free = install_exec_free;
        in->m = m;
        in->index = index;
        in->fd = -1;
        in->ecu = vehicle_find(m, m->engine.update.ecus[index].serial);
        m->job = &in->job;
        if (get_note(in, &note, error) < 0)
                return -1;
        manager_set_step(m, "installing", 0, 0);
        if (note == NOTE_NONE)
                return begin(in, error);
        if (note == NOTE_THIS_BOOT)
                done(in, true); /* the daemon ended before it could say so */
        else
                complete(in);
        return 0;
}
