/* SPDX-License-Identifier: Apache-2.0 */
/* The search through delegated roles, over documents nobody signed: the order, what stops it, what is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "../metadata/document.h"
#include "trust/delegation.h"

#define KEYS "\"keys\":{\"k\":{\"keytype\":\"ed25519\",\"keyval\":{\"public\":" \
             "\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"}}}"
#define SIGNERS "\"keyids\":[\"k\"],\"threshold\":1"
#define TO(name, paths, more) "{\"name\":\"" name "\"," SIGNERS ",\"paths\":[" paths "]" more "}"
#define GO_ON ",\"terminating\":false"
#define STOP_HERE ",\"terminating\":true"
#define ALL "\"*\",\"*/*\""
#define IMAGE(name, digit) "\"" name "\":{\"length\":1" digit ",\"hashes\":{\"sha256\":\"" \
                           digit "111111111111111111111111111111111111111111111111111111111111111\"}}"
#define TARGETS(images, roles) "{" HEADER("Targets") ",\"targets\":{" images "},\"delegations\":{" KEYS ",\"roles\":[" roles "]}}"
#define ROLES_MAX 300

static const char *const nothing[] = { NULL };

/* A repository: roles by name, and the order in which they were asked for. */
typedef struct World {
        const char *names[ROLES_MAX];
        Metadata *roles[ROLES_MAX];
        size_t n;
        Buffer asked;
        const char *refused; /* this one does not verify */
} World;

static void world_add(World *w, const char *name, const char *body)
{
        assert_true(w->n < ROLES_MAX);
        w->names[w->n] = name;
        w->roles[w->n++] = document_good(ROLE_TARGETS, body);
}

static void world_done(World *w)
{
        for (size_t i = 0; i < w->n; i++)
                metadata_free(w->roles[i]);
        buffer_done(&w->asked);
}
#define cleanup_world __attribute__((cleanup(world_done)))

static int load(void *userdata, const char *name, const Keyset *keys, const Metadata **ret, Error *error)
{
        World *w = userdata;

        assert_int_equal(keys->threshold, 1);
        if (w->asked.size)
                buffer_put_str(&w->asked, " ");
        buffer_put_str(&w->asked, name);
        if (w->refused && strcmp(w->refused, name) == 0)
                return error_set(error, ERR_BAD_SIGNATURE, "%s", name);
        for (size_t i = 0; i < w->n; i++)
                if (strcmp(w->names[i], name) == 0) {
                        *ret = w->roles[i];
                        return 1;
                }
        return 0;
}

/* The role [0] is at the top. Returns what delegation_search() does. */
static int find(World *w, const char *name, const char *hardware_id, const Target **ret, Error *error)
{
        const SearchQuery query = { name, hardware_id, nothing, NULL };
        SearchNeed need;

        buffer_done(&w->asked);
        error_clear(error);
        return delegation_search(&w->roles[0]->targets, &query, load, w, ret, &need, error);
}

/* length 0: nobody lists it. asked: the roles visited, in order. */
static void expect(World *w, const char *name, const char *hardware_id, int64_t length, const char *asked)
{
        const Target *target = NULL;
        Error error = { 0 };
        int r = find(w, name, hardware_id, &target, &error);

        if (r < 0)
                fail_msg("%s: %s", name, error.message);
        assert_int_equal(r, length ? SEARCH_FOUND : SEARCH_ABSENT);
        if (length)
                assert_int_equal(target->length, length);
        else
                assert_null(target);
        assert_string_equal(buffer_str(&w->asked), asked);
}

static void expect_error(World *w, const char *name, ErrorCode code)
{
        const Target *target = NULL;
        Error error = { 0 };

        assert_int_equal(find(w, name, NULL, &target, &error), -1);
        assert_int_equal(error.code, code);
}

/* ---- T-30: patterns ---- */

