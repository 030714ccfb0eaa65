/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PIECE 16384

static ErrorCode code_of(int err)
{
        return err == ENOSPC || err == EDQUOT ? ERR_NO_SPACE : ERR_STORAGE;
}

/* A file that grows while it is read stops at max as well. */
int file_read_fd(int fd, const char *path, size_t max, Buffer *ret, Error *error)
{
        cleanup_buffer Buffer b = { 0 };
        uint8_t piece[PIECE];

        for (;;) {
                ssize_t n = read(fd, piece, sizeof piece);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(error, ERR_STORAGE, errno, "%s", path);
                if (n == 0)
                        break;
                if ((size_t) n > max - b.size)
                        return error_set(error, ERR_TOO_LARGE, "%s: more than %zu bytes", path, max);
                buffer_put(&b, piece, (size_t) n);
        }
        return buffer_append(ret, buffer_slice(&b), error);
}

int file_read(const char *path, size_t max, Buffer *ret, Error *error)
{
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0)
                return error_set_errno(error, ERR_STORAGE, errno, "%s", path);
        return file_read_fd(fd, path, max, ret, error) < 0 ? -1 : 1;
}

int file_write_all(int fd, Slice bytes, Error *error)
{
        for (size_t done = 0; done < bytes.size;) {
                ssize_t n = write(fd, bytes.data + done, bytes.size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set_errno(error, code_of(errno), errno, "writing");
                done += (size_t) n;
        }
        return 0;
}

int file_make_private(const char *path, Error *error)
{
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
        struct stat st;

        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0 || fstat(fd, &st) < 0 || ((st.st_mode & 0077) && fchmod(fd, st.st_mode & 0700) < 0))
                return error_set_errno(error, ERR_STORAGE, errno, "%s", path);
        return 0;
}

int file_memory(Slice bytes, Error *error)
{
        cleanup_close int fd = memfd_create("uptane", MFD_CLOEXEC);

        if (fd < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "a file in memory");
        if (file_write_all(fd, bytes, error) < 0)
                return -1;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return error_set_errno(error, ERR_SYSTEM, errno, "a file in memory");
        return TAKE_FD(fd);
}

/* The folder of path, to make a rename in it durable. */
static int open_folder(const char *path, Error *error)
{
        const char *slash = strrchr(path, '/');
        cleanup_free char *folder = slash ? xstrndup(path, slash == path ? 1 : (size_t) (slash - path)) : xstrdup(".");
        int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? error_set_errno(error, ERR_STORAGE, errno, "%s", folder) : fd;
}

static int write_new(const char *path, Slice bytes, unsigned mode, Error *error)
{
        cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

        if (fd < 0)
                return error_set_errno(error, code_of(errno), errno, "%s", path);
        if (file_write_all(fd, bytes, error) < 0)
                return error_prefix(error, "%s", path);
        return fsync(fd) < 0 ? error_set_errno(error, code_of(errno), errno, "%s", path) : 0;
}

int file_write(const char *path, Slice bytes, unsigned mode, Error *error)
{
        cleanup_free char *new = xasprintf("%s.new", path);
        cleanup_close int folder = open_folder(path, error);

        if (folder < 0)
                return -1;
        if (write_new(new, bytes, mode, error) < 0) {
                (void) unlink(new);
                return -1;
        }
        if (rename(new, path) < 0 || fsync(folder) < 0)
                return error_set_errno(error, code_of(errno), errno, "%s", path);
        return 0;
}
