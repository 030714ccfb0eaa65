/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An IP Secondary. It is prepared by getting, in this order: the Roots it has not got yet, one by one; all other metadata
 * of both repositories; the image. Then it waits for the order to install. It is done when its own signed report names the
 * new image: at once, or behind a reboot that it needs and somebody else makes. For that it is waited, over restarts of the
 * daemon, too, and asked ever more seldom. One that verifies partially gets the Director's Roots and Targets only.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/time.h"
#include "io/file.h"
#include "metadata/der.h"
#include "uptane/manifest.h"
#include "uptaned/bundle.h"
#include "uptaned/reports.h"

#define REPORT_PAUSE UINT64_C(2000000) /* usec between looks at a Secondary that restarts into its new image; doubles with each */
#define REPORT_PAUSE_MAX UINT64_C(60000000)

typedef struct Install {
        Work work;
        TrustKind kind;       /* whose Roots are being sent */
        int64_t root_version; /* that the Secondary has */
        sd_event_source *pause;
        uint64_t pause_usec; /* the next */
        uint64_t give_up; /* usec: until then the Secondary may take to report the new image */
} Install;

static int ask_root_version(Install *in, Error *error);

static void reset(Work *w)
{
        Install *in = (Install *) w;

        in->pause = sd_event_source_disable_unref(in->pause);
}

/* Starts a call with the Secondary's address as first argument. */
static int new_call(Install *in, const char *member, sd_bus_message **ret, Error *error)
{
        int r;

        if (helper_message(in->work.helper, member, ret, error) < 0)
                return -1;
        r = sd_bus_message_append(*ret, "s", in->work.ecu->address);
        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "%s", member) : 0;
}

static int append(sd_bus_message *call, Error *error, const char *text)
{
        int r = sd_bus_message_append(call, "s", text);

        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "asking a helper") : 0;
}

static int call_helper(Install *in, sd_bus_message *call, unsigned seconds, HelperReply reply, Error *error)
{
        return helper_call(in->work.helper, call, seconds, reply, in, error);
}

/* ---- what it runs ---- */

static bool runs_the_image(const Install *in)
{
        const EngineEcu *want = work_ecu(&in->work);

        return strcmp(in->work.ecu->image, want->image) == 0 && hashes_match(&in->work.ecu->hashes, &want->hashes);
}

static int ask_report(Install *in, HelperReply reply, Error *error)
{
        return reports_ask(in->work.ecu, in->work.helper, "GetManifest", in->work.m->config.secondary_timeout, reply, in, error);
}

/* Whether it said so in a report of its own. */
static bool take_report(Install *in, sd_bus_message *reply, Error *error)
{
        Slice report;

        return reply && helper_read_bytes(reply, MANIFEST_BYTES_MAX, &report, error) == 0 &&
               reports_take(in->work.m, in->work.ecu, report, error) == 0 && reports_store(in->work.m, error) == 0 && runs_the_image(in);
}

/* ---- preparing ---- */

static void on_image_sent(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;

        if (reply)
                work_ready(&in->work);
        else
                work_failed(&in->work, error);
}

/* Uptane 5.4.2 (7), Uptane 5.4.2.7 (a) */
static int send_image(Work *w, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        cleanup_close int fd = work_image_send(w, error);
        Install *in = (Install *) w;
        int r;

        if (fd < 0 || new_call(in, "PutImage", &call, error) < 0)
                return -1;
        r = sd_bus_message_append(call, "stuh", work_ecu(w)->image, (uint64_t) work_ecu(w)->length, (uint32_t) w->ecu->chunk, fd);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "sending an image");
        helper_set_progress(w->helper, work_progress, w);
        return call_helper(in, call, w->m->config.install_timeout, on_image_sent, error);
}

/* A commit does not pass the Primary: the Secondary gets it by itself, before anybody installs. */
static int order_commit(Install *in, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;

        if (new_call(in, "FetchCommit", &call, error) < 0)
                return -1;
        if (sd_bus_message_append(call, "b", (int) in->work.ecu->send_credentials) < 0)
                return error_set(error, ERR_HELPER, "asking for a commit");
        return call_helper(in, call, in->work.m->config.install_timeout, on_image_sent, error);
}

