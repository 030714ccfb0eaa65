/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First the Director's Targets alone: which ECU gets what. Then each of those images is looked up in the Image
 * repository's Targets and compared. The plan is put in order of installation: Secondaries by serial, the Primary last.
 */
#include "uptane/check.h"

void plan_done(Plan *plan)
{
        plan->arena = arena_free(plan->arena);
        *plan = (Plan) { 0 };
}

static const Ecu *find_ecu(const Ecu *ecus, size_t n, const char *serial)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(ecus[i].serial, serial) == 0)
                        return &ecus[i];
        return NULL;
}

static bool is_installed(const Ecu *ecu, const Target *target)
{
        return ecu->image && strcmp(ecu->image, target->name) == 0 && hashes_match(&ecu->hashes, &target->hashes) &&
               (ecu->length < 0 || ecu->length == target->length);
}

static int add(Plan *plan, Assignment *list, const Ecu *ecu, const Target *target, Error *error)
{
        /* Uptane 5.4.4.6 (7): no ECU twice */
        for (size_t i = 0; i < plan->n_assignments; i++)
                if (list[i].ecu == ecu)
                        return error_set(error, ERR_UNKNOWN_ECU, "director: ECU %s is assigned both '%.100s' and '%.100s'", ecu->serial,
                                         list[i].director->name, target->name);
        list[plan->n_assignments++] = (Assignment) {
                .ecu = ecu,
                .director = target,
                .uri = target->uri,
                .ostree = target->format == TARGET_FORMAT_OSTREE,
                .installed = is_installed(ecu, target),
        };
        plan->n_pending += !list[plan->n_assignments - 1].installed;
        return 0;
}

static int add_target(Plan *plan, Assignment *list, const Target *target, const Ecu *ecus, size_t n_ecus, bool complete, Error *error)
{
        /* Uptane 5.2.3.1.1: for which ECUs */
        if (target->n_ecus == 0)
                return error_set(error, ERR_UNKNOWN_ECU, "director: '%.100s' is assigned to no ECU", target->name);
        for (size_t i = 0; i < target->n_ecus; i++) {
                const TargetEcu *wanted = &target->ecus[i];
                const Ecu *ecu = find_ecu(ecus, n_ecus, wanted->serial);

                /* Uptane 5.4.4.6 (8): only ECUs of this vehicle */
                if (!ecu && complete)
                        return error_set(error, ERR_UNKNOWN_ECU, "director: '%.100s' is assigned to ECU %s, which is not in this vehicle",
                                         target->name, wanted->serial);
                if (!ecu)
                        continue;
                /* Uptane 5.4.3.4 (3) */
                if (strcmp(ecu->hardware_id, wanted->hardware_id) != 0)
                        return error_set(error, ERR_HARDWARE_ID, "director: '%.100s' is assigned to ECU %s as hardware '%.80s', it is '%.80s'",
                                         target->name, ecu->serial, wanted->hardware_id, ecu->hardware_id);
                if (add(plan, list, ecu, target, error) < 0)
                        return -1;
        }
        return 0;
}

/* Secondaries by serial, the Primary last: its reboot ends the cycle. */
static int compare(const void *a, const void *b)
{
        const Assignment *x = a, *y = b;

        if (x->ecu->primary != y->ecu->primary)
                return x->ecu->primary ? 1 : -1;
        return strcmp(x->ecu->serial, y->ecu->serial);
}

static int plan_director(const Targets *director, const Ecu *ecus, size_t n_ecus, bool complete, Plan *plan, Error *error)
{
        Assignment *list = arena_alloc(plan->arena, n_ecus, sizeof *list);

        /* Uptane 5.4.4.6 (6): the Director does not delegate */
        if (targets_delegate(director))
                return error_set(error, ERR_WRONG_ROLE, "director targets: there are delegations, the Director may have none");
        plan->assignments = list;
        for (size_t i = 0; i < director->n_targets; i++)
                if (add_target(plan, list, targets_at(director, i), ecus, n_ecus, complete, error) < 0)
                        return -1;
        qsort(list, plan->n_assignments, sizeof *list, compare);
        return 0;
}

int uptane_check_director(const Targets *director, const Ecu *ecus, size_t n_ecus, bool complete, Plan *ret, Error *error)
{
        cleanup_plan Plan plan = { .arena = arena_new() };

        if (plan_director(director, ecus, n_ecus, complete, &plan, error) < 0)
                return -1;
        *ret = plan;
        plan = (Plan) { 0 };
        return 0;
}

/* 1: said and right, 0: not said, or nobody knows better. */
static int check_id(const char *what, const char *said, const char *self, Error *error)
{
        if (!said || !self || !*self)
                return 0;
        if (strcmp(said, self) == 0)
                return 1;
        return error_set(error, ERR_WRONG_VEHICLE, "director targets: they are for the vehicle with %s '%.80s', this is '%.80s'", what, said, self);
}

int uptane_check_vehicle(const Targets *director, const VehicleId *self, Error *error)
{
        int vin = check_id("VIN", director->vin, self->vin, error);
        int device = vin < 0 ? -1 : check_id("device id", director->device_id, self->device_id, error);

        if (device < 0)
                return -1;
        /* Uptane 5.2.3.1: Targets without images name the vehicle */
        if (self->required && director->n_targets == 0 && !vin && !device)
                return error_set(error, ERR_WRONG_VEHICLE, "director targets: there are no images, and they do not say for which vehicle");
        return 0;
}

/* ---- the Image repository ---- */

