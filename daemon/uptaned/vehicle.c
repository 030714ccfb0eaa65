/* SPDX-License-Identifier: Apache-2.0 */
/* The ECUs of this vehicle: the Primary, and the Secondaries of the configuration with what was learnt of them. */
#include "base/codec.h"
#include "uptane/manifest.h"
#include "uptaned/manager.h"

static void copy(char **p, const char *text)
{
        free(*p);
        *p = xstrdup(text);
}

static void init_ecu(VehicleEcu *ecu, const char *label, const char *driver, const char *address)
{
        *ecu = (VehicleEcu) { .length = -1, .release_counter = -1 };
        ecu->label = xstrdup(label);
        ecu->driver = xstrdup(driver);
        ecu->address = xstrdup(address);
        ecu->serial = xstrdup("");
        ecu->hardware_id = xstrdup("");
        ecu->key_text = xstrdup("");
        ecu->image = xstrdup("");
}

/* A protected link goes to the owner of this serial's certificate, as soon as the serial is known. */
static void set_address(VehicleEcu *ecu, const ConfigSecondary *s)
{
        free(ecu->address);
        if (s->psk)
                ecu->address = xasprintf("psk://%s@%s", s->serial, s->address);
        else if (!s->tls)
                ecu->address = xstrdup(s->address);
        else
                ecu->address = xasprintf("tls://%s%s%s", ecu->serial, *ecu->serial ? "@" : "", s->address);
}

static int take_key(VehicleEcu *ecu, KeyType type, const char *text, Error *error)
{
        PublicKey *key;

        if (public_key_new(type, text, &key, error) < 0)
                return -1;
        public_key_free(ecu->key);
        ecu->key = key;
        ecu->key_type = type;
        copy(&ecu->key_text, text);
        return 0;
}

static int put(Manager *m, const VehicleEcu *ecu, Error *error)
{
        return store_ecu_put(m->store, &(StoredEcu) { ecu->label, ecu->serial, ecu->hardware_id, ecu->key_type, ecu->key_text, ecu->image,
                                                      ecu->hashes, ecu->length, ecu->release_counter },
                             error);
}

/* What is known from before; a Secondary that was never asked has nothing. */
static int restore(Manager *m, VehicleEcu *ecu, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        StoredEcu stored;
        int r = store_ecu_get(m->store, ecu->label, arena, &stored, error);

        if (r <= 0)
                return r;
        copy(&ecu->image, stored.image);
        ecu->hashes = stored.hashes;
        ecu->length = stored.length;
        ecu->release_counter = stored.release_counter;
        if (ecu->primary || ecu->signer) /* who it is, says its key and the configuration */
                return 0;
        copy(&ecu->serial, stored.serial);
        copy(&ecu->hardware_id, stored.hardware_id);
        return *stored.key_text ? take_key(ecu, stored.key_type, stored.key_text, error) : 0;
}

/* Its last report; one that is not its own any more, because its key is another now, is none. */
static int restore_report(Manager *m, VehicleEcu *ecu, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        StoredEcuReport stored;
        Error why = { 0 };
        int r = store_ecu_report_get(m->store, ecu->label, arena, &stored, error);

        if (r <= 0 || !ecu->key || version_report_verify(stored.bytes, ecu->serial, ecu->key, arena, NULL, &why) < 0)
                return r < 0 ? -1 : 0;
        buffer_put(&ecu->report, stored.bytes.data, stored.bytes.size);
        ecu->report_counter = stored.counter;
        ecu->report_time = stored.received;
        return 0;
}

static int init_primary(Manager *m, VehicleEcu *ecu, Error *error)
{
        init_ecu(ecu, "primary", m->config.exec_installer ? "exec" : "ostree", "");
        ecu->handler = m->config.handler;
        ecu->handler_option = m->config.handler_option;
        ecu->primary = true;
        ecu->reachable = true;
        copy(&ecu->serial, *m->config.serial ? m->config.serial : signer_key_id(m->signer));
        copy(&ecu->hardware_id, m->config.hardware_id);
        if (take_key(ecu, signer_key_type(m->signer), signer_public_text(m->signer), error) < 0)
                return -1;
        return restore(m, ecu, error);
}

