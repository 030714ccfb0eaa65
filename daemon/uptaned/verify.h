/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_VERIFY_H
#define UPTANED_VERIFY_H

/*
 * Has both repositories verified by uptane-verify, and serves it what it asks for: files from the network through
 * uptane-fetch, what is trusted from the store; and keeps what it says was verified. The daemon itself parses no metadata:
 * whatever the size of a file, the event loop handles it in pieces.
 */
#include "uptaned/fetch.h"
#include "uptaned/manager.h"

typedef struct Verify Verify;

typedef struct Verified {
        EngineUpdate *update;  /* all that is assigned, sealed; NULL: nothing. Take it, or it is freed. */
        size_t n_pending;      /* not installed yet */
        bool image_repository; /* was verified too: it is not asked where nothing is new */
        char **roles; /* that were searched for the image of the ECU to be installed on, ends with NULL; NULL: none; take it, or it is freed */
} Verified;

/* verified is NULL if and only if error holds why. The Verify may be freed in here. */
typedef void (*VerifyDone)(void *userdata, Verified *verified, Error *error);

/*
 * With fetch: online, and what is verified is stored; fetch is borrowed and must not be used by others until done. With
 * NULL: nothing but what is stored, right before the ECU with serial install gets its image (Uptane 5.4.3.2). done is not
 * called if this fails, nor before it has returned.
 */
int verify_start(Manager *m, Fetch *fetch, const char *install, VerifyDone done, void *userdata, Verify **ret, Error *error)
        __attribute__((nonnull(1, 4, 5, 6, 7), warn_unused_result));
/* That it still says to put exactly this image on this ECU. ERR_WITHDRAWN. */
int verified_check(const Verified *verified, const EngineEcu *want, Error *error) __attribute__((nonnull, warn_unused_result));
Verify *verify_free(Verify *verify);
DEFINE_CLEANUP(Verify, verify_free)

/* verify-wire.c: the argument of Verify, and its result; ERR_HELPER where it is not as agreed. */
int verify_append_request(const Manager *m, sd_bus_message *call, const int64_t now[static _TRUST_KIND_MAX], const char *install)
        __attribute__((nonnull, warn_unused_result));
/* Behind success, update and roles are to be freed by the caller. */
int verify_read_result(Manager *m, sd_bus_message *reply, Verified *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
