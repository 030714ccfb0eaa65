/* SPDX-License-Identifier: Apache-2.0 */
/* What all roles have in common, Timestamp and Snapshot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "document.h"

#define SHA256_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA512_ABC \
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
#define TIMESTAMP(entry) "{" HEADER("Timestamp") ",\"meta\":{\"snapshot.json\":" entry "}}"
#define SNAPSHOT(meta) "{" HEADER("Snapshot") ",\"meta\":{" meta "}}"
#define GOOD_TIMESTAMP TIMESTAMP("{\"version\":4,\"length\":3,\"hashes\":{\"sha256\":\"" SHA256_ABC "\"}}")

/* ---- all roles ---- */

static void a_document_has_its_version_and_its_expiry(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(ROLE_TIMESTAMP, GOOD_TIMESTAMP);

        assert_int_equal(m->role, ROLE_TIMESTAMP);
        assert_int_equal(m->version, 3);
        assert_int_equal(m->expires, 2051222400);
}

static void a_type_is_read_in_any_letter_case(void **state)
{
        static const char *const types[] = { "Snapshot", "snapshot", "SNAPSHOT", "snapShot" };

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                cleanup_free char *body = xasprintf("{\"_type\":\"%s\",\"expires\":\"2035-01-01T00:00:00Z\",\"version\":1,\"meta\":{}}", types[i]);
                CLEANUP(metadata_free) Metadata *m = document_good(ROLE_SNAPSHOT, body);

                assert_int_equal(m->version, 1);
        }
}

static void no_role_takes_the_place_of_another(void **state)
{
        static const char *const types[] = { "Root", "Timestamp", "Snapshot", "Targets", "Offline-Snapshot", "Offline-Updates", "Mirrors", "" };

        for (unsigned role = 0; role < _ROLE_MAX; role++)
                for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                        cleanup_free char *body = xasprintf("{\"_type\":\"%s\",\"expires\":\"2035-01-01T00:00:00Z\",\"version\":1}", types[i]);

                        if (i != role)
                                document_refused((Role) role, body, ERR_WRONG_ROLE, role_name((Role) role));
                }
}

