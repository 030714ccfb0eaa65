/* SPDX-License-Identifier: Apache-2.0 */
/* The ECU version report, made and checked. */
#include <inttypes.h>
#include <stdio.h>

#include "base/codec.h"
#include "base/time.h"
#include "uptane/manifest-json.h"

#define COUNTER_TEXT_MAX 20

/* Uptane 5.4.2.1.2 (g): what is installed */
static json_t *image_json(const VersionReport *r)
{
        json_t *image = json_object(), *info = json_object(), *hashes = json_object();
        uint8_t sha256[SHA256_SIZE];
        char hex[2 * SHA512_SIZE + 1];

        digest_sha256(SLICE_NONE, sha256); /* "of nothing": what the field writes where nothing is known */
        hex_encode(slice(r->hashes.has_sha256 ? r->hashes.sha256 : sha256, SHA256_SIZE), hex);
        manifest_set_text(hashes, "sha256", hex);
        if (r->hashes.has_sha512) {
                hex_encode(slice(r->hashes.sha512, SHA512_SIZE), hex);
                manifest_set_text(hashes, "sha512", hex);
        }
        manifest_set(info, "length", json_integer(r->length > 0 ? r->length : 0));
        manifest_set(info, "hashes", hashes);
        manifest_set_text(image, "filepath", r->image && *r->image ? r->image : "unknown");
        manifest_set(image, "fileinfo", info);
        return image;
}

/* Uptane 5.4.2.1.2 (f): which ECU; Uptane 5.4.2.1.2 (h): attacks; Uptane 5.4.2.1.2 (i): the time; Uptane 5.4.2.1.2 (j): the counter */
int version_report_sign(const VersionReport *r, const Signer *signer, Buffer *ret, Error *error)
{
        char time[TIME_TEXT_SIZE], previous[TIME_TEXT_SIZE], counter[COUNTER_TEXT_MAX + 1];
        json_t *body = json_object();

        time_format(r->time, time);
        time_format(r->previous_time, previous);
        (void) snprintf(counter, sizeof counter, "%" PRId64, r->report_counter);
        manifest_set_text(body, "ecu_serial", r->serial);
        manifest_set_text(body, "attacks_detected", r->attacks_detected ? r->attacks_detected : "");
        manifest_set_text(body, "timeserver_time", time);
        manifest_set_text(body, "previous_timeserver_time", previous);
        manifest_set_text(body, "report_counter", counter);
        manifest_set(body, "installed_image", image_json(r));
        return envelope_sign(body, signer, ret, error);
}

/* ---- checking one ---- */

/* A decimal string, or absent. */
static int parse_counter(const json_t *body, int64_t *ret, Error *error)
{
        const char *text;
        char *end;

        *ret = 0;
        if (!json_has(body, "report_counter"))
                return 0;
        if (json_get_string(body, "report", "report_counter", COUNTER_TEXT_MAX, &text, error) < 0)
                return -1;
        *ret = strtoll(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || *ret < 0)
                return error_set(error, ERR_MALFORMED, "report.report_counter is '%s'", text);
        return 0;
}

/* SHA-256 is always there; another one is for images whose metadata lists no SHA-256. */
static int parse_hashes(const json_t *info, Hashes *ret, Error *error)
{
        json_t *hashes;
        const char *hex;

        if (json_get_object(info, "fileinfo", "hashes", 16, &hashes, error) < 0 ||
            json_get_string(hashes, "hashes", "sha256", 2 * SHA256_SIZE, &hex, error) < 0 ||
            hex_decode(hex, ret->sha256, SHA256_SIZE, error) < 0)
                return -1;
        ret->has_sha256 = true;
        if (!json_has(hashes, "sha512"))
                return 0;
        if (json_get_string(hashes, "hashes", "sha512", 2 * SHA512_SIZE, &hex, error) < 0 || hex_decode(hex, ret->sha512, SHA512_SIZE, error) < 0)
                return -1;
        ret->has_sha512 = true;
        return 0;
}

