/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRUST_DELEGATION_H
#define TRUST_DELEGATION_H

/*
 * The search for the metadata about one image through delegated roles (Uptane 5.4.4.7 and 5.4.4.8; TUF 5.6.7; TAP 3; TAP 15).
 *
 * Pre-order, in the order of the lists, every role at most once. The search is a pure function of the roles loaded so far:
 * where it needs one that is not loaded it says which, and is made again from the start when that one is there. So there is
 * no state to get wrong; what it costs is bounded by SEARCH_ROLES_MAX.
 *
 * A terminating delegation that applies ends the search behind its own children. Inside a multi-role delegation it ends
 * only the search of that one role. A role visited for one member of a multi-role delegation is not visited for another:
 * nobody speaks twice.
 */
#include "metadata/role.h"

#define SEARCH_ROLES_MAX 256 /* visited for one image */
#define SEARCH_DEPTH_MAX 64  /* delegations in a chain */
/* Steps of comparing patterns with one image's name, over all runs of its search: far above any use, below a second. */
#define SEARCH_WORK_MAX (UINT64_C(256) * 1024 * 1024)

/* What is looked for. */
typedef struct SearchQuery {
        const char *name;
        const char *hardware_id;       /* NULL: any; only delegations for all hardware then apply besides unrestricted ones */
        const char *const *must_match; /* members of "custom", ends with NULL; NULL: none */
        uint64_t *work;                /* what was spent of SEARCH_WORK_MAX, kept between runs; NULL: this run stands alone */
} SearchQuery;

/* The delegated role that is needed next; borrowed from the delegating document, but for a succinct bin's name. */
typedef struct SearchNeed {
        char name[ROLE_NAME_MAX + 1];
        const Keyset *keys;
} SearchNeed;

/*
 * Gives the verified metadata of a delegated role, signed with a threshold of keys. Returns 1, 0 if it is not loaded yet,
 * or -1 with error: it does not verify with these keys.
 */
typedef int (*SearchLoad)(void *userdata, const char *name, const Keyset *keys, const Metadata **ret, Error *error);

typedef enum SearchResult {
        SEARCH_ABSENT, /* no role lists it */
        SEARCH_FOUND,
        SEARCH_NEEDS, /* a role is not loaded yet */
} SearchResult;

/* -1: what load said, or ERR_TOO_LARGE: too many roles, too deep, or too much to compare. */
int delegation_search(const Targets *top, const SearchQuery *query, SearchLoad load, void *userdata, const Target **ret, SearchNeed *ret_need,
                      Error *error) __attribute__((nonnull(1, 2, 3, 5, 6, 7), warn_unused_result));

/* Whether a delegation is for an image; path_hash is the SHA-256 of its name in hex. */
bool delegation_applies(const Delegation *delegation, const SearchQuery *query, const char *path_hash) __attribute__((nonnull));
/* Shell pattern: '*' and '?' stand for anything but '/', [a-z] and [!a-z] for one character of a set. */
bool path_matches(const char *pattern, const char *path) __attribute__((nonnull));
/* The name of the bin for an image. */
void succinct_bin_name(const SuccinctRoles *succinct, const uint8_t path_hash[static SHA256_SIZE], char ret[static ROLE_NAME_MAX + 1])
        __attribute__((nonnull(1, 3)));

#endif
