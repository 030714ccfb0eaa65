/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

/*
 * The trusted state in SQLite (one file, one process, one thread): WAL, synchronous=FULL, STRICT tables, mode 0600,
 * migrations by user_version. Each call is durable when it returns, unless store_begin() opened a transaction.
 *
 * Trust is never made here: what is put was verified by the caller. The rollback baseline (Roots, metadata, counters,
 * time floor) is only ever replaced by newer, never wiped. A damaged database is kept aside under another name and
 * reported as ERR_DATABASE_DAMAGED on every later open until an operator has acted (docs/ERRORS.md).
 */
#include "base/arena.h"
#include "trust/repo.h"
#include "uptane/manifest.h"

typedef struct Store Store;

/*
 * Opens or creates directory/NAME. A file that exists and is not a sound database of ours is renamed to
 * NAME.damaged-N and ERR_DATABASE_DAMAGED is returned; so it is as long as such a file lies there with no database.
 */
int store_open(const char *directory, const char *name, Store **ret, Error *error) __attribute__((nonnull, warn_unused_result));
Store *store_free(Store *store);
DEFINE_CLEANUP(Store, store_free)

/* What is put between becomes durable at once or not at all. Does not nest. */
int store_begin(Store *store, Error *error) __attribute__((nonnull, warn_unused_result));
int store_commit(Store *store, Error *error) __attribute__((nonnull, warn_unused_result));
void store_rollback(Store *store) __attribute__((nonnull));

/* Small named values. get: 1 and appended to ret, 0 if absent. */
int store_value_get(Store *store, const char *name, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));
int store_value_put(Store *store, const char *name, const char *value, Error *error) __attribute__((nonnull, warn_unused_result));
/* As decimal; 0 if absent. */
int store_number_get(Store *store, const char *name, int64_t *ret, Error *error) __attribute__((nonnull, warn_unused_result));
int store_number_put(Store *store, const char *name, int64_t value, Error *error) __attribute__((nonnull, warn_unused_result));
/* The engine's row and the like: bytes under a name. */
int store_bytes_get(Store *store, const char *name, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));
int store_bytes_put(Store *store, const char *name, Slice bytes, Error *error) __attribute__((nonnull, warn_unused_result));

/*
 * The trusted file of a role: the latest Root, or for ROLE_TARGETS with a name that delegated role. As a file to be read from
 * its start, and as bytes. 1 and set or appended to ret, 0 if absent.
 */
int store_metadata_open(Store *store, TrustKind kind, Role role, const char *name, int *ret, Error *error)
        __attribute__((nonnull(1, 5, 6), warn_unused_result));
int store_metadata_get(Store *store, TrustKind kind, Role role, const char *name, Buffer *ret, Error *error)
        __attribute__((nonnull(1, 5, 6), warn_unused_result));
/* Roots are kept, all of them; of the others the latest. An equal row is not written again. */
int store_metadata_put(Store *store, TrustKind kind, Role role, int64_t version, Slice bytes, Error *error)
        __attribute__((nonnull, warn_unused_result));
/*
 * Delegated roles by name, which is a key and never a path. They are only a cache: each is verified again when it is used.
 * The oldest go when there are more than STORE_DELEGATED_MAX.
 */
#define STORE_DELEGATED_MAX 1024
int store_delegated_put(Store *store, TrustKind kind, const char *name, int64_t version, Slice bytes, Error *error)
        __attribute__((nonnull, warn_unused_result));

/* Large metadata is a file of its own in the folder metadata/ beside the database, so that whoever has it can write it. */
typedef struct StoreFile {
        int fd; /* -1: none */
        char name[33];
} StoreFile;
/* To be written and made durable (fsync) by its user. What is not put is removed at the next put or start. */
int store_file_new(Store *store, StoreFile *ret, Error *error) __attribute__((nonnull, warn_unused_result));
void store_file_done(StoreFile *file) __attribute__((nonnull));
/* As store_metadata_put(), or with a name store_delegated_put(). Not for Roots. */
int store_metadata_put_file(Store *store, TrustKind kind, Role role, const char *name, int64_t version, const StoreFile *file, Error *error)
        __attribute__((nonnull(1, 6, 7), warn_unused_result));
