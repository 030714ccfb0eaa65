/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECONDARY_SERVE_H
#define SECONDARY_SERVE_H

/*
 * Answers whoever connects, several at the same time and none for long: one that is silent, slow or talks nonsense is hung
 * up on, and where all places are taken, the one whose present message began first. Memory for messages is bounded: one of
 * them may be large at a time.
 */
#include "secondary/secondary.h"
#include "secondary/tls.h"

#define SERVE_CONNECTIONS_MAX 8
#define SERVE_LARGE ((size_t) 1024 * 1024) /* more than this in one connection only, and never for partial verification */
#define SERVE_IDLE_MS 10000                /* without a byte */
#define SERVE_MESSAGE_MS 120000            /* for one whole message and its answer */

typedef struct ServeSockets {
        int listener, signals;
        int announced; /* a connection to the Primary, perhaps not made yet, on which it asks as on any other; -1: none. Taken over */
} ServeSockets;

/* 0 when a signal can be read from signals; 1 when nobody has come for sleep-after and nothing is under way. tls: NULL: without. */
int serve(Secondary *s, const SecondaryTls *tls, ServeSockets *sockets, Error *error)
        __attribute__((nonnull(1, 3, 4), warn_unused_result));

#endif
