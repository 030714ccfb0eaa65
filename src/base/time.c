/* SPDX-License-Identifier: Apache-2.0 */
/* Calendar arithmetic by hand (days since a civil date in the proleptic Gregorian calendar): libc's versions consult the time zone. */
#include "base/time.h"

#include <stdbool.h>
#include <string.h>

#define SECONDS_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
        int64_t era, yoe, doy;

        y -= m <= 2;
        era = y / 400;
        yoe = y - era * 400;
        doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
        return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int days_in_month(int y, int m)
{
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

        return m == 2 && leap ? 29 : days[m - 1];
}

/* size decimal digits, or -1 */
static int digits(const char *p, int size)
{
        int v = 0;

        for (int i = 0; i < size; i++) {
                if (p[i] < '0' || p[i] > '9')
                        return -1;
                v = v * 10 + (p[i] - '0');
        }
        return v;
}

/* What follows the seconds: an optional fraction and Z. */
static bool tail_ok(const char *p)
{
        if (*p == '.') {
                size_t n = strspn(++p, "0123456789");

                if (n == 0 || n > 9)
                        return false;
                p += n;
        }
        return strcmp(p, "Z") == 0;
}

int time_parse(const char *text, int64_t *ret_seconds, Error *error)
{
        static const char shape[] = "dddd-dd-ddTdd:dd:dd";
        int y, mo, d, h, mi, s;

        for (size_t i = 0; i < sizeof shape - 1; i++)
                if (shape[i] == 'd' ? digits(text + i, 1) < 0 : text[i] != shape[i])
                        return error_set(error, ERR_MALFORMED, "'%.40s' is no RFC 3339 UTC time", text);
        y = digits(text, 4);
        mo = digits(text + 5, 2);
        d = digits(text + 8, 2);
        h = digits(text + 11, 2);
        mi = digits(text + 14, 2);
        s = digits(text + 17, 2);
        if (!tail_ok(text + sizeof shape - 1) || y < 1970 || mo < 1 || mo > 12 || d < 1 || d > days_in_month(y, mo) ||
            h > 23 || mi > 59 || s > 59)
                return error_set(error, ERR_MALFORMED, "'%.40s' is no RFC 3339 UTC time", text);
        *ret_seconds = days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + s;
        return 0;
}

/* value as size digits, and the separator behind them */
static void put_digits(char *p, int size, int64_t value, char separator)
{
        p[size] = separator;
        for (int i = size - 1; i >= 0; i--, value /= 10)
                p[i] = (char) ('0' + value % 10);
}

void time_format(int64_t seconds, char ret[static TIME_TEXT_SIZE])
{
        int64_t z, era, doe, yoe, doy, mp, y, m, d, rest;

        seconds = seconds < 0 ? 0 : seconds > SECONDS_MAX ? SECONDS_MAX : seconds;
        z = seconds / 86400 + 719468;
        rest = seconds % 86400;
        era = z / 146097;
        doe = z - era * 146097;
        yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
        doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        mp = (5 * doy + 2) / 153;
        d = doy - (153 * mp + 2) / 5 + 1;
        m = mp < 10 ? mp + 3 : mp - 9;
        y = yoe + era * 400 + (m <= 2);
        put_digits(ret, 4, y, '-');
        put_digits(ret + 5, 2, m, '-');
        put_digits(ret + 8, 2, d, 'T');
        put_digits(ret + 11, 2, rest / 3600, ':');
        put_digits(ret + 14, 2, rest / 60 % 60, ':');
        put_digits(ret + 17, 2, rest % 60, 'Z');
        ret[20] = '\0';
}
