/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_PROGRAM_H
#define SECONDARY_PROGRAM_H

/* The programs that belong together lie side by side. */
#include "base/error.h"

/* Path of the one with this name, beside the one that runs; free() it. NULL and ERR_SYSTEM. */
char *program_beside(const char *name, Error *error) __attribute__((nonnull));

#endif
