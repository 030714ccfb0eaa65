/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

/*
 * What a boot loader must be told about new software, and what it tells: a small table of drivers.
 *
 * New software starts on trial: the boot loader counts how often it was tried, and goes back to the old by itself when
 * that was too often. Whoever finds it good says so, which ends the counting. A driver writes nothing else, decides
 * nothing, and every call may be repeated.
 *
 *   none          the boot loader knows nothing of all this
 *   uboot-generic variables bootcount, upgrade_available, rollback; every boot may be counted
 *   uboot-masked  the same variables; only boots with upgrade_available=1 are counted, others cost no write
 *   systemd-boot  the count in the file names of Boot Loader Specification entries
 */
#include <stdbool.h>

#include "base/error.h"

/* Where things are; strings are borrowed, NULL or "" where there is none. */
typedef struct BootContext {
        const char *entries; /* folder of the boot loader entries */
        const char *first;   /* word in the options of the entry that boots next, e.g. "ostree=/ostree/boot.1/os/0ab.../0" */
        const char *booted;  /* of the entry that was booted */
} BootContext;

typedef struct BootState {
        bool counting;    /* waits for set_good */
        bool rolled_back; /* the boot loader has given up what was on trial, and booted something older */
} BootState;

typedef struct BootDriver {
        const char *name;
        /* The count is kept in the new entry, which has to be there first; otherwise set_trial comes before it is written. */
        bool counts_entries;
        /* The next boots are counted. ERR_BOOT_LOADER. */
        int (*set_trial)(const BootContext *context, Error *error);
        /* What runs is good: nothing is counted any more. ERR_BOOT_LOADER. */
        int (*set_good)(const BootContext *context, Error *error);
        /* ERR_BOOT_LOADER. */
        int (*get_state)(const BootContext *context, BootState *ret, Error *error);
} BootDriver;

/* NULL if there is none of this name. Static storage. */
const BootDriver *boot_driver_find(const char *name) __attribute__((nonnull));

/* The drivers, for the table in boot.c alone. */
extern const BootDriver boot_uboot_generic, boot_uboot_masked, boot_systemd;

#endif
