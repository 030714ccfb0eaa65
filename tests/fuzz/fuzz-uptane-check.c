/* SPDX-License-Identifier: Apache-2.0 */
/* Targets of a Director and of an Image repository: a plan has only images both know, for ECUs of this vehicle, one each. */
#include "fuzz.h"
#include "uptane/check.h"

static const Ecu ecus[] = {
        { .serial = "prim", .hardware_id = "ivi", .primary = true, .release_counter = 3, .image = "ivi-1", .length = 0 },
        { .serial = "bcm", .hardware_id = "bcm-hw", .release_counter = -1, .length = -1 },
};

static void check_plan(const Plan *plan, const Targets *image)
{
        for (size_t i = 0; i < plan->n_assignments; i++) {
                const Assignment *a = &plan->assignments[i];

                REQUIRE(a->ecu == &ecus[0] || a->ecu == &ecus[1]);
                REQUIRE(i == 0 || (i == 1 && a->ecu != plan->assignments[0].ecu && a->ecu->primary));
                REQUIRE(a->image && a->image == targets_find(image, a->director->name));
                REQUIRE(a->image->length == a->director->length && hashes_match(&a->image->hashes, &a->director->hashes));
        }
}

static bool check_all(Plan *plan, const Targets *image)
{
        static const char *const must_match[] = { "releaseCounter", NULL };
        Error error = { 0 };

        for (size_t i = 0; i < plan->n_assignments; i++)
                if (uptane_check_image(plan, i, targets_find(image, plan->assignments[i].director->name), must_match, &error) < 0)
                        return false;
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(metadata_free) Metadata *director = NULL, *image = NULL;
        cleanup_plan Plan plan = { 0 };
        Slice rest = slice(data, size);
        Error error = { 0 };

        if (metadata_parse(ROLE_TARGETS, fuzz_chunk(&rest), &director, &error) == 0 &&
            metadata_parse(ROLE_TARGETS, fuzz_chunk(&rest), &image, &error) == 0 &&
            uptane_check_director(&director->targets, ecus, ELEMENTSOF(ecus), true, &plan, &error) == 0 && check_all(&plan, &image->targets))
                check_plan(&plan, &image->targets);
        return 0;
}
