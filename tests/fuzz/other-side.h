/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_FUZZ_OTHER_SIDE_H
#define TEST_FUZZ_OTHER_SIDE_H

/* The other end of one of the daemon's helper connections, in the hand of an attacker, who plays it by the lines of an input. */
#include <systemd/sd-bus.h>

#include "base/mem.h"
#include "base/slice.h"

typedef struct OtherSide {
        sd_bus *bus;
        int fd;                /* of it */
        sd_bus_message *asked; /* the latest call; NULL: none yet */
} OtherSide;

/* Where the daemon finds it: one socket for all inputs. */
char *other_side_path(void);
/* false: nobody waits to be accepted. */
bool other_side_accept(OtherSide *ret);
void other_side_close(OtherSide *o);
/* One thing that there is to do; positive: there was one, negative: the daemon has closed. */
int other_side_process(OtherSide *o);
/*
 * One step, whose first word is what: "call MEMBER SIGNATURE VALUES" (of Files1), "reply SIGNATURE VALUES", "error NAME TEXT",
 * "progress SIGNATURE VALUES", "step SIGNATURE VALUES", "raw HEX". Others are none, and neither are answers to what was not asked.
 */
void other_side_step(OtherSide *o, const char *what, Slice *line);

#endif
