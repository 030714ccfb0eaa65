/* SPDX-License-Identifier: Apache-2.0 */
#include "verify-world.h"

#include <unistd.h>

#include "fuzz.h"
#include "io/file.h"

#define REFUSED "refused" /* a role of this name lets the store fail */

void world_init(World *world, Manager *manager, char *socket_path)
{
        REQUIRE(sd_event_new(&manager->event) >= 0);
        world->fetch.config = &manager->config;
        world->ecus[0] = (VehicleEcu) { .serial = (char *) "primary", .hardware_id = (char *) "hw-p", .image = (char *) "", .primary = true };
        world->ecus[1] = (VehicleEcu) { .serial = (char *) "secondary", .hardware_id = (char *) "hw-s", .image = (char *) "old.img" };
        manager->ecus = world->ecus;
        manager->n_ecus = ELEMENTSOF(world->ecus);
        manager->store = (Store *) manager; /* what the functions below get */
        manager->config.verify_socket = socket_path;
        manager->config.director_url = (char *) "https://ota.example.com/director";
        manager->config.repository_url = (char *) "https://ota.example.com/repo";
        manager->config.root_directory = (char *) "/usr/share/uptane";
        manager->config.vin = manager->config.device_id = (char *) "";
        manager->config.metadata_timeout = 600;
        for (unsigned role = 0; role < _ROLE_MAX; role++)
                manager->config.max_bytes[role] = 1000 * (role + 1);
        manager->config.max_delegated_bytes = 10000;
}

void world_done(World *world, Manager *manager)
{
        (void) world;
        REQUIRE(sd_event_unref(manager->event) == NULL);
}

VehicleEcu *vehicle_find(Manager *m, const char *serial)
{
        for (size_t i = 0; i < m->n_ecus; i++)
                if (strcmp(m->ecus[i].serial, serial) == 0)
                        return &m->ecus[i];
        return NULL;
}

int64_t manager_now_for(Manager *m, TrustKind kind)
{
        return kind == TRUST_DIRECTOR ? 1000 : 2000;
}

void manager_set_step(Manager *m, const char *step, uint64_t done, uint64_t total)
{
        REQUIRE(*step);
}

bool manager_authenticates(const Manager *m, const char *url)
{
        return true;
}

/* ---- the network ---- */

int fetch_get(Fetch *fetch, const FetchRequest *request, Error *error)
{
        REQUIRE(!fetch->running && request->max <= fetch->config->max_bytes[_ROLE_MAX - 1] && strncmp(request->url, "https://ota.example.com/", 24) == 0);
        fetch->request = *request;
        fetch->running = true;
        return 0;
}

void world_fetched(World *world, unsigned status, const char *body)
{
        const FetchRequest request = world->fetch.request;
        const FetchAnswer answer = { .status = status };
        size_t n = strlen(body);
        Error error = { 0 };

        if (!world->fetch.running)
                return;
        world->fetch.running = false;
        if (status == 200)
                REQUIRE(request.sink(request.userdata, 0, slice(body, n > request.max ? request.max : n), &error) == 0);
        if (status == 0)
                (void) error_set(&error, ERR_HTTP, "500");
        request.done(request.userdata, status ? &answer : NULL, &error);
}

/* ---- the store ---- */

static int refuse(const char *name, Error *error)
{
        return name && strcmp(name, REFUSED) == 0 ? error_set(error, ERR_STORAGE, "told to") : 0;
}

static void check_bytes(const Store *store, Role role, size_t size)
{
        REQUIRE(role < _ROLE_MAX && size <= ((const Manager *) store)->config.max_bytes[role]);
}

int store_metadata_open(Store *store, TrustKind kind, Role role, const char *name, int *ret, Error *error)
{
        REQUIRE(kind < _TRUST_KIND_MAX && role < _ROLE_MAX && (!name || *name));
        if (refuse(name, error) < 0)
                return -1;
        if (kind == TRUST_IMAGE)
                return 0;
        *ret = file_memory(slice_str("stored"), error);
        return *ret < 0 ? -1 : 1;
}

int store_root_shipped(TrustKind kind, const char *root_folder, Buffer *ret, Error *error)
{
        return buffer_append(ret, slice_str("shipped"), error);
}

int store_metadata_put(Store *store, TrustKind kind, Role role, int64_t version, Slice bytes, Error *error)
{
        REQUIRE(kind < _TRUST_KIND_MAX);
        check_bytes(store, role, bytes.size);
        return 0;
}

int store_delegated_put(Store *store, TrustKind kind, const char *name, int64_t version, Slice bytes, Error *error)
{
        REQUIRE(kind < _TRUST_KIND_MAX && *name);
        check_bytes(store, ROLE_TARGETS, bytes.size);
        return refuse(name, error);
}

int store_file_new(Store *store, StoreFile *ret, Error *error)
{
        REQUIRE(ret->fd < 0);
        *ret = (StoreFile) { .fd = file_memory(SLICE_NONE, error) };
        return ret->fd < 0 ? -1 : 0;
}

void store_file_done(StoreFile *file)
{
        if (file->fd >= 0)
                (void) close(file->fd);
        file->fd = -1;
}

int store_metadata_put_file(Store *store, TrustKind kind, Role role, const char *name, int64_t version, const StoreFile *file, Error *error)
{
        REQUIRE(kind < _TRUST_KIND_MAX && role < _ROLE_MAX && role != ROLE_ROOT && (!name || *name) && file->fd >= 0);
        return refuse(name, error);
}

int store_metadata_forget(Store *store, TrustKind kind, Error *error)
{
        REQUIRE(kind < _TRUST_KIND_MAX);
        return 0;
}
