/* SPDX-License-Identifier: Apache-2.0 */
/* Targets of both repositories, with what the device API puts into "custom". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "document.h"

#define HASHES "\"hashes\":{\"sha256\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}"
#define TARGETS(list) "{" HEADER("Targets") ",\"targets\":{" list "}}"
#define PLAIN "{\"length\":3," HASHES "}"
#define CUSTOM(custom) TARGETS("\"a\":{\"length\":3," HASHES ",\"custom\":" custom "}")

static void an_image_of_the_image_repository_has_its_hardware_ids(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(
                ROLE_TARGETS,
                CUSTOM("{\"name\":\"agl\",\"version\":\"1.2\",\"hardwareIds\":[\"m3ulcb\",\"rpi4\"],\"targetFormat\":\"OSTREE\","
                       "\"uri\":\"https://x.example/a\","
                       "\"createdAt\":\"2026-01-01T00:00:00Z\",\"cliUploaded\":true,\"releaseCounter\":5,\"weight\":1.5}"));
        const Target *t = targets_find(&m->targets, "a");

        assert_non_null(t);
        assert_string_equal(t->name, "a");
        assert_int_equal(t->length, 3);
        assert_true(t->hashes.has_sha256 && !t->hashes.has_sha512);
        assert_int_equal(t->n_hardware_ids, 2);
        assert_string_equal(t->hardware_ids[1], "rpi4");
        assert_int_equal(t->n_ecus, 0);
        assert_int_equal(t->release_counter, 5);
        assert_string_equal(t->uri, "https://x.example/a");
        assert_int_equal(t->format, TARGET_FORMAT_OSTREE);
        assert_string_equal(t->version, "1.2");
        assert_null(m->targets.correlation_id);
        assert_false(targets_delegate(&m->targets));
}

static void an_assignment_of_the_director_has_its_ecus(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(
                ROLE_TARGETS, "{" HEADER("Targets") ",\"custom\":{\"correlationId\":\"urn:here-ota:mtu:1\"},\"targets\":{\"a\":{\"length\":3," HASHES
                              ",\"custom\":{\"ecuIdentifiers\":{\"P1\":{\"hardwareId\":\"m3ulcb\"},\"S1\":{\"hardwareId\":\"rpi4\",\"x\":1}},"
                              "\"uri\":null,\"userDefinedCustom\":null}}}}");
        const Target *t = targets_find(&m->targets, "a");

        assert_int_equal(t->n_ecus, 2);
        for (size_t i = 0; i < t->n_ecus; i++)
                assert_string_equal(t->ecus[i].hardware_id, strcmp(t->ecus[i].serial, "P1") == 0 ? "m3ulcb" : "rpi4");
        assert_string_equal(m->targets.correlation_id, "urn:here-ota:mtu:1");
}

static void no_assignment_is_a_good_document(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(ROLE_TARGETS, TARGETS(""));

        assert_int_equal(m->targets.n_targets, 0);
        assert_null(targets_find(&m->targets, "a"));
}

static void what_is_absent_or_null_is_absent(void **state)
{
        static const char *const bodies[] = {
                TARGETS("\"a\":" PLAIN), CUSTOM("null"), CUSTOM("{}"),
                CUSTOM("{\"ecuIdentifiers\":null,\"hardwareIds\":null,\"releaseCounter\":null,\"uri\":null,\"targetFormat\":null,\"version\":null}"),
        };

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                CLEANUP(metadata_free) Metadata *m = document_good(ROLE_TARGETS, bodies[i]);
                const Target *t = targets_find(&m->targets, "a");

                assert_int_equal(t->n_ecus, 0);
                assert_int_equal(t->n_hardware_ids, 0);
                assert_int_equal(t->release_counter, -1);
                assert_null(t->uri);
                assert_null(t->version);
                assert_int_equal(t->format, TARGET_FORMAT_UNSPECIFIED);
        }
}

static void kernel_arguments_are_words_in_a_list_of_bounded_length(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(ROLE_TARGETS, CUSTOM("{\"kernelArguments\":[\"quiet\",\"isolcpus=1,2\"]}"));
        CLEANUP(metadata_free) Metadata *none = document_good(ROLE_TARGETS, CUSTOM("{\"kernelArguments\":[]}"));
        static const char *const bad[] = { "\"quiet\"", "[1]", "[\"\"]", "[\"a b\"]", "[\"a\\n\"]", "[\"a\\\"b\"]", "[\"a;b\"]", "[\"\u00e9\"]",
                                           "[null]", "{}" };
        char many[8192] = "[", *p = many + 1;

        assert_string_equal(targets_find(&m->targets, "a")->kernel_arguments, "quiet isolcpus=1,2");
        assert_null(targets_find(&none->targets, "a")->kernel_arguments);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cleanup_free char *body = xasprintf(CUSTOM("{\"kernelArguments\":%s}"), bad[i]);

                document_refused(ROLE_TARGETS, body, ERR_MALFORMED, "kernelArguments");
        }
        for (unsigned i = 0; i < 5; i++) { /* each is short enough, there are not too many of them */
                cleanup_free char *body = NULL;

                p += snprintf(p, (size_t) (many + sizeof many - p), "%s\"%u=%0*d\"", i ? "," : "", i, i < 4 ? 250 : 17, 0);
                body = xasprintf(CUSTOM("{\"kernelArguments\":%s]}"), many);
                if (i < 4) {
                        CLEANUP(metadata_free) Metadata *good = document_good(ROLE_TARGETS, body);

                        assert_non_null(good);
                } else
                        document_refused(ROLE_TARGETS, body, ERR_MALFORMED, "kernelArguments");
        }
}

