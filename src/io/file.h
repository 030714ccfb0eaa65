/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_FILE_H
#define IO_FILE_H

/*
 * Files of this program's own: read whole within a limit, written so that a power cut leaves the old or the new one.
 * Every descriptor is close-on-exec from birth. errno stops here.
 */
#include <unistd.h>

#include "base/mem.h"
#include "base/slice.h"

static inline void file_cleanup_close(int *fd)
{
        if (*fd >= 0)
                (void) close(*fd); /* once; EINTR still closes on Linux */
}
#define cleanup_close __attribute__((cleanup(file_cleanup_close)))

/* fd = TAKE_FD(other): other gives its descriptor away. */
#define TAKE_FD(fd) \
        ({ int *_fp = &(fd), _f = *_fp; *_fp = -1; _f; })

/* Appends the whole file, at most max bytes, to ret. 1; 0 if there is no such file; ERR_TOO_LARGE, ERR_STORAGE. */
int file_read(const char *path, size_t max, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* The same of an open file, from its offset to its end; what names it in an error. 0. */
int file_read_fd(int fd, const char *what, size_t max, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* New file beside it, fsync, rename, fsync of the folder. ERR_NO_SPACE, ERR_STORAGE. */
int file_write(const char *path, Slice bytes, unsigned mode, Error *error) __attribute__((nonnull, warn_unused_result));
/* Takes the rights of group and others away where it has any: it may be older than we are. Not there: 0. ERR_STORAGE. */
int file_make_private(const char *path, Error *error) __attribute__((nonnull, warn_unused_result));
/* A file in memory with these bytes, its offset at the start. The fd. ERR_SYSTEM. */
int file_memory(Slice bytes, Error *error) __attribute__((nonnull, warn_unused_result));
/* All of bytes to fd, whatever write() takes at a time. ERR_NO_SPACE, ERR_STORAGE. */
int file_write_all(int fd, Slice bytes, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
