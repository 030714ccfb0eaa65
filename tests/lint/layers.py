# SPDX-License-Identifier: Apache-2.0
"""The ladder: each layer includes only what stands below it, and each foreign library lives in one place (R2, R3)."""
import re

import common

CORE = ["base", "crypto", "metadata", "trust", "uptane", "engine"]
ALLOWED = {layer: set(CORE[:i + 1]) for i, layer in enumerate(CORE)}
ALLOWED |= {
    "io": {"base", "io"},
    "store": {"base", "crypto", "metadata", "trust", "uptane", "io", "store"},
    "peer": {"base", "io", "peer"},
    "http": {"base", "io", "http"},
    "boot": {"base", "io", "boot"},
    "install": {"base", "io", "boot", "install"},
    "secondary": {"base", "crypto", "metadata", "io", "secondary"},
    "exec": {"base", "metadata", "io", "exec"},
}
PROGRAMS = {
    "uptaned": {*CORE, "io", "store", "peer", "uptaned"},  # neither http nor install nor secondary: those are other processes
    "fetch": {"base", "io", "peer", "http"},
    "verify": {*CORE[:-1], "io", "peer", "verify"},
    "ostree": {"base", "io", "peer", "boot", "install"},
    "health": {"base", "io", "peer", "health"},
    "secondary-ip": {"base", "metadata", "io", "peer", "secondary"},
    "exec": {"base", "io", "peer", "exec"},
    "secondary": {*CORE[:-1], "io", "store", "exec", "secondary", "peer"},  # peer: install.c
    "uptanectl": {*CORE[:-1], "io", "uptanectl"},  # the core for "verify", which works on files and not on the vehicle
}
# header -> where it may be included
FOREIGN = {
    r"jansson\.h": r"src/(metadata|uptane)/|src/engine/engine-state\.c",
    r"metadata/json\.h": r"src/(metadata|uptane|exec)/|src/engine/engine-state\.c",
    r"openssl/.*": r"src/crypto/openssl/|src/secondary/tls\.c|daemon/uptaned/manager\.c",  # OPENSSL_cleanse() of the key's text
    r"nettle/.*|gmp\.h": r"src/crypto/nettle/",
    r"curl/.*": r"src/http/",
    r"(ostree|glib|gio)\S*": r"src/install/",
    r"sqlite3\.h": r"src/store/",
    r"ini\.h": r"daemon/[a-z-]+/config\.c",
    r"spawn\.h": r"src/exec/|src/io/program\.c",
    r"systemd/.*": r"src/peer/|daemon/",
}


def check(path, text):
    _, layer, *_ = path.split("/")
    allowed = (ALLOWED if path.startswith("src/") else PROGRAMS).get(layer)
    if allowed is None:
        return ["%s: no rule for '%s' in tests/lint/layers.py" % (path, layer)]
    problems = []
    for kind, name in re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', text, re.M):
        if kind == '"' and "/" not in name:
            problems.append('%s: "%s" is not qualified by its layer' % (path, name))
        elif kind == '"' and name.split("/")[0] not in allowed:
            problems.append('%s: %s may not include "%s"' % (path, layer, name))
        for header, place in FOREIGN.items():
            if re.fullmatch(header, name) and not re.match(place, path):
                problems.append("%s: %s does not belong here" % (path, name))
    return problems


common.finish(
    [p for path in common.files("src", "daemon", suffixes=(".c", ".h", ".def")) for p in check(path, common.read(path))],
    good=[check("src/trust/a.c", '#include "trust/a.h"\n#include "metadata/role.h"\n#include <stdio.h>\n')],
    bad=[check("src/trust/a.c", '#include "uptane/check.h"\n'), check("src/base/a.h", '#include "crypto/key.h"\n'),
         check("src/engine/engine.c", "#include <jansson.h>\n"), check("daemon/uptaned/a.c", '# include "http/http.h"\n'),
         check("daemon/uptaned/a.c", "#include <curl/curl.h>\n"), check("daemon/uptanectl/a.c", '#include "engine/engine.h"\n'),
         check("src/store/a.c", '#include "store.h"\n'), check("src/new/a.c", "")])
