/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uptane-fetch: the only program that speaks to the back-end. It is handed one connection by systemd and serves it;
 * docs/HELPERS.md is its interface. It decides nothing and keeps nothing: it can lie to the daemon no better than the
 * network can.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "http/http.h"
#include "io/file.h"
#include "peer/peer.h"

#define ANSWER_MAX ((size_t) 64 * 1024)
#define MIN_SPEED 1
#define MIN_SPEED_SECONDS 60

/* ---- Get ---- */

typedef struct Get {
        sd_bus_message *call;
        int sink;
} Get;

/* Gone too is who closed the pipe and stays connected: nobody reads any more. */
static bool get_is_gone(void *userdata)
{
        Get *get = userdata;
        struct pollfd p = { .fd = get->sink };

        return peer_gone(get->call) || (poll(&p, 1, 0) > 0 && (p.revents & POLLERR));
}

/* Waits for room in bounded steps, so that a reader that hangs on a dead connection is noticed. */
static int wait_for_room(Get *get, Error *error)
{
        struct pollfd p = { .fd = get->sink, .events = POLLOUT };

        if (poll(&p, 1, 1000) < 0 && errno != EINTR)
                return error_set_errno(error, ERR_SYSTEM, errno, "waiting for the reader");
        if (get_is_gone(get))
                return error_set(error, ERR_CANCELLED, "nobody reads any more");
        return 0;
}

static int write_piece(void *userdata, Slice piece, Error *error)
{
        Get *get = userdata;

        while (piece.size > 0) {
                ssize_t n;

                if (wait_for_room(get, error) < 0)
                        return -1;
                n = write(get->sink, piece.data, piece.size);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        continue;
                if (n < 0)
                        return error_set_errno(error, errno == EPIPE ? ERR_CANCELLED : ERR_SYSTEM, errno, "passing the body on");
                piece = slice(piece.data + n, piece.size - (size_t) n);
        }
        return 0;
}

/*
 * Ends the pipe. The descriptor belongs to the message, which closes it only after the reply, and a reply must not
 * overtake the end: so something else takes its number.
 */
static int close_sink(int sink, Error *error)
{
        cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0 || dup3(null, sink, O_CLOEXEC) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "closing the pipe");
        return 0;
}

/* A blocking descriptor would hold a big write for as long as the reader likes. */
static int prepare_sink(int sink, Error *error)
{
        int flags = fcntl(sink, F_GETFL);

        if (flags < 0 || fcntl(sink, F_SETFL, flags | O_NONBLOCK) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "the pipe for the body");
        return 0;
}

static int on_get(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Get get = { .call = call };
        HttpRequest request = { .method = "GET", .sink = write_piece, .cancelled = get_is_gone, .userdata = &get };
        HttpAnswer answer = { 0 };
        Error error = { 0 }, close_error = { 0 };
        int authenticate, r = sd_bus_message_read(call, "sbtth", &request.url, &authenticate, &request.offset, &request.max, &get.sink);

        if (r < 0)
                return r;
        request.authenticate = authenticate;
        r = prepare_sink(get.sink, &error);
        if (r >= 0)
                r = http_perform(userdata, &request, &answer, &error);
        if (close_sink(get.sink, &close_error) < 0 && r >= 0)
                return peer_error_reply(&close_error, ret);
        if (r < 0)
                return peer_error_reply(&error, ret);
        return sd_bus_reply_method_return(call, "ut", (uint32_t) answer.status, answer.offset);
}

/* ---- Send ---- */

typedef struct Send {
        sd_bus_message *call;
        Buffer body;
} Send;

static int keep_piece(void *userdata, Slice piece, Error *error)
{
        Send *send = userdata;

        return buffer_append(&send->body, piece, error);
}

static bool send_is_gone(void *userdata)
{
        Send *send = userdata;

        return peer_gone(send->call);
}

