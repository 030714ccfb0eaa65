/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler program writes: taken only as an object that says a status which fits the action, and then in bounds. */
#include "exec/answer.h"
#include "fuzz.h"
#include "metadata/role.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        for (unsigned action = 0; action < _EXEC_ACTION_MAX; action++) {
                CLEANUP(arena_free) Arena *arena = arena_new();
                Error error = { 0 };
                ExecAnswer answer;

                if (exec_answer_parse(slice(data, size), (ExecAction) action, arena, &answer, &error) < 0) {
                        REQUIRE(error.code == ERR_HANDLER);
                        continue;
                }
                REQUIRE(answer.status < EXEC_NOT_HANDLED && strlen(answer.message) <= EXEC_MESSAGE_MAX);
                REQUIRE(answer.status != EXEC_NEED_COMPLETION || action == EXEC_INSTALL || action == EXEC_ROLLBACK);
                REQUIRE(answer.status != EXEC_UNKNOWN || action == EXEC_GET_FIRMWARE_INFO);
                REQUIRE(strlen(answer.sha256) == (action == EXEC_GET_FIRMWARE_INFO && answer.status == EXEC_OK ? 64 : 0));
                REQUIRE(strlen(answer.name) <= TARGET_NAME_MAX && answer.length >= -1);
        }
        return 0;
}
