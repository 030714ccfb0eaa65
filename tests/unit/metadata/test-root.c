/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and roles as Root lists them. The Ed25519 keys are those of RFC 8032, section 7.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/signer.h"
#include "document.h"

#define KEY_1 "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
#define KEY_2 "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
#define ED(text) "{\"keytype\":\"ED25519\",\"keyval\":{\"public\":\"" text "\"}}"
#define KEYS "\"k1\":" ED(KEY_1) ",\"k2\":" ED(KEY_2)
#define ROLE_OF(ids, threshold) "{\"keyids\":[" ids "],\"threshold\":" threshold "}"
#define ONE ROLE_OF("\"k1\"", "1")
#define ROOT(keys, roles) "{" HEADER("Root") ",\"consistent_snapshot\":false,\"keys\":{" keys "},\"roles\":{" roles "}}"
#define ROOT_WITH(role) ROOT(KEYS, "\"root\":" role ",\"targets\":" ONE)

static void all_four_roles_have_their_keys(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(
                ROLE_ROOT, ROOT(KEYS, "\"root\":" ROLE_OF("\"k1\",\"k2\"",
                        "2") ",\"targets\":" ONE ",\"snapshot\":" ONE ",\"timestamp\":" ROLE_OF("\"k2\"", "1")));

        for (unsigned r = 0; r < _ROLE_MAX; r++)
                assert_true(m->root.has[r]);
        assert_int_equal(m->root.keys[ROLE_ROOT].threshold, 2);
        assert_int_equal(m->root.keys[ROLE_ROOT].n_entries, 2);
        assert_string_equal(m->root.keys[ROLE_TIMESTAMP].entries[0].id, "k2");
        assert_true(public_key_equal(m->root.keys[ROLE_ROOT].entries[1].key, m->root.keys[ROLE_TIMESTAMP].entries[0].key));
        assert_true(keyset_equal(&m->root.keys[ROLE_TARGETS], &m->root.keys[ROLE_SNAPSHOT]));
}

/* Uptane 5.2.2 (a): a Director may do without Timestamp and Snapshot, a Root without root or targets is none */
static void root_and_targets_are_needed_the_others_are_not(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(ROLE_ROOT, ROOT(KEYS, "\"root\":" ONE ",\"targets\":" ONE));

        assert_true(m->root.has[ROLE_ROOT] && m->root.has[ROLE_TARGETS]);
        assert_false(m->root.has[ROLE_TIMESTAMP] || m->root.has[ROLE_SNAPSHOT]);
        document_refused(ROLE_ROOT, ROOT(KEYS, "\"root\":" ONE), ERR_MALFORMED, "root.roles.targets is missing");
        document_refused(ROLE_ROOT, ROOT(KEYS, "\"targets\":" ONE ",\"snapshot\":" ONE), ERR_MALFORMED, "root.roles.root is missing");
        document_refused(ROLE_ROOT, ROOT(KEYS, ""), ERR_MALFORMED, "root.roles.root is missing");
}

static void unknown_roles_are_passed_over(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(
                ROLE_ROOT, ROOT(KEYS, "\"root\":" ONE ",\"targets\":" ONE ",\"offline-updates\":{\"keyids\":[\"gone\"],\"threshold\":0},"
                                "\"remote-sessions\":null,\"Root\":1"));

        assert_int_equal(m->root.keys[ROLE_ROOT].threshold, 1);
}

