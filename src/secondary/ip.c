/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections are opened for one question each, as existing Primaries do, but for an image: its chunks go over one
 * connection for as long as the other side keeps it. One that was closed meanwhile is opened again, once per chunk;
 * should a chunk then arrive twice, the Secondary's own check of the whole image finds it.
 */
#include "secondary/ip.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "crypto/key.h"
#include "io/file.h"
#include "secondary/address.h"
#include "secondary/await.h"
#include "secondary/stream.h"

#define PROTOCOL_VERSION 2
#define DESCRIPTION_MAX 300
#define KEEPALIVE_SECONDS 15

/* ---- connecting ---- */

/* A Secondary that lost its power says nothing more: the kernel notices, even where silence is allowed for long. */
static void set_options(int fd)
{
        const int on = 1, seconds = KEEPALIVE_SECONDS, count = 4;

        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static int connect_one(const SecondaryIp *s, const struct addrinfo *to, int64_t deadline, Error *error)
{
        SecondaryStream stream = { .idle_ms = (int) s->connect_ms, .deadline = deadline, .cancel_fd = s->cancel_fd, .cancel_events = POLLRDHUP };
        cleanup_close int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
        socklen_t size = sizeof(int);
        int sys = 0;

        if (fd < 0)
                return error_set_errno(error, ERR_UNREACHABLE, errno, "socket");
        stream.fd = fd;
        set_options(fd);
        if (connect(fd, to->ai_addr, to->ai_addrlen) < 0) {
                if (errno != EINPROGRESS)
                        return error_set_errno(error, ERR_UNREACHABLE, errno, "connecting");
                if (secondary_stream_wait(&stream, POLLOUT, error) < 0) {
                        if (error->code != ERR_TIMEOUT)
                                return -1;
                        error_clear(error);
                        return error_set(error, ERR_UNREACHABLE, "connecting: no answer");
                }
                if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &size) < 0)
                        sys = errno;
                if (sys)
                        return error_set_errno(error, ERR_UNREACHABLE, sys, "connecting");
        }
        return TAKE_FD(fd);
}

static int connect_to(const SecondaryIp *s, int64_t deadline, Error *error)
{
        cleanup_addrinfo struct addrinfo *list = NULL;
        int fd = -1;

        if (secondary_address_resolve(s->address, false, &list, error) < 0)
                return -1;
        for (const struct addrinfo *to = list; to && fd < 0; to = to->ai_next) {
                error_clear(error);
                fd = connect_one(s, to, deadline, error);
                if (fd < 0 && error->code == ERR_CANCELLED)
                        break;
        }
        return fd;
}

/* ---- asking ---- */

typedef struct Link {
        const SecondaryIp *s;
        int fd; /* -1: none */
        SecondaryTlsLink *tls;
} Link;

static void link_close(Link *link)
{
        link->tls = secondary_tls_link_free(link->tls);
        file_cleanup_close(&link->fd);
        link->fd = -1;
}
#define cleanup_link __attribute__((cleanup(link_close)))

static SecondaryStream stream_of(const Link *link, unsigned idle_ms, int64_t deadline)
{
        return (SecondaryStream) {
                .fd = link->fd,
                .tls = link->tls,
                .idle_ms = (int) idle_ms,
                .deadline = deadline,
                .cancel_fd = link->s->cancel_fd,
                .cancel_events = POLLRDHUP,
        };
}

static int protect(Link *link, int64_t deadline, Error *error)
{
        const SecondaryIp *s = link->s;
        SecondaryStream stream;

        if (secondary_tls_link_new(s->tls, link->fd, &link->tls, error) < 0 ||
            (s->name && *s->name && secondary_tls_set_identity(link->tls, s->name, error) < 0))
                return -1;
        stream = stream_of(link, s->connect_ms, deadline);
        if (secondary_stream_shake_hands(&stream, error) < 0)
                return -1;
        return s->name && *s->name ? secondary_tls_check_name(link->tls, s->name, error) : 0;
}

/* Nothing is said over it before both sides know each other. */
static int link_open(Link *link, Error *error)
{
        int64_t deadline = secondary_stream_now() + link->s->connect_ms;

        link->fd = connect_to(link->s, deadline, error);
        if (link->fd < 0)
                return -1;
        if (link->s->tls && protect(link, deadline, error) < 0) {
                link_close(link);
                return -1;
        }
        return 0;
}

