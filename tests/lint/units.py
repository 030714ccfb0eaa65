# SPDX-License-Identifier: Apache-2.0
"""The installed units: systemd understands them, and the sandboxes are at least as tight as written here.

units.py BUILD_DIR: installs into a scratch folder, then asks systemd-analyze.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def thresholds():
    with open(os.path.join(TESTS, "exposure.txt"), encoding="utf-8") as f:
        return {unit: float(most) for unit, most in (line.split() for line in f if line.strip() and not line.startswith("#"))}


def installed(build, root):
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root], check=True,
                   stdout=subprocess.DEVNULL)
    for folder, _, files in os.walk(root):
        if "uptaned.service" in files:
            return folder
    sys.exit("uptaned.service was not installed")


def exposure(unit, root):
    out = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--root=" + root, unit], capture_output=True,
                         text=True, check=False)
    match = re.search(r"exposure level for .*: ([0-9.]+)", out.stdout)
    return float(match.group(1)) if match else sys.exit("systemd-analyze security says: " + out.stdout[-500:] + out.stderr[-500:])


def main():
    root = tempfile.mkdtemp(prefix="uptaned-units.")
    failed = False
    try:
        folder = installed(sys.argv[1], root)
        system = os.path.join(root, "usr/lib/systemd/system")
        if folder != system:
            os.makedirs(system, exist_ok=True)
            shutil.copytree(folder, system, dirs_exist_ok=True)
        written = thresholds()
        for unit in sorted(name for name in os.listdir(folder) if name.endswith(".service")):
            level, most = exposure(unit, root), written.get(unit, 0)
            print("%-30s %.1f of at most %.1f" % (unit, level, most))
            failed |= level > most
        names = sorted(name for name in os.listdir(folder) if not name.endswith(".d"))
        for name in names:
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                for line in f:
                    program = re.match(r"ExecStart=(\S+)", line)
                    if program and not os.access(root + program.group(1), os.X_OK):
                        print("%s starts %s, which is not installed there" % (name, program.group(1)))
                        failed = True
        # programs are looked for in the real root: made to be found in the scratch one
        paths = [os.path.join(folder, name) for name in names]
        verify = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "--root=" + root, *paths], capture_output=True,
                                text=True, check=False)
        problems = [line for line in verify.stderr.splitlines() if folder in line or "Unknown" in line]
        print("\n".join(problems))
        failed |= bool(problems)
    finally:
        shutil.rmtree(root)
    return 1 if failed else 0


sys.exit(main())
