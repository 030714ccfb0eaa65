/* SPDX-License-Identifier: Apache-2.0 */
/* attacks_detected as a text: people and programs can read it, and there is never too much of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "uptane/attack.h"

#define TIME INT64_C(1795802400) /* 2026-11-27T18:00:00Z */

static size_t must_write(const DetectedAttack *attacks, size_t n, const char *expected)
{
        cleanup_buffer Buffer b = { 0 };
        size_t written = attacks_write(attacks, n, &b);

        assert_string_equal(buffer_str(&b), expected);
        return written;
}

/* Uptane 5.4.2.1.2 (h): what an ECU version report says about attacks */
static void each_attack_has_class_message_time_and_count(void **state)
{
        const DetectedAttack attacks[] = {
                { 1, "rollback", "director timestamp: version 3, but version 5 was already trusted", TIME, 1 },
                { 4, "slow retrieval", "https://x/y: 3 bytes in 30 s", TIME + 1, 12 },
        };

        (void) state;
        assert_int_equal(must_write(NULL, 0, ""), 0);
        assert_int_equal(must_write(attacks, 1, "rollback: director timestamp: version 3, but version 5 was already trusted (2026-11-27T18:00:00Z)"), 1);
        assert_int_equal(must_write(attacks, 2, "rollback: director timestamp: version 3, but version 5 was already trusted (2026-11-27T18:00:00Z); "
                                                "slow retrieval: https://x/y: 3 bytes in 30 s (2026-11-27T18:00:01Z, 12 times)"), 2);
}

/* A name that an attacker chose must not look like one more attack, or hide one. */
static void only_between_two_attacks_is_there_a_semicolon(void **state)
{
        const DetectedAttack attack = { 1, "freeze", "image 'a; rollback: b'", TIME, 1 };

        (void) state;
        assert_int_equal(must_write(&attack, 1, "freeze: image 'a, rollback: b' (2026-11-27T18:00:00Z)"), 1);
}

static void what_has_no_room_is_left_out_whole_and_the_first_always_has(void **state)
{
        DetectedAttack attacks[16];
        Error longest = { 0 };
        char text[2 * sizeof longest.message];

        (void) state;
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        (void) error_set(&longest, ERR_ROLLBACK, "%s", text);
        for (size_t i = 0; i < 16; i++)
                attacks[i] = (DetectedAttack) { (int64_t) i, "arbitrary software", longest.message, TIME, INT64_MAX };
        for (size_t size = sizeof longest.message - 1; size > 0; size--) {
                cleanup_buffer Buffer b = { 0 };
                size_t n, one = 0;

                longest.message[size] = '\0';
                n = attacks_write(attacks, 16, &b);
                assert_true(n >= 1 && b.size <= ATTACKS_TEXT_MAX);
                for (size_t i = 0; i < b.size; i++)
                        one += b.data[i] == ';';
                assert_int_equal(one, n - 1);
                assert_int_equal(b.data[b.size - 1], ')');
                /* as many as there is room for */
                if (n < 16)
                        assert_true(b.size + (b.size - 2 * (n - 1)) / n + 2 > ATTACKS_TEXT_MAX);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_attack_has_class_message_time_and_count),
                cmocka_unit_test(only_between_two_attacks_is_there_a_semicolon),
                cmocka_unit_test(what_has_no_room_is_left_out_whole_and_the_first_always_has),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
