/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_ENGINE_WORLD_H
#define TEST_ENGINE_WORLD_H

/*
 * Everything around the engine, in a few lines: a back-end that assigns something, a vehicle of two ECUs that install
 * and boot, a user, a clock that may jump, and power that may go away at any point. Time passes only here.
 */
#include "sample.h"

#define WORLD_START INT64_C(1800000000)
#define WORLD_AWAITS_MAX 3600 /* seconds that an ECU has for its own reboot */

typedef struct World {
        Engine engine;
        EnginePolicy policy;
        Buffer stored; /* what survives */
        int64_t clock, uptime;
        int64_t timer; /* uptime at which it rings; -1: not set */
        bool has_job, reboot_asked;
        EngineEffect job;
        uint32_t entropy;
        /* the back-end and the vehicle */
        Sample assigned;
        bool provisioned;
        bool secondary_needs_reboot; /* to run what it got */
        bool secondary_waits;        /* for one */
        unsigned boots, secondary_boot;
        int64_t secondary_awaits; /* so long, from when it got its image, a reboot that is no business of the Primary's; 0: none */
        int64_t secondary_reboots_at; /* uptime, survives; 0: it has nothing to run behind it */
        bool secondary_runs_a; /* survives; so does the next: the second Secondary of SAMPLE_C */
        bool zone_runs;
        Sample booted, staged; /* survives */
        Sample before;         /* survives: what ran before what is booted */
        bool going_back;       /* survives: it is the next to boot again */
        bool falls_back;       /* the new software does not come up */
        bool loses;            /* what is staged is not written when the vehicle goes down */
        bool confirmed;        /* survives: the boot loader was told that what runs is good */
        ErrorCode assess_fails; /* of new software; ERR_HEALTH: it is bad */
        ErrorCode rollback_fails;
        ErrorCode check_fails, download_fails, secondary_fails, zone_fails, primary_fails, report_fails;
        ErrorCode prepare_fails; /* of the second Secondary */
        ErrorCode restore_fails;
        unsigned fails; /* so often, then no more; 0: always */
        /* the user, where one is asked */
        bool user;     /* agrees to everything */
        bool declines; /* the installation */
        /* power goes away at the cut-th point where it could matter, and again so many points later */
        unsigned points, cut, cut_again;
        bool dark;
        /* what was seen */
        unsigned checks, downloads, prepared, installs, restores, assessments, rollbacks, holds, reboots, offers[_ENGINE_STAGE_MAX], writes, finished, reports;
        int64_t last_check; /* uptime */
        int64_t longest_pause;
        unsigned history, attacks; /* rows written together with the engine */
        ErrorReport result;
        char finished_id[ENGINE_ID_MAX + 1], why[256];
} World;

void world_init(World *world, unsigned asks);
void world_done(World *world);
/* Starts the daemon: the first time, or again after world_crash(). */
void world_start(World *world, bool rebooted);
void world_crash(World *world);
void world_post(World *world, EngineEvent event);
/* Returns whether the engine let the verb pass. */
bool world_verb(World *world, EngineEvent event);
/* Lets time pass until nothing happens for so many seconds, or so many have passed. */
void world_run(World *world, int64_t seconds);
/* Only until the engine is in this state. */
void world_run_until(World *world, EngineState state);

#endif