static void a_placeholder_is_no_uri(void **state)
{
        static const struct {
                const char *uri;
                bool used;
        } table[] = { { "https://example.com/", false }, { "", false }, { "https://example.com/a", true }, { "https://example.com", true } };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *body = xasprintf(CUSTOM("{\"uri\":\"%s\"}"), table[i].uri);
                CLEANUP(metadata_free) Metadata *m = document_good(ROLE_TARGETS, body);

                assert_int_equal(targets_find(&m->targets, "a")->uri != NULL, table[i].used);
        }
}

static void a_format_is_read_in_any_letter_case_and_an_unknown_one_kept_apart(void **state)
{
        static const struct {
                const char *text;
                TargetFormat format;
        } table[] = { { "OSTREE", TARGET_FORMAT_OSTREE }, { "ostree", TARGET_FORMAT_OSTREE }, { "BINARY", TARGET_FORMAT_BINARY },
                { "Binary", TARGET_FORMAT_BINARY }, { "DOCKER", TARGET_FORMAT_OTHER }, { "", TARGET_FORMAT_OTHER } };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *body = xasprintf(CUSTOM("{\"targetFormat\":\"%s\"}"), table[i].text);
                CLEANUP(metadata_free) Metadata *m = document_good(ROLE_TARGETS, body);

                assert_int_equal(targets_find(&m->targets, "a")->format, table[i].format);
        }
}

/* For people only: what cannot be shown does not stop an update. */
static void an_odd_version_text_is_not_shown(void **state)
{
        cleanup_free char *text = xcalloc(1, 300), *body = NULL;
        CLEANUP(metadata_free) Metadata *number = document_good(ROLE_TARGETS, CUSTOM("{\"version\":7}")), *lengthy = NULL;

        memset(text, 'x', 257);
        body = xasprintf(CUSTOM("{\"version\":\"%s\"}"), text);
        lengthy = document_good(ROLE_TARGETS, body);
        assert_null(targets_find(&number->targets, "a")->version);
        assert_null(targets_find(&lengthy->targets, "a")->version);
}

