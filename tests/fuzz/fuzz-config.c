/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file: refused with a reason, or complete. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "uptaned/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        int fd = memfd_create("uptaned.conf", MFD_CLOEXEC);
        char path[64];
        Config config;
        Error error = { 0 };

        REQUIRE(fd >= 0 && (size == 0 || write(fd, data, size) == (ssize_t) size));
        (void) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (config_load(path, &config, &error) == 0) {
                REQUIRE(config.server_url && *config.server_url && config.hardware_id && *config.hardware_id);
                REQUIRE(config.policy.interval > 0 && config.policy.jitter >= 0 && config.policy.jitter <= 50);
                REQUIRE(config.n_secondaries <= CONFIG_SECONDARIES_MAX);
                config_done(&config);
        } else
                REQUIRE(error.code == ERR_CONFIG && *error.message);
        close(fd);
        return 0;
}
