/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRUST_REPO_CHECK_H
#define TRUST_REPO_CHECK_H

/*
 * The checks of one file against what is already trusted, as the Standard lists them: pure questions, no state.
 * what names the document in errors ("director timestamp"). old may be NULL: there is no baseline.
 */
#include "metadata/role.h"

/* Uptane 5.4.4.3: next is the Root that follows trusted. */
int trust_check_root(const Metadata *trusted, const Metadata *next, const char *what, Error *error) __attribute__((nonnull, warn_unused_result));
int trust_check_signatures(const Metadata *root, const Metadata *m, const char *what, Error *error) __attribute__((nonnull, warn_unused_result));
int trust_check_fresh(const Metadata *m, int64_t now, const char *what, Error *error) __attribute__((nonnull, warn_unused_result));
/* Uptane 5.4.4.4 (3) */
int trust_check_timestamp(const Metadata *old, const Metadata *new, const char *what, Error *error)
        __attribute__((nonnull(2, 3, 4), warn_unused_result));
/* Uptane 5.4.4.5 (4, 5, 6) */
int trust_check_snapshot(const Metadata *old, const Metadata *new, const char *what, Error *error)
        __attribute__((nonnull(2, 3, 4), warn_unused_result));
/* ERR_MIX_AND_MATCH where both are of one version and what is signed differs. */
int trust_check_content(const Metadata *old, const Metadata *new, const char *what, Error *error)
        __attribute__((nonnull(2, 3, 4), warn_unused_result));
/* Length and hashes of bytes as meta lists them; ERR_MIX_AND_MATCH. */
int trust_check_listed_bytes(const FileMeta *meta, Slice bytes, const char *what, Error *error) __attribute__((nonnull, warn_unused_result));
int trust_check_listed_version(const FileMeta *meta, const Metadata *m, const char *what, Error *error)
        __attribute__((nonnull, warn_unused_result));
/* ERR_ROLLBACK unless version is at least baseline. */
int trust_check_version(int64_t baseline, const Metadata *m, const char *what, Error *error) __attribute__((nonnull, warn_unused_result));

#endif