/* Uptane 5.4.1 (3c): the key of what cannot sign (a handler, a virtual ECU) is kept by the Primary. Who it is, says the configuration. */
static int init_signed_for(Manager *m, VehicleEcu *ecu, const ConfigSecondary *s, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_free char *file = xasprintf("secondary-%s.key", s->label);
        StoredEcu stored;
        const char *serial;
        int known = store_ecu_get(m->store, ecu->label, arena, &stored, error);

        if (known < 0 || manager_load_key(m, file, known > 0, &ecu->signer, error) < 0)
                return -1;
        serial = *s->serial ? s->serial : signer_key_id(ecu->signer);
        if (vehicle_find(m, serial))
                return error_set(error, ERR_CONFIG, "serial %s is that of %s", serial, vehicle_find(m, serial)->label);
        copy(&ecu->serial, serial);
        copy(&ecu->hardware_id, s->hardware_id);
        if (strcmp(s->driver, "exec") == 0)
                ecu->handler = s->handler;
        ecu->handler_option = s->handler_option;
        if (take_key(ecu, signer_key_type(ecu->signer), signer_public_text(ecu->signer), error) < 0)
                return -1;
        if (!known || strcmp(stored.serial, serial) != 0 || strcmp(stored.hardware_id, s->hardware_id) != 0 ||
            strcmp(stored.key_text, ecu->key_text) != 0)
                m->provisioned = false; /* the back-end knows it not at all, or as another */
        return 0;
}

/* Uptane 5.4.2 (a): its own Secondaries */
int vehicle_load(Manager *m, Error *error)
{
        m->ecus = xcalloc(m->config.n_secondaries + 1, sizeof *m->ecus);
        m->n_ecus = 1;
        if (init_primary(m, &m->ecus[0], error) < 0)
                return error_prefix(error, "the Primary");
        for (size_t i = 0; i < m->config.n_secondaries; i++) {
                const ConfigSecondary *s = &m->config.secondaries[i];
                VehicleEcu *ecu = &m->ecus[m->n_ecus++];

                init_ecu(ecu, s->label, s->driver, s->address);
                ecu->partial = s->partial;
                ecu->order = s->order;
                ecu->may_be_replaced = s->may_be_replaced;
                ecu->chunk = s->chunk;
                ecu->send_time = s->send_time;
                ecu->send_credentials = s->send_credentials;
                if ((strcmp(s->driver, "ip") != 0 && init_signed_for(m, ecu, s, error) < 0) || restore(m, ecu, error) < 0 ||
                    restore_report(m, ecu, error) < 0)
                        return error_prefix(error, "%s", s->label);
                set_address(ecu, s);
                /* a Secondary that came into the configuration later: the back-end must be told of it */
                if (!ecu->key)
                        m->provisioned = false;
        }
        return vehicle_notice_changes(m, error);
}

void vehicle_done(Manager *m)
{
        for (size_t i = 0; i < m->n_ecus; i++) {
                VehicleEcu *ecu = &m->ecus[i];

                free(ecu->label);
                free(ecu->driver);
                free(ecu->address);
                free(ecu->serial);
                free(ecu->hardware_id);
                free(ecu->key_text);
                free(ecu->image);
                free(ecu->told);
                free(ecu->attacks);
                public_key_free(ecu->key);
                signer_free(ecu->signer);
                buffer_done(&ecu->report);
        }
        free(m->ecus);
        m->ecus = NULL;
        m->n_ecus = 0;
}

VehicleEcu *vehicle_find(Manager *m, const char *serial)
{
        for (size_t i = 0; i < m->n_ecus; i++)
                if (strcmp(m->ecus[i].serial, serial) == 0)
                        return &m->ecus[i];
        return NULL;
}

int vehicle_set_installed(Manager *m, VehicleEcu *ecu, const char *image, const Hashes *hashes, int64_t length, int64_t release_counter,
                          Error *error)
{
        bool same = strcmp(ecu->image, image) == 0 && ecu->length == length && ecu->release_counter == release_counter &&
                    hashes_match(&ecu->hashes, hashes) && ecu->hashes.has_sha512 == hashes->has_sha512;

        if (same)
                return 0;
        copy(&ecu->image, image);
        ecu->hashes = *hashes;
        ecu->length = length;
        ecu->release_counter = release_counter;
        return put(m, ecu, error);
}

