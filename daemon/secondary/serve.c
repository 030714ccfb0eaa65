/* SPDX-License-Identifier: Apache-2.0 */
/* One loop over poll(): a connection takes one step whenever it can, and an answer is computed between two steps. */
#include "secondary/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "io/file.h"
#include "secondary/stream.h"

typedef struct Connection {
        int fd;
        SecondaryTlsLink *tls;
        bool ready; /* without TLS, or its handshake is over */
        bool later; /* its question is answered when what is done to this ECU now has ended */
        Buffer question, answer;
        size_t whole; /* of the question; 0: not known yet */
        size_t sent;  /* of the answer */
        short events; /* to wait for */
        int64_t touched, since; /* when the last byte went, and when the present message began */
        /* how fast it is heard, over one message, or all of an image: */
        bool upload;  /* the last message was a piece of one */
        int64_t span; /* when the present span began; 0: nothing is measured */
        size_t span_bytes;
        unsigned slow_spans; /* in a row */
} Connection;

#define UPLOAD_TAG (0xa0 + DER_UPLOAD_DATA_REQ) /* the first byte of such a message */
#define SLOW_SPANS 2 /* the first may be the moment in which the network went away */

typedef struct Server {
        Secondary *secondary;
        const SecondaryTls *tls;
        Connection list[SERVE_CONNECTIONS_MAX];
        size_t n;
        int64_t quiet; /* since when there is no connection */
} Server;

/* error: why, or ERR_NONE. */
static void hang_up(Server *s, size_t index, const Error *error)
{
        Connection *c = &s->list[index];

        if (error->code != ERR_NONE) {
                fprintf(stderr, "closing a connection: %s\n", error->message);
                if (error->code == ERR_SLOW)
                        secondary_note(s->secondary, error);
        }
        secondary_tls_link_free(c->tls);
        file_cleanup_close(&c->fd);
        buffer_done(&c->question);
        buffer_done(&c->answer);
        *c = s->list[--s->n];
        s->quiet = secondary_stream_now();
}

static SecondaryStream stream_of(const Connection *c)
{
        return (SecondaryStream) { .fd = c->fd, .tls = c->tls, .cancel_fd = -1 };
}

/* ---- one step of one connection: as SecondaryTlsResult ---- */

static int shake_hands(const Server *s, Connection *c, Error *error)
{
        int r = secondary_tls_handshake(c->tls, &c->events, error);

        if (r != SECONDARY_TLS_DONE)
                return r;
        if (*s->secondary->config.tls_primary && secondary_tls_check_name(c->tls, s->secondary->config.tls_primary, error) < 0)
                return -1;
        c->ready = true;
        return r;
}

/* A message that grows large must be the only one. */
static int check_size(const Server *s, const Connection *c, Error *error)
{
        if (c->whole <= SERVE_LARGE)
                return 0;
        for (size_t i = 0; i < s->n; i++)
                if (&s->list[i] != c && s->list[i].whole > SERVE_LARGE)
                        return error_set(error, ERR_TOO_LARGE, "a message of %zu bytes, and another large one is being received", c->whole);
        return 0;
}

/* Nothing is waited for but the end of the other side, which poll() always tells. */
static int ask(const Server *s, Connection *c, Error *error)
{
        int r = secondary_answer(s->secondary, buffer_slice(&c->question), &c->answer, error);

        if (r < 0)
                return -1;
        c->later = r > 0;
        c->sent = 0;
        c->events = c->later ? 0 : POLLOUT;
        return c->later ? SECONDARY_TLS_WAIT : SECONDARY_TLS_DONE;
}

static int receive(const Server *s, Connection *c, Error *error)
{
        const size_t max = s->secondary->config.partial ? SERVE_LARGE : DER_MESSAGE_MAX;
        const SecondaryStream stream = stream_of(c);
        size_t before = c->question.size;
        int r = secondary_stream_try_receive(&stream, max, &c->question, &c->whole, &c->events, error);

        if (r != SECONDARY_TLS_DONE)
                return r;
        if (c->span == 0)
                c->span = secondary_stream_now();
        c->span_bytes += c->question.size - before;
        if (check_size(s, c, error) < 0)
                return -1;
        if (c->whole == 0 || c->question.size < c->whole)
                return r;
        return ask(s, c, error);
}

static void stop_measuring(Connection *c)
{
        c->span = 0;
        c->span_bytes = 0;
        c->slow_spans = 0;
}

