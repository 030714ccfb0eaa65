/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANED_FETCH_H
#define UPTANED_FETCH_H

/*
 * Transfers through uptane-fetch, one at a time over one connection. Limits of size and speed are enforced here, where
 * the bytes arrive, whatever the helper says; nothing received is believed by anyone before it was verified.
 */
#include "uptaned/helper.h"
#include "uptaned/rate.h"

typedef struct Fetch Fetch;

typedef struct FetchAnswer {
        unsigned status;  /* HTTP status; 404 is an answer, not an error */
        uint64_t offset;  /* where the body starts */
        Slice body;       /* get and send: borrowed until the callback returns; empty for files */
} FetchAnswer;

/* answer is NULL if and only if error holds one; then the Fetch can only be freed. It may be freed in here, or used again. */
typedef void (*FetchDone)(void *userdata, const FetchAnswer *answer, Error *error);
/* Called with every piece of a body that goes to a file. Returns -1 with error to give up. */
typedef int (*FetchSink)(void *userdata, uint64_t offset, Slice piece, Error *error);

int fetch_open(sd_event *event, const char *socket_path, Fetch **ret, Error *error) __attribute__((nonnull, warn_unused_result));
Fetch *fetch_free(Fetch *fetch);
DEFINE_CLEANUP(Fetch, fetch_free)

typedef struct FetchRequest {
        const char *url;
        bool authenticate; /* with the device certificate: only for the back-end's own origin */
        uint64_t offset;   /* resume from here */
        uint64_t max;      /* bytes of body */
        unsigned seconds;  /* without a byte or an answer */
        RateLimit slowest; /* bytes may not come more slowly: ERR_SLOW */
        uint64_t max_speed; /* bytes a second are taken from the helper; 0: as they come */
        FetchSink sink;    /* NULL: into memory */
        FetchDone done;
        void *userdata;
} FetchRequest;

int fetch_get(Fetch *fetch, const FetchRequest *request, Error *error) __attribute__((nonnull, warn_unused_result));
/* method is "PUT" or "POST"; request->max, slowest, offset and sink do not matter. */
int fetch_send(Fetch *fetch, const FetchRequest *request, const char *method, const char *content_type, Slice body, Error *error)
        __attribute__((nonnull(1, 2, 3, 4, 6), warn_unused_result));

#endif
