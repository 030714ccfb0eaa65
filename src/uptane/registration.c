/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "uptane/manifest-json.h"

static json_t *ecu_json(const EcuRegistration *ecu)
{
        json_t *o = json_object(), *key = json_object(), *value = json_object();

        manifest_set_text(value, "public", ecu->public_text);
        manifest_set_text(key, "keytype", key_type_name(ecu->key_type));
        manifest_set(key, "keyval", value);
        manifest_set_text(o, "ecu_serial", ecu->serial);
        manifest_set_text(o, "hardware_identifier", ecu->hardware_id);
        manifest_set(o, "clientKey", key);
        return o;
}

void ecu_registration_write(const EcuRegistration *ecus, size_t n_ecus, Buffer *ret)
{
        cleanup_json json_t *body = json_object();
        json_t *list = json_array();

        assert(n_ecus > 0);
        for (size_t i = 0; i < n_ecus; i++)
                if (json_array_append_new(list, ecu_json(&ecus[i])) < 0)
                        abort();
        manifest_set_text(body, "primary_ecu_serial", ecus[0].serial);
        manifest_set(body, "ecus", list);
        json_canonical(body, ret);
}
