/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uptane-ostree: the only program that changes the sysroot. It is handed one connection by systemd and serves it;
 * docs/HELPERS.md is its interface. It decides nothing: it gets and installs the commit it is told.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "install/ostree.h"
#include "peer/peer.h"

#define KERNEL_ARGUMENTS_MAX 32
#define GIVE_UP_SECONDS 2
#define STEP_SECONDS 0.2 /* between two words of the same step */

/* The sysroot is opened with the first call, so that what is wrong with it reaches the caller. */
typedef struct Server {
        InstallOstreeOptions options;
        const char *kernel_arguments[2 * KERNEL_ARGUMENTS_MAX + 1]; /* of the command line, and of the caller behind them */
        size_t n_kernel_arguments;
        char **allowed, **wanted; /* as the caller said */
        bool finalize; /* serve nobody: this is the shutdown */
        InstallOstree *ostree;
} Server;

static int open_ostree(Server *server, Error *error)
{
        return server->ostree ? 0 : install_ostree_open(&server->options, &server->ostree, error);
}

static int reply_status(sd_bus_message *call, const InstallStatus *status)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", status->booted);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, status->deployed);
        if (r >= 0)
                r = sd_bus_message_append(reply, "bb", (int) status->trial, (int) status->rolled_back);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int on_get_status(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Server *server = userdata;
        InstallStatus status;
        Error error = { 0 };
        int r;

        if (open_ostree(server, &error) < 0 || install_ostree_status(server->ostree, &status, &error) < 0)
                return peer_error_reply(&error, ret);
        r = reply_status(call, &status);
        install_status_done(&status);
        return r;
}

typedef struct Watched {
        sd_bus_message *call;
        time_t gone; /* since when, by CLOCK_MONOTONIC */
        InstallStep step; /* told last, and when */
        struct timespec told;
} Watched;

/*
 * libostree ends the transfers it has begun before it gives up, and a server that stalls would keep it for long. Then
 * this process just ends: what was got so far is found again by the next pull, as after a power cut.
 */
static bool is_cancelled(void *userdata)
{
        Watched *watched = userdata;
        struct timespec now = { 0 };

        if (!peer_gone(watched->call))
                return false;
        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        if (watched->gone == 0)
                watched->gone = now.tv_sec;
        if (now.tv_sec - watched->gone >= GIVE_UP_SECONDS)
                _exit(error_info(ERR_CANCELLED)->exit_code);
        return true;
}

static void show_progress(void *userdata, uint64_t done, uint64_t total)
{
        Watched *watched = userdata;

        peer_progress(watched->call, done, total);
}

static void show_step(void *userdata, InstallStep step, uint64_t done, uint64_t total)
{
        static const char *const names[] = { [INSTALL_FETCHING] = "downloading", [INSTALL_VERIFYING] = "verifying" };
        Watched *watched = userdata;
        struct timespec now = { 0 };
        double seconds;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        seconds = difftime(now.tv_sec, watched->told.tv_sec) + (double) (now.tv_nsec - watched->told.tv_nsec) / 1e9;
        if (step == watched->step && seconds < STEP_SECONDS)
                return;
        watched->step = step;
        watched->told = now;
        peer_step(watched->call, names[step], done, total);
}

/* Who calls may not wait for the answer: what cannot be taken is found missing by the check of what is wanted. */
static int on_set_kernel_arguments(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Server *server = userdata;
        Error error = { 0 };
        int r;

        if (server->ostree || server->allowed || server->wanted) {
                (void) error_set(&error, ERR_INVALID_ARGUMENT, "SetKernelArguments comes first, and once");
                return peer_error_reply(&error, ret);
        }
        r = sd_bus_message_read_strv(call, &server->allowed);
        if (r >= 0)
                r = sd_bus_message_read_strv(call, &server->wanted);
        if (r < 0)
                return r;
        server->options.wanted_arguments = (const char *const *) server->wanted;
        for (size_t i = 0; server->allowed && server->allowed[i] && i < KERNEL_ARGUMENTS_MAX; i++)
                server->kernel_arguments[server->n_kernel_arguments++] = server->allowed[i];
        return sd_bus_reply_method_return(call, NULL);
}

