# SPDX-License-Identifier: Apache-2.0
"""
docs/CONFORMANCE.md: what the Standard demands, where the code does it and which test proves it. The demands stand in
conformance.txt, each with an id of its own; where they are met is read from the tags in code and tests: the word Uptane, a
clause, and its items in brackets, as in "Uptane 5.4.4.5 (6)" or "Uptane 5.4.2.1.2 (f, g)".

`conformance.py --write` makes the document; `conformance.py` looks whether it is current, and whether the tags fit: a demand
that is done has at least one in a function of the code and one at a test, one that is open has none, and an id that is not in
the table is an error wherever it stands.
"""
import os
import re
import sys

import common

DOCUMENT, TABLE = "docs/CONFORMANCE.md", "tests/lint/conformance.txt"
WORDS = ("SHALL", "SHALL NOT", "SHOULD", "SHOULD NOT")
CLAUSE, ITEM = r"\d+(?:\.\d+)+", r"(?:\d+(?:\.\d+)*[a-z]?|[a-z])"
ID = re.compile(r"%s(?: \(%s\))?$" % (CLAUSE, ITEM))
TAG = re.compile(r"\bUptane (%s)(?: \((%s(?:, %s)*)\))?" % (CLAUSE, ITEM, ITEM))
FUNCTION = re.compile(r"^(?:static )?[A-Za-z_][\w \*]*?\b(\w+)\([^;]*$", re.M)
ANYTHING = re.compile(r"^(?:static )?\w[^\n;=]*\([^;\n]*\)?$|^def |^class ", re.M)  # that a comment can be on
C_TEST = re.compile(r"^static void (\w+)\(void \*\*state\)$", re.M)
PYTHON_TEST = re.compile(r"^def (test_\w+)\(", re.M)
INTRO = """<!-- Generated from tests/lint/conformance.txt and the tags in code and tests by tests/lint/conformance.py --write -->
# Conformance

What the Uptane Standard 2.1.0 demands of a Primary, and of a Secondary that verifies in full or in part, with the place
that does it and the test that proves it. *open* is not done, *other* is done in another way or by somebody else; both say why.
The numbers are those of the Standard: section, and in brackets the item of a numbered list; letters count the demands of one
section or item. "A Primary" is uptaned, "a Secondary" uptane-secondary; where neither is named, both are meant. What
sections 5.1 to 5.3 demand of repositories is only here where a vehicle has to look at it.

%d demands: %d done, %d other, %d open.
"""


def tags(text):
    """(id, offset) of everything cited."""
    return [("%s (%s)" % (match.group(1), item) if item else match.group(1), match.start())
            for match in TAG.finditer(text) for item in (match.group(2) or "").split(", ")]


def place(pattern, text, offset):
    """The function of this pattern that a tag stands in, or the next one where it stands in the comment on it; "" if there is none."""
    line = text[text.rfind("\n", 0, offset) + 1:offset]
    if not line.startswith(" ") or line.startswith(" *"):
        after, anything = pattern.search(text, offset), ANYTHING.search(text, offset)
        return after.group(1) if after and anything and after.start() == anything.start() else ""
    name = ""
    for match in pattern.finditer(text, 0, offset):
        name = match.group(1)
    return name


def collect(folders):
    """{id: {(path, function)}}; function is "" where a tag stands at no function, or at one that is no test."""
    where = {}
    for path in common.files(*folders, suffixes=(".c", ".py")):
        text = common.read(path)
        pattern = FUNCTION if not path.startswith("tests/") else PYTHON_TEST if path.endswith(".py") else C_TEST
        for clause, offset in tags(text) if not path.startswith("tests/lint/") else ():
            where.setdefault(clause, {}).setdefault((path, place(pattern, text, offset)), None)
    return where


def mentions(folders):
    """Headers say which clause they are about, a whole one or an item: {clause or id: path}"""
    return {clause: path for path in common.files(*folders, suffixes=(".h",)) for clause, _ in tags(common.read(path))}


def demands(text):
    rows = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            clause, word, what, why = (part.strip() for part in (line + " ").split("|"))
            assert ID.match(clause) and word in WORDS and what and (not why or why.startswith(("open: ", "other: "))), line
            rows.append((clause, word, what, why))
    return rows