static int answer(Connection *c, Error *error)
{
        const SecondaryStream stream = stream_of(c);
        size_t n = 0;
        int r = secondary_stream_try_send(&stream, slice(c->answer.data + c->sent, c->answer.size - c->sent), &n, &c->events, error);

        if (r != SECONDARY_TLS_DONE)
                return r;
        c->sent += n;
        if (c->sent < c->answer.size)
                return r;
        c->upload = c->question.data[0] == UPLOAD_TAG;
        if (!c->upload)
                stop_measuring(c);
        buffer_done(&c->question);
        buffer_done(&c->answer);
        c->whole = 0;
        c->since = secondary_stream_now();
        return r;
}

/* As far as one connection gets without waiting, but not further than one message: the others want to be served, too. */
static int advance(const Server *s, Connection *c, Error *error)
{
        int r = c->later ? SECONDARY_TLS_END : SECONDARY_TLS_DONE; /* who waits and is heard of has gone */
        bool answered = false;

        while (r == SECONDARY_TLS_DONE && !answered) {
                bool answering = c->answer.size > 0;

                r = !c->ready ? shake_hands(s, c, error) : answering ? answer(c, error) : receive(s, c, error);
                if (r == SECONDARY_TLS_DONE)
                        c->touched = secondary_stream_now();
                answered = answering && c->answer.size == 0;
        }
        if (answered)
                c->events = POLLIN | POLLOUT; /* TLS may hold more of what came: it is looked at in the next round */
        return r;
}

/* ---- all of them ---- */

/* Uptane 5.4 (d): slow retrieval. Silence is another matter. */
static int check_speed(const Server *s, Connection *c, int64_t now, Error *error)
{
        const SecondaryConfig *config = &s->secondary->config;
        size_t bytes = c->span_bytes;

        if (config->min_speed == 0 || c->span == 0 || now - c->span < config->min_speed_seconds * 1000)
                return 0;
        c->slow_spans = bytes < (size_t) (config->min_speed * config->min_speed_seconds) ? c->slow_spans + 1 : 0;
        c->span = now;
        c->span_bytes = 0;
        if (c->slow_spans < SLOW_SPANS)
                return 0;
        return error_set(error, ERR_SLOW, "%zu bytes in %lld s, at least %lld a second are demanded", bytes,
                         (long long) config->min_speed_seconds, (long long) config->min_speed);
}

static int check_time(const Server *s, Connection *c, int64_t now, Error *error)
{
        if (c->later)
                return 0;
        if (check_speed(s, c, now, error) < 0)
                return -1;
        if (now - c->touched >= SERVE_IDLE_MS)
                return error_set(error, ERR_TIMEOUT, "nothing came or went for %d s", SERVE_IDLE_MS / 1000);
        if (now - c->since >= SERVE_MESSAGE_MS)
                return error_set(error, ERR_TIMEOUT, "one message took more than %d s", SERVE_MESSAGE_MS / 1000);
        return 0;
}

/* Milliseconds until it may sleep; INT64_MAX: it may not. */
static int64_t time_to_sleep(const Server *s, int64_t now)
{
        if (s->n > 0 || s->secondary->config.sleep_after == 0 || secondary_is_busy(s->secondary))
                return INT64_MAX;
        return s->quiet + s->secondary->config.sleep_after * 1000 - now;
}

/* Milliseconds until it may sleep, or the first of them has been silent or slow for too long; -1: nothing of that. */
static int time_left(const Server *s, int64_t now)
{
        int64_t left = time_to_sleep(s, now);

        for (size_t i = 0; i < s->n; i++) {
                if (s->list[i].later)
                        continue;
                int64_t idle = s->list[i].touched + SERVE_IDLE_MS - now, message = s->list[i].since + SERVE_MESSAGE_MS - now;

                left = idle < left ? idle : left;
                left = message < left ? message : left;
        }
        return left == INT64_MAX ? -1 : left < 0 ? 0 : (int) left + 1;
}

static size_t find_oldest(const Server *s)
{
        size_t oldest = 0;

        for (size_t i = 1; i < s->n; i++)
                if (s->list[oldest].later || (s->list[i].since < s->list[oldest].since && !s->list[i].later))
                        oldest = i;
        return oldest;
}

