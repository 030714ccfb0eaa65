/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A uptane-verify that has been taken over: calls, replies, signals and raw bytes over the daemon's own connection to it, in
 * any order. Whatever it does: limits hold, nothing else than an ECU of the vehicle is assigned, and done is told once.
 *
 * The first line is "check" or "install"; each other one a step by its first letter: "call MEMBER SIGNATURE VALUES",
 * "reply SIGNATURE VALUES", "error NAME TEXT", "progress SIGNATURE VALUES", "raw HEX"; and what the network does meanwhile:
 * "fetched BODY", "absent", "broken".
 */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/codec.h"
#include "fuzz.h"
#include "io/file.h"
#include "message.h"
#include "verify-world.h"

#define STEPS_MAX 64

typedef struct Other {
        Manager manager;
        World world;
        Verify *verify;
        sd_bus *bus;           /* the other side's */
        int fd;                /* of it */
        sd_bus_message *asked; /* Verify */
} Other;

/* ---- the socket ---- */

static char folder[] = "/tmp/fuzz-verify.XXXXXX";
static char path[sizeof folder + 16];

static void remove_folder(void)
{
        (void) unlink(path);
        (void) rmdir(folder);
}

/* One for all inputs. */
static int listener(void)
{
        static int fd = -1;
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (fd >= 0)
                return fd;
        REQUIRE(mkdtemp(folder));
        (void) snprintf(path, sizeof path, "%s/socket", folder);
        REQUIRE(atexit(remove_folder) == 0);
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof address) == 0 && listen(fd, 4) == 0);
        return fd;
}

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

static void answer_handshake(Other *o)
{
        const sd_id128_t id = SD_ID128_MAKE(11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11);

        o->fd = accept4(listener(), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        REQUIRE(o->fd >= 0 && sd_bus_new(&o->bus) >= 0);
        REQUIRE(sd_bus_set_fd(o->bus, o->fd, o->fd) >= 0 && sd_bus_set_server(o->bus, 1, id) >= 0);
        REQUIRE(sd_bus_set_anonymous(o->bus, 1) >= 0 && sd_bus_negotiate_fds(o->bus, 1) >= 0 && sd_bus_start(o->bus) >= 0);
}

/* Until neither side has anything more to do. */
static void settle(Other *o)
{
        int mine, other;

        do {
                sd_bus_message *message = NULL;

                other = sd_bus_process(o->bus, &message);
                if (message && !o->asked && sd_bus_message_is_method_call(message, NULL, "Verify") > 0)
                        o->asked = sd_bus_message_ref(message);
                sd_bus_message_unref(message);
                mine = sd_event_run(o->manager.event, 0);
        } while (mine > 0 || other > 0);
}

static int new_message(Other *o, char what, Slice *line, sd_bus_message **ret)
{
        cleanup_free char *word = NULL, *text = NULL;

        switch (what) {
        case 'c':
                word = message_word(line, NULL);
                return sd_bus_message_new_method_call(o->bus, ret, NULL, "/org/uptane/Files1", "org.uptane.Files1", word);
        case 'r':
                return sd_bus_message_new_method_return(o->asked, ret);
        case 'e':
                word = message_word(line, NULL);
                text = message_word(line, NULL);
                return sd_bus_message_new_method_error(o->asked, ret, &SD_BUS_ERROR_MAKE_CONST(word, text));
        default:
                return sd_bus_message_new_signal(o->bus, ret, "/org/uptane/Verify1", "org.uptane.Verify1", "Progress");
        }
}

static void send_message(Other *o, char what, Slice *line)
{
        sd_bus_message *message = NULL;
        int r = new_message(o, what, line, &message);

        if (r >= 0) {
                cleanup_free char *signature = message_word(line, NULL);

                r = message_append(message, signature, line);
        }
        if (r >= 0)
                (void) sd_bus_send(o->bus, message, NULL);
        sd_bus_message_unref(message);
}

static void send_raw(Other *o, Slice *line)
{
        cleanup_free char *hex = message_word(line, NULL);
        size_t n = strlen(hex) / 2;
        cleanup_free uint8_t *bytes = xcalloc(n + 1, 1);
        Error ignored = { 0 };

        if (hex_decode(hex, bytes, n, &ignored) == 0)
                (void) send(o->fd, bytes, n, MSG_NOSIGNAL);
}

static void take_step(Other *o, Slice line)
{
        cleanup_free char *what = message_word(&line, NULL);

        if (strcmp(what, "raw") == 0)
                send_raw(o, &line);
        else if (*what && strchr("crep", *what))
                send_message(o, *what, &line);
        else if (*what && strchr("fab", *what)) {
                cleanup_free char *body = message_word(&line, NULL);

                world_fetched(&o->world, *what == 'b' ? 0 : *what == 'a' ? 404 : 200, body);
        }
}

static void play(Other *o, Slice rest, bool online)
{
        Error error = { 0 };
        Slice line;

        REQUIRE(verify_start(&o->manager, online ? &o->world.fetch : NULL, online ? NULL : "secondary", on_done, o, &o->verify, &error) == 0);
        answer_handshake(o);
        settle(o);
        REQUIRE(o->asked && o->verify);
        for (unsigned i = 0; i < STEPS_MAX && o->verify && message_line(&rest, &line); i++) {
                take_step(o, line);
                settle(o);
        }
        sd_bus_message_unref(o->asked);
        sd_bus_close_unref(o->bus);
        if (o->verify) /* the connection's end is an answer, too */
                while (sd_event_run(o->manager.event, 0) > 0)
                        continue;
        REQUIRE(!o->verify);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Other o = { 0 };
        Slice rest = slice(data, size), first = SLICE_NONE;

        (void) listener();
        (void) message_line(&rest, &first);
        world_init(&o.world, &o.manager, path);
        play(&o, rest, first.size == 0 || *first.data != 'i');
        world_done(&o.world, &o.manager);
        return 0;
}