def check(rows, code, tests, headers=()):
    ids = [row[0] for row in rows]
    done, closed = {row[0] for row in rows if not row[3]}, {row[0] for row in rows if row[3].startswith("open: ")}
    sections = {".".join(i.split(" ")[0].split(".")[:n]) for i in ids for n in range(2, 7)}
    problems = ["%s stands in %s twice" % (i, TABLE) for i in sorted(set(ids)) if ids.count(i) > 1]
    for name, where in (("code", code), ("tests", tests)):
        problems += ["Uptane %s is done, it is said, but no %s cites it" % (i, "code" if name == "code" else "test") for i in ids
                     if i in done and i not in where]
        problems += ["Uptane %s is cited in %s, and is not in %s" % (i, path, TABLE) for i in where if i not in ids for path, _ in where[i]]
        problems += ["Uptane %s is open, it is said, but %s cites it" % (i, path) for i in where if i in closed for path, _ in where[i]]
        problems += ["Uptane %s is cited in %s, but not at a %s" % (i, path, "function" if name == "code" else "test") for i in where
                     for path, function in where[i] if not function]
    return problems + ["Uptane %s is cited in %s, and is not in %s" % (i, headers[i], TABLE) for i in headers if i not in sections.union(ids)]


def places(where):
    return "<br>".join("`%s` %s" % (path.split("/", 1)[1], name) for path, name in sorted(where))


def generate(rows, code, tests):
    counts = [len(rows), *(sum(row[3].startswith(kind) for row in rows) for kind in ("other: ", "open: "))]
    out, section = [INTRO % (counts[0], counts[0] - counts[1] - counts[2], counts[1], counts[2])], None
    for clause, word, what, why in rows:
        if clause.split(" ")[0] != section:
            section = clause.split(" ")[0]
            out.append("\n## %s\n\n| clause | | asks | done in | proved by |\n|---|---|---|---|---|\n" % section)
        reason = "*%s*:%s" % tuple(why.split(":", 1)) if why else ""
        done = "<br>".join(part for part in (reason, places(code.get(clause, {}))) if part)
        out.append("| %s | %s | %s | %s | %s |\n" % (clause, word, what, done, places(tests.get(clause, {}))))
    return "".join(out)


def self_test():
    rows = demands("5.4 (1) | SHALL | x |\n5.4 (2) | SHALL NOT | y | open: z\n5.4.1 | SHOULD | x | other: y\n")
    one, lost, other = {"5.4 (1)": {("a/b.c", "f"): None}}, {"5.4 (1)": {("a/b.c", ""): None}}, {"5.4.1": {("a/b.c", "f"): None}}
    c = "/*\n * Uptane 5.2 */\nint f(void)\n{\n        x; /* Uptane 5.4 */\n}\n\n/* Uptane 5.3 */\nstatic void t(void **state)\n{\n"
    p = "# Uptane 5.2\n@mark\ndef test_a():\n    x()  # Uptane 5.4\n\n\n# Uptane 5.3\ndef helper():\n"
    same = [tags("Uptane 5.4.4.5 (6) Uptane 5.4.2.1.2 (f, 10.2a), Uptane 5.2.4") == [
        ("5.4.4.5 (6)", 0), ("5.4.2.1.2 (f)", 19), ("5.4.2.1.2 (10.2a)", 19), ("5.2.4", 48)],
            [place(FUNCTION, c, c.index(t)) for t in ("Uptane 5.2", "Uptane 5.4", "Uptane 5.3")] == ["f", "f", "t"],
            [place(C_TEST, c, c.index(t)) for t in ("Uptane 5.2", "Uptane 5.3")] == ["", "t"],
            [place(PYTHON_TEST, p, p.index(t)) for t in ("Uptane 5.2", "Uptane 5.4", "Uptane 5.3")] == ["test_a", "test_a", ""]]
    good = [check(rows, one, one), check(rows, {**one, **other}, one), check(rows, one, one, {"5.4": "a.h", "5.4 (1)": "a.h"}),
            [i for i, ok in enumerate(same) if not ok]]
    bad = [check(rows, one, {}), check(rows, {}, one), check(rows, {**one, "5.4 (2)": one["5.4 (1)"]}, one), check(rows, one, lost),
           check(rows, lost, one), check(rows, one, {**one, "5.9": one["5.4 (1)"]}), check(rows + rows[:1], one, one),
           check(rows, {**one, "5.4": one["5.4 (1)"]}, one), check(rows, one, one, {"5.9": "a.h"})]
    return good, bad


ROWS, CODE, TESTS = demands(common.read(TABLE)), collect(["src", "daemon"]), collect(["tests"])
document = generate(ROWS, CODE, TESTS)
if sys.argv[1:] == ["--write"]:
    with open(os.path.join(common.ROOT, DOCUMENT), "w", encoding="utf-8") as f:
        f.write(document)
    sys.exit(0)
current = common.read(DOCUMENT) if os.path.exists(os.path.join(common.ROOT, DOCUMENT)) else ""
stale = [] if current == document else ["%s is not current: run tests/lint/conformance.py --write" % DOCUMENT]
common.finish(check(ROWS, CODE, TESTS, mentions(["src", "daemon", "tests"])) + stale, *self_test())
