# SPDX-License-Identifier: Apache-2.0
"""The manual says everything there is: every key, every verb, every member on D-Bus; and man pages render without a warning."""
import glob
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def missing(what, words, text):
    return ["%s: %s is not documented" % (what, word) for word in words if word not in text]


def main():
    problems = []
    conf = read("docs/man/uptaned.conf.5").replace("\\-", "-")
    problems += missing("uptaned.conf.5", re.findall(r'ROW\("\w+", "([a-z-]+)"', read("daemon/uptaned/config.c")), conf)
    problems += missing("uptaned.conf.5", re.findall(r'strcmp\(key, "([a-z-]+)"\) == 0', read("daemon/uptaned/config.c")), conf)
    secondary = read("docs/man/uptane-secondary.8").replace("\\-", "-")
    problems += missing("uptane-secondary.8", re.findall(r'\{ "([a-z-]+)", parse_', read("daemon/secondary/config.c")), secondary)
    ctl = read("docs/man/uptanectl.1")
    problems += missing("uptanectl.1", re.findall(r'\{ "([a-z]+)", \d, \d, run_', read("daemon/uptanectl/main.c")), ctl)
    members = r'SD_BUS_(?:METHOD_WITH_ARGS|PROPERTY|SIGNAL_WITH_ARGS)\("(\w+)"'
    for source in ("daemon/uptaned/bus.c", "daemon/uptaned/bus-ecu.c"):
        found = re.findall(members, read(source))
        assert len(found) > 5, source
        problems += missing("DBUS.md", found, read("docs/DBUS.md"))
    assert missing("itself", ["no such word"], conf)  # this test can fail
    if shutil.which("man"):
        for page in sorted(glob.glob(os.path.join(ROOT, "docs/man/*"))):
            out = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=False,
                                 env=dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="80", MANPAGER="cat"))
            if out.returncode or out.stderr.strip() or not out.stdout.strip():
                problems.append("%s: %s" % (page, out.stderr.strip() or "renders to nothing"))
    print("\n".join(problems))
    return 1 if problems else 0


sys.exit(main())
