# SPDX-License-Identifier: Apache-2.0
"""Functions of at most 100 lines, files of at most 800, lines of at most 150 columns (R4)."""
import re

import common

FUNCTION_MAX, FILE_MAX, COLUMNS_MAX = 100, 800, 150


def check(path, text):
    lines = text.splitlines()
    problems = []
    if len(lines) > FILE_MAX:
        problems.append("%s: %d lines, at most %d" % (path, len(lines), FILE_MAX))
    begin = name = None
    for number, line in enumerate(lines, 1):
        if len(line.expandtabs(8)) > COLUMNS_MAX:
            problems.append("%s:%d: %d columns, at most %d" % (path, number, len(line), COLUMNS_MAX))
        head = re.match(r"[A-Za-z_].*?(\w+)\(", line)
        if head and not line.rstrip().endswith(";"):
            name = head.group(1)
        if line == "{":
            begin = number
        elif line == "}" and begin:
            if number - begin + 1 > FUNCTION_MAX:
                problems.append("%s:%d: %s() has %d lines, at most %d" % (path, begin, name, number - begin + 1, FUNCTION_MAX))
            begin = None
    return problems


def example(lines):
    return "static int f(void)\n{\n" + "        g();\n" * lines + "}\n"


common.finish([p for path in common.files("src", "daemon", suffixes=(".c", ".h")) for p in check(path, common.read(path))],
              good=[check("a.c", example(98) * 2)],
              bad=[check("a.c", example(99)), check("a.c", "\n" * 801), check("a.c", "x" * 151)])