int vehicle_registered(Manager *m, Error *error)
{
        for (size_t i = 0; i < m->n_ecus; i++)
                if (m->ecus[i].signer && put(m, &m->ecus[i], error) < 0)
                        return -1;
        return vehicle_forget_gone(m, error);
}

/* ---- first contact ---- */

static int check_identity(Manager *m, const VehicleEcu *ecu, const char *serial, const char *hardware_id, Error *error)
{
        const VehicleEcu *other = vehicle_find(m, serial);

        if (!*serial || strlen(serial) > ECU_SERIAL_MAX || !*hardware_id || strlen(hardware_id) > HARDWARE_ID_MAX)
                return error_set(error, ERR_SECONDARY, "its serial '%.70s' or hardware id '%.70s' is empty or too long", serial, hardware_id);
        if (other && other != ecu)
                return error_set(error, ERR_SECONDARY, "it says it is ECU %s, which is %s", serial, other->label);
        if (*ecu->serial && (strcmp(ecu->serial, serial) != 0 || strcmp(ecu->hardware_id, hardware_id) != 0))
                return error_set(error, ERR_SECONDARY, "it says it is ECU %s (%.80s), but was ECU %s (%.80s) before", serial, hardware_id,
                                 ecu->serial, ecu->hardware_id);
        return 0;
}

int vehicle_learn(Manager *m, VehicleEcu *ecu, const char *serial, const char *hardware_id, const char *key_type, const char *key_text,
                  Error *error)
{
        CLEANUP(public_key_free) PublicKey *key = NULL;
        Error why = { 0 };
        KeyType type;

        if (check_identity(m, ecu, serial, hardware_id, error) < 0)
                return -1;
        if (key_type_from_name(key_type, &type, &why) < 0 || public_key_new(type, key_text, &key, &why) < 0)
                return error_set(error, ERR_SECONDARY, "its key: %s", why.message);
        if (ecu->key && !public_key_equal(ecu->key, key))
                return error_set(error, ERR_SECONDARY, "ECU %s shows another key than before", serial);
        if (ecu->key)
                return 0;
        copy(&ecu->serial, serial);
        copy(&ecu->hardware_id, hardware_id);
        set_address(ecu, &m->config.secondaries[ecu - m->ecus - 1]);
        if (take_key(ecu, type, key_text, error) < 0)
                return -1;
        return put(m, ecu, error);
}

void vehicle_unlearn(Manager *m, VehicleEcu *ecu)
{
        copy(&ecu->serial, "");
        copy(&ecu->hardware_id, "");
        copy(&ecu->key_text, "");
        copy(&ecu->image, "");
        ecu->key = public_key_free(ecu->key);
        ecu->hashes = (Hashes) { 0 };
        ecu->length = ecu->release_counter = -1;
        buffer_done(&ecu->report);
        ecu->report_fresh = ecu->report_unsaved = false;
        ecu->report_counter = ecu->report_time = 0;
        set_address(ecu, &m->config.secondaries[ecu - m->ecus - 1]);
}

int vehicle_take_booted(Manager *m, Error *error)
{
        VehicleEcu *primary = &m->ecus[0];
        CLEANUP(arena_free) Arena *arena = arena_new();
        Hashes hashes = { .has_sha256 = true };
        VersionReport image;

        if (!*m->booted)
                return 0;
        if (hex_decode(m->booted, hashes.sha256, sizeof hashes.sha256, error) < 0) {
                (void) error_prefix(error, "uptane-ostree names the booted commit '%.80s'", m->booted);
                m->booted[0] = '\0';
                return -1;
        }
        if (hashes_match(&hashes, &primary->hashes))
                return 0;
        if (factory_name(m, &hashes, arena, &image) > 0)
                return vehicle_set_installed(m, primary, image.image, &image.hashes, image.length, -1, error);
        return vehicle_set_installed(m, primary, "", &hashes, 0, -1, error);
}