/* An image that lists no hardware at all is made for what the Director says; one with an empty list for none. */
static bool made_for(const Target *image, const char *hardware_id)
{
        if (!image->hardware_ids)
                return true;
        for (size_t i = 0; i < image->n_hardware_ids; i++)
                if (strcmp(image->hardware_ids[i], hardware_id) == 0)
                        return true;
        return false;
}

static int check_content(const Target *d, const Target *i, Error *error)
{
        /* Uptane 5.4.4.2 (10.2.1): length and hashes are the same in both */
        if (d->length != i->length)
                return error_set(error, ERR_TARGET_MISMATCH, "'%.100s': the Director says %lld bytes, the Image repository %lld", d->name,
                                 (long long) d->length, (long long) i->length);
        if (!hashes_match(&d->hashes, &i->hashes))
                return error_set(error, ERR_TARGET_MISMATCH, "'%.100s': Director and Image repository list other hashes, or none in common",
                                 d->name);
        /* Uptane 5.4.4.2 (10.2.2): custom metadata that must match */
        if (d->release_counter >= 0 && i->release_counter >= 0 && d->release_counter != i->release_counter)
                return error_set(error, ERR_TARGET_MISMATCH, "'%.100s': release counter %lld at the Director, %lld in the Image repository",
                                 d->name, (long long) d->release_counter, (long long) i->release_counter);
        return 0;
}

static int check_ecu(const Assignment *a, const Target *image, Error *error)
{
        const Ecu *ecu = a->ecu;
        int64_t counter = image->release_counter >= 0 ? image->release_counter : a->director->release_counter;

        if (!made_for(image, ecu->hardware_id))
                return error_set(error, ERR_HARDWARE_ID, "'%.100s' is not made for hardware '%.80s' of ECU %s, says the Image repository",
                                 image->name, ecu->hardware_id, ecu->serial);
        /* Uptane 5.4.4.2 (10.2.3), Uptane 5.4.3.4 (5): never below the release that is installed; an image that stops counting would be */
        if (ecu->release_counter >= 0 && counter < ecu->release_counter)
                return error_set(error, ERR_ROLLBACK, "'%.100s': release counter %lld, ECU %s has %lld installed", image->name,
                                 (long long) counter, ecu->serial, (long long) ecu->release_counter);
        /* the same name with other content: one of the two is not what it says */
        if (ecu->image && strcmp(ecu->image, image->name) == 0 && !is_installed(ecu, image))
                return error_set(error, ERR_TARGET_MISMATCH, "'%.100s': ECU %s runs an image of this name with other content", image->name,
                                 ecu->serial);
        return 0;
}

static bool is_ostree(const Target *image)
{
        return image->format == TARGET_FORMAT_OSTREE || (image->format == TARGET_FORMAT_UNSPECIFIED && image->length == 0);
}

static int check_match(Assignment *a, const Target *image, const char *const *must_match, Error *error)
{
        const char *member;

        /* Uptane 5.4.4.2 (10.1): exactly the same filename */
        if (!image)
                return error_set(error, ERR_TARGET_MISMATCH, "'%.100s' is assigned by the Director, but unknown to the Image repository",
                                 a->director->name);
        if (check_content(a->director, image, error) < 0 || check_ecu(a, image, error) < 0)
                return -1;
        /* Uptane 5.4.4.2 (10.2.2): the section that is configured to match */
        member = target_custom_differs(a->director, image, must_match);
        if (member)
                return error_set(error, ERR_TARGET_MISMATCH, "'%.100s': Director and Image repository differ in custom.%.100s, which must match",
                                 image->name, member);
        if (image->format == TARGET_FORMAT_OTHER)
                return error_set(error, ERR_UNSUPPORTED, "'%.100s': its targetFormat is not known here; OSTREE and BINARY are", image->name);
        if (is_ostree(image) && !image->hashes.has_sha256)
                return error_set(error, ERR_UNSUPPORTED, "'%.100s' is an OSTree commit without its SHA-256", image->name);
        return 0;
}

int uptane_check_image(Plan *plan, size_t index, const Target *image, const char *const *must_match, Error *error)
{
        Assignment *a = (Assignment *) &plan->assignments[index];

        if (check_match(a, image, must_match, error) < 0)
                return -1;
        a->image = image;
        a->uri = a->director->uri ? a->director->uri : image->uri;
        a->ostree = is_ostree(image);
        return 0;
}

int uptane_search_image(Plan *plan, size_t index, TrustRepo *images, const TrustFiles *files, const char *const *must_match, Error *error)
{
        const Assignment *a = &plan->assignments[index];

        trust_repo_search(images, a->director->name, a->ecu->hardware_id);
        return trust_repo_drive(images, files, error) < 0 ? -1
             : uptane_check_image(plan, index, trust_repo_found(images), must_match, error);
}

int uptane_check_images(Plan *plan, TrustRepo *images, const TrustFiles *files, const char *const *must_match, Error *error)
{
        for (size_t i = 0; i < plan->n_assignments; i++)
                if (uptane_search_image(plan, i, images, files, must_match, error) < 0)
                        return -1;
        return 0;
}

/* Uptane 5.4.4.1: the smallest set of checks; one repository cannot disagree with itself, the rest is as in full verification */
int uptane_check_partial(Plan *plan, Error *error)
{
        for (size_t i = 0; i < plan->n_assignments; i++)
                if (uptane_check_image(plan, i, plan->assignments[i].director, NULL, error) < 0)
                        return -1;
        return 0;
}