static int on_pull(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Watched watched = { .call = call };
        const InstallWatch watch = { .cancelled = is_cancelled, .step = show_step, .progress = show_progress, .userdata = &watched };
        Server *server = userdata;
        InstallPull pull = { 0 };
        Error error = { 0 };
        int authenticate, deltas, r;

        r = sd_bus_message_read(call, "ssbttb", &pull.url, &pull.commit, &authenticate, &pull.size, &pull.max_speed, &deltas);
        if (r < 0)
                return r;
        pull.authenticate = authenticate;
        pull.deltas = deltas;
        if (open_ostree(server, &error) < 0 || install_ostree_pull(server->ostree, &pull, &watch, &error) < 0)
                return peer_error_reply(&error, ret);
        return sd_bus_reply_method_return(call, NULL);
}

static int on_deploy(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Watched watched = { .call = call };
        const InstallWatch watch = { .cancelled = is_cancelled, .step = show_step, .progress = show_progress, .userdata = &watched };
        Server *server = userdata;
        InstallDeployment deployment = { 0 };
        bool need_reboot;
        Error error = { 0 };
        int hold, r = sd_bus_message_read(call, "ssb", &deployment.commit, &deployment.name, &hold);

        if (r < 0)
                return r;
        deployment.hold = hold;
        if (open_ostree(server, &error) < 0 || install_ostree_deploy(server->ostree, &deployment, &watch, &need_reboot, &error) < 0)
                return peer_error_reply(&error, ret);
        return sd_bus_reply_method_return(call, "b", need_reboot);
}

static int on_release(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Server *server = userdata;
        Error error = { 0 };

        if (open_ostree(server, &error) < 0 || install_ostree_release(server->ostree, &error) < 0)
                return peer_error_reply(&error, ret);
        return sd_bus_reply_method_return(call, NULL);
}

static int on_mark_good(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Watched watched = { .call = call };
        const InstallWatch watch = { .cancelled = is_cancelled, .step = show_step, .progress = show_progress, .userdata = &watched };
        Server *server = userdata;
        Error error = { 0 };
        int r;

        if (open_ostree(server, &error) < 0 || install_ostree_mark_good(server->ostree, &watch, &error) < 0)
                return peer_error_reply(&error, ret);
        r = sd_bus_reply_method_return(call, NULL);
        if (r >= 0) /* the answer does not wait for what may take long */
                r = sd_bus_flush(sd_bus_message_get_bus(call));
        install_ostree_clean_up(server->ostree, &watch);
        return r;
}

static int on_rollback(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Watched watched = { .call = call };
        const InstallWatch watch = { .cancelled = is_cancelled, .step = show_step, .progress = show_progress, .userdata = &watched };
        Server *server = userdata;
        const char *commit;
        bool need_reboot;
        Error error = { 0 };
        int r = sd_bus_message_read(call, "s", &commit);

        if (r < 0)
                return r;
        if (open_ostree(server, &error) < 0 || install_ostree_rollback(server->ostree, commit, &watch, &need_reboot, &error) < 0)
                return peer_error_reply(&error, ret);
        return sd_bus_reply_method_return(call, "b", need_reboot);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("GetStatus", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", booted, "as", deployed, "b", trial, "b", rolled_back),
                                 on_get_status, 0),
        SD_BUS_METHOD_WITH_ARGS("SetKernelArguments", SD_BUS_ARGS("as", allowed, "as", wanted), SD_BUS_NO_RESULT, on_set_kernel_arguments, 0),
        SD_BUS_METHOD_WITH_ARGS("Pull", SD_BUS_ARGS("s", url, "s", commit, "b", authenticate, "t", size, "t", max_speed, "b", deltas),
                                 SD_BUS_NO_RESULT, on_pull, 0),
        SD_BUS_METHOD_WITH_ARGS("Deploy", SD_BUS_ARGS("s", commit, "s", name, "b", hold), SD_BUS_RESULT("b", need_reboot), on_deploy, 0),
        SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_release, 0),
        SD_BUS_METHOD_WITH_ARGS("MarkGood", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_mark_good, 0),
        SD_BUS_METHOD_WITH_ARGS("Rollback", SD_BUS_ARGS("s", commit), SD_BUS_RESULT("b", need_reboot), on_rollback, 0),
        SD_BUS_SIGNAL_WITH_ARGS("Progress", SD_BUS_ARGS("t", done, "t", total), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Step", SD_BUS_ARGS("s", what, "t", done, "t", total), 0),
        SD_BUS_VTABLE_END,
};

