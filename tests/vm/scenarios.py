# SPDX-License-Identifier: Apache-2.0
"""What tests/vm/run runs: a vehicle of its own for each scenario, from the factory to what the Director knows in the end."""
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

from conftest import World
from container import rootfs
from images import remove_tree
from remote import wait_for

from vm.images import BUSYBOX, VmImages
from vm.loaders import Extlinux, UBoot
from vm.vehicle import VmVehicle

CONFIG = "[update]\npoll-interval = 2\n[health]\nboot-complete = yes\nchecks = yes\n"
GOOD, FALLBACK = ({"bootcount": "0", "upgrade_available": "0", "rollback": r} for r in "01")
SKIPPED = 77  # says meson
TRIES = 3
# by systemd, on the console, where it shortens and colours names; in the middle of what it takes
FINALIZING, FINALIZING_SECONDS = re.compile("Stopping .*Tree Finalize Staged Deployment"), 1
SECONDS = 900  # a loaded machine emulates slowly
BIG_KIB, KERNEL_KIB, ROOM_KIB = 12 << 10, 8 << 10, 4 << 10  # what an update puts below /ostree, and in /boot, at least; too little


def say(text):
    """One of the promises of a scenario has been seen kept."""
    print("     " + text, flush=True)


def polls(world):
    return len(world.backend.requests("director/timestamp.json"))


def reports(world):
    return [(r["correlation_id"], r["result"]["code"].split(":")[-1], r["raw_report"]) for r in world.director.reports()]


def start(world):
    """The first boot: it registers, and says what it runs."""
    v = world.vehicle
    v.machine.boot()
    wait_for(lambda: world.director.installed(v.serial), lambda: "the first manifest; " + v.log()[-2000:], SECONDS)
    assert world.director.installed(v.serial)[1] == v.booted_commit == v.factory_commit
    return v


def update(world, version, boots):
    """Assigned; whatever the vehicle makes of it, it comes up so often more. Returns the correlation id."""
    v = world.vehicle
    up, told = v.machine.boots + boots, len(world.director.reports())
    correlation = world.assign(world.publish_commit(version))
    v.machine.wait_boot(up)
    wait_for(lambda: len(world.director.reports()) > told, lambda: "the installation report; " + v.log()[-2000:], SECONDS)
    return correlation


def look_after(world, commit, variables=None, told=1):
    """What must be so in the end, through three polls more, in which nothing is begun again."""
    v = world.vehicle
    assert v.booted_commit == commit == world.director.installed(v.serial)[1]
    begin, boots, starts, pulled = polls(world), v.machine.boots, v.machine.starts(), len(world.backend.requests("treehub/"))
    wait_for(lambda: polls(world) >= begin + 3, "three polls", SECONDS)
    wait_for(lambda: v.state() == "idle", lambda: "state idle, it is " + v.state(), SECONDS)
    assert (v.machine.boots, v.machine.starts(), len(world.backend.requests("treehub/"))) == (boots, starts, pulled)
    assert len(world.director.reports()) == told and not world.director.refused
    assert variables is None or v.boot_variables() == variables


class Witness(list):
    """The manifests that the Director takes. Each must name what runs in the vehicle at that moment."""

    def __init__(self, vehicle):
        super().__init__()
        self.vehicle, self.lies = vehicle, []
        vehicle.director.manifests = self

    def append(self, document):
        said = document["signed"]["ecu_version_manifests"][self.vehicle.serial]["signed"]["installed_image"]["fileinfo"]["hashes"]["sha256"]
        runs = self.vehicle.machine.came_up[-1] if self.vehicle.machine.came_up else None
        if said != runs:
            self.lies.append("it says %s, and runs %s" % (said, runs))
        super().append(document)


def good_update(world):
    """A good update is booted, passes its checks while U-Boot counts, is confirmed, and reported"""
    assert start(world).machine.starts() == 1
    do_good_update(world)


def do_good_update(world):
    m, told = world.vehicle.machine, len(world.director.reports())
    starts, said = m.starts(), len(m.console())
    good_end(world, update(world, "2", boots=1))
    assert m.starts() == starts + 1  # the first try
    assert "upgrade_available=1 rollback=0" in m.console()[said:]  # and on trial
    look_after(world, world.images.commit("2"), GOOD, told + 1)


def good_update_with_extlinux(world):
    """A good update is booted by extlinux, passes its checks, is confirmed, and reported"""
    start(world)
    good_end(world, update(world, "2", boots=1))
    assert not world.vehicle.machine.starts()  # of U-Boot
    look_after(world, world.images.commit("2"))


def good_end(world, correlation):
    v = world.vehicle
    assert reports(world)[-1] == (correlation, "OK", "")
    assert world.director.installed(v.serial) == ("os-2", world.images.commit("2"))
    assert "VERSION_ID=2" in v.machine.run("cat", "/usr/lib/os-release").stdout
    assert "uptane-health" in v.machine.journal_text("--boot")


def update_that_does_not_boot(world):
    """An update that panics is given up by U-Boot after three tries; the old software reports it, once"""
    assert start(world).machine.starts() == 1
    do_update_that_does_not_boot(world)


