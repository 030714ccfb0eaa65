/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/handler.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "exec/process.h"
#include "io/file.h"

#define INTERFACE_VERSION "1"
#define MESSAGES_MAX ((size_t) 64 * 1024)
#define OWN_VARIABLES 6
#define PATH_LENGTH_MAX 400 /* messages name it */

/* ---- whether it may be run ---- */

static int check_rights(const struct stat *st, const char *path, int length, Error *error)
{
        if (st->st_uid != 0 && st->st_uid != geteuid())
                return error_set(error, ERR_HANDLER, "%.*s belongs to user %u, it must belong to root", length, path, (unsigned) st->st_uid);
        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return error_set(error, ERR_HANDLER, "%.*s can be written by others than its owner", length, path);
        return 0;
}

/* A folder above the handler's own may be one like /tmp, where everybody may write and nobody can touch what others own. */
static int check_folder(const struct stat *st, bool nearest, const char *path, int length, Error *error)
{
        struct stat own = *st;

        if (!S_ISDIR(st->st_mode))
                return error_set(error, ERR_HANDLER, "%.*s is no folder; links are not followed", length, path);
        if (!nearest && (st->st_mode & S_ISVTX))
                own.st_mode &= ~(mode_t) (S_IWGRP | S_IWOTH);
        return check_rights(&own, path, length, error);
}

/* One step down, without following a link. */
static int descend(int folder, const char *path, const char *begin, size_t n, Error *error)
{
        cleanup_free char *name = xstrndup(begin, n);
        int fd;

        if (n == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return error_set(error, ERR_HANDLER, "'%s' is no plain absolute path", path);
        fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? error_set_errno(error, ERR_HANDLER, errno, "%s", path) : fd;
}

static bool is_below(const char *path, const char *const *folders)
{
        for (; *folders; folders++) {
                size_t n = strlen(*folders);

                if (strncmp(path, *folders, n) == 0 && path[n] == '/')
                        return true;
        }
        return false;
}

/* The program itself, in a folder that was found good. */
static int check_program(int folder, const char *path, const char *name, Error *error)
{
        cleanup_close int fd = descend(folder, path, name, strlen(name), error);
        struct stat st;

        if (fd < 0)
                return -1;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return error_set(error, ERR_HANDLER, "%s is no program; links are not followed", path);
        return check_rights(&st, path, (int) strlen(path), error);
}

/* T-59: every step from the root to the program, each looked at through the descriptor that the next one starts from. */
int exec_handler_check(const char *path, const char *const *folders, Error *error)
{
        cleanup_close int here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct stat st;

        if (*path != '/' || strlen(path) > PATH_LENGTH_MAX || !is_below(path, folders))
                return error_set(error, ERR_HANDLER, "'%s' is not in a folder for handlers", path);
        for (const char *begin = path + 1;;) {
                const char *slash = strchr(begin, '/');
                int next;

                if (here < 0 || fstat(here, &st) < 0)
                        return error_set_errno(error, ERR_HANDLER, errno, "%s", path);
                if (check_folder(&st, !slash, path, (int) (begin - path), error) < 0)
                        return -1;
                if (!slash)
                        return check_program(here, path, begin, error);
                next = descend(here, path, begin, (size_t) (slash - begin), error);
                if (next < 0)
                        return -1;
                (void) close(here);
                here = next;
                begin = slash + 1;
        }
}

/* ---- running it ---- */

int exec_handler_add(ExecHandler *handler, const char *name, const char *value, Error *error)
{
        size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

        if (n == 0 || n > EXEC_FACT_NAME_MAX || name[n] || strlen(value) > EXEC_FACT_VALUE_MAX)
                return error_set(error, ERR_INVALID_ARGUMENT, "'%.60s' cannot be told to a handler", name);
        if (handler->n_facts == EXEC_FACTS_MAX)
                return error_set(error, ERR_INVALID_ARGUMENT, "more than %d words for a handler", EXEC_FACTS_MAX);
        handler->facts[handler->n_facts++] = (ExecFact) { name, value };
        return 0;
}

static const char *arena_join(Arena *arena, const char *name, const char *value)
{
        cleanup_free char *text = xasprintf("%s=%s", name, value);

        return arena_strdup(arena, text);
}

/* Nothing of our own environment but where the service manager says things are. */
static const char *const *make_environment(const ExecHandler *h, ExecAction action, int image_fd, Arena *arena)
{
        static const char *const kept[] = { "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "DBUS_SYSTEM_BUS_ADDRESS" };
        const char **list = arena_alloc(arena, OWN_VARIABLES + ELEMENTSOF(kept) + h->n_facts + 1, sizeof *list);
        cleanup_free char *seconds = xasprintf("%u", h->seconds), *image = xasprintf("/proc/self/fd/%d", EXEC_IMAGE_FD);
        size_t n = 0;

        list[n++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        list[n++] = "LANG=C.UTF-8";
        list[n++] = "UPTANE_INTERFACE=" INTERFACE_VERSION;
        list[n++] = arena_join(arena, "UPTANE_ACTION", exec_action_name(action));
        list[n++] = arena_join(arena, "UPTANE_TIMEOUT", seconds);
        if (image_fd >= 0)
                list[n++] = arena_join(arena, "UPTANE_IMAGE_PATH", image);
        for (size_t i = 0; i < ELEMENTSOF(kept); i++)
                if (getenv(kept[i]))
                        list[n++] = arena_join(arena, kept[i], getenv(kept[i]));
        for (size_t i = 0; i < h->n_facts; i++) {
                cleanup_free char *name = xasprintf("UPTANE_%s", h->facts[i].name);

                list[n++] = arena_join(arena, name, h->facts[i].value);
        }
        return list;
}

/* Its own words come early: reports have little room. */
static int failed(const ExecHandler *h, ExecAction action, const char *message, int code, Error *error)
{
        return error_set(error, action == EXEC_GET_FIRMWARE_INFO ? ERR_HANDLER : ERR_INSTALL, "%s %s%s%s (exit code %d)",
                         strrchr(h->path, '/') + 1, exec_action_name(action), *message ? ": " : " failed", message, code);
}

int exec_handler_run(const ExecHandler *h, ExecAction action, int image_fd, Arena *arena, ExecAnswer *ret, Error *error)
{
        const char *const argv[] = { h->path, exec_action_name(action), NULL };
        const ExecProcess process = {
                .argv = argv,
                .environment = make_environment(h, action, image_fd, arena),
                .image_fd = image_fd,
                .seconds = h->seconds,
                .output_max = EXEC_ANSWER_BYTES_MAX,
                .messages_max = MESSAGES_MAX,
                .cancel_fd = h->cancel_fd,
        };
        cleanup_buffer Buffer output = { 0 };
        ExecAnswer answer = { .message = "" };
        Error why = { 0 };
        int code, r;

        if (exec_handler_check(h->path, h->folders, error) < 0 || exec_process_run(&process, &output, &code, error) < 0)
                return -1;
        if (code == EXEC_NOT_HANDLED_CODE) {
                *ret = (ExecAnswer) { .status = EXEC_NOT_HANDLED, .message = "", .name = "", .sha256 = "", .length = -1 };
                return 0;
        }
        r = exec_answer_parse(buffer_slice(&output), action, arena, &answer, &why);
        if (code != 0 || (r == 0 && answer.status == EXEC_FAILED))
                return failed(h, action, r == 0 ? answer.message : "", code, error);
        if (r < 0)
                return error_set(error, ERR_HANDLER, "%s %s: %s", h->path, exec_action_name(action), why.message);
        *ret = answer;
        return 0;
}
