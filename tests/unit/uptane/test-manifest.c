/* SPDX-License-Identifier: Apache-2.0 */
/* Version reports, the vehicle manifest and the registration: made, checked, and refused when spoilt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "uptane/manifest.h"

static Signer *make_signer(KeyType type)
{
        cleanup_buffer Buffer pem = { 0 };
        Error error = { 0 };
        Signer *s;

        assert_int_equal(signer_generate_pem(type, &pem, &error), 0);
        assert_int_equal(signer_new_pem(buffer_slice(&pem), &s, &error), 0);
        return s;
}

static PublicKey *key_of(const Signer *s)
{
        Error error = { 0 };
        PublicKey *key;

        assert_int_equal(public_key_new(signer_key_type(s), signer_public_text(s), &key, &error), 0);
        return key;
}

static void sign(const Signer *s, Buffer *ret)
{
        VersionReport r = { .serial = "ECU-1", .image = "fw.bin", .length = 7, .attacks_detected = "freeze", .time = 100, .previous_time = 50,
                            .report_counter = 12 };
        Error error = { 0 };

        digest_hashes(slice_str("content"), &r.hashes);
        assert_int_equal(version_report_sign(&r, s, ret, &error), 0);
}

static void a_report_of_every_key_type_comes_back_as_it_was(void **state)
{
        (void) state;
        for (unsigned type = 0; type < _KEY_TYPE_MAX; type++) {
                CLEANUP(signer_free) Signer *s = make_signer((KeyType) type);
                CLEANUP(public_key_free) PublicKey *key = key_of(s);
                CLEANUP(arena_free) Arena *arena = arena_new();
                cleanup_buffer Buffer b = { 0 };
                VersionReport got;
                Error error = { 0 };
                Hashes hashes;

                sign(s, &b);
                assert_int_equal(version_report_verify(buffer_slice(&b), "ECU-1", key, arena, &got, &error), 0);
                assert_string_equal(got.image, "fw.bin");
                assert_string_equal(got.attacks_detected, "freeze");
                assert_int_equal(got.length, 7);
                digest_hashes(slice_str("content"), &hashes);
                assert_true(got.hashes.has_sha512 && hashes_match(&got.hashes, &hashes));
                assert_int_equal(got.report_counter, 12);
                assert_int_equal(got.time, 100);
                assert_int_equal(got.previous_time, 50);
        }
}

static void refuse(Slice bytes, const char *serial, const PublicKey *key)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        Error error = { 0 };

        if (version_report_verify(bytes, serial, key, arena, NULL, &error) == 0)
                fail_msg("was taken: %.*s", (int) bytes.size, bytes.data);
        assert_true(error.code == ERR_SECONDARY || error.code == ERR_REPORT_FORGED);
        assert_non_null(strstr(error.message, serial));
}

static void refuse_as_forged(Slice bytes, const char *serial, const PublicKey *key)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        Error error = { 0 };

        assert_int_equal(version_report_verify(bytes, serial, key, arena, NULL, &error), -1);
        assert_int_equal(error.code, ERR_REPORT_FORGED);
}

static void a_report_by_another_key_of_another_ecu_or_spoilt_anywhere_is_refused(void **state)
{
        CLEANUP(signer_free) Signer *s = make_signer(KEY_ED25519), *other = make_signer(KEY_ED25519);
        CLEANUP(public_key_free) PublicKey *key = key_of(s), *other_key = key_of(other);
        cleanup_buffer Buffer b = { 0 };
        size_t start;

        (void) state;
        sign(s, &b);
        refuse_as_forged(buffer_slice(&b), "ECU-1", other_key);
        refuse_as_forged(buffer_slice(&b), "ECU-2", key);
        start = (size_t) (strstr(buffer_str(&b), "\"signed\"") - buffer_str(&b));
        for (size_t i = start; i < b.size; i++) {
                b.data[i] ^= 2;
                refuse(buffer_slice(&b), "ECU-1", key);
                b.data[i] ^= 2;
        }
        for (size_t n = 0; n < b.size; n++)
                refuse(slice(b.data, n), "ECU-1", key);
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

/* A report of form like no other, properly signed: only its form is wrong. */
static void a_signed_report_with_anything_amiss_is_refused(void **state)
{
        static const struct {
                const char *path[3]; /* members on the way; the last one is replaced, or removed */
                const char *value;
        } amiss[] = {
                { { "ecu_serial" }, NULL }, { { "ecu_serial" }, "1" }, { { "ecu_serial" }, "\"ECU-10\"" }, { { "attacks_detected" }, "7" },
                { { "report_counter" }, "12" }, { { "report_counter" }, "\"\"" }, { { "report_counter" }, "\"-1\"" },
                { { "report_counter" }, "\" 1\"" }, { { "report_counter" }, "\"1x\"" }, { { "timeserver_time" }, "\"today\"" },
                { { "timeserver_time" }, "100" }, { { "previous_timeserver_time" }, "\"1970-01-01\"" }, { { "installed_image" }, NULL },
                { { "installed_image" }, "[]" }, { { "installed_image", "filepath" }, NULL }, { { "installed_image", "filepath" }, "7" },
                { { "installed_image", "fileinfo" }, NULL }, { { "installed_image", "fileinfo", "length" }, NULL },
                { { "installed_image", "fileinfo", "length" }, "-1" }, { { "installed_image", "fileinfo", "length" }, "1.5" },
                { { "installed_image", "fileinfo", "hashes" }, "{}" }, { { "installed_image", "fileinfo", "hashes" }, "{\"sha256\":\"00\"}" },
                { { "installed_image", "fileinfo", "hashes" }, "{\"sha256\":\"" ZEROS "\",\"sha512\":\"00\"}" },
                { { "installed_image", "fileinfo", "hashes" }, "{\"sha512\":\"" ZEROS ZEROS "\"}" },
        };
        CLEANUP(signer_free) Signer *s = make_signer(KEY_ED25519);
        CLEANUP(public_key_free) PublicKey *key = key_of(s);
        cleanup_buffer Buffer good = { 0 };

        (void) state;
        sign(s, &good);
        for (size_t i = 0; i < ELEMENTSOF(amiss); i++) {
                cleanup_json json_t *document = NULL;
                cleanup_buffer Buffer b = { 0 };
                json_t *body, *at;
                size_t n = 0;
                Error error = { 0 };

                assert_int_equal(json_read(buffer_slice(&good), &document, &error), 0);
                at = body = json_object_get(document, "signed");
                for (; n + 1 < ELEMENTSOF(amiss[i].path) && amiss[i].path[n + 1]; n++)
                        at = json_object_get(at, amiss[i].path[n]);
                if (amiss[i].value)
                        assert_int_equal(json_object_set_new(at, amiss[i].path[n], json_loads(amiss[i].value, JSON_DECODE_ANY, NULL)), 0);
                else
                        assert_int_equal(json_object_del(at, amiss[i].path[n]), 0);
                assert_int_equal(envelope_sign(json_incref(body), s, &b, &error), 0);
                refuse(buffer_slice(&b), "ECU-1", key);
        }
}

