/* SPDX-License-Identifier: Apache-2.0 */
/* The table, and the driver that does nothing. */
#include "boot/boot.h"

#include <string.h>

#include "base/mem.h"

static int nothing(const BootContext *context, Error *error)
{
        (void) context;
        (void) error;
        return 0;
}

static int no_state(const BootContext *context, BootState *ret, Error *error)
{
        (void) context;
        (void) error;
        *ret = (BootState) { 0 };
        return 0;
}

static const BootDriver boot_none = { .name = "none", .set_trial = nothing, .set_good = nothing, .get_state = no_state };

static const BootDriver *const drivers[] = { &boot_none, &boot_uboot_generic, &boot_uboot_masked, &boot_systemd };

const BootDriver *boot_driver_find(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(drivers); i++)
                if (strcmp(drivers[i]->name, name) == 0)
                        return drivers[i];
        return NULL;
}
