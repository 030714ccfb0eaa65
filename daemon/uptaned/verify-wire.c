/* SPDX-License-Identifier: Apache-2.0 */
/* What uptaned and uptane-verify say to each other, on this side (docs/HELPERS.md). */
#include <errno.h>
#include <stdio.h>

#include "uptaned/verify.h"

static int append_hashes(sd_bus_message *call, const Hashes *h)
{
        int r = sd_bus_message_append_array(call, 'y', h->sha256, h->has_sha256 ? SHA256_SIZE : 0);

        return r < 0 ? r : sd_bus_message_append_array(call, 'y', h->sha512, h->has_sha512 ? SHA512_SIZE : 0);
}

static int append_ecu(sd_bus_message *call, const VehicleEcu *ecu)
{
        int r = sd_bus_message_open_container(call, 'r', "ssbxsayayx");

        if (r >= 0)
                r = sd_bus_message_append(call, "ssbxs", ecu->serial, ecu->hardware_id, ecu->primary, ecu->release_counter, ecu->image);
        if (r >= 0)
                r = append_hashes(call, &ecu->hashes);
        if (r >= 0)
                r = sd_bus_message_append(call, "x", ecu->length);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

int verify_append_request(const Manager *m, sd_bus_message *call, const int64_t now[static _TRUST_KIND_MAX], const char *install)
{
        const Config *c = &m->config;
        const size_t *max = c->max_bytes;
        int r = sd_bus_message_append(call, "sxxb(ttttt)", install, now[TRUST_DIRECTOR], now[TRUST_IMAGE], c->require_director_timestamp,
                                      (uint64_t) max[ROLE_ROOT], (uint64_t) max[ROLE_TIMESTAMP], (uint64_t) max[ROLE_SNAPSHOT],
                                      (uint64_t) max[ROLE_TARGETS], (uint64_t) c->max_delegated_bytes);

        if (r >= 0)
                r = sd_bus_message_append_strv(call, c->must_match_names);
        if (r >= 0)
                r = sd_bus_message_append(call, "(ssb)", c->vin, c->device_id, c->require_vehicle_id);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "(ssbxsayayx)");
        for (size_t i = 0; i < m->n_ecus && r >= 0; i++)
                r = m->ecus[i].key ? append_ecu(call, &m->ecus[i]) : 0; /* one that nobody has met is nobody's target */
        return r < 0 ? r : sd_bus_message_close_container(call);
}

/* ---- the result ---- */

static int read_error(sd_bus_message *reply, Error *error)
{
        const char *name, *message, *repository, *role;
        int64_t version;
        ErrorCode code;
        int r = sd_bus_message_read(reply, "(ssssx)", &name, &message, &repository, &role, &version);

        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "uptane-verify answered in another form than agreed");
        if (!*name)
                return 0;
        code = error_code_from_dbus(name);
        (void) error_set(error, code == ERR_NONE ? ERR_HELPER : code, "%s", message);
        for (unsigned kind = 0; kind < _TRUST_KIND_MAX; kind++)
                if (strcmp(repository, trust_kind_name((TrustKind) kind)) == 0)
                        error_about(error, trust_kind_name((TrustKind) kind), role, version);
        return -1;
}

static int read_hash(sd_bus_message *reply, void *ret, size_t size, bool *ret_has)
{
        const void *data;
        size_t n;
        int r = sd_bus_message_read_array(reply, 'y', &data, &n);

        if (r < 0 || n == 0)
                return r;
        if (n != size)
                return -EBADMSG;
        memcpy(ret, data, size);
        *ret_has = true;
        return 0;
}

/* What a restart could not read again is not taken either. */
static bool in_bounds(const EngineEcu *ecu)
{
        return ecu->length >= 0 && ecu->release_counter >= -1 && ecu->release_counter <= RELEASE_COUNTER_MAX &&
               (ecu->hashes.has_sha256 || ecu->hashes.has_sha512);
}

