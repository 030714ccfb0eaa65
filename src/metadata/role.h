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

/* Limits for the network before a byte is read and for parsers after, where nothing else is configured. */
#define ROLE_ROOT_BYTES_MAX ((size_t) 256 * 1024)
#define ROLE_TIMESTAMP_BYTES_MAX ((size_t) 64 * 1024)
#define ROLE_SNAPSHOT_BYTES_MAX ((size_t) 1024 * 1024)
#define ROLE_TARGETS_BYTES_MAX ((size_t) 16 * 1024 * 1024)
/* What nobody can configure: far above any use, far below where sizes of this program overflow. */
#define ROLE_BYTES_MAX ((size_t) 256 * 1024 * 1024)
size_t role_bytes_max(Role role);

#define TARGET_NAME_MAX 253
#define TARGETS_MAX 1000000
#define TARGET_HARDWARE_IDS_MAX 256
#define TARGET_ECUS_MAX 256
#define ECU_SERIAL_MAX 64
#define HARDWARE_ID_MAX 200
#define URI_MAX 2048
#define KERNEL_ARGUMENTS_MAX 1024 /* bytes, of all of them and the spaces between */
#define RELEASE_COUNTER_MAX (INT64_MAX - 1) /* it is stored one higher: -1 is none */
#define SNAPSHOT_META_MAX 20000
#define DELEGATIONS_MAX 20000     /* in one file */
#define DELEGATION_ROLES_MAX 32   /* of one multi-role delegation */
#define DELEGATION_PATHS_MAX 4096 /* or hash prefixes */
#define PATH_PATTERN_MAX 512
#define ROLE_NAME_MAX 200

typedef struct Root {
        bool has[_ROLE_MAX]; /* a Director without Timestamp and Snapshot lists no keys for them */
        Keyset keys[_ROLE_MAX];
        bool consistent_snapshot; /* files have their version or hash before their names (TUF 6.2) */
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
        FileMeta snapshot;
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
        const char *kernel_arguments; /* kernelArguments: words of printable ASCII without quotes, one space between two of them */
        const char *uri; /* the placeholder https://example.com/ counts as absent */
        TargetFormat format;
        const char *version;  /* for people */
        const json_t *custom; /* all of it, for what must match; NULL: none */
} Target;

/* A role that another trusts, with the keys it is to sign with. */
typedef struct DelegatedRole {
        const char *name; /* any text without control characters, none of the four roles: never a path */
        Keyset keys;
} DelegatedRole;

/* Uptane 5.2.3.2: who signs for some images. Exactly one of paths and hash_prefixes is not NULL. */
typedef struct Delegation {
        const DelegatedRole *roles; /* several: a multi-role delegation (TAP 3) */
        size_t n_roles;
        size_t n_agreeing; /* so many of roles must say the same of an image; 1..n_roles */
        const char *const *paths; /* shell patterns */
        const char *const *hash_prefixes; /* hex digits, lower case, of the SHA-256 of the image's name */
        size_t n_patterns;                /* of either */
        const char *const *hardware_ids; /* NULL: all */
        size_t n_hardware_ids;
        bool terminating;
} Delegation;

/* TAP 15: 2^bit_length bins named PREFIX-HEX, by the first bits of the SHA-256 of the image's name. */
typedef struct SuccinctRoles {
        Keyset keys;
        const char *name_prefix; /* NULL: there are none */
        unsigned bit_length;     /* 1..32 */
} SuccinctRoles;

/* Where a target stands; it was checked when the document was parsed, and is read when it is asked for. */
typedef struct TargetEntry {
        const char *name;
        Slice text;
        Target *target; /* NULL: not asked for yet */
        json_t *json;   /* what target borrows from */
} TargetEntry;

typedef struct Targets {
        TargetEntry *entries; /* sorted by name; use targets_at() and targets_find() */
        size_t n_targets;
        Arena *arena; /* for those that are asked for */
        const Delegation *delegations; /* highest priority first */
        size_t n_delegations;
        SuccinctRoles succinct; /* instead of delegations */
        const char *correlation_id; /* Director: custom.correlationId, or NULL */
        const char *vin, *device_id; /* Director: whose vehicle it is for, custom.vin and custom.deviceId, or NULL */
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
 * Parses bytes (the caller has bounded them) as this role. "_type" is compared without letter case; another role's
 * document is ERR_WRONG_ROLE. The bytes are copied.
 */
int metadata_parse(Role role, Slice bytes, Metadata **ret, Error *error) __attribute__((nonnull, warn_unused_result));
Metadata *metadata_free(Metadata *metadata);
DEFINE_CLEANUP(Metadata, metadata_free)

/* NULL if not listed. Binary search. */
const FileMeta *snapshot_find(const Snapshot *snapshot, const char *name) __attribute__((nonnull));
/* Target i of n_targets, in the order of names; borrowed. */
const Target *targets_at(const Targets *targets, size_t i) __attribute__((nonnull, returns_nonnull));
const Target *targets_find(const Targets *targets, const char *name) __attribute__((nonnull));
bool targets_delegate(const Targets *targets) __attribute__((nonnull));
/*
 * Whether two roles say the same of an image: length, every hash, and those members of "custom" that must match (must_match
 * ends with NULL, NULL: none; a member that only one of them has does not match).
 */
bool target_agrees(const Target *a, const Target *b, const char *const *must_match) __attribute__((nonnull(1, 2)));
/* The same for "custom" alone. Names the first that differs, or NULL. */
const char *target_custom_differs(const Target *a, const Target *b, const char *const *must_match) __attribute__((nonnull(1, 2)));
/* True if content has the length and every known hash that meta lists; over the bytes, or failing that over their canonical form. */
bool file_meta_matches(const FileMeta *meta, Slice content) __attribute__((nonnull));

#endif
