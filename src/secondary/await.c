/* SPDX-License-Identifier: Apache-2.0 */
/* Who connects is known by its address and port, as existing Secondaries are; that is no proof, what it says is checked as ever. */
#include "secondary/await.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "io/file.h"
#include "secondary/address.h"
#include "secondary/stream.h"

#define BACKLOG 16

static int listen_on(const char *address, Error *error)
{
        cleanup_addrinfo struct addrinfo *list = NULL;
        cleanup_close int fd = -1;
        const int on = 1;

        if (secondary_address_resolve(address, true, &list, error) < 0)
                return -1;
        fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
        if (fd < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "socket");
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, list->ai_addr, list->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "listening on %s", address);
        return TAKE_FD(fd);
}

static bool is_from(const struct sockaddr_storage *peer, const struct addrinfo *list)
{
        for (const struct addrinfo *a = list; a; a = a->ai_next) {
                const struct sockaddr_in *x4 = (const struct sockaddr_in *) peer, *y4 = (const struct sockaddr_in *) a->ai_addr;
                const struct sockaddr_in6 *x6 = (const struct sockaddr_in6 *) peer, *y6 = (const struct sockaddr_in6 *) a->ai_addr;

                if (peer->ss_family != a->ai_family)
                        continue;
                if (a->ai_family == AF_INET && x4->sin_port == y4->sin_port && x4->sin_addr.s_addr == y4->sin_addr.s_addr)
                        return true;
                if (a->ai_family == AF_INET6 && x6->sin6_port == y6->sin6_port && memcmp(&x6->sin6_addr, &y6->sin6_addr, sizeof x6->sin6_addr) == 0)
                        return true;
        }
        return false;
}

/* The next connection if it is from the right one; -1 without an error if it is not. */
static int take(int listener, const struct addrinfo *list)
{
        struct sockaddr_storage peer = { 0 };
        socklen_t size = sizeof peer;
        cleanup_close int fd = accept4(listener, (struct sockaddr *) &peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);

        return fd >= 0 && is_from(&peer, list) ? TAKE_FD(fd) : -1;
}

int secondary_await(const char *listen, const char *from, unsigned ms, int cancel_fd, Error *error)
{
        SecondaryStream stream = { .idle_ms = (int) ms, .deadline = secondary_stream_now() + ms, .cancel_fd = cancel_fd, .cancel_events = POLLRDHUP };
        cleanup_addrinfo struct addrinfo *list = NULL;
        cleanup_close int listener = -1;
        int fd = -1;

        if (secondary_address_resolve(from, false, &list, error) < 0)
                return -1;
        listener = stream.fd = listen_on(listen, error);
        if (listener < 0)
                return -1;
        while (fd < 0 && secondary_stream_now() < stream.deadline && secondary_stream_wait(&stream, POLLIN, error) == 0)
                fd = take(listener, list);
        if (fd >= 0 || error->code == ERR_CANCELLED)
                return fd;
        error_clear(error);
        return error_set(error, ERR_UNREACHABLE, "it did not announce itself at %s within %u s", listen, ms / 1000);
}
