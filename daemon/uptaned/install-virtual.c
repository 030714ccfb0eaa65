/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Secondary that is not there: for trying things out. The Primary has its key and signs its reports. Metadata and image
 * are verified as for any other; what it runs is what is written down when the update is over.
 */
#include "uptaned/bundle.h"

static int ready(Work *w, Error *error)
{
        work_ready(w);
        return 0;
}

static int take_image(Work *w, Error *error)
{
        return work_image(w, ready, error);
}

static int prepare(Work *w, Error *error)
{
        if (work_ecu(w)->ostree)
                return error_set(error, ERR_NOT_SUPPORTED, "'%.100s' is an OSTree image; a virtual Secondary takes files", work_ecu(w)->image);
        return work_verify(w, take_image, error);
}

static int install(Work *w, Error *error)
{
        work_done(w, false);
        return 0;
}

/* Nothing was written down yet. */
static int restore(Work *w, Error *error)
{
        work_restored(w);
        return 0;
}

const Driver install_virtual = { .size = sizeof(Work), .prepare = prepare, .install = install, .restore = restore };
