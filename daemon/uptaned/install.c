/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Installs one image on one ECU. Before anything is touched, all stored metadata is verified once more at the present
 * time, and what is about to be installed must still be what it says.
 *
 * The Primary's commit is deployed by uptane-ostree. A Secondary gets, in this order: the Roots it has not got yet, one
 * by one; all other metadata of both repositories; the image; the order to install. It is done when its own signed
 * report names the new image. One that verifies partially gets the Director's Roots and Targets only.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/codec.h"
#include "io/file.h"
#include "uptane/manifest.h"
#include "uptaned/image.h"
#include "uptaned/reports.h"
#include "uptaned/verify.h"

#define DELEGATED "delegations/" /* before the name of a delegated role: docs/HELPERS.md */
#define REPORT_PAUSE 2 /* seconds between looks at a Secondary that restarts into its new image */

typedef struct Install {
        Job job;
        Manager *m;
        size_t index;
        VehicleEcu *ecu;
        Verify *verify;
        char **roles; /* delegated ones that say where its image is, ends with NULL; NULL: none */
        Helper *helper;
        TrustKind kind;       /* whose Roots are being sent */
        int64_t root_version; /* that the Secondary has */
        int fd;
        ImageHash *hash;
        sd_event_source *pause;
        uint64_t give_up; /* usec: until then the Secondary may take to report the new image */
} Install;

static EngineEcu *current(Install *in)
{
        return &in->m->engine.update.ecus[in->index];
}

static void install_free(Job *job)
{
        Install *in = (Install *) job;

        verify_free(in->verify);
        strv_free(in->roles);
        helper_free(in->helper);
        image_hash_free(in->hash);
        sd_event_source_disable_unref(in->pause);
        if (in->fd >= 0)
                close(in->fd);
        free(in);
}

static void failed(Install *in, const Error *error)
{
        EngineEvent event = { .kind = ENGINE_ECU_REFUSED, .index = in->index, .error = *error };

        if (!in->ecu->primary)
                (void) error_prefix(&event.error, "%s", in->ecu->label);
        in->ecu->last_error = event.error;
        manager_job_done(in->m, &event);
}

static void done(Install *in, bool need_reboot)
{
        in->ecu->last_error = (Error) { 0 };
        manager_job_done(in->m, &(EngineEvent) { .kind = ENGINE_ECU_DONE, .index = in->index, .need_reboot = need_reboot });
}

static void show_progress(void *userdata, uint64_t n, uint64_t total)
{
        Install *in = userdata;

        in->ecu->progress_done = n;
        in->ecu->progress_total = total;
        manager_set_step(in->m, "installing", n, total);
}

/* Starts a call with the Secondary's address as first argument. */
static int new_call(Install *in, const char *member, sd_bus_message **ret, Error *error)
{
        int r;

        if (helper_message(in->helper, member, ret, error) < 0)
                return -1;
        r = in->ecu->primary ? 0 : sd_bus_message_append(*ret, "s", in->ecu->address);
        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "%s", member) : 0;
}

static int append(sd_bus_message *call, Error *error, const char *types, const char *text)
{
        int r = sd_bus_message_append(call, types, text);

        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "asking a helper") : 0;
}

/* ---- the Primary ---- */

static void on_deployed(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;
        int need_reboot;

        if (reply && sd_bus_message_read(reply, "b", &need_reboot) < 0)
                (void) error_set(error, ERR_HELPER, "uptane-ostree answered in another form than agreed");
        if (error->code != ERR_NONE)
                failed(in, error);
        else
                done(in, need_reboot);
}