static void a_report_has_one_signature_and_a_largest_size(void **state)
{
        CLEANUP(signer_free) Signer *s = make_signer(KEY_ED25519);
        CLEANUP(public_key_free) PublicKey *key = key_of(s);
        cleanup_buffer Buffer good = { 0 }, two = { 0 }, none = { 0 };
        cleanup_json json_t *document = NULL, *other = NULL;
        json_t *signatures;
        Error error = { 0 };

        (void) state;
        sign(s, &good);
        assert_int_equal(json_read(buffer_slice(&good), &document, &error), 0);
        signatures = json_object_get(document, "signatures");
        other = json_deep_copy(json_array_get(signatures, 0));
        assert_int_equal(json_object_set_new(other, "keyid", json_string("other")), 0);
        assert_int_equal(json_array_append(signatures, other), 0);
        json_canonical(document, &two);
        refuse(buffer_slice(&two), "ECU-1", key);
        assert_int_equal(json_array_clear(signatures), 0);
        json_canonical(document, &none);
        refuse(buffer_slice(&none), "ECU-1", key);
        while (good.size <= MANIFEST_BYTES_MAX)
                buffer_put_str(&good, " ");
        refuse(buffer_slice(&good), "ECU-1", key);
}

static void what_a_report_may_leave_out_is_left_at_nothing(void **state)
{
        static const char *const may[] = { "attacks_detected", "report_counter", "timeserver_time", "previous_timeserver_time" };
        CLEANUP(signer_free) Signer *s = make_signer(KEY_ED25519);
        CLEANUP(public_key_free) PublicKey *key = key_of(s);
        CLEANUP(arena_free) Arena *arena = arena_new();
        cleanup_buffer Buffer good = { 0 }, b = { 0 };
        cleanup_json json_t *document = NULL;
        json_t *body;
        VersionReport got;
        Error error = { 0 };

        (void) state;
        sign(s, &good);
        assert_int_equal(json_read(buffer_slice(&good), &document, &error), 0);
        body = json_object_get(document, "signed");
        for (size_t i = 0; i < ELEMENTSOF(may); i++)
                assert_int_equal(json_object_del(body, may[i]), 0);
        assert_int_equal(envelope_sign(json_incref(body), s, &b, &error), 0);
        assert_int_equal(version_report_verify(buffer_slice(&b), "ECU-1", key, arena, &got, &error), 0);
        assert_string_equal(got.attacks_detected, "");
        assert_true(got.report_counter == 0 && got.time == 0 && got.previous_time == 0);
}