/* A kept connection over TLS: as check_kept(). */
static int check_kept_tls(Link *link, Error *error)
{
        Error ignored = { 0 };
        short events = 0;
        uint8_t byte;
        size_t n;
        int r = secondary_tls_receive(link->tls, &byte, 1, &n, &events, &ignored);

        if (r == SECONDARY_TLS_DONE)
                return error_set(error, ERR_SECONDARY, "it said something without being asked");
        if (r != SECONDARY_TLS_WAIT)
                link_close(link);
        return 0;
}

/* A kept connection: whether the other side still has it. What it says without being asked is nonsense. */
static int check_kept(Link *link, Error *error)
{
        uint8_t byte;
        ssize_t n;

        if (link->tls)
                return check_kept_tls(link, error);
        n = recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n > 0)
                return error_set(error, ERR_SECONDARY, "it said something without being asked");
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
                link_close(link);
        return 0;
}

/* Nonsense from the other side of the wire is that Secondary's failure, whatever kind of nonsense. */
static int nonsense(Error *error)
{
        Error cause = *error;

        error_clear(error);
        return error_set(error, ERR_SECONDARY, "it answered nonsense: %.400s", cause.message);
}

/* One question over link, as it is. 1, or 0 if the other side closed it instead of answering. */
static int exchange(Link *link, Slice request, unsigned ms, unsigned idle_ms, Buffer *ret, Error *error)
{
        SecondaryStream stream = stream_of(link, idle_ms, secondary_stream_now() + ms);
        int r;

        if (secondary_stream_send(&stream, request, error) < 0)
                return -1;
        r = secondary_stream_receive(&stream, SECONDARY_IP_ANSWER_MAX, ret, error);
        if (r < 0 && (error->code == ERR_MALFORMED || error->code == ERR_TOO_LARGE))
                return nonsense(error);
        return r;
}

static bool is_lost(int r, const Error *error)
{
        return r == 0 || (r < 0 && error->code == ERR_UNREACHABLE);
}

/* The same, over the kept connection if that still works and over a new one if not. */
static int exchange_reconnecting(Link *link, Slice request, unsigned ms, unsigned idle_ms, Buffer *ret, Error *error)
{
        bool kept;
        int r;

        if (link->fd >= 0 && check_kept(link, error) < 0)
                return -1;
        do {
                kept = link->fd >= 0;
                if (!kept && link_open(link, error) < 0)
                        return -1;
                r = exchange(link, request, ms, idle_ms, ret, error);
                if (r > 0)
                        return 0;
                if (is_lost(r, error) && kept) {
                        error_clear(error);
                        link_close(link);
                }
        } while (kept && link->fd < 0);
        if (r == 0)
                return error_set(error, ERR_SECONDARY, "it closed the connection without an answer");
        return -1;
}

static int ask(Link *link, const DerMessage *request, DerKind expected, Arena *arena, DerMessage *ret, Error *error)
{
        cleanup_buffer Buffer question = { 0 }, answer = { 0 };
        bool slow = request->kind == DER_INSTALL_REQ || request->kind == DER_DOWNLOAD_OSTREE_REQ;
        unsigned ms = slow ? link->s->install_ms : link->s->exchange_ms, idle_ms = slow ? ms : link->s->idle_ms;
        DerMessage m;

        if (link->s->tls && !(link->s->name && *link->s->name) && request->kind != DER_GET_INFO_REQ)
                return error_set(error, ERR_INVALID_ARGUMENT, "over TLS it has to be said whose certificate is expected");
        der_encode(request, &question);
        if (exchange_reconnecting(link, buffer_slice(&question), ms, idle_ms, &answer, error) < 0)
                return -1;
        if (der_decode(buffer_slice(&answer), arena, &m, error) < 0)
                return nonsense(error);
        if (m.kind != expected)
                return error_set(error, ERR_SECONDARY, "it answered message [%d] with [%d], expected [%d]", request->kind, m.kind, expected);
        *ret = m;
        return 0;
}

/* One question on a connection of its own. */
static int ask_once(const SecondaryIp *s, const DerMessage *request, DerKind expected, Arena *arena, DerMessage *ret, Error *error)
{
        cleanup_link Link link = { .s = s, .fd = -1 };

        return ask(&link, request, expected, arena, ret, error);
}

