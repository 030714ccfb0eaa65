/* SPDX-License-Identifier: Apache-2.0 */
/* Any D-Bus value as JSON: dictionaries become objects, structures and arrays become arrays, variants what they hold. */
#include <errno.h>
#include <inttypes.h>

#include "base/codec.h"
#include "uptanectl/ctl.h"

static int write_basic(sd_bus_message *m, char type, Buffer *b)
{
        union {
                const char *s;
                int boolean;
                uint64_t t;
                int64_t x;
                uint32_t u;
                int32_t i;
        } v = { 0 };
        int r = sd_bus_message_read_basic(m, type, &v);

        if (r < 0)
                return r;
        if (type == 's' || type == 'o' || type == 'g')
                json_quote(v.s, b);
        else if (type == 'b')
                buffer_put_str(b, v.boolean ? "true" : "false");
        else if (type == 't')
                buffer_printf(b, "%" PRIu64, v.t);
        else if (type == 'x')
                buffer_printf(b, "%" PRId64, v.x);
        else if (type == 'u')
                buffer_printf(b, "%" PRIu32, v.u);
        else if (type == 'i')
                buffer_printf(b, "%" PRId32, v.i);
        else
                return -ENOTSUP;
        return 0;
}

static int write_entry(sd_bus_message *m, const char *contents, Buffer *b)
{
        int r = sd_bus_message_enter_container(m, 'e', contents);

        if (r >= 0)
                r = json_write_value(m, b);
        if (r >= 0) {
                buffer_put_str(b, ":");
                r = json_write_value(m, b);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int write_items(sd_bus_message *m, Buffer *b)
{
        for (bool first = true;; first = false) {
                const char *contents;
                char type;
                int r = sd_bus_message_peek_type(m, &type, &contents);

                if (r <= 0)
                        return r;
                if (!first)
                        buffer_put_str(b, ",");
                r = type == 'e' ? write_entry(m, contents, b) : json_write_value(m, b);
                if (r < 0)
                        return r;
        }
}

int json_write_value(sd_bus_message *m, Buffer *b)
{
        const char *contents;
        char type;
        int r = sd_bus_message_peek_type(m, &type, &contents);
        bool object;

        if (r <= 0)
                return r < 0 ? r : -ENXIO;
        if (type != 'a' && type != 'r' && type != 'v')
                return write_basic(m, type, b);
        r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;
        if (type == 'v') {
                r = json_write_value(m, b);
        } else {
                object = type == 'a' && contents[0] == '{';
                buffer_put_str(b, object ? "{" : "[");
                r = write_items(m, b);
                buffer_put_str(b, object ? "}" : "]");
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}