static void nothing_known_is_written_as_the_field_does(void **state)
{
        CLEANUP(signer_free) Signer *s = make_signer(KEY_ED25519);
        cleanup_buffer Buffer b = { 0 };
        Error error = { 0 };

        (void) state;
        assert_int_equal(version_report_sign(&(VersionReport) { .serial = "E", .length = -1, .report_counter = 1 }, s, &b, &error), 0);
        assert_non_null(strstr(buffer_str(&b), "\"filepath\":\"unknown\""));
        assert_non_null(strstr(buffer_str(&b), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
        assert_non_null(strstr(buffer_str(&b), "\"report_counter\":\"1\""));
}

static const char *text_at(const json_t *object, const char *a, const char *b, const char *c)
{
        const json_t *value = json_object_get(object, a);

        if (b)
                value = json_object_get(value, b);
        return json_string_value(c ? json_object_get(value, c) : value);
}

/* The one signature of a document: whose it is, how it was made, and that it is good. */
static void expect_signature(const json_t *document, Slice bytes, const Signer *s)
{
        const json_t *list = json_object_get(document, "signatures"), *signature = json_array_get(list, 0);
        CLEANUP(public_key_free) PublicKey *key = key_of(s);
        CLEANUP(envelope_free) Envelope *e = NULL;
        const KeysetEntry entry = { signer_key_id(s), key };
        Error error = { 0 };

        assert_int_equal(json_array_size(list), 1);
        assert_string_equal(text_at(signature, "keyid", NULL, NULL), signer_key_id(s));
        assert_string_equal(text_at(signature, "method", NULL, NULL), signer_method(s));
        assert_int_equal(envelope_parse(bytes, NULL, &e, &error), 0);
        assert_int_equal(envelope_verify(e, &(Keyset) { &entry, 1, 1 }, "it", &error), 0);
}

/*
 * Uptane 5.4.2.1.2 (a, b, e): whose signature, how it was made, and the signature; Uptane 5.4.2.1.2 (f): which ECU;
 * Uptane 5.4.2.1.2 (g): what it runs; Uptane 5.4.2.1.2 (h, i, j): attacks, the time, the counter
 */
static void a_report_says_all_that_it_must(void **state)
{
        (void) state;
        for (unsigned type = 0; type < _KEY_TYPE_MAX; type++) {
                CLEANUP(signer_free) Signer *s = make_signer((KeyType) type);
                cleanup_json json_t *document = NULL;
                cleanup_buffer Buffer b = { 0 };
                const json_t *body, *info;
                Error error = { 0 };

                sign(s, &b);
                assert_int_equal(json_read(buffer_slice(&b), &document, &error), 0);
                expect_signature(document, buffer_slice(&b), s);
                body = json_object_get(document, "signed");
                info = json_object_get(json_object_get(body, "installed_image"), "fileinfo");
                assert_string_equal(text_at(body, "ecu_serial", NULL, NULL), "ECU-1");
                assert_string_equal(text_at(body, "installed_image", "filepath", NULL), "fw.bin");
                assert_int_equal(json_integer_value(json_object_get(info, "length")), 7);
                assert_string_equal(text_at(info, "hashes", "sha256", NULL), "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73");
                assert_int_equal(strlen(text_at(info, "hashes", "sha512", NULL)), 2 * SHA512_SIZE);
                assert_string_equal(text_at(body, "attacks_detected", NULL, NULL), "freeze");
                assert_string_equal(text_at(body, "timeserver_time", NULL, NULL), "1970-01-01T00:01:40Z");
                assert_string_equal(text_at(body, "report_counter", NULL, NULL), "12");
        }
}

/*
 * Uptane 5.4.2.1.1 (a, b, e): whose signature, how it was made, and the signature; Uptane 5.4.2.1.1 (f): which vehicle;
 * Uptane 5.4.2.1.1 (g): which Primary; Uptane 5.4.2.1.1 (h): the reports of its ECUs
 */
static void a_manifest_says_whose_it_is_and_holds_the_reports(void **state)
{
        CLEANUP(signer_free) Signer *s = make_signer(KEY_ED25519), *other = make_signer(KEY_RSA);
        cleanup_buffer Buffer first = { 0 }, second = { 0 }, b = { 0 };
        cleanup_json json_t *document = NULL;
        const char *const serials[] = { "P", "ECU-1" };
        Slice reports[2];
        const VehicleManifest m = { .primary_serial = "P", .vin = "V", .serials = serials, .reports = reports, .n_reports = 2 };
        const json_t *body;
        Error error = { 0 };

        (void) state;
        sign(s, &first);
        sign(other, &second);
        reports[0] = buffer_slice(&first);
        reports[1] = buffer_slice(&second);
        assert_int_equal(vehicle_manifest_sign(&m, s, &b, &error), 0);
        assert_int_equal(json_read(buffer_slice(&b), &document, &error), 0);
        expect_signature(document, buffer_slice(&b), s);
        body = json_object_get(document, "signed");
        assert_string_equal(text_at(body, "vin", NULL, NULL), "V");
        assert_string_equal(text_at(body, "primary_ecu_serial", NULL, NULL), "P");
        for (size_t i = 0; i < ELEMENTSOF(serials); i++) {
                cleanup_buffer Buffer report = { 0 };

                json_canonical(json_object_get(json_object_get(body, "ecu_version_manifests"), serials[i]), &report);
                assert_true(slice_equal(buffer_slice(&report), reports[i]));
        }
}

static void a_report_that_cannot_be_read_is_named_and_nothing_is_signed(void **state)
{
        CLEANUP(signer_free) Signer *s = make_signer(KEY_ED25519);
        cleanup_buffer Buffer first = { 0 }, b = { 0 };
        const char *const serials[] = { "P", "ECU-1" };
        Slice reports[] = { SLICE_NONE, slice_str("{\"signed\":") };
        const VehicleManifest m = { .primary_serial = "P", .serials = serials, .reports = reports, .n_reports = 2 };
        Error error = { 0 };

        (void) state;
        sign(s, &first);
        reports[0] = buffer_slice(&first);
        assert_int_equal(vehicle_manifest_sign(&m, s, &b, &error), -1);
        assert_int_equal(error.code, ERR_MALFORMED);
        assert_non_null(strstr(error.message, "ECU-1"));
        assert_int_equal(b.size, 0);
}

static char *manifest(const VehicleManifest *m, const Signer *s)
{
        cleanup_buffer Buffer b = { 0 };
        Error error = { 0 };

        assert_int_equal(vehicle_manifest_sign(m, s, &b, &error), 0);
        return xstrdup(buffer_str(&b));
}

static void an_old_report_is_said_to_be_one(void **state)
{
        CLEANUP(signer_free) Signer *s = make_signer(KEY_ED25519);
        cleanup_buffer Buffer report = { 0 };
        const char *const serials[] = { "P", "ECU-1" };
        int64_t received[] = { 0, 0 };
        Slice reports[2];
        const VehicleManifest m = { .primary_serial = "P", .serials = serials, .reports = reports, .received = received, .n_reports = 2 };
        cleanup_free char *none = NULL, *one = NULL;

        (void) state;
        sign(s, &report);
        reports[0] = reports[1] = buffer_slice(&report);
        none = manifest(&m, s);
        assert_null(strstr(none, "cached"));
        received[1] = 1;
        one = manifest(&m, s);
        assert_non_null(strstr(one, "\"custom\":{\"cached_reports\":{\"ECU-1\":\"1970-01-01T00:00:01Z\"}}"));
}

static void a_report_of_the_installation_needs_a_correlation_id(void **state)
{
        CLEANUP(signer_free) Signer *s = make_signer(KEY_RSA);
        cleanup_buffer Buffer report = { 0 };
        const InstallResult results[] = { { "P", "board", REPORT_OK, "" }, { "S", "mcu", REPORT_INSTALL_FAILED, "no \"space\"" } };
        const char *const serials[] = { "ECU-1" };
        Slice reports[1];
        VehicleManifest m = { .primary_serial = "P", .serials = serials, .reports = reports, .n_reports = 1, .results = results, .n_results = 2 };
        cleanup_free char *without = NULL, *with = NULL;

        (void) state;
        sign(s, &report);
        reports[0] = buffer_slice(&report);
        without = manifest(&m, s);
        assert_null(strstr(without, "installation_report"));
        m.correlation_id = "urn:x";
        with = manifest(&m, s);
        assert_non_null(strstr(with, "\"correlation_id\":\"urn:x\""));
        assert_non_null(strstr(with, "\"code\":\"mcu:INSTALL_FAILED\""));
        assert_non_null(strstr(with, "\"success\":false"));
        assert_non_null(strstr(with, "\"ecu_version_manifests\":{\"ECU-1\":{\"signatures\""));
        assert_non_null(strstr(with, "no \\\"space\\\""));
}

static void the_registration_names_the_primary_first(void **state)
{
        const EcuRegistration ecus[] = { { "P", "board", KEY_ED25519, "ab" }, { "S", "mcu", KEY_RSA, "PEM\nTEXT" } };
        cleanup_buffer Buffer b = { 0 };

        (void) state;
        ecu_registration_write(ecus, ELEMENTSOF(ecus), &b);
        assert_string_equal(buffer_str(&b),
                            "{\"ecus\":[{\"clientKey\":{\"keytype\":\"ED25519\",\"keyval\":{\"public\":\"ab\"}},\"ecu_serial\":\"P\","
                            "\"hardware_identifier\":\"board\"},{\"clientKey\":{\"keytype\":\"RSA\",\"keyval\":{\"public\":\"PEM\\nTEXT\"}},"
                            "\"ecu_serial\":\"S\",\"hardware_identifier\":\"mcu\"}],\"primary_ecu_serial\":\"P\"}");
}

/* ---- what an image says of itself ---- */

#define HASH "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"

static void an_image_is_named_as_in_a_report(void **state)
{
        CLEANUP(arena_free) Arena *arena = arena_new();
        VersionReport got;
        Error error = { 0 };

        (void) state;
        assert_int_equal(installed_image_read(slice_str("{\"filepath\": \"os-1\", \"fileinfo\": {\"length\": 7, \"hashes\": {\"sha256\": \"" HASH "\"}}, "
                                                        "\"more\": 1}"), arena, &got, &error), 0);
        assert_string_equal(got.image, "os-1");
        assert_true(got.length == 7 && got.hashes.has_sha256 && !got.hashes.has_sha512 && got.hashes.sha256[0] == 0xed);
}

static void what_names_no_image_or_no_hash_is_none(void **state)
{
        static const char *const bad[] = {
                "", "[]", "{}", "{\"filepath\": \"os\"}", "{\"filepath\": \"os\", \"fileinfo\": {\"length\": 0, \"hashes\": {}}}",
                "{\"filepath\": \"unknown\", \"fileinfo\": {\"length\": 0, \"hashes\": {\"sha256\": \"" HASH "\"}}}",
                "{\"filepath\": \"\", \"fileinfo\": {\"length\": 0, \"hashes\": {\"sha256\": \"" HASH "\"}}}",
                "{\"filepath\": \"os\", \"fileinfo\": {\"length\": 0, \"hashes\": {\"sha256\": \"ed\"}}}",
                "{\"filepath\": \"os\", \"fileinfo\": {\"length\": -1, \"hashes\": {\"sha256\": \"" HASH "\"}}}",
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                CLEANUP(arena_free) Arena *arena = arena_new();
                VersionReport got;
                Error error = { 0 };

                assert_int_equal(installed_image_read(slice_str(bad[i]), arena, &got, &error), -1);
                assert_true(error.code != ERR_NONE && *error.message);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_image_is_named_as_in_a_report),
                cmocka_unit_test(what_names_no_image_or_no_hash_is_none),
                cmocka_unit_test(a_report_of_every_key_type_comes_back_as_it_was),
                cmocka_unit_test(a_report_by_another_key_of_another_ecu_or_spoilt_anywhere_is_refused),
                cmocka_unit_test(a_signed_report_with_anything_amiss_is_refused),
                cmocka_unit_test(a_report_has_one_signature_and_a_largest_size),
                cmocka_unit_test(what_a_report_may_leave_out_is_left_at_nothing),
                cmocka_unit_test(nothing_known_is_written_as_the_field_does),
                cmocka_unit_test(a_report_says_all_that_it_must),
                cmocka_unit_test(a_manifest_says_whose_it_is_and_holds_the_reports),
                cmocka_unit_test(a_report_that_cannot_be_read_is_named_and_nothing_is_signed),
                cmocka_unit_test(an_old_report_is_said_to_be_one),
                cmocka_unit_test(a_report_of_the_installation_needs_a_correlation_id),
                cmocka_unit_test(the_registration_names_the_primary_first),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