/* Uptane 5.4.3.3 (1), Uptane 5.4.2.4 (c): the image is what the Director says, and has the hashes that the Director says */
static int read_ecu(Manager *m, sd_bus_message *reply, EngineEcu *ret)
{
        const char *serial, *image, *uri, *arguments;
        const VehicleEcu *ecu;
        int ostree, installed, r = sd_bus_message_read(reply, "sss", &serial, &image, &uri);

        if (r >= 0)
                r = read_hash(reply, ret->hashes.sha256, SHA256_SIZE, &ret->hashes.has_sha256);
        if (r >= 0)
                r = read_hash(reply, ret->hashes.sha512, SHA512_SIZE, &ret->hashes.has_sha512);
        if (r >= 0)
                r = sd_bus_message_read(reply, "xxbbs", &ret->length, &ret->release_counter, &ostree, &installed, &arguments);
        if (r < 0)
                return r;
        ecu = vehicle_find(m, serial);
        if (!ecu || strlen(image) >= sizeof ret->image || strlen(uri) >= sizeof ret->uri ||
            strlen(arguments) >= sizeof ret->kernel_arguments || !in_bounds(ret))
                return -EBADMSG;
        (void) snprintf(ret->serial, sizeof ret->serial, "%s", ecu->serial);
        (void) snprintf(ret->hardware_id, sizeof ret->hardware_id, "%s", ecu->hardware_id);
        (void) snprintf(ret->image, sizeof ret->image, "%s", image);
        (void) snprintf(ret->uri, sizeof ret->uri, "%s", uri);
        (void) snprintf(ret->kernel_arguments, sizeof ret->kernel_arguments, "%s", arguments);
        ret->primary = ecu->primary;
        ret->order = ecu->order;
        ret->restorable = ecu->signer || ecu->handler; /* not one that speaks for itself: its protocol has no word for it */
        ret->ostree = ostree;
        ret->state = installed ? ENGINE_ECU_INSTALLED : ENGINE_ECU_PENDING;
        return 0;
}

/* Uptane 5.4.4.6 (7): no ECU twice, the last one is no other */
static bool is_twice(const EngineUpdate *update)
{
        size_t last = update->n_ecus - 1;

        for (size_t i = 0; i < last; i++)
                if (strcmp(update->ecus[i].serial, update->ecus[last].serial) == 0)
                        return true;
        return false;
}

static int read_ecus(Manager *m, sd_bus_message *reply, EngineUpdate *update)
{
        int r = sd_bus_message_enter_container(reply, 'a', "(sssayayxxbbs)");

        update->ecus = xcalloc(m->n_ecus, sizeof *update->ecus);
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', "sssayayxxbbs")) > 0) {
                if (update->n_ecus == m->n_ecus)
                        return -EBADMSG;
                r = read_ecu(m, reply, &update->ecus[update->n_ecus++]);
                if (r >= 0 && is_twice(update))
                        r = -EBADMSG;
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int read_update(Manager *m, sd_bus_message *reply, Verified *ret)
{
        int64_t version;
        uint64_t n_pending;
        const char *id;
        int image, r = sd_bus_message_read(reply, "bxst", &image, &version, &id, &n_pending);

        if (r >= 0 && strlen(id) > ENGINE_ID_MAX)
                r = -EBADMSG;
        if (r < 0)
                return r;
        ret->image_repository = image;
        ret->n_pending = n_pending;
        ret->update = xcalloc(1, sizeof *ret->update);
        (void) snprintf(ret->update->correlation_id, sizeof ret->update->correlation_id, "%s", id);
        if (*id)
                (void) snprintf(ret->update->id, sizeof ret->update->id, "%s", id);
        else
                (void) snprintf(ret->update->id, sizeof ret->update->id, "targets-%lld", (long long) version);
        r = read_ecus(m, reply, ret->update);
        return r < 0 ? r : sd_bus_message_read_strv(reply, &ret->roles);
}

static void drop(Verified *v)
{
        if (v->update)
                engine_update_done(v->update);
        free(TAKE_PTR(v->update));
}

int verify_read_result(Manager *m, sd_bus_message *reply, Verified *ret, Error *error)
{
        int r;

        *ret = (Verified) { 0 };
        if (read_error(reply, error) < 0)
                return -1;
        r = read_update(m, reply, ret);
        if (r < 0 || ret->update->n_ecus == 0)
                drop(ret);
        if (r < 0) {
                strv_free(TAKE_PTR(ret->roles));
                return error_set_errno(error, ERR_HELPER, -r, "uptane-verify answered in another form than agreed");
        }
        if (ret->update)
                engine_update_seal(ret->update);
        return 0;
}