static void on_metadata_sent(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;

        if (!reply || (work_ecu(&in->work)->ostree ? order_commit(in, error) : work_image(&in->work, send_image, error)) < 0)
                work_failed(&in->work, error);
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
        int r = store_metadata_get(in->work.m->store, kind, role, NULL, &bytes, error);

        return r <= 0 ? r : append_bytes(call, kind, role_name(role), buffer_slice(&bytes), error);
}

/* Uptane 5.4.2.6 (b): and the delegated roles on the way to its image, none where Targets lists it */
static int append_delegated(Install *in, sd_bus_message *call, Error *error)
{
        for (char **name = in->work.roles; name && !in->work.ecu->partial && *name; name++) {
                cleanup_free char *role = xasprintf(DER_DELEGATED "%s", *name);
                cleanup_buffer Buffer bytes = { 0 };
                int r = store_metadata_get(in->work.m->store, TRUST_IMAGE, ROLE_TARGETS, *name, &bytes, error);

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

/* Uptane 5.4.2 (5), Uptane 5.4.2.5: only for who takes it; others do not know such an entry */
static int append_time(Install *in, sd_bus_message *call, Error *error)
{
        char text[TIME_TEXT_SIZE];

        if (!in->work.ecu->send_time)
                return 0;
        time_format(manager_now(in->work.m), text);
        return append_bytes(call, TRUST_DIRECTOR, DER_TIME, slice_str(text), error);
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
                        if (needs(in->work.ecu, (TrustKind) kind, (Role) role) && append_file(in, call, (TrustKind) kind, (Role) role, error) < 0)
                                return -1;
        if (append_delegated(in, call, error) < 0 || append_time(in, call, error) < 0)
                return -1;
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "sending metadata");
        return call_helper(in, call, in->work.m->config.secondary_timeout, on_metadata_sent, error);
}

static void send_roots(Install *in);

static void on_root_sent(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;

        if (!reply) {
                work_failed(&in->work, error);
                return;
        }
        in->root_version++;
        send_roots(in);
}

static int send_root(Install *in, Slice root, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;

        if (new_call(in, "PutRoot", &call, error) < 0 || append(call, error, trust_kind_name(in->kind)) < 0 ||
            helper_append_bytes(call, root, error) < 0)
                return -1;
        return call_helper(in, call, in->work.m->config.secondary_timeout, on_root_sent, error);
}

/* The next Root the Secondary lacks; behind the last, the other repository; behind that, everything else. */
static void send_roots(Install *in)
{
        cleanup_buffer Buffer root = { 0 };
        Error error = { 0 };
        int r = store_root_get(in->work.m->store, in->kind, in->root_version + 1, &root, &error);

        if (r > 0)
                r = send_root(in, buffer_slice(&root), &error);
        else if (r == 0 && in->kind == TRUST_DIRECTOR && !in->work.ecu->partial) {
                in->kind = TRUST_IMAGE;
                r = ask_root_version(in, &error);
        } else if (r == 0)
                r = send_metadata(in, &error);
        if (r < 0)
                work_failed(&in->work, &error);
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
                work_failed(&in->work, error);
        else
                send_roots(in);
}

static int ask_root_version(Install *in, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;

        if (new_call(in, "GetRootVersion", &call, error) < 0 || append(call, error, trust_kind_name(in->kind)) < 0)
                return -1;
        return call_helper(in, call, in->work.m->config.secondary_timeout, on_root_version, error);
}

static int open_helper(Work *w, Error *error)
{
        w->helper = helper_free(w->helper);
        return reports_open_helper(w->m, w->ecu, &w->helper, error);
}

static int send_all(Work *w, Error *error)
{
        Install *in = (Install *) w;

        in->kind = TRUST_DIRECTOR;
        return open_helper(w, error) < 0 ? -1 : ask_root_version(in, error);
}

/* What it says is no reason not to send it everything: it may be starting. */
static void on_report_before(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;
        Error failed = { 0 };

        if (take_report(in, reply, error))
                work_done(&in->work, false);
        else if (work_ecu(&in->work)->reboot_by)
                work_ready(&in->work); /* it has everything */
        else if (work_verify(&in->work, send_all, &failed) < 0)
                work_failed(&in->work, &failed);
}

/* An installation that was begun may have succeeded without anybody hearing of it. */
static int prepare(Work *w, Error *error)
{
        if (!work_ecu(w)->begun)
                return work_verify(w, send_all, error);
        return open_helper(w, error) < 0 ? -1 : ask_report((Install *) w, on_report_before, error);
}

/* ---- installing ---- */

static void on_report(void *userdata, sd_bus_message *reply, Error *error);

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
        Install *in = userdata;
        Error error = { 0 };

        (void) source;
        (void) usec;
        in->pause = sd_event_source_disable_unref(in->pause);
        if (open_helper(&in->work, &error) < 0 || ask_report(in, on_report, &error) < 0)
                on_report(in, NULL, &error);
        return 0;
}

