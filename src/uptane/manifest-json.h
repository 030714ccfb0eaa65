/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPTANE_MANIFEST_JSON_H
#define UPTANE_MANIFEST_JSON_H

/* Putting members into the JSON this layer makes. Only of valid UTF-8 and sane sizes: nothing here can fail but memory. */
#include <stdlib.h>

#include "metadata/json.h"
#include "uptane/manifest.h"

/* Takes value over. */
static inline void manifest_set(json_t *object, const char *name, json_t *value)
{
        if (json_object_set_new(object, name, value) < 0)
                abort();
}

/* A text that is not UTF-8 (a peer's description) is replaced, not passed on. */
static inline void manifest_set_text(json_t *object, const char *name, const char *text)
{
        json_t *value = json_string(text);

        manifest_set(object, name, value ? value : json_string("(not UTF-8)"));
}

#endif