/* Uptane 5.4.3 (5), Uptane 5.4.3.5 (a) */
static int deploy(Install *in, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        char commit[2 * SHA256_SIZE + 1];
        int hold = engine_holds_reboot(&in->m->engine, manager_now(in->m)), r;

        if (!current(in)->ostree)
                return error_set(error, ERR_NOT_SUPPORTED, "'%.100s' is no OSTree image; the Primary takes no other", current(in)->image);
        hex_encode(slice(current(in)->hashes.sha256, SHA256_SIZE), commit);
        if (helper_open(in->m->event, HELPER_OSTREE, in->m->config.ostree_socket, &in->helper, error) < 0 ||
            new_call(in, "Deploy", &call, error) < 0 || append(call, error, "s", commit) < 0 ||
            append(call, error, "s", current(in)->image) < 0)
                return -1;
        r = sd_bus_message_append(call, "b", hold);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "asking for a deployment");
        return helper_call(in->helper, call, in->m->config.install_timeout, on_deployed, in, error);
}

/* ---- a Secondary ---- */

static int ask_root_version(Install *in, Error *error);
static int ask_report(Install *in, Error *error);

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
        Install *in = userdata;
        Error error = { 0 };

        (void) source;
        (void) usec;
        in->pause = sd_event_source_disable_unref(in->pause);
        if (ask_report(in, &error) < 0)
                failed(in, &error);
        return 0;
}

static bool runs_the_image(const Install *in)
{
        const EngineEcu *want = &in->m->engine.update.ecus[in->index];

        return strcmp(in->ecu->image, want->image) == 0 && hashes_match(&in->ecu->hashes, &want->hashes);
}

/* The Secondary's own signed word that it runs the image now; one that restarts is asked again. */
static void on_report(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;
        uint64_t now = 0;
        Slice report;

        if (reply && helper_read_bytes(reply, MANIFEST_BYTES_MAX, &report, error) == 0 &&
            reports_take(in->m, in->ecu, report, error) == 0 && runs_the_image(in)) {
                done(in, false);
                return;
        }
        (void) sd_event_now(in->m->event, CLOCK_BOOTTIME, &now);
        if (now < in->give_up && sd_event_add_time_relative(in->m->event, &in->pause, CLOCK_BOOTTIME, REPORT_PAUSE * 1000000,
                                                             0, on_pause_over, in) >= 0)
                return;
        if (error->code == ERR_NONE)
                (void) error_set(error, ERR_SECONDARY, "it said it had installed '%.100s', but reports '%.100s'",
                                 current(in)->image, in->ecu->image);
        failed(in, error);
}

static int ask_report(Install *in, Error *error)
{
        return reports_ask(in->ecu, in->helper, in->m->config.secondary_timeout, on_report, in, error);
}

static void on_installed(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;
        const char *result, *description;
        uint64_t now = 0;

        if (reply && sd_bus_message_read(reply, "ss", &result, &description) < 0)
                (void) error_set(error, ERR_HELPER, "the helper answered in another form than agreed");
        if (error->code == ERR_NONE) {
                (void) sd_event_now(in->m->event, CLOCK_BOOTTIME, &now);
                in->give_up = strcmp(result, "NEED_COMPLETION") == 0 ? now + in->m->config.install_timeout * UINT64_C(1000000) : 0;
                if (ask_report(in, error) == 0)
                        return;
        }
        failed(in, error);
}

static void on_image_sent(void *userdata, sd_bus_message *reply, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        Install *in = userdata;

        if (!reply || new_call(in, "Install", &call, error) < 0 || append(call, error, "s", current(in)->image) < 0 ||
            helper_call(in->helper, call, in->m->config.install_timeout, on_installed, in, error) < 0)
                failed(in, error);
}

/* Uptane 5.4.2 (7), Uptane 5.4.2.7 (a) */
static int send_image(Install *in, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        int r;

        if (new_call(in, "PutImage", &call, error) < 0)
                return -1;
        if (lseek(in->fd, 0, SEEK_SET) < 0)
                return error_set_errno(error, ERR_STORAGE, errno, "reading an image");
        r = sd_bus_message_append(call, "sth", current(in)->image, (uint64_t) current(in)->length, in->fd);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "sending an image");
        helper_set_progress(in->helper, show_progress, in);
        return helper_call(in->helper, call, in->m->config.install_timeout, on_image_sent, in, error);
}

