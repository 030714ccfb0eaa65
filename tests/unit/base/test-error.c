/* SPDX-License-Identifier: Apache-2.0 */
/* The one error type, and the table everything people see is derived from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* Uptane 5.4.4.2 (d) */
static void no_name_and_no_exit_code_stands_for_two_errors(void **state)
{
        for (int a = ERR_NONE + 1; a < _ERR_MAX; a++)
                for (int b = ERR_NONE + 1; b < a; b++) {
                        const ErrorInfo *x = error_info((ErrorCode) a), *y = error_info((ErrorCode) b);

                        assert_string_not_equal(x->name, y->name);
                        assert_string_not_equal(x->dbus_name, y->dbus_name);
                        assert_int_not_equal(x->exit_code, y->exit_code);
                }
}

static void every_row_is_complete(void **state)
{
        for (int i = ERR_NONE + 1; i < _ERR_MAX; i++) {
                const ErrorInfo *info = error_info((ErrorCode) i);
                size_t n = strlen(info->help);

                assert_true(n > 20 && info->help[n - 1] == '.' && isupper((unsigned char) info->help[0]));
                assert_true(info->exit_code > 2 && info->exit_code < 126); /* below: success and usage; above: the shell's own */
                assert_true(info->report > REPORT_OK && info->report < _REPORT_MAX);
                assert_true(info->attack < _ATTACK_MAX);
                assert_non_null(error_report_name(info->report));
                assert_non_null(error_attack_name(info->attack));
        }
}

static void a_name_on_the_bus_leads_back_to_its_code(void **state)
{
        for (int i = ERR_NONE + 1; i < _ERR_MAX; i++)
                assert_int_equal(error_code_from_dbus(error_info((ErrorCode) i)->dbus_name), i);
        assert_int_equal(error_code_from_dbus("org.uptane.Error.NoSuchThing"), ERR_NONE);
        assert_int_equal(error_code_from_dbus(""), ERR_NONE);
        assert_int_equal(error_code_from_dbus(NULL), ERR_NONE);
}

