/* SPDX-License-Identifier: Apache-2.0 */
#include "helper-world.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/codec.h"
#include "fuzz.h"
#include "io/file.h"
#include "uptaned/attack.h"
#include "uptaned/log.h"
#include "uptaned/verify.h"

#define ROOTS 3 /* of each repository */
#define BOOT_ID "0a0a0a0a-0a0a-0a0a-0a0a-0a0a0a0a0a0a"

static World *world_of(void *manager_or_store)
{
        return manager_or_store; /* it is the first in there */
}

bool world_flag(const World *world, const char *flag)
{
        return strstr(world->flags, flag);
}

static Signer *new_signer(void)
{
        static Buffer pem;
        Signer *signer;
        Error error = { 0 };

        REQUIRE(pem.size > 0 || signer_generate_pem(KEY_ED25519, &pem, &error) == 0);
        REQUIRE(signer_new_pem(buffer_slice(&pem), &signer, &error) == 0);
        return signer;
}

static void init_config(World *world, char *socket_path)
{
        Config *c = &world->manager.config;

        c->fetch_socket = c->ostree_socket = c->health_socket = c->secondary_ip_socket = c->exec_socket = socket_path;
        c->director_url = (char *) "https://ota.example.com/director";
        c->serial = (char *) "primary-1";
        c->hardware_id = (char *) "hw-p";
        c->secondaries_listen = (char *) (world_flag(world, "listen") ? "[::1]:9030" : "");
        c->exec_installer = world_flag(world, "handler");
        c->handler = c->handler_option = (char *) "/usr/lib/uptane/handlers/primary";
        c->metadata_timeout = c->image_timeout = c->install_timeout = c->secondary_timeout = c->announce_timeout = 600;
        c->health = (ConfigHealth) { .boot_complete = true, .checks = true, .timeout = 600, .check_timeout = 600 };
        world->secondaries[0] = (ConfigSecondary) { .label = (char *) "door", .driver = (char *) "ip", .address = (char *) "192.0.2.1:9030",
                                                    .partial = world_flag(world, "partial"), .chunk = 1024,
                                                    .may_be_replaced = world_flag(world, "replace") };
        world->secondaries[1] = (ConfigSecondary) { .label = (char *) "lamp", .driver = (char *) "exec", .serial = (char *) "lamp-1",
                                                    .handler = (char *) "/usr/lib/uptane/handlers/lamp", .handler_option = (char *) "",
                                                    .hardware_id = (char *) "hw-l", .address = (char *) "" };
        c->secondaries = world->secondaries;
        c->n_secondaries = ELEMENTSOF(world->secondaries);
}

static void init_update(World *world)
{
        Manager *m = &world->manager;
        EngineUpdate *update = &m->engine.update;

        update->ecus = world->assigned;
        update->n_ecus = m->n_ecus;
        (void) snprintf(update->id, sizeof update->id, "update");
        for (size_t i = 0; i < m->n_ecus; i++) {
                EngineEcu *ecu = &update->ecus[i];

                (void) snprintf(ecu->serial, sizeof ecu->serial, "%s", m->ecus[i].serial);
                (void) snprintf(ecu->image, sizeof ecu->image, "new.img");
                memset(ecu->hashes.sha256, 0x51, SHA256_SIZE);
                ecu->hashes.has_sha256 = true;
                ecu->length = 10;
                ecu->release_counter = -1;
                ecu->primary = m->ecus[i].primary;
                ecu->ostree = ecu->primary && !m->ecus[i].handler;
                ecu->begun = world_flag(world, "begun");
                ecu->state = ecu->primary && world_flag(world, "waits") ? ENGINE_ECU_NEED_REBOOT : ENGINE_ECU_INSTALLING;
        }
        m->engine.has_update = true;
        m->engine.state = world_flag(world, "waits") ? ENGINE_REBOOT_REQUIRED : ENGINE_INSTALLING;
}

