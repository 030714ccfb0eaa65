# SPDX-License-Identifier: Apache-2.0
"""Every source file, script and build file says its licence in its first or second line."""
import os
import re

import common

CODE = (".c", ".h", ".def", ".py", ".sh", "meson.build", "meson_options.txt")


def needs_one(path, text):
    return path.endswith(CODE) or text.startswith("#!") or (os.path.dirname(path) in ("systemd", "config") and not path.endswith(".svg"))


def check(path, text):
    head = "\n".join(text.splitlines()[:4 if text.startswith("<?xml") or text.startswith("<!DOCTYPE") else 2])
    return [] if re.search(r"SPDX-License-Identifier: Apache-2\.0", head) else ["%s: no licence" % path]


common.finish([p for path in common.files(".") for text in [common.read(path)] if needs_one(path, text) for p in check(path, text)],
              good=[check("a.py", "#!/usr/bin/python3\n# SPDX-License-Identifier: Apache-2.0\n")],
              bad=[check("a.c", "#include <stdio.h>\n"), check("a.c", "/* SPDX-License-Identifier: MIT */\n")])
