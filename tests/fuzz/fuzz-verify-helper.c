/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A uptane-verify that has been taken over: calls, replies, signals and raw bytes over the daemon's own connection to it, in
 * any order. Whatever it does: limits hold, nothing else than an ECU of the vehicle is assigned, and done is told once.
 *
 * The first line is "check" or "install"; each other one a step of other-side.h; or what the network does meanwhile: "fetched BODY",
 * "absent", "broken".
 */
#include "fuzz.h"
#include "message.h"
#include "other-side.h"
#include "verify-world.h"

#define STEPS_MAX 64

typedef struct Other {
        Manager manager;
        World world;
        Verify *verify;
        OtherSide side;
} Other;

/* ---- the daemon's side ---- */

/* What was taken is what a restart finds: otherwise a reply could make the daemon forget its state. */
static void check_survives(const EngineUpdate *update)
{
        const EnginePolicy policy = { .interval = 60 };
        cleanup_buffer Buffer saved = { 0 }, again = { 0 };
        Engine engine, loaded;
        Error error = { 0 };

        engine_init(&engine, &policy);
        engine.has_update = true;
        engine.update = *update; /* borrowed: not done here */
        engine_save(&engine, &saved);
        engine_init(&loaded, &policy);
        REQUIRE(engine_load(&loaded, buffer_slice(&saved), &error) == 0);
        engine_save(&loaded, &again);
        REQUIRE(slice_equal(buffer_slice(&saved), buffer_slice(&again)));
        engine_done(&loaded);
}

static void check_verified(Other *o, const Verified *verified)
{
        const EngineUpdate *update = verified->update;

        REQUIRE(!update || (update->n_ecus > 0 && update->n_ecus <= o->manager.n_ecus));
        for (size_t i = 0; update && i < update->n_ecus; i++) {
                const EngineEcu *ecu = &update->ecus[i];
                const VehicleEcu *mine = vehicle_find(&o->manager, ecu->serial);
                Error error = { 0 };

                for (size_t k = 0; k < i; k++)
                        REQUIRE(strcmp(update->ecus[k].serial, ecu->serial) != 0);
                REQUIRE(mine && strcmp(mine->hardware_id, ecu->hardware_id) == 0 && mine->primary == ecu->primary && ecu->length >= 0);
                REQUIRE(verified_check(verified, ecu, &error) == 0);
        }
        if (update)
                check_survives(update);
}

static void on_done(void *userdata, Verified *verified, Error *error)
{
        Other *o = userdata;

        REQUIRE(o->verify);
        REQUIRE(verified || (error->code != ERR_NONE && error->code < _ERR_MAX));
        if (verified)
                check_verified(o, verified);
        o->verify = verify_free(o->verify);
}

/* ---- the other side ---- */

/* Until neither side has anything more to do. */
static void settle(Other *o)
{
        int mine, other;

        do {
                other = other_side_process(&o->side);
                mine = sd_event_run(o->manager.event, 0);
        } while (mine > 0 || other > 0);
}

static void take_step(Other *o, Slice line)
{
        cleanup_free char *what = message_word(&line, NULL);

        if (*what && strchr("fab", *what)) {
                cleanup_free char *body = message_word(&line, NULL);

                world_fetched(&o->world, *what == 'b' ? 0 : *what == 'a' ? 404 : 200, body);
        } else
                other_side_step(&o->side, what, &line);
}

static void play(Other *o, Slice rest, bool online)
{
        Error error = { 0 };
        Slice line;

        REQUIRE(verify_start(&o->manager, online ? &o->world.fetch : NULL, online ? NULL : "secondary", on_done, o, &o->verify, &error) == 0);
        REQUIRE(other_side_accept(&o->side));
        settle(o);
        REQUIRE(o->side.asked && o->verify);
        for (unsigned i = 0; i < STEPS_MAX && o->verify && message_line(&rest, &line); i++) {
                take_step(o, line);
                settle(o);
        }
        other_side_close(&o->side);
        if (o->verify) /* the connection's end is an answer, too */
                while (sd_event_run(o->manager.event, 0) > 0)
                        continue;
        REQUIRE(!o->verify);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Other o = { 0 };
        Slice rest = slice(data, size), first = SLICE_NONE;

        (void) message_line(&rest, &first);
        world_init(&o.world, &o.manager, other_side_path());
        play(&o, rest, first.size == 0 || *first.data != 'i');
        world_done(&o.world, &o.manager);
        return 0;
}