static int reply_sent(sd_bus_message *call, unsigned status, Slice body)
{
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "u", (uint32_t) status);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', body.data, body.size);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int on_send(sd_bus_message *call, void *userdata, sd_bus_error *ret)
{
        Send send = { .call = call, .body = { .limit = ANSWER_MAX } };
        HttpRequest request = { .max = ANSWER_MAX, .sink = keep_piece, .cancelled = send_is_gone, .userdata = &send };
        HttpAnswer answer = { 0 };
        Error error = { 0 };
        const void *body;
        int authenticate, r = sd_bus_message_read(call, "ssbs", &request.method, &request.url, &authenticate, &request.content_type);

        if (r >= 0)
                r = sd_bus_message_read_array(call, 'y', &body, &request.body.size);
        if (r < 0)
                return r;
        request.body.data = body;
        request.authenticate = authenticate;
        if (strcmp(request.method, "GET") == 0)
                r = error_set(&error, ERR_INVALID_ARGUMENT, "Send sends with PUT or POST");
        else
                r = http_perform(userdata, &request, &answer, &error);
        r = r < 0 ? peer_error_reply(&error, ret) : reply_sent(call, answer.status, buffer_slice(&send.body));
        buffer_done(&send.body);
        return r;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Get", SD_BUS_ARGS("s", url, "b", authenticate, "t", offset, "t", max, "h", sink),
                                SD_BUS_RESULT("u", status, "t", offset), on_get, 0),
        SD_BUS_METHOD_WITH_ARGS("Send", SD_BUS_ARGS("s", method, "s", url, "b", authenticate, "s", content_type, "ay", body),
                                SD_BUS_RESULT("u", status, "ay", body), on_send, 0),
        SD_BUS_VTABLE_END,
};

/* ---- starting ---- */

static int parse_number(const char *name, const char *text, unsigned *ret, Error *error)
{
        char *end;
        unsigned long n;

        errno = 0;
        n = strtoul(text, &end, 10);
        if (errno || *end || end == text || *text == '-' || n == 0 || n > INT32_MAX)
                return error_set(error, ERR_INVALID_ARGUMENT, "--%s: '%.40s' is not a positive number", name, text);
        *ret = (unsigned) n;
        return 0;
}

static int parse_arguments(int argc, char **argv, HttpOptions *options, Error *error)
{
        static const struct option longs[] = {
                { "allow-http", no_argument, NULL, 'a' },
                { "min-speed", required_argument, NULL, 's' },
                { "min-speed-seconds", required_argument, NULL, 't' },
                { 0 },
        };
        int c, r = 0;

        while (r >= 0 && (c = getopt_long(argc, argv, "", longs, NULL)) >= 0)
                switch (c) {
                case 'a':
                        options->allow_http = true;
                        break;
                case 's':
                        r = parse_number("min-speed", optarg, &options->min_speed, error);
                        break;
                case 't':
                        r = parse_number("min-speed-seconds", optarg, &options->min_speed_seconds, error);
                        break;
                default:
                        r = error_set(error, ERR_INVALID_ARGUMENT,
                                      "usage: uptane-fetch [--allow-http] [--min-speed=BYTES] [--min-speed-seconds=SECONDS]");
                        break;
                }
        return r < 0 ? r : optind < argc ? error_set(error, ERR_INVALID_ARGUMENT, "unknown argument '%.40s'", argv[optind]) : 0;
}

static int run(int argc, char **argv, Error *error)
{
        cleanup_free char *ca = peer_credential("ca.pem"), *cert = peer_credential("device.crt"), *key = peer_credential("device.key");
        CLEANUP(http_free) Http *http = NULL;
        HttpOptions options = {
                .ca_file = ca,
                .cert_file = cert,
                .key_file = key,
                .user_agent = "uptaned/" PROJECT_VERSION,
                .min_speed = MIN_SPEED,
                .min_speed_seconds = MIN_SPEED_SECONDS,
        };

        if (parse_arguments(argc, argv, &options, error) < 0 || http_new(&options, &http, error) < 0)
                return -1;
        return peer_serve("/org/uptane/Fetch1", "org.uptane.Fetch1", vtable, http, error);
}

int main(int argc, char **argv)
{
        Error error = { 0 };

        (void) signal(SIGPIPE, SIG_IGN); /* a closed pipe is an answer of write() */
        if (run(argc, argv, &error) == 0)
                return EXIT_SUCCESS;
        (void) fprintf(stderr, "uptane-fetch: %s\n", error.message);
        return error_info(error.code)->exit_code;
}
