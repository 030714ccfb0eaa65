/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds every file of a folder to a fuzz target, without libFuzzer: what was found once stays fixed. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

/* A copy on the heap that is exactly so long: a sanitizer sees one byte too far. */
static int replay(int dir, const char *name)
{
        int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
        struct stat st;
        uint8_t *data;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -1;
        data = malloc(st.st_size ? (size_t) st.st_size : 1);
        n = read(fd, data, (size_t) st.st_size);
        close(fd);
        if (n == st.st_size)
                (void) LLVMFuzzerTestOneInput(data, (size_t) n);
        free(data);
        return n == st.st_size ? 0 : -1;
}

int main(int argc, char **argv)
{
        DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
        struct dirent *entry;
        unsigned count = 0;

        (void) LLVMFuzzerTestOneInput(NULL, 0);
        while (dir && (entry = readdir(dir)))
                if (entry->d_name[0] != '.') {
                        if (replay(dirfd(dir), entry->d_name) < 0)
                                return 1;
                        count++;
                }
        printf("%u inputs\n", count);
        if (dir)
                closedir(dir);
        return count ? 0 : 1;
}
