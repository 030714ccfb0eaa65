/* SPDX-License-Identifier: Apache-2.0 */
/* The four roles: what is read, and everything that is refused before anybody could believe it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metadata/role.h"

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

static ErrorCode parse(Role role, const char *body, Metadata **ret)
{
        cleanup_free char *text = xasprintf("{\"signatures\":[],\"signed\":{%s}}", body);
        Error error = { 0 };

        return metadata_parse(role, slice_str(text), ret, &error) < 0 ? error.code : ERR_NONE;
}

static void must(Role role, ErrorCode expected, const char *body)
{
        CLEANUP(metadata_free) Metadata *m = NULL;
        ErrorCode code = parse(role, body, &m);

        if (code != expected)
                fail_msg("%s: %s", body, code ? error_info(code)->name : "was taken");
}

#define HEAD(type) "\"_type\":\"" type "\",\"version\":1,\"expires\":\"2030-01-01T00:00:00Z\","

static void the_header_is_checked_for_every_role(void **state)
{
        (void) state;
        must(ROLE_TARGETS, ERR_NONE, HEAD("Targets") "\"targets\":{}");
        must(ROLE_TARGETS, ERR_NONE, HEAD("targets") "\"targets\":{}");
        must(ROLE_TARGETS, ERR_WRONG_ROLE, HEAD("Root") "\"targets\":{}");
        must(ROLE_TARGETS, ERR_MALFORMED, "\"version\":1,\"expires\":\"2030-01-01T00:00:00Z\",\"targets\":{}");
        must(ROLE_TARGETS, ERR_MALFORMED, "\"_type\":\"Targets\",\"expires\":\"2030-01-01T00:00:00Z\",\"targets\":{}");
        must(ROLE_TARGETS, ERR_MALFORMED, "\"_type\":\"Targets\",\"version\":0,\"expires\":\"2030-01-01T00:00:00Z\",\"targets\":{}");
        must(ROLE_TARGETS, ERR_MALFORMED, "\"_type\":\"Targets\",\"version\":-1,\"expires\":\"2030-01-01T00:00:00Z\",\"targets\":{}");
        must(ROLE_TARGETS, ERR_MALFORMED, "\"_type\":\"Targets\",\"version\":1.0,\"expires\":\"2030-01-01T00:00:00Z\",\"targets\":{}");
        must(ROLE_TARGETS, ERR_MALFORMED, "\"_type\":\"Targets\",\"version\":\"1\",\"expires\":\"2030-01-01T00:00:00Z\",\"targets\":{}");
        must(ROLE_TARGETS, ERR_MALFORMED, "\"_type\":\"Targets\",\"version\":1,\"expires\":\"tomorrow\",\"targets\":{}");
        must(ROLE_TARGETS, ERR_MALFORMED, HEAD("Targets") "\"targets\":[]");
}

static void more_bytes_than_a_role_may_have_are_refused(void **state)
{
        cleanup_free char *text = xcalloc(ROLE_TIMESTAMP_BYTES_MAX + 2, 1);
        Error error = { 0 };
        Metadata *m;

        (void) state;
        memset(text, ' ', ROLE_TIMESTAMP_BYTES_MAX + 1);
        assert_int_equal(metadata_parse(ROLE_TIMESTAMP, slice_str(text), &m, &error), -1);
        assert_int_equal(error.code, ERR_TOO_LARGE);
}

#define ED "\"k\":{\"keytype\":\"ed25519\",\"keyval\":{\"public\":\"" KEY "\"}}"
#define ROLES(root, targets) HEAD("Root") "\"keys\":{" ED "},\"roles\":{\"root\":" root ",\"targets\":" targets "}"
#define ONE "{\"keyids\":[\"k\"],\"threshold\":1}"

static void a_root_needs_thresholds_that_mean_something(void **state)
{
        static const char *const bad[] = { "{\"keyids\":[\"k\"],\"threshold\":0}", "{\"keyids\":[\"k\"],\"threshold\":-1}", "{\"keyids\":[\"k\"],\"threshold\":2}",
                                           "{\"keyids\":[\"k\"],\"threshold\":1.5}", "{\"keyids\":[\"k\"],\"threshold\":\"1\"}", "{\"keyids\":[\"k\"],\"threshold\":null}",
                                           "{\"keyids\":[\"k\"]}", "{\"keyids\":[],\"threshold\":1}", "{\"keyids\":[\"k\",\"k\"],\"threshold\":1}",
                                           "{\"keyids\":[\"x\"],\"threshold\":1}", "{\"keyids\":[1],\"threshold\":1}", "{\"threshold\":1}", "[]" };

        (void) state;
        must(ROLE_ROOT, ERR_NONE, ROLES(ONE, ONE));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cleanup_free char *root = xasprintf(HEAD("Root") "\"keys\":{" ED "},\"roles\":{\"root\":%s,\"targets\":" ONE "}", bad[i]);
                cleanup_free char *targets = xasprintf(HEAD("Root") "\"keys\":{" ED "},\"roles\":{\"root\":" ONE ",\"targets\":%s}", bad[i]);

                must(ROLE_ROOT, ERR_MALFORMED, root);
                must(ROLE_ROOT, ERR_MALFORMED, targets);
        }
        must(ROLE_ROOT, ERR_MALFORMED, HEAD("Root") "\"keys\":{" ED "},\"roles\":{\"root\":" ONE "}");
        must(ROLE_ROOT, ERR_MALFORMED, HEAD("Root") "\"keys\":{},\"roles\":{}");
}

static void unknown_roles_and_key_types_in_a_root_do_no_harm(void **state)
{
        CLEANUP(metadata_free) Metadata *m = NULL;

        (void) state;
        assert_int_equal(parse(ROLE_ROOT, HEAD("Root") "\"keys\":{" ED ",\"q\":{\"keytype\":\"sphincs\",\"keyval\":{\"public\":\"?\"}}},"
                               "\"roles\":{\"root\":{\"keyids\":[\"q\",\"k\"],\"threshold\":1},\"targets\":" ONE ",\"offline-updates\":{\"what\":1}}", &m), ERR_NONE);
        assert_int_equal(m->root.keys[ROLE_ROOT].n_entries, 2);
        assert_null(m->root.keys[ROLE_ROOT].entries[0].key);
        assert_non_null(m->root.keys[ROLE_ROOT].entries[1].key);
        assert_false(m->root.has[ROLE_TIMESTAMP]);
        must(ROLE_ROOT, ERR_MALFORMED, HEAD("Root") "\"keys\":{\"k\":{\"keytype\":\"ed25519\",\"keyval\":{\"public\":\"00\"}}},\"roles\":{\"root\":" ONE ",\"targets\":" ONE "}");
}

static void names_that_could_leave_a_folder_are_refused(void **state)
{
        static const char *const bad[] = { "", "/etc/passwd", "..", "../x", "a/../b", "a/..", "a\\nb", "a\\u007fb" };
        static const char *const good[] = { "a", "a..b", "..a/b..", "a/b/c", "\xc3\xa4", "a b" };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cleanup_free char *body = xasprintf(HEAD("Targets") "\"targets\":{\"%s\":{\"length\":1,\"hashes\":{\"sha256\":\"" SHA "\"}}}", bad[i]);

                must(ROLE_TARGETS, ERR_MALFORMED, body);
        }
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                cleanup_free char *body = xasprintf(HEAD("Targets") "\"targets\":{\"%s\":{\"length\":1,\"hashes\":{\"sha256\":\"" SHA "\"}}}", good[i]);

                must(ROLE_TARGETS, ERR_NONE, body);
        }
}

static void target(ErrorCode expected, const char *rest)
{
        cleanup_free char *body = xasprintf(HEAD("Targets") "\"targets\":{\"t\":{%s}}", rest);

        must(ROLE_TARGETS, expected, body);
}

#define OKHASH "\"hashes\":{\"sha256\":\"" SHA "\"}"

static void a_target_is_read_completely_or_not_at_all(void **state)
{
        (void) state;
        target(ERR_MALFORMED, OKHASH);
        target(ERR_MALFORMED, "\"length\":-1," OKHASH);
        target(ERR_MALFORMED, "\"length\":1");
        target(ERR_MALFORMED, "\"length\":1,\"hashes\":{\"sha256\":\"00\"}");
        target(ERR_UNSUPPORTED, "\"length\":1,\"hashes\":{}");
        target(ERR_UNSUPPORTED, "\"length\":1,\"hashes\":{\"md5\":\"00\"}");
        target(ERR_NONE, "\"length\":1,\"hashes\":{\"md5\":\"00\",\"sha256\":\"" SHA "\"}");
        target(ERR_NONE, "\"length\":1," OKHASH ",\"custom\":null");
        target(ERR_NONE, "\"length\":1," OKHASH ",\"custom\":{\"price\":1.5,\"uri\":null,\"ecuIdentifiers\":null}");
        target(ERR_MALFORMED, "\"length\":1," OKHASH ",\"custom\":[]");
        target(ERR_MALFORMED, "\"length\":1," OKHASH ",\"custom\":{\"ecuIdentifiers\":[]}");
        target(ERR_MALFORMED, "\"length\":1," OKHASH ",\"custom\":{\"ecuIdentifiers\":{\"s\":{}}}");
        target(ERR_MALFORMED, "\"length\":1," OKHASH ",\"custom\":{\"ecuIdentifiers\":{\"\":{\"hardwareId\":\"h\"}}}");
        target(ERR_MALFORMED, "\"length\":1," OKHASH ",\"custom\":{\"hardwareIds\":[1]}");
        target(ERR_MALFORMED, "\"length\":1," OKHASH ",\"custom\":{\"hardwareIds\":\"h\"}");
        target(ERR_MALFORMED, "\"length\":1," OKHASH ",\"custom\":{\"releaseCounter\":\"1\"}");
        target(ERR_MALFORMED, "\"length\":1," OKHASH ",\"custom\":{\"releaseCounter\":-1}");
        target(ERR_UNSUPPORTED, "\"length\":1," OKHASH ",\"custom\":{\"targetFormat\":\"DOCKER\"}");
}

static void what_a_target_says_is_found(void **state)
{
        CLEANUP(metadata_free) Metadata *m = NULL;
        const Target *t;

        (void) state;
        assert_int_equal(parse(ROLE_TARGETS, HEAD("Targets") "\"custom\":{\"correlationId\":\"urn:1\"},\"targets\":{\"b\":{\"length\":5," OKHASH
                               ",\"custom\":{\"ecuIdentifiers\":{\"s\":{\"hardwareId\":\"h\"}},\"hardwareIds\":[\"h\",\"i\"],\"releaseCounter\":3,"
                               "\"uri\":\"https://example.com/\",\"targetFormat\":\"ostree\",\"version\":\"v\"}},\"a\":{\"length\":1," OKHASH "}}", &m), ERR_NONE);
        assert_string_equal(m->targets.correlation_id, "urn:1");
        assert_null(targets_find(&m->targets, "c"));
        assert_non_null(targets_find(&m->targets, "a"));
        t = targets_find(&m->targets, "b");
        assert_int_equal(t->n_ecus, 1);
        assert_string_equal(t->ecus[0].hardware_id, "h");
        assert_int_equal(t->n_hardware_ids, 2);
        assert_int_equal(t->release_counter, 3);
        assert_null(t->uri); /* a placeholder of some back-ends */
        assert_int_equal(t->format, TARGET_FORMAT_OSTREE);
        assert_string_equal(t->version, "v");
}

