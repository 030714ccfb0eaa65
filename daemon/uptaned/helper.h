/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_HELPER_H
#define UPTANED_HELPER_H

/*
 * One connection to one helper program, from the daemon's side: one call at a time, each with a deadline.
 *
 * A helper is trusted as little as what it talks to: it may lie, stall or die. Whatever happens, exactly one answer
 * comes back per call: a reply, or an Error. Freeing the Helper closes the connection, which cancels what runs there;
 * then no answer comes any more.
 */
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/mem.h"
#include "base/slice.h"

typedef struct Helper Helper;

typedef enum HelperKind {
        HELPER_FETCH,        /* org.uptane.Fetch1 */
        HELPER_VERIFY,       /* org.uptane.Verify1 */
        HELPER_OSTREE,       /* org.uptane.Install1 */
        HELPER_HEALTH,       /* org.uptane.Health1 */
        HELPER_SECONDARY_IP, /* org.uptane.Secondary1 */
        HELPER_EXEC,         /* org.uptane.Exec1 */
        _HELPER_KIND_MAX,
} HelperKind;

/* reply is NULL if and only if error holds one. The Helper may be freed in here. */
typedef void (*HelperReply)(void *userdata, sd_bus_message *reply, Error *error);
typedef void (*HelperProgress)(void *userdata, uint64_t done, uint64_t total);
/* what is a word of the helper's, done and total count things; total 0: not known. */
typedef void (*HelperStep)(void *userdata, const char *what, uint64_t done, uint64_t total);

/* Connects to the helper's socket; does not wait. ERR_HELPER. */
int helper_open(sd_event *event, HelperKind kind, const char *socket_path, Helper **ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
Helper *helper_free(Helper *helper);
DEFINE_CLEANUP(Helper, helper_free)

/* Answers calls of the helper's own over this connection. */
int helper_serve(Helper *helper, const char *path, const char *interface, const sd_bus_vtable *vtable, void *userdata, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* A method call to fill with arguments; unref it after helper_call(). */
int helper_message(Helper *helper, const char *member, sd_bus_message **ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* Sends it. seconds is the deadline for the answer; progress puts it off. A failure here is an answer too: reply is not called then. */
int helper_call(Helper *helper, sd_bus_message *call, unsigned seconds, HelperReply reply, void *userdata, Error *error)
        __attribute__((nonnull(1, 2, 4, 6), warn_unused_result));
/* Sends what waits for no answer; the next call finds it done. */
int helper_tell(Helper *helper, sd_bus_message *message, Error *error) __attribute__((nonnull, warn_unused_result));
/* Progress of the running and later calls; bytes seen elsewhere put the deadline off through helper_touch(). */
void helper_set_progress(Helper *helper, HelperProgress progress, void *userdata) __attribute__((nonnull(1)));
/* Of helpers that have a signal Step; it puts the deadline off too. */
void helper_set_step(Helper *helper, HelperStep step, void *userdata) __attribute__((nonnull(1)));
void helper_touch(Helper *helper) __attribute__((nonnull));

/* Adds bytes as an "ay" argument. */
int helper_append_bytes(sd_bus_message *call, Slice bytes, Error *error) __attribute__((nonnull(1, 3), warn_unused_result));
/* Reads an "ay" argument of at most max bytes, borrowed from message. */
int helper_read_bytes(sd_bus_message *message, size_t max, Slice *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