static void t30_a_star_does_not_cross_a_slash(void **state)
{
        static const struct {
                const char *pattern, *path;
                bool matches;
        } table[] = {
                { "*", "a.img", true },       { "*", "a/b", false },           { "*", "", true },
                { "a/*", "a/b", true },       { "a/*", "a/b/c", false },       { "a/*", "a/", true },
                { "*/b", "a/b", true },       { "*/b", "a/x/b", false },       { "*/*", "a/b", true },
                { "a*c", "abc", true },       { "a*c", "ac", true },           { "a*c", "ab/c", false },
                { "a*b*c", "aXbXbYc", true }, { "a**c", "abc", true },         { "*.img", "x.img.img", true },
                { "?", "a", true },           { "?", "/", false },             { "?", "", false },
                { "a?c", "a/c", false },      { "[ab]x", "ax", true },         { "[ab]x", "cx", false },
                { "[!ab]x", "cx", true },     { "[!ab]x", "/x", false },       { "[a-c]1", "b1", true },
                { "[a-c]1", "d1", false },    { "[]]", "]", true },            { "[a", "[a", true },
                { "[/]", "/", false },        { "a", "A", false },             { "", "", true },
                { "", "a", false },           { "a/b", "a/b", true },          { "a*/b*/c", "ax/by/c", true },
                { "a*/b*/c", "ax/y/c", false }, { "*a/b", "xa/ya", false },    { "[a-]", "-", true },
                { "x*y/*z", "xy/z", true },   { "*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (path_matches(table[i].pattern, table[i].path) != table[i].matches)
                        fail_msg("pattern '%s' and '%s'", table[i].pattern, table[i].path);
}

static void t30_hash_prefixes_choose_the_role(void **state)
{
        cleanup_free char *top = NULL;
        cleanup_world World w = { 0 };
        uint8_t hash[SHA256_SIZE];

        (void) state;
        digest_sha256(slice_str("x"), hash);
        top = xasprintf("{" HEADER("Targets") ",\"targets\":{},\"delegations\":{" KEYS ",\"roles\":["
                        "{\"name\":\"no\"," SIGNERS ",\"path_hash_prefixes\":[\"%02x\",\"%02x%02x\"]},"
                        "{\"name\":\"yes\"," SIGNERS ",\"path_hash_prefixes\":[\"00\",\"%02x%x\"]}]}}",
                        hash[0] ^ 1, hash[0], hash[1] ^ 1, hash[0], hash[1] >> 4);
        world_add(&w, "targets", top);
        world_add(&w, "yes", TARGETS(IMAGE("x", "3"), ""));
        expect(&w, "x", NULL, 13, "yes");
}

/* Uptane 5.2.3.2 (e): for which images; Uptane 5.2.3.2 (g): whether it is terminating */
static void t30_a_role_with_neither_paths_nor_prefixes_or_both_is_refused(void **state)
{
        (void) state;
        document_refused(ROLE_TARGETS, TARGETS("", "{\"name\":\"a\"," SIGNERS "}"), ERR_MALFORMED, "neither of 'paths'");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"name\":\"a\"," SIGNERS ",\"paths\":[],\"path_hash_prefixes\":[]}"), ERR_MALFORMED, "both of");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"name\":\"a\"," SIGNERS ",\"path_hash_prefixes\":[\"AB\"]}"), ERR_MALFORMED, "lower-case hex");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"name\":\"a\"," SIGNERS ",\"path_hash_prefixes\":[\"xy\"]}"), ERR_MALFORMED, "lower-case hex");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"name\":\"a\"," SIGNERS ",\"paths\":[\"\"]}"), ERR_MALFORMED, "entry 1");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"name\":\"a\"," SIGNERS ",\"paths\":[1]}"), ERR_MALFORMED, "entry 1");
        document_refused(ROLE_TARGETS, TARGETS("", TO("a", ALL, ",\"terminating\":1")), ERR_MALFORMED, "neither true nor false");
        document_refused(ROLE_TARGETS, TARGETS("", TO("a", ALL, ",\"hardwareIds\":[7]")), ERR_MALFORMED, "hardwareIds");
}

/* ---- T-27: the order ---- */

/*
 * Uptane 5.4.4.7 (b, 2, 4, 4.3a): a role itself, then its delegations in listed order, each with all below it;
 * Uptane 5.4.4.7 (5), Uptane 5.2.3.1 (a): in the end it is nowhere
 */
