/* SPDX-License-Identifier: Apache-2.0 */
#include "uptaned/reports.h"

#include "uptane/manifest.h"
#include "uptaned/attack.h"
#include "uptaned/exec.h"

typedef struct Asked {
        Reports *reports;
        VehicleEcu *ecu;
        Helper *helper;
} Asked;

struct Reports {
        Manager *m;
        Asked *asked;
        size_t n_asked, n_waiting;
        sd_event_source *complete;
        ReportsDone done;
        void *userdata;
};

Reports *reports_free(Reports *r)
{
        if (!r)
                return NULL;
        for (size_t i = 0; i < r->n_asked; i++)
                helper_free(r->asked[i].helper);
        sd_event_source_disable_unref(r->complete);
        free(r->asked);
        free(r);
        return NULL;
}

int reports_take(Manager *m, VehicleEcu *ecu, Slice report, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        VersionReport v = { 0 };
        bool same;

        if (!ecu->key)
                return error_set(error, ERR_SECONDARY, "%s: its key is not known yet", ecu->label);
        if (version_report_verify(report, ecu->serial, ecu->key, arena, &v, error) < 0)
                return error_prefix(error, "%s", ecu->label);
        buffer_done(&ecu->report);
        buffer_put(&ecu->report, report.data, report.size);
        attack_of_ecu(m, ecu, v.attacks_detected);
        /* A release counter belongs to an image: it is known only of what this Primary had installed. */
        same = v.image && strcmp(v.image, ecu->image) == 0 && hashes_match(&v.hashes, &ecu->hashes);
        return vehicle_set_installed(m, ecu, v.image ? v.image : "", &v.hashes, v.length,
                                     same ? ecu->release_counter : -1, error);
}

static void mark(VehicleEcu *ecu, bool reachable, const Error *error)
{
        ecu->reachable = reachable;
        ecu->last_error = *error;
}

/* The last answer ends the round, but from the event loop: reports_start() may still be running. */
static int on_complete(sd_event_source *source, void *userdata)
{
        Reports *r = userdata;

        (void) source;
        r->complete = sd_event_source_disable_unref(r->complete);
        r->done(r->userdata);
        return 0;
}

static void count_down(Reports *r)
{
        if (--r->n_waiting == 0)
                (void) sd_event_add_defer(r->m->event, &r->complete, on_complete, r);
}

static void finish(Asked *asked, Error *error)
{
        Manager *m = asked->reports->m;

        mark(asked->ecu, asked->ecu->primary || error->code == ERR_NONE, error);
        if (error->code != ERR_NONE)
                manager_note(m, error);
        bus_ecu_changed(m, asked->ecu);
        count_down(asked->reports);
}

static void on_report(void *userdata, sd_bus_message *reply, Error *error)
{
        Asked *asked = userdata;
        VehicleEcu *ecu = asked->ecu;
        Manager *m = asked->reports->m;
        Slice report;

        if (!reply || helper_read_bytes(reply, MANIFEST_BYTES_MAX, &report, error) < 0)
                (void) error_prefix(error, "%s", ecu->label);
        else if (reports_take(m, ecu, report, error) < 0)
                buffer_done(&ecu->report);
        finish(asked, error);
}

/* What a handler says of its ECU, signed with the key that the Primary keeps for it. Its own report is made later. */
static void on_firmware_info(void *userdata, sd_bus_message *reply, Error *error)
{
        Asked *asked = userdata;
        Manager *m = asked->reports->m;

        if (!reply || exec_take_info(m, asked->ecu, reply, error) < 0 ||
            (asked->ecu->signer && manifest_sign_report(m, asked->ecu, error) < 0))
                (void) error_prefix(error, "%s", asked->ecu->label);
        finish(asked, error);
}

int reports_open_helper(Manager *m, const VehicleEcu *ecu, Helper **ret, Error *error)
{
        if (strcmp(ecu->driver, "ip") != 0)
                return error_set(error, ERR_NOT_SUPPORTED, "%s: driver '%s' is not supported", ecu->label, ecu->driver);
        return helper_open(m->event, HELPER_SECONDARY_IP, m->config.secondary_ip_socket, ret, error);
}

int reports_ask(const VehicleEcu *ecu, Helper *helper, unsigned seconds, HelperReply reply, void *userdata, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        int r;

        if (helper_message(helper, "GetManifest", &call, error) < 0)
                return -1;
        r = sd_bus_message_append(call, "s", ecu->address);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "asking a helper");
        return helper_call(helper, call, seconds, reply, userdata, error);
}

static void ask(Asked *asked)
{
        Manager *m = asked->reports->m;
        Error error = { 0 };

        buffer_done(&asked->ecu->report);
        if (strcmp(asked->ecu->driver, "virtual") == 0) {
                if (manifest_sign_report(m, asked->ecu, &error) < 0)
                        (void) error_prefix(&error, "%s", asked->ecu->label);
        } else if (asked->ecu->handler) {
                if (exec_open(m, &asked->helper, &error) == 0 && exec_ask_info(m, asked->ecu, asked->helper, on_firmware_info, asked, &error) == 0)
                        return;
        } else if (reports_open_helper(m, asked->ecu, &asked->helper, &error) == 0 &&
            reports_ask(asked->ecu, asked->helper, m->config.secondary_timeout, on_report, asked, &error) == 0)
                return;
        finish(asked, &error);
}

int reports_start(Manager *m, ReportsDone done, void *userdata, Reports **ret, Error *error)
{
        Reports *r = xcalloc(1, sizeof *r);

        (void) error;
        r->m = m;
        r->done = done;
        r->userdata = userdata;
        r->n_asked = m->n_ecus;
        r->asked = xcalloc(r->n_asked, sizeof *r->asked);
        r->n_waiting = 1; /* for this function itself */
        for (size_t i = 0; i < r->n_asked; i++) {
                r->asked[i] = (Asked) { .reports = r, .ecu = &m->ecus[i] };
                if (m->ecus[i].primary && !m->ecus[i].handler)
                        continue;
                r->n_waiting++;
                ask(&r->asked[i]);
        }
        count_down(r);
        *ret = r;
        return 0;
}
