/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz.h"

#define DEPTH_MAX 40 /* sd-bus takes 32 of each kind of container */
#define SIGNATURE_MAX 255 /* D-Bus has none that is longer */
#define ELEMENTS_MAX 300
#define REPEAT_MAX 100000

sd_bus *message_bus(void)
{
        sd_bus *bus = NULL;
        int fds[2];

        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
        REQUIRE(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, fds[0], fds[0]) >= 0 && sd_bus_start(bus) >= 0);
        return bus;
}

bool message_line(Slice *rest, Slice *ret)
{
        const uint8_t *end;

        if (!rest->data || rest->size == 0)
                return false;
        end = memchr(rest->data, '\n', rest->size);
        *ret = slice(rest->data, end ? (size_t) (end - rest->data) : rest->size);
        *rest = slice(rest->data + ret->size + (end != NULL), rest->size - ret->size - (end != NULL));
        return true;
}

char *message_word(Slice *line, size_t *ret_size)
{
        const uint8_t *end = line->size ? memchr(line->data, ' ', line->size) : NULL;
        size_t n = end ? (size_t) (end - line->data) : line->size;
        char *word = xcalloc(n + 1, 1);

        if (n)
                memcpy(word, line->data, n);
        *line = slice(line->data + n + (end != NULL), line->size - n - (end != NULL));
        if (*word == '*') {
                n = strtoul(word + 1, NULL, 10) % REPEAT_MAX;
                free(word);
                word = xcalloc(n + 1, 1);
                memset(word, 'x', n);
        }
        if (ret_size)
                *ret_size = n;
        return word;
}

static int append_number(sd_bus_message *message, char type, Slice *line)
{
        cleanup_free char *word = message_word(line, NULL);
        int64_t value = *word == '-' ? strtoll(word, NULL, 0) : (int64_t) strtoull(word, NULL, 0);
        union {
                uint8_t y;
                uint16_t q;
                uint32_t u;
                int b;
                int64_t x;
                double d;
        } as;

        switch (type) {
        case 'y':
                as.y = (uint8_t) value;
                break;
        case 'n':
        case 'q':
                as.q = (uint16_t) value;
                break;
        case 'i':
        case 'u':
                as.u = (uint32_t) value;
                break;
        case 'b':
                as.b = (int) (value & 1);
                break;
        case 'd':
                as.d = (double) value;
                break;
        default:
                as.x = value;
                break;
        }
        return sd_bus_message_append_basic(message, type, &as);
}

/* Behind the one type that begins here, NULL if none does. */
static const char *type_end(const char *type)
{
        unsigned depth = 0;

        for (; *type; type++) {
                depth += *type == '(' || *type == '{';
                if (*type == ')' || *type == '}') {
                        if (depth == 0)
                                return NULL;
                        depth--;
                }
                if (depth == 0 && *type != 'a')
                        return type + 1;
        }
        return NULL;
}

static int append_types(sd_bus_message *message, const char *types, unsigned depth, Slice *line);

static int append_container(sd_bus_message *message, char kind, const char *contents, unsigned depth, Slice *line)
{
        unsigned long n = 1;
        int r;

        if (kind == 'a') {
                cleanup_free char *word = message_word(line, NULL);

                n = strtoul(word, NULL, 10) % ELEMENTS_MAX;
        }
        r = sd_bus_message_open_container(message, kind, contents);
        for (; n > 0 && r >= 0; n--)
                r = append_types(message, contents, depth + 1, line);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

/* No descriptors: libsystemd 252 loses those of a message that it drops as invalid, which would be all that is ever found. */
static int append_one(sd_bus_message *message, const char *type, unsigned depth, Slice *line)
{
        cleanup_free char *word = NULL, *inner = NULL;
        size_t n;

        if (strcmp(type, "ay") == 0) {
                word = message_word(line, &n);
                return sd_bus_message_append_array(message, 'y', word, n);
        }
        switch (*type) {
        case 's':
        case 'o':
        case 'g':
                word = message_word(line, NULL);
                return sd_bus_message_append_basic(message, *type, word);
        case 'v':
                word = message_word(line, NULL);
                return append_container(message, 'v', word, depth, line);
        case 'a':
                return append_container(message, 'a', type + 1, depth, line);
        case '(':
        case '{':
                inner = xstrndup(type + 1, strlen(type) - 2);
                return append_container(message, *type == '(' ? 'r' : 'e', inner, depth, line);
        default:
                return strchr("ynqiubxtd", *type) ? append_number(message, *type, line) : -EINVAL;
        }
}

static int append_types(sd_bus_message *message, const char *types, unsigned depth, Slice *line)
{
        const char *end;
        int r = depth > DEPTH_MAX || strlen(types) > SIGNATURE_MAX ? -EINVAL : 0;

        for (; *types && r >= 0; types = end) {
                cleanup_free char *type = NULL;

                end = type_end(types);
                if (!end)
                        return -EINVAL;
                type = xstrndup(types, (size_t) (end - types));
                r = append_one(message, type, depth, line);
        }
        return r;
}

int message_append(sd_bus_message *message, const char *signature, Slice *line)
{
        return append_types(message, signature, 0, line);
}
