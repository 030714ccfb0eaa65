/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The length of a message stands in its first bytes. Those are read one at a time: whatever follows a message is left
 * in the socket, so that there is nothing to keep between two of them.
 */
#include "secondary/stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "metadata/der.h"

#define PIECE_SIZE ((size_t) 16 * 1024)

int64_t secondary_stream_now(void)
{
        struct timespec now = { 0 };

        (void) clock_gettime(CLOCK_BOOTTIME, &now);
        return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int secondary_stream_wait(const SecondaryStream *s, short events, Error *error)
{
        int64_t start = secondary_stream_now(), end = start + s->idle_ms < s->deadline ? start + s->idle_ms : s->deadline;
        int n;

        do {
                struct pollfd fds[] = { { .fd = s->fd, .events = events },
                                        { .fd = s->cancel_fd, .events = s->cancel_events } };
                int64_t left = end - secondary_stream_now();

                n = poll(fds, 2, left > 0 ? (int) left : 0);
                if (n > 0 && fds[1].revents)
                        return error_set(error, ERR_CANCELLED, "cancelled");
        } while (n < 0 && errno == EINTR);
        if (n < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "poll");
        if (n == 0)
                return error_set(error, ERR_TIMEOUT, "no answer within %lld ms", (long long) (end - start));
        return 0;
}

int secondary_stream_send(const SecondaryStream *s, Slice bytes, Error *error)
{
        for (size_t done = 0; done < bytes.size;) {
                ssize_t n = send(s->fd, bytes.data + done, bytes.size - done, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n > 0)
                        done += (size_t) n;
                else if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return error_set_errno(error, ERR_UNREACHABLE, errno, "sending");
                if (done < bytes.size && secondary_stream_now() >= s->deadline)
                        return error_set(error, ERR_TIMEOUT, "sending took too long");
                if (done < bytes.size && secondary_stream_wait(s, POLLOUT, error) < 0)
                        return -1;
        }
        return 0;
}

/* Up to size bytes. How many; 0 at the end. */
static int receive_some(const SecondaryStream *s, uint8_t *ret, size_t size, Error *error)
{
        for (;;) {
                ssize_t n;

                if (secondary_stream_now() >= s->deadline)
                        return error_set(error, ERR_TIMEOUT, "the exchange took too long");
                if (secondary_stream_wait(s, POLLIN, error) < 0)
                        return -1;
                n = recv(s->fd, ret, size, MSG_DONTWAIT);
                if (n >= 0)
                        return (int) n;
                if (errno != EAGAIN && errno != EINTR)
                        return error_set_errno(error, ERR_UNREACHABLE, errno, "receiving");
        }
}

int secondary_stream_receive(const SecondaryStream *s, size_t max, Buffer *ret, Error *error)
{
        cleanup_buffer Buffer message = { .limit = max };
        uint8_t piece[PIECE_SIZE];
        size_t whole = 0;

        while (whole == 0 || message.size < whole) {
                size_t want = whole ? whole - message.size : 1;
                int n = receive_some(s, piece, want < sizeof piece ? want : sizeof piece, error);

                if (n < 0)
                        return -1;
                if (n == 0 && message.size == 0)
                        return 0;
                if (n == 0)
                        return error_set(error, ERR_MALFORMED, "message ends after %zu bytes", message.size);
                if (buffer_append(&message, slice(piece, (size_t) n), error) < 0)
                        return -1;
                if (whole == 0 && der_frame_size(buffer_slice(&message), max, &whole, error) < 0)
                        return -1;
        }
        buffer_put(ret, message.data, message.size);
        return 1;
}
