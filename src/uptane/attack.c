/* SPDX-License-Identifier: Apache-2.0 */
#include "uptane/attack.h"

#include "base/time.h"

static void write_one(const DetectedAttack *a, Buffer *ret)
{
        char time[TIME_TEXT_SIZE];

        time_format(a->time, time);
        buffer_printf(ret, "%s: ", a->attack);
        for (const char *p = a->text; *p; p++)
                buffer_put(ret, *p == ';' ? "," : p, 1);
        buffer_printf(ret, " (%s", time);
        if (a->count > 1)
                buffer_printf(ret, ", %lld times", (long long) a->count);
        buffer_put_str(ret, ")");
}

size_t attacks_write(const DetectedAttack *attacks, size_t n, Buffer *ret)
{
        for (size_t i = 0; i < n; i++) {
                cleanup_buffer Buffer one = { 0 };

                buffer_put_str(&one, i ? "; " : "");
                write_one(&attacks[i], &one);
                if (one.size > ATTACKS_TEXT_MAX - ret->size)
                        return i;
                buffer_put(ret, one.data, one.size);
        }
        return n;
}