/* Timestamp and Snapshot of one repository: their keys were rotated (TRUST_FORGET). */
int store_metadata_forget(Store *store, TrustKind kind, Error *error) __attribute__((nonnull, warn_unused_result));
/* The Root of exactly this version. 1, 0 if absent. */
int store_root_get(Store *store, TrustKind kind, int64_t version, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/*
 * folder/REPOSITORY.root.json, shipped with the software and trusted because of where it lies, as long as no Root is stored;
 * it must be a sound one, signed by itself. Appended to ret. ERR_NO_ROOT if there is no such file.
 */
int store_root_shipped(TrustKind kind, const char *folder, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* Stores it, where no Root is: for a Secondary, which has no repository to ask whether that is still the last one. */
int store_root_install(Store *store, TrustKind kind, const char *folder, Error *error) __attribute__((nonnull, warn_unused_result));

/* An ECU as it was last known. Strings are owned by the arena given to get. */
typedef struct StoredEcu {
        const char *label; /* the key */
        const char *serial;
        const char *hardware_id;
        KeyType key_type;
        const char *key_text;
        const char *image; /* "": unknown */
        Hashes hashes;
        int64_t length;          /* -1: unknown */
        int64_t release_counter; /* -1: none */
} StoredEcu;
/* 1, 0 if absent. */
int store_ecu_get(Store *store, const char *label, Arena *arena, StoredEcu *ret, Error *error) __attribute__((nonnull, warn_unused_result));
int store_ecu_put(Store *store, const StoredEcu *ecu, Error *error) __attribute__((nonnull, warn_unused_result));

/* The labels of all ECUs that are stored, in arena. */
int store_ecu_list(Store *store, Arena *arena, const char *const **ret, size_t *ret_n, Error *error) __attribute__((nonnull, warn_unused_result));
/* It is not in this vehicle any more: with its report. */
int store_ecu_forget(Store *store, const char *label, Error *error) __attribute__((nonnull, warn_unused_result));

/* The last good version report of an ECU (Uptane 5.4.3.6 (b)). */
typedef struct StoredEcuReport {
        int64_t counter;  /* the highest that was seen; 0: its reports have none */
        int64_t received; /* seconds since 1970 */
        Slice bytes;
} StoredEcuReport;
/* 1 and the bytes in arena, 0 if absent. */
int store_ecu_report_get(Store *store, const char *label, Arena *arena, StoredEcuReport *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
int store_ecu_report_put(Store *store, const char *label, const StoredEcuReport *report, Error *error)
        __attribute__((nonnull, warn_unused_result));

/* The installation report that waits to be sent with the next manifest; put replaces it. */
int store_report_put(Store *store, const char *correlation_id, const char *raw_report, const InstallResult *results, size_t n_results,
                     Error *error) __attribute__((nonnull(1, 2, 3, 6), warn_unused_result));
/* Fills correlation_id, raw_report, results and n_results of ret; strings live in arena. 1, 0 if none waits. */
int store_report_get(Store *store, Arena *arena, VehicleManifest *ret, Error *error) __attribute__((nonnull, warn_unused_result));
int store_report_clear(Store *store, Error *error) __attribute__((nonnull, warn_unused_result));

/*
 * Attacks that wait to be told to the Director. add: another one with the same key counts it, and the words are the latest.
 * Of more than STORE_ATTACKS_MAX the first and the newest are kept. list: oldest first, in arena. clear: up to this
 * sequence; one that was seen again since then has a higher one and stays.
 */
#define STORE_ATTACKS_MAX 16
int store_attack_add(Store *store, const char *key, const char *attack, const char *text, int64_t time, Error *error)
        __attribute__((nonnull, warn_unused_result));
int store_attack_list(Store *store, Arena *arena, const DetectedAttack **ret, size_t *ret_n, Error *error)
        __attribute__((nonnull, warn_unused_result));
int store_attack_clear(Store *store, int64_t sequence, Error *error) __attribute__((nonnull, warn_unused_result));

/* Finished updates, newest first; the oldest go when there are more than STORE_HISTORY_MAX. */
#define STORE_HISTORY_MAX 200
typedef struct StoredHistory {
        int64_t time;
        const char *update;
        const char *result; /* error_report_name() */
        const char *description;
        const char *details; /* JSON: the ECUs and their images */
} StoredHistory;
int store_history_add(Store *store, const StoredHistory *entry, Error *error) __attribute__((nonnull, warn_unused_result));
/* At most limit entries; the array and strings live in arena. */
int store_history_list(Store *store, size_t limit, Arena *arena, const StoredHistory **ret, size_t *ret_n, Error *error)
        __attribute__((nonnull, warn_unused_result));

#endif
