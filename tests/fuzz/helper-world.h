/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_FUZZ_HELPER_WORLD_H
#define TEST_FUZZ_HELPER_WORLD_H

/*
 * What stands behind the daemon's jobs and its drivers, in memory: a vehicle of a Primary and two Secondaries, "door" (IP) and
 * "lamp" (a handler's), an update for all three, a store and the end of a job or a work. They abort where their contract is broken,
 * or what they are told could not be true.
 */
#include "uptaned/bundle.h"

#define WORLD_KEY "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a" /* of "door", whose serial is "door-1" */
#define WORLD_COMMIT "5151515151515151515151515151515151515151515151515151515151515151" /* all are to get "new.img" of it, 10 bytes */

typedef struct World {
        Manager manager; /* first: it is the store, too */
        const char *flags;
        ConfigSecondary secondaries[2];
        EngineEcu assigned[3];
        char *note; /* of a handler's ECU that waits for a boot; "": none */
        unsigned n_ended; /* jobs and phases of works */
        bool ready;       /* the work that ended last */
} World;

/*
 * The flags are words, whatever stands between them: "known" (so is "door"), "replace" (it may be), "partial", "handler" (installs for
 * the Primary), "ask" (before a reboot), "listen", "begun", "waits" (for a reboot), "rebooted"; "here", "before", "held" are the note.
 */
void world_init(World *world, const char *flags, char *socket_path);
void world_done(World *world);
bool world_flag(const World *world, const char *flag);
/* One phase of a driver: the work ends it, once. */
Work *world_work_new(World *world, const Driver *driver, size_t index);
void world_work_begin(Work *work, WorkPhase phase);
void world_work_free(Work *work);

#endif
