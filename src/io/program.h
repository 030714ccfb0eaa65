/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_PROGRAM_H
#define IO_PROGRAM_H

/*
 * Runs another program to its end: no shell, nothing inherited but the environment, standard error and the mounts; its
 * standard input is empty. It and what it started are killed when the time is up, and whatever it left behind when it ends.
 */
#include "base/slice.h"

/*
 * argv ends with NULL; argv[0] is looked for in $PATH unless it has a '/'. Appends what it wrote to its standard output,
 * at most as much as ret allows (the rest is read and dropped). Returns its exit status, 128 + the signal that ended it, or
 * -1: ERR_NOT_FOUND (no such program), ERR_TIMEOUT, ERR_SYSTEM.
 */
int program_run(const char *const *argv, unsigned seconds, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
