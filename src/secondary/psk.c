/* SPDX-License-Identifier: Apache-2.0 */
#include "secondary/psk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "io/file.h"

#define FILE_MAX ((size_t) 64 * 1024)

PskList *psk_free(PskList *psks)
{
        if (psks)
                explicit_bzero(psks, sizeof *psks);
        free(psks);
        return NULL;
}

const Psk *psk_find(const PskList *psks, Slice identity)
{
        for (size_t i = 0; i < psks->n; i++)
                if (slice_equal(identity, slice_str(psks->list[i].identity)))
                        return &psks->list[i];
        return NULL;
}

/* What others may read is no secret. A credential of systemd's may be root's, with an ACL that shows as rights of root's group. */
static int check_mode(const char *path, Error *error)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return error_set_errno(error, ERR_KEY, errno, "%s", path);
        if (!S_ISREG(st.st_mode) || (st.st_mode & (st.st_uid == 0 && st.st_gid == 0 ? 037 : 077)))
                return error_set(error, ERR_KEY, "%s: it is no file that its owner alone may read (mode %03o)", path, (unsigned) st.st_mode & 0777);
        return 0;
}

/* "IDENTITY HEX"; line ends with a zero. */
static int parse_line(char *line, PskList *psks, Error *error)
{
        char *space = strchr(line, ' ');
        size_t size = space ? strlen(space + 1) : 0;
        Psk *psk = &psks->list[psks->n];

        if (!space || space == line || space - line > SECONDARY_TLS_NAME_MAX)
                return error_set(error, ERR_KEY, "it is not an identity of 1 to %d bytes, a space and a key", SECONDARY_TLS_NAME_MAX);
        if (psks->n == PSK_MAX)
                return error_set(error, ERR_KEY, "more than %d keys", PSK_MAX);
        *space = '\0';
        if (psk_find(psks, slice_str(line)))
                return error_set(error, ERR_KEY, "a second key of '%s'", line);
        if (size % 2 || size < 2 * PSK_SIZE_MIN || size > 2 * PSK_SIZE_MAX || hex_decode(space + 1, psk->key, size / 2, &(Error) { 0 }) < 0)
                return error_set(error, ERR_KEY, "the key of '%s' is not %d to %d bytes in hexadecimal", line, PSK_SIZE_MIN, PSK_SIZE_MAX);
        memcpy(psk->identity, line, strlen(line) + 1);
        psk->size = size / 2;
        psks->n++;
        return 0;
}

/* Empty lines, and those that begin with '#', are none. */
static int parse(char *text, PskList *psks, Error *error)
{
        unsigned number = 0;

        for (char *line = text, *end; *line; line = end) {
                end = strchrnul(line, '\n');
                if (*end)
                        *end++ = '\0';
                number++;
                if (*line && *line != '#' && parse_line(line, psks, error) < 0)
                        return error_prefix(error, "line %u", number);
        }
        return psks->n == 0 ? error_set(error, ERR_KEY, "it holds no key") : 0;
}

static int read_text(const char *path, Buffer *ret, Error *error)
{
        int r = check_mode(path, error) < 0 ? -1 : file_read(path, FILE_MAX, ret, error);

        if (r == 0)
                return error_set(error, ERR_KEY, "%s is missing", path);
        return r < 0 ? -1 : 0;
}

int psk_load(const char *path, PskList **ret, Error *error)
{
        CLEANUP(psk_free) PskList *psks = xcalloc(1, sizeof *psks);
        cleanup_buffer Buffer text = { 0 };
        int r;

        if (read_text(path, &text, error) < 0)
                return -1;
        buffer_put(&text, "", 1);
        r = strlen((char *) text.data) + 1 == text.size ? parse((char *) text.data, psks, error) : error_set(error, ERR_KEY, "it holds zeros");
        explicit_bzero(text.data, text.capacity);
        if (r < 0)
                return error_prefix(error, "%s", path);
        *ret = TAKE_PTR(psks);
        return 0;
}