def do_update_that_does_not_boot(world):
    v, starts = world.vehicle, world.vehicle.machine.starts()
    broken = world.images.commit("broken", without_init=True)
    correlation = update(world, "broken", boots=1)
    assert v.machine.starts() == starts + TRIES + 1
    assert v.machine.console().count("Kernel panic") == TRIES
    assert [r[:2] for r in reports(world)] == [(correlation, "INSTALL_FAILED")]
    assert "the boot loader gave it up" in reports(world)[0][2]
    assert broken in v.status()
    assert v.booted_commit == v.factory_commit and v.boot_variables() == FALLBACK
    v.machine.reboot()
    look_after(world, v.factory_commit, FALLBACK)


def bad_update_then_good_one(world):
    """An update that panics is given up by U-Boot after three tries and reported, once; the next one is good, counted, confirmed"""
    assert start(world).machine.starts() == 1
    do_update_that_does_not_boot(world)
    say("given up after three panics, reported once, also behind another reboot")
    do_good_update(world)
    say("the next update is booted on trial, passes its checks, is confirmed, and reported once")


def update_that_is_not_well(world):
    """An update that fails a health check is rolled back, and reported with the name of the check"""
    v = start(world)
    unwell = world.images.commit("unwell", files={"usr/lib/uptane/health.d/50-brakes": "#!/bin/sh\necho no pressure\nexit 1\n"})
    correlation = update(world, "unwell", boots=2)
    assert v.machine.starts() == 3  # nothing was tried twice
    assert unwell in v.status()
    [(reported, code, raw)] = reports(world)
    assert (reported, code) == (correlation, "INSTALL_FAILED") and "50-brakes" in raw and "no pressure" in raw, raw
    look_after(world, v.factory_commit, GOOD)


def cut_and_boot(world):
    """Whatever boots then, it is whole."""
    v = world.vehicle
    v.machine.power_cut()
    v.machine.boot()
    assert v.booted_commit == v.machine.came_up[-1]


def exists(vehicle, path):
    return vehicle.machine.run("test", "-e", path, check=False).returncode == 0


def finalizations(vehicle):
    return len(FINALIZING.findall(vehicle.machine.console()))


def power_cuts(world):
    """Power cuts while an update is pulled, deployed, waits for the reboot, is written: it boots, tells the truth, and completes"""
    v = start(world)
    truth, new = Witness(v), world.images.commit("2")
    world.backend.faults.add("treehub/objects/.*filez", "stall")
    correlation = world.assign(world.publish_commit("2"))
    wait_for(lambda: exists(v, "/ostree/repo/state/%s.commitpartial" % new), "half a pull", SECONDS)
    cut_and_boot(world)
    assert v.machine.came_up[-1] == v.factory_commit
    say("cut in the pull: it boots the old one")
    world.backend.faults.clear()

    wait_for(lambda: exists(v, "/ostree/deploy/test-os/deploy/%s.0" % new), "half a deployment", SECONDS)
    cut_and_boot(world)
    assert v.machine.came_up[-1] == v.factory_commit
    say("cut in the deployment: it boots the old one")

    v.machine.run("systemd-run", "--unit=inhibit", "systemd-inhibit", "--what=shutdown", "--mode=block", "sleep", "infinity")
    wait_for(lambda: v.state() == "reboot-required", lambda: "state reboot-required, it is " + v.state(), SECONDS)
    assert "(staged)" in v.status()
    cut_and_boot(world)
    assert v.machine.came_up[-1] == v.factory_commit
    say("cut between deployment and reboot: it boots the old one")

    stops, boots = finalizations(v), v.machine.boots
    wait_for(lambda: finalizations(v) > stops, lambda: "the shutdown that writes it; " + v.log()[-2000:], SECONDS)
    time.sleep(FINALIZING_SECONDS)
    assert v.machine.boots == boots
    cut_and_boot(world)
    say("cut while it was written: it boots %s" % ("the old one" if v.machine.came_up[-1] == v.factory_commit else "the new one"))

    wait_for(world.director.reports, lambda: "the installation report; " + v.log()[-2000:], SECONDS)
    assert reports(world) == [(correlation, "OK", "")]
    assert not truth.lies, truth.lies
    assert truth and {v.factory_commit, new} == set(v.machine.came_up)
    say("%d manifests, each with what ran when it came; the update was completed, and reported once" % len(truth))
    look_after(world, new, GOOD)


class Filled:
    """A file system of the vehicle that has room for so many KiB, and no more. It is the same afterwards as it was before."""

    def __init__(self, vehicle, where, room):
        self.machine, self.folder, self.file = vehicle.machine, where, where + "/filling"
        size, available = (int(n) for n in self._shell("df --output=size,avail --block-size=1K %s | tail -n 1" % where).split())
        self.reserve = size * 3 // 100 if where != "/boot" else 0  # libostree's, of the file system that has its repository
        self._shell("fallocate --length %dK %s && sync" % (available - self.reserve - room, self.file))

    def _shell(self, script):
        return self.machine.run("sh", "-e", "-c", script).stdout

    def empty(self):
        self._shell("rm %s && sync" % self.file)


