/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VERIFY_WIRE_H
#define VERIFY_WIRE_H

/*
 * The argument and the result of Verify as D-Bus messages (docs/HELPERS.md). Nothing here knows what they are for.
 */
#include <systemd/sd-bus.h>

#include "uptane/check.h"

/* What is to be verified, for whom, and when. Borrowed from the message it was read from, but for the arrays. */
typedef struct VerifyRequest {
        TrustOptions options[_TRUST_KIND_MAX];
        VehicleId vehicle;
        const char *install; /* serial of the ECU that is about to get its image: nothing is stored; NULL: a check */
        char **must_match;
        Ecu *ecus;
        size_t n_ecus;
} VerifyRequest;

/* Negative: not as agreed. Then, too, request_done() frees what there is. */
int verify_request_read(sd_bus_message *call, VerifyRequest *ret) __attribute__((nonnull, warn_unused_result));
void verify_request_done(VerifyRequest *request) __attribute__((nonnull));

typedef struct VerifyResult {
        Error error; /* ERR_NONE: all good, and the rest is valid */
        bool image;  /* the Image repository was verified too */
        const Plan *plan;
        const char *correlation_id; /* NULL: none */
        const TrustRepo *images;    /* whose delegated roles are named; NULL: none */
        int64_t targets_version;    /* the Director's */
} VerifyResult;

int verify_result_reply(sd_bus_message *call, const VerifyResult *result) __attribute__((nonnull, warn_unused_result));

#endif
