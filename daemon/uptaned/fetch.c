/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A get is over when both have come: the end of the pipe, which carries the body, and the reply, which says what it
 * was. The helper closes the pipe before it replies, so whatever is left in it is there when the reply comes; a helper
 * that keeps it open breaks the protocol, and there is nothing to wait for. Where the body starts is only known with
 * the reply: pieces are counted from the offset asked for, and the caller starts over if the reply names another one.
 */
#include "uptaned/fetch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIECE_SIZE ((size_t) 64 * 1024)
#define ANSWER_MAX ((size_t) 64 * 1024)

struct Fetch {
        sd_event *event;
        Helper *helper;
        FetchRequest request;
        sd_event_source *source; /* the pipe; NULL when its end was seen */
        int fd;
        uint64_t received;
        uint64_t begun;          /* usec, by CLOCK_MONOTONIC */
        sd_event_source *pause;  /* while more has come than max_speed allows, nothing is read */
        Rate *rate; /* while the pipe is open */
        Buffer body;
        bool ended;
        FetchAnswer answer;
};

int fetch_open(sd_event *event, const char *socket_path, Fetch **ret, Error *error)
{
        CLEANUP(fetch_free) Fetch *fetch = xcalloc(1, sizeof *fetch);

        fetch->fd = -1;
        fetch->event = sd_event_ref(event);
        if (helper_open(event, HELPER_FETCH, socket_path, &fetch->helper, error) < 0)
                return -1;
        *ret = TAKE_PTR(fetch);
        return 0;
}

static void close_pipe(Fetch *fetch)
{
        fetch->source = sd_event_source_disable_unref(fetch->source);
        fetch->pause = sd_event_source_disable_unref(fetch->pause);
        fetch->rate = rate_free(fetch->rate);
        if (fetch->fd >= 0)
                close(fetch->fd);
        fetch->fd = -1;
}

Fetch *fetch_free(Fetch *fetch)
{
        if (!fetch)
                return NULL;
        close_pipe(fetch);
        helper_free(fetch->helper);
        buffer_done(&fetch->body);
        sd_event_unref(fetch->event);
        free(fetch);
        return NULL;
}

static void fail(Fetch *fetch, Error *error)
{
        FetchDone done = fetch->request.done;

        fetch->request.done = NULL;
        close_pipe(fetch);
        if (done)
                done(fetch->request.userdata, NULL, error);
}

static void on_slow(void *userdata, Error *error)
{
        Fetch *fetch = userdata;

        (void) error_prefix(error, "%s", fetch->request.url);
        fail(fetch, error);
}

static void finish(Fetch *fetch)
{
        FetchDone done = fetch->request.done;
        Error none = { 0 };

        fetch->request.done = NULL;
        fetch->answer.body = buffer_slice(&fetch->body);
        done(fetch->request.userdata, &fetch->answer, &none);
}

static int take_piece(Fetch *fetch, Slice piece, Error *error)
{
        uint64_t offset = fetch->request.offset + fetch->received;

        if (piece.size > fetch->request.max - fetch->received)
                return error_set(error, ERR_TOO_LARGE, "%s: more than the allowed %llu bytes", fetch->request.url,
                                 (unsigned long long) fetch->request.max);
        fetch->received += piece.size;
        rate_add(fetch->rate, piece.size);
        if (fetch->request.sink)
                return fetch->request.sink(fetch->request.userdata, offset, piece, error);
        buffer_put(&fetch->body, piece.data, piece.size);
        return 0;
}

typedef enum Piece {
        PIECE_MORE,   /* read one; there may be more */
        PIECE_LATER,  /* nothing there at the moment */
        PIECE_END,
        PIECE_FAILED, /* and reported: fetch may be gone */
} Piece;

static Piece read_piece(Fetch *fetch)
{
        uint8_t bytes[PIECE_SIZE];
        uint64_t quarter = fetch->request.max_speed / 4; /* of a second: no pause may outlast a deadline */
        Error error = { 0 };
        ssize_t n = read(fetch->fd, bytes, quarter > 0 && quarter < sizeof bytes ? (size_t) quarter : sizeof bytes);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return errno == EINTR ? PIECE_MORE : PIECE_LATER;
        helper_touch(fetch->helper);
        if (n == 0) {
                close_pipe(fetch);
                fetch->ended = true;
                return PIECE_END;
        }
        if (n < 0)
                (void) error_set_errno(&error, ERR_HELPER, errno, "reading from uptane-fetch");
        else if (take_piece(fetch, slice(bytes, (size_t) n), &error) == 0)
                return PIECE_MORE;
        fail(fetch, &error);
        return PIECE_FAILED;
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata)
{
        Fetch *fetch = userdata;

        (void) source;
        (void) usec;
        fetch->pause = sd_event_source_disable_unref(fetch->pause);
        return sd_event_source_set_enabled(fetch->source, SD_EVENT_ON);
}

