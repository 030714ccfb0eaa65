/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METADATA_ROLE_PARSE_H
#define METADATA_ROLE_PARSE_H

/* What the files that parse roles share; nobody outside metadata/ includes it. where names the place in errors. */
#include "metadata/role.h"

/* m->envelope is parsed; each fills its member of m. */
int role_parse_root(Metadata *m, Error *error) __attribute__((nonnull, warn_unused_result));
int role_parse_targets(Metadata *m, Error *error) __attribute__((nonnull, warn_unused_result));
/* "delegations" of Targets, where there are any. */
int role_parse_delegations(Metadata *m, Error *error) __attribute__((nonnull, warn_unused_result));

#define ROLE_MEMBER_DEPTH 4 /* how deep an entry of "targets" or "meta" stands in its document */

/* Counts the members of an object in the text; ERR_MALFORMED if they are more than max. where names it. */
int role_count_members(Slice object, const char *where, size_t max, size_t *ret, Error *error) __attribute__((nonnull, warn_unused_result));
/* What targets_at() has read. */
void role_free_targets(Targets *targets) __attribute__((nonnull));

/* "hashes" of object: every known one must be well-formed, unknown ones are passed over; ERR_UNSUPPORTED if none is known. */
int role_parse_hashes(const json_t *object, const char *where, Hashes *ret, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
