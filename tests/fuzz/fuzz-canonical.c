/* SPDX-License-Identifier: Apache-2.0 */
/* What was read and written canonically reads as the same, and is written as the same again. */
#include "fuzz.h"
#include "metadata/json.h"

static void check(const json_t *value, void (*form)(const json_t *, Buffer *))
{
        cleanup_buffer Buffer once = { 0 }, twice = { 0 };
        cleanup_json json_t *again = NULL;
        Error error = { 0 };

        form(value, &once);
        REQUIRE(json_read(buffer_slice(&once), &again, &error) == 0);
        form(again, &twice);
        REQUIRE(slice_equal(buffer_slice(&once), buffer_slice(&twice)) && json_equal(value, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_buffer Buffer olpc = { 0 };
        cleanup_json json_t *value = NULL;
        Error error = { 0 };

        if (json_read(slice(data, size), &value, &error) < 0)
                return 0;
        check(value, json_canonical);
        check(value, json_canonical_ascii);
        json_canonical_olpc(value, &olpc); /* leaves control characters as they are: not JSON any more */
        return 0;
}
