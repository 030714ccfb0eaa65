/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delegating documents of anybody's: the search ends, asks for no role twice, and finds only what a loaded role lists. Chunks:
 * the image's name, its hardware, Targets, then the roles in the order in which they are asked for.
 */
#include "fuzz.h"
#include "trust/delegation.h"

#define ROLES_MAX 32

typedef struct World {
        Metadata *roles[ROLES_MAX];
        char names[ROLES_MAX][ROLE_NAME_MAX + 1];
        size_t n;
} World;

static int load(void *userdata, const char *name, const Keyset *keys, const Metadata **ret, Error *error)
{
        World *w = userdata;

        REQUIRE(*name && strlen(name) <= ROLE_NAME_MAX && keys->threshold >= 1 && (size_t) keys->threshold <= keys->n_entries);
        for (size_t i = 0; i < w->n; i++)
                if (strcmp(w->names[i], name) == 0) {
                        *ret = w->roles[i];
                        return 1;
                }
        return w->n == ROLES_MAX ? error_set(error, ERR_NOT_FOUND, "enough") : 0;
}

static bool lists(const Metadata *m, const Target *target)
{
        return targets_find(&m->targets, target->name) == target;
}

static void check(const World *w, const Metadata *top, const Target *target, const char *name)
{
        bool found = lists(top, target);

        for (size_t i = 0; i < w->n; i++)
                found = found || lists(w->roles[i], target);
        REQUIRE(found && strcmp(target->name, name) == 0);
}

static void search(const Metadata *top, const SearchQuery *query, Slice *rest, World *w)
{
        for (;;) {
                const Target *target = NULL;
                SearchNeed need = { 0 };
                Error error = { 0 };
                int r = delegation_search(&top->targets, query, load, w, &target, &need, &error);

                if (r == SEARCH_FOUND)
                        check(w, top, target, query->name);
                if (r != SEARCH_NEEDS)
                        return;
                for (size_t i = 0; i < w->n; i++)
                        REQUIRE(strcmp(w->names[i], need.name) != 0);
                memcpy(w->names[w->n], need.name, sizeof need.name);
                if (metadata_parse(ROLE_TARGETS, fuzz_chunk(rest), &w->roles[w->n], &error) < 0)
                        return;
                w->n++;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const must_match[] = { "train", NULL };
        Slice rest = slice(data, size), name = fuzz_chunk(&rest), hardware = fuzz_chunk(&rest);
        cleanup_free char *name_text = xstrndup(name.size ? (const char *) name.data : "", name.size);
        cleanup_free char *hardware_text = xstrndup(hardware.size ? (const char *) hardware.data : "", hardware.size);
        const SearchQuery query = { name_text, *hardware_text ? hardware_text : NULL, must_match, NULL };
        CLEANUP(metadata_free) Metadata *top = NULL;
        cleanup_free World *w = xcalloc(1, sizeof *w);
        Error error = { 0 };

        if (metadata_parse(ROLE_TARGETS, fuzz_chunk(&rest), &top, &error) < 0)
                return 0;
        search(top, &query, &rest, w);
        for (size_t i = 0; i < w->n; i++)
                metadata_free(w->roles[i]);
        return 0;
}
