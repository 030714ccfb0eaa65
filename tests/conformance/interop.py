# SPDX-License-Identifier: Apache-2.0
"""Metadata made and recorded by other implementations, replayed through the core: interop.py VERIFY FOLDER [N]

Captured repositories verify in full; every flipped bit and every changed field of them (every Nth) is refused; the Uptane test
vectors end as expected, with an error of the expected class. Prints TAP-like lines; 77: the folder is not there.
"""
import copy
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile

VERIFY, FOLDER, EVERY = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1
FOLDER = os.environ.get("INTEROP_DIR", FOLDER)
VECTORS_NOW = 1800000000  # the vectors' good metadata expires in 2038, the expired one in the past
CAPTURE_NOW = 1795000000  # when it was recorded; it expires in 2035
# what a vector expects -> what this project calls it
CLASSES = {
    "UnmetThreshold": {"SignatureThreshold"},
    "NonUniqueSignatures": {"SignatureThreshold"},
    "IllegalThreshold": {"Malformed"},
    "BadKeyId": {"Malformed", "SignatureThreshold"},
    "ExpiredMetadata": {"MetadataExpired"},
    "RootRotationError": {"MixAndMatch", "Rollback"},
    "SecurityException": {"WrongRole"},
    "BadHardwareId": {"HardwareMismatch"},
    "TargetMismatch": {"TargetMismatch", "HardwareMismatch"},
    "DelegationMissing": {"MixAndMatch", "NotFound"},
    "VersionMismatch": {"MixAndMatch"},
}
counts = {"ok": 0, "failed": 0, "skipped": 0}


def verify(state, director, image, now, *options):
    run = subprocess.run([VERIFY, "--now", str(now), *options, state, director, image], capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1) and not run.stderr, (run.returncode, run.stderr)
    return {line.split(" ", 1)[0]: line.split(" ", 2)[1:] for line in run.stdout.splitlines()}


def result(good, name, detail=""):
    counts["ok" if good else "failed"] += 1
    print("%s - %s%s" % ("ok" if good else "not ok", name, "" if good else ": %s" % (detail,)))


# vectors


def agrees(step, got):
    """Whether got, of one step, is what the vector's authors expect."""
    for part, line in (("director", "director"), ("image_repo", "image")):
        update = step[part]["update"]
        # delegated roles are only looked at for an image that needs them
        if line == "image" and got[line][0] == "ok" and not update["is_success"] and "targets" in got:
            line = "targets"
        if update["is_success"] != (got[line][0] == "ok"):
            return False
        if not update["is_success"] and got[line][0] not in CLASSES[update["err"].split("::")[0]]:
            return False
    if "targets" not in got or not step["image_repo"]["update"]["is_success"]:
        return True
    errors = [t["err"] for part in ("director", "image_repo") for t in step[part]["targets"].values() if not t["is_success"]]
    if not errors:
        return got["targets"][0] == "ok"
    return any(got["targets"][0] in CLASSES[e.split("::")[0]] for e in errors)


def vectors():
    folder = os.path.join(FOLDER, "vectors")
    with open(os.path.join(folder, "expected.json"), encoding="utf-8") as f:
        expected = json.load(f)
    for name, steps in sorted(expected.items()):
        with tempfile.TemporaryDirectory() as state:
            for number, step in enumerate(steps):
                at = os.path.join(folder, name, str(number))
                got = verify(state, at + "/director", at + "/image_repo", VECTORS_NOW, "--without-director-timestamp",
                             "--serial", "test_primary_ecu_serial", "--hardware", "test_primary_hardware_id")
                result(agrees(step, got), "vector %s step %d" % (name, number), got)


# captures


def changes(value, path=()):
    """Every way to change one field of signed."""
    if isinstance(value, dict):
        for key in value:
            yield from changes(value[key], path + (key,))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from changes(item, path + (i,))
    elif isinstance(value, bool):
        yield path, not value
    elif isinstance(value, int):
        yield path, value + 1
    elif isinstance(value, str):
        yield path, value + "x"


def put(document, path, value):
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def spoiled(data):
    """(what was done, bytes) for every field."""
    document = json.loads(data)
    for path, value in changes(document["signed"]):
        changed = copy.deepcopy(document)
        put(changed["signed"], path, value)
        yield "field %s" % ".".join(str(p) for p in path), json.dumps(changed, separators=(",", ":"), sort_keys=True).encode()


def flipped(kind, file, director, image, data):
    """(bits tried, those whose change says something else and verifies all the same)."""
    run = subprocess.run([VERIFY, "--now", str(CAPTURE_NOW), "--without-director-timestamp", "--flip", kind, "--every", str(EVERY), file, "/nonexistent",
                          director, image], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    survivors = []
    for line in lines[:-1]:
        bit = int(line.split()[1])
        bad = data[:bit // 8] + bytes([data[bit // 8] ^ (1 << bit % 8)]) + data[bit // 8 + 1:]
        if not means_the_same(data, bad):
            survivors.append("bit %d" % bit)
    return int(lines[-1].split()[2]), survivors


def means_the_same(a, b):
    """A flipped bit may leave the document what it was: in white space, in the case of a hex digit or of an unused key id."""
    try:
        return json.loads(a.lower())["signed"] == json.loads(b.lower())["signed"]
    except (ValueError, KeyError):
        return False


def capture(name, repository):
    director, image = os.path.join(repository, "director"), os.path.join(repository, "repo")
    with tempfile.TemporaryDirectory() as state:
        got = verify(state, director, image, CAPTURE_NOW, "--without-director-timestamp")
    result(got["director"][0] == "ok" and got["image"][0] == "ok", "%s verifies in full" % name, got)
    for kind, folder, files in (("director", director, ("1.root.json", "targets.json")),
                                ("image", image, ("1.root.json", "timestamp.json", "snapshot.json", "targets.json"))):
        for file in files:
            with open(os.path.join(folder, file), "rb") as f:
                data = f.read()
            bits, survivors = flipped(kind, file, director, image, data)
            result(not survivors and bits == len(range(0, 8 * len(data), EVERY)), "%s: every one of %d flipped bits of %s/%s is refused" % (name, bits, kind, file),
                   survivors)
            survivors, n = [], 0
            for what, bad in itertools.islice(spoiled(data), 0, None, EVERY):
                n += 1
                with tempfile.TemporaryDirectory() as scratch:
                    copied = os.path.join(scratch, "copy")
                    shutil.copytree(folder, copied)
                    with open(os.path.join(copied, file), "wb") as f:
                        f.write(bad)
                    os.mkdir(os.path.join(scratch, "state"))
                    pair = (copied, image) if kind == "director" else (director, copied)
                    got = verify(os.path.join(scratch, "state"), *pair, CAPTURE_NOW, "--without-director-timestamp")
                    if got[kind][0] == "ok" and not means_the_same(data, bad):
                        survivors.append(what)
            result(not survivors, "%s: every one of %d changed fields of %s/%s is refused" % (name, n, kind, file), survivors)


def main():
    if not os.path.isdir(FOLDER):
        print("SKIP: %s is not there: nothing recorded from other implementations was replayed" % FOLDER)
        return 77
    vectors()
    for name in sorted(os.listdir(FOLDER)):
        repository = os.path.join(FOLDER, name, "uptane-repo", "repo")
        if os.path.isdir(repository):
            capture(name, repository)
    print("%(ok)d passed, %(failed)d failed, %(skipped)d skipped" % counts)
    return 1 if counts["failed"] or not counts["ok"] else 0


sys.exit(main())
