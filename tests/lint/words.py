# SPDX-License-Identifier: Apache-2.0
"""Words that have no place here: reminders nobody keeps, line comments, jumps, functions that cannot be used safely (R15, R22)."""
import re

import common

BAD = [
    (re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"), "do it, or open an issue"),
    (re.compile(r"(?<![:\"'\w/])//(?![^\"]*\"[^\"]*$)"), "comments are /* */"),
    (re.compile(r"\bgoto\b"), "cleanup attributes end a function"),
    (re.compile(r"\b(gets|strcpy|strcat|sprintf|vsprintf|strncpy|strtok|alloca)\s*\("), "there is a safe way"),
    (re.compile(r"\bfork\s*\(|\bset[er]*[ug]id\s*\(|\bsystem\s*\(|\bpopen\s*\("), "privilege and processes belong to the unit files"),
]


def strip(text):
    """Without comments and strings, line by line, but with the words of comments kept for the first rule."""
    return re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', text)


def check(path, text):
    problems = []
    code = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), strip(text), flags=re.S)
    for number, line in enumerate(text.splitlines(), 1):
        if BAD[0][0].search(line):
            problems.append("%s:%d: %s: %s" % (path, number, BAD[0][0].search(line).group(), BAD[0][1]))
    for number, line in enumerate(code.splitlines(), 1):
        for pattern, why in BAD[1:]:
            found = pattern.search(line)
            if found:
                problems.append("%s:%d: %s: %s" % (path, number, found.group().strip(), why))
    return problems


common.finish([p for path in common.files("src", "daemon", suffixes=(".c", ".h")) for p in check(path, common.read(path))],
              good=[check("a.c", 'x("http://example.org"); /* see http://example.org, not a goto */\n')],
              bad=[check("a.c", "/* TO" + "DO: later */\n"), check("a.c", "x(); // y\n"), check("a.c", "goto out;\n"),
                   check("a.c", "strcpy(a, b);\n"), check("a.c", "fork();\n")])
