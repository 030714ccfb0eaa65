/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_FUZZ_VERIFY_WORLD_H
#define TEST_FUZZ_VERIFY_WORLD_H

/* What stands behind daemon/uptaned/verify.c, in memory: a vehicle, a store and a network. They abort where their contract is broken. */
#include "uptaned/verify.h"

struct Fetch {
        const Config *config;
        FetchRequest request;
        bool running;
};

typedef struct World {
        struct Fetch fetch;
        VehicleEcu ecus[2]; /* "primary", "secondary" */
} World;

void world_init(World *world, Manager *manager, char *socket_path);
void world_done(World *world, Manager *manager);
/* What is being fetched, if anything is, comes with this status and body; status 0: it fails. */
void world_fetched(World *world, unsigned status, const char *body);

#endif
