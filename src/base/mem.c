/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void *xcalloc(size_t count, size_t size)
{
        void *p = calloc(count ? count : 1, size ? size : 1);

        if (!p)
                abort();
        return p;
}

void *xrealloc(void *old, size_t count, size_t size)
{
        size_t bytes;
        void *p;

        if (__builtin_mul_overflow(count, size, &bytes))
                abort();
        p = realloc(old, bytes ? bytes : 1);
        if (!p)
                abort();
        return p;
}

void *xmemdup(const void *data, size_t size)
{
        void *p = xcalloc(1, size);

        if (size)
                memcpy(p, data, size);
        return p;
}

char *xstrndup(const char *text, size_t size)
{
        char *p = xcalloc(1, size + 1);

        memcpy(p, text, size);
        return p;
}

char *xstrdup(const char *text)
{
        return xstrndup(text, strlen(text));
}

char *xasprintf(const char *fmt, ...)
{
        char *p = NULL;
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vasprintf(&p, fmt, ap);
        va_end(ap);
        if (n < 0)
                abort();
        return p;
}

void strv_free(char **list)
{
        for (char **p = list; p && *p; p++)
                free(*p);
        free(list);
}