static void t27_the_search_is_pre_order_in_listed_order(void **state)
{
        cleanup_world World w = { 0 };

        (void) state;
        world_add(&w, "targets", TARGETS(IMAGE("top", "1"), TO("a", ALL, GO_ON) "," TO("b", ALL, GO_ON)));
        world_add(&w, "a", TARGETS(IMAGE("in-a", "2"), TO("a1", ALL, GO_ON) "," TO("a2", ALL, GO_ON)));
        world_add(&w, "a1", TARGETS(IMAGE("deep", "3"), TO("a11", ALL, GO_ON)));
        world_add(&w, "a11", TARGETS(IMAGE("deepest", "4") "," IMAGE("both", "5"), ""));
        world_add(&w, "a2", TARGETS(IMAGE("both", "6"), ""));
        world_add(&w, "b", TARGETS(IMAGE("last", "7") "," IMAGE("both", "8") "," IMAGE("top", "9"), ""));
        expect(&w, "top", NULL, 11, "");
        expect(&w, "in-a", NULL, 12, "a");
        expect(&w, "deep", NULL, 13, "a a1");
        expect(&w, "deepest", NULL, 14, "a a1 a11");
        expect(&w, "both", NULL, 15, "a a1 a11");
        expect(&w, "last", NULL, 17, "a a1 a11 a2 b");
        expect(&w, "nowhere", NULL, 0, "a a1 a11 a2 b");
}

/* Uptane 5.1.2.1 (a), Uptane 5.4.4.7 (3): a terminating delegation ends the search, but its own children are searched */
static void t27_a_terminating_role_has_its_children_searched_and_its_siblings_not(void **state)
{
        cleanup_world World w = { 0 };

        (void) state;
        world_add(&w, "targets", TARGETS("", TO("a", ALL, GO_ON) "," TO("z", ALL, GO_ON)));
        world_add(&w, "a", TARGETS("", TO("other", "\"other\"", STOP_HERE) "," TO("end", ALL, STOP_HERE) "," TO("after", ALL, GO_ON)));
        world_add(&w, "end", TARGETS("", TO("child", ALL, GO_ON)));
        world_add(&w, "child", TARGETS(IMAGE("in-child", "1"), ""));
        world_add(&w, "after", TARGETS(IMAGE("in-after", "2"), ""));
        world_add(&w, "z", TARGETS(IMAGE("in-z", "3"), ""));
        expect(&w, "in-child", NULL, 11, "a end child");
        expect(&w, "in-after", NULL, 0, "a end child");
        expect(&w, "in-z", NULL, 0, "a end child");
}

/* Uptane 5.1.2.1 (b) */
static void a_delegation_that_does_not_say_is_terminating(void **state)
{
        cleanup_world World w = { 0 };

        (void) state;
        world_add(&w, "targets", TARGETS("", TO("a", ALL, "") "," TO("b", ALL, "")));
        world_add(&w, "a", TARGETS("", ""));
        expect(&w, "x", NULL, 0, "a");
}

/* Uptane 5.4.4.7 (4.1a, 4.1b): the hardware and the name; Uptane 5.2.3.2 (f): any hardware where none is said */
static void only_delegations_for_this_name_and_hardware_are_followed(void **state)
{
        cleanup_world World w = { 0 };

        (void) state;
        world_add(&w, "targets", TARGETS("", TO("brakes", "\"brakes/*\"", GO_ON) "," TO("mcu", ALL, GO_ON ",\"hardwareIds\":[\"mcu-1\",\"mcu-2\"]") ","
                                             TO("none", ALL, GO_ON ",\"hardwareIds\":[]") "," TO("rest", ALL, GO_ON)));
        world_add(&w, "mcu", TARGETS(IMAGE("fw", "1"), ""));
        world_add(&w, "rest", TARGETS(IMAGE("fw", "2"), ""));
        expect(&w, "fw", "mcu-2", 11, "mcu");
        expect(&w, "fw", "board", 12, "rest");
        expect(&w, "fw", NULL, 12, "rest");
}

/* ---- T-28: an end in every case ---- */

static void t28_cycles_and_diamonds_end_and_each_role_is_visited_once(void **state)
{
        cleanup_world World w = { 0 };

        (void) state;
        world_add(&w, "targets", TARGETS("", TO("a", ALL, GO_ON) "," TO("b", ALL, GO_ON) "," TO("c", ALL, GO_ON)));
        world_add(&w, "a", TARGETS("", TO("b", ALL, GO_ON) "," TO("a", ALL, GO_ON) "," TO("d", ALL, GO_ON)));
        world_add(&w, "b", TARGETS("", TO("a", ALL, GO_ON) "," TO("d", ALL, GO_ON)));
        world_add(&w, "c", TARGETS("", TO("d", ALL, GO_ON)));
        world_add(&w, "d", TARGETS("", ""));
        expect(&w, "x", NULL, 0, "a b d c");
}

