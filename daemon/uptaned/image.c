/* SPDX-License-Identifier: Apache-2.0 */
#include "uptaned/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/codec.h"
#include "io/file.h"

#define SLICE_SIZE ((size_t) 1024 * 1024)
#define RESERVE ((uint64_t) 16 * 1024 * 1024) /* for the database and its journal */

/* The folder, made if absent. The fd, or -1. */
static int open_dir(Manager *m, Error *error)
{
        cleanup_free char *path = xasprintf("%s/images", m->config.state_directory);
        int fd;

        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return error_set_errno(error, errno == ENOSPC ? ERR_NO_SPACE : ERR_STORAGE, errno, "%s", path);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 ? error_set_errno(error, ERR_STORAGE, errno, "%s", path) : fd;
}

static void image_name(const EngineEcu *ecu, bool part, char ret[static 2 * SHA512_SIZE + 8])
{
        if (ecu->hashes.has_sha256)
                hex_encode(slice(ecu->hashes.sha256, SHA256_SIZE), ret);
        else
                hex_encode(slice(ecu->hashes.sha512, SHA512_SIZE), ret);
        if (part)
                memcpy(ret + strlen(ret), ".part", sizeof ".part");
}

int image_open(Manager *m, const EngineEcu *ecu, bool part, Error *error)
{
        cleanup_close int dir = open_dir(m, error);
        char name[2 * SHA512_SIZE + 8];
        struct stat st;
        cleanup_close int fd = -1;
        int r;

        if (dir < 0)
                return -1;
        image_name(ecu, part, name);
        fd = openat(dir, name, (part ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0)
                return error_set_errno(error, errno == ENOENT ? ERR_NOT_FOUND : errno == ENOSPC ? ERR_NO_SPACE : ERR_STORAGE,
                                       errno, "images/%s", name);
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return error_set(error, ERR_STORAGE, "images/%s is no regular file", name);
        r = fd;
        fd = -1;
        return r;
}

int image_commit(Manager *m, const EngineEcu *ecu, int fd, Error *error)
{
        cleanup_close int dir = open_dir(m, error);
        char from[2 * SHA512_SIZE + 8], to[2 * SHA512_SIZE + 8];

        if (dir < 0)
                return -1;
        image_name(ecu, IMAGE_PART, from);
        image_name(ecu, IMAGE_WHOLE, to);
        if (fsync(fd) < 0 || renameat(dir, from, dir, to) < 0 || fsync(dir) < 0)
                return error_set_errno(error, errno == ENOSPC ? ERR_NO_SPACE : ERR_STORAGE, errno, "images/%s", to);
        return 0;
}

void image_remove(Manager *m, const EngineEcu *ecu, bool part)
{
        Error ignored = { 0 };
        cleanup_close int dir = open_dir(m, &ignored);
        char name[2 * SHA512_SIZE + 8];

        image_name(ecu, part, name);
        if (dir >= 0)
                (void) unlinkat(dir, name, 0);
}

void image_remove_all(Manager *m)
{
        Error ignored = { 0 };
        int dir = open_dir(m, &ignored);
        DIR *d = dir >= 0 ? fdopendir(dir) : NULL;

        if (!d) {
                if (dir >= 0)
                        close(dir);
                return;
        }
        for (struct dirent *e; (e = readdir(d));)
                if (e->d_name[0] != '.')
                        (void) unlinkat(dirfd(d), e->d_name, 0);
        closedir(d);
}

int image_check_space(Manager *m, uint64_t size, Error *error)
{
        struct statvfs vfs;
        uint64_t available;

        if (statvfs(m->config.state_directory, &vfs) < 0)
                return error_set_errno(error, ERR_STORAGE, errno, "%s", m->config.state_directory);
        available = (uint64_t) vfs.f_bavail * vfs.f_frsize;
        if (available < RESERVE || available - RESERVE < size)
                return error_set(error, ERR_NO_SPACE, "%s: %llu MiB are free, %llu MiB are needed", m->config.state_directory,
                                 (unsigned long long) (available >> 20), (unsigned long long) ((size + RESERVE) >> 20));
        return 0;
}

struct ImageHash {
        sd_event_source *source;
        int fd; /* borrowed */
        uint64_t size, max;
        Hasher *hasher;
        ImageHashDone done;
        void *userdata;
};

ImageHash *image_hash_free(ImageHash *h)
{
        if (!h)
                return NULL;
        sd_event_source_disable_unref(h->source);
        hasher_free(h->hasher);
        free(h);
        return NULL;
}

static int hash_slice(sd_event_source *source, void *userdata)
{
        static uint8_t bytes[SLICE_SIZE]; /* scratch space of this one function, on one thread */
        ImageHash *h = userdata;
        Error error = { 0 };
        ssize_t n = pread(h->fd, bytes, sizeof bytes, (off_t) h->size);

        (void) source;
        if (n > 0 && (uint64_t) n <= h->max - h->size) {
                hasher_update(h->hasher, slice(bytes, (size_t) n));
                h->size += (uint64_t) n;
                return 0;
        }
        (void) sd_event_source_set_enabled(h->source, SD_EVENT_OFF);
        if (n < 0)
                (void) error_set_errno(&error, ERR_STORAGE, errno, "reading an image");
        else if (n > 0)
                (void) error_set(&error, ERR_IMAGE_MISMATCH, "the image is longer than the %llu bytes it should have",
                                 (unsigned long long) h->max);
        h->done(h->userdata, TAKE_PTR(h->hasher), h->size, &error);
        return 0;
}

int image_hash_start(Manager *m, int fd, uint64_t max, ImageHashDone done, void *userdata, ImageHash **ret, Error *error)
{
        ImageHash *h = xcalloc(1, sizeof *h);
        int r;

        *h = (ImageHash) { .fd = fd, .max = max, .hasher = hasher_new(), .done = done, .userdata = userdata };
        r = sd_event_add_defer(m->event, &h->source, hash_slice, h);
        if (r >= 0)
                r = sd_event_source_set_priority(h->source, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(h->source, SD_EVENT_ON);
        if (r < 0) {
                image_hash_free(h);
                return error_set_errno(error, ERR_SYSTEM, -r, "event loop");
        }
        *ret = h;
        return 0;
}

int image_verify(const EngineEcu *ecu, Hasher *hasher, uint64_t size, Error *error)
{
        char expected[2 * SHA256_SIZE + 1], found[2 * SHA256_SIZE + 1];
        Hashes got;

        hasher_finish(hasher, &got);
        /* Uptane 5.4.3.4 (b): the length; Uptane 5.4.3.4 (7): every listed hash */
        if (size != (uint64_t) ecu->length)
                return error_set(error, ERR_IMAGE_MISMATCH, "%s: '%s' has %llu bytes, its metadata says %lld", ecu->serial,
                                 ecu->image, (unsigned long long) size, (long long) ecu->length);
        if (hashes_match(&ecu->hashes, &got))
                return 0;
        hex_encode(slice(ecu->hashes.sha256, SHA256_SIZE), expected);
        hex_encode(slice(got.sha256, SHA256_SIZE), found);
        return error_set(error, ERR_IMAGE_MISMATCH, "%s: '%s' has SHA-256 %.16s..., its metadata says %.16s...", ecu->serial,
                         ecu->image, found, expected);
}
