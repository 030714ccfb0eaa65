# SPDX-License-Identifier: Apache-2.0
"""
docs/CONFORMANCE.md: what the Standard demands, where the code does it and which test proves it. The demands stand in
conformance.txt; where they are met is read from the tags in code and tests ("Uptane 5.4.4.5 (6)").

`conformance.py --write` makes the document; `conformance.py` looks whether it is current, and whether code and tests cite the
same clauses: every one that is done is cited by both, none that is open by either, and none that is not in the table.
"""
import os
import re
import sys

import common

DOCUMENT, TABLE = "docs/CONFORMANCE.md", "tests/lint/conformance.txt"
TAG = re.compile(r"\bUptane (5(?:\.\d+)+|5)((?: ?\((?:\d+(?:[-,] ?\d+)*|\d+(?:\.\d+)+)\))|(?:, \d+(?:-\d+)?)+)?")
FUNCTION = re.compile(r"^(?:static )?[A-Za-z_][\w \*]*?\b(\w+)\([^;]*$|^(?:    )?def (\w+)\(", re.M)
INTRO = """<!-- Generated from tests/lint/conformance.txt and the tags in code and tests by tests/lint/conformance.py --write -->
# Conformance

What the Uptane Standard 2.1.0 demands of a Primary, and of a Secondary that verifies in full or in part, with the place
that does it and the test that proves it. *open* is not done, *other* is done in another way or by somebody else; both say why.
"""


def tags(text):
    """(clause, offset) of everything cited: "Uptane 5.4.4.5 (4-6)" is three clauses, "Uptane 5.2.4" is one."""
    found = []
    for match in TAG.finditer(text):
        clause, steps = match.groups()
        dotted = re.search(r"\d+(?:\.\d+)+", steps or "")
        if not steps:
            found.append((clause, match.start()))
        elif dotted:
            found.append(("%s (%s)" % (clause, dotted.group()), match.start()))
        else:
            found += [("%s (%d)" % (clause, n), match.start()) for first, last in re.findall(r"(\d+)(?:-(\d+))?", steps)
                      for n in range(int(first), int(last or first) + 1)]
    return found


def function_at(text, offset, python):
    """The function that a tag stands in, or the next one where it stands in the comment on it; "" for a file's head."""
    if python or not text[text.rfind("\n", 0, offset) + 1:offset].startswith(" "):
        after = FUNCTION.search(text, offset)
        return (after.group(1) or after.group(2)) if after else ""
    name = ""
    for match in FUNCTION.finditer(text, 0, offset):
        name = match.group(1) or match.group(2)
    return name


def collect(folders):
    """{clause: {(path, function)}}"""
    where = {}
    for path in common.files(*folders, suffixes=(".c", ".py")):
        if not path.startswith("tests/lint/"):
            text = common.read(path)
            for clause, offset in tags(text):
                where.setdefault(clause, {}).setdefault((path, function_at(text, offset, path.endswith(".py"))), None)
    return where


def demands(text):
    rows = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            clause, word, what, why = (part.strip() for part in (line + " ").split("|"))
            assert word in ("SHALL", "SHOULD") and (not why or why.startswith(("open: ", "other: "))), line
            rows.append((clause, word, what, why))
    return rows


def check(rows, code, tests):
    done = {clause for clause, _, _, why in rows if not why}
    known = {clause for clause, *_ in rows}
    problems = ["Uptane %s is done, it is said, but no code cites it" % c for c in sorted(done) if c not in code]
    problems += ["Uptane %s is done, it is said, but no test cites it" % c for c in sorted(done) if c not in tests]
    for name, where in (("code", code), ("tests", tests)):
        problems += ["Uptane %s is cited in %s (%s) and not in %s" % (c, name, next(iter(where[c]))[0], TABLE) for c in sorted(where) if c not in known]
        problems += ["Uptane %s is not done, it is said, but %s cites it" % (c, name) for c in sorted(where) if c in known and c not in done]
    return problems


def places(where):
    return "<br>".join("`%s`%s" % (path.split("/", 1)[1], " " + name if name else "") for path, name in sorted(where))


def generate(rows, code, tests):
    out, section = [INTRO], None
    for clause, word, what, why in rows:
        part = ".".join(clause.split(" ")[0].split(".")[:3])
        if part != section:
            section = part
            out.append("\n## %s\n\n| clause | | asks | done in | proved by |\n|---|---|---|---|---|\n" % section)
        cells = ("*%s*:%s" % tuple(why.split(":", 1)), "") if why else (places(code.get(clause, {})), places(tests.get(clause, {})))
        out.append("| %s | %s | %s | %s | %s |\n" % (clause, word, what, *cells))
    return "".join(out)


rows, code, tests = demands(common.read(TABLE)), collect(["src", "daemon"]), collect(["tests"])
document = generate(rows, code, tests)
if sys.argv[1:] == ["--write"]:
    with open(os.path.join(common.ROOT, DOCUMENT), "w", encoding="utf-8") as f:
        f.write(document)
    sys.exit(0)
current = common.read(DOCUMENT) if os.path.exists(os.path.join(common.ROOT, DOCUMENT)) else ""
stale = [] if current == document else ["%s is not current: run tests/lint/conformance.py --write" % DOCUMENT]
ROWS = demands("5.4 (1) | SHALL | x |\n5.4 (2) | SHALL | y | open: z\n")
ONE = {"5.4 (1)": {("a/b.c", "f"): None}}
common.finish(check(rows, code, tests) + stale,
              good=[check(ROWS, ONE, ONE), [] if {c for c, _ in tags("Uptane 5.4.4.5 (4-6) Uptane 5.4.4.3 (2.3), Uptane 5.2.4")} == {
                  "5.4.4.5 (4)", "5.4.4.5 (5)", "5.4.4.5 (6)", "5.4.4.3 (2.3)", "5.2.4"} else ["tags"],
                    [] if function_at("int f(void)\n{\n        x; /* Uptane 5.4 */\n", 27, False) == "f" else ["function"]],
              bad=[check(ROWS, ONE, {}), check(ROWS, {}, ONE), check(ROWS, dict(ONE, **{"5.4 (2)": {("a/b.c", ""): None}}), ONE),
                   check(ROWS, ONE, dict(ONE, **{"5.9": {("a/b.c", ""): None}}))])