static char *wide(unsigned n, const char *prefix)
{
        Buffer b = { 0 };

        buffer_put_str(&b, "{" HEADER("Targets") ",\"targets\":{},\"delegations\":{" KEYS ",\"roles\":[");
        for (unsigned i = 0; i < n; i++)
                buffer_printf(&b, "%s{\"name\":\"r%u\"," SIGNERS ",\"paths\":[\"%s%u\"]" GO_ON "}", i ? "," : "", i, prefix, i);
        buffer_put_str(&b, "]}}");
        (void) buffer_str(&b);
        return (char *) b.data;
}

static void t28_ten_thousand_delegations_cost_one_visit(void **state)
{
        cleanup_free char *top = wide(10000, "p");
        cleanup_world World w = { 0 };

        (void) state;
        world_add(&w, "targets", top);
        world_add(&w, "r9999", TARGETS(IMAGE("p9999", "1"), ""));
        expect(&w, "p9999", NULL, 11, "r9999");
        {
                cleanup_free char *more = wide(DELEGATIONS_MAX + 1, "p");

                document_refused(ROLE_TARGETS, more, ERR_MALFORMED, "at most 20000");
        }
}

/* Uptane 5.4.4.7 (4.3b) */
static void t28_too_many_and_too_deep_is_an_error(void **state)
{
        static char names[ROLES_MAX][8];
        cleanup_world World deep = { 0 }, many = { 0 };
        Buffer b = { 0 };

        (void) state;
        for (unsigned i = 0; i < SEARCH_DEPTH_MAX + 2; i++) {
                cleanup_free char *body = xasprintf("{" HEADER("Targets") ",\"targets\":{},\"delegations\":{" KEYS ",\"roles\":[{\"name\":\"r%u\"," SIGNERS
                                                    ",\"paths\":[\"*\"]}]}}", i + 1);

                (void) snprintf(names[i], sizeof names[i], "r%u", i);
                world_add(&deep, i ? names[i] : "targets", body);
        }
        expect_error(&deep, "x", ERR_TOO_LARGE);
        buffer_put_str(&b, "{" HEADER("Targets") ",\"targets\":{},\"delegations\":{" KEYS ",\"roles\":[");
        for (unsigned i = 0; i < SEARCH_ROLES_MAX + 1; i++)
                buffer_printf(&b, "%s{\"name\":\"r%u\"," SIGNERS ",\"paths\":[\"*\"]" GO_ON "}", i ? "," : "", i);
        buffer_put_str(&b, "]}}");
        world_add(&many, "targets", buffer_str(&b));
        for (unsigned i = 0; i < SEARCH_ROLES_MAX + 1; i++) {
                (void) snprintf(names[i], sizeof names[i], "r%u", i);
                world_add(&many, names[i], TARGETS("", ""));
        }
        expect_error(&many, "x", ERR_TOO_LARGE);
        buffer_done(&b);
}

