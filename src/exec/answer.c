/* SPDX-License-Identifier: Apache-2.0 */
#include "exec/answer.h"

#include <assert.h>

#include "base/codec.h"
#include "metadata/json.h"
#include "metadata/role.h"

static const char *const action_names[] = {
        [EXEC_GET_FIRMWARE_INFO] = "get-firmware-info",
        [EXEC_INSTALL] = "install",
        [EXEC_COMPLETE_INSTALL] = "complete-install",
        [EXEC_ROLLBACK] = "rollback",
        [EXEC_HOLD] = "hold",
        [EXEC_RELEASE] = "release",
};
static_assert(ELEMENTSOF(action_names) == _EXEC_ACTION_MAX, "an action without a name");

static const char *const status_names[] = {
        [EXEC_OK] = "ok",
        [EXEC_NEED_COMPLETION] = "need-completion",
        [EXEC_FAILED] = "failed",
        [EXEC_UNKNOWN] = "unknown",
        [EXEC_NOT_HANDLED] = "not-handled",
};
static_assert(ELEMENTSOF(status_names) == _EXEC_STATUS_MAX, "a status without a name");

const char *exec_action_name(ExecAction action)
{
        assert(action < _EXEC_ACTION_MAX);
        return action_names[action];
}

const char *exec_status_name(ExecStatus status)
{
        assert(status < _EXEC_STATUS_MAX);
        return status_names[status];
}

static bool fits(ExecStatus status, ExecAction action)
{
        if (status == EXEC_NEED_COMPLETION)
                return action == EXEC_INSTALL || action == EXEC_ROLLBACK;
        return status == EXEC_UNKNOWN ? action == EXEC_GET_FIRMWARE_INFO : status != EXEC_NOT_HANDLED;
}

static int parse_status(const json_t *body, ExecAction action, ExecStatus *ret, Error *error)
{
        const char *text;

        if (json_get_string(body, "answer", "status", 32, &text, error) < 0)
                return -1;
        for (unsigned i = 0; i < _EXEC_STATUS_MAX; i++)
                if (strcmp(text, status_names[i]) == 0 && fits((ExecStatus) i, action)) {
                        *ret = (ExecStatus) i;
                        return 0;
                }
        return error_set(error, ERR_MALFORMED, "answer.status is '%s'", text);
}

static int parse_text(const json_t *body, const char *name, size_t max, Arena *arena, const char **ret, Error *error)
{
        const char *text = "";

        if (json_has(body, name) && json_get_string(body, "answer", name, max, &text, error) < 0)
                return -1;
        *ret = arena_strdup(arena, text);
        return 0;
}

/* Hashes are compared as bytes and shown in lower case. */
static int parse_firmware(const json_t *body, Arena *arena, ExecAnswer *ret, Error *error)
{
        uint8_t hash[SHA256_SIZE];
        char *hex = arena_alloc(arena, 2 * SHA256_SIZE + 1, 1);
        const char *text;

        if (json_get_string(body, "answer", "sha256", 2 * SHA256_SIZE, &text, error) < 0 || hex_decode(text, hash, sizeof hash, error) < 0 ||
            parse_text(body, "name", TARGET_NAME_MAX, arena, &ret->name, error) < 0 ||
            (json_has(body, "length") && json_get_int(body, "answer", "length", &ret->length, error) < 0))
                return -1;
        hex_encode(slice(hash, sizeof hash), hex);
        ret->sha256 = hex;
        return 0;
}

int exec_answer_parse(Slice text, ExecAction action, Arena *arena, ExecAnswer *ret, Error *error)
{
        ExecAnswer answer = { .name = "", .sha256 = "", .length = -1 };
        cleanup_json json_t *body = NULL;
        Error why = { 0 };

        if (text.size > EXEC_ANSWER_BYTES_MAX)
                return error_set(error, ERR_HANDLER, "an answer of %zu bytes", text.size);
        if (json_read(text, &body, &why) < 0 || parse_status(body, action, &answer.status, &why) < 0 ||
            parse_text(body, "message", EXEC_MESSAGE_MAX, arena, &answer.message, &why) < 0 ||
            (action == EXEC_GET_FIRMWARE_INFO && answer.status == EXEC_OK && parse_firmware(body, arena, &answer, &why) < 0))
                return error_set(error, ERR_HANDLER, "its answer: %s", why.message);
        *ret = answer;
        return 0;
}
