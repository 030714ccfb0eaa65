/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METADATA_ROLE_H
#define METADATA_ROLE_H

/*
 * The four roles as typed documents (Uptane 5.2). A document is parsed completely or not at all, owns everything in
 * it, and is immutable. Parsing checks form; signatures, versions and expiry are the business of trust/.
 */
#include "crypto/digest.h"
#include "metadata/envelope.h"

typedef enum Role {
        ROLE_ROOT,
        ROLE_TIMESTAMP,
        ROLE_SNAPSHOT,
        ROLE_TARGETS,
        _ROLE_MAX,
} Role;

/* "root", "timestamp", "snapshot", "targets" */
const char *role_name(Role role) __attribute__((returns_nonnull));

/* Limits, for the network before a byte is read and for parsers after. */
#define ROLE_ROOT_BYTES_MAX ((size_t) 256 * 1024)
#define ROLE_TIMESTAMP_BYTES_MAX ((size_t) 64 * 1024)
#define ROLE_SNAPSHOT_BYTES_MAX ((size_t) 1024 * 1024)
#define ROLE_TARGETS_BYTES_MAX ((size_t) 8 * 1024 * 1024)
size_t role_bytes_max(Role role);

#define TARGET_NAME_MAX 253
#define TARGETS_MAX 20000
#define TARGET_HARDWARE_IDS_MAX 256
#define TARGET_ECUS_MAX 256
#define ECU_SERIAL_MAX 64
#define HARDWARE_ID_MAX 200
#define URI_MAX 2048
#define SNAPSHOT_META_MAX 8192

typedef struct Root {
        bool has[_ROLE_MAX]; /* a Director without Timestamp and Snapshot lists no keys for them */
        Keyset keys[_ROLE_MAX];
} Root;

/* How one metadata file is described in another. */
typedef struct FileMeta {
        const char *name; /* "snapshot.json" */
        int64_t version;
        int64_t length; /* -1: not given */
        bool has_hashes;
        Hashes hashes;
} FileMeta;

typedef struct Timestamp {
        FileMeta snapshot; /* has_hashes is true */
} Timestamp;

typedef struct Snapshot {
        const FileMeta *files; /* sorted by name */
        size_t n_files;
} Snapshot;

typedef struct TargetEcu {
        const char *serial;
        const char *hardware_id;
} TargetEcu;

typedef enum TargetFormat {
        TARGET_FORMAT_UNSPECIFIED,
        TARGET_FORMAT_BINARY,
        TARGET_FORMAT_OSTREE,
        TARGET_FORMAT_OTHER, /* one this software does not know: it cannot be installed, but may stand beside others */
} TargetFormat;

typedef struct Target {
        const char *name;
        int64_t length;
        Hashes hashes;
        /* from "custom"; NULL, 0 or -1 where absent or null */
        const TargetEcu *ecus; /* Director: ecuIdentifiers */
        size_t n_ecus;
        const char *const *hardware_ids; /* Image repository: hardwareIds */
        size_t n_hardware_ids;
        int64_t release_counter;
        const char *uri; /* the placeholder https://example.com/ counts as absent */
        TargetFormat format;
        const char *version; /* for people */
} Target;

typedef struct Targets {
        const Target *targets; /* sorted by name */
        size_t n_targets;
        bool has_delegations;       /* at least one delegated role */
        const char *correlation_id; /* Director: custom.correlationId, or NULL */
} Targets;

typedef struct Metadata {
        Role role;
        int64_t version; /* 1..INT64_MAX */
        int64_t expires; /* seconds since 1970 */
        Envelope *envelope;
        union {
                Root root;
                Timestamp timestamp;
                Snapshot snapshot;
                Targets targets;
        };
        /* private */
        PublicKey **owned_keys;
        size_t n_owned_keys;
} Metadata;

/*
 * Parses bytes (at most role_bytes_max(role)) as this role. "_type" is compared without letter case; another role's
 * document is ERR_WRONG_ROLE. The bytes are copied.
 */
int metadata_parse(Role role, Slice bytes, Metadata **ret, Error *error) __attribute__((nonnull, warn_unused_result));
Metadata *metadata_free(Metadata *metadata);
DEFINE_CLEANUP(Metadata, metadata_free)

/* NULL if not listed. Binary search. */
const FileMeta *snapshot_find(const Snapshot *snapshot, const char *name) __attribute__((nonnull));
const Target *targets_find(const Targets *targets, const char *name) __attribute__((nonnull));
/* True if content has the length and every known hash that meta lists; over the bytes, or failing that over their canonical form. */
bool file_meta_matches(const FileMeta *meta, Slice content) __attribute__((nonnull));

#endif