/* Uptane 5.2.3.1 (c, d): size and hashes */
static void a_bad_target_is_refused(void **state)
{
        static const struct {
                const char *body;
                ErrorCode code;
                const char *what;
        } table[] = {
                { "{" HEADER("Targets") "}", ERR_MALFORMED, "targets.targets is missing" },
                { "{" HEADER("Targets") ",\"targets\":[]}", ERR_MALFORMED, "targets.targets is no object" },
                { TARGETS("\"a\":null"), ERR_MALFORMED, "targets.a is no object" },
                { TARGETS("\"a\":{" HASHES "}"), ERR_MALFORMED, "targets.a.length is missing" },
                { TARGETS("\"a\":{\"length\":-1," HASHES "}"), ERR_MALFORMED, "targets.a.length is negative" },
                { TARGETS("\"a\":{\"length\":\"3\"," HASHES "}"), ERR_MALFORMED, "targets.a.length is no integer" },
                { TARGETS("\"a\":{\"length\":3}"), ERR_MALFORMED, "targets.a.hashes is missing" },
                { TARGETS("\"a\":{\"length\":3,\"hashes\":{}}"), ERR_UNSUPPORTED, "targets.a.hashes has neither" },
                { TARGETS("\"a\":{\"length\":3,\"hashes\":{\"sha256\":\"00\"}}"), ERR_MALFORMED, "targets.a.sha256" },
                { TARGETS("\"a\":" PLAIN ",\"a\":" PLAIN), ERR_MALFORMED, "not valid JSON" },
                { CUSTOM("[]"), ERR_MALFORMED, "targets.a.custom is no object" },
                { CUSTOM("{\"ecuIdentifiers\":[]}"), ERR_MALFORMED, "ecuIdentifiers is no object" },
                { CUSTOM("{\"ecuIdentifiers\":{\"\":{\"hardwareId\":\"h\"}}}"), ERR_MALFORMED, "an ECU serial of 0 bytes" },
                { CUSTOM("{\"ecuIdentifiers\":{"
                         "\"0123456789012345678901234567890123456789012345678901234567890123x\":{\"hardwareId\":\"h\"}}}"), ERR_MALFORMED,
                  "an ECU serial of 65 bytes" },
                { CUSTOM("{\"ecuIdentifiers\":{\"P\":null}}"), ERR_MALFORMED, "ecuIdentifiers.P is no object" },
                { CUSTOM("{\"ecuIdentifiers\":{\"P\":{}}}"), ERR_MALFORMED, "P.hardwareId is missing" },
                { CUSTOM("{\"ecuIdentifiers\":{\"P\":{\"hardwareId\":1}}}"), ERR_MALFORMED, "P.hardwareId is no string" },
                { CUSTOM("{\"hardwareIds\":\"h\"}"), ERR_MALFORMED, "hardwareIds is no array" },
                { CUSTOM("{\"hardwareIds\":[\"h\",1]}"), ERR_MALFORMED, "entry 2 is no hardware id" },
                { CUSTOM("{\"hardwareIds\":[\"\"]}"), ERR_MALFORMED, "entry 1 is no hardware id" },
                { CUSTOM("{\"releaseCounter\":-1}"), ERR_MALFORMED, "releaseCounter is negative" },
                { CUSTOM("{\"releaseCounter\":9223372036854775807}"), ERR_MALFORMED, "releaseCounter is too large" },
                { CUSTOM("{\"releaseCounter\":1.5}"), ERR_MALFORMED, "releaseCounter is no integer" },
                { CUSTOM("{\"uri\":1}"), ERR_MALFORMED, "uri is no string" },
                { CUSTOM("{\"targetFormat\":1}"), ERR_MALFORMED, "targetFormat is no string" },
                { "{" HEADER("Targets") ",\"targets\":{},\"custom\":1}", ERR_MALFORMED, "targets.custom is no object" },
                { "{" HEADER("Targets") ",\"targets\":{},\"custom\":{\"correlationId\":1}}", ERR_MALFORMED, "correlationId is no string" },
                { "{" HEADER("Targets") ",\"targets\":{},\"delegations\":3}", ERR_MALFORMED, "neither an object nor a list" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                document_refused(ROLE_TARGETS, table[i].body, table[i].code, table[i].what);
}

/* T-43, Uptane 5.2.3.1 (b), Uptane 5.2.7 (3): A name becomes part of a URL and is shown to people. */
static void a_name_stays_in_its_folder_and_is_printable(void **state)
{
        static const struct {
                const char *name;
                bool good;
        } table[] = {
                { "a", true },           { "a/b-1.0.img", true },  { "a b", true },         { "..a", true },        { "a..", true },
                { "a/..b", true },       { "...", true },          { "a/.../b", true },     { "\xc3\xa4", true },   { "\xc2\xa0", true },
                { "", false },           { "/a", false },          { "..", false },         { "../a", false },      { "a/..", false },
                { "a/../b", false },     { "a/b/../../..", false }, { "a\\n", false },      { "\\u0001", false },   { "a\\u001b[31m", false },
                { "\x7f", false },       { "\xc2\x80", false },    { "a\xc2\x9b" "31m", false }, { "\\u0085", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *body = xasprintf(TARGETS("\"%s\":" PLAIN), table[i].name);

                if (table[i].good) {
                        CLEANUP(metadata_free) Metadata *m = document_good(ROLE_TARGETS, body);

                        assert_non_null(targets_find(&m->targets, table[i].name));
                } else
                        document_refused(ROLE_TARGETS, body, ERR_MALFORMED, "target");
        }
}

/* T-43 */
static void a_name_has_at_most_253_bytes(void **state)
{
        for (size_t n = TARGET_NAME_MAX; n <= TARGET_NAME_MAX + 1; n++) {
                cleanup_free char *name = xcalloc(1, n + 1), *body = NULL;

                memset(name, 'a', n);
                body = xasprintf(TARGETS("\"%s\":" PLAIN), name);
                if (n > TARGET_NAME_MAX)
                        document_refused(ROLE_TARGETS, body, ERR_MALFORMED, "254 bytes");
                else
                        metadata_free(document_good(ROLE_TARGETS, body));
        }
}

static void targets_are_found_by_their_whole_name(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(ROLE_TARGETS, TARGETS("\"b\":" PLAIN ",\"a/b\":" PLAIN ",\"a\":" PLAIN ",\"B\":" PLAIN));
        static const char *const there[] = { "b", "a/b", "a", "B" }, *const absent[] = { "", "A", "a/", "a/bc", "c" };

        for (size_t i = 0; i < ELEMENTSOF(there); i++)
                assert_string_equal(targets_find(&m->targets, there[i])->name, there[i]);
        for (size_t i = 0; i < ELEMENTSOF(absent); i++)
                assert_null(targets_find(&m->targets, absent[i]));
}

static void no_delegations_can_be_said_in_several_ways(void **state)
{
        static const struct {
                const char *delegations;
                bool has;
        } table[] = {
                { "null", false },
                { "{}", false },
                { "{\"keys\":{},\"roles\":[]}", false },
                { "{\"keys\":{},\"roles\":null}", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *body = xasprintf("{" HEADER("Targets") ",\"targets\":{},\"delegations\":%s}", table[i].delegations);
                CLEANUP(metadata_free) Metadata *m = document_good(ROLE_TARGETS, body);

                assert_int_equal(targets_delegate(&m->targets), table[i].has);
        }
}

/* before, n times a name and entry, after */
static char *many(unsigned n, const char *before, const char *entry, const char *after)
{
        Buffer b = { 0 };

        buffer_put_str(&b, before);
        for (unsigned i = 0; i < n; i++)
                buffer_printf(&b, "%s\"e%u\"%s", i ? "," : "", i, entry);
        buffer_put_str(&b, after);
        (void) buffer_str(&b);
        return (char *) b.data;
}

static void all_lists_are_bounded(void **state)
{
        static const struct {
                unsigned max;
                const char *before, *entry, *after, *what;
        } table[] = {
                { TARGET_ECUS_MAX, "{" HEADER("Targets") ",\"targets\":{\"a\":{\"length\":3," HASHES ",\"custom\":{\"ecuIdentifiers\":{",
                  ":{\"hardwareId\":\"h\"}", "}}}}}", "ecuIdentifiers has 257" },
                { TARGET_HARDWARE_IDS_MAX, "{" HEADER("Targets") ",\"targets\":{\"a\":{\"length\":3," HASHES ",\"custom\":{\"hardwareIds\":[",
                  "", "]}}}}",
                  "hardwareIds has 257" },
                { 64, "{" HEADER("Targets") ",\"targets\":{\"a\":{\"length\":3," HASHES ",\"custom\":{", ":1", "}}}}", "custom has 65" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *fits = many(table[i].max, table[i].before, table[i].entry, table[i].after);
                cleanup_free char *passes = many(table[i].max + 1, table[i].before, table[i].entry, table[i].after);

                metadata_free(document_good(ROLE_TARGETS, fits));
                document_refused(ROLE_TARGETS, passes, ERR_MALFORMED, table[i].what);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_image_of_the_image_repository_has_its_hardware_ids),
                cmocka_unit_test(an_assignment_of_the_director_has_its_ecus),
                cmocka_unit_test(no_assignment_is_a_good_document),
                cmocka_unit_test(what_is_absent_or_null_is_absent),
                cmocka_unit_test(kernel_arguments_are_words_in_a_list_of_bounded_length),
                cmocka_unit_test(a_placeholder_is_no_uri),
                cmocka_unit_test(a_format_is_read_in_any_letter_case_and_an_unknown_one_kept_apart),
                cmocka_unit_test(an_odd_version_text_is_not_shown),
                cmocka_unit_test(a_bad_target_is_refused),
                cmocka_unit_test(a_name_stays_in_its_folder_and_is_printable),
                cmocka_unit_test(a_name_has_at_most_253_bytes),
                cmocka_unit_test(targets_are_found_by_their_whole_name),
                cmocka_unit_test(no_delegations_can_be_said_in_several_ways),
                cmocka_unit_test(all_lists_are_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
