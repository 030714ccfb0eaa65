/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message is [kind] EXPLICIT SEQUENCE { fields }. What fields a kind has, and in which order, is one row of a table
 * that both directions walk, so that they cannot differ. The reader takes definite, minimal lengths only, every field
 * must end where its parent says, and at last the message is written again and compared: one value, one encoding.
 */
#include "metadata/der.h"

#include <assert.h>

#include "metadata/role.h"

#define TAG_INTEGER 0x02
#define TAG_OCTETS 0x04
#define TAG_ENUMERATED 0x0a
#define TAG_UTF8 0x0c
#define TAG_SEQUENCE 0x30
#define TAG_CONTEXT 0xa0 /* context-specific, constructed; kinds fit the low five bits */
#define TAG_CONTEXT_MASK 0xe0

#define HEADER_MAX 6 /* a tag and a length of at most four bytes */
#define TEXT_MAX 512 /* serial, hardware id */
#define ROLE_TEXT_MAX (sizeof DER_DELEGATED - 1 + ROLE_NAME_MAX)

typedef enum Field {
        FIELD_END = 0,
        FIELD_SERIAL,
        FIELD_HARDWARE_ID,
        FIELD_KEY_TYPE,
        FIELD_REPO,
        FIELD_NUMBER,
        FIELD_DATA,
        FIELD_RESULT,
        FIELD_DESCRIPTION,
        FIELD_IMAGE_FILES,
        FIELD_DIRECTOR_FILES,
} Field;

#define FIELDS_MAX 5 /* four, and FIELD_END */

typedef struct Layout {
        bool known;
        Field fields[FIELDS_MAX];
} Layout;

#define RESULT_FIELDS { FIELD_RESULT, FIELD_DESCRIPTION }

/* Version 1 of the protocol, 4..7 and 9, has no rows: nobody may speak it here. */
static const Layout layouts[] = {
        [DER_GET_INFO_REQ] = { true, { FIELD_END } },
        [DER_GET_INFO_RESP] = { true, { FIELD_SERIAL, FIELD_HARDWARE_ID, FIELD_KEY_TYPE, FIELD_DATA } },
        [DER_MANIFEST_REQ] = { true, { FIELD_END } },
        [DER_MANIFEST_RESP] = { true, { FIELD_DATA } },
        [DER_INSTALL_REQ] = { true, { FIELD_DATA } },
        [DER_UPLOAD_DATA_REQ] = { true, { FIELD_DATA } },
        [DER_UPLOAD_DATA_RESP] = { true, RESULT_FIELDS },
        [DER_DOWNLOAD_OSTREE_REQ] = { true, { FIELD_DATA } },
        [DER_DOWNLOAD_OSTREE_RESP] = { true, RESULT_FIELDS },
        [DER_PUT_META_REQ2] = { true, { FIELD_IMAGE_FILES, FIELD_DIRECTOR_FILES } },
        [DER_PUT_META_RESP2] = { true, RESULT_FIELDS },
        [DER_INSTALL_RESP2] = { true, RESULT_FIELDS },
        [DER_VERSION_REQ] = { true, { FIELD_NUMBER } },
        [DER_VERSION_RESP] = { true, { FIELD_NUMBER } },
        [DER_ROOT_VERSION_REQ] = { true, { FIELD_REPO } },
        [DER_ROOT_VERSION_RESP] = { true, { FIELD_NUMBER } },
        [DER_PUT_ROOT_REQ] = { true, { FIELD_REPO, FIELD_DATA } },
        [DER_PUT_ROOT_RESP] = { true, RESULT_FIELDS },
};

static const Layout *layout_of(unsigned kind)
{
        return kind < ELEMENTSOF(layouts) && layouts[kind].known ? &layouts[kind] : NULL;
}

static bool result_known(int64_t value)
{
        static const DerResult known[] = {
                DER_OK, DER_ALREADY_PROCESSED, DER_VALIDATION_FAILED, DER_INSTALL_FAILED, DER_DOWNLOAD_FAILED,
                DER_INTERNAL_ERROR, DER_GENERAL_ERROR, DER_NEED_COMPLETION, DER_CUSTOM_ERROR, DER_OPERATION_CANCELLED,
                DER_UNKNOWN,
        };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (known[i] == value)
                        return true;
        return false;
}

/* ---- writing ---- */