static uint64_t monotonic(const Install *in)
{
        uint64_t now = 0;

        (void) sd_event_now(in->work.m->event, CLOCK_BOOTTIME, &now);
        return now;
}

static bool look_again(Install *in)
{
        uint64_t pause = in->pause_usec;

        if (monotonic(in) >= in->give_up)
                return false;
        in->work.helper = helper_free(in->work.helper);
        in->pause_usec = pause < REPORT_PAUSE_MAX / 2 ? 2 * pause : REPORT_PAUSE_MAX;
        return sd_event_add_time_relative(in->work.m->event, &in->pause, CLOCK_BOOTTIME, pause, 0, on_pause_over, in) >= 0;
}

/* The Secondary's own signed word that it runs the image now; one that waits for its reboot, or restarts, is asked again. */
static void on_report(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;
        const char *image = work_ecu(&in->work)->image, *runs = in->work.ecu->image;
        Error late = { 0 };

        if (take_report(in, reply, error)) {
                work_done(&in->work, false);
                return;
        }
        if (look_again(in))
                return;
        if (work_ecu(&in->work)->reboot_by) {
                (void) error_set(&late, ERR_INSTALL,
                                 "it has installed '%.80s' and should run it behind its reboot, but %s '%.80s' after the time it has for it", image,
                                 reply ? "reports" : "does not answer, and reported", runs);
                *error = late;
        } else if (error->code == ERR_NONE)
                (void) error_set(error, ERR_SECONDARY, "it said it had installed '%.100s', but reports '%.100s'", image, runs);
        work_failed(&in->work, error);
}

/* Behind a restart it has what is left of its time, but never less than an ECU that starts together with this one may need. */
static int await_reboot(Install *in, Error *error)
{
        const Config *c = &in->work.m->config;
        int64_t now = manager_now(in->work.m), by = work_ecu(&in->work)->reboot_by, whole = c->completion_timeout;
        int64_t least = c->install_timeout < c->completion_timeout ? c->install_timeout : c->completion_timeout;
        int64_t rest = !by || by - now > whole ? whole : by - now < least ? least : by - now;

        in->give_up = monotonic(in) + (uint64_t) rest * 1000000;
        if (ask_report(in, on_report, error) < 0)
                return -1;
        work_awaits(&in->work, now + whole);
        return 0;
}

static void on_installed(void *userdata, sd_bus_message *reply, Error *error)
{
        Install *in = userdata;
        const char *result, *description;

        if (reply && sd_bus_message_read(reply, "ss", &result, &description) < 0)
                (void) error_set(error, ERR_HELPER, "the helper answered in another form than agreed");
        if (error->code != ERR_NONE ||
            (strcmp(result, "NEED_COMPLETION") == 0 ? await_reboot(in, error) : ask_report(in, on_report, error)) < 0)
                work_failed(&in->work, error);
}

static int install(Work *w, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        Install *in = (Install *) w;

        in->pause_usec = REPORT_PAUSE;
        in->give_up = 0;
        if (open_helper(w, error) < 0)
                return -1;
        if (work_ecu(w)->reboot_by)
                return await_reboot(in, error);
        if (new_call(in, "Install", &call, error) < 0 || append(call, error, work_ecu(w)->image) < 0)
                return -1;
        return call_helper(in, call, w->m->config.install_timeout, on_installed, error);
}

const Driver install_ip = { .size = sizeof(Install), .prepare = prepare, .install = install, .reset = reset };
