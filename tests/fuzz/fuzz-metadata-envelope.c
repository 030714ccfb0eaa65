/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "metadata/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(envelope_free) Envelope *e = NULL;
        Error error = { 0 };

        if (envelope_parse(slice(data, size), NULL, &e, &error) < 0)
                return 0;
        REQUIRE(e->signed_span.data >= e->bytes.data && e->signed_span.data + e->signed_span.size <= e->bytes.data + e->bytes.size);
        REQUIRE(json_is_object(e->body) && e->n_signatures <= ENVELOPE_SIGNATURES_MAX);
        /* nobody's key: nothing may be believed */
        REQUIRE(envelope_verify(e, &(Keyset) { .threshold = 1 }, "it", &error) < 0);
        return 0;
}
