/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTALL_OSTREE_PRIVATE_H
#define INSTALL_OSTREE_PRIVATE_H

/* Between the files of InstallOstree. */
#include <ostree.h>

#include "install/ostree.h"

/* Keeps what was pulled: libostree prunes whatever neither a ref nor a deployment reaches. */
#define PULLED_REF "uptane/pulled"

struct InstallOstree {
        OstreeSysroot *sysroot;
        GFile *path;
        char *os_name, *ca_file, *cert_file, *key_file;
        bool allow_http, no_stage;
};

int install_check_commit(const char *commit, Error *error);
/* code is used unless g says something more exact. Takes g. */
int install_set_error(Error *error, ErrorCode code, GError *g, const char *what);

#endif
