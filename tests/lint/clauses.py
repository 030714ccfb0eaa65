# SPDX-License-Identifier: Apache-2.0
"""
Every numbered step of the Standard that the code says it carries out is named by a test as well (R21), so that an
auditor can go both ways. `clauses.py --table` prints which file cites which step, and which test.
"""
import re
import sys

import common

TAG = re.compile(r"\bUptane (\d+(?:\.\d+)+)((?: ?\((?:\d+[a-z]?(?:[-,] ?\d+)*|\d+(?:\.\d+)+)\))|(?:, \d+(?:-\d+)?)+)")


def tags(text):
    """All steps cited in text: "Uptane 5.4.4.5 (4-6)" and "Uptane 5.4.4.5, 4-6" are three of them."""
    found = set()
    for clause, steps in TAG.findall(re.sub(r"\n\s*[*#]*\s*", " ", text)):
        dotted = re.search(r"\d+(?:\.\d+)+", steps)
        if dotted:
            found.add("Uptane %s (%s)" % (clause, dotted.group()))
            continue
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", steps):
            found |= {"Uptane %s (%d)" % (clause, n) for n in range(int(first), int(last or first) + 1)}
    return found


def collect(folders):
    where = {}
    for path in common.files(*folders, suffixes=(".c", ".h", ".py")):
        if not path.startswith("tests/lint/"):
            for tag in tags(common.read(path)):
                where.setdefault(tag, []).append(path)
    return where


def check(code, tests):
    return ["%s is cited in %s and by no test" % (tag, ", ".join(code[tag])) for tag in sorted(code) if tag not in tests]


code, tests = collect(["src", "daemon"]), collect(["tests"])
if sys.argv[1:] == ["--table"]:
    print("| step | carried out in | proved by |\n|---|---|---|")
    for tag in sorted(code, key=lambda t: [int(n) for n in re.findall(r"\d+", t)]):
        print("| %s | %s | %s |" % (tag, ", ".join(code[tag]), ", ".join(tests.get(tag, ["-"]))))
    sys.exit(0)
assert code, "no code cites the Standard: was the way of citing changed?"
common.finish(check(code, tests),
              good=[check({"Uptane 5.4 (1)": ["a.c"]}, tags("/* Uptane 5.4 (1-2): x */")),
                    check({"Uptane 5.4 (2.3.1)": ["a.c"]}, tags("/* Uptane 5.4 (2.3.1): x */"))],
              bad=[check({"Uptane 5.4 (3)": ["a.c"]}, tags("/* Uptane 5.4 (1-2): x */")), tags("# Uptane 5.4.4.2, 10"),
                   check({"Uptane 5.4 (2.3)": ["a.c"]}, tags("/* Uptane 5.4 (2): x, Uptane 5.4 (2.4): y */")),
                   tags("* Uptane\n * 5.4.4.2 (10)")])