static const char *result_name(DerResult result)
{
        switch (result) {
        case DER_OK:
                return "ok";
        case DER_ALREADY_PROCESSED:
                return "already processed";
        case DER_VALIDATION_FAILED:
                return "validation failed";
        case DER_INSTALL_FAILED:
                return "installation failed";
        case DER_DOWNLOAD_FAILED:
                return "download failed";
        case DER_INTERNAL_ERROR:
                return "internal error";
        case DER_GENERAL_ERROR:
                return "general error";
        case DER_NEED_COMPLETION:
                return "needs completion";
        case DER_CUSTOM_ERROR:
                return "error of its own";
        case DER_OPERATION_CANCELLED:
                return "cancelled";
        case DER_UNKNOWN:
        default:
                return "unknown";
        }
}

/* Its words as one line of text: they go into logs and reports. Bytes above ASCII are not trusted to be UTF-8. */
static const char *description_text(Slice description, Arena *arena)
{
        size_t size = description.size < DESCRIPTION_MAX ? description.size : DESCRIPTION_MAX;
        char *text = arena_alloc(arena, size + 1, 1);

        for (size_t i = 0; i < size; i++)
                text[i] = description.data[i] >= 0x20 && description.data[i] < 0x7f ? (char) description.data[i] : ' ';
        return text;
}

static int check_result(const DerMessage *answer, Arena *arena, Error *error)
{
        if (answer->result == DER_OK || answer->result == DER_ALREADY_PROCESSED || answer->result == DER_NEED_COMPLETION)
                return 0;
        return error_set(error, ERR_SECONDARY, "it refused: %s (%d): %s", result_name(answer->result), answer->result,
                         answer->description.size ? description_text(answer->description, arena) : "no further words");
}

/* ---- the questions ---- */

static int check_version(const SecondaryIp *s, Arena *arena, Error *error)
{
        DerMessage answer;

        if (ask_once(s, &(DerMessage) { .kind = DER_VERSION_REQ, .number = PROTOCOL_VERSION }, DER_VERSION_RESP, arena, &answer, error) < 0)
                return error_prefix(error, "asking its protocol version");
        if (answer.number != PROTOCOL_VERSION)
                return error_set(error, ERR_UNSUPPORTED, "it speaks version %lld of the protocol, expected %d",
                                 (long long) answer.number, PROTOCOL_VERSION);
        return 0;
}

static bool is_space(uint8_t c)
{
        return c == '\n' || c == '\r' || c == ' ';
}

/* Plain ASCII lines, as both forms of a key are. */
static int key_text(Slice key, Arena *arena, const char **ret, Error *error)
{
        while (key.size > 0 && is_space(key.data[key.size - 1]))
                key.size--;
        if (key.size == 0 || key.size > KEY_TEXT_MAX)
                return error_set(error, ERR_SECONDARY, "its key has %zu bytes", key.size);
        for (size_t i = 0; i < key.size; i++)
                if (!is_space(key.data[i]) && (key.data[i] <= 0x20 || key.data[i] >= 0x7f))
                        return error_set(error, ERR_SECONDARY, "its key is not text");
        *ret = (const char *) arena_dup(arena, key).data;
        return 0;
}

static int ask_info(Link *link, Arena *arena, SecondaryIpInfo *ret, Error *error)
{
        SecondaryIpInfo info;
        DerMessage answer;

        if (ask(link, &(DerMessage) { .kind = DER_GET_INFO_REQ }, DER_GET_INFO_RESP, arena, &answer, error) < 0 ||
            (link->s->tls && secondary_tls_check_name(link->tls, answer.serial, error) < 0) || key_text(answer.data, arena, &info.key, error) < 0)
                return -1;
        info.serial = answer.serial;
        info.hardware_id = answer.hardware_id;
        info.key_type = key_type_name(answer.number == DER_KEY_ED25519 ? KEY_ED25519 : KEY_RSA);
        *ret = info;
        return 0;
}

int secondary_ip_get_info(const SecondaryIp *s, Arena *arena, SecondaryIpInfo *ret, Error *error)
{
        cleanup_link Link link = { .s = s, .fd = -1 };

        return ask_info(&link, arena, ret, error);
}

int secondary_ip_await_info(const SecondaryIp *s, const char *listen, unsigned ms, Arena *arena, SecondaryIpInfo *ret, Error *error)
{
        cleanup_link Link link = { .s = s, .fd = secondary_await(listen, s->address, ms, s->cancel_fd, error) };

        if (link.fd < 0 || (s->tls && protect(&link, secondary_stream_now() + s->connect_ms, error) < 0))
                return -1;
        return ask_info(&link, arena, ret, error);
}

