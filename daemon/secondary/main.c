/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uptane-secondary --config FILE: a Secondary ECU on Linux, over the IP Secondary protocol.
 *
 * Opens what it needs and serves (serve.h). SIGTERM and SIGINT end it between two messages. Where nobody comes, it sleeps
 * (sleep.h): then it is started again, with the socket that it listened on, in the same process.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "io/file.h"
#include "secondary/program.h"
#include "secondary/serve.h"
#include "secondary/sleep.h"

#define BACKLOG 16

static int bind_to(const char *address, Error *error)
{
        cleanup_close int fd = -1;
        struct sockaddr_storage to;
        const int on = 1;
        socklen_t size;

        if (program_resolve(address, true, &to, &size, error) < 0)
                return -1;
        fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
        if (fd < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "socket");
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        return bind(fd, (struct sockaddr *) &to, size) < 0 ? error_set_errno(error, ERR_SYSTEM, errno, "%s: binding", address) : TAKE_FD(fd);
}

static int listen_on(const char *address, Error *error)
{
        cleanup_close int fd = bind_to(address, error);

        if (fd < 0)
                return -1;
        return listen(fd, BACKLOG) < 0 ? error_set_errno(error, ERR_SYSTEM, errno, "listening on %s", address) : TAKE_FD(fd);
}

/*
 * From the port that it will listen on, by which its Primary knows it; so this comes before listening. Whether anybody waits
 * there makes no difference but for the log.
 */
static int announce(const SecondaryConfig *config, Error *error)
{
        cleanup_close int fd = bind_to(config->listen, error);
        struct sockaddr_storage to;
        socklen_t size;

        if (fd < 0 || program_resolve(config->primary, false, &to, &size, error) < 0)
                return -1;
        if (connect(fd, (struct sockaddr *) &to, size) < 0 && errno != EINPROGRESS)
                return error_set_errno(error, ERR_UNREACHABLE, errno, "%s", config->primary);
        return TAKE_FD(fd);
}

/* Where it really listens, for whoever configured port 0. */
static int write_address(const Secondary *s, int fd, Error *error)
{
        cleanup_free char *path = xasprintf("%s/address", s->config.state_directory);
        char host[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];
        struct sockaddr_storage address;
        const struct sockaddr_in *four = (struct sockaddr_in *) &address;
        const struct sockaddr_in6 *six = (struct sockaddr_in6 *) &address;
        socklen_t size = sizeof address;
        bool is_six;

        if (getsockname(fd, (struct sockaddr *) &address, &size) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "getsockname");
        is_six = address.ss_family == AF_INET6;
        if (!inet_ntop(address.ss_family, is_six ? (const void *) &six->sin6_addr : &four->sin_addr, host, sizeof host))
                return error_set_errno(error, ERR_SYSTEM, errno, "the address listened on");
        (void) snprintf(text, sizeof text, is_six ? "[%s]:%u\n" : "%s:%u\n", host, ntohs(is_six ? six->sin6_port : four->sin_port));
        return file_write(path, slice_str(text), 0644, error);
}

/* A credential of the service, where the configuration names no file. */
static char *tls_file(const char *configured, const char *credential)
{
        const char *folder = getenv("CREDENTIALS_DIRECTORY");

        return *configured ? xstrdup(configured) : xasprintf("%s/%s", folder ? folder : "/run/credentials", credential);
}

static int open_tls(const SecondaryConfig *config, SecondaryTls **ret, Error *error)
{
        cleanup_free char *ca = tls_file(config->tls_ca, "secondary-ca.pem"), *key = tls_file(config->tls_key, "secondary.key");
        cleanup_free char *certificate = tls_file(config->tls_certificate, "secondary.crt"), *psk = tls_file(config->tls_psk, "secondary.psk");

        if (config->psk)
                return secondary_tls_new(&(SecondaryTlsFiles) { .psk = psk }, true, ret, error);
        return config->tls ? secondary_tls_new(&(SecondaryTlsFiles) { .ca = ca, .certificate = certificate, .key = key }, true, ret, error) : 0;
}

