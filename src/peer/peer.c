/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neither side says Hello: there is no bus, so there are no names and no senders. Who may connect is decided by the
 * socket's mode in its unit file; so the serving side asks for no credentials, which a user namespace would hide.
 */
#include "peer/peer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>

#include "io/file.h"

#define PROGRESS_INTERVAL_USEC UINT64_C(100000)

struct Peer {
        sd_bus *bus;
};

static void bus_closep(sd_bus **bus)
{
        sd_bus_close_unref(*bus); /* unlike flushing, this never waits */
}
#define cleanup_bus __attribute__((cleanup(bus_closep)))

/* AF_UNIX connects at once or not at all: a full backlog is EAGAIN where a blocking socket would wait. */
static int connect_socket(const char *path, Error *error)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        cleanup_close int fd = -1;
        size_t size = strlen(path);

        if (size == 0 || size >= sizeof address.sun_path)
                return error_set(error, ERR_HELPER, "'%s' cannot be the path of a socket", path);
        memcpy(address.sun_path, path, size);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return error_set_errno(error, ERR_HELPER, errno, "socket");
        if (connect(fd, (const struct sockaddr *) &address, sizeof address) < 0)
                return error_set_errno(error, ERR_HELPER, errno, "connecting to %s", path);
        return TAKE_FD(fd);
}

/* bus has fd from here on, whatever the result. */
static int bus_take_fd(int *fd, sd_bus **ret)
{
        cleanup_bus sd_bus *bus = NULL;
        int r = sd_bus_new(&bus);

        if (r < 0)
                return r;
        r = sd_bus_set_fd(bus, *fd, *fd);
        if (r < 0)
                return r;
        *fd = -1;
        r = sd_bus_negotiate_fds(bus, 1);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

int peer_connect(sd_event *event, const char *socket_path, Peer **ret, Error *error)
{
        CLEANUP(peer_free) Peer *peer = xcalloc(1, sizeof *peer);
        cleanup_close int fd = connect_socket(socket_path, error);
        int r;

        if (fd < 0)
                return -1;
        r = bus_take_fd(&fd, &peer->bus);
        if (r >= 0)
                r = sd_bus_set_connected_signal(peer->bus, 1);
        if (r >= 0)
                r = sd_bus_start(peer->bus);
        if (r >= 0)
                r = sd_bus_attach_event(peer->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "speaking D-Bus on %s", socket_path);
        *ret = TAKE_PTR(peer);
        return 0;
}

Peer *peer_free(Peer *peer)
{
        if (!peer)
                return NULL;
        if (peer->bus)
                (void) sd_bus_detach_event(peer->bus);
        sd_bus_close_unref(peer->bus);
        free(peer);
        return NULL;
}

sd_bus *peer_bus(Peer *peer)
{
        return peer->bus;
}

/* sd-bus answers what is outstanding with NoReply when the connection ends; the others are what a daemon would say. */
static bool is_lost(const char *name)
{
        return strcmp(name, SD_BUS_ERROR_NO_REPLY) == 0 || strcmp(name, SD_BUS_ERROR_DISCONNECTED) == 0;
}

int peer_error_from_message(sd_bus_message *reply, Error *error)
{
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        const char *name = e && e->name ? e->name : "", *text = e && e->message ? e->message : "no further words";
        ErrorCode code = error_code_from_dbus(name);

        if (code != ERR_NONE)
                return error_set(error, code, "%s", text);
        if (is_lost(name))
                return error_set(error, ERR_HELPER, "connection lost");
        return error_set(error, ERR_HELPER, "%s: %s", *name ? name : "no error where one was expected", text);
}

/* ---- a helper's side ---- */

static int passed_socket(Error *error)
{
        int n = sd_listen_fds(1);

        if (n != 1)
                return error_set(error, ERR_HELPER, "needs exactly one socket from systemd, and %s",
                                 n > 0 ? "there are more" : "there is none");
        if (sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_STREAM, 0) <= 0)
                return error_set(error, ERR_HELPER, "what systemd passed is not a connected UNIX stream socket (Accept=yes)");
        return SD_LISTEN_FDS_START;
}

static int start_server(int *fd, sd_bus **ret)
{
        cleanup_bus sd_bus *bus = NULL;
        sd_id128_t id;
        int r = sd_id128_randomize(&id);

        if (r >= 0)
                r = bus_take_fd(fd, &bus);
        if (r >= 0)
                r = sd_bus_set_server(bus, 1, id);
        if (r >= 0)
                r = sd_bus_set_anonymous(bus, 1);
        if (r >= 0)
                r = sd_bus_set_trusted(bus, 1);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                *ret = TAKE_PTR(bus);
        return r;
}