void world_init(World *world, const char *flags, char *socket_path)
{
        Manager *m = &world->manager;
        EnginePolicy policy = { .interval = 60, .parallel = 2 };
        Error error = { 0 };
        bool waits;

        world->flags = flags;
        waits = world_flag(world, "here") || world_flag(world, "before");
        world->note = waits ? xasprintf("%s %s%s", WORLD_COMMIT, world_flag(world, "here") ? BOOT_ID : "another", world_flag(world, "held") ? " held" : "")
                            : xstrdup("");
        policy.ask[ENGINE_STAGE_REBOOT] = world_flag(world, "ask");
        REQUIRE(sd_event_new(&m->event) >= 0);
        (void) snprintf(m->boot_id, sizeof m->boot_id, "%s", BOOT_ID);
        m->store = (Store *) world;
        m->signer = new_signer();
        m->provisioned = m->registered = world_flag(world, "known");
        m->rebooted = world_flag(world, "rebooted");
        init_config(world, socket_path);
        engine_init(&m->engine, &policy);
        REQUIRE(vehicle_load(m, &error) == 0 && m->n_ecus == ELEMENTSOF(world->assigned));
        init_update(world);
}

void world_done(World *world)
{
        Manager *m = &world->manager;

        manager_stop_job(m);
        for (size_t i = 0; m->deployed && m->deployed[i]; i++)
                free(m->deployed[i]);
        free(m->deployed);
        vehicle_done(m);
        signer_free(m->signer);
        m->engine.update.ecus = NULL; /* not on the heap */
        engine_done(&m->engine);
        free(world->note);
        REQUIRE(sd_event_unref(m->event) == NULL);
}

/* ---- the manager ---- */

int64_t manager_now(Manager *m)
{
        (void) m;
        return 1000;
}

void manager_stop_job(Manager *m)
{
        Job *job = TAKE_PTR(m->job);

        if (job)
                job->free(job);
}

void manager_job_done(Manager *m, const EngineEvent *event)
{
        EngineEvent copy = *event;

        REQUIRE(m->job && copy.kind < _ENGINE_EVENT_MAX && copy.error.code < _ERR_MAX && copy.index < m->n_ecus && !copy.update);
        manager_stop_job(m);
        world_of(m)->n_ended++;
        if (copy.kind == ENGINE_STARTED)
                REQUIRE(m->started && (!*m->booted || strlen(m->booted) == 2 * SHA256_SIZE) && (m->deployed || !copy.lost));
}

void manager_job_failed(Manager *m, EngineEventKind kind, const Error *error)
{
        REQUIRE(error->code != ERR_NONE);
        manager_job_done(m, &(EngineEvent) { .kind = kind, .error = *error });
}

void manager_note(Manager *m, const Error *error)
{
        (void) m;
        REQUIRE(error->code != ERR_NONE && error->code < _ERR_MAX);
}

void manager_note_ecu(Manager *m, const VehicleEcu *ecu, const Error *error)
{
        REQUIRE(ecu >= m->ecus && ecu < m->ecus + m->n_ecus);
        manager_note(m, error);
}

void manager_set_step(Manager *m, const char *step, uint64_t done, uint64_t total)
{
        (void) done;
        (void) total;
        REQUIRE(m->job && *step);
}

char *manager_url(const char *base, const char *path)
{
        return xasprintf("%s/%s", base, path);
}

bool manager_authenticates(const Manager *m, const char *url)
{
        (void) m;
        (void) url;
        return true;
}

int manager_load_key(Manager *m, const char *name, bool must_exist, Signer **ret, Error *error)
{
        (void) m;
        (void) name;
        (void) must_exist;
        (void) error;
        *ret = new_signer();
        return 0;
}

void bus_ecu_changed(Manager *m, const VehicleEcu *ecu)
{
        (void) m;
        REQUIRE(ecu->last_error.code < _ERR_MAX);
}

int factory_name(Manager *m, const Hashes *booted, Arena *arena, VersionReport *ret)
{
        (void) m;
        (void) arena;
        (void) ret;
        REQUIRE(booted->has_sha256);
        return 0;
}

void attack_of_ecu(Manager *m, VehicleEcu *ecu, const char *text)
{
        (void) m;
        REQUIRE(ecu->key && strlen(text) <= MANIFEST_BYTES_MAX);
}

int manifest_sign_report(Manager *m, VehicleEcu *ecu, Error *error)
{
        (void) m;
        REQUIRE(ecu->signer);
        buffer_done(&ecu->report);
        return buffer_append(&ecu->report, slice_str("{}"), error);
}