/* A pattern and a name that are made to take long, many times over. */
static void t28_patterns_that_take_long_end_the_search(void **state)
{
        cleanup_world World w = { 0 };
        cleanup_buffer Buffer b = { 0 };
        char pattern[PATH_PATTERN_MAX + 1], name[TARGET_NAME_MAX + 1];

        (void) state;
        memset(pattern, 'a', sizeof pattern - 1);
        pattern[0] = '*';
        pattern[200] = 'b';
        pattern[sizeof pattern - 1] = '\0';
        memset(name, 'a', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        buffer_put_str(&b, "{" HEADER("Targets") ",\"targets\":{},\"delegations\":{" KEYS ",\"roles\":[");
        for (unsigned i = 0; i < 3000; i++)
                buffer_printf(&b, "%s{\"name\":\"r%u\"," SIGNERS ",\"paths\":[\"%s\"]" GO_ON "}", i ? "," : "", i, pattern);
        buffer_put_str(&b, "]}}");
        world_add(&w, "targets", buffer_str(&b));
        expect_error(&w, name, ERR_TOO_LARGE);
        expect(&w, "short", NULL, 0, "");
}

/* ---- T-29: names ---- */

/* Uptane 5.2.3.2 (h) */
static void t29_a_name_that_is_a_path_is_only_a_name(void **state)
{
        static const char *const good[] = { "../../etc/x", "/abs", "a/b", "%2e%2e", ".", "..", "\xc3\xa4", "a b", "Root", "root.json" };
        char long_name[ROLE_NAME_MAX + 102];

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                cleanup_free char *body = xasprintf("{" HEADER("Targets") ",\"targets\":{},\"delegations\":{" KEYS ",\"roles\":[{\"name\":\"%s\"," SIGNERS
                                                    ",\"paths\":[\"*\"]}]}}", good[i]);
                CLEANUP(metadata_free) Metadata *m = document_good(ROLE_TARGETS, body);

                assert_string_equal(m->targets.delegations[0].roles[0].name, good[i]);
        }
        document_refused(ROLE_TARGETS, TARGETS("", TO("", ALL, "")), ERR_MALFORMED, "without a name");
        document_refused(ROLE_TARGETS, TARGETS("", TO("root", ALL, "")), ERR_MALFORMED, "top-level");
        document_refused(ROLE_TARGETS, TARGETS("", TO("targets", ALL, "")), ERR_MALFORMED, "top-level");
        document_refused(ROLE_TARGETS, TARGETS("", TO("a\\nb", ALL, "")), ERR_MALFORMED, "control character");
        document_refused(ROLE_TARGETS, TARGETS("", TO("a\\u0085b", ALL, "")), ERR_MALFORMED, "control character");
        document_refused(ROLE_TARGETS, TARGETS("", TO("a\xff", ALL, "")), ERR_MALFORMED, "not valid JSON");
        document_refused(ROLE_TARGETS, TARGETS("", TO("a\\u0000b", ALL, "")), ERR_MALFORMED, "not valid JSON");
        memset(long_name, 'x', sizeof long_name - 1);
        long_name[sizeof long_name - 1] = '\0';
        {
                cleanup_free char *body = xasprintf("{" HEADER("Targets") ",\"targets\":{},\"delegations\":{" KEYS ",\"roles\":[{\"name\":\"%s\"," SIGNERS
                                                    ",\"paths\":[\"*\"]}]}}", long_name);

                document_refused(ROLE_TARGETS, body, ERR_MALFORMED, "at most 200");
        }
}

/* ---- T-32: what cannot be verified ---- */

/* Uptane 5.4.4.7 (1): a role that is missing or invalid ends the search, the next sibling is not asked instead */
static void t32_a_role_that_does_not_verify_is_an_error_and_not_passed_over(void **state)
{
        cleanup_world World w = { 0 };
        const Target *target = NULL;
        Error error = { 0 };

        (void) state;
        world_add(&w, "targets", TARGETS("", TO("bad", ALL, GO_ON) "," TO("good", ALL, GO_ON)));
        world_add(&w, "good", TARGETS(IMAGE("x", "1"), ""));
        w.refused = "bad";
        expect_error(&w, "x", ERR_BAD_SIGNATURE);
        w.refused = NULL;
        assert_int_equal(find(&w, "x", NULL, &target, &error), SEARCH_NEEDS);
        assert_string_equal(buffer_str(&w.asked), "bad");
}

/* Uptane 5.2.3.2 (c): the keys; Uptane 5.2.3.2 (d): of a type, each with an id of its own; Uptane 5.2.3.2 (i, j): whose, and how many */
static void a_delegation_without_usable_keys_is_refused(void **state)
{
#define WITH_KEYS(keys) "{" HEADER("Targets") ",\"targets\":{},\"delegations\":{" keys "\"roles\":[" TO("a", ALL, "") "]}}"
#define KEY "\"keyval\":{\"public\":\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"}"
        (void) state;
        document_refused(ROLE_TARGETS, WITH_KEYS(""), ERR_MALFORMED, "keys is missing");
        document_refused(ROLE_TARGETS, WITH_KEYS("\"keys\":{},"), ERR_MALFORMED, "not among the keys");
        document_refused(ROLE_TARGETS, WITH_KEYS("\"keys\":{\"k\":{" KEY "}},"), ERR_MALFORMED, "keytype is missing");
        document_refused(ROLE_TARGETS, WITH_KEYS("\"keys\":{\"k\":{\"keytype\":\"ed25519\"," KEY "},\"k\":{\"keytype\":\"ed25519\"," KEY "}},"),
                         ERR_MALFORMED, "not valid JSON");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"name\":\"a\",\"threshold\":1,\"paths\":[]}"), ERR_MALFORMED, "keyids is missing");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"name\":\"a\",\"keyids\":[\"k\"],\"paths\":[]}"), ERR_MALFORMED, "threshold is missing");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"name\":\"a\",\"keyids\":[\"k\"],\"threshold\":2,\"paths\":[]}"), ERR_MALFORMED, "threshold of 2");
}

