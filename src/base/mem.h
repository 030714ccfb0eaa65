/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

/*
 * Memory and ownership: allocation that aborts when there is none (sizes from outside are bounded before they get
 * here), cleanup attributes for owning locals, and hand-over of ownership.
 */
#include <stddef.h>
#include <stdlib.h>

/* All return zeroed (xcalloc) or copied memory, never NULL. */
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull, warn_unused_result));
void *xrealloc(void *old, size_t count, size_t size) __attribute__((returns_nonnull, warn_unused_result));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull, nonnull, warn_unused_result));
char *xstrndup(const char *text, size_t size) __attribute__((malloc, returns_nonnull, nonnull, warn_unused_result));
void *xmemdup(const void *data, size_t size) __attribute__((malloc, returns_nonnull, warn_unused_result));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull, warn_unused_result));
/* Frees a list of strings that ends with NULL, and the strings; NULL is an empty one. */
void strv_free(char **list);

#define ELEMENTSOF(array) (sizeof(array) / sizeof *(array))

/* p = TAKE_PTR(q): q gives its pointer away. */
#define TAKE_PTR(p) \
        ({ __typeof__(p) *_pp = &(p), _p = *_pp; *_pp = NULL; _p; })

/* cleanup_free char *s = NULL; */
static inline void mem_cleanup_free(void *p)
{
        free(*(void **) p);
}
#define cleanup_free __attribute__((cleanup(mem_cleanup_free)))

/* DEFINE_CLEANUP(Foo, foo_free) once behind the type; CLEANUP(foo_free) Foo *foo = NULL; at the use. */
#define DEFINE_CLEANUP(Type, func) \
        static inline void func##_p(Type **p) \
        { \
                if (*p) \
                        (void) func(*p); \
        }
#define CLEANUP(func) __attribute__((cleanup(func##_p)))

#endif