void log_write(const LogContext *context, const char *fmt, ...)
{
        char text[8192];
        va_list arguments;

        (void) context;
        va_start(arguments, fmt);
        REQUIRE(vsnprintf(text, sizeof text, fmt, arguments) >= 0);
        va_end(arguments);
}

/* No target reaches it: the Director is not asked for. */
int verify_start(Manager *m, Fetch *fetch, const char *install, VerifyDone done, void *userdata, Verify **ret, Error *error)
{
        (void) m;
        (void) fetch;
        (void) install;
        (void) done;
        (void) userdata;
        (void) ret;
        return error_set(error, ERR_HELPER, "not here");
}

Verify *verify_free(Verify *verify)
{
        REQUIRE(!verify);
        return NULL;
}

/* ---- the store ---- */

int store_begin(Store *store, Error *error)
{
        (void) store;
        (void) error;
        return 0;
}

int store_commit(Store *store, Error *error)
{
        (void) store;
        (void) error;
        return 0;
}

void store_rollback(Store *store)
{
        (void) store;
}

int store_value_get(Store *store, const char *name, Buffer *ret, Error *error)
{
        REQUIRE(strncmp(name, "pending ", 8) == 0);
        return buffer_append(ret, slice_str(world_of(store)->note), error) < 0 ? -1 : 1;
}

int store_value_put(Store *store, const char *name, const char *value, Error *error)
{
        World *world = world_of(store);

        (void) error;
        if (strcmp(name, "registered") == 0)
                return 0;
        REQUIRE(strncmp(name, "pending ", 8) == 0 && (!*value || strncmp(value, WORLD_COMMIT " " BOOT_ID, strlen(WORLD_COMMIT " " BOOT_ID)) == 0));
        free(world->note);
        world->note = xstrdup(value);
        return 0;
}

int store_ecu_get(Store *store, const char *label, Arena *arena, StoredEcu *ret, Error *error)
{
        (void) arena;
        (void) error;
        *ret = (StoredEcu) { .label = "door", .serial = "door-1", .hardware_id = "hw-d", .key_type = KEY_ED25519, .key_text = WORLD_KEY,
                             .image = "old.img", .length = 5, .release_counter = 1 };
        return strcmp(label, "door") == 0 && world_flag(world_of(store), "known");
}

/* Who an ECU is, changes only where that was allowed; and what is written can be read and told again. */
int store_ecu_put(Store *store, const StoredEcu *e, Error *error)
{
        World *world = world_of(store);
        bool door = strcmp(e->label, "door") == 0;

        (void) error;
        REQUIRE(*e->serial && strlen(e->serial) <= ECU_SERIAL_MAX && *e->hardware_id && strlen(e->hardware_id) <= HARDWARE_ID_MAX);
        REQUIRE(*e->key_text && strlen(e->key_text) <= KEY_TEXT_MAX && strlen(e->image) <= TARGET_NAME_MAX);
        REQUIRE(e->length >= -1 && e->release_counter >= -1);
        if (!door)
                REQUIRE(strcmp(e->serial, strcmp(e->label, "lamp") == 0 ? "lamp-1" : "primary-1") == 0);
        if (door && world_flag(world, "known") && !world_flag(world, "replace"))
                REQUIRE(strcmp(e->serial, "door-1") == 0 && strcmp(e->hardware_id, "hw-d") == 0 && strcmp(e->key_text, WORLD_KEY) == 0);
        return 0;
}

int store_ecu_list(Store *store, Arena *arena, const char *const **ret, size_t *ret_n, Error *error)
{
        static const char *const labels[] = { "primary", "door", "lamp" };

        (void) store;
        (void) arena;
        (void) error;
        *ret = labels;
        *ret_n = ELEMENTSOF(labels);
        return 0;
}

int store_ecu_forget(Store *store, const char *label, Error *error)
{
        (void) error;
        REQUIRE(strcmp(label, "door") == 0 && world_flag(world_of(store), "replace"));
        return 0;
}

int store_ecu_report_get(Store *store, const char *label, Arena *arena, StoredEcuReport *ret, Error *error)
{
        (void) store;
        (void) label;
        (void) arena;
        (void) ret;
        (void) error;
        return 0;
}

int store_ecu_report_put(Store *store, const char *label, const StoredEcuReport *report, Error *error)
{
        (void) store;
        (void) error;
        REQUIRE(*label && report->counter >= 0 && report->bytes.size > 0 && report->bytes.size <= MANIFEST_BYTES_MAX);
        return 0;
}