/* What sd_notify() does, without its library and all that it brings along. Nobody is told where nobody asked. */
static void notify(const char *state)
{
        struct sockaddr_un to = { .sun_family = AF_UNIX };
        const char *path = getenv("NOTIFY_SOCKET");
        size_t size = path ? strlen(path) : 0;
        cleanup_close int fd = -1;

        if (size < 2 || size >= sizeof to.sun_path)
                return;
        memcpy(to.sun_path, path, size);
        if (to.sun_path[0] == '@')
                to.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd >= 0)
                (void) sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *) &to,
                              (socklen_t) (offsetof(struct sockaddr_un, sun_path) + size));
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

/* Listens, and tells where: once, however often it sleeps. */
static int begin(const Secondary *s, int *ret_announced, Error *error)
{
        cleanup_close int listener = -1;
        Error why = { 0 };

        if (*s->config.primary) {
                *ret_announced = announce(&s->config, &why);
                if (*ret_announced < 0 && why.code == ERR_UNSUPPORTED) {
                        *error = why;
                        return -1;
                }
                if (*ret_announced < 0)
                        fprintf(stderr, "announcing itself: %s\n", why.message);
        }
        listener = listen_on(s->config.listen, error);
        return listener < 0 || write_address(s, listener, error) < 0 ? -1 : TAKE_FD(listener);
}

typedef struct Start {
        const char *config;
        int listener; /* that it listened on before it slept; -1: this is the first start */
        bool awake;   /* it could not sleep, and does not try again */
} Start;

/* 1: it may sleep, and the listener is in start. */
static int run(Start *start, Error *error)
{
        cleanup_close int signals = open_signals(error), listener = TAKE_FD(start->listener), announced = -1;
        cleanup_secondary_config SecondaryConfig config = { 0 };
        CLEANUP(secondary_free) Secondary *s = NULL;
        CLEANUP(secondary_tls_free) SecondaryTls *tls = NULL;
        int r;

        if (signals < 0 || secondary_config_load(start->config, &config, error) < 0 || secondary_new(&config, &s, error) < 0 ||
            open_tls(&s->config, &tls, error) < 0)
                return -1;
        if (start->awake)
                s->config.sleep_after = 0;
        if (listener >= 0 && fcntl(listener, F_SETFD, FD_CLOEXEC) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "--listener %d", listener);
        if (listener < 0)
                listener = begin(s, &announced, error);
        if (listener < 0)
                return -1;
        notify("READY=1");
        r = serve(s, tls, &(ServeSockets) { listener, signals, TAKE_FD(announced) }, error);
        if (r > 0)
                start->listener = TAKE_FD(listener);
        else
                notify("STOPPING=1");
        return r;
}

/* What this program is not up to, or a key that it cannot read, is for the one that can more. */
static void become_larger(const char *config, const Error *why)
{
        bool other = program_that_can_more && (why->code == ERR_UNSUPPORTED || why->code == ERR_KEY);
        Error error = { 0 };
        cleanup_free char *path = other ? program_beside(program_that_can_more, &error) : NULL;

        if (path && execl(path, path, "--config", config, (char *) NULL) < 0)
                fprintf(stderr, "%s, which can more, does not start: %s\n", path, strerror(errno));
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "listener", required_argument, NULL, 'l' },
                { 0 },
        };
        Start start = { .listener = -1 };
        Error error = { 0 };
        int c, r;

        while ((c = getopt_long(argc, argv, "", options, NULL)) == 'c' || c == 'l')
                if (c == 'c')
                        start.config = optarg;
                else
                        start.listener = atoi(optarg);
        if (c != -1 || !start.config || optind < argc) {
                fprintf(stderr, "Usage: %s --config FILE\n", argv[0]);
                return EXIT_FAILURE;
        }
        (void) signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without asking for silence */
        while ((r = run(&start, &error)) > 0)
                if (sleep_at(start.listener, start.config, &error) < 0) {
                        fprintf(stderr, "it cannot sleep: %s\n", error.message);
                        error = (Error) { 0 };
                        start.awake = true;
                }
        if (r < 0) {
                become_larger(start.config, &error);
                fprintf(stderr, "%s\n", error.message);
        }
        return r < 0 ? error_info(error.code)->exit_code : EXIT_SUCCESS;
}
