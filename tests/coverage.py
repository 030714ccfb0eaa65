# SPDX-License-Identifier: Apache-2.0
"""Sums up what gcov counted in the core: coverage.py BUILD [LAYER]"""
import collections
import glob
import json
import os
import subprocess
import sys

CORE = ("base", "crypto", "metadata", "trust", "uptane", "engine")
LINES, BRANCHES = 95, 90


def read(build):
    """{(layer, file): ({line: count}, {(line, branch): count})}"""
    found = collections.defaultdict(lambda: (collections.Counter(), collections.Counter()))
    for data in glob.glob(os.path.join(build, "src", "*", "*.p", "*.gcda")):
        out = subprocess.run(["gcov", "--json-format", "--branch-probabilities", "--stdout", data], capture_output=True, check=True).stdout
        for file in json.loads(out)["files"]:
            parts = os.path.normpath(os.path.join(build, file["file"])).split(os.sep)
            if "src" not in parts:
                continue
            layer, name = parts[parts.index("src") + 1], parts[-1]
            if layer not in CORE or not name.endswith(".c"):
                continue
            lines, branches = found[layer, name]
            for line in file["lines"]:
                lines[line["line_number"]] += line["count"]
                for number, branch in enumerate(line["branches"]):
                    branches[line["line_number"], number] += branch["count"]
    return found


def share(counts):
    return 100 * sum(1 for count in counts if count) / len(counts) if counts else 100


def main():
    found = read(sys.argv[1])
    if len(sys.argv) > 2:
        for (layer, name), (lines, branches) in sorted(found.items()):
            if layer == sys.argv[2]:
                missing = sorted(n for n, count in lines.items() if not count)
                half = sorted({line for (line, _), count in branches.items() if not count and lines[line]})
                print("%s/%s  lines not run: %s; branches not taken in lines: %s" % (layer, name, missing, half))
        return 0
    total_lines, total_branches = [], []
    print("%-12s %8s %9s" % ("", "lines", "branches"))
    for layer in CORE:
        lines = [c for (where, _), (counts, _) in found.items() if where == layer for c in counts.values()]
        branches = [c for (where, _), (_, counts) in found.items() if where == layer for c in counts.values()]
        total_lines += lines
        total_branches += branches
        print("%-12s %7.1f%% %8.1f%%" % (layer, share(lines), share(branches)))
    print("%-12s %7.1f%% %8.1f%%   (wanted: %d%% and %d%%)" % ("the core", share(total_lines), share(total_branches), LINES, BRANCHES))
    return share(total_lines) < LINES or share(total_branches) < BRANCHES


sys.exit(main())
