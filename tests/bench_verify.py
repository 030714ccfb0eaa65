# SPDX-License-Identifier: Apache-2.0
"""How the cost of verifying an Image repository grows with its targets and its delegations: `uptanectl verify` on folders."""
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import urllib.parse

from backend.keys import Key
from backend.repository import Repository

UPTANECTL = os.path.join(os.environ["BUILD_DIR"], "daemon/uptanectl/uptanectl")
RUNS = 5


def target(number):
    return {"length": 1000 + number, "hashes": {"sha256": hashlib.sha256(b"%d" % number).hexdigest()},
            "custom": {"hardwareIds": ["hw"], "targetFormat": "BINARY", "version": "1.%d" % number}}


def many_targets(image, n):
    image.targets = {"folder/image-%06d.bin" % number: target(number) for number in range(n)}
    return "folder/image-%06d.bin" % (n // 2), image.targets["folder/image-%06d.bin" % (n // 2)]


def many_delegations(image, n):
    key = Key()
    for number in range(n):
        role = image.delegate("supplier-%d" % number, keys=[key], paths=["supplier-%d/*" % number])
        role.targets["supplier-%d/image.bin" % number] = target(number)
    return "supplier-%d/image.bin" % (n // 2), image.delegated["supplier-%d" % (n // 2)].targets["supplier-%d/image.bin" % (n // 2)]


def write(folder, director, image):
    for name, repository in (("director", director), ("image", image)):
        for file, data in repository.files.items():
            parent, _, base = file.rpartition("/")
            path = os.path.join(folder, name, parent, urllib.parse.quote(base, safe=""))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(data)


def command(folder):
    return [UPTANECTL, "--json", "verify"] + [word for name in ("director", "image") for word in (
        "--" + name, os.path.join(folder, name), "--root-" + name, os.path.join(folder, name, "1.root.json"))]


def run(folder):
    """(seconds of CPU, peak KiB) of one verification, which must be good."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    script = "import os,resource,subprocess,sys; r=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL); " \
             "print(r.returncode,resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    out = subprocess.run([sys.executable, "-S", "-c", script, *command(folder)], capture_output=True, text=True, check=True).stdout.split()
    assert out[0] == "0", "the repository does not verify"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, int(out[1])


def files_read(folder):
    """Sizes of the Image repository's files that were verified, by what was reported."""
    checks = json.loads(subprocess.run(command(folder), capture_output=True, text=True, check=True).stdout)["checks"]
    sizes = []
    for check in checks:
        kind, _, what = check["check"].partition(" ")
        if kind == "image" and what != "trusted root":
            name = "delegations/%s.json" % what[len("role '"):-1] if what.startswith("role") else what + ".json"
            sizes.append(os.path.getsize(os.path.join(folder, "image", name)))
    return sizes


def measure(what, n, fill):
    with tempfile.TemporaryDirectory(prefix="uptaned-bench.", dir="/tmp") as folder:
        director, image = Repository(), Repository()
        name, entry = fill(image, n)
        director.targets[name] = dict(entry, custom={"ecuIdentifiers": {"E1": {"hardwareId": "hw"}}})
        director.publish()
        image.publish()
        write(folder, director, image)
        runs = [run(folder) for _ in range(RUNS)]
        sizes = files_read(folder)
        return what, n, max(sizes), sum(sizes), min(r[0] for r in runs), max(r[1] for r in runs)


def main():
    rows = [measure("targets", n, many_targets) for n in (10, 1000, 10000, 100000)]
    rows += [measure("delegations", n, many_delegations) for n in (1, 10, 100, 1000)]
    base = rows[0]
    print("%-12s %8s %16s %14s %9s %12s %22s" % ("", "how many", "largest file KiB", "all read KiB", "CPU ms", "CPU ms/MiB", "peak beyond the first"))
    for what, n, largest, total, seconds, peak in rows:
        more, grown = max(seconds - base[4], 0), total - base[3]
        print("%-12s %8d %16.1f %14.1f %9.1f %12s %22s" % (
            what, n, largest / 1024, total / 1024, seconds * 1000, "%.1f" % (more * 1000 * (1 << 20) / grown) if grown > 100000 else "-",
            "%d KiB = %.1f files" % (peak - base[5], (peak - base[5]) * 1024 / largest) if largest > 100000 else "%d KiB" % (peak - base[5])))


main()