/* ---- TAP 15 ---- */

#define SUCCINCT(bits, prefix) "{" HEADER("Targets") ",\"targets\":{},\"delegations\":{" KEYS ",\"succinct_roles\":{" SIGNERS \
                               ",\"bit_length\":" bits ",\"name_prefix\":\"" prefix "\"}}}"

static void a_succinct_bin_is_chosen_by_the_first_bits_of_the_hash(void **state)
{
        static const struct {
                unsigned bits;
                const char *name;
        } table[] = { { 1, "bin-1" }, { 3, "bin-5" }, { 4, "bin-a" }, { 5, "bin-15" }, { 8, "bin-ab" }, { 11, "bin-55e" }, { 16, "bin-abcd" },
                      { 32, "bin-abcdef01" } };
        const uint8_t hash[SHA256_SIZE] = { 0xab, 0xcd, 0xef, 0x01, 0xff };
        char name[ROLE_NAME_MAX + 1];

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                succinct_bin_name(&(SuccinctRoles) { .name_prefix = "bin", .bit_length = table[i].bits }, hash, name);
                assert_string_equal(name, table[i].name);
        }
        succinct_bin_name(&(SuccinctRoles) { .name_prefix = "bin", .bit_length = 11 }, (const uint8_t[SHA256_SIZE]) { 0 }, name);
        assert_string_equal(name, "bin-000");
}

static void a_succinct_delegation_asks_for_one_bin(void **state)
{
        cleanup_world World w = { 0 };
        char bin[ROLE_NAME_MAX + 1];
        uint8_t hash[SHA256_SIZE];

        (void) state;
        digest_sha256(slice_str("x"), hash);
        succinct_bin_name(&(SuccinctRoles) { .name_prefix = "b", .bit_length = 8 }, hash, bin);
        world_add(&w, "targets", SUCCINCT("8", "b"));
        world_add(&w, bin, TARGETS(IMAGE("x", "1"), ""));
        expect(&w, "x", NULL, 11, bin);
}

static void a_bad_succinct_delegation_is_refused(void **state)
{
        (void) state;
        document_refused(ROLE_TARGETS, SUCCINCT("0", "b"), ERR_MALFORMED, "bit_length is 0");
        document_refused(ROLE_TARGETS, SUCCINCT("33", "b"), ERR_MALFORMED, "bit_length is 33");
        document_refused(ROLE_TARGETS, SUCCINCT("\"8\"", "b"), ERR_MALFORMED, "no integer");
        document_refused(ROLE_TARGETS, SUCCINCT("8", ""), ERR_MALFORMED, "without a name");
        document_refused(ROLE_TARGETS, "{" HEADER("Targets") ",\"targets\":{},\"delegations\":{" KEYS ",\"succinct_roles\":{},\"roles\":[]}}",
                         ERR_MALFORMED, "both 'roles' and");
        document_refused(ROLE_TARGETS, "{" HEADER("Targets") ",\"targets\":{},\"delegations\":{" KEYS ",\"succinct_roles\":7}}", ERR_MALFORMED,
                         "no object");
        document_refused(ROLE_TARGETS, "{" HEADER("Targets") ",\"targets\":{},\"delegations\":7}", ERR_MALFORMED, "neither an object nor a list");
        document_refused(ROLE_TARGETS, "{" HEADER("Targets") ",\"targets\":{},\"delegations\":{\"roles\":[]}}", ERR_MALFORMED, "keys is missing");
        document_refused(ROLE_TARGETS, TARGETS("", "7"), ERR_MALFORMED, "no object");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"name\":\"a\",\"keyids\":[\"k\"],\"threshold\":0,\"paths\":[]}"), ERR_MALFORMED, "threshold of 0");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"name\":\"a\",\"keyids\":[\"z\"],\"threshold\":1,\"paths\":[]}"), ERR_MALFORMED,
                         "not among the keys");
}

/* ---- TAP 3 ---- */

