/* SPDX-License-Identifier: Apache-2.0 */
/* The vehicle version manifest, with the device API's installation report. */
#include "base/time.h"
#include "uptane/manifest-json.h"

#define REPORT_TYPE "application/vnd.com.here.otac.installationReport.v1"

static json_t *result_json(ErrorReport code, const char *description)
{
        json_t *o = json_object();

        manifest_set(o, "success", json_boolean(code == REPORT_OK));
        manifest_set_text(o, "code", error_report_name(code));
        manifest_set_text(o, "description", description ? description : "");
        return o;
}

static const InstallResult *first_failure(const VehicleManifest *m)
{
        for (size_t i = 0; i < m->n_results; i++)
                if (m->results[i].code != REPORT_OK)
                        return &m->results[i];
        return NULL;
}

/* Success, or which hardware failed with which code: "hwid:CODE|hwid2:CODE". */
static json_t *device_result_json(const VehicleManifest *m)
{
        cleanup_buffer Buffer codes = { 0 };
        const InstallResult *failure = first_failure(m);
        json_t *o;

        if (!failure)
                return result_json(REPORT_OK, "");
        for (size_t i = 0; i < m->n_results; i++)
                if (m->results[i].code != REPORT_OK)
                        buffer_printf(&codes, "%s%s:%s", codes.size ? "|" : "", m->results[i].hardware_id,
                                      error_report_name(m->results[i].code));
        o = result_json(failure->code, failure->description);
        manifest_set_text(o, "code", buffer_str(&codes));
        return o;
}

static json_t *installation_report_json(const VehicleManifest *m)
{
        json_t *o = json_object(), *report = json_object(), *items = json_array();

        for (size_t i = 0; i < m->n_results; i++) {
                json_t *item = json_object();

                manifest_set_text(item, "ecu", m->results[i].serial);
                manifest_set(item, "result", result_json(m->results[i].code, m->results[i].description));
                if (json_array_append_new(items, item) < 0)
                        abort();
        }
        manifest_set_text(report, "correlation_id", m->correlation_id);
        manifest_set_text(report, "raw_report", m->raw_report ? m->raw_report : "");
        manifest_set(report, "result", device_result_json(m));
        manifest_set(report, "items", items);
        manifest_set_text(o, "content_type", REPORT_TYPE);
        manifest_set(o, "report", report);
        return o;
}

/*
 * The device API has no place for a report's age, but one for what others do not read: {"cached_reports": {SERIAL: TIME}} in
 * "custom". NULL where all reports are new.
 */
static json_t *custom_json(const VehicleManifest *m)
{
        json_t *custom = NULL, *cached = NULL;

        for (size_t i = 0; m->received && i < m->n_reports; i++) {
                char time[TIME_TEXT_SIZE];

                if (m->received[i] == 0)
                        continue;
                if (!custom) {
                        custom = json_object();
                        cached = json_object();
                        manifest_set(custom, "cached_reports", cached);
                }
                time_format(m->received[i], time);
                manifest_set_text(cached, m->serials[i], time);
        }
        return custom;
}

int vehicle_manifest_sign(const VehicleManifest *m, const Signer *signer, Buffer *ret, Error *error)
{
        cleanup_json json_t *body = json_object();
        json_t *reports = json_object(), *custom = custom_json(m);

        /* Uptane 5.4.2.1.1 (h) */
        manifest_set(body, "ecu_version_manifests", reports);
        if (custom)
                manifest_set(body, "custom", custom);
        for (size_t i = 0; i < m->n_reports; i++) {
                json_t *report;

                if (json_read(m->reports[i], &report, error) < 0)
                        return error_prefix(error, "version report of ECU %s", m->serials[i]);
                manifest_set(reports, m->serials[i], report);
        }
        /* Uptane 5.4.2.1.1 (g) */
        manifest_set_text(body, "primary_ecu_serial", m->primary_serial);
        /* Uptane 5.4.2.1.1 (f) */
        if (m->vin)
                manifest_set_text(body, "vin", m->vin);
        if (m->correlation_id)
                manifest_set(body, "installation_report", installation_report_json(m));
        return envelope_sign(json_incref(body), signer, ret, error);
}
