/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uptane-secondary-install: takes one action of uptane-secondary (job.c) to the helper program that does it, over the helper's own
 * interface (docs/HELPERS.md), waits for it, and prints its answer as a handler would (docs/ACTION-HANDLERS.md). With exec that is
 * uptane-exec and a handler; with ostree it is uptane-ostree, and this program is the handler. So uptane-secondary itself neither
 * waits nor is linked with what it takes to speak D-Bus. It may do nothing that uptane-secondary may not.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "exec/handler.h"
#include "exec/process.h"
#include "peer/peer.h"

#define SLACK 15 /* seconds that stopping a handler may take beyond its time limit */
#define USEC_PER_SEC UINT64_C(1000000)

typedef struct Order {
        Peer *peer;
        uint64_t usec; /* for one call */
        uint32_t seconds;
        const char *what; /* the handler, or the URL of a repository */
        const char *action;
        bool authenticate;
} Order;

static const char *fact(const char *name)
{
        cleanup_free char *variable = xasprintf("UPTANE_%s", name);
        const char *value = getenv(variable);

        return value ? value : "";
}

/* ---- answers ---- */

static void put_text(Buffer *b, const char *name, const char *text)
{
        cleanup_free char *utf8 = peer_utf8(text);

        buffer_printf(b, ",\"%s\":\"", name);
        for (const char *p = utf8; *p; p++)
                if ((unsigned char) *p < 0x20 || *p == '"' || *p == '\\')
                        buffer_printf(b, "\\u%04x", (unsigned) *p);
                else
                        buffer_put(b, p, 1);
        buffer_put_str(b, "\"");
}

