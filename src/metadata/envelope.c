/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signature's text may be base64 or hex, and a text can be valid as both: then both readings are tried. That gives
 * nobody anything, for either way it is one signature by one key.
 */
#include "metadata/envelope.h"

#include "base/codec.h"
#include "crypto/signer.h"

#define KEY_ID_MAX 256
#define METHOD_MAX 64
#define SIGNATURE_TEXT_MAX 4096

static void read_bytes(Arena *arena, const char *text, EnvelopeSignature *ret)
{
        cleanup_buffer Buffer b = { .limit = SIGNATURE_TEXT_MAX };
        size_t n = strlen(text);
        Error ignored = { 0 };
        uint8_t raw[SIGNATURE_TEXT_MAX / 2];

        if (base64_decode(text, &b, &ignored) == 0)
                ret->bytes = arena_dup(arena, buffer_slice(&b));
        error_clear(&ignored);
        if (n % 2 == 0 && n / 2 <= sizeof raw && hex_decode(text, raw, n / 2, &ignored) == 0)
                ret->hex_bytes = arena_dup(arena, slice(raw, n / 2));
}

/* Uptane 5.2.1 (c): a signature, and whose */
static int parse_signature(Envelope *e, const json_t *json, EnvelopeSignature *ret, Error *error)
{
        const char *text;

        if (!json_is_object(json))
                return error_set(error, ERR_MALFORMED, "a signature is no object");
        if (json_get_string(json, "signatures", "keyid", KEY_ID_MAX, &ret->key_id, error) < 0 ||
            json_get_string(json, "signatures", "sig", SIGNATURE_TEXT_MAX, &text, error) < 0)
                return -1;
        if (json_has(json, "method") && json_get_string(json, "signatures", "method", METHOD_MAX, &ret->method, error) < 0)
                return -1;
        read_bytes(e->arena, text, ret);
        return 0;
}

static int parse_signatures(Envelope *e, Error *error)
{
        json_t *list;

        if (json_get_array(e->json, "document", "signatures", ENVELOPE_SIGNATURES_MAX, &list, error) < 0)
                return -1;
        e->signatures = arena_alloc(e->arena, json_array_size(list), sizeof *e->signatures);
        for (size_t i = 0; i < json_array_size(list); i++) {
                if (parse_signature(e, json_array_get(list, i), &e->signatures[i], error) < 0)
                        return -1;
                for (size_t j = 0; j < i; j++)
                        if (strcmp(e->signatures[j].key_id, e->signatures[i].key_id) == 0)
                                return error_set(error, ERR_BAD_SIGNATURE, "key %.16s... signs twice", e->signatures[i].key_id);
                e->n_signatures = i + 1;
        }
        return 0;
}

/* The tree of the whole document, but for what is cut out, in whose place an empty object stands. */
static int read_tree(Envelope *e, const char *cut, Error *error)
{
        cleanup_buffer Buffer rest = { 0 };
        const uint8_t *end = e->bytes.data + e->bytes.size;
        Slice body;

        if (!cut || !json_member_span(e->bytes, "signed", &body) || !json_member_span(body, cut, &e->cut) || e->cut.data[0] != '{') {
                e->cut = SLICE_NONE;
                return json_read(e->bytes, &e->json, error);
        }
        buffer_put(&rest, e->bytes.data, (size_t) (e->cut.data - e->bytes.data));
        buffer_put_str(&rest, "{}");
        buffer_put(&rest, e->cut.data + e->cut.size, (size_t) (end - (e->cut.data + e->cut.size)));
        return json_read(buffer_slice(&rest), &e->json, error);
}

/* Uptane 5.2.1 (b): what is signed, and the signatures */
int envelope_parse(Slice bytes, const char *cut, Envelope **ret, Error *error)
{
        CLEANUP(envelope_free) Envelope *e = xcalloc(1, sizeof *e);

        e->arena = arena_new();
        e->bytes = arena_dup(e->arena, bytes);
        if (read_tree(e, cut, error) < 0 || json_get_object(e->json, "document", "signed", SIZE_MAX, &e->body, error) < 0 ||
            parse_signatures(e, error) < 0)
                return -1;
        if (!json_member_span(e->bytes, "signed", &e->signed_span))
                return error_set(error, ERR_MALFORMED, "document.signed cannot be found");
        *ret = TAKE_PTR(e);
        return 0;
}

Envelope *envelope_free(Envelope *e)
{
        if (!e)
                return NULL;
        json_decref(e->json);
        arena_free(e->arena);
        free(e);
        return NULL;
}