static bool is_hangup(int r)
{
        return r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE || r == -ESHUTDOWN;
}

static int loop(sd_bus *bus)
{
        while (sd_bus_is_open(bus) > 0) {
                int r = sd_bus_process(bus, NULL);

                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        return is_hangup(r) ? 0 : r;
        }
        return 0;
}

int peer_serve(const char *path, const char *interface, const sd_bus_vtable *vtable, void *userdata, Error *error)
{
        cleanup_bus sd_bus *bus = NULL;
        cleanup_close int fd = passed_socket(error);
        int r;

        if (fd < 0)
                return -1;
        r = start_server(&fd, &bus);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, path, interface, vtable, userdata);
        if (r >= 0)
                r = loop(bus);
        return r < 0 ? error_set_errno(error, ERR_HELPER, -r, "serving %s", interface) : 0;
}

/* The length of the well-formed UTF-8 sequence at text, or 0. */
static size_t utf8_sequence(const unsigned char *text)
{
        size_t n = *text < 0x80 ? 1 : *text >= 0xc2 && *text < 0xe0 ? 2 : *text >= 0xe0 && *text < 0xf0 ? 3
                : *text >= 0xf0 && *text < 0xf5 ? 4 : 0;

        for (size_t i = 1; i < n; i++)
                if ((text[i] & 0xc0) != 0x80)
                        return 0;
        if ((*text == 0xe0 && text[1] < 0xa0) || (*text == 0xed && text[1] >= 0xa0) ||
            (*text == 0xf0 && text[1] < 0x90) || (*text == 0xf4 && text[1] >= 0x90))
                return 0;
        return n;
}

char *peer_credential(const char *name)
{
        const char *folder = getenv("CREDENTIALS_DIRECTORY");

        return folder ? xasprintf("%s/%s", folder, name) : NULL;
}

char *peer_utf8(const char *text)
{
        char *copy = xstrdup(text);
        size_t n;

        for (char *p = copy; *p; p += n) {
                n = utf8_sequence((const unsigned char *) p);
                if (n == 0) {
                        *p = '?';
                        n = 1;
                }
        }
        return copy;
}

/* A message may quote any server: an error must arrive, even with a ? in it. */
int peer_error_reply(const Error *error, sd_bus_error *ret)
{
        cleanup_free char *text = peer_utf8(error->message);

        return sd_bus_error_set(ret, error_info(error->code)->dbus_name, text);
}

/*
 * When the last one was sent is kept as the description of the slot that serves the call: it lives as long as the
 * connection does, and belongs to it alone.
 */
static bool is_progress_due(sd_bus *bus)
{
        sd_bus_slot *slot = sd_bus_get_current_slot(bus);
        const char *last = NULL;
        struct timespec now;
        uint64_t usec, sent;
        char text[32];

        if (!slot || clock_gettime(CLOCK_MONOTONIC, &now) < 0)
                return true;
        usec = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
        if (sd_bus_slot_get_description(slot, &last) >= 0 && last && sscanf(last, "%" SCNu64, &sent) == 1 &&
            usec - sent < PROGRESS_INTERVAL_USEC)
                return false;
        (void) snprintf(text, sizeof text, "%" PRIu64, usec);
        (void) sd_bus_slot_set_description(slot, text);
        return true;
}

void peer_progress(sd_bus_message *call, uint64_t done, uint64_t total)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        sd_bus *bus = sd_bus_message_get_bus(call);
        const char *path = sd_bus_message_get_path(call), *interface = sd_bus_message_get_interface(call);

        if (!path || !interface || (!is_progress_due(bus) && done != total))
                return;
        if (sd_bus_message_new_signal(bus, &m, path, interface, "Progress") >= 0 &&
            sd_bus_message_append(m, "tt", done, total) >= 0)
                (void) sd_bus_send(bus, m, NULL); /* a loss shows as the end of the connection */
}

void peer_step(sd_bus_message *call, const char *what, uint64_t done, uint64_t total)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        sd_bus *bus = sd_bus_message_get_bus(call);
        const char *path = sd_bus_message_get_path(call), *interface = sd_bus_message_get_interface(call);

        if (path && interface && sd_bus_message_new_signal(bus, &m, path, interface, "Step") >= 0 &&
            sd_bus_message_append(m, "stt", what, done, total) >= 0)
                (void) sd_bus_send(bus, m, NULL);
}

bool peer_gone(sd_bus_message *call)
{
        struct pollfd p = { .fd = sd_bus_get_fd(sd_bus_message_get_bus(call)), .events = POLLRDHUP };

        return p.fd < 0 || (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)));
}