static void put_tlv(Buffer *b, uint8_t tag, Slice content)
{
        uint8_t header[HEADER_MAX] = { tag };
        size_t n = 1, octets = 1;

        assert(content.size <= UINT32_MAX);
        if (content.size < 0x80) {
                header[n++] = (uint8_t) content.size;
        } else {
                while (octets < 4 && content.size >> (8 * octets))
                        octets++;
                header[n++] = (uint8_t) (0x80 | octets);
                while (octets-- > 0)
                        header[n++] = (uint8_t) (content.size >> (8 * octets));
        }
        buffer_put(b, header, n);
        buffer_put(b, content.data, content.size);
}

/* Two's complement in as few bytes as it takes: nine equal bits at the front are one byte too many. */
static void put_int(Buffer *b, uint8_t tag, int64_t value)
{
        uint64_t bits = (uint64_t) value;
        uint8_t bytes[sizeof bits];
        size_t n = sizeof bits;

        for (size_t i = 0; i < sizeof bits; i++)
                bytes[i] = (uint8_t) (bits >> (8 * (sizeof bits - 1 - i)));
        while (n > 1 && bytes[sizeof bits - n] == (bytes[sizeof bits - n + 1] & 0x80 ? 0xff : 0x00))
                n--;
        put_tlv(b, tag, slice(bytes + sizeof bits - n, n));
}

static void put_files(Buffer *b, const DerFile *files, size_t n)
{
        cleanup_buffer Buffer list = { 0 };

        assert(n <= DER_FILES_MAX);
        for (size_t i = 0; i < n; i++) {
                cleanup_buffer Buffer file = { 0 };

                put_tlv(&file, TAG_OCTETS, slice_str(files[i].role));
                put_tlv(&file, TAG_OCTETS, files[i].json);
                put_tlv(&list, TAG_SEQUENCE, buffer_slice(&file));
        }
        put_tlv(b, TAG_SEQUENCE, buffer_slice(&list));
}

static void put_field(Buffer *b, Field field, const DerMessage *m)
{
        switch (field) {
        case FIELD_SERIAL:
                put_tlv(b, TAG_UTF8, slice_str(m->serial));
                break;
        case FIELD_HARDWARE_ID:
                put_tlv(b, TAG_UTF8, slice_str(m->hardware_id));
                break;
        case FIELD_KEY_TYPE:
        case FIELD_REPO:
                put_int(b, TAG_ENUMERATED, m->number);
                break;
        case FIELD_NUMBER:
                put_int(b, TAG_INTEGER, m->number);
                break;
        case FIELD_DATA:
                put_tlv(b, TAG_OCTETS, m->data);
                break;
        case FIELD_RESULT:
                put_int(b, TAG_ENUMERATED, m->result);
                break;
        case FIELD_DESCRIPTION:
                put_tlv(b, TAG_OCTETS, m->description);
                break;
        case FIELD_IMAGE_FILES:
                put_files(b, m->image_files, m->n_image_files);
                break;
        case FIELD_DIRECTOR_FILES:
                put_files(b, m->director_files, m->n_director_files);
                break;
        case FIELD_END:
        default:
                abort();
        }
}

void der_encode(const DerMessage *message, Buffer *ret)
{
        cleanup_buffer Buffer fields = { 0 }, sequence = { 0 };
        const Layout *layout = layout_of(message->kind);

        assert(layout);
        for (const Field *f = layout->fields; *f != FIELD_END; f++)
                put_field(&fields, *f, message);
        put_tlv(&sequence, TAG_SEQUENCE, buffer_slice(&fields));
        put_tlv(ret, (uint8_t) (TAG_CONTEXT | message->kind), buffer_slice(&sequence));
}

/* ---- reading ---- */

/* The length behind the tag: returns how many bytes the header has, 0 if there are not enough yet, or -1. */
static int read_header(Slice bytes, size_t *ret_content, Error *error)
{
        size_t content = 0, octets;

        if (bytes.size < 2)
                return 0;
        if (bytes.data[1] < 0x80) {
                *ret_content = bytes.data[1];
                return 2;
        }
        octets = bytes.data[1] & 0x7fu;
        if (octets == 0)
                return error_set(error, ERR_MALFORMED, "message with an indefinite length");
        if (octets > HEADER_MAX - 2)
                return error_set(error, ERR_TOO_LARGE, "message with a length of %zu bytes", octets);
        if (bytes.size < 2 + octets)
                return 0;
        for (size_t i = 0; i < octets; i++)
                content = content << 8 | bytes.data[2 + i];
        if (content < 0x80 || bytes.data[2] == 0)
                return error_set(error, ERR_MALFORMED, "message with a length that is not minimal");
        *ret_content = content;
        return (int) (2 + octets);
}