/* The exit status of this program. */
static int say(const char *status, const char *message)
{
        cleanup_buffer Buffer b = { 0 };

        if (strcmp(status, "not-handled") == 0)
                return EXEC_NOT_HANDLED_CODE;
        buffer_printf(&b, "{\"status\":\"%s\"", status);
        put_text(&b, "message", message);
        return printf("%s}\n", buffer_str(&b)) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int say_firmware(const char *status, const char *name, const char *sha256, int64_t length)
{
        cleanup_buffer Buffer b = { 0 };

        if (strcmp(status, "ok") != 0)
                return say(status, "");
        buffer_put_str(&b, "{\"status\":\"ok\"");
        if (length >= 0)
                buffer_printf(&b, ",\"length\":%lld", (long long) length);
        put_text(&b, "name", name);
        put_text(&b, "sha256", sha256);
        return printf("%s}\n", buffer_str(&b)) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What the helper said of it is the answer; that there was no helper is none. */
static int say_error(const Order *order, const Error *error)
{
        fprintf(stderr, "uptane-secondary-install %s: %s\n", order->action, error->message);
        return error->code == ERR_HELPER ? EXIT_FAILURE : say("failed", error->message);
}

/* ---- calls ---- */

static int new_call(const Order *order, const char *path, const char *member, sd_bus_message **ret, Error *error)
{
        const char *interface = strcmp(path, "/org/uptane/Exec1") == 0 ? "org.uptane.Exec1" : "org.uptane.Install1";
        int r = sd_bus_message_new_method_call(peer_bus(order->peer), ret, NULL, path, interface, member);

        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "%s", member) : 0;
}

/* r: what adding the arguments came to. The reply, or NULL and error. Unrefs call. */
static sd_bus_message *finish_call(const Order *order, sd_bus_message *call, int r, Error *error)
{
        __attribute__((cleanup(sd_bus_error_free))) sd_bus_error why = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        ErrorCode code;

        if (r >= 0)
                r = sd_bus_call(peer_bus(order->peer), call, order->usec, &why, &reply);
        (void) sd_bus_message_unref(call);
        if (r >= 0)
                return reply;
        code = why.name ? error_code_from_dbus(why.name) : ERR_NONE;
        (void) error_set(error, code == ERR_NONE ? ERR_HELPER : code, "%s", why.message ? why.message : strerror(-r));
        return NULL;
}

static int other_form(Error *error)
{
        return error_set(error, ERR_HELPER, "a helper answered in another form than agreed");
}

/* ---- exec ---- */

static int append_facts(sd_bus_message *call)
{
        static const char *const names[] = { "ECU_SERIAL", "HARDWARE_ID", "OPTION", "INSTALLED_NAME", "INSTALLED_SHA256", "IMAGE_NAME",
                                             "IMAGE_SHA256", "IMAGE_LENGTH", "UPDATE_ID" };
        int r = sd_bus_message_open_container(call, 'a', "{ss}");

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(names); i++)
                r = sd_bus_message_append(call, "{ss}", names[i], fact(names[i]));
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static sd_bus_message *ask_handler(const Order *order, const char *member, bool with_image, Error *error)
{
        sd_bus_message *call = NULL;
        int r;

        if (new_call(order, "/org/uptane/Exec1", member, &call, error) < 0)
                return NULL;
        r = sd_bus_message_append(call, "su", order->what, order->seconds);
        if (r >= 0)
                r = append_facts(call);
        if (r >= 0 && with_image)
                r = sd_bus_message_append(call, "h", EXEC_IMAGE_FD);
        return finish_call(order, call, r, error);
}

static int exec_act(const Order *order, const char *member, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = ask_handler(order, member, strcmp(member, "Install") == 0, error);
        const char *status, *message;

        if (!reply)
                return -1;
        return sd_bus_message_read(reply, "ss", &status, &message) < 0 ? other_form(error) : say(status, message);
}

static int exec_look(const Order *order, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = ask_handler(order, "GetFirmwareInfo", false, error);
        const char *status, *name, *sha256;
        int64_t length;

        if (!reply)
                return -1;
        if (sd_bus_message_read(reply, "sssx", &status, &name, &sha256, &length) < 0)
                return other_form(error);
        return say_firmware(status, name, sha256, length);
}

static int run_exec(const Order *order, Error *error)
{
        static const struct {
                const char *action, *member;
        } actions[] = { { "install", "Install" }, { "complete-install", "CompleteInstall" }, { "rollback", "Rollback" } };

        for (size_t i = 0; i < ELEMENTSOF(actions); i++)
                if (strcmp(order->action, actions[i].action) == 0)
                        return exec_act(order, actions[i].member, error);
        if (strcmp(order->action, "get-firmware-info") == 0)
                return exec_look(order, error);
        return error_set(error, ERR_INVALID_ARGUMENT, "there is no action '%.40s'", order->action);
}

/* ---- ostree ---- */

static int ostree_fetch(const Order *order, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        sd_bus_message *call = NULL;

        if (new_call(order, "/org/uptane/Install1", "Pull", &call, error) < 0)
                return -1;
        reply = finish_call(order, call,
                            sd_bus_message_append(call, "ssbttb", order->what, fact("IMAGE_SHA256"), (int) order->authenticate, UINT64_C(0),
                                                  UINT64_C(0), 0),
                            error);
        return reply ? 0 : -1;
}

/* The commit that is booted, in ret, or "". */
static int ostree_booted(const Order *order, char **ret, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        sd_bus_message *call = NULL;
        const char *booted;

        if (new_call(order, "/org/uptane/Install1", "GetStatus", &call, error) < 0)
                return -1;
        reply = finish_call(order, call, 0, error);
        if (!reply)
                return -1;
        if (sd_bus_message_read(reply, "s", &booted) < 0)
                return other_form(error);
        *ret = xstrdup(booted);
        return 0;
}

static int ostree_look(const Order *order, Error *error)
{
        cleanup_free char *booted = NULL;

        if (ostree_booted(order, &booted, error) < 0)
                return -1;
        return say_firmware(*booted ? "ok" : "unknown", "", booted, -1);
}

/* Deploy or Rollback: whether a boot is needed. */
static int ostree_change(const Order *order, sd_bus_message *call, int r, int *ret, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = finish_call(order, call, r, error);

        if (!reply)
                return -1;
        return sd_bus_message_read(reply, "b", ret) < 0 ? other_form(error) : 0;
}

static int ostree_install(const Order *order, Error *error)
{
        sd_bus_message *call = NULL;
        int boot, r;

        if (ostree_fetch(order, error) < 0 || new_call(order, "/org/uptane/Install1", "Deploy", &call, error) < 0)
                return -1;
        r = sd_bus_message_append(call, "ssb", fact("IMAGE_SHA256"), fact("IMAGE_NAME"), 0);
        if (ostree_change(order, call, r, &boot, error) < 0)
                return -1;
        return say(boot ? "need-completion" : "ok", "");
}

static int ostree_complete(const Order *order, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        cleanup_free char *booted = NULL;
        sd_bus_message *call = NULL;

        if (ostree_booted(order, &booted, error) < 0)
                return -1;
        if (strcmp(booted, fact("IMAGE_SHA256")) != 0)
                return error_set(error, ERR_BOOT_FALLBACK, "commit %.64s was installed, and %.64s was booted", fact("IMAGE_SHA256"), booted);
        if (new_call(order, "/org/uptane/Install1", "MarkGood", &call, error) < 0)
                return -1;
        reply = finish_call(order, call, 0, error);
        return reply ? say("ok", "") : -1;
}

static int ostree_rollback(const Order *order, Error *error)
{
        sd_bus_message *call = NULL;
        int boot, r;

        if (new_call(order, "/org/uptane/Install1", "Rollback", &call, error) < 0)
                return -1;
        r = sd_bus_message_append(call, "s", fact("IMAGE_SHA256"));
        return ostree_change(order, call, r, &boot, error) < 0 ? -1 : say("ok", "");
}

static int run_ostree(const Order *order, Error *error)
{
        static const struct {
                const char *action;
                int (*run)(const Order *order, Error *error);
        } actions[] = {
                { "get-firmware-info", ostree_look },     { "install", ostree_install },
                { "complete-install", ostree_complete }, { "rollback", ostree_rollback },
        };

        for (size_t i = 0; i < ELEMENTSOF(actions); i++)
                if (strcmp(order->action, actions[i].action) == 0)
                        return actions[i].run(order, error);
        if (strcmp(order->action, "fetch") != 0)
                return error_set(error, ERR_INVALID_ARGUMENT, "there is no action '%.40s'", order->action);
        return ostree_fetch(order, error) < 0 ? -1 : say("ok", "");
}

/* ---- starting ---- */

/* Whoever started it and is gone does not want it to go on: the connection that closes ends what was asked for. */
static bool is_wanted(void)
{
        struct pollfd output = { .fd = STDOUT_FILENO };

        return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && poll(&output, 1, 0) == 0;
}

int main(int argc, char **argv)
{
        CLEANUP(peer_free) Peer *peer = NULL;
        __attribute__((cleanup(sd_event_unrefp))) sd_event *event = NULL;
        Order order = { 0 };
        Error error = { 0 };
        int r;

        if (argc != 6) {
                fprintf(stderr, "Usage: %s exec|ostree|ostree-credentials SOCKET SECONDS HANDLER|URL ACTION\n", argv[0]);
                return EXIT_FAILURE;
        }
        if (!is_wanted() || sd_event_new(&event) < 0)
                return EXIT_FAILURE;
        order.seconds = (uint32_t) atoi(argv[3]);
        order.usec = (order.seconds + SLACK) * USEC_PER_SEC;
        order.what = argv[4];
        order.action = argv[5];
        order.authenticate = strcmp(argv[1], "ostree-credentials") == 0;
        r = peer_connect(event, argv[2], &peer, &error);
        order.peer = peer;
        if (r == 0)
                r = strcmp(argv[1], "exec") == 0 ? run_exec(&order, &error) : run_ostree(&order, &error);
        return r < 0 ? say_error(&order, &error) : r;
}
