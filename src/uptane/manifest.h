/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANE_MANIFEST_H
#define UPTANE_MANIFEST_H

/*
 * What an ECU and a vehicle say about themselves: ECU version report and vehicle version manifest (Uptane 5.4.2.1),
 * and the installation report of the device API. Builds the exact bytes to send; sends nothing.
 */
#include "crypto/signer.h"
#include "metadata/role.h"
#include "uptane/attack.h"

#define MANIFEST_BYTES_MAX ((size_t) 64 * 1024)

typedef struct VersionReport {
        const char *serial;
        const char *image; /* "unknown" if NULL */
        int64_t length;
        Hashes hashes; /* sha256 is always written; of the empty string if unknown */
        const char *attacks_detected; /* "" if none; attacks_write() */
        int64_t time;          /* latest time this ECU can verify; seconds since 1970 */
        int64_t previous_time;
        int64_t report_counter; /* > 0, rising */
} VersionReport;

/* The ECU's signed version report (Uptane 5.4.2.1.2), canonical JSON. */
int version_report_sign(const VersionReport *report, const Signer *signer, Buffer *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));
/*
 * Checks a Secondary's report: form, serial and signature by its registered key. ret is filled if not NULL; its
 * strings live in arena. report_counter is 0 where the report has none. ERR_REPORT_FORGED where another key signed it or it
 * is another ECU's, ERR_SECONDARY for everything else; both name the serial and what is wrong.
 */
int version_report_verify(Slice bytes, const char *serial, const PublicKey *key, Arena *arena, VersionReport *ret, Error *error)
        __attribute__((nonnull(2, 3, 4, 6), warn_unused_result));

/*
 * What an image says of itself outside a report: a document that is what "installed_image" is in there. Fills image (not "unknown"),
 * length and hashes; image lives in arena. ERR_MALFORMED.
 */
int installed_image_read(Slice text, Arena *arena, VersionReport *ret, Error *error) __attribute__((nonnull, warn_unused_result));

/* One ECU's result, for the installation report. */
typedef struct InstallResult {
        const char *serial;
        const char *hardware_id;
        ErrorReport code; /* REPORT_OK: success */
        const char *description;
} InstallResult;

typedef struct VehicleManifest {
        const char *primary_serial;
        const char *vin; /* NULL: left out. The device certificate already names the vehicle to the back-end. */
        const char *const *serials; /* n_reports of them, with the signed version report of each */
        const Slice *reports;
        const int64_t *received; /* of each: 0, or when it came, where it is an old one of an ECU that gave none now; NULL: all 0 */
        size_t n_reports;
        /* an installation report is added only where correlation_id is not NULL: the device API refuses others */
        const char *correlation_id;
        const char *raw_report;
        const InstallResult *results;
        size_t n_results;
} VehicleManifest;

/* The signed vehicle version manifest, canonical JSON. reports must be canonicalizable JSON objects. */
int vehicle_manifest_sign(const VehicleManifest *manifest, const Signer *signer, Buffer *ret, Error *error)
        __attribute__((nonnull, warn_unused_result));

/* The body of POST director/ecus; the Primary is ecus[0]. */
typedef struct EcuRegistration {
        const char *serial;
        const char *hardware_id;
        KeyType key_type;
        const char *public_text;
} EcuRegistration;
void ecu_registration_write(const EcuRegistration *ecus, size_t n_ecus, Buffer *ret) __attribute__((nonnull));

#endif
