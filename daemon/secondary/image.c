/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image arrives in pieces without a name or an offset: they are what the last accepted metadata assigned, in order,
 * or nothing. They lie beside the firmware under another name until length and every hash have been found right.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "io/file.h"
#include "secondary/secondary.h"

static void close_part(Secondary *s)
{
        file_cleanup_close(&s->part_fd);
        s->part_fd = -1;
        s->hasher = hasher_free(s->hasher);
        s->received = 0;
}

void secondary_drop_upload(Secondary *secondary)
{
        close_part(secondary);
        secondary->stalled = false;
        (void) unlink(secondary->part_path);
}

/* The upload is lost: what still comes of it must not be taken for the beginning of another. */
static int give_up(Secondary *s)
{
        secondary_drop_upload(s);
        s->stalled = true;
        return -1;
}

static int open_part(Secondary *s, Error *error)
{
        (void) unlink(s->part_path);
        s->part_fd = open(s->part_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (s->part_fd < 0)
                return error_set_errno(error, ERR_STORAGE, errno, "making %s", s->part_path);
        s->hasher = hasher_new();
        s->received = 0;
        return 0;
}

/* It was given to the installer, and runs when this ECU was booted again. */
static bool waits_for_boot(const Secondary *s)
{
        return s->pending && hashes_match(&s->announced.hashes, &s->wanted.hashes);
}

bool secondary_is_busy(const Secondary *secondary)
{
        const Wanted *w = &secondary->wanted;

        return secondary_is_working(secondary) || (w->any && !w->installed && !secondary->stalled && !waits_for_boot(secondary));
}

int secondary_put_data(Secondary *secondary, Slice data, Error *error)
{
        const Wanted *wanted = &secondary->wanted;

        /* Uptane 5.4 (f), Uptane 5.4.3.3 (1): only what verified metadata assigns */
        if (!wanted->any)
                return error_set(error, ERR_WRONG_STATE, "no image is expected: accepted metadata assigns none to %s", secondary->serial);
        if (secondary->stalled)
                return error_set(error, ERR_WRONG_STATE, "this upload of '%s' failed already; send metadata again first", wanted->name);
        /* Uptane 5.4.3.3 (4c) */
        if (data.size > (uint64_t) (wanted->length - secondary->received)) {
                (void) error_set(error, ERR_TOO_LARGE, "'%s' has more than the promised %lld bytes", wanted->name, (long long) wanted->length);
                return give_up(secondary);
        }
        if (secondary->part_fd < 0 && open_part(secondary, error) < 0)
                return -1;
        if (file_write_all(secondary->part_fd, data, error) < 0) {
                (void) error_prefix(error, "%s", secondary->part_path);
                return give_up(secondary);
        }
        hasher_update(secondary->hasher, data);
        secondary->received += (int64_t) data.size;
        return 0;
}

/*
 * Uptane 5.4.3.4 (a, b, 7): length and every hash of the image, before it is installed. From then on all hashes are known, those too
 * that the metadata did not list: reports name the SHA-256.
 */
static int check_image(Secondary *s, Error *error)
{
        Wanted *wanted = &s->wanted;
        Hashes hashes;

        if (s->received != wanted->length)
                return error_set(error, ERR_IMAGE_MISMATCH, "'%s' has %lld bytes, expected %lld", wanted->name, (long long) s->received,
                                 (long long) wanted->length);
        hasher_finish(s->hasher, &hashes);
        if (!hashes_match(&hashes, &wanted->hashes))
                return error_set(error, ERR_IMAGE_MISMATCH, "'%s' does not have the hashes of its metadata", wanted->name);
        wanted->hashes = hashes;
        return 0;
}

/* The folder, too: or the old name could come back with the power. */
static int sync_folder(const char *path, Error *error)
{
        cleanup_free char *folder = xstrndup(path, (size_t) (strrchr(path, '/') - path) + 1);
        cleanup_close int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 || fsync(fd) < 0)
                return error_set_errno(error, ERR_INSTALL, errno, "syncing %s", folder);
        return 0;
}

