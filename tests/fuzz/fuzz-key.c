/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A public key as metadata carries it: first line the key type, second the scheme ("": not said), then the text. Refused with
 * a reason, or a key of an accepted type that equals itself, and that nonsense is no signature of.
 */
#include "crypto/key.h"
#include "fuzz.h"

#define NONSENSE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char *take_line(Slice *rest)
{
        const uint8_t *end = rest->size ? memchr(rest->data, '\n', rest->size) : NULL;
        size_t n = end ? (size_t) (end - rest->data) : rest->size;
        char *line = xcalloc(n + 1, 1);

        if (n)
                memcpy(line, rest->data, n);
        *rest = slice(rest->size ? rest->data + n + (end != NULL) : NULL, rest->size - n - (end != NULL));
        return line;
}

static void check_key(const PublicKey *key, const char *keytype, const char *scheme, const char *text)
{
        CLEANUP(public_key_free) PublicKey *plain = NULL;
        Error error = { 0 };
        KeyType named;

        REQUIRE(public_key_type(key) < _KEY_TYPE_MAX && key_type_from_name(keytype, &named, &error) == 0);
        REQUIRE(named == public_key_type(key) || (named == KEY_ECDSA_P256 && public_key_type(key) == KEY_ECDSA_P384));
        REQUIRE(public_key_new(public_key_type(key), text, &plain, &error) == 0 && public_key_equal(key, plain));
        REQUIRE(!public_key_verify(key, slice_str("a message"), slice_str(NONSENSE)));
        if (*scheme)
                REQUIRE(!public_key_verify_method(key, scheme, slice_str("a message"), slice_str(NONSENSE)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Slice rest = slice(data, size);
        cleanup_free char *keytype = take_line(&rest), *scheme = take_line(&rest), *text = NULL;
        CLEANUP(public_key_free) PublicKey *key = NULL;
        Error error = { 0 };

        text = xcalloc(rest.size + 1, 1);
        if (rest.size)
                memcpy(text, rest.data, rest.size);
        if (public_key_new_named(keytype, *scheme ? scheme : NULL, text, &key, &error) == 0)
                check_key(key, keytype, scheme, text);
        else
                REQUIRE(!key && *error.message && (error.code == ERR_KEY || error.code == ERR_UNSUPPORTED));
        return 0;
}
