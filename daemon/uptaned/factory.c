/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of the image that a vehicle left the factory with, which no Director has ever told it: a file says it, and is believed if
 * what is booted has the hash that it names. A commit cannot hold its own hash, so the file is one of the vehicle's: /etc first.
 */
#include <syslog.h>

#include "base/codec.h"
#include "io/file.h"
#include "uptane/manifest.h"
#include "uptaned/log.h"
#include "uptaned/manager.h"

#define FILE_MAX ((size_t) 16 * 1024)

static int read_image(const char *path, const Hashes *booted, Arena *arena, VersionReport *ret, Error *error)
{
        cleanup_buffer Buffer text = { 0 };
        char hex[2 * SHA256_SIZE + 1];
        int r = file_read(path, FILE_MAX, &text, error);

        if (r <= 0)
                return r;
        if (installed_image_read(buffer_slice(&text), arena, ret, error) < 0)
                return -1;
        if (ret->hashes.has_sha256 && memcmp(ret->hashes.sha256, booted->sha256, SHA256_SIZE) == 0)
                return 1;
        hex_encode(slice(booted->sha256, SHA256_SIZE), hex);
        return error_set(error, ERR_IMAGE_MISMATCH, "it says that this vehicle left the factory with '%.100s', but what is booted is %.16s...",
                         ret->image, hex);
}

int factory_name(Manager *m, const Hashes *booted, Arena *arena, VersionReport *ret)
{
        const char *const both[] = { "/etc/uptane/factory-image.json", "/usr/lib/uptane/factory-image.json" };
        const char *const *paths = m->config.factory_image ? (const char *const *) &m->config.factory_image : both;
        size_t n = m->config.factory_image ? 1 : ELEMENTSOF(both);

        for (size_t i = 0; i < n; i++) {
                Error error = { 0 };

                if (read_image(paths[i], booted, arena, ret, &error) > 0)
                        return 1;
                if (error.code != ERR_NONE) /* no attack, whatever it is */
                        log_write(&(LogContext) { .priority = LOG_WARNING, .error = &error, .cycle = m->cycle }, "%s is not believed: %s",
                                  paths[i], error.message);
        }
        return 0;
}