def holdings(vehicle):
    """What an update puts anywhere: deployments, contents, parts of a download, /boot."""
    return vehicle.status() + vehicle.machine.run("sh", "-c", "find /ostree/repo/objects -name '*.file' | sort; ls /ostree/deploy/*/deploy;"
                                                  "find /ostree/repo/tmp -type f -size +0 ! -path '*/cache/*'; "
                                                  "find /boot ! -name filling -printf '%p %s\\n' | sort", timeout=SECONDS).stdout


def check_refused(world, where, least, before):
    """It does not fit: that is told, with what it needs (at least so many KiB) and what there is, and nothing was fetched or kept."""
    v = world.vehicle

    def numbers():
        name, text, _ = v.property("LastError")
        found = re.search(r"(\S+): (\d+) KiB are needed, (\d+) KiB are available", text)
        return found if name.endswith("NoSpace") and found and found.group(1).endswith(where) else None
    told = wait_for(numbers, lambda: "no space in %s; %s; %s" % (where, v.property("LastError"), v.log()[-2000:]), SECONDS, pause=0.5)
    assert int(told.group(2)) >= least and int(told.group(3)) <= ROOM_KIB, told.group()
    say("refused: " + told.group())
    assert not world.backend.requests("treehub/.*filez")
    say("before the download: no content was asked for")
    assert holdings(v) == before and v.booted_commit == v.factory_commit
    say("nothing half-written: deployments, contents, downloads, /boot are as they were")
    assert not world.director.reports() and world.director.installed(v.serial)[1] == v.factory_commit


def full_disk(world):
    """An update that the disk or /boot has no room for is refused before the download, with both numbers; with room it succeeds"""
    v = start(world)
    before = holdings(v)
    sysroot = Filled(v, "/sysroot", ROOM_KIB)
    world.images.commit("big", big=BIG_KIB << 10)
    correlation = world.assign(world.publish_commit("big"))
    check_refused(world, "/ostree/repo", BIG_KIB, before)
    boot = Filled(v, "/boot", ROOM_KIB)
    sysroot.empty()
    check_refused(world, "/boot", KERNEL_KIB, before)
    boot.empty()

    v.machine.wait_boot(2)
    wait_for(world.director.reports, lambda: "the installation report; " + v.log()[-2000:], SECONDS)
    assert reports(world) == [(correlation, "OK", "")]
    say("with the space freed, the same update was made, without being asked for again")
    look_after(world, world.images.commit("big"), GOOD)


SCENARIOS = {bad_update_then_good_one: UBoot, update_that_does_not_boot: UBoot, good_update: UBoot, update_that_is_not_well: UBoot,
             good_update_with_extlinux: Extlinux, full_disk: UBoot, power_cuts: UBoot}


def run(scenario, images):
    """None, or why it failed."""
    world = World(images, kind=VmVehicle, secondaries=0, config=CONFIG)
    try:
        scenario(world)
        return None
    except Exception:  # pylint: disable=broad-except  # whatever it is, the others are run, too
        m = world.vehicle.machine
        text = traceback.format_exc() + "---- console ----\n" + m.console()[-6000:]
        try:
            text += "\n---- journal ----\n" + m.journal_text()[-12000:]
        except (AssertionError, OSError, AttributeError) as e:
            text += "\n---- no journal: %s ----" % e
        return text
    finally:
        world.close()


def end(*_):
    raise KeyboardInterrupt


def missing():
    """What this machine lacks, if anything."""
    if os.geteuid() != 0:
        return "needs root: a sysroot belongs to it"
    needed = [shutil.which("qemu-system-x86_64") or "qemu-system-x86_64", *UBoot.FIRMWARE[1:], BUSYBOX]
    return next(("needs " + path for path in needed if not os.path.exists(path)), None)


def main(names):
    chosen = [s for s in SCENARIOS if not names or s.__name__ in names]
    if not chosen:
        print("there are: " + ", ".join(s.__name__ for s in SCENARIOS))
        return 2
    if missing():
        print("skipped: " + missing())
        return SKIPPED
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)  # whoever ends this, the machine ends with it
    if not rootfs.is_made(kernel=True):
        print("Making the Debian that the vehicle runs; it is kept in %s..." % rootfs.cache(), flush=True)
    folder = tempfile.mkdtemp(prefix="uptaned-vm.", dir="/tmp")
    failed = 0
    try:
        images = {}
        for scenario in chosen:
            begin, loader = time.monotonic(), SCENARIOS[scenario]
            if loader not in images:
                images[loader] = VmImages(os.path.join(folder, loader.NAME), os.environ["BUILD_DIR"], loader)
            why = run(scenario, images[loader])
            failed += why is not None
            print("%s %s: %s (%.0f s)" % ("FAIL" if why else "PASS", scenario.__name__, scenario.__doc__, time.monotonic() - begin), flush=True)
            if why:
                print(why, flush=True)
    except KeyboardInterrupt:
        return 130
    finally:
        remove_tree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