/* Takes one element with this tag off the front of *in. */
static int take(Slice *in, uint8_t tag, const char *what, Slice *ret, Error *error)
{
        size_t content;
        int header;

        if (in->size == 0)
                return error_set(error, ERR_MALFORMED, "%s is missing", what);
        if (in->data[0] != tag)
                return error_set(error, ERR_MALFORMED, "%s has tag 0x%02x, expected 0x%02x", what, in->data[0], tag);
        header = read_header(*in, &content, error);
        if (header < 0)
                return error_prefix(error, "%s", what);
        if (header == 0 || content > in->size - (size_t) header)
                return error_set(error, ERR_MALFORMED, "%s ends too early", what);
        *ret = slice(in->data + header, content);
        *in = slice(in->data + header + content, in->size - (size_t) header - content);
        return 0;
}

static int take_data(Slice *in, const char *what, Arena *arena, Slice *ret, Error *error)
{
        Slice content;

        if (take(in, TAG_OCTETS, what, &content, error) < 0)
                return -1;
        *ret = arena_dup(arena, content);
        return 0;
}

static int take_int(Slice *in, uint8_t tag, const char *what, int64_t *ret, Error *error)
{
        Slice content;
        uint64_t bits;

        if (take(in, tag, what, &content, error) < 0)
                return -1;
        if (content.size == 0 || content.size > sizeof bits)
                return error_set(error, ERR_MALFORMED, "%s is a number of %zu bytes", what, content.size);
        bits = content.data[0] & 0x80 ? UINT64_MAX : 0;
        for (size_t i = 0; i < content.size; i++)
                bits = bits << 8 | content.data[i];
        *ret = (int64_t) bits;
        return 0;
}

static int take_enum(Slice *in, const char *what, int64_t max, int64_t *ret, Error *error)
{
        int64_t value;

        if (take_int(in, TAG_ENUMERATED, what, &value, error) < 0)
                return -1;
        if (value < 0 || value > max)
                return error_set(error, ERR_MALFORMED, "%s is %lld, which does not exist", what, (long long) value);
        *ret = value;
        return 0;
}

/* Well-formed UTF-8 (shortest forms, no surrogates) without control characters: it ends up in logs and on the bus. */
static bool text_valid(Slice text)
{
        for (size_t i = 0, more; i < text.size; i += 1 + more) {
                uint8_t c = text.data[i];
                uint32_t code, least;

                more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
                if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || more >= text.size - i)
                        return false;
                code = more ? c & (0x3fu >> more) : c;
                for (size_t k = 1; k <= more; k++) {
                        if ((text.data[i + k] & 0xc0) != 0x80)
                                return false;
                        code = code << 6 | (text.data[i + k] & 0x3fu);
                }
                least = more == 3 ? 0x10000 : more == 2 ? 0x800 : more == 1 ? 0x80 : 0x20;
                if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || (code >= 0x7f && code < 0xa0))
                        return false;
        }
        return true;
}

static int take_text(Slice *in, uint8_t tag, const char *what, Arena *arena, const char **ret, Error *error)
{
        size_t max = tag == TAG_UTF8 ? TEXT_MAX : ROLE_TEXT_MAX;
        Slice content;

        if (take(in, tag, what, &content, error) < 0)
                return -1;
        if (content.size > max)
                return error_set(error, ERR_MALFORMED, "%s has %zu bytes, more than %zu", what, content.size, max);
        if (!text_valid(content))
                return error_set(error, ERR_MALFORMED, "%s is not plain UTF-8 text", what);
        *ret = (const char *) arena_dup(arena, content).data; /* arena_dup() ends it with a NUL */
        return 0;
}

static int take_files(Slice *in, const char *what, Arena *arena, DerFile **ret, size_t *n, Error *error)
{
        Slice list, file;
        DerFile *files;

        if (take(in, TAG_SEQUENCE, what, &list, error) < 0)
                return -1;
        files = *ret = arena_alloc(arena, list.size ? DER_FILES_MAX : 0, sizeof *files);
        for (*n = 0; list.size > 0; (*n)++) {
                if (*n == DER_FILES_MAX)
                        return error_set(error, ERR_MALFORMED, "%s: more than %d files", what, DER_FILES_MAX);
                if (take(&list, TAG_SEQUENCE, what, &file, error) < 0 ||
                    take_text(&file, TAG_OCTETS, "role", arena, &files[*n].role, error) < 0 ||
                    take_data(&file, files[*n].role, arena, &files[*n].json, error) < 0)
                        return error_prefix(error, "%s, file %zu", what, *n + 1);
                if (file.size > 0)
                        return error_set(error, ERR_MALFORMED, "%s, file %zu: %zu bytes too many", what, *n + 1, file.size);
        }
        return 0;
}

