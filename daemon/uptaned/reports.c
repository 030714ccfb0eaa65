/* SPDX-License-Identifier: Apache-2.0 */
#include "uptaned/reports.h"

#include <syslog.h>

#include "uptane/manifest.h"
#include "uptaned/attack.h"
#include "uptaned/exec.h"
#include "uptaned/log.h"

typedef struct Asked {
        Reports *reports;
        VehicleEcu *ecu;
        Helper *helper;
        Error error; /* of its report, while it is asked who it is */
} Asked;

struct Reports {
        Manager *m;
        Asked *asked;
        size_t n_asked, next; /* the first not asked yet */
        unsigned n_running;   /* never more than may install at the same time, each with a helper process of its own */
        bool asking;
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

static void keep(Manager *m, VehicleEcu *ecu, Slice report, int64_t counter)
{
        if (ecu->report.data != report.data) {
                buffer_done(&ecu->report);
                buffer_put(&ecu->report, report.data, report.size);
        }
        ecu->report_fresh = ecu->report_unsaved = true;
        ecu->report_counter = counter;
        ecu->report_time = manager_now(m);
}

static int put_unsaved(Manager *m, Error *error)
{
        for (size_t i = 0; i < m->n_ecus; i++) {
                VehicleEcu *ecu = &m->ecus[i];
                const StoredEcuReport stored = { ecu->report_counter, ecu->report_time, buffer_slice(&ecu->report) };

                if (ecu->report_unsaved && store_ecu_report_put(m->store, ecu->label, &stored, error) < 0)
                        return -1;
        }
        return 0;
}

/* For those that cannot sign: in their name, by the keys that are kept for them. */
static int sign_due(Manager *m, Error *error)
{
        for (size_t i = 0; i < m->n_ecus; i++) {
                VehicleEcu *ecu = &m->ecus[i];

                if (!ecu->report_due)
                        continue;
                if (manifest_sign_report(m, ecu, error) < 0)
                        return -1;
                keep(m, ecu, buffer_slice(&ecu->report), 0);
                ecu->report_due = false;
        }
        return 0;
}

/* One transaction for all, and none where there is nothing. */
int reports_store(Manager *m, Error *error)
{
        bool any = false;

        for (size_t i = 0; i < m->n_ecus; i++)
                any |= m->ecus[i].report_unsaved || m->ecus[i].report_due;
        if (!any)
                return 0;
        if (store_begin(m->store, error) < 0)
                return -1;
        if (sign_due(m, error) < 0 || put_unsaved(m, error) < 0 || store_commit(m->store, error) < 0) {
                store_rollback(m->store);
                return -1;
        }
        for (size_t i = 0; i < m->n_ecus; i++)
                m->ecus[i].report_unsaved = false;
        return 0;
}

/* Uptane 5.4.2.1.2 (k). One whose reports have no counter cannot be told from its own past; one that had a counter has it always. */
static int check_counter(const VehicleEcu *ecu, int64_t counter, Error *error)
{
        if (ecu->report_counter == 0 || counter > ecu->report_counter)
                return 0;
        return error_set(error, ERR_REPORT_REPLAYED, "ECU %s: its version report has counter %lld, and one with %lld is known", ecu->serial,
                         (long long) counter, (long long) ecu->report_counter);
}

int reports_take(Manager *m, VehicleEcu *ecu, Slice report, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        VersionReport v = { 0 };
        bool same;

        if (!ecu->key)
                return error_set(error, ERR_SECONDARY, "%s: its key is not known yet", ecu->label);
        if (version_report_verify(report, ecu->serial, ecu->key, arena, &v, error) < 0 || check_counter(ecu, v.report_counter, error) < 0)
                return error_prefix(error, "%s", ecu->label);
        keep(m, ecu, report, v.report_counter);
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

/*
 * The last answer ends the round, but from the event loop: reports_start() may still be running. Uptane 5.4.3.6 (b): what was
 * collected is durable before anybody sees it, so that whoever repeats a report later is found out, over a restart too.
 */
static int on_complete(sd_event_source *source, void *userdata)
{
        Reports *r = userdata;
        Error error = { 0 };

        (void) source;
        r->complete = sd_event_source_disable_unref(r->complete);
        if (reports_store(r->m, &error) < 0)
                (void) error_prefix(&error, "the version reports of the ECUs");
        r->done(r->userdata, &error);
        return 0;
}

static void ask(Asked *asked);

/* Asks as many as may be; what ends at once makes room for more. */
static void ask_next(Reports *r)
{
        if (r->asking)
                return;
        r->asking = true;
        while (r->next < r->n_asked && r->n_running < r->m->engine.policy.parallel) {
                Asked *asked = &r->asked[r->next++];

                if (asked->ecu->primary && !asked->ecu->handler)
                        continue;
                r->n_running++;
                ask(asked);
        }
        r->asking = false;
        if (r->n_running == 0 && !r->complete)
                (void) sd_event_add_defer(r->m->event, &r->complete, on_complete, r);
}

static void finish(Asked *asked, Error *error)
{
        Manager *m = asked->reports->m;
        VehicleEcu *ecu = asked->ecu;
        bool is_back = ecu->last_error.code != ERR_NONE && error->code == ERR_NONE;

        mark(ecu, ecu->primary || error->code == ERR_NONE, error);
        if (error->code != ERR_NONE)
                manager_note_ecu(m, ecu, error);
        else if (is_back)
                log_write(&(LogContext) { .priority = LOG_NOTICE, .ecu = ecu->serial, .cycle = m->cycle }, "%s: ECU %s reports again", ecu->label,
                          ecu->serial);
        bus_ecu_changed(m, ecu);
        asked->helper = helper_free(asked->helper);
        asked->reports->n_running--;
        ask_next(asked->reports);
}

/* Who is there? Where it is the one that always was, or nobody says, what was wrong with its report stays. */
static void on_info(void *userdata, sd_bus_message *reply, Error *error)
{
        Asked *asked = userdata;
        VehicleEcu *ecu = asked->ecu;
        const char *serial, *hardware_id, *key_type, *key;
        int r = -1;

        if (!reply)
                (void) error_prefix(error, "%s", ecu->label);
        else if (sd_bus_message_read(reply, "ssss", &serial, &hardware_id, &key_type, &key) < 0)
                (void) error_set(error, ERR_HELPER, "%s: the helper answered in another form than agreed", ecu->label);
        else
                r = vehicle_meet(asked->reports->m, ecu, serial, hardware_id, key_type, key, error);
        if (asked->error.code != ERR_NONE && r <= 0 && error->code != ERR_ECU_REPLACED)
                *error = asked->error;
        finish(asked, error);
}

static int ask_who(Asked *asked, Error *error)
{
        return reports_ask(asked->ecu, asked->helper, "GetInfo", asked->reports->m->config.secondary_timeout, on_info, asked, error);
}

static void on_report(void *userdata, sd_bus_message *reply, Error *error)
{
        Asked *asked = userdata;
        Error why = { 0 };
        Slice report;

        if (!reply || helper_read_bytes(reply, MANIFEST_BYTES_MAX, &report, error) < 0)
                (void) error_prefix(error, "%s", asked->ecu->label);
        else if (reports_take(asked->reports->m, asked->ecu, report, error) < 0 && error->code == ERR_REPORT_FORGED) {
                asked->error = *error;
                if (ask_who(asked, &why) == 0)
                        return;
        }
        finish(asked, error);
}

/* What a handler says of its ECU, signed with the key that the Primary keeps for it. Its own report is made later. */
static void on_firmware_info(void *userdata, sd_bus_message *reply, Error *error)
{
        Asked *asked = userdata;
        Manager *m = asked->reports->m;

        if (!reply || exec_take_info(m, asked->ecu, reply, error) < 0)
                (void) error_prefix(error, "%s", asked->ecu->label);
        else
                asked->ecu->report_due = asked->ecu->signer;
        finish(asked, error);
}

int reports_open_helper(Manager *m, const VehicleEcu *ecu, Helper **ret, Error *error)
{
        if (strcmp(ecu->driver, "ip") != 0)
                return error_set(error, ERR_NOT_SUPPORTED, "%s: driver '%s' is not supported", ecu->label, ecu->driver);
        return helper_open(m->event, HELPER_SECONDARY_IP, m->config.secondary_ip_socket, ret, error);
}

int reports_ask(const VehicleEcu *ecu, Helper *helper, const char *member, unsigned seconds, HelperReply reply, void *userdata, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        int r;

        if (helper_message(helper, member, &call, error) < 0)
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

        asked->ecu->report_fresh = asked->ecu->report_due = false;
        if (strcmp(asked->ecu->driver, "virtual") == 0) {
                asked->ecu->report_due = true;
        } else if (asked->ecu->handler) {
                if (exec_open(m, &asked->helper, &error) == 0 && exec_ask_info(m, asked->ecu, asked->helper, on_firmware_info, asked, &error) == 0)
                        return;
        } else if (reports_open_helper(m, asked->ecu, &asked->helper, &error) == 0 &&
                   (asked->ecu->key ? reports_ask(asked->ecu, asked->helper, "GetManifest", m->config.secondary_timeout, on_report, asked, &error)
                                    : ask_who(asked, &error)) == 0)
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
        for (size_t i = 0; i < r->n_asked; i++)
                r->asked[i] = (Asked) { .reports = r, .ecu = &m->ecus[i] };
        ask_next(r);
        *ret = r;
        return 0;
}