/*
 * Uptane 5.4.3 (4), Uptane 5.4.3.4 (a): the file may have been changed since it was downloaded: what is sent is what was
 * hashed now, through the same fd.
 */
static void on_image_hashed(void *userdata, Hasher *hasher, uint64_t size, Error *error)
{
        CLEANUP(hasher_free) Hasher *owned = hasher;
        Install *in = userdata;

        in->hash = image_hash_free(in->hash);
        if (error->code != ERR_NONE || image_verify(current(in), owned, size, error) < 0) {
                image_remove(in->m, current(in), IMAGE_WHOLE);
                failed(in, error);
        } else if (send_image(in, error) < 0)
                failed(in, error);
}

static void on_metadata_sent(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;

        if (reply) {
                in->fd = image_open(in->m, current(in), IMAGE_WHOLE, error);
                if (in->fd >= 0 && image_hash_start(in->m, in->fd, (uint64_t) current(in)->length, on_image_hashed, in, &in->hash,
                                                    error) == 0)
                        return;
        }
        failed(in, error);
}

static int append_bytes(sd_bus_message *call, TrustKind kind, const char *role, Slice bytes, Error *error)
{
        int r = sd_bus_message_open_container(call, 'r', "ssay");

        if (r >= 0)
                r = sd_bus_message_append(call, "ss", trust_kind_name(kind), role);
        if (r >= 0)
                r = sd_bus_message_append_array(call, 'y', bytes.data, bytes.size);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "sending metadata") : 0;
}

static int append_file(Install *in, sd_bus_message *call, TrustKind kind, Role role, Error *error)
{
        cleanup_buffer Buffer bytes = { 0 };
        int r = store_metadata_get(in->m->store, kind, role, NULL, &bytes, error);

        return r <= 0 ? r : append_bytes(call, kind, role_name(role), buffer_slice(&bytes), error);
}

/* Uptane 5.4.2.6 (b): and the delegated roles on the way to its image, none where Targets lists it */
static int append_delegated(Install *in, sd_bus_message *call, Error *error)
{
        for (char **name = in->roles; name && !in->ecu->partial && *name; name++) {
                cleanup_free char *role = xasprintf(DELEGATED "%s", *name);
                cleanup_buffer Buffer bytes = { 0 };
                int r = store_metadata_get(in->m->store, TRUST_IMAGE, ROLE_TARGETS, *name, &bytes, error);

                if (r == 0)
                        return error_set(error, ERR_STORAGE, "image role '%s' is not stored any more", *name);
                if (r < 0 || append_bytes(call, TRUST_IMAGE, role, buffer_slice(&bytes), error) < 0)
                        return -1;
        }
        return 0;
}

/* Uptane 5.4.2.6 (c): no more than it needs */
static bool needs(const VehicleEcu *ecu, TrustKind kind, Role role)
{
        return !ecu->partial || (kind == TRUST_DIRECTOR && role == ROLE_TARGETS);
}

/* Uptane 5.4.2 (6), Uptane 5.4.2.6 (a): all metadata a Secondary needs for its own verification */
static int send_metadata(Install *in, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        int r;

        if (new_call(in, "PutMetadata", &call, error) < 0)
                return -1;
        r = sd_bus_message_open_container(call, 'a', "(ssay)");
        for (unsigned kind = 0; kind < _TRUST_KIND_MAX && r >= 0; kind++)
                for (unsigned role = 0; role < _ROLE_MAX; role++)
                        if (needs(in->ecu, (TrustKind) kind, (Role) role) && append_file(in, call, (TrustKind) kind, (Role) role, error) < 0)
                                return -1;
        if (append_delegated(in, call, error) < 0)
                return -1;
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "sending metadata");
        return helper_call(in->helper, call, in->m->config.secondary_timeout, on_metadata_sent, in, error);
}

