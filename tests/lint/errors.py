# SPDX-License-Identifier: Apache-2.0
"""docs/ERRORS.md is src/base/error.def for people: `errors.py --write` makes it, `errors.py` looks whether it is current."""
import os
import re
import sys

import common

DOCUMENT = "docs/ERRORS.md"
ROW = re.compile(r'X\((\w+),\s*"(\w+)",\s*(\w+),\s*(\w+),\s*(\w+),\s*(\d+),\s*"((?:[^"\\]|\\.)*)"\)')
RETRY = {"NEVER": "no", "BACKOFF": "soon, ever later", "NEXT_CYCLE": "next poll"}
ATTACK = {"NONE": "", "ARBITRARY": "arbitrary software", "ROLLBACK": "rollback", "FREEZE": "freeze", "MIX_MATCH": "mix and match",
          "ENDLESS": "endless data", "SLOW": "slow retrieval", "FORGED": "forged report", "REPLAYED": "replayed report"}
INTRO = """<!-- Generated from src/base/error.def by tests/lint/errors.py --write -->
# Errors

Everything that can go wrong, once. The D-Bus name is what methods answer, what `LastError` holds and what stands in the
journal as `UPTANE_ERROR=`; the report code and the attack go to the Director; the exit code is `uptanectl`'s.
"Tried again" says what happens by itself.

| `org.uptane.Error.` | what it means, what to do | report code | attack | tried again | exit |
|---|---|---|---|---|---|
"""


def generate(table):
    rows = ROW.findall(table)
    assert len(rows) == len(re.findall(r"^X\(", table, re.M)), "a row of error.def is written in another form than the others"
    return INTRO + "".join("| `%s` | %s | `%s` | %s | %s | %s |\n" % (name, text.replace("|", "\\|"), report, ATTACK[attack], RETRY[retry], code)
                           for _, name, report, attack, retry, code, text in rows)


def check(document, table):
    return [] if document == generate(table) else ["%s is not what src/base/error.def says: run tests/lint/errors.py --write" % DOCUMENT]


table = common.read("src/base/error.def")
if sys.argv[1:] == ["--write"]:
    with open(os.path.join(common.ROOT, DOCUMENT), "w", encoding="utf-8") as f:
        f.write(generate(table))
    sys.exit(0)
EXAMPLE = 'X(CLOCK, "ClockBehind", VERIFICATION_FAILED, NONE, BACKOFF, 32, "Set it.")\n'
common.finish(check(common.read(DOCUMENT) if os.path.exists(os.path.join(common.ROOT, DOCUMENT)) else "", table),
              good=[check(generate(EXAMPLE), EXAMPLE)],
              bad=[check(generate(EXAMPLE).replace("32", "33"), EXAMPLE), check("", EXAMPLE)])