#define SIGNER(name) "{\"rolename\":\"" name "\"," SIGNERS "}"
#define MULTI(n, more) "{\"name\":\"m\",\"paths\":[" ALL "],\"min_roles_in_agreement\":" n ",\"roleinfo\":[" SIGNER("a") "," SIGNER("b") "," SIGNER("c") \
                       "," SIGNER("d") "]" more "}"

static void add_four(World *w, const char *a, const char *b, const char *c, const char *d)
{
        const char *const names[] = { "a", "b", "c", "d" }, *const images[] = { a, b, c, d };

        for (size_t i = 0; i < 4; i++) {
                cleanup_free char *body = xasprintf("{" HEADER("Targets") ",\"targets\":{%s}}", images[i]);

                world_add(w, names[i], body);
        }
}

/*
 * Uptane 5.4.4.8 (a, 1, 2.1c, 2.2, 2.3, 2.4): all are asked; the earliest role with enough others of its opinion decides, or
 * nobody; Uptane 5.4.4.7 (4.2a, 4.2b): and where nobody does, a terminating delegation is the end
 */
static void enough_roles_must_say_the_same_and_the_earliest_such_decides(void **state)
{
        static const struct {
                const char *top, *a, *b, *c, *d;
                int64_t length;
                const char *asked;
        } table[] = {
                { TARGETS("", MULTI("2", GO_ON)), IMAGE("x", "1"), IMAGE("x", "2"), IMAGE("x", "2"), IMAGE("x", "1"), 11, "a b c d" },
                { TARGETS("", MULTI("2", GO_ON)), IMAGE("x", "1"), IMAGE("x", "2"), IMAGE("x", "1"), IMAGE("x", "2"), 11, "a b c d" },
                { TARGETS("", MULTI("2", GO_ON)), IMAGE("x", "1"), IMAGE("x", "2"), IMAGE("x", "2"), IMAGE("x", "3"), 12, "a b c d" },
                { TARGETS("", MULTI("2", GO_ON)), "", IMAGE("x", "2"), "", IMAGE("x", "2"), 12, "a b c d" },
                { TARGETS("", MULTI("4", GO_ON)), IMAGE("x", "2"), IMAGE("x", "2"), IMAGE("x", "2"), IMAGE("x", "2"), 12, "a b c d" },
                { TARGETS("", MULTI("3", GO_ON) "," TO("e", ALL, GO_ON)), IMAGE("x", "1"), IMAGE("x", "2"), IMAGE("x", "2"), "", 19, "a b c d e" },
                { TARGETS("", MULTI("3", STOP_HERE) "," TO("e", ALL, GO_ON)), IMAGE("x", "1"), IMAGE("x", "2"), IMAGE("x", "2"), "", 0, "a b c d" },
                { "{" HEADER("Targets") ",\"targets\":{},\"keys_for_delegations\":{\"k\":{\"keytype\":\"ed25519\",\"keyval\":{\"public\":"
                  "\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"}}},\"delegations\":[" MULTI("2", STOP_HERE) "]}",
                  IMAGE("x", "1"), IMAGE("x", "2"), IMAGE("x", "2"), IMAGE("x", "1"), 11, "a b c d" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_world World w = { 0 };

                world_add(&w, "targets", table[i].top);
                add_four(&w, table[i].a, table[i].b, table[i].c, table[i].d);
                world_add(&w, "e", TARGETS(IMAGE("x", "9"), ""));
                expect(&w, "x", NULL, table[i].length, table[i].asked);
        }
}

static void one_of_several_roles_that_does_not_verify_or_is_missing_ends_the_search(void **state)
{
        cleanup_world World w = { 0 };
        const Target *target = NULL;
        Error error = { 0 };

        (void) state;
        world_add(&w, "targets", TARGETS("", MULTI("2", GO_ON)));
        add_four(&w, IMAGE("x", "1"), IMAGE("x", "1"), "", "");
        w.refused = "d";
        expect_error(&w, "x", ERR_BAD_SIGNATURE);
        w.refused = NULL;
        w.n--;
        metadata_free(w.roles[w.n]);
        assert_int_equal(find(&w, "x", NULL, &target, &error), SEARCH_NEEDS);
}

