/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

/*
 * HTTPS transfers, one after the other, over connections that are kept. It blocks: only helper programs use it.
 *
 * The server is not trusted with anything: bytes, headers and redirects are limited and time is bounded. The device's
 * certificate is shown only where a request says so, and never to another origin than that of the request's own URL.
 * Nothing is tried twice.
 */
#include <stdbool.h>

#include "base/mem.h"
#include "base/slice.h"

typedef struct Http Http;

/* The strings are copied; a NULL file is one that is not there. */
typedef struct HttpOptions {
        const char *ca_file;         /* PEM: the only authorities trusted */
        const char *cert_file;       /* PEM: the device's certificate */
        const char *key_file;        /* PEM: its key */
        const char *user_agent;
        bool allow_http;             /* plain http:// too */
        unsigned min_speed;          /* bytes per second ... */
        unsigned min_speed_seconds;  /* ... that the mean over so long may not fall below */
} HttpOptions;

typedef struct HttpRequest {
        const char *method; /* "GET", "PUT" or "POST" */
        const char *url;
        bool authenticate;
        uint64_t offset;    /* GET: ask for the body from here */
        uint64_t max;       /* GET: more bytes of body are ERR_TOO_LARGE. PUT and POST: the answer's body is cut here */
        const char *content_type;
        Slice body;
        /* Takes the answer's body, in pieces; of a GET only if the status is 200..299. -1 with error ends the transfer. */
        int (*sink)(void *userdata, Slice piece, Error *error);
        /* Asked at least about once a second; true ends the transfer with ERR_CANCELLED. */
        bool (*cancelled)(void *userdata);
        void *userdata;
} HttpRequest;

typedef struct HttpAnswer {
        unsigned status;
        uint64_t offset; /* where the body really starts */
} HttpAnswer;

int http_new(const HttpOptions *options, Http **ret, Error *error) __attribute__((nonnull, warn_unused_result));
Http *http_free(Http *http);
DEFINE_CLEANUP(Http, http_free)

/*
 * A GET answers with 200..299 or 404, every other status is ERR_HTTP; PUT and POST answer with every status. Otherwise
 * ERR_INVALID_ARGUMENT, ERR_NETWORK, ERR_TIMEOUT (no connection, or nothing comes any more), ERR_SLOW, ERR_TLS, ERR_KEY (the device's own
 * certificate or key), ERR_TOO_LARGE, ERR_CANCELLED, or what sink says.
 */
int http_perform(Http *http, const HttpRequest *request, HttpAnswer *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