/* T-4, Uptane 5.2.2 (c): A threshold nobody can miss, or nobody can reach, is refused before anybody relies on it. */
static void a_threshold_is_at_least_one_and_at_most_the_number_of_keys(void **state)
{
        static const struct {
                const char *role, *what;
        } table[] = {
                { ROLE_OF("\"k1\",\"k2\"", "0"), "a threshold of 0 with 2 keys" },
                { ROLE_OF("\"k1\",\"k2\"", "3"), "a threshold of 3 with 2 keys" },
                { ROLE_OF("\"k1\"", "9223372036854775807"), "a threshold of 9223372036854775807 with 1 keys" },
                { ROLE_OF("\"k1\"", "-1"), "threshold is negative" },
                { ROLE_OF("", "0"), "a threshold of 0 with 0 keys" },
                { ROLE_OF("", "1"), "a threshold of 1 with 0 keys" },
                { ROLE_OF("\"k1\"", "1.0"), "threshold is no integer" },
                { ROLE_OF("\"k1\"", "\"1\""), "threshold is no integer" },
                { "{\"keyids\":[\"k1\"]}", "threshold is missing" },
                { "{\"threshold\":1}", "keyids is missing" },
                { "{\"keyids\":{\"k1\":1},\"threshold\":1}", "keyids is no array" },
                { "null", "root.roles.root is no object" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *body = xasprintf("{" HEADER("Root") ",\"keys\":{" KEYS "},\"roles\":{\"root\":%s,\"targets\":" ONE "}}",
                        table[i].role);

                document_refused(ROLE_ROOT, body, ERR_MALFORMED, table[i].what);
        }
}

/* Uptane 5.2.2 (c) */
static void a_role_names_keys_that_are_there_and_each_once(void **state)
{
        document_refused(ROLE_ROOT, ROOT_WITH(ROLE_OF("\"k1\",\"k1\"", "2")), ERR_MALFORMED, "twice");
        document_refused(ROLE_ROOT, ROOT_WITH(ROLE_OF("\"k1\",\"k1\"", "1")), ERR_MALFORMED, "twice");
        document_refused(ROLE_ROOT, ROOT_WITH(ROLE_OF("\"k1\",\"k3\"", "1")), ERR_MALFORMED, "k3");
        document_refused(ROLE_ROOT, ROOT_WITH(ROLE_OF("\"K1\"", "1")), ERR_MALFORMED, "K1");
        document_refused(ROLE_ROOT, ROOT_WITH(ROLE_OF("1", "1")), ERR_MALFORMED, "no string");
        document_refused(ROLE_ROOT, ROOT_WITH(ROLE_OF("null", "1")), ERR_MALFORMED, "no string");
}

/* Uptane 5.2.2 (b): one id, one key; of two it could not be said which is meant */
static void a_key_id_that_is_given_twice_is_refused(void **state)
{
        document_refused(ROLE_ROOT, ROOT("\"k1\":" ED(KEY_1) ",\"k1\":" ED(KEY_2), "\"root\":" ONE ",\"targets\":" ONE), ERR_MALFORMED,
                         "not valid JSON");
}

static void a_key_of_an_unknown_type_keeps_its_place(void **state)
{
        CLEANUP(metadata_free) Metadata *m = document_good(
                ROLE_ROOT, ROOT(KEYS ",\"f1\":{\"keytype\":\"sphincs\",\"keyval\":{\"public\":\"?\"}},\"f2\":{\"keytype\":\"dilithium\"}",
                                "\"root\":" ROLE_OF("\"f1\",\"k1\",\"f2\"", "1") ",\"targets\":" ONE));

        assert_int_equal(m->root.keys[ROLE_ROOT].n_entries, 3);
        assert_null(m->root.keys[ROLE_ROOT].entries[0].key);
        assert_non_null(m->root.keys[ROLE_ROOT].entries[1].key);
        assert_null(m->root.keys[ROLE_ROOT].entries[2].key);
        assert_string_equal(m->root.keys[ROLE_ROOT].entries[2].id, "f2");
}

static void a_key_that_is_none_makes_the_document_malformed(void **state)
{
        static const struct {
                const char *key, *what;
        } table[] = {
                { "1", "is no object" },
                { "{}", "keytype is missing" },
                { "{\"keytype\":1}", "keytype is no string" },
                { "{\"keytype\":\"ed25519\"}", "keyval is missing" },
                { "{\"keytype\":\"ed25519\",\"keyval\":\"" KEY_1 "\"}", "keyval is no object" },
                { "{\"keytype\":\"ed25519\",\"keyval\":{}}", "public is missing" },
                { "{\"keytype\":\"ed25519\",\"keyval\":{\"public\":7}}", "public is no string" },
                { "{\"keytype\":\"ed25519\",\"keyval\":{\"public\":\"\"}}", "64 hex digits" },
                { "{\"keytype\":\"rsa\",\"keyval\":{\"public\":\"" KEY_1 "\"}}", "not a public key in PEM" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *body = xasprintf("{" HEADER("Root") ",\"keys\":{" KEYS ",\"bad\":%s},"
                                                    "\"roles\":{\"root\":" ONE ",\"targets\":" ONE "}}",
                                                    table[i].key);

                document_refused(ROLE_ROOT, body, ERR_MALFORMED, table[i].what);
        }
}

/* As the servers write keys, and as TUF does. */
static void keys_of_each_type_are_read_in_all_their_spellings(void **state)
{
        static const struct {
                KeyType type;
                const char *name, *scheme;
        } table[] = {
                { KEY_ED25519, "ED25519", "" },   { KEY_ED25519, "ed25519", ",\"scheme\":\"ed25519\"" },
                { KEY_RSA, "RSA", "" },           { KEY_RSA, "rsa", ",\"scheme\":\"rsassa-pss-sha256\"" },
                { KEY_ECDSA_P256, "ECPRIME256V1", "" }, { KEY_ECDSA_P256, "ecdsa", ",\"scheme\":\"ecdsa-sha2-nistp256\"" },
                { KEY_ECDSA_P256, "ecdsa-sha2-nistp256", ",\"scheme\":\"ecdsa-sha2-nistp256\",\"keyid_hash_algorithms\":[\"sha256\"]" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_buffer Buffer pem = { 0 }, escaped = { 0 };
                CLEANUP(signer_free) Signer *signer = NULL;
                CLEANUP(public_key_free) PublicKey *key = NULL;
                CLEANUP(metadata_free) Metadata *m = NULL;
                cleanup_free char *body = NULL;
                Error error = { 0 };

                assert_int_equal(signer_generate_pem(table[i].type, &pem, &error), 0);
                assert_int_equal(signer_new_pem(buffer_slice(&pem), &signer, &error), 0);
                for (const char *p = signer_public_text(signer); *p; p++)
                        buffer_printf(&escaped, *p == '\n' ? "\\n" : "%c", *p);
                body = xasprintf("{" HEADER("Root") ",\"keys\":{\"k1\":{\"keytype\":\"%s\","
                                 "\"keyval\":{\"public\":\"%s\"}%s}},\"roles\":{\"root\":" ONE
                                 ",\"targets\":" ONE "}}", table[i].name, buffer_str(&escaped), table[i].scheme);
                m = document_good(ROLE_ROOT, body);
                assert_int_equal(public_key_new(table[i].type, signer_public_text(signer), &key, &error), 0);
                assert_true(public_key_equal(m->root.keys[ROLE_ROOT].entries[0].key, key));
        }
}

static void the_parts_of_a_root_are_bounded(void **state)
{
        static const struct {
                unsigned keys, ids, roles;
                const char *what; /* NULL: fits */
        } table[] = {
                { 256, 64, 0, NULL }, { 257, 1, 0, "root.keys has 257 members" }, { 100, 65, 0, "keyids has 65 entries" },
                { 1, 1, 62, NULL },   { 1, 1, 63, "root.roles has 65 members" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_buffer Buffer b = { 0 };

                buffer_put_str(&b, "{" HEADER("Root") ",\"keys\":{");
                for (unsigned k = 0; k < table[i].keys; k++)
                        buffer_printf(&b, "%s\"%u\":" ED(KEY_1), k ? "," : "", k);
                buffer_put_str(&b, "},\"roles\":{\"root\":{\"threshold\":1,\"keyids\":[");
                for (unsigned k = 0; k < table[i].ids; k++)
                        buffer_printf(&b, "%s\"%u\"", k ? "," : "", k);
                buffer_put_str(&b, "]},\"targets\":" ROLE_OF("\"0\"", "1"));
                for (unsigned k = 0; k < table[i].roles; k++)
                        buffer_printf(&b, ",\"role-%u\":null", k);
                buffer_put_str(&b, "}}");
                if (table[i].what)
                        document_refused(ROLE_ROOT, buffer_str(&b), ERR_MALFORMED, table[i].what);
                else
                        metadata_free(document_good(ROLE_ROOT, buffer_str(&b)));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(all_four_roles_have_their_keys),
                cmocka_unit_test(root_and_targets_are_needed_the_others_are_not),
                cmocka_unit_test(unknown_roles_are_passed_over),
                cmocka_unit_test(a_threshold_is_at_least_one_and_at_most_the_number_of_keys),
                cmocka_unit_test(a_role_names_keys_that_are_there_and_each_once),
                cmocka_unit_test(a_key_id_that_is_given_twice_is_refused),
                cmocka_unit_test(a_key_of_an_unknown_type_keeps_its_place),
                cmocka_unit_test(a_key_that_is_none_makes_the_document_malformed),
                cmocka_unit_test(keys_of_each_type_are_read_in_all_their_spellings),
                cmocka_unit_test(the_parts_of_a_root_are_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