/* Uptane 5.4.4.2 (e), Uptane 5.4.2.1.2 (h): what an ECU version report says about attacks */
static void attacks_are_named_as_what_they_are(void **state)
{
        static const struct {
                ErrorCode code;
                const char *attack;
        } table[] = {
                { ERR_ROLLBACK, "rollback" },         { ERR_EXPIRED, "freeze" },     { ERR_MIX_AND_MATCH, "mix and match" },
                { ERR_BAD_SIGNATURE, "arbitrary software" }, { ERR_TOO_LARGE, "endless data" }, { ERR_SLOW, "slow retrieval" },
                { ERR_NETWORK, "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_string_equal(error_attack_name(error_info(table[i].code)->attack), table[i].attack);
}

/* Another ECU's word may have more behind it, and may be anything. */
static void an_attack_is_known_by_its_name(void **state)
{
        for (int i = ATTACK_NONE + 1; i < _ATTACK_MAX; i++) {
                char text[64];

                (void) snprintf(text, sizeof text, "%s: more", error_attack_name((ErrorAttack) i));
                assert_int_equal(error_attack_from_text(text), i);
        }
        assert_int_equal(error_attack_from_text(""), ATTACK_NONE);
        assert_int_equal(error_attack_from_text("a rollback"), ATTACK_NONE);
        assert_int_equal(error_attack_from_text("roll"), ATTACK_NONE);
}

/* The first who says it was there; a name that a delegating role made up is as harmless as a message. */
static void an_error_says_once_which_metadata_it_is_about(void **state)
{
        Error error = { 0 };

        (void) error_set(&error, ERR_ROLLBACK, "old");
        assert_null(error.repository);
        error_about(&error, "image", "sup\nplier", 7);
        error_about(&error, "director", "targets", 8);
        assert_string_equal(error.repository, "image");
        assert_string_equal(error.role, "sup?plier");
        assert_int_equal(error.version, 7);
        error_clear(&error);
        (void) error_set(&error, ERR_EXPIRED, "again");
        assert_null(error.repository);
        assert_string_equal(error.role, "");
        assert_int_equal(error.version, 0);
}

static void an_error_knows_where_it_was_born(void **state)
{
        Error error = { 0 };
        int line = __LINE__ + 2;

        assert_int_equal(error_set_sys(&error, ERR_HTTP, 503, "status %d", 503), -1);
        assert_int_equal(error.line, line);
        assert_int_equal(error.code, ERR_HTTP);
        assert_int_equal(error.sys, 503);
        assert_non_null(strstr(error.file, "test-error.c"));
        assert_string_equal(error.message, "status 503");
        error_clear(&error);
        assert_int_equal(error.code, ERR_NONE);
        assert_string_equal(error.message, "");
}

static void contexts_stand_in_front(void **state)
{
        Error error = { 0 };

        assert_int_equal(error_set(&error, ERR_MALFORMED, "no string"), -1);
        assert_int_equal(error_prefix(&error, "version %d", 7), -1);
        assert_int_equal(error_prefix(&error, "root"), -1);
        assert_string_equal(error.message, "root: version 7: no string");
        assert_int_equal(error.code, ERR_MALFORMED);
}

static void the_reason_of_the_system_ends_the_message(void **state)
{
        Error error = { 0 };

        assert_int_equal(error_set_errno(&error, ERR_MALFORMED, ENOENT, "reading %s", "x"), -1);
        assert_int_equal(error.sys, ENOENT);
        assert_string_equal(error.message, "reading x: No such file or directory");
}

/* A hostile name must not move the cursor of somebody's terminal, nor break the bus. */
static void messages_are_printable_utf8(void **state)
{
        static const struct {
                const char *text, *message;
        } table[] = {
                { "a\nb\tc\x1b[31m\x7f", "a?b?c?[31m?" },
                { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
                { "\xf0\x9f\x9a\x97", "\xf0\x9f\x9a\x97" },
                { "\xff\x80z", "??z" },
                { "\xc0\xafz", "??z" },             /* overlong */
                { "\xed\xa0\x80z", "???z" },        /* surrogate */
                { "\xf4\x90\x80\x80z", "????z" },   /* behind the last plane */
                { "z\xe2\x82", "z" },               /* cut */
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Error error = { 0 };

                (void) error_set(&error, ERR_MALFORMED, "%s", table[i].text);
                assert_string_equal(error.message, table[i].message);
        }
}

static void long_messages_are_cut_between_characters(void **state)
{
        char text[2 * sizeof(((Error *) 0)->message)];
        Error error = { 0 };
        char small[6];

        for (size_t i = 0; i + 1 < sizeof text; i += 2)
                memcpy(text + i, "\xc3\xbc", 2);
        text[sizeof text - 2] = text[sizeof text - 1] = '\0';
        (void) error_set(&error, ERR_MALFORMED, "%s", text);
        assert_int_equal(strlen(error.message), sizeof error.message - 2);
        error_copy_message(&error, small, sizeof small);
        assert_string_equal(small, "\xc3\xbc\xc3\xbc");
        (void) error_prefix(&error, "%s", text);
        assert_true(strlen(error.message) < sizeof error.message);
        assert_non_null(strstr(error.message, ": "));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_name_and_no_exit_code_stands_for_two_errors),
                cmocka_unit_test(every_row_is_complete),
                cmocka_unit_test(a_name_on_the_bus_leads_back_to_its_code),
                cmocka_unit_test(attacks_are_named_as_what_they_are),
                cmocka_unit_test(an_attack_is_known_by_its_name),
                cmocka_unit_test(an_error_says_once_which_metadata_it_is_about),
                cmocka_unit_test(an_error_knows_where_it_was_born),
                cmocka_unit_test(contexts_stand_in_front),
                cmocka_unit_test(the_reason_of_the_system_ends_the_message),
                cmocka_unit_test(messages_are_printable_utf8),
                cmocka_unit_test(long_messages_are_cut_between_characters),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
