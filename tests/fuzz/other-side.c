/* SPDX-License-Identifier: Apache-2.0 */
#include "other-side.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/codec.h"
#include "fuzz.h"
#include "message.h"

static char folder[] = "/tmp/fuzz-helper.XXXXXX";
static char path[sizeof folder + 16];

static void remove_folder(void)
{
        (void) unlink(path);
        (void) rmdir(folder);
}

static int listener(void)
{
        static int fd = -1;
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (fd >= 0)
                return fd;
        REQUIRE(mkdtemp(folder));
        (void) snprintf(path, sizeof path, "%s/socket", folder);
        REQUIRE(atexit(remove_folder) == 0);
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof address) == 0 && listen(fd, 16) == 0);
        return fd;
}

char *other_side_path(void)
{
        (void) listener();
        return path;
}

bool other_side_accept(OtherSide *ret)
{
        const sd_id128_t id = SD_ID128_MAKE(11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11);

        *ret = (OtherSide) { .fd = accept4(listener(), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) };
        if (ret->fd < 0)
                return false;
        REQUIRE(sd_bus_new(&ret->bus) >= 0 && sd_bus_set_fd(ret->bus, ret->fd, ret->fd) >= 0);
        REQUIRE(sd_bus_set_server(ret->bus, 1, id) >= 0 && sd_bus_set_anonymous(ret->bus, 1) >= 0);
        REQUIRE(sd_bus_negotiate_fds(ret->bus, 1) >= 0 && sd_bus_start(ret->bus) >= 0);
        return true;
}

void other_side_close(OtherSide *o)
{
        sd_bus_message_unref(o->asked);
        sd_bus_close_unref(o->bus);
        *o = (OtherSide) { .fd = -1 };
}

int other_side_process(OtherSide *o)
{
        sd_bus_message *message = NULL;
        int r = sd_bus_process(o->bus, &message);

        if (message && sd_bus_message_is_method_call(message, NULL, NULL) > 0) {
                sd_bus_message_unref(o->asked);
                o->asked = sd_bus_message_ref(message);
        }
        sd_bus_message_unref(message);
        return r;
}

static int new_signal(OtherSide *o, const char *name, sd_bus_message **ret)
{
        return sd_bus_message_new_signal(o->bus, ret, sd_bus_message_get_path(o->asked), sd_bus_message_get_interface(o->asked), name);
}

static int new_message(OtherSide *o, char what, Slice *line, sd_bus_message **ret)
{
        cleanup_free char *word = NULL, *text = NULL;

        switch (what) {
        case 'c':
                word = message_word(line, NULL);
                return sd_bus_message_new_method_call(o->bus, ret, NULL, "/org/uptane/Files1", "org.uptane.Files1", word);
        case 'r':
                return sd_bus_message_new_method_return(o->asked, ret);
        case 'e':
                word = message_word(line, NULL);
                text = message_word(line, NULL);
                return sd_bus_message_new_method_error(o->asked, ret, &SD_BUS_ERROR_MAKE_CONST(word, text));
        default:
                return new_signal(o, what == 's' ? "Step" : "Progress", ret);
        }
}

static void send_message(OtherSide *o, char what, Slice *line)
{
        sd_bus_message *message = NULL;
        int r = new_message(o, what, line, &message);

        if (r >= 0) {
                cleanup_free char *signature = message_word(line, NULL);

                r = message_append(message, signature, line);
        }
        if (r >= 0)
                (void) sd_bus_send(o->bus, message, NULL);
        sd_bus_message_unref(message);
}

static void send_raw(OtherSide *o, Slice *line)
{
        cleanup_free char *hex = message_word(line, NULL);
        size_t n = strlen(hex) / 2;
        cleanup_free uint8_t *bytes = xcalloc(n + 1, 1);
        Error ignored = { 0 };

        if (hex_decode(hex, bytes, n, &ignored) == 0)
                (void) send(o->fd, bytes, n, MSG_NOSIGNAL);
}

void other_side_step(OtherSide *o, const char *what, Slice *line)
{
        if (strcmp(what, "raw") == 0)
                send_raw(o, line);
        else if (*what && strchr("creps", *what) && o->asked)
                send_message(o, *what, line);
}
