/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_IMAGE_H
#define UPTANED_IMAGE_H

/*
 * Downloaded images, below the state directory. A file is named after its verified hash, never after anything a
 * repository chose, and gets its final name only once its length and every listed hash were checked; until then it
 * ends in ".part" and a broken-off download goes on where it stopped.
 */
#include "uptaned/manager.h"

#define IMAGE_PART true
#define IMAGE_WHOLE false

/* Opens an image (whole: read-only) or what is there of it (part: read-write, made if absent). Returns the fd; -1 and
 * ERR_NOT_FOUND if a whole one is not there. Never follows links. */
int image_open(Manager *m, const EngineEcu *ecu, bool part, Error *error) __attribute__((nonnull, warn_unused_result));
/* Makes a complete part the image: fsync, rename, fsync of the folder. fd is that of the part. */
int image_commit(Manager *m, const EngineEcu *ecu, int fd, Error *error) __attribute__((nonnull, warn_unused_result));
void image_remove(Manager *m, const EngineEcu *ecu, bool part) __attribute__((nonnull));
/* Removes every image: the update they were for is over. */
void image_remove_all(Manager *m) __attribute__((nonnull));
/* ERR_NO_SPACE unless size more bytes fit and leave the database its reserve. */
int image_check_space(Manager *m, uint64_t size, Error *error) __attribute__((nonnull, warn_unused_result));

/*
 * Hashes a file in slices from the event loop, so that nothing waits for a big image.
 * done gets both hashes and the size; the Hasher stays open for more bytes and is handed over.
 */
typedef struct ImageHash ImageHash;
typedef void (*ImageHashDone)(void *userdata, Hasher *hasher, uint64_t size, Error *error);
int image_hash_start(Manager *m, int fd, uint64_t max, ImageHashDone done, void *userdata, ImageHash **ret, Error *error)
        __attribute__((nonnull(1, 4, 6, 7), warn_unused_result));
ImageHash *image_hash_free(ImageHash *hash);

/* Whether these bytes are the image: length and every known hash (Uptane 5.4.3.4 (7)). Ends the hasher. */
int image_verify(const EngineEcu *ecu, Hasher *hasher, uint64_t size, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
