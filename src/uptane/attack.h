/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANE_ATTACK_H
#define UPTANE_ATTACK_H

/* What attacks_detected of an ECU version report says (Uptane 5.4.2.1.2), as a text that people and programs can read. */
#include "base/slice.h"

/* Of one report; what has no room goes with the next. One attack, with the longest message there is, always has. */
#define ATTACKS_TEXT_MAX 1024

/* One kind of attack, seen once or more often. */
typedef struct DetectedAttack {
        int64_t sequence;   /* rises with everything that is seen */
        const char *attack; /* error_attack_name() */
        const char *text;   /* what was found; an Error's message */
        int64_t time;       /* when it was seen last */
        int64_t count;
} DetectedAttack;

/*
 * Appends "CLASS: TEXT (TIME)" or "CLASS: TEXT (TIME, N times)" for each, with "; " between and nowhere else: as many, from
 * the first, as fit into ATTACKS_TEXT_MAX bytes of ret, which is empty. Returns how many.
 */
size_t attacks_write(const DetectedAttack *attacks, size_t n, Buffer *ret) __attribute__((nonnull(3)));

#endif
