/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The length of a message stands in its first bytes. Those are read one at a time: whatever follows a message is left
 * in the socket, so that there is nothing to keep between two of them. Everything is tried first and waited for after: what
 * TLS has read already is not seen by poll().
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

int secondary_stream_try_send(const SecondaryStream *s, Slice bytes, size_t *ret_done, short *ret_events, Error *error)
{
        ssize_t n;
        int r;

        if (s->tls) {
                r = secondary_tls_send(s->tls, bytes.data, bytes.size, ret_done, ret_events, error);
                return r == SECONDARY_TLS_END ? error_set(error, ERR_UNREACHABLE, "sending: the other side has closed") : r;
        }
        n = send(s->fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
                return error_set_errno(error, ERR_UNREACHABLE, errno, "sending");
        *ret_done = n > 0 ? (size_t) n : 0;
        *ret_events = POLLOUT;
        return n > 0 ? SECONDARY_TLS_DONE : SECONDARY_TLS_WAIT;
}

static int try_receive(const SecondaryStream *s, uint8_t *ret, size_t size, size_t *ret_done, short *ret_events, Error *error)
{
        ssize_t n;

        if (s->tls)
                return secondary_tls_receive(s->tls, ret, size, ret_done, ret_events, error);
        n = recv(s->fd, ret, size, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
                return error_set_errno(error, ERR_UNREACHABLE, errno, "receiving");
        *ret_done = n > 0 ? (size_t) n : 0;
        *ret_events = POLLIN;
        return n > 0 ? SECONDARY_TLS_DONE : n == 0 ? SECONDARY_TLS_END : SECONDARY_TLS_WAIT;
}

int secondary_stream_try_receive(const SecondaryStream *s, size_t max, Buffer *message, size_t *whole, short *ret_events, Error *error)
{
        uint8_t piece[PIECE_SIZE];
        size_t want = *whole ? *whole - message->size : 1, n = 0;
        int r = try_receive(s, piece, want < sizeof piece ? want : sizeof piece, &n, ret_events, error);

        if (r == SECONDARY_TLS_END && message->size > 0)
                return error_set(error, ERR_MALFORMED, "message ends after %zu bytes", message->size);
        if (r != SECONDARY_TLS_DONE)
                return r;
        if (buffer_append(message, slice(piece, n), error) < 0)
                return -1;
        if (*whole == 0 && der_frame_size(buffer_slice(message), max, whole, error) < 0)
                return -1;
        return r;
}

int secondary_stream_shake_hands(const SecondaryStream *s, Error *error)
{
        short events = 0;
        int r;

        while ((r = secondary_tls_handshake(s->tls, &events, error)) == SECONDARY_TLS_WAIT)
                if (secondary_stream_wait(s, events, error) < 0)
                        return -1;
        return r < 0 ? -1 : 0;
}

static int check_deadline(const SecondaryStream *s, const char *what, Error *error)
{
        if (secondary_stream_now() < s->deadline)
                return 0;
        return error_set(error, ERR_TIMEOUT, "%s took too long", what);
}

int secondary_stream_send(const SecondaryStream *s, Slice bytes, Error *error)
{
        short events = 0;

        for (size_t done = 0, n = 0; done < bytes.size;) {
                int r = secondary_stream_try_send(s, slice(bytes.data + done, bytes.size - done), &n, &events, error);

                if (r < 0 || check_deadline(s, "sending", error) < 0)
                        return -1;
                if (r == SECONDARY_TLS_DONE)
                        done += n;
                else if (secondary_stream_wait(s, events, error) < 0)
                        return -1;
        }
        return 0;
}

int secondary_stream_receive(const SecondaryStream *s, size_t max, Buffer *ret, Error *error)
{
        cleanup_buffer Buffer message = { .limit = max };
        size_t whole = 0;
        short events = 0;

        while (whole == 0 || message.size < whole) {
                int r = secondary_stream_try_receive(s, max, &message, &whole, &events, error);

                if (r == SECONDARY_TLS_END)
                        return 0;
                if (r < 0 || check_deadline(s, "the exchange", error) < 0 ||
                    (r == SECONDARY_TLS_WAIT && secondary_stream_wait(s, events, error) < 0))
                        return -1;
        }
        buffer_put(ret, message.data, message.size);
        return 1;
}
