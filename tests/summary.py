# SPDX-License-Identifier: Apache-2.0
"""Adds up meson's test logs: summary.py FAILED_BUILDS LOG... prints 'N passed, N failed, N skipped'; exit 0 if all is well."""
import json
import os
import sys

GOOD, SKIPPED = ("OK", "EXPECTEDFAIL"), ("SKIP", "IGNORED")


def main():
    passed = skipped = 0
    failed = int(sys.argv[1])
    for log in sys.argv[2:]:
        if not os.path.exists(log):
            failed += 1
            print("FAILED: nothing was run (%s)" % log)
            continue
        with open(log, encoding="utf-8") as f:
            for line in f:
                test = json.loads(line)
                if test["result"] in GOOD:
                    passed += 1
                elif test["result"] in SKIPPED:
                    skipped += 1
                    print("skipped: %s" % test["name"])
                else:
                    failed += 1
                    print("FAILED: %s (%s)" % (test["name"], log))
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed or not passed else 0


sys.exit(main())
