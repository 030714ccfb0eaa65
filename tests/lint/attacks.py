# SPDX-License-Identifier: Apache-2.0
"""
Every attack of our list has a test that carries its number: in its name (t13_..., test_t13_...) or in the comment on it
("T-13"). `attacks.py --table` prints which.
"""
import re
import sys

import common

WANTED = [*range(1, 40), 43, 44, 45, *range(47, 64)]
# what has no test yet
OPEN = set()
TAG = re.compile(r"\bT-(\d+)\b|\b(?:test_)?((?:t\d+_)+)[a-z]")


def tags(text):
    found = set()
    for number, name in TAG.findall(text):
        found |= {int(number)} if number else {int(n) for n in re.findall(r"t(\d+)_", name)}
    return found


def collect():
    where = {}
    for path in common.files("tests", suffixes=(".c", ".py")):
        if not path.startswith(("tests/lint/", "tests/backend/")):
            for number in tags(common.read(path)):
                where.setdefault(number, []).append(path)
    return where


def check(where, wanted, open_):
    return ["T-%d has no test" % n for n in wanted if n not in where and n not in open_] + \
           ["T-%d is said to be open and has a test" % n for n in sorted(open_) if n in where]


where = collect()
if sys.argv[1:] == ["--table"]:
    for number in WANTED:
        print("T-%-3d %s" % (number, ", ".join(where.get(number, ["open"]))))
    sys.exit(0)
common.finish(check(where, WANTED, OPEN),
              good=[check({n: 1 for n in tags("def test_t1_t2_x(): T-3: /* T-4 */ static void t5_a(void)")}, [1, 2, 3, 4, 5], set())],
              bad=[check({n: 1 for n in tags("T-12 t3 at1_x")}, [1], set()), check({1: ["a.c"]}, [1], {1})])