static void nobody_speaks_twice_in_a_multi_role_delegation(void **state)
{
        cleanup_world World w = { 0 };

        (void) state;
        world_add(&w, "targets", TARGETS("", "{\"name\":\"m\",\"paths\":[" ALL "],\"min_roles_in_agreement\":2,\"roleinfo\":[" SIGNER("a") "," SIGNER("b") "]}"));
        world_add(&w, "a", TARGETS("", TO("c", ALL, GO_ON)));
        world_add(&w, "b", TARGETS("", TO("c", ALL, GO_ON)));
        world_add(&w, "c", TARGETS(IMAGE("x", "1"), ""));
        expect(&w, "x", NULL, 0, "a c b");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"paths\":[],\"min_roles_in_agreement\":1,\"roleinfo\":[" SIGNER("a") "," SIGNER("a") "]}"),
                         ERR_MALFORMED, "stands twice");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"paths\":[],\"min_roles_in_agreement\":0,\"roleinfo\":[" SIGNER("a") "]}"), ERR_MALFORMED, "0 of 1");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"paths\":[],\"min_roles_in_agreement\":2,\"roleinfo\":[" SIGNER("a") "]}"), ERR_MALFORMED, "2 of 1");
        document_refused(ROLE_TARGETS, TARGETS("", "{\"paths\":[],\"min_roles_in_agreement\":1,\"roleinfo\":[]}"), ERR_MALFORMED, "1 of 0");
}

/* Uptane 5.4.4.8 (2.1b): the custom metadata that must match counts too */
static void custom_members_that_must_match_divide_roles(void **state)
{
        static const char *const must[] = { "train", NULL };
#define WITH(value) "\"x\":{\"length\":1,\"hashes\":{\"sha256\":\"1111111111111111111111111111111111111111111111111111111111111111\"},\"custom\":{" value "}}"
        static const struct {
                const char *a, *b;
                bool agree;
        } table[] = {
                { WITH("\"train\":1"), WITH("\"train\":1,\"other\":2"), true },
                { WITH("\"train\":1"), WITH("\"train\":2"), false },
                { WITH("\"train\":{\"a\":[1]}"), WITH("\"train\":{\"a\":[1]}"), true },
                { WITH("\"train\":1"), WITH(""), false },
                { WITH(""), WITH("\"train\":null"), false },
                { WITH("\"other\":1"), WITH(""), true },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *a = xasprintf("{" HEADER("Targets") ",\"targets\":{%s}}", table[i].a);
                cleanup_free char *b = xasprintf("{" HEADER("Targets") ",\"targets\":{%s}}", table[i].b);
                CLEANUP(metadata_free) Metadata *x = document_good(ROLE_TARGETS, a), *y = document_good(ROLE_TARGETS, b);

                assert_int_equal(target_agrees(targets_at(&x->targets, 0), targets_at(&y->targets, 0), must), table[i].agree);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(t30_a_star_does_not_cross_a_slash),
                cmocka_unit_test(t30_hash_prefixes_choose_the_role),
                cmocka_unit_test(t30_a_role_with_neither_paths_nor_prefixes_or_both_is_refused),
                cmocka_unit_test(t27_the_search_is_pre_order_in_listed_order),
                cmocka_unit_test(t27_a_terminating_role_has_its_children_searched_and_its_siblings_not),
                cmocka_unit_test(a_delegation_that_does_not_say_is_terminating),
                cmocka_unit_test(only_delegations_for_this_name_and_hardware_are_followed),
                cmocka_unit_test(t28_cycles_and_diamonds_end_and_each_role_is_visited_once),
                cmocka_unit_test(t28_ten_thousand_delegations_cost_one_visit),
                cmocka_unit_test(t28_too_many_and_too_deep_is_an_error),
                cmocka_unit_test(t28_patterns_that_take_long_end_the_search),
                cmocka_unit_test(t29_a_name_that_is_a_path_is_only_a_name),
                cmocka_unit_test(t32_a_role_that_does_not_verify_is_an_error_and_not_passed_over),
                cmocka_unit_test(a_delegation_without_usable_keys_is_refused),
                cmocka_unit_test(a_succinct_bin_is_chosen_by_the_first_bits_of_the_hash),
                cmocka_unit_test(a_succinct_delegation_asks_for_one_bin),
                cmocka_unit_test(a_bad_succinct_delegation_is_refused),
                cmocka_unit_test(enough_roles_must_say_the_same_and_the_earliest_such_decides),
                cmocka_unit_test(one_of_several_roles_that_does_not_verify_or_is_missing_ends_the_search),
                cmocka_unit_test(nobody_speaks_twice_in_a_multi_role_delegation),
                cmocka_unit_test(custom_members_that_must_match_divide_roles),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