static void timestamp_and_snapshot_list_files_with_versions(void **state)
{
        CLEANUP(metadata_free) Metadata *m = NULL;

        (void) state;
        must(ROLE_TIMESTAMP, ERR_NONE, HEAD("Timestamp") "\"meta\":{\"snapshot.json\":{\"version\":1,\"length\":5," OKHASH "}}");
        must(ROLE_TIMESTAMP, ERR_MALFORMED, HEAD("Timestamp") "\"meta\":{\"snapshot.json\":{\"version\":1}}");
        must(ROLE_TIMESTAMP, ERR_MALFORMED, HEAD("Timestamp") "\"meta\":{}");
        must(ROLE_SNAPSHOT, ERR_MALFORMED, HEAD("Snapshot") "\"meta\":{\"targets.json\":{}}");
        must(ROLE_SNAPSHOT, ERR_MALFORMED, HEAD("Snapshot") "\"meta\":{\"targets.json\":1}");
        assert_int_equal(parse(ROLE_SNAPSHOT, HEAD("Snapshot") "\"meta\":{\"z.json\":{\"version\":9},\"targets.json\":{\"version\":2,\"length\":null}}", &m), ERR_NONE);
        assert_int_equal(snapshot_find(&m->snapshot, "targets.json")->version, 2);
        assert_int_equal(snapshot_find(&m->snapshot, "targets.json")->length, -1);
        assert_null(snapshot_find(&m->snapshot, "y.json"));
}

