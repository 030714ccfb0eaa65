/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers may say, and that everything else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exec/answer.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

typedef struct World {
        Arena *arena;
        ExecAnswer answer;
        Error error;
} World;

static int setup(void **state)
{
        World *w = xcalloc(1, sizeof *w);

        w->arena = arena_new();
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        World *w = *state;

        arena_free(w->arena);
        free(w);
        return 0;
}

static void must_take(World *w, ExecAction action, const char *text)
{
        error_clear(&w->error);
        if (exec_answer_parse(slice_str(text), action, w->arena, &w->answer, &w->error) < 0)
                fail_msg("%s: %s", text, w->error.message);
}

static void must_refuse(World *w, ExecAction action, const char *text)
{
        error_clear(&w->error);
        if (exec_answer_parse(slice_str(text), action, w->arena, &w->answer, &w->error) == 0)
                fail_msg("was taken: %s", text);
        assert_int_equal(w->error.code, ERR_HANDLER);
}

static void the_status_is_what_counts(void **state)
{
        World *w = *state;

        for (unsigned action = EXEC_INSTALL; action < _EXEC_ACTION_MAX; action++) {
                must_take(w, (ExecAction) action, "{\"status\":\"ok\"}");
                assert_int_equal(w->answer.status, EXEC_OK);
                assert_string_equal(w->answer.message, "");
                must_take(w, (ExecAction) action, " {\"message\": \"no such; $(device)\", \"status\": \"failed\", \"new\": [1.5]}\n");
                assert_int_equal(w->answer.status, EXEC_FAILED);
                assert_string_equal(w->answer.message, "no such; $(device)");
        }
}

static void only_what_changes_the_ecu_may_need_completion(void **state)
{
        World *w = *state;

        must_take(w, EXEC_INSTALL, "{\"status\":\"need-completion\"}");
        assert_int_equal(w->answer.status, EXEC_NEED_COMPLETION);
        must_refuse(w, EXEC_COMPLETE_INSTALL, "{\"status\":\"need-completion\"}");
        must_take(w, EXEC_ROLLBACK, "{\"status\":\"need-completion\"}");
        must_refuse(w, EXEC_HOLD, "{\"status\":\"need-completion\"}");
        must_refuse(w, EXEC_RELEASE, "{\"status\":\"need-completion\"}");
        must_refuse(w, EXEC_GET_FIRMWARE_INFO, "{\"status\":\"need-completion\"}");
}

static void firmware_is_told_by_its_hash(void **state)
{
        World *w = *state;

        must_take(w, EXEC_GET_FIRMWARE_INFO, "{\"status\":\"ok\",\"sha256\":\"" HASH "\"}");
        assert_string_equal(w->answer.sha256, HASH);
        assert_string_equal(w->answer.name, "");
        assert_int_equal(w->answer.length, -1);
        must_take(w, EXEC_GET_FIRMWARE_INFO,
                  "{\"status\":\"ok\",\"name\":\"a b;$(c).bin\",\"length\":7,"
                  "\"sha256\":\"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\"}");
        assert_string_equal(w->answer.sha256, HASH);
        assert_string_equal(w->answer.name, "a b;$(c).bin");
        assert_int_equal(w->answer.length, 7);
        must_take(w, EXEC_GET_FIRMWARE_INFO, "{\"status\":\"unknown\"}");
        assert_int_equal(w->answer.status, EXEC_UNKNOWN);
        assert_string_equal(w->answer.sha256, "");
        must_refuse(w, EXEC_INSTALL, "{\"status\":\"unknown\"}");
        must_take(w, EXEC_GET_FIRMWARE_INFO, "{\"status\":\"failed\"}");
        assert_int_equal(w->answer.status, EXEC_FAILED);
}

static void everything_else_is_refused(void **state)
{
        static const char *const bad[] = {
                "", "ok", "{}", "[]", "\"ok\"", "{\"status\":\"ok\"} x", "{\"status\":\"ok\"}{\"status\":\"ok\"}", "{\"status\":1}",
                "{\"status\":null}", "{\"status\":\"OK\"}", "{\"status\":\"not-handled\"}", "{\"status\":\"ok\",\"status\":\"failed\"}",
                "{\"status\":\"ok\",\"message\":1}", "{\"status\":\"ok\",\"message\":\"\\u0000\"}", "{\"status\":\"ok\",\"message\":\"\xff\"}",
        };
        World *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                must_refuse(w, EXEC_INSTALL, bad[i]);
        must_refuse(w, EXEC_GET_FIRMWARE_INFO, "{\"status\":\"ok\"}");
        must_refuse(w, EXEC_GET_FIRMWARE_INFO, "{\"status\":\"ok\",\"sha256\":\"01\"}");
        must_refuse(w, EXEC_GET_FIRMWARE_INFO, "{\"status\":\"ok\",\"sha256\":\"" HASH "\",\"length\":-1}");
        must_refuse(w, EXEC_GET_FIRMWARE_INFO, "{\"status\":\"ok\",\"sha256\":\"" HASH "\",\"length\":1.5}");
}

static void a_long_message_is_refused_and_a_longer_answer_not_even_read(void **state)
{
        World *w = *state;
        cleanup_buffer Buffer b = { 0 };

        buffer_put_str(&b, "{\"status\":\"ok\",\"message\":\"");
        for (size_t i = 0; i < EXEC_MESSAGE_MAX; i++)
                buffer_put_str(&b, "x");
        buffer_put_str(&b, "\"}");
        must_take(w, EXEC_INSTALL, buffer_str(&b));
        assert_int_equal(strlen(w->answer.message), EXEC_MESSAGE_MAX);
        b.size -= 2;
        buffer_put_str(&b, "y\"}");
        must_refuse(w, EXEC_INSTALL, buffer_str(&b));
        while (b.size <= EXEC_ANSWER_BYTES_MAX)
                buffer_put_str(&b, " ");
        must_refuse(w, EXEC_INSTALL, buffer_str(&b));
        assert_non_null(strstr(w->error.message, "bytes"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(the_status_is_what_counts),
                TEST(only_what_changes_the_ecu_may_need_completion),
                TEST(firmware_is_told_by_its_hash),
                TEST(everything_else_is_refused),
                TEST(a_long_message_is_refused_and_a_longer_answer_not_even_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
