/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"

#include <string.h>

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void hex_encode(Slice bytes, char *ret)
{
        for (size_t i = 0; i < bytes.size; i++) {
                *ret++ = hex_digits[bytes.data[i] >> 4];
                *ret++ = hex_digits[bytes.data[i] & 15];
        }
        *ret = '\0';
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

int hex_decode(const char *text, uint8_t *ret, size_t size, Error *error)
{
        if (strlen(text) != 2 * size)
                return error_set(error, ERR_MALFORMED, "hex text of %zu characters where %zu are expected",
                                 strlen(text), 2 * size);
        for (size_t i = 0; i < 2 * size; i++)
                if (hex_value(text[i]) < 0)
                        return error_set(error, ERR_MALFORMED, "character %zu is no hex digit", i + 1);
        for (size_t i = 0; i < size; i++)
                ret[i] = (uint8_t) (hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
        return 0;
}

void base64_encode(Slice bytes, Buffer *ret)
{
        for (size_t i = 0; i < bytes.size; i += 3) {
                size_t n = bytes.size - i < 3 ? bytes.size - i : 3;
                uint32_t v = (uint32_t) bytes.data[i] << 16;
                char quad[4];

                v |= n > 1 ? (uint32_t) bytes.data[i + 1] << 8 : 0;
                v |= n > 2 ? bytes.data[i + 2] : 0;
                quad[0] = base64_digits[v >> 18];
                quad[1] = base64_digits[v >> 12 & 63];
                quad[2] = n > 1 ? base64_digits[v >> 6 & 63] : '=';
                quad[3] = n > 2 ? base64_digits[v & 63] : '=';
                buffer_put(ret, quad, sizeof quad);
        }
}

static int base64_value(char c)
{
        const char *p = c ? strchr(base64_digits, c) : NULL;

        return p ? (int) (p - base64_digits) : -1;
}

/* One group of four; pad is how many '=' end it. */
static int decode_quad(const char *quad, size_t pad, Buffer *ret, Error *error)
{
        uint8_t bytes[3];
        uint32_t v = 0;

        for (size_t i = 0; i < 4; i++) {
                int d = i < 4 - pad ? base64_value(quad[i]) : 0;

                if (d < 0)
                        return error_set(error, ERR_MALFORMED, "not base64");
                v = v << 6 | (uint32_t) d;
        }
        if ((pad == 1 && (v & 0xff)) || (pad == 2 && (v & 0xffff)))
                return error_set(error, ERR_MALFORMED, "base64 with stray bits at its end");
        bytes[0] = (uint8_t) (v >> 16);
        bytes[1] = (uint8_t) (v >> 8);
        bytes[2] = (uint8_t) v;
        return buffer_append(ret, slice(bytes, 3 - pad), error);
}

int base64_decode(const char *text, Buffer *ret, Error *error)
{
        size_t n = strlen(text);

        if (n % 4)
                return error_set(error, ERR_MALFORMED, "base64 text of %zu characters, not a multiple of 4", n);
        for (size_t i = 0; i < n; i += 4) {
                size_t pad = 0;

                if (i + 4 == n && text[n - 1] == '=')
                        pad = text[n - 2] == '=' ? 2 : 1;
                if (decode_quad(text + i, pad, ret, error) < 0)
                        return -1;
        }
        return 0;
}

void json_quote(const char *text, Buffer *ret)
{
        buffer_put_str(ret, "\"");
        for (const char *p = text; *p; p++)
                if (*p == '"' || *p == '\\')
                        buffer_printf(ret, "\\%c", *p);
                else if ((unsigned char) *p < 0x20)
                        buffer_printf(ret, "\\u%04x", (unsigned) (unsigned char) *p);
                else
                        buffer_put(ret, p, 1);
        buffer_put_str(ret, "\"");
}

void percent_encode(const char *text, const char *keep, Buffer *ret)
{
        for (const char *p = text; *p; p++)
                if ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || strchr("-._~", *p) || strchr(keep, *p))
                        buffer_put(ret, p, 1);
                else
                        buffer_printf(ret, "%%%02X", (unsigned) (unsigned char) *p);
}