/* Uptane 5.2.1 (d, e, f): role, expiry and version */
static void a_bad_header_is_refused(void **state)
{
        static const struct {
                const char *header, *what;
        } table[] = {
                { "\"expires\":\"2035-01-01T00:00:00Z\",\"version\":1", "snapshot._type is missing" },
                { "\"_type\":1,\"expires\":\"2035-01-01T00:00:00Z\",\"version\":1", "snapshot._type is no string" },
                { "\"_type\":\"Snapshot\",\"version\":1", "snapshot.expires is missing" },
                { "\"_type\":\"Snapshot\",\"expires\":2051222400,\"version\":1", "snapshot.expires is no string" },
                { "\"_type\":\"Snapshot\",\"expires\":\"never\",\"version\":1", "snapshot.expires: 'never'" },
                { "\"_type\":\"Snapshot\",\"expires\":\"2035-02-30T00:00:00Z\",\"version\":1", "snapshot.expires" },
                { "\"_type\":\"Snapshot\",\"expires\":\"2035-01-01T00:00:00+02:00\",\"version\":1", "snapshot.expires" },
                { "\"_type\":\"Snapshot\",\"expires\":\"2035-01-01T00:00:00Z\"", "snapshot.version is missing" },
                { "\"_type\":\"Snapshot\",\"expires\":\"2035-01-01T00:00:00Z\",\"version\":0", "versions start at 1" },
                { "\"_type\":\"Snapshot\",\"expires\":\"2035-01-01T00:00:00Z\",\"version\":-1", "snapshot.version is negative" },
                { "\"_type\":\"Snapshot\",\"expires\":\"2035-01-01T00:00:00Z\",\"version\":\"1\"", "snapshot.version is no integer" },
                { "\"_type\":\"Snapshot\",\"expires\":\"2035-01-01T00:00:00Z\",\"version\":1.0", "snapshot.version is no integer" },
                { "\"_type\":\"Snapshot\",\"expires\":\"2035-01-01T00:00:00Z\",\"version\":null", "snapshot.version is no integer" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *body = xasprintf("{%s,\"meta\":{}}", table[i].header);

                document_refused(ROLE_SNAPSHOT, body, ERR_MALFORMED, table[i].what);
        }
}

static void the_highest_version_is_int64_max(void **state)
{
        CLEANUP(metadata_free) Metadata *m =
                document_good(ROLE_SNAPSHOT, "{\"_type\":\"Snapshot\",\"expires\":\"2035-01-01T00:00:00.5Z\","
                                             "\"version\":9223372036854775807,\"meta\":{}}");

        assert_true(m->version == INT64_MAX);
        assert_int_equal(m->expires, 2051222400);
        document_refused(ROLE_SNAPSHOT, "{\"_type\":\"Snapshot\",\"expires\":\"2035-01-01T00:00:00Z\",\"version\":9223372036854775808,\"meta\":{}}",
                         ERR_MALFORMED, "not valid JSON");
}

/* Nobody's file is read without end. */
static void a_document_of_each_role_is_bounded_before_it_is_read(void **state)
{
        static const size_t sizes[] = { 256 * 1024, 64 * 1024, 1024 * 1024, 16 * 1024 * 1024 };

        for (unsigned role = 0; role < _ROLE_MAX; role++) {
                size_t n = role_bytes_max((Role) role);
                cleanup_free char *text = xcalloc(1, ROLE_BYTES_MAX + 1);
                Metadata *m = NULL;
                Error error = { 0 };

                assert_int_equal(n, sizes[role]);
                assert_int_equal(metadata_parse((Role) role, slice(text, ROLE_BYTES_MAX + 1), &m, &error), -1);
                assert_int_equal(error.code, ERR_TOO_LARGE);
                assert_non_null(strstr(error.message, role_name((Role) role)));
        }
}

static void unknown_members_are_passed_over(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(
                ROLE_SNAPSHOT, "{" HEADER("Snapshot") ",\"spec_version\":\"1.0\",\"x\":{\"y\":[1.5,null]},"
                               "\"meta\":{\"a.json\":{\"version\":1,\"z\":2}}}");

        assert_int_equal(m->snapshot.n_files, 1);
}

/* ---- Timestamp ---- */

static void a_timestamp_describes_one_snapshot(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(ROLE_TIMESTAMP, GOOD_TIMESTAMP);
        CLEANUP(metadata_free) Metadata *without_length = document_good(
                ROLE_TIMESTAMP, TIMESTAMP("{\"version\":4,\"hashes\":{\"sha512\":\"" SHA512_ABC "\",\"blake2b\":\"00\"}}"));

        assert_string_equal(m->timestamp.snapshot.name, "snapshot.json");
        assert_int_equal(m->timestamp.snapshot.version, 4);
        assert_int_equal(m->timestamp.snapshot.length, 3);
        assert_true(m->timestamp.snapshot.has_hashes && m->timestamp.snapshot.hashes.has_sha256 && !m->timestamp.snapshot.hashes.has_sha512);
        assert_int_equal(without_length->timestamp.snapshot.length, -1);
        assert_true(without_length->timestamp.snapshot.hashes.has_sha512 && !without_length->timestamp.snapshot.hashes.has_sha256);
}

/* Uptane 5.2.5 (a): name and version of the Snapshot */
static void a_timestamp_without_what_it_must_say_is_refused(void **state)
{
        static const struct {
                const char *body;
                ErrorCode code;
                const char *what;
        } table[] = {
                { "{" HEADER("Timestamp") "}", ERR_MALFORMED, "timestamp.meta is missing" },
                { "{" HEADER("Timestamp") ",\"meta\":[]}", ERR_MALFORMED, "timestamp.meta is no object" },
                { "{" HEADER("Timestamp") ",\"meta\":{}}", ERR_MALFORMED, "snapshot.json is missing" },
                { "{" HEADER("Timestamp") ",\"meta\":{\"targets.json\":{\"version\":1}}}", ERR_MALFORMED, "snapshot.json is missing" },
                { TIMESTAMP("null"), ERR_MALFORMED, "snapshot.json is no object" },
                { TIMESTAMP("{\"hashes\":{\"sha256\":\"" SHA256_ABC "\"}}"), ERR_MALFORMED, "snapshot.json.version is missing" },
                { TIMESTAMP("{\"version\":0,\"hashes\":{\"sha256\":\"" SHA256_ABC "\"}}"), ERR_MALFORMED, "versions start at 1" },
                { TIMESTAMP("{\"version\":4,\"length\":-1,\"hashes\":{\"sha256\":\"" SHA256_ABC "\"}}"), ERR_MALFORMED, "length is negative" },
                { TIMESTAMP("{\"version\":4,\"length\":\"3\",\"hashes\":{\"sha256\":\"" SHA256_ABC "\"}}"), ERR_MALFORMED, "length is no integer" },
                { TIMESTAMP("{\"version\":4,\"hashes\":{}}"), ERR_UNSUPPORTED, "neither sha256 nor sha512" },
                { TIMESTAMP("{\"version\":4,\"hashes\":{\"md5\":\"00\"}}"), ERR_UNSUPPORTED, "neither sha256 nor sha512" },
                { TIMESTAMP("{\"version\":4,\"hashes\":[]}"), ERR_MALFORMED, "hashes is no object" },
                { TIMESTAMP("{\"version\":4,\"hashes\":{\"sha256\":\"ba78\"}}"), ERR_MALFORMED, "sha256" },
                { TIMESTAMP("{\"version\":4,\"hashes\":{\"sha256\":null}}"), ERR_MALFORMED, "sha256 is no string" },
                { TIMESTAMP("{\"version\":4,\"hashes\":{\"sha256\":\"" SHA256_ABC "00\"}}"), ERR_MALFORMED, "sha256" },
                { TIMESTAMP("{\"version\":4,\"hashes\":{\"sha256\":\"" SHA256_ABC "\",\"sha512\":\"\"}}"), ERR_MALFORMED, "sha512" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                document_refused(ROLE_TIMESTAMP, table[i].body, table[i].code, table[i].what);
}

/* ---- Snapshot ---- */

static void a_snapshot_finds_its_files_by_name(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(
                ROLE_SNAPSHOT, SNAPSHOT("\"targets.json\":{\"version\":7,\"length\":null},\"a.json\":{\"version\":1,\"length\":9},"
                                "\"root.json\":{\"version\":2,\"hashes\":{\"sha256\":\"" SHA256_ABC "\"}}"));

        assert_int_equal(m->snapshot.n_files, 3);
        assert_int_equal(snapshot_find(&m->snapshot, "targets.json")->version, 7);
        assert_int_equal(snapshot_find(&m->snapshot, "targets.json")->length, -1);
        assert_false(snapshot_find(&m->snapshot, "targets.json")->has_hashes);
        assert_int_equal(snapshot_find(&m->snapshot, "a.json")->length, 9);
        assert_true(snapshot_find(&m->snapshot, "root.json")->has_hashes);
        assert_null(snapshot_find(&m->snapshot, "target.json"));
        assert_null(snapshot_find(&m->snapshot, ""));
}

static void an_empty_snapshot_has_no_files(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(ROLE_SNAPSHOT, SNAPSHOT(""));

        assert_int_equal(m->snapshot.n_files, 0);
        assert_null(snapshot_find(&m->snapshot, "targets.json"));
}

/* Uptane 5.2.1 (g): what the role is there for */
static void a_bad_snapshot_is_refused(void **state)
{
        document_refused(ROLE_SNAPSHOT, "{" HEADER("Snapshot") "}", ERR_MALFORMED, "snapshot.meta is missing");
        document_refused(ROLE_SNAPSHOT, "{" HEADER("Snapshot") ",\"meta\":[]}", ERR_MALFORMED, "snapshot.meta is no object");
        document_refused(ROLE_SNAPSHOT, SNAPSHOT("\"a.json\":7"), ERR_MALFORMED, "meta.a.json is no object");
        document_refused(ROLE_SNAPSHOT, SNAPSHOT("\"a.json\":{}"), ERR_MALFORMED, "a.json.version is missing");
        document_refused(ROLE_SNAPSHOT, SNAPSHOT("\"a.json\":{\"version\":0}"), ERR_MALFORMED, "versions start at 1");
        document_refused(ROLE_SNAPSHOT, SNAPSHOT("\"a.json\":{\"version\":1},\"a.json\":{\"version\":2}"), ERR_MALFORMED, "not valid JSON");
        document_refused(ROLE_SNAPSHOT, SNAPSHOT("\"a.json\":{\"version\":1,\"hashes\":{\"sha256\":\"xy\"}}"), ERR_MALFORMED, "sha256");
}

static void the_files_of_a_snapshot_are_bounded(void **state)
{
        for (unsigned n = SNAPSHOT_META_MAX; n <= SNAPSHOT_META_MAX + 1; n++) {
                cleanup_buffer Buffer b = { 0 };

                buffer_put_str(&b, "{" HEADER("Snapshot") ",\"meta\":{");
                for (unsigned i = 0; i < n; i++)
                        buffer_printf(&b, "%s\"%u\":{\"version\":%u}", i ? "," : "", i, i + 1);
                buffer_put_str(&b, "}}");
                if (n <= SNAPSHOT_META_MAX) {
                        CLEANUP(metadata_free) Metadata *m = document_good(ROLE_SNAPSHOT, buffer_str(&b));

                        for (unsigned i = 0; i < n; i += 97) {
                                char name[16];

                                (void) snprintf(name, sizeof name, "%u", i);
                                assert_int_equal(snapshot_find(&m->snapshot, name)->version, i + 1);
                        }
                } else
                        document_refused(ROLE_SNAPSHOT, buffer_str(&b), ERR_MALFORMED, "snapshot.meta has more than the 20000 members");
        }
}

/* ---- a file beside its description ---- */

static FileMeta describe(const char *hashed, int64_t length)
{
        FileMeta meta = { .name = "x.json", .version = 1, .length = length, .has_hashes = hashed != NULL };

        if (hashed)
                digest_hashes(slice_str(hashed), &meta.hashes);
        return meta;
}

static void a_file_matches_its_length_and_all_its_hashes(void **state)
{
        FileMeta good = describe("abc", 3), only_length = describe(NULL, 3), only_hash = describe("abc", -1), nothing = describe(NULL, -1),
                bad512 = good;

        bad512.hashes.sha512[0] ^= 1;
        assert_true(file_meta_matches(&good, slice_str("abc")));
        assert_false(file_meta_matches(&good, slice_str("abd")));
        assert_false(file_meta_matches(&good, slice_str("abcd")));
        assert_false(file_meta_matches(&good, SLICE_NONE));
        assert_true(file_meta_matches(&only_length, slice_str("xyz")));
        assert_false(file_meta_matches(&only_length, slice_str("xy")));
        assert_true(file_meta_matches(&only_hash, slice_str("abc")));
        assert_false(file_meta_matches(&only_hash, slice_str("abcabc")));
        assert_true(file_meta_matches(&nothing, slice_str("anything")));
        assert_false(file_meta_matches(&bad512, slice_str("abc")));
        bad512.hashes.has_sha512 = false;
        assert_true(file_meta_matches(&bad512, slice_str("abc")));
}

static void a_file_may_match_by_its_canonical_form(void **state)
{
        static const char received[] = "{ \"b\": \"\xc3\xa4\", \"a\": 1 }", utf8[] = "{\"a\":1,\"b\":\"\xc3\xa4\"}",
                ascii[] = "{\"a\":1,\"b\":\"\\u00e4\"}";
        static const char *const forms[] = { received, utf8, ascii };

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                FileMeta of_form = describe(forms[i], (int64_t) strlen(forms[i])), of_both = describe(forms[i], (int64_t) strlen(received)),
                         other = describe("{\"a\":2}", (int64_t) strlen(received)), length = describe(forms[i], 7);

                assert_true(file_meta_matches(&of_form, slice_str(received)));
                assert_true(file_meta_matches(&of_both, slice_str(received)));
                assert_false(file_meta_matches(&other, slice_str(received)));
                assert_false(file_meta_matches(&length, slice_str(received)));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_document_has_its_version_and_its_expiry),
                cmocka_unit_test(a_type_is_read_in_any_letter_case),
                cmocka_unit_test(no_role_takes_the_place_of_another),
                cmocka_unit_test(a_bad_header_is_refused),
                cmocka_unit_test(the_highest_version_is_int64_max),
                cmocka_unit_test(a_document_of_each_role_is_bounded_before_it_is_read),
                cmocka_unit_test(unknown_members_are_passed_over),
                cmocka_unit_test(a_timestamp_describes_one_snapshot),
                cmocka_unit_test(a_timestamp_without_what_it_must_say_is_refused),
                cmocka_unit_test(a_snapshot_finds_its_files_by_name),
                cmocka_unit_test(an_empty_snapshot_has_no_files),
                cmocka_unit_test(a_bad_snapshot_is_refused),
                cmocka_unit_test(the_files_of_a_snapshot_are_bounded),
                cmocka_unit_test(a_file_matches_its_length_and_all_its_hashes),
                cmocka_unit_test(a_file_may_match_by_its_canonical_form),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