/* ---- starting ---- */

static int parse_arguments(int argc, char **argv, Server *server, Error *error)
{
        InstallOstreeOptions *options = &server->options;
        static const struct option longs[] = {
                { "sysroot", required_argument, NULL, 's' },
                { "os", required_argument, NULL, 'o' },
                { "allow-http", no_argument, NULL, 'a' },
                { "no-stage", no_argument, NULL, 'n' },
                { "boot", required_argument, NULL, 'b' },
                { "finalize", no_argument, NULL, 'f' },
                { "allow-karg", required_argument, NULL, 'k' },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0)
                switch (c) {
                case 's':
                        options->sysroot = optarg;
                        break;
                case 'o':
                        options->os_name = optarg;
                        break;
                case 'a':
                        options->allow_http = true;
                        break;
                case 'n':
                        options->no_stage = true;
                        break;
                case 'b':
                        options->boot = boot_driver_find(optarg);
                        if (!options->boot)
                                return error_set(error, ERR_INVALID_ARGUMENT, "unknown boot driver '%.40s'", optarg);
                        break;
                case 'k':
                        if (server->n_kernel_arguments == KERNEL_ARGUMENTS_MAX)
                                return error_set(error, ERR_INVALID_ARGUMENT, "more than %d times --allow-karg", KERNEL_ARGUMENTS_MAX);
                        server->kernel_arguments[server->n_kernel_arguments++] = optarg;
                        break;
                case 'f':
                        server->finalize = true;
                        break;
                default:
                        return error_set(error, ERR_INVALID_ARGUMENT,
                                         "usage: uptane-ostree [--sysroot=PATH] [--os=NAME] [--allow-http] [--no-stage] "
                                         "[--boot=none|uboot-generic|uboot-masked|systemd-boot] [--allow-karg=PATTERN]... [--finalize]");
                }
        return optind < argc ? error_set(error, ERR_INVALID_ARGUMENT, "unknown argument '%.40s'", argv[optind]) : 0;
}

static int run(int argc, char **argv, Error *error)
{
        cleanup_free char *ca = peer_credential("ca.pem"), *cert = peer_credential("device.crt"), *key = peer_credential("device.key");
        Server server = { .options = { .sysroot = "/", .ca_file = ca, .cert_file = cert, .key_file = key } };
        int r;

        server.options.kernel_arguments = server.kernel_arguments;
        if (parse_arguments(argc, argv, &server, error) < 0)
                return -1;
        if (server.finalize)
                r = open_ostree(&server, error) < 0 ? -1 : install_ostree_finalize(server.ostree, error);
        else
                r = peer_serve("/org/uptane/Install1", "org.uptane.Install1", vtable, &server, error);
        install_ostree_free(server.ostree);
        strv_free(server.allowed);
        strv_free(server.wanted);
        return r;
}

int main(int argc, char **argv)
{
        Error error = { 0 };

        (void) signal(SIGPIPE, SIG_IGN);
        if (run(argc, argv, &error) == 0)
                return EXIT_SUCCESS;
        (void) fprintf(stderr, "uptane-ostree: %s\n", error.message);
        return error_info(error.code)->exit_code;
}