int secondary_ip_get_manifest(const SecondaryIp *s, Arena *arena, Slice *ret, Error *error)
{
        DerMessage answer;

        if (check_version(s, arena, error) < 0 ||
            ask_once(s, &(DerMessage) { .kind = DER_MANIFEST_REQ }, DER_MANIFEST_RESP, arena, &answer, error) < 0)
                return -1;
        *ret = answer.data;
        return 0;
}

int secondary_ip_get_root_version(const SecondaryIp *s, DerRepo repo, int64_t *ret, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        DerMessage answer;

        if (ask_once(s, &(DerMessage) { .kind = DER_ROOT_VERSION_REQ, .number = repo }, DER_ROOT_VERSION_RESP, arena, &answer, error) < 0)
                return -1;
        if (answer.number < 0)
                return error_set(error, ERR_SECONDARY, "it says its Root has version %lld", (long long) answer.number);
        *ret = answer.number;
        return 0;
}

int secondary_ip_put_root(const SecondaryIp *s, DerRepo repo, Slice root, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        DerMessage answer;

        if (ask_once(s, &(DerMessage) { .kind = DER_PUT_ROOT_REQ, .number = repo, .data = root }, DER_PUT_ROOT_RESP, arena, &answer, error) < 0)
                return -1;
        return check_result(&answer, arena, error);
}

int secondary_ip_put_metadata(const SecondaryIp *s, const DerMessage *files, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        DerMessage request = *files, answer;

        request.kind = DER_PUT_META_REQ2;
        if (check_version(s, arena, error) < 0 || ask_once(s, &request, DER_PUT_META_RESP2, arena, &answer, error) < 0)
                return -1;
        return check_result(&answer, arena, error);
}

static int read_chunk(int fd, uint8_t *ret, size_t size, Error *error)
{
        for (size_t done = 0; done < size;) {
                ssize_t n = read(fd, ret + done, size - done);

                if (n < 0 && errno != EINTR)
                        return error_set_errno(error, ERR_STORAGE, errno, "reading the image");
                if (n == 0)
                        return error_set(error, ERR_STORAGE, "the image ends too early");
                done += n > 0 ? (size_t) n : 0;
        }
        return 0;
}

static int put_chunk(Link *link, Slice chunk, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        DerMessage answer;

        if (ask(link, &(DerMessage) { .kind = DER_UPLOAD_DATA_REQ, .data = chunk }, DER_UPLOAD_DATA_RESP, arena, &answer, error) < 0)
                return -1;
        return check_result(&answer, arena, error);
}

int secondary_ip_put_image(const SecondaryIp *s, const SecondaryIpImage *image, Error *error)
{
        cleanup_link Link link = { .s = s, .fd = -1 };
        cleanup_free uint8_t *chunk = NULL;
        size_t size;

        if (image->chunk < DER_CHUNK || image->chunk > DER_CHUNK_MAX)
                return error_set(error, ERR_INVALID_ARGUMENT, "chunks of %zu bytes are not sent", image->chunk);
        chunk = xcalloc(image->chunk, 1);
        for (uint64_t done = 0; done < image->length; done += size) {
                size = image->length - done < image->chunk ? (size_t) (image->length - done) : image->chunk;
                if (read_chunk(image->fd, chunk, size, error) < 0 || put_chunk(&link, slice(chunk, size), error) < 0)
                        return error_prefix(error, "at byte %llu of %llu", (unsigned long long) done, (unsigned long long) image->length);
                if (image->progress)
                        image->progress(image->userdata, done + size, image->length);
        }
        return 0;
}

int secondary_ip_fetch_commit(const SecondaryIp *s, Slice credentials, Error *error)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        DerMessage answer;

        if (credentials.size > 0 && !s->tls)
                return error_set(error, ERR_INVALID_ARGUMENT, "credentials are sent over a protected link only");
        if (ask_once(s, &(DerMessage) { .kind = DER_DOWNLOAD_OSTREE_REQ, .data = credentials }, DER_DOWNLOAD_OSTREE_RESP, arena, &answer, error) < 0)
                return -1;
        return check_result(&answer, arena, error);
}

int secondary_ip_install(const SecondaryIp *s, const char *name, Arena *arena, DerResult *ret, const char **ret_description, Error *error)
{
        DerMessage answer;

        if (ask_once(s, &(DerMessage) { .kind = DER_INSTALL_REQ, .data = slice_str(name) }, DER_INSTALL_RESP2, arena, &answer, error) < 0 ||
            check_result(&answer, arena, error) < 0)
                return -1;
        *ret = answer.result;
        *ret_description = description_text(answer.description, arena);
        return 0;
}
