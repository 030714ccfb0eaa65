/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_METADATA_DOCUMENT_H
#define TESTS_METADATA_DOCUMENT_H

/* Documents written into tests as text, unsigned: for what is decided before anybody looks at a signature. */
#include "metadata/role.h"

/* What stands at the beginning of a good document of this type. */
#define HEADER(type) "\"_type\":\"" type "\",\"expires\":\"2035-01-01T00:00:00Z\",\"version\":3"

/* Parses body as "signed" of a document without signatures. Returns NULL and the error. */
static inline Metadata *document_parse(Role role, const char *body, Error *error)
{
        cleanup_free char *text = xasprintf("{\"signatures\":[],\"signed\":%s}", body);
        Metadata *m = NULL;

        error_clear(error);
        return metadata_parse(role, slice_str(text), &m, error) < 0 ? NULL : m;
}

static inline Metadata *document_good(Role role, const char *body)
{
        Error error = { 0 };
        Metadata *m = document_parse(role, body, &error);

        if (!m)
                fail_msg("%s: %s", body, error.message);
        return m;
}

/* body is refused with this code, and the message says what. */
static inline void document_refused(Role role, const char *body, ErrorCode code, const char *what)
{
        Error error = { 0 };
        CLEANUP(metadata_free) Metadata *m = document_parse(role, body, &error);

        if (m)
                fail_msg("accepted: %s", body);
        if (error.code != code || !strstr(error.message, what))
                fail_msg("%s: %s\nwhere %s: ...%s... was expected, in: %s", error_info(error.code)->name, error.message, error_info(code)->name,
                         what, body);
}

#endif