static void send_roots(Install *in);

static void on_root_sent(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;

        if (!reply) {
                failed(in, error);
                return;
        }
        in->root_version++;
        send_roots(in);
}

static int send_root(Install *in, Slice root, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;

        if (new_call(in, "PutRoot", &call, error) < 0 || append(call, error, "s", trust_kind_name(in->kind)) < 0 ||
            helper_append_bytes(call, root, error) < 0)
                return -1;
        return helper_call(in->helper, call, in->m->config.secondary_timeout, on_root_sent, in, error);
}

/* The next Root the Secondary lacks; behind the last, the other repository; behind that, everything else. */
static void send_roots(Install *in)
{
        cleanup_buffer Buffer root = { 0 };
        Error error = { 0 };
        int r = store_root_get(in->m->store, in->kind, in->root_version + 1, &root, &error);

        if (r > 0)
                r = send_root(in, buffer_slice(&root), &error);
        else if (r == 0 && in->kind == TRUST_DIRECTOR && !in->ecu->partial) {
                in->kind = TRUST_IMAGE;
                r = ask_root_version(in, &error);
        } else if (r == 0) {
                manager_set_step(in->m, "sending metadata", 0, 0);
                r = send_metadata(in, &error);
        }
        if (r < 0)
                failed(in, &error);
}

static void on_root_version(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;

        if (reply && sd_bus_message_read(reply, "x", &in->root_version) < 0)
                (void) error_set(error, ERR_HELPER, "the helper answered in another form than agreed");
        if (error->code == ERR_NONE && (in->root_version < 0 || in->root_version == INT64_MAX))
                (void) error_set(error, ERR_SECONDARY, "it says its %s Root has version %lld", trust_kind_name(in->kind),
                                 (long long) in->root_version);
        if (error->code != ERR_NONE)
                failed(in, error);
        else
                send_roots(in);
}

static int ask_root_version(Install *in, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;

        if (new_call(in, "GetRootVersion", &call, error) < 0 || append(call, error, "s", trust_kind_name(in->kind)) < 0)
                return -1;
        return helper_call(in->helper, call, in->m->config.secondary_timeout, on_root_version, in, error);
}

/* ---- both ---- */

static int begin(Install *in, Error *error)
{
        if (in->ecu->primary)
                return deploy(in, error);
        in->kind = TRUST_DIRECTOR;
        if (reports_open_helper(in->m, in->ecu, &in->helper, error) < 0)
                return -1;
        return ask_root_version(in, error);
}

/* Uptane 5.4 (f), Uptane 5.4.3 (2), Uptane 5.4.3.2 (a), Uptane 5.4.3.4 (1): verified again, then installed */
static void on_verified(void *userdata, Verified *verified, Error *error)
{
        Install *in = userdata;

        if (verified)
                in->roles = TAKE_PTR(verified->roles);
        if (!verified || verified_check(verified, current(in), error) < 0 || begin(in, error) < 0)
                failed(in, error);
}

int install_start(Manager *m, size_t index, Error *error)
{
        VehicleEcu *ecu = vehicle_find(m, m->engine.update.ecus[index].serial);
        Install *in;

        if (ecu && strcmp(ecu->driver, "exec") == 0)
                return install_exec_start(m, index, error);
        in = xcalloc(1, sizeof *in);
        in->job.free = install_free;
        in->m = m;
        in->index = index;
        in->fd = -1;
        in->ecu = ecu;
        m->job = &in->job;
        if (!in->ecu)
                return error_set(error, ERR_UNKNOWN_ECU, "%s is not in this vehicle any more", m->engine.update.ecus[index].serial);
        manager_set_step(m, "installing", 0, 0);
        return verify_start(m, NULL, in->ecu->serial, on_verified, in, &in->verify, error);
}
