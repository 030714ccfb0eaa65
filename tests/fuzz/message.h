/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_FUZZ_MESSAGE_H
#define TEST_FUZZ_MESSAGE_H

/*
 * D-Bus messages by recipe. sd-bus takes no malformed marshalling, so bytes would hardly ever get as far as our readers;
 * a signature and values in words do, whatever they are. Words end with a blank or a line; "*300" is 300 letters.
 */
#include <systemd/sd-bus.h>

#include "base/mem.h"
#include "base/slice.h"

/* A bus that nobody listens to, for messages that only want to belong to one. */
sd_bus *message_bus(void);
/* Takes the next line off the front; false behind the last. */
bool message_line(Slice *rest, Slice *ret);
/* Takes the next word off the front of a line, "" if there is none; free() it. ret_size, which may be NULL, counts NULs in it, too. */
char *message_word(Slice *line, size_t *ret_size);
/* Appends values of this signature; an array's say first how many it has, bytes are one word. Negative: sd-bus does not want it. */
int message_append(sd_bus_message *message, const char *signature, Slice *line);

#endif
