# SPDX-License-Identifier: Apache-2.0
"""The figures that tests/bench prints, measured on a test vehicle with two Secondaries, one of which verifies partially."""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from backend import Backend
from images import Images, remove_tree
from vehicle import BUILD, Vehicle, wait_for

PROGRAMS = [("uptaned", "uptaned"), ("fetch", "uptane-fetch"), ("verify", "uptane-verify"), ("ostree", "uptane-ostree"),
            ("secondary-ip", "uptane-secondary-ip"), ("secondary", "uptane-secondary"), ("secondary", "uptane-secondary-tls"), ("uptanectl", "uptanectl")]
ROWS = []


def row(what, value):
    ROWS.append((what, value))


def stripped_sizes(folder):
    for directory, name in PROGRAMS:
        copied, built = os.path.join(folder, name), os.path.join(BUILD, "daemon", directory, name)
        if name == "uptane-secondary-tls" and not os.path.exists(built):
            continue  # uptane-secondary is that program: -Dsmall-secondary=false
        shutil.copy(built, copied)
        subprocess.run(["strip", copied], check=True)
        row("%s, stripped" % name, "%d KiB" % (os.path.getsize(copied) // 1024))


def figure(pid, name):
    with open("/proc/%d/smaps_rollup" % pid, encoding="utf-8") as f:
        return int(re.search(r"^%s:\s+(\d+)" % name, f.read(), re.M).group(1))


def memory(pid):
    for name in ("Rss", "Pss"):
        row("%s of the idle daemon" % name.upper(), "%d KiB" % figure(pid, name))
    with open("/proc/%d/maps" % pid, encoding="utf-8") as f:
        objects = {line.split()[-1] for line in f if ".so" in line}
    row("shared objects mapped by the daemon", len(objects))


def cpu_ms(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")


class Syncs:
    """Counts fsync and fdatasync of a process."""

    def __init__(self, pid, folder):
        self.path = os.path.join(folder, "syncs")
        self.strace = subprocess.Popen(["strace", "-f", "-q", "-e", "trace=fsync,fdatasync,sync_file_range", "-o", self.path, "-p", str(pid)],
                                       stderr=subprocess.DEVNULL)

        def attached():
            with open("/proc/%d/status" % pid, encoding="utf-8") as f:
                return "TracerPid:\t0\n" not in f.read()
        wait_for(attached, "strace")

    def count(self):
        self.strace.send_signal(signal.SIGINT)
        self.strace.wait()
        with open(self.path, encoding="utf-8") as f:
            return sum("sync(" in line for line in f)


def measure(what, vehicle, backend, folder, act):
    pid = vehicle.daemon_pid()
    syncs = Syncs(pid, folder)
    backend.log.clear()
    cpu, begin = cpu_ms(pid), time.monotonic()
    act()
    row("%s: wall time" % what, "%.2f s" % (time.monotonic() - begin))
    row("%s: CPU time of the daemon" % what, "%d ms" % (cpu_ms(pid) - cpu))
    row("%s: fsyncs of the daemon" % what, syncs.count())
    row("%s: HTTP requests" % what, len(backend.requests()))
    row("%s: connections" % what, len({r["connection"] for r in backend.requests()}))
    row("%s: bytes of answers" % what, sum(r["sent"] for r in backend.requests()))


class Loop:
    """How long the daemon's event loop is held at a time: from the end of one wait to the beginning of the next."""

    def __init__(self, pid, folder):
        self.path = os.path.join(folder, "loop")
        self.strace = subprocess.Popen(["strace", "-qq", "-ttt", "-T", "-e", "trace=epoll_wait", "-o", self.path, "-p", str(pid)],
                                       stderr=subprocess.DEVNULL)

        def attached():
            with open("/proc/%d/status" % pid, encoding="utf-8") as f:
                return "TracerPid:\t0\n" not in f.read()
        wait_for(attached, "strace")

    def longest(self):
        self.strace.send_signal(signal.SIGINT)
        self.strace.wait()
        with open(self.path, encoding="utf-8") as f:
            waits = [(float(m.group(1)), float(m.group(2))) for m in re.finditer(r"^([0-9.]+) epoll_wait.* <([0-9.]+)>$", f.read(), re.M)]
        return max(begin - (before + lasted) for (before, lasted), (begin, _) in zip(waits, waits[1:]))


def large_metadata(folder, images, count):
    """A check that finds an update of the Primary in an Image repository with so many targets."""
    backend = Backend(os.path.join(folder, "backend-%d" % count), ostree=images.repo)
    vehicle = Vehicle(backend, images, os.path.join(folder, "vehicle-%d" % count), secondaries=0,
                      config="[limits]\ntargets = 64M\n[update]\nconsent-download = ask\n")
    try:
        vehicle.boot()
        vehicle.wait_state("idle")
        for number in range(count):
            backend.image.targets["crowd/%06d" % number] = {
                "length": number, "hashes": {"sha256": hashlib.sha256(b"%d" % number).hexdigest()},
                "custom": {"hardwareIds": ["other"], "targetFormat": "BINARY"}}
        entry = backend.add_commit("os-2", images.commit("2"), [vehicle.HARDWARE_ID])
        vehicle.director.assign([("os-2", entry, vehicle.serial, vehicle.HARDWARE_ID, None)])
        what = "a check with %d targets (%d KiB)" % (count, len(backend.image.files["targets.json"]) // 1024)
        loop, begin = Loop(vehicle.daemon_pid(), folder), time.monotonic()
        vehicle.call("CheckForUpdates")
        vehicle.wait_state("awaiting-consent", seconds=120)
        row("%s: wall time" % what, "%.2f s" % (time.monotonic() - begin))
        row("%s: the event loop is held for at most" % what, "%.0f ms" % (loop.longest() * 1000))
        with open("/proc/%d/status" % vehicle.daemon_pid(), encoding="utf-8") as f:
            row("%s: peak memory of the daemon" % what, re.search(r"^VmHWM:\s+(.*)$", f.read(), re.M).group(1))
    finally:
        vehicle.close()
        backend.stop()


def main():
    folder = tempfile.mkdtemp(prefix="uptaned-bench.", dir="/tmp")
    images = Images(os.path.join(folder, "images"))
    backend = Backend(os.path.join(folder, "backend"), ostree=images.repo)
    vehicle = Vehicle(backend, images, os.path.join(folder, "vehicle"), secondaries=2, partial=["secondary2"])
    try:
        stripped_sizes(folder)
        vehicle.boot()
        vehicle.wait_state("idle")
        begin = time.monotonic()
        vehicle.kill_daemon()
        row("from kill -9 to READY again (100 ms of it is the restart pause)", "%.0f ms" % ((time.monotonic() - begin) * 1000))
        vehicle.wait_state("idle")
        memory(vehicle.daemon_pid())
        measure("a poll that finds nothing", vehicle, backend, folder, vehicle.check)
        firmware = os.urandom(1 << 20)
        vehicle.director.assign([
            ("os-2", backend.add_commit("os-2", images.commit("2"), [vehicle.HARDWARE_ID]), vehicle.serial, vehicle.HARDWARE_ID, None),
            *(("mcu-2", backend.add_image("mcu-2", firmware, ["test-mcu"]), s.serial, "test-mcu", None) for s in vehicle.secondaries)])
        open(vehicle.path("reboot-refused"), "w").close()

        def update():
            vehicle.call("CheckForUpdates")
            vehicle.wait_state("reboot-required")
        measure("an update of all three ECUs (1 MiB firmware), up to the reboot", vehicle, backend, folder, update)
        for s, kind in zip(vehicle.secondaries, ("full", "partial")):
            row("RSS of uptane-secondary after it, %s verification" % kind, "%d KiB" % figure(vehicle.daemon_pid(s.label), "Rss"))
            row("of these, anonymous", "%d KiB" % figure(vehicle.daemon_pid(s.label), "Anonymous"))
        for count in (10, 10000, 100000):
            large_metadata(folder, images, count)
    finally:
        vehicle.close()
        backend.stop()
        remove_tree(folder)
    width = max(len(what) for what, _ in ROWS)
    for what, value in ROWS:
        print("%-*s  %s" % (width, what, value))


main()