/* Uptane 5.4.3.5 (a), Uptane 5.4.3.3 (d) */
static int replace(Secondary *s, Error *error)
{
        if (fsync(s->part_fd) < 0)
                return error_set_errno(error, ERR_INSTALL, errno, "syncing %s", s->part_path);
        if (secondary_announce(s, &s->wanted, error) < 0)
                return -1;
        if (rename(s->part_path, s->config.install) < 0)
                return error_set_errno(error, ERR_INSTALL, errno, "renaming %s", s->part_path);
        return sync_folder(s->config.install, error);
}

/* Uptane 5.4.3.4 (2) */
static int check_name(Secondary *s, Slice name, Error *error)
{
        if (!s->wanted.any && secondary_find_failure(s, name, error))
                return -1;
        if (!s->wanted.any)
                return error_set(error, ERR_WRONG_STATE, "nothing is to be installed: accepted metadata assigns nothing to %s", s->serial);
        if (!slice_equal(name, slice_str(s->wanted.name)))
                return error_set(error, ERR_INSTALL, "'%.*s' is not the assigned '%s'", (int) (name.size < 100 ? name.size : 100),
                                 name.size ? (const char *) name.data : "", s->wanted.name);
        return 0;
}

/* What comes from here on is the installer's, and is not taken back by a failure here. */
static int hand_over(Secondary *s, Error *error)
{
        cleanup_close int image = -1;

        if (check_image(s, error) < 0)
                return -1;
        if (fsync(s->part_fd) < 0)
                return error_set_errno(error, ERR_INSTALL, errno, "syncing %s", s->part_path);
        image = open(s->part_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (image < 0)
                return error_set_errno(error, ERR_INSTALL, errno, "opening %s", s->part_path);
        return secondary_announce(s, &s->wanted, error) < 0 ? -1 : secondary_job_install(s, image, error);
}

/* Told to the first who asks; a failure to everybody, until there is new metadata. */
static int take_outcome(Secondary *s, Error *error)
{
        int result = s->outcome.result;

        *error = s->outcome.error;
        if (result == SECONDARY_DONE)
                s->outcome = (Outcome) { 0 };
        return result;
}

static int fail(Secondary *s, const Error *error)
{
        secondary_keep_failure(s, s->wanted.name, error);
        return give_up(s);
}

/* By a handler or by OSTree: begun here, and ended by job.c. */
static int install_by_job(Secondary *s, Error *error)
{
        int r;

        if (waits_for_boot(s))
                return SECONDARY_NEED_COMPLETION;
        if (s->config.driver == SECONDARY_OSTREE)
                return secondary_announce(s, &s->wanted, error) < 0 ? -1 : secondary_job_install(s, -1, error);
        r = hand_over(s, error);
        return r < 0 ? fail(s, error) : r;
}

int secondary_install(Secondary *secondary, Slice name, Error *error)
{
        Wanted *wanted = &secondary->wanted;

        if (check_name(secondary, name, error) < 0)
                return -1;
        if (secondary->outcome.goal == JOB_INSTALL)
                return take_outcome(secondary, error);
        if (wanted->installed) {
                secondary_drop_upload(secondary);
                return SECONDARY_ALREADY;
        }
        if (secondary->config.driver == SECONDARY_OSTREE || waits_for_boot(secondary))
                return install_by_job(secondary, error);
        if (secondary->part_fd < 0 && (wanted->length > 0 || open_part(secondary, error) < 0)) {
                if (error->code == ERR_NONE && !(secondary->stalled && secondary_find_failure(secondary, name, error)))
                        (void) error_set(error, ERR_WRONG_STATE, "nothing of '%s' was uploaded", wanted->name);
                return -1;
        }
        if (secondary->config.driver == SECONDARY_EXEC)
                return install_by_job(secondary, error);
        if (check_image(secondary, error) < 0 || replace(secondary, error) < 0 ||
            secondary_set_installed(secondary, wanted, error) < 0)
                return fail(secondary, error);
        close_part(secondary);
        wanted->installed = true;
        return SECONDARY_DONE;
}
