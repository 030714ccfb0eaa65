/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/key-text.h"

#include "base/codec.h"
#include "base/mem.h"

#define PEM_LINE 64

int pem_decode(const char *text, const char *label, Buffer *ret)
{
        cleanup_free char *begin = xasprintf("-----BEGIN %s-----", label), *end = xasprintf("-----END %s-----", label);
        const char *from = strstr(text, begin), *to;
        cleanup_buffer Buffer base64 = { 0 };
        Error ignored = { 0 };
        size_t before = ret->size;

        from = from ? from + strlen(begin) : NULL;
        to = from ? strstr(from, end) : NULL;
        if (!to)
                return -1;
        for (const char *p = from; p < to; p++)
                if (!strchr(" \t\r\n", *p))
                        buffer_put(&base64, p, 1);
        return base64_decode(buffer_str(&base64), ret, &ignored) < 0 || ret->size == before ? -1 : 0;
}

void pem_encode(Slice der, const char *label, Buffer *ret)
{
        cleanup_buffer Buffer base64 = { 0 };
        const char *text;

        base64_encode(der, &base64);
        text = buffer_str(&base64);
        buffer_printf(ret, "-----BEGIN %s-----\n", label);
        for (size_t i = 0; i < base64.size; i += PEM_LINE)
                buffer_printf(ret, "%.*s\n", PEM_LINE, text + i);
        buffer_printf(ret, "-----END %s-----\n", label);
}

static int decode_hex(const char *text, size_t size, Buffer *ret, Error *error)
{
        cleanup_free uint8_t *raw = xcalloc(1, size);

        if (hex_decode(text, raw, size, error) < 0)
                return -1;
        buffer_put(ret, raw, size);
        return 0;
}

static bool is_hex(const char *text)
{
        size_t n = strlen(text);

        return n > 0 && n % 2 == 0 && strspn(text, "0123456789abcdefABCDEF") == n;
}

int key_text_decode(KeyType type, const char *text, KeyForm *ret_form, Buffer *ret, Error *error)
{
        bool ecdsa = type == KEY_ECDSA_P256 || type == KEY_ECDSA_P384;
        Error why = { 0 };

        if (type == KEY_ED25519 && strncmp(text, "-----BEGIN", 10) != 0) {
                *ret_form = KEY_FORM_ED25519;
                return decode_hex(text, ED25519_KEY_SIZE, ret, &why) < 0
                               ? error_set(error, ERR_KEY, "an Ed25519 key is %d hex digits: %s", 2 * ED25519_KEY_SIZE, why.message)
                               : 0;
        }
        if (ecdsa && is_hex(text)) {
                if (decode_hex(text, strlen(text) / 2, ret, &why) < 0)
                        return error_set(error, ERR_KEY, "not a public key in hex: %s", why.message);
                *ret_form = ret->data[0] == 0x04 ? KEY_FORM_POINT : KEY_FORM_SPKI;
                return 0;
        }
        *ret_form = KEY_FORM_SPKI;
        return pem_decode(text, "PUBLIC KEY", ret) < 0 ? error_set(error, ERR_KEY, "not a public key in PEM") : 0;
}

int key_text_spki(KeyType type, const char *text, Buffer *ret, Error *error)
{
        /* SEQUENCE { SEQUENCE { id-Ed25519 }, BIT STRING }, RFC 8410 */
        static const uint8_t ed25519[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
        cleanup_buffer Buffer bytes = { 0 };
        KeyForm form;

        if (key_text_decode(type, text, &form, &bytes, error) < 0)
                return -1;
        if (form == KEY_FORM_POINT)
                return error_set(error, ERR_KEY, "a point is no SubjectPublicKeyInfo");
        if (form == KEY_FORM_ED25519)
                buffer_put(ret, ed25519, sizeof ed25519);
        buffer_put(ret, bytes.data, bytes.size);
        return 0;
}
