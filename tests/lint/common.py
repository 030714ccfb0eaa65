# SPDX-License-Identifier: Apache-2.0
"""What all rules share: which files there are, and how a rule runs."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = (".git", "__pycache__", ".pytest_cache")


def files(*folders, suffixes=("",)):
    """Paths below these folders ("." for all), relative to ROOT, sorted; build folders and caches are left out."""
    found = []
    for folder in folders:
        for path, names, leaves in os.walk(os.path.join(ROOT, folder)):
            names[:] = [n for n in names if n not in SKIPPED and not (path == os.path.join(ROOT, ".") and n.startswith("build"))]
            found += [os.path.relpath(os.path.join(path, leaf), ROOT) for leaf in leaves if leaf.endswith(suffixes)]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def symbols(archive, *options):
    """Lines of nm as (object file, line)."""
    text = subprocess.run(["nm", *options, archive], check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    member = ""
    for line in text.splitlines():
        if line.endswith(":") or line.endswith(":\n"):
            member = line[:-1]
        elif line.strip():
            yield member, line


def finish(problems, good, bad):
    """Ends a rule: good are made-up findings that must be empty, bad ones that must not."""
    for what in good:
        assert not what, "the rule refuses what is right: %s" % what
    for number, what in enumerate(bad):
        assert what, "the rule does not see bad example %d" % number
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)
