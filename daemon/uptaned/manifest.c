/* SPDX-License-Identifier: Apache-2.0 */
/* What this vehicle says about itself: its reports, the manifest around them, and the record of finished updates. */
#include "base/codec.h"
#include "uptane/manifest.h"
#include "uptaned/attack.h"

/* A counter value that was never used before and never will be again, whatever happens next (Uptane 5.4.2.1.2 (k)). */
static int next_counter(Manager *m, int64_t *ret, Error *error)
{
        int64_t counter;

        if (store_number_get(m->store, "report-counter", &counter, error) < 0)
                return -1;
        if (counter == INT64_MAX)
                return error_set(error, ERR_STORAGE, "the report counter is used up");
        *ret = counter + 1;
        return store_number_put(m->store, "report-counter", *ret, error);
}

/* Its times are the ones the Primary can vouch for: now, and that of the report before, which is stored under this name. */
static int sign_report(Manager *m, VehicleEcu *ecu, const char *time_name, const char *attacks, Error *error)
{
        VersionReport report = {
                .serial = ecu->serial,
                .image = ecu->image,
                .length = ecu->length,
                .hashes = ecu->hashes,
                .attacks_detected = attacks,
                .time = manager_now(m),
        };

        if (store_number_get(m->store, time_name, &report.previous_time, error) < 0 ||
            next_counter(m, &report.report_counter, error) < 0 || store_number_put(m->store, time_name, report.time, error) < 0)
                return -1;
        buffer_done(&ecu->report);
        return version_report_sign(&report, ecu->signer ? ecu->signer : m->signer, &ecu->report, error);
}

/* Uptane 5.4.2.1.1 (i), Uptane 5.4 (e): the Primary's own report, with what was detected */
static int build_own_report(Manager *m, int64_t *ret_attacks, Error *error)
{
        cleanup_buffer Buffer attacks = { 0 };

        if (attack_report(m, &attacks, ret_attacks, error) < 0)
                return -1;
        if (store_begin(m->store, error) < 0)
                return -1;
        if (sign_report(m, &m->ecus[0], "report-time", buffer_str(&attacks), error) == 0 && store_commit(m->store, error) == 0)
                return 0;
        store_rollback(m->store);
        return -1;
}

int manifest_sign_report(Manager *m, VehicleEcu *ecu, Error *error)
{
        cleanup_free char *name = xasprintf("report-time %s", ecu->label);

        return sign_report(m, ecu, name, "", error);
}

/* Uptane 5.4.2.1 */
int manifest_build(Manager *m, Buffer *ret, int64_t *ret_attacks, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_free const char **serials = xcalloc(m->n_ecus, sizeof *serials);
        cleanup_free Slice *reports = xcalloc(m->n_ecus, sizeof *reports);
        cleanup_free int64_t *received = xcalloc(m->n_ecus, sizeof *received);
        VehicleManifest manifest = {
                .primary_serial = m->ecus[0].serial,
                .vin = *m->config.vin ? m->config.vin : NULL,
                .serials = serials,
                .reports = reports,
                .received = received,
        };

        if (build_own_report(m, ret_attacks, error) < 0 || store_report_get(m->store, arena, &manifest, error) < 0)
                return -1;
        for (size_t i = 0; i < m->n_ecus; i++)
                if (m->ecus[i].report.size) {
                        serials[manifest.n_reports] = m->ecus[i].serial;
                        received[manifest.n_reports] = m->ecus[i].primary || m->ecus[i].report_fresh ? 0 : m->ecus[i].report_time;
                        reports[manifest.n_reports++] = buffer_slice(&m->ecus[i].report);
                }
        return vehicle_manifest_sign(&manifest, m->signer, ret, error);
}

int manifest_accepted(Manager *m, int64_t attacks, Error *error)
{
        if (store_begin(m->store, error) < 0)
                return -1;
        if (store_report_clear(m->store, error) == 0 && store_attack_clear(m->store, attacks, error) == 0 && store_commit(m->store, error) == 0)
                return 0;
        store_rollback(m->store);
        return -1;
}

/* ---- the end of an update ---- */

static int write_installed(Manager *m, const EngineUpdate *update, Error *error)
{
        for (size_t i = 0; i < update->n_ecus; i++) {
                const EngineEcu *done = &update->ecus[i];
                VehicleEcu *ecu = vehicle_find(m, done->serial);

                if (ecu && done->state == ENGINE_ECU_INSTALLED &&
                    vehicle_set_installed(m, ecu, done->image, &done->hashes, done->length, done->release_counter, error) < 0)
                        return -1;
        }
        return 0;
}

/* Without a correlation id the device API has no place for a report: the version reports alone say what happened. */
static int write_report(Manager *m, const EngineUpdate *update, Error *error)
{
        cleanup_free InstallResult *results = xcalloc(update->n_ecus, sizeof *results);
        cleanup_buffer Buffer raw = { 0 };

        if (!*update->correlation_id)
                return 0;
        for (size_t i = 0; i < update->n_ecus; i++) {
                const EngineEcu *ecu = &update->ecus[i];

                results[i] = (InstallResult) { ecu->serial, ecu->hardware_id, ecu->state == ENGINE_ECU_INSTALLED ? REPORT_OK : ecu->result,
                                               ecu->description };
                if (*ecu->description)
                        buffer_printf(&raw, "%s: %s\n", ecu->serial, ecu->description);
        }
        return store_report_put(m->store, update->correlation_id, buffer_str(&raw), results, update->n_ecus, error);
}

/* Uptane 5.4.3.6 (a) */
int manifest_finalize(Manager *m, Error *error)
{
        const EngineUpdate *update = &m->engine.update;

        if (store_begin(m->store, error) < 0)
                return -1;
        /* software that failed and could not be left behind is what runs */
        if (write_installed(m, update, error) == 0 && vehicle_take_booted(m, error) == 0 && write_report(m, update, error) == 0 &&
            store_commit(m->store, error) == 0)
                return 0;
        store_rollback(m->store);
        return -1;
}

static void put_member(Buffer *b, const char *name, const char *text)
{
        buffer_printf(b, "%s\"%s\":", b->data[b->size - 1] == '{' ? "" : ",", name);
        json_quote(text, b);
}

/* [{"ecu","image","sha256","state","description"}]: for people and tools that look back. */
static void put_details(const EngineUpdate *update, Buffer *b)
{
        buffer_put_str(b, "[");
        for (size_t i = 0; i < update->n_ecus; i++) {
                const EngineEcu *ecu = &update->ecus[i];
                char sha256[2 * SHA256_SIZE + 1] = "";

                if (ecu->hashes.has_sha256)
                        hex_encode(slice(ecu->hashes.sha256, SHA256_SIZE), sha256);
                buffer_put_str(b, i ? ",{" : "{");
                put_member(b, "ecu", ecu->serial);
                put_member(b, "image", ecu->image);
                put_member(b, "sha256", sha256);
                put_member(b, "state", engine_ecu_state_name(ecu->state));
                put_member(b, "description", ecu->description);
                buffer_put_str(b, "}");
        }
        buffer_put_str(b, "]");
}

int history_add(Manager *m, const EngineEffect *finished, Error *error)
{
        const EngineUpdate *update = &m->engine.finished;
        cleanup_buffer Buffer details = { 0 };

        put_details(update, &details);
        return store_history_add(m->store, &(StoredHistory) { manager_now(m), update->id, error_report_name(finished->result),
                                                              finished->text, buffer_str(&details) },
                                 error);
}
