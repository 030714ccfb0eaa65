/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METADATA_DER_H
#define METADATA_DER_H

/*
 * The messages of the IP Secondary protocol (version 2), DER both ways, over bytes only.
 *
 * A message owns what was decoded into it. Decoding accepts exactly one canonical DER message: what does not re-encode
 * to the same bytes is refused. Framing over a stream is der_frame_size()'s business.
 */
#include "base/arena.h"
#include "base/slice.h"

#define DER_MESSAGE_MAX ((size_t) 40 * 1024 * 1024)
#define DER_CHUNK ((size_t) 1024)           /* bytes of an image in one message: what existing Secondaries expect, */
#define DER_CHUNK_MAX ((size_t) 64 * 1024) /* and the most for those that take more */
#define DER_FILES_MAX 260 /* of one repository: four roles and the delegated ones that a search may visit */
/*
 * A delegated role's file is one more entry of the Image repository's collection, whose role is this and the role's name, as
 * its file lies in the repository. Only sent where an image needs it: who does not know it could not verify that image anyway.
 */
#define DER_DELEGATED "delegations/"
/*
 * The time that the Primary's clock shows (RFC 3339, UTC) is one more entry of the Director's collection. Only sent to who is
 * known to take it.
 */
#define DER_TIME "time"

typedef enum DerKind { /* the context tag on the wire */
        DER_GET_INFO_REQ = 0,
        DER_GET_INFO_RESP = 1,
        DER_MANIFEST_REQ = 2,
        DER_MANIFEST_RESP = 3,
        DER_INSTALL_REQ = 8,
        DER_UPLOAD_DATA_REQ = 10,
        DER_UPLOAD_DATA_RESP = 11,
        DER_DOWNLOAD_OSTREE_REQ = 12,
        DER_DOWNLOAD_OSTREE_RESP = 13,
        DER_PUT_META_REQ2 = 14,
        DER_PUT_META_RESP2 = 15,
        DER_INSTALL_RESP2 = 16,
        DER_VERSION_REQ = 17,
        DER_VERSION_RESP = 18,
        DER_ROOT_VERSION_REQ = 19,
        DER_ROOT_VERSION_RESP = 20,
        DER_PUT_ROOT_REQ = 21,
        DER_PUT_ROOT_RESP = 22,
} DerKind;

typedef enum DerResult {
        DER_OK = 0,
        DER_ALREADY_PROCESSED = 1,
        DER_VALIDATION_FAILED = 3,
        DER_INSTALL_FAILED = 4,
        DER_DOWNLOAD_FAILED = 5,
        DER_INTERNAL_ERROR = 18,
        DER_GENERAL_ERROR = 19,
        DER_NEED_COMPLETION = 21,
        DER_CUSTOM_ERROR = 22,
        DER_OPERATION_CANCELLED = 23,
        DER_UNKNOWN = -1,
} DerResult;

typedef enum DerRepo { DER_REPO_DIRECTOR = 0, DER_REPO_IMAGE = 1 } DerRepo;
typedef enum DerKeyType { DER_KEY_ED25519 = 0, DER_KEY_RSA2048 = 1, DER_KEY_RSA4096 = 2 } DerKeyType;

typedef struct DerFile {
        const char *role; /* "root", "timestamp", "snapshot", "targets", or DER_DELEGATED and a name */
        Slice json;
} DerFile;

typedef struct DerMessage {
        DerKind kind;
        /* which of these are used depends on kind */
        const char *serial;      /* getInfoResp */
        const char *hardware_id; /* getInfoResp */
        int64_t number;          /* version, root version; key type in getInfoResp; repo in rootVerReq, putRootReq */
        Slice data;              /* key, manifest, image data, file name, TLS credentials, Root */
        DerFile *image_files; /* at most DER_FILES_MAX */
        size_t n_image_files;
        DerFile *director_files;
        size_t n_director_files;
        DerResult result;
        Slice description;
} DerMessage;

void der_encode(const DerMessage *message, Buffer *ret) __attribute__((nonnull));
/* bytes is one whole message. Strings and slices of ret live in arena. ERR_MALFORMED. */
int der_decode(Slice bytes, Arena *arena, DerMessage *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/*
 * How long the message that starts with bytes is: returns 1 and the whole size (at most max), 0 if more bytes are
 * needed to tell, -1 if it is too long (ERR_TOO_LARGE) or cannot start a message (ERR_MALFORMED).
 */
int der_frame_size(Slice bytes, size_t max, size_t *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
