/* SPDX-License-Identifier: Apache-2.0 */
/* One object per ECU: what it is, what it runs, what it is about to run. */
#include <errno.h>

#include "base/codec.h"
#include "uptaned/bus.h"

static const EngineEcu *in_update(const VehicleEcu *ecu)
{
        const Engine *engine = &ecu->manager->engine;

        for (size_t i = 0; engine->has_update && i < engine->update.n_ecus; i++)
                if (strcmp(engine->update.ecus[i].serial, ecu->serial) == 0)
                        return &engine->update.ecus[i];
        return NULL;
}

static const char *state_name(const VehicleEcu *ecu)
{
        const EngineEcu *e = in_update(ecu);

        return e ? engine_ecu_shown(e) : "idle";
}

static const char *pending_image(const VehicleEcu *ecu)
{
        const EngineEcu *e = in_update(ecu);

        return e && e->state != ENGINE_ECU_INSTALLED && e->state != ENGINE_ECU_FAILED ? e->image : "";
}

static void sha256_text(const VehicleEcu *ecu, char ret[static 2 * SHA256_SIZE + 1])
{
        ret[0] = '\0';
        if (ecu->hashes.has_sha256)
                hex_encode(slice(ecu->hashes.sha256, SHA256_SIZE), ret);
}

static int get_string(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *error)
{
        const VehicleEcu *ecu = userdata;
        char sha256[2 * SHA256_SIZE + 1];

        sha256_text(ecu, sha256);
        const struct {
                const char *name, *value;
        } table[] = {
                { "Serial", ecu->serial },          { "HardwareId", ecu->hardware_id },   { "Driver", ecu->driver },
                { "State", state_name(ecu) },       { "InstalledImage", ecu->image },     { "InstalledSha256", sha256 },
                { "PendingImage", pending_image(ecu) },
        };
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strcmp(table[i].name, property) == 0)
                        return sd_bus_message_append(reply, "s", table[i].value ? table[i].value : "");
        return -ENOENT;
}

static int get_bool(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *error)
{
        const VehicleEcu *ecu = userdata;

        return sd_bus_message_append(reply, "b", (int) (strcmp(property, "Primary") == 0 ? ecu->primary : ecu->reachable));
}

static int get_progress(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                        void *userdata, sd_bus_error *error)
{
        const VehicleEcu *ecu = userdata;

        return sd_bus_message_append(reply, "t", strcmp(property, "ProgressDone") == 0 ? ecu->progress_done : ecu->progress_total);
}

static int get_report_time(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                           void *userdata, sd_bus_error *error)
{
        const VehicleEcu *ecu = userdata;

        return sd_bus_message_append(reply, "t", (uint64_t) ecu->report_time * 1000000);
}

static int get_error(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *error)
{
        const VehicleEcu *ecu = userdata;

        return bus_append_error(reply, &ecu->last_error, ecu->last_error_time);
}

const sd_bus_vtable bus_ecu_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Serial", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("HardwareId", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Primary", "b", get_bool, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Driver", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Reachable", "b", get_bool, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("State", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("InstalledImage", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("InstalledSha256", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("PendingImage", "s", get_string, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ProgressDone", "t", get_progress, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ProgressTotal", "t", get_progress, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ReportTime", "t", get_report_time, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("LastError", "(sst)", get_error, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

/* All that can change, as text: two equal texts need no signal. */
static char *visible(const VehicleEcu *ecu)
{
        char sha256[2 * SHA256_SIZE + 1];

        sha256_text(ecu, sha256);
        return xasprintf("%s|%s|%d|%s|%s|%s|%s|%llu|%llu|%lld|%d%s", ecu->serial, ecu->hardware_id, ecu->reachable, state_name(ecu), ecu->image,
                         sha256, pending_image(ecu), (unsigned long long) ecu->progress_done, (unsigned long long) ecu->progress_total,
                         (long long) ecu->report_time, ecu->last_error.code, ecu->last_error.message);
}

void bus_ecu_changed(Manager *m, const VehicleEcu *changed)
{
        VehicleEcu *ecu = &m->ecus[changed - m->ecus];
        cleanup_free char *path = xasprintf(BUS_PATH "/ecu/%s", ecu->label), *now = NULL;

        if (!m->bus)
                return;
        now = visible(ecu);
        if (ecu->told && strcmp(ecu->told, now) == 0)
                return;
        free(ecu->told);
        ecu->told = TAKE_PTR(now);
        ecu->last_error_time = ecu->last_error.code == ERR_NONE ? 0 : manager_now(m);
        (void) sd_bus_emit_properties_changed(m->bus, path, "org.uptane.Primary1.Ecu", "Serial", "HardwareId", "Reachable", "State",
                                              "InstalledImage", "InstalledSha256", "PendingImage", "ProgressDone", "ProgressTotal",
                                              "ReportTime", "LastError", NULL);
}