static int take_result(Slice *in, DerResult *ret, Error *error)
{
        int64_t value;

        if (take_int(in, TAG_ENUMERATED, "result", &value, error) < 0)
                return -1;
        if (!result_known(value))
                return error_set(error, ERR_MALFORMED, "result is %lld, which does not exist", (long long) value);
        *ret = (DerResult) value;
        return 0;
}

static int take_field(Slice *in, Field field, Arena *arena, DerMessage *m, Error *error)
{
        switch (field) {
        case FIELD_SERIAL:
                return take_text(in, TAG_UTF8, "serial", arena, &m->serial, error);
        case FIELD_HARDWARE_ID:
                return take_text(in, TAG_UTF8, "hardware id", arena, &m->hardware_id, error);
        case FIELD_KEY_TYPE:
                return take_enum(in, "key type", DER_KEY_RSA4096, &m->number, error);
        case FIELD_REPO:
                return take_enum(in, "repository", DER_REPO_IMAGE, &m->number, error);
        case FIELD_NUMBER:
                return take_int(in, TAG_INTEGER, "version", &m->number, error);
        case FIELD_DATA:
                return take_data(in, "data", arena, &m->data, error);
        case FIELD_RESULT:
                return take_result(in, &m->result, error);
        case FIELD_DESCRIPTION:
                return take_data(in, "description", arena, &m->description, error);
        case FIELD_IMAGE_FILES:
                return take_files(in, "image repository", arena, &m->image_files, &m->n_image_files, error);
        case FIELD_DIRECTOR_FILES:
                return take_files(in, "Director", arena, &m->director_files, &m->n_director_files, error);
        case FIELD_END:
        default:
                abort();
        }
}

/* DER has one encoding of a value: whatever the reader let pass, another one is not it. */
static int check_canonical(const DerMessage *message, Slice bytes, Error *error)
{
        cleanup_buffer Buffer again = { 0 };

        der_encode(message, &again);
        if (!slice_equal(buffer_slice(&again), bytes))
                return error_set(error, ERR_MALFORMED, "message is not in the canonical encoding");
        return 0;
}

/* The tag of a whole message, or -1. */
static int read_kind(uint8_t tag, Error *error)
{
        unsigned kind = tag & (unsigned) ~TAG_CONTEXT_MASK;

        if ((tag & TAG_CONTEXT_MASK) != TAG_CONTEXT || !layout_of(kind))
                return error_set(error, ERR_MALFORMED, "no message begins with 0x%02x", tag);
        return (int) kind;
}

int der_decode(Slice bytes, Arena *arena, DerMessage *ret, Error *error)
{
        DerMessage m = { 0 };
        Slice rest = bytes, sequence, fields;
        int kind;

        if (bytes.size == 0)
                return error_set(error, ERR_MALFORMED, "message is empty");
        if (bytes.size > DER_MESSAGE_MAX)
                return error_set(error, ERR_TOO_LARGE, "message has %zu bytes, more than %zu", bytes.size, DER_MESSAGE_MAX);
        kind = read_kind(bytes.data[0], error);
        if (kind < 0)
                return -1;
        m.kind = (DerKind) kind;
        if (take(&rest, bytes.data[0], "message", &sequence, error) < 0 ||
            take(&sequence, TAG_SEQUENCE, "message", &fields, error) < 0)
                return -1;
        if (rest.size > 0 || sequence.size > 0)
                return error_set(error, ERR_MALFORMED, "message [%d]: %zu bytes too many", kind, rest.size + sequence.size);
        for (const Field *f = layout_of(m.kind)->fields; *f != FIELD_END; f++)
                if (take_field(&fields, *f, arena, &m, error) < 0)
                        return error_prefix(error, "message [%d]", kind);
        if (fields.size > 0)
                return error_set(error, ERR_MALFORMED, "message [%d]: %zu bytes behind its fields", kind, fields.size);
        if (check_canonical(&m, bytes, error) < 0)
                return error_prefix(error, "message [%d]", kind);
        *ret = m;
        return 0;
}

int der_frame_size(Slice bytes, size_t max, size_t *ret, Error *error)
{
        size_t content;
        int header;

        if (bytes.size == 0)
                return 0;
        if (read_kind(bytes.data[0], error) < 0)
                return -1;
        header = read_header(bytes, &content, error);
        if (header <= 0)
                return header;
        if ((size_t) header > max || content > max - (size_t) header)
                return error_set(error, ERR_TOO_LARGE, "message of %zu bytes, at most %zu are taken", content, max);
        *ret = (size_t) header + content;
        return 1;
}
