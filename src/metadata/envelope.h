/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METADATA_ENVELOPE_H
#define METADATA_ENVELOPE_H

/*
 * A signed document: {"signatures": [{keyid, method, sig}], "signed": {...}} (Uptane 5.2.1).
 *
 * The envelope owns a copy of its bytes and everything parsed from them, and is immutable. Parsing checks form only;
 * nothing may be believed before envelope_verify() has returned 0.
 */
#include "base/arena.h"
#include "metadata/json.h"
#include "metadata/keyset.h"

#define ENVELOPE_SIGNATURES_MAX 64

typedef struct EnvelopeSignature {
        const char *key_id;
        const char *method; /* NULL: not said (TUF spelling); the key's own decides */
        Slice bytes;        /* its text read as base64; empty if it is none */
        Slice hex_bytes;    /* the same read as hex */
} EnvelopeSignature;

typedef struct Envelope {
        Arena *arena;
        Slice bytes;       /* as received */
        Slice signed_span; /* the value of "signed" in them */
        json_t *json;      /* the whole document, but for cut */
        json_t *body;      /* "signed", borrowed from json */
        Slice cut;         /* the text of the member that was cut out: an object, not looked into; or nothing */
        EnvelopeSignature *signatures;
        size_t n_signatures;
} Envelope;

/*
 * ERR_MALFORMED; a key id that signs twice is ERR_BAD_SIGNATURE. bytes are bounded by the caller and copied. cut names a
 * member of "signed" that may be large, or is NULL: in the tree it is an empty object, its text is left to the caller.
 */
int envelope_parse(Slice bytes, const char *cut, Envelope **ret, Error *error) __attribute__((nonnull(3, 4), warn_unused_result));
Envelope *envelope_free(Envelope *envelope);
DEFINE_CLEANUP(Envelope, envelope_free)

/*
 * Enough valid signatures by distinct keys of keyset, over the received bytes of "signed" or one of its canonical
 * re-encodings (json.h). Distinct is by key material. ERR_BAD_SIGNATURE otherwise. what names the document in errors.
 */
int envelope_verify(const Envelope *envelope, const Keyset *keyset, const char *what, Error *error)
        __attribute__((nonnull, warn_unused_result));

/*
 * Signs body (taken over, even on failure) over its canonical form and appends the whole envelope, itself canonical.
 */
typedef struct Signer Signer;
int envelope_sign(json_t *body, const Signer *signer, Buffer *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