static int add(Server *s, int connected, Error *error)
{
        cleanup_close int fd = connected;
        int64_t now = secondary_stream_now();
        Connection c = { .events = POLLIN, .ready = !s->tls, .touched = now, .since = now };
        Error why = { 0 };

        if (s->tls && secondary_tls_link_new(s->tls, fd, &c.tls, error) < 0)
                return -1;
        if (s->n == SERVE_CONNECTIONS_MAX) {
                (void) error_set(&why, ERR_TIMEOUT, "more than %d at a time, and it is the slowest", SERVE_CONNECTIONS_MAX);
                hang_up(s, find_oldest(s), &why);
        }
        c.fd = TAKE_FD(fd);
        s->list[s->n++] = c;
        return 0;
}

/* What accept() says of a connection that is gone already is no reason to end. */
static int take(Server *s, int listener, Error *error)
{
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
                return error_set_errno(error, ERR_SYSTEM, errno, "accept");
        return fd < 0 ? 0 : add(s, fd, error);
}

/* From the last to the first: hang_up() puts the last one, which had its turn, into the place of the one that goes. */
static void serve_all(Server *s, const struct pollfd *fds)
{
        const int64_t now = secondary_stream_now(); /* that others were being answered is nobody's silence */

        for (size_t i = s->n; i-- > 0;) {
                Error error = { 0 };
                int r = SECONDARY_TLS_WAIT;

                if (fds[i].revents)
                        r = advance(s, &s->list[i], &error);
                if (r > SECONDARY_TLS_END && check_time(s, &s->list[i], now, &error) < 0)
                        r = -1;
                if (r <= SECONDARY_TLS_END)
                        hang_up(s, i, &error);
        }
}

/* Who has waited longest for an answer; s->n: nobody waits. */
static size_t find_waiting(const Server *s)
{
        size_t first = s->n;

        for (size_t i = 0; i < s->n; i++)
                if (s->list[i].later && (first == s->n || s->list[i].since < s->list[first].since))
                        first = i;
        return first;
}

/* Those who wait are answered in their order, until something else has begun by that. */
static void go_on(Server *s)
{
        size_t i;

        secondary_job_advance(s->secondary);
        s->quiet = secondary_stream_now();
        while (!secondary_is_working(s->secondary) && (i = find_waiting(s)) < s->n) {
                Error error = { 0 };

                s->list[i].touched = s->list[i].since = secondary_stream_now();
                if (ask(s, &s->list[i], &error) < 0)
                        hang_up(s, i, &error);
        }
}

static int loop(Server *s, const ServeSockets *sockets, Error *error)
{
        for (;;) {
                struct pollfd fds[SERVE_CONNECTIONS_MAX + 3];
                bool knocked, ended;

                for (size_t i = 0; i < s->n; i++)
                        fds[i] = (struct pollfd) { .fd = s->list[i].fd, .events = s->list[i].events };
                fds[s->n] = (struct pollfd) { .fd = sockets->signals, .events = POLLIN };
                fds[s->n + 1] = (struct pollfd) { .fd = sockets->listener, .events = POLLIN };
                fds[s->n + 2] = (struct pollfd) { .fd = s->secondary->job.output, .events = POLLIN };
                if (poll(fds, s->n + 3, time_left(s, secondary_stream_now())) < 0) {
                        if (errno == EINTR)
                                continue;
                        return error_set_errno(error, ERR_SYSTEM, errno, "poll");
                }
                if (fds[s->n].revents)
                        return 0;
                knocked = fds[s->n + 1].revents != 0;
                ended = fds[s->n + 2].revents != 0;
                serve_all(s, fds);
                if (ended)
                        go_on(s);
                if (knocked && take(s, sockets->listener, error) < 0)
                        return -1;
                if (time_to_sleep(s, secondary_stream_now()) <= 0)
                        return 1;
        }
}

int serve(Secondary *secondary, const SecondaryTls *tls, ServeSockets *sockets, Error *error)
{
        const Error none = { 0 };
        Server *s = xcalloc(1, sizeof *s);
        int r = 0;

        s->secondary = secondary;
        s->tls = tls;
        s->quiet = secondary_stream_now();
        if (sockets->announced >= 0)
                r = add(s, TAKE_FD(sockets->announced), error);
        if (r == 0)
                r = loop(s, sockets, error);
        while (s->n > 0)
                hang_up(s, s->n - 1, &none);
        free(s);
        return r;
}
