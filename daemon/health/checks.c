/* SPDX-License-Identifier: Apache-2.0 */
/* A check is a program: status 0 is well, everything else is not. Its last line goes into the message. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "health/health.h"
#include "io/program.h"
#include "peer/peer.h"

#define CHECKS_MAX 256
#define OUTPUT_MAX ((size_t) 64 * 1024)
#define WORDS_MAX 100 /* of it in a message */

typedef struct Checks {
        char *names[CHECKS_MAX];
        size_t n;
} Checks;

static void checks_done(Checks *c)
{
        for (size_t i = 0; i < c->n; i++)
                free(c->names[i]);
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static bool is_there(const Checks *c, const char *name)
{
        for (size_t i = 0; i < c->n; i++)
                if (strcmp(c->names[i], name) == 0)
                        return true;
        return false;
}

static int list_folder(const char *path, Checks *c, Error *error)
{
        DIR *dir = opendir(path);
        int r = 0;

        if (!dir)
                return errno == ENOENT ? 0 : error_set_errno(error, ERR_SYSTEM, errno, "%s", path);
        for (struct dirent *e; r == 0 && (e = readdir(dir));) {
                if (e->d_name[0] == '.' || is_there(c, e->d_name))
                        continue;
                if (c->n == CHECKS_MAX)
                        r = error_set(error, ERR_SYSTEM, "more than %d health checks", CHECKS_MAX);
                else
                        c->names[c->n++] = xstrdup(e->d_name);
        }
        (void) closedir(dir);
        return r;
}

/* The last line that says something, without what D-Bus and terminals do not like. */
static void last_line(Buffer *output, char *ret, size_t size)
{
        const char *text = buffer_str(output), *end = text + strlen(text), *start;

        while (end > text && strchr(" \t\r\n", end[-1]))
                end--;
        for (start = end; start > text && start[-1] != '\n';)
                start--;
        (void) snprintf(ret, size, "%s%.*s", end > start ? ": " : "", (int) (end - start), start);
        for (char *p = ret; *p; p++)
                if ((unsigned char) *p < ' ')
                        *p = ' ';
}

static int run_check(const char *name, const char *path, unsigned seconds, Error *error)
{
        const char *const argv[] = { path, NULL };
        cleanup_buffer Buffer output = { .limit = OUTPUT_MAX };
        char words[WORDS_MAX + 8];
        Error why = { 0 };
        int r = program_run(argv, seconds, &output, &why);

        if (r < 0)
                return error_set(error, ERR_HEALTH, "health check '%.80s' failed: %.200s", name, why.message);
        last_line(&output, words, sizeof words);
        if (r > 0)
                return error_set(error, ERR_HEALTH, "health check '%.80s' failed with status %d%s", name, r, words);
        return 0;
}

/* In the last folder that has it. */
static int run_named(const HealthFolders *folders, const char *name, unsigned seconds, Error *error)
{
        for (size_t i = folders->n; i-- > 0;) {
                cleanup_free char *path = xasprintf("%s/%s", folders->paths[i], name);

                if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                        return access(path, X_OK) == 0 ? run_check(name, path, seconds, error) : 0;
        }
        return 0;
}

int health_run_checks(sd_bus_message *call, const HealthFolders *folders, unsigned seconds, Error *error)
{
        __attribute__((cleanup(checks_done))) Checks c = { 0 };

        for (size_t i = 0; i < folders->n; i++)
                if (list_folder(folders->paths[i], &c, error) < 0)
                        return -1;
        qsort(c.names, c.n, sizeof *c.names, compare_names);
        for (size_t i = 0; i < c.n; i++) {
                if (peer_gone(call))
                        return error_set(error, ERR_CANCELLED, "nobody waits for the health checks any more");
                peer_progress(call, i, c.n);
                if (run_named(folders, c.names[i], seconds, error) < 0)
                        return -1;
        }
        return 0;
}