static int parse_image_value(const json_t *image, Arena *arena, VersionReport *ret, Error *error)
{
        json_t *info;
        const char *path;

        if (json_get_string(image, "installed_image", "filepath", TARGET_NAME_MAX, &path, error) < 0 ||
            json_get_object(image, "installed_image", "fileinfo", 16, &info, error) < 0 ||
            json_get_int(info, "fileinfo", "length", &ret->length, error) < 0 || parse_hashes(info, &ret->hashes, error) < 0)
                return -1;
        ret->image = strcmp(path, "unknown") == 0 || strcmp(path, "noimage") == 0 ? NULL : arena_strdup(arena, path);
        return 0;
}

static int parse_image(const json_t *body, Arena *arena, VersionReport *ret, Error *error)
{
        json_t *image;

        return json_get_object(body, "report", "installed_image", 16, &image, error) < 0 ? -1 : parse_image_value(image, arena, ret, error);
}

int installed_image_read(Slice text, Arena *arena, VersionReport *ret, Error *error)
{
        cleanup_json json_t *image = NULL;

        *ret = (VersionReport) { 0 };
        if (json_read(text, &image, error) < 0 || parse_image_value(image, arena, ret, error) < 0)
                return -1;
        if (!ret->image || !*ret->image)
                return error_set(error, ERR_MALFORMED, "it names no image");
        return 0;
}

static int parse_time(const json_t *body, const char *name, int64_t *ret, Error *error)
{
        const char *text;

        if (!json_has(body, name))
                return 0;
        if (json_get_string(body, "report", name, TIME_TEXT_SIZE, &text, error) < 0)
                return -1;
        return time_parse(text, ret, error);
}

static int parse_report(const Envelope *e, const char *serial, Arena *arena, VersionReport *ret, Error *error)
{
        const char *found, *attacks = "";

        if (json_get_string(e->body, "report", "ecu_serial", ECU_SERIAL_MAX, &found, error) < 0)
                return -1;
        if (strcmp(found, serial) != 0)
                return error_set(error, ERR_REPORT_FORGED, "it is the report of ECU %s", found);
        if (json_has(e->body, "attacks_detected") &&
            json_get_string(e->body, "report", "attacks_detected", ATTACKS_TEXT_MAX, &attacks, error) < 0)
                return -1;
        ret->serial = arena_strdup(arena, found);
        ret->attacks_detected = arena_strdup(arena, attacks);
        if (parse_counter(e->body, &ret->report_counter, error) < 0 || parse_time(e->body, "timeserver_time", &ret->time, error) < 0 ||
            parse_time(e->body, "previous_timeserver_time", &ret->previous_time, error) < 0)
                return -1;
        return parse_image(e->body, arena, ret, error);
}

/* The key id in a report is the Secondary's own affair: its key is known, so the signature is checked with that. */
static int verify(const Envelope *e, const PublicKey *key, Error *error)
{
        KeysetEntry entry = { .key = key };
        const Keyset keyset = { .entries = &entry, .n_entries = 1, .threshold = 1 };

        if (e->n_signatures != 1)
                return error_set(error, ERR_BAD_SIGNATURE, "%zu signatures, one is expected", e->n_signatures);
        entry.id = e->signatures[0].key_id;
        return envelope_verify(e, &keyset, "by its registered key", error);
}

/* By somebody else, or about somebody else; the rest is nonsense. */
static ErrorCode kind_of(const Error *why)
{
        return why->code == ERR_BAD_SIGNATURE || why->code == ERR_REPORT_FORGED ? ERR_REPORT_FORGED : ERR_SECONDARY;
}

int version_report_verify(Slice bytes, const char *serial, const PublicKey *key, Arena *arena, VersionReport *ret, Error *error)
{
        CLEANUP(envelope_free) Envelope *e = NULL;
        VersionReport report = { 0 };
        Error why = { 0 };

        if (bytes.size > MANIFEST_BYTES_MAX)
                return error_set(error, ERR_SECONDARY, "ECU %s: a version report of %zu bytes", serial, bytes.size);
        if (envelope_parse(bytes, NULL, &e, &why) < 0 || verify(e, key, &why) < 0 || parse_report(e, serial, arena, &report, &why) < 0)
                return error_set(error, kind_of(&why), "ECU %s: its version report: %s", serial, why.message);
        if (ret)
                *ret = report;
        return 0;
}