/* The pipe fills, the helper waits, and TCP holds the server back. */
static void hold_back(Fetch *fetch)
{
        uint64_t due, now = 0;

        if (fetch->request.max_speed == 0)
                return;
        due = fetch->begun + (uint64_t) ((double) fetch->received * 1e6 / (double) fetch->request.max_speed);
        (void) sd_event_now(fetch->event, CLOCK_MONOTONIC, &now);
        if (due > now && sd_event_add_time(fetch->event, &fetch->pause, CLOCK_MONOTONIC, due, 0, on_pause_over, fetch) >= 0)
                (void) sd_event_source_set_enabled(fetch->source, SD_EVENT_OFF);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        (void) source;
        (void) fd;
        (void) events;
        if (read_piece(userdata) == PIECE_MORE)
                hold_back(userdata);
        return 0;
}

/* What it wrote before it replied, which is no more than a pipe holds: one that goes on writing is not read for ever. */
static Piece drain(Fetch *fetch)
{
        int room = fetch->ended ? 0 : fcntl(fetch->fd, F_GETPIPE_SZ);
        uint64_t most = fetch->received + (room > 0 ? (uint64_t) room : 0);
        Piece piece = fetch->ended ? PIECE_END : PIECE_MORE;

        while (piece == PIECE_MORE && fetch->received <= most)
                piece = read_piece(fetch);
        return piece;
}

static void on_get_reply(void *userdata, sd_bus_message *reply, Error *error)
{
        Fetch *fetch = userdata;
        uint32_t status;
        uint64_t offset;
        Piece piece;

        if (reply && sd_bus_message_read(reply, "ut", &status, &offset) < 0)
                (void) error_set(error, ERR_HELPER, "uptane-fetch answered in another form than agreed");
        if (error->code != ERR_NONE) {
                fail(fetch, error);
                return;
        }
        fetch->answer.status = status;
        fetch->answer.offset = offset;
        piece = drain(fetch);
        if (piece == PIECE_FAILED)
                return;
        if (piece != PIECE_END) {
                (void) error_set(error, ERR_HELPER, "uptane-fetch replied and kept its pipe open");
                fail(fetch, error);
                return;
        }
        finish(fetch);
}

static void on_send_reply(void *userdata, sd_bus_message *reply, Error *error)
{
        Fetch *fetch = userdata;
        uint32_t status;
        Slice body;

        if (reply && sd_bus_message_read(reply, "u", &status) < 0)
                (void) error_set(error, ERR_HELPER, "uptane-fetch answered in another form than agreed");
        if (error->code != ERR_NONE || helper_read_bytes(reply, ANSWER_MAX, &body, error) < 0) {
                fail(fetch, error);
                return;
        }
        fetch->answer.status = status;
        buffer_put(&fetch->body, body.data, body.size);
        finish(fetch);
}

static void begin(Fetch *fetch, const FetchRequest *request)
{
        assert(!fetch->request.done); /* one transfer at a time */
        close_pipe(fetch);
        buffer_done(&fetch->body);
        fetch->request = *request;
        fetch->received = 0;
        (void) sd_event_now(fetch->event, CLOCK_MONOTONIC, &fetch->begun);
        fetch->ended = false;
        fetch->answer = (FetchAnswer) { 0 };
}

/* The pipe for the body: the helper's end in ret_write. */
static int make_pipe(Fetch *fetch, int *ret_write, Error *error)
{
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "pipe");
        fetch->fd = fds[0];
        *ret_write = fds[1];
        if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "pipe");
        r = sd_event_add_io(fetch->event, &fetch->source, fds[0], EPOLLIN, on_readable, fetch);
        return r < 0 ? error_set_errno(error, ERR_SYSTEM, -r, "watching a pipe") : 0;
}

static int call_get(Fetch *fetch, int sink, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        const FetchRequest *q = &fetch->request;
        int r;

        if (helper_message(fetch->helper, "Get", &call, error) < 0)
                return -1;
        r = sd_bus_message_append(call, "sbtth", q->url, q->authenticate, q->offset, q->max, sink);
        if (r < 0)
                return error_set_errno(error, ERR_HELPER, -r, "asking uptane-fetch");
        return helper_call(fetch->helper, call, q->seconds, on_get_reply, fetch, error);
}

int fetch_get(Fetch *fetch, const FetchRequest *request, Error *error)
{
        int sink = -1, r;

        begin(fetch, request);
        r = make_pipe(fetch, &sink, error);
        if (r >= 0)
                r = rate_new(fetch->event, &request->slowest, on_slow, fetch, &fetch->rate, error);
        if (r >= 0)
                r = call_get(fetch, sink, error);
        if (sink >= 0)
                close(sink);
        if (r < 0) {
                fetch->request.done = NULL;
                close_pipe(fetch);
        }
        return r;
}

int fetch_send(Fetch *fetch, const FetchRequest *request, const char *method, const char *content_type, Slice body, Error *error)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        int r;

        begin(fetch, request);
        fetch->ended = true; /* no pipe */
        r = helper_message(fetch->helper, "Send", &call, error);
        if (r >= 0) {
                r = sd_bus_message_append(call, "ssbs", method, request->url, request->authenticate, content_type);
                if (r < 0)
                        r = error_set_errno(error, ERR_HELPER, -r, "asking uptane-fetch");
        }
        if (r >= 0)
                r = helper_append_bytes(call, body, error);
        if (r >= 0)
                r = helper_call(fetch->helper, call, request->seconds, on_send_reply, fetch, error);
        if (r < 0)
                fetch->request.done = NULL;
        return r;
}
