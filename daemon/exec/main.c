/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uptane-exec: org.uptane.Exec1 (docs/HELPERS.md): runs the handler program it is told, out of the folders for such.
 * Decides nothing: what is installed where was verified by the daemon; what a handler may touch is written in the unit.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "exec/handler.h"
#include "peer/peer.h"

#define FOLDERS_MAX 8
#define SECONDS_MAX (7 * 86400)

typedef struct Server {
        const char *folders[FOLDERS_MAX + 1];
        size_t n_folders;
} Server;

/* One call, as far as all methods are alike. */
typedef struct Call {
        ExecHandler handler;
        int image_fd;
} Call;

/* Borrows from message. Returns a negative errno where it has another form; error says the rest. */
static int read_facts(sd_bus_message *message, ExecHandler *handler, Error *error)
{
        const char *name, *value;
        int r = sd_bus_message_enter_container(message, 'a', "{ss}");

        while (r >= 0 && (r = sd_bus_message_read(message, "{ss}", &name, &value)) > 0)
                if (error->code == ERR_NONE && exec_handler_add(handler, name, value, error) < 0)
                        continue; /* the rest is only read over */
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_call(sd_bus_message *message, const Server *server, bool with_image, Call *ret, Error *error)
{
        uint32_t seconds;
        int r;

        *ret = (Call) { .handler.folders = server->folders, .handler.cancel_fd = sd_bus_get_fd(sd_bus_message_get_bus(message)), .image_fd = -1 };
        r = sd_bus_message_read(message, "su", &ret->handler.path, &seconds);
        if (r >= 0)
                r = read_facts(message, &ret->handler, error);
        if (r >= 0 && with_image)
                r = sd_bus_message_read(message, "h", &ret->image_fd);
        if (r >= 0 && (seconds < 1 || seconds > SECONDS_MAX) && error->code == ERR_NONE)
                (void) error_set(error, ERR_INVALID_ARGUMENT, "%u seconds for a handler", seconds);
        ret->handler.seconds = seconds;
        return r;
}

/* 1 and the answer, or what the method returns. */
static int run(sd_bus_message *message, const Server *server, ExecAction action, Arena *arena, ExecAnswer *ret, sd_bus_error *ret_error)
{
        Error error = { 0 };
        Call call;
        int r = read_call(message, server, action == EXEC_INSTALL, &call, &error);

        if (r < 0)
                return r;
        if (error.code == ERR_NONE && exec_handler_run(&call.handler, action, call.image_fd, arena, ret, &error) == 0)
                return 1;
        fprintf(stderr, "%s\n", error.message);
        return peer_error_reply(&error, ret_error);
}

static int method_get_firmware_info(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        ExecAnswer answer;
        int r = run(message, userdata, EXEC_GET_FIRMWARE_INFO, arena, &answer, ret_error);

        return r <= 0 ? r : sd_bus_reply_method_return(message, "sssx", exec_status_name(answer.status), answer.name, answer.sha256, answer.length);
}

static int act(sd_bus_message *message, const Server *server, ExecAction action, sd_bus_error *ret_error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        ExecAnswer answer;
        int r = run(message, server, action, arena, &answer, ret_error);

        return r <= 0 ? r : sd_bus_reply_method_return(message, "ss", exec_status_name(answer.status), answer.message);
}

static int method_install(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        return act(message, userdata, EXEC_INSTALL, ret_error);
}

static int method_complete_install(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        return act(message, userdata, EXEC_COMPLETE_INSTALL, ret_error);
}

static int method_rollback(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        return act(message, userdata, EXEC_ROLLBACK, ret_error);
}

static int method_hold(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        return act(message, userdata, EXEC_HOLD, ret_error);
}

static int method_release(sd_bus_message *message, void *userdata, sd_bus_error *ret_error)
{
        return act(message, userdata, EXEC_RELEASE, ret_error);
}

#define METHOD(name, in, out, handler) SD_BUS_METHOD(name, in, out, handler, SD_BUS_VTABLE_UNPRIVILEGED)

/* Who may call is decided by the mode of the socket. */
static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("GetFirmwareInfo", "sua{ss}", "sssx", method_get_firmware_info),
        METHOD("Install", "sua{ss}h", "ss", method_install),
        METHOD("CompleteInstall", "sua{ss}", "ss", method_complete_install),
        METHOD("Rollback", "sua{ss}", "ss", method_rollback),
        METHOD("Hold", "sua{ss}", "ss", method_hold),
        METHOD("Release", "sua{ss}", "ss", method_release),
        SD_BUS_VTABLE_END,
};

static int parse_options(int argc, char **argv, Server *server)
{
        static const struct option options[] = {
                { "handlers", required_argument, NULL, 'h' },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
                if (c != 'h' || *optarg != '/' || server->n_folders == FOLDERS_MAX)
                        return -1;
                else
                        server->folders[server->n_folders++] = optarg;
        return optind < argc ? -1 : 0;
}

int main(int argc, char **argv)
{
        Server server = { 0 };
        Error error = { 0 };

        (void) signal(SIGPIPE, SIG_IGN);
        if (parse_options(argc, argv, &server) < 0) {
                fprintf(stderr, "Usage: %s [--handlers=FOLDER]...\n", argv[0]);
                return EXIT_FAILURE;
        }
        if (server.n_folders == 0) {
                server.folders[0] = "/usr/lib/uptane/handlers";
                server.folders[1] = "/etc/uptane/handlers";
        }
        if (peer_serve("/org/uptane/Exec1", "org.uptane.Exec1", vtable, &server, &error) < 0) {
                fprintf(stderr, "uptane-exec: %s\n", error.message);
                return error_info(error.code)->exit_code;
        }
        return EXIT_SUCCESS;
}