/* ---- verification ---- */

static const KeysetEntry *find_key(const Keyset *keyset, const char *id)
{
        for (size_t i = 0; i < keyset->n_entries; i++)
                if (keyset->entries[i].key && strcmp(keyset->entries[i].id, id) == 0)
                        return &keyset->entries[i];
        return NULL;
}

static bool counted(const PublicKey *const *keys, size_t n, const PublicKey *key)
{
        for (size_t i = 0; i < n; i++)
                if (public_key_equal(keys[i], key))
                        return true;
        return false;
}

/* The distinct keys that have signed, so far. */
typedef struct Count {
        const Envelope *envelope;
        const Keyset *keyset;
        const PublicKey *good[ENVELOPE_SIGNATURES_MAX];
        size_t n;
} Count;

/* Counts signatures over one form of what is signed. True when there are enough. */
static bool count_over(Count *count, Slice message)
{
        for (size_t i = 0; i < count->envelope->n_signatures; i++) {
                const EnvelopeSignature *s = &count->envelope->signatures[i];
                const KeysetEntry *entry = find_key(count->keyset, s->key_id);

                /* Uptane 5.4.4.3 (2.3c): a threshold of distinct keys, by key material */
                if (entry && !counted(count->good, count->n, entry->key) &&
                    (public_key_verify_method(entry->key, s->method, message, s->bytes) ||
                     public_key_verify_method(entry->key, s->method, message, s->hex_bytes)))
                        count->good[count->n++] = entry->key;
        }
        return (int64_t) count->n >= count->keyset->threshold;
}

/* Whether a form can differ from the UTF-8 one: where nothing is to be written in another way it does not. */
static bool form_differs(JsonForm form, Slice utf8)
{
        for (size_t i = 0; i < utf8.size; i++)
                if (form == JSON_FORM_ASCII ? utf8.data[i] >= 0x80
                                            : utf8.data[i] == '\\' && utf8.data[++i] != '"' && utf8.data[i] != '\\')
                        return true;
        return false;
}

int envelope_verify(const Envelope *e, const Keyset *keyset, const char *what, Error *error)
{
        Count count = { .envelope = e, .keyset = keyset };
        bool wanted[_JSON_FORM_MAX] = { [JSON_FORM_UTF8] = true };

        if (count_over(&count, e->signed_span))
                return 0;
        /* one form at a time: each is as large as the document */
        for (JsonForm form = 0; form < _JSON_FORM_MAX; form++) {
                cleanup_buffer Buffer text = { 0 };
                Error ignored = { 0 };

                if (!wanted[form] || json_canonical_text(e->signed_span, form, &text, &ignored) < 0)
                        continue;
                if (form == JSON_FORM_UTF8)
                        for (JsonForm other = JSON_FORM_UTF8 + 1; other < _JSON_FORM_MAX; other++)
                                wanted[other] = form_differs(other, buffer_slice(&text));
                if (!slice_equal(buffer_slice(&text), e->signed_span) && count_over(&count, buffer_slice(&text)))
                        return 0;
        }
        return error_set(error, ERR_BAD_SIGNATURE, "%s: %zu valid signatures by distinct trusted keys, %lld are needed (%zu were there)",
                         what, count.n, (long long) keyset->threshold, e->n_signatures);
}

/* ---- signing ---- */

static void put(json_t *object, const char *name, const char *text)
{
        if (json_object_set_new(object, name, json_string(text)) < 0)
                abort(); /* out of memory: these are our own ASCII strings */
}

/* Uptane 5.4.2.1.1 (a, b, e), Uptane 5.4.2.1.2 (a, b, e): whose signature, how it was made, and the signature */
int envelope_sign(json_t *body, const Signer *signer, Buffer *ret, Error *error)
{
        cleanup_json json_t *document = json_object(), *signature = json_object();
        cleanup_buffer Buffer message = { 0 }, raw = { 0 }, text = { 0 };

        json_canonical(body, &message);
        if (json_object_set_new(document, "signed", body) < 0)
                abort();
        if (signer_sign(signer, buffer_slice(&message), &raw, error) < 0)
                return -1;
        base64_encode(buffer_slice(&raw), &text);
        put(signature, "keyid", signer_key_id(signer));
        put(signature, "method", signer_method(signer));
        put(signature, "sig", buffer_str(&text));
        if (json_object_set_new(document, "signatures", json_pack("[O]", signature)) < 0)
                abort();
        json_canonical(document, ret);
        return 0;
}