int store_metadata_get(Store *store, TrustKind kind, Role role, const char *name, Buffer *ret, Error *error)
{
        (void) store;
        REQUIRE(kind < _TRUST_KIND_MAX && role < _ROLE_MAX && !name);
        return buffer_append(ret, slice_str("{}"), error) < 0 ? -1 : 1;
}

int store_root_get(Store *store, TrustKind kind, int64_t version, Buffer *ret, Error *error)
{
        (void) store;
        REQUIRE(kind < _TRUST_KIND_MAX && version > 0);
        if (version > ROOTS)
                return 0;
        return buffer_append(ret, slice_str("{}"), error) < 0 ? -1 : 1;
}

/* ---- a work ---- */

Work *world_work_new(World *world, const Driver *driver, size_t index)
{
        Work *work = xcalloc(1, driver->size);

        work->driver = driver;
        work->m = &world->manager;
        work->index = index;
        work->ecu = &work->m->ecus[index];
        return work;
}

static void close_own(Work *work)
{
        if (work->driver->reset)
                work->driver->reset(work);
        work->helper = helper_free(work->helper);
}

void world_work_free(Work *work)
{
        close_own(work);
        free(work);
}

void world_work_begin(Work *work, WorkPhase phase)
{
        const WorkStep step = phase == WORK_PREPARE ? work->driver->prepare : phase == WORK_INSTALL ? work->driver->install : work->driver->restore;
        Error error = { 0 };

        work->phase = phase;
        work->running = true;
        world_of(work->m)->ready = false;
        if (step(work, &error) < 0)
                work_failed(work, &error);
}

static void ended(Work *work)
{
        REQUIRE(work->running);
        work->running = false;
        world_of(work->m)->n_ended++;
        close_own(work);
}

const EngineEcu *work_ecu(const Work *work)
{
        return &work->m->engine.update.ecus[work->index];
}

void work_ready(Work *work)
{
        REQUIRE(work->phase == WORK_PREPARE);
        ended(work);
        world_of(work->m)->ready = true;
}

/* A Secondary of its own has said itself, signed, what it runs. */
void work_done(Work *work, bool need_reboot)
{
        REQUIRE(work->phase != WORK_RESTORE);
        if (work->driver == &install_ip)
                REQUIRE(!need_reboot && work->ecu->report.size > 0 && strcmp(work->ecu->image, "new.img") == 0 &&
                        hashes_match(&work->ecu->hashes, &work_ecu(work)->hashes));
        ended(work);
}

/* Only where it was told to install; and the step goes on. */
void work_awaits(Work *work, int64_t until)
{
        REQUIRE(work->running && work->phase == WORK_INSTALL && work->driver == &install_ip && until > 0);
}

void work_restored(Work *work)
{
        REQUIRE(work->phase == WORK_RESTORE);
        ended(work);
}

void work_failed(Work *work, const Error *error)
{
        REQUIRE(error->code != ERR_NONE && error->code < _ERR_MAX);
        ended(work);
}

void work_progress(void *userdata, uint64_t done, uint64_t total)
{
        const Work *work = userdata;

        (void) done;
        (void) total;
        REQUIRE(work->running);
}

/* Both end from the event loop otherwise; what they find is the subject of others. */
int work_verify(Work *work, WorkStep next, Error *error)
{
        return next(work, error);
}

int work_image(Work *work, WorkStep next, Error *error)
{
        return next(work, error);
}

int work_image_open(const Work *work, Error *error)
{
        (void) work;
        return file_memory(slice_str("0123456789"), error);
}

int work_image_send(Work *work, Error *error)
{
        return work_image_open(work, error);
}

int download_tell_arguments(Manager *m, struct Helper *helper, const EngineEcu *ecu, Error *error)
{
        (void) m;
        (void) helper;
        (void) ecu;
        (void) error;
        return 0;
}

int download_append_pull(Manager *m, sd_bus_message *call, const EngineEcu *ecu)
{
        (void) m;
        (void) ecu;
        return sd_bus_message_append(call, "ssbttb", "https://ota.example.com/treehub", WORLD_COMMIT, 1, (uint64_t) 10, (uint64_t) 0, 0);
}
