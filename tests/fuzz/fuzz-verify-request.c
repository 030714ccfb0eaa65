/* SPDX-License-Identifier: Apache-2.0 */
/* The question that uptane-verify is asked, as "SIGNATURE VALUES": refused, or complete and within its bounds. */
#include "fuzz.h"
#include "message.h"
#include "verify/wire.h"

static void check_request(const VerifyRequest *request)
{
        size_t text = 0;

        for (char **p = request->must_match; p && *p; p++)
                text += strlen(*p);
        for (size_t i = 0; i < request->n_ecus; i++) {
                const Ecu *ecu = &request->ecus[i];

                text += strlen(ecu->serial) + strlen(ecu->hardware_id);
                REQUIRE(!ecu->image || *ecu->image);
        }
        text += strlen(request->vehicle.vin) + strlen(request->vehicle.device_id);
        REQUIRE(text <= SIZE_MAX / 2 && (!request->install || *request->install));
        for (unsigned kind = 0; kind < _TRUST_KIND_MAX; kind++)
                REQUIRE(request->options[kind].kind == kind && request->options[kind].must_match == (const char *const *) request->must_match);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static sd_bus *bus; /* none that is connected: only what messages want to belong to */
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *call = NULL;
        __attribute__((cleanup(verify_request_done))) VerifyRequest request = { 0 };
        cleanup_free char *signature = NULL;
        Slice rest = slice(data, size), line = SLICE_NONE;

        if (!bus)
                bus = message_bus();
        (void) message_line(&rest, &line);
        signature = message_word(&line, NULL);
        REQUIRE(sd_bus_message_new_method_call(bus, &call, NULL, "/org/uptane/Verify1", "org.uptane.Verify1", "Verify") >= 0);
        if (message_append(call, signature, &line) >= 0 && sd_bus_message_seal(call, 1, 0) >= 0 && verify_request_read(call, &request) >= 0)
                check_request(&request);
        return 0;
}
