# SPDX-License-Identifier: Apache-2.0
"""No test is forgotten: every test program and test file has its name in the meson.build that runs it."""
import os
import re

import common

NAMES = (re.compile(r"tests/integration/test_(\w+)\.py$"), re.compile(r"tests/unit/(?:\w+/)test-([\w-]+)\.c$"), re.compile(r"tests/fuzz/fuzz-([\w-]+)\.c$"),
         re.compile(r"tests/lint/(\w+)\.py$"))


def name_of(path):
    return next((m.group(1) for pattern in NAMES for m in [pattern.match(path)] if m and path != "tests/lint/common.py"), None)


def check(path, build):
    """The file may stand there, or its name, or that behind the name of its folder: test-engine-story is 'story'."""
    name = name_of(path)
    short = name and name.split("-", 1)[-1]
    known = "|".join(map(re.escape, (name, short, os.path.basename(path)))) if name else ""
    return [] if not name or re.search(r"['(/](?:%s)(?:\.py)?'" % known, build) else ["%s: meson.build does not run it" % path]


def build_of(path):
    return common.read(os.path.join(os.path.dirname(path), "meson.build"))


common.finish([p for path in common.files("tests") if name_of(path) for p in check(path, build_of(path))],
              good=[check("tests/integration/test_a.py", "foreach f : ['a', 'b']"), check("tests/unit/engine/test-engine-story.c", "['story']"),
                    check("tests/unit/engine/test-engine-search.c", "executable('x', 'test-engine-search.c')"), check("tests/integration/vehicle.py", "")],
              bad=[check("tests/integration/test_a.py", "['b']"), check("tests/fuzz/fuzz-x-y.c", "['x']")])
