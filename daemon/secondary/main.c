/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uptane-secondary --config FILE: a Secondary ECU on Linux, over the IP Secondary protocol.
 *
 * One connection at a time, one message at a time, each within time limits: who connects and says nothing, or nonsense,
 * is hung up on, and the next one is served. SIGTERM and SIGINT end it between two messages.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "io/file.h"
#include "secondary/address.h"
#include "secondary/secondary.h"
#include "secondary/stream.h"

#define IDLE_MS 10000     /* a Primary that has nothing to say must not keep others out */
#define MESSAGE_MS 120000 /* for one whole message */
#define BACKLOG 16

static int bind_one(const struct addrinfo *to, Error *error)
{
        cleanup_close int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
        const int on = 1;

        if (fd < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "socket");
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, to->ai_addr, to->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "listening");
        return TAKE_FD(fd);
}

static int listen_on(const char *address, Error *error)
{
        cleanup_addrinfo struct addrinfo *list = NULL;
        int fd;

        if (secondary_address_resolve(address, true, &list, error) < 0)
                return -1;
        fd = bind_one(list, error);
        return fd < 0 ? error_prefix(error, "%s", address) : fd;
}

/* Where it really listens, for whoever configured port 0. */
static int write_address(const Secondary *s, int fd, Error *error)
{
        cleanup_free char *path = xasprintf("%s/address", s->config.state_directory);
        char host[NI_MAXHOST], port[NI_MAXSERV], text[NI_MAXHOST + NI_MAXSERV + 4];
        struct sockaddr_storage address;
        socklen_t size = sizeof address;

        if (getsockname(fd, (struct sockaddr *) &address, &size) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "getsockname");
        if (getnameinfo((struct sockaddr *) &address, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
                return error_set(error, ERR_SYSTEM, "the address listened on has no text form");
        (void) snprintf(text, sizeof text, address.ss_family == AF_INET6 ? "[%s]:%s\n" : "%s:%s\n", host, port);
        return file_write(path, slice_str(text), 0644, error);
}

/* One message and its answer. 1: there may be more; 0: the other side has closed. */
static int serve_message(Secondary *s, int fd, int signals, Error *error)
{
        SecondaryStream stream = { .fd = fd, .idle_ms = IDLE_MS, .cancel_fd = signals, .cancel_events = POLLIN };
        cleanup_buffer Buffer question = { 0 }, answer = { 0 };
        int r;

        stream.deadline = secondary_stream_now() + MESSAGE_MS;
        r = secondary_stream_receive(&stream, DER_MESSAGE_MAX, &question, error);
        if (r <= 0)
                return r;
        if (secondary_answer(s, buffer_slice(&question), &answer, error) < 0)
                return -1;
        stream.deadline = secondary_stream_now() + MESSAGE_MS;
        return secondary_stream_send(&stream, buffer_slice(&answer), error) < 0 ? -1 : 1;
}

static void serve_connection(Secondary *s, int fd, int signals)
{
        Error error = { 0 };
        int r;

        do
                r = serve_message(s, fd, signals, &error);
        while (r > 0);
        if (r < 0 && error.code != ERR_CANCELLED)
                fprintf(stderr, "closing a connection: %s\n", error.message);
}

/* Until a signal ends it. What accept() says of a connection that is gone already is no reason to end. */
static int serve(Secondary *s, int listener, int signals, Error *error)
{
        for (;;) {
                struct pollfd fds[] = { { .fd = signals, .events = POLLIN }, { .fd = listener, .events = POLLIN } };
                cleanup_close int fd = -1;

                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        return error_set_errno(error, ERR_SYSTEM, errno, "poll");
                if (fds[0].revents)
                        return 0;
                if (!fds[1].revents)
                        continue;
                fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd >= 0)
                        serve_connection(s, fd, signals);
                else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
                        return error_set_errno(error, ERR_SYSTEM, errno, "accept");
        }
}

static int open_signals(Error *error)
{
        sigset_t mask;
        int fd;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        fd = sigprocmask(SIG_BLOCK, &mask, NULL) < 0 ? -1 : signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? error_set_errno(error, ERR_SYSTEM, errno, "signalfd") : fd;
}

static int run(const char *config_path, Error *error)
{
        cleanup_close int signals = open_signals(error), listener = -1;
        cleanup_secondary_config SecondaryConfig config = { 0 };
        CLEANUP(secondary_free) Secondary *s = NULL;
        int r;

        if (signals < 0 || secondary_config_load(config_path, &config, error) < 0 || secondary_new(&config, &s, error) < 0)
                return -1;
        listener = listen_on(s->config.listen, error);
        if (listener < 0 || write_address(s, listener, error) < 0)
                return -1;
        (void) sd_notify(0, "READY=1");
        r = serve(s, listener, signals, error);
        (void) sd_notify(0, "STOPPING=1");
        return r;
}

int main(int argc, char **argv)
{
        static const struct option options[] = { { "config", required_argument, NULL, 'c' }, { 0 } };
        const char *config = NULL;
        Error error = { 0 };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) == 'c')
                config = optarg;
        if (c != -1 || !config || optind < argc) {
                fprintf(stderr, "Usage: %s --config FILE\n", argv[0]);
                return EXIT_FAILURE;
        }
        if (run(config, &error) < 0) {
                fprintf(stderr, "%s\n", error.message);
                return error_info(error.code)->exit_code;
        }
        return EXIT_SUCCESS;
}
