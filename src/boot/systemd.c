/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot counting of the Boot Loader Specification: an entry NAME+LEFT.conf or NAME+LEFT-DONE.conf may be tried LEFT times
 * more, which systemd-boot writes into the name; one with none left comes last. Without a count an entry is good.
 * An entry is known by a word of its options, since its name is the business of whoever wrote it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/slice.h"
#include "boot/boot.h"
#include "io/file.h"

#define TRIES 3
#define ENTRY_MAX ((size_t) 64 * 1024)
#define SUFFIX ".conf"

typedef struct Entry {
        char name[256];
        size_t stem; /* length of the name without count and suffix */
        bool counted;
        unsigned left;
} Entry;

/* Up to five digits; returns what is behind them, or NULL if there are none. */
static const char *parse_digits(const char *p, unsigned *ret)
{
        size_t n = strspn(p, "0123456789");

        *ret = 0;
        for (size_t i = 0; i < n && n <= 5; i++)
                *ret = *ret * 10 + (unsigned) (p[i] - '0');
        return n > 0 && n <= 5 ? p + n : NULL;
}

/* What stands behind the last '+' of a name. */
static bool parse_count(const char *p, unsigned *ret_left)
{
        unsigned done;

        p = parse_digits(p, ret_left);
        if (p && *p == '-')
                p = parse_digits(p + 1, &done);
        return p && strcmp(p, SUFFIX) == 0;
}

/* "NAME+2-1.conf": the count is what stands behind the last '+', if it is one. */
static bool parse_name(const char *name, Entry *ret)
{
        size_t n = strlen(name), suffix = strlen(SUFFIX);
        const char *plus = strrchr(name, '+');

        if (n <= suffix || n >= sizeof ret->name || strcmp(name + n - suffix, SUFFIX) != 0)
                return false;
        *ret = (Entry) { .stem = n - suffix };
        memcpy(ret->name, name, n + 1);
        ret->counted = plus && parse_count(plus + 1, &ret->left);
        if (ret->counted)
                ret->stem = (size_t) (plus - name);
        return true;
}

/* Whether word is one of those on a line that begins with "options". */
static bool has_option(const char *text, const char *word)
{
        size_t n = strlen(word);

        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                size_t length = strcspn(line, "\n");

                if (length < 8 || strncmp(line, "options", 7) != 0 || !strchr(" \t", line[7]))
                        continue;
                for (size_t at = 7; at < length;) {
                        size_t end;

                        at += strspn(line + at, " \t\r");
                        end = at + strcspn(line + at, " \t\r\n");
                        if (end - at == n && strncmp(line + at, word, n) == 0)
                                return true;
                        at = end;
                }
        }
        return false;
}

/* 1: is the one, 0: is another. */
static int is_wanted(const char *folder, const char *name, const char *word, Error *error)
{
        cleanup_free char *path = xasprintf("%s/%s", folder, name);
        cleanup_buffer Buffer text = { 0 };
        Error why = { 0 };

        if (file_read(path, ENTRY_MAX, &text, &why) < 0)
                return error_set(error, ERR_BOOT_LOADER, "%.300s", why.message);
        return has_option(buffer_str(&text), word);
}

static void close_folder(DIR **dir)
{
        if (*dir)
                (void) closedir(*dir);
}

/* 1: found, 0: there is none. */
static int find(const char *folder, const char *word, Entry *ret, Error *error)
{
        __attribute__((cleanup(close_folder))) DIR *dir = opendir(folder);
        int r;

        if (!word || !*word)
                return 0;
        if (!dir)
                return error_set_errno(error, ERR_BOOT_LOADER, errno, "%s", folder);
        for (struct dirent *e; (e = readdir(dir));) {
                if (!parse_name(e->d_name, ret))
                        continue;
                r = is_wanted(folder, e->d_name, word, error);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* On FAT a power cut in the middle of a rename may leave both names, and the boot loader would take the one that counts nothing. */
static int drop_twins(int fd, const char *folder, const Entry *entry, const char *name, const char *word, Error *error)
{
        __attribute__((cleanup(close_folder))) DIR *dir = opendir(folder);
        Entry twin;
        int r;

        if (!dir)
                return error_set_errno(error, ERR_BOOT_LOADER, errno, "%s", folder);
        for (struct dirent *e; (e = readdir(dir));) {
                if (!parse_name(e->d_name, &twin) || twin.stem != entry->stem || strncmp(twin.name, name, twin.stem) != 0 ||
                    strcmp(twin.name, name) == 0)
                        continue;
                r = is_wanted(folder, twin.name, word, error);
                if (r > 0 && unlinkat(fd, twin.name, 0) < 0)
                        r = error_set_errno(error, ERR_BOOT_LOADER, errno, "removing %s/%s", folder, twin.name);
                if (r < 0)
                        return -1;
        }
        return 0;
}

static int rename_entry(const char *folder, const Entry *entry, const char *count, const char *word, Error *error)
{
        cleanup_free char *name = xasprintf("%.*s%s" SUFFIX, (int) entry->stem, entry->name, count);
        cleanup_close int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return error_set_errno(error, ERR_BOOT_LOADER, errno, "%s", folder);
        if (strcmp(name, entry->name) != 0 && renameat(fd, entry->name, fd, name) < 0)
                return error_set_errno(error, ERR_BOOT_LOADER, errno, "renaming %s/%s to %s", folder, entry->name, name);
        if (drop_twins(fd, folder, entry, name, word, error) < 0)
                return -1;
        if (fsync(fd) < 0)
                return error_set_errno(error, ERR_BOOT_LOADER, errno, "writing %s to the medium", folder);
        return 0;
}

static int set_trial(const BootContext *context, Error *error)
{
        char count[16];
        Entry entry;
        int r = find(context->entries, context->first, &entry, error);

        if (r == 0)
                return error_set(error, ERR_BOOT_LOADER, "%s has no entry with '%.150s'", context->entries, context->first ? context->first : "");
        (void) snprintf(count, sizeof count, "+%d", TRIES);
        return r < 0 ? -1 : rename_entry(context->entries, &entry, count, context->first, error);
}

static int set_good(const BootContext *context, Error *error)
{
        Entry entry;
        int r = find(context->entries, context->booted, &entry, error);

        return r > 0 ? rename_entry(context->entries, &entry, "", context->booted, error) : r;
}

static int get_state(const BootContext *context, BootState *ret, Error *error)
{
        Entry first = { 0 }, booted = { 0 };
        bool same = context->first && context->booted && strcmp(context->first, context->booted) == 0;
        int f = find(context->entries, context->first, &first, error), b = f < 0 ? -1 : find(context->entries, context->booted, &booted, error);

        if (b < 0)
                return -1;
        *ret = (BootState) { .counting = b > 0 && booted.counted, .rolled_back = f > 0 && !same && first.counted && first.left == 0 };
        return 0;
}

const BootDriver boot_systemd = {
        .name = "systemd-boot", .counts_entries = true, .set_trial = set_trial, .set_good = set_good, .get_state = get_state,
};