static void a_listed_file_is_known_by_its_bytes_or_its_canonical_form(void **state)
{
        static const char pretty[] = "{ \"a\" : 1 }", canonical[] = "{\"a\":1}";
        FileMeta meta = { .length = sizeof pretty - 1, .has_hashes = true };

        (void) state;
        digest_hashes(slice_str(pretty), &meta.hashes);
        assert_true(file_meta_matches(&meta, slice_str(pretty)));
        digest_hashes(slice_str(canonical), &meta.hashes);
        assert_true(file_meta_matches(&meta, slice_str(pretty)));
        meta.length = sizeof canonical - 1;
        assert_true(file_meta_matches(&meta, slice_str(pretty)));
        assert_false(file_meta_matches(&meta, slice_str("{ \"a\" : 2 }")));
        meta.length = 3;
        assert_false(file_meta_matches(&meta, slice_str(pretty)));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_header_is_checked_for_every_role),
                cmocka_unit_test(more_bytes_than_a_role_may_have_are_refused),
                cmocka_unit_test(a_root_needs_thresholds_that_mean_something),
                cmocka_unit_test(unknown_roles_and_key_types_in_a_root_do_no_harm),
                cmocka_unit_test(names_that_could_leave_a_folder_are_refused),
                cmocka_unit_test(a_target_is_read_completely_or_not_at_all),
                cmocka_unit_test(what_a_target_says_is_found),
                cmocka_unit_test(timestamp_and_snapshot_list_files_with_versions),
                cmocka_unit_test(a_listed_file_is_known_by_its_bytes_or_its_canonical_form),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
