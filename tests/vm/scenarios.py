# SPDX-License-Identifier: Apache-2.0
"""What tests/vm/run runs: a vehicle of its own for each scenario, from the factory to what the Director knows in the end."""
import os
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

CONFIG = "[update]\npoll-interval = 5\n[health]\nboot-complete = yes\nchecks = yes\n"
GOOD, FALLBACK = ({"bootcount": "0", "upgrade_available": "0", "rollback": r} for r in "01")
SKIPPED = 77  # says meson
TRIES = 3
FINALIZING, FINALIZING_SECONDS = "Stopping ostree-finalize-sta", 1  # by systemd, on the console; in the middle of it
SECONDS = 900  # a loaded machine emulates slowly


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
    """Assigned; whatever the vehicle makes of it, it comes up so often. Returns the correlation id."""
    v = world.vehicle
    correlation = world.assign(world.publish_commit(version))
    v.machine.wait_boot(1 + boots)
    wait_for(world.director.reports, lambda: "the installation report; " + v.log()[-2000:], SECONDS)
    return correlation


def look_after(world, commit, variables=None):
    """What must be so in the end, through three polls more, in which nothing is begun again."""
    v = world.vehicle
    assert v.booted_commit == commit == world.director.installed(v.serial)[1]
    begin, boots, starts, pulled = polls(world), v.machine.boots, v.machine.starts(), len(world.backend.requests("treehub/"))
    wait_for(lambda: polls(world) >= begin + 3, "three polls", SECONDS)
    wait_for(lambda: v.state() == "idle", lambda: "state idle, it is " + v.state(), SECONDS)
    assert (v.machine.boots, v.machine.starts(), len(world.backend.requests("treehub/"))) == (boots, starts, pulled)
    assert len(world.director.reports()) == 1 and not world.director.refused
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
    v = start(world)
    assert v.machine.starts() == 1
    good_end(world, update(world, "2", boots=1))
    assert v.machine.starts() == 2  # the first try
    assert "upgrade_available=1 rollback=0" in v.machine.console()  # and on trial
    look_after(world, world.images.commit("2"), GOOD)


def good_update_with_extlinux(world):
    """A good update is booted by extlinux, passes its checks, is confirmed, and reported"""
    start(world)
    good_end(world, update(world, "2", boots=1))
    assert not world.vehicle.machine.starts()  # of U-Boot
    look_after(world, world.images.commit("2"))


def good_end(world, correlation):
    v = world.vehicle
    assert reports(world) == [(correlation, "OK", "")]
    assert world.director.installed(v.serial) == ("os-2", world.images.commit("2"))
    assert "VERSION_ID=2" in v.machine.run("cat", "/usr/lib/os-release").stdout
    assert "uptane-health" in v.machine.journal_text("--boot")


def update_that_does_not_boot(world):
    """An update that panics is given up by U-Boot after three tries; the old software reports it, once"""
    v = start(world)
    assert v.machine.starts() == 1
    broken = world.images.commit("broken", without_init=True)
    correlation = update(world, "broken", boots=1)
    assert v.machine.starts() == 1 + TRIES + 1
    assert v.machine.console().count("Kernel panic") == TRIES
    assert [r[:2] for r in reports(world)] == [(correlation, "INSTALL_FAILED")]
    assert "the boot loader gave it up" in reports(world)[0][2]
    assert broken in v.status()
    look_after(world, v.factory_commit, FALLBACK)
    v.machine.reboot()
    look_after(world, v.factory_commit, FALLBACK)


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


def power_cuts(world):
    """Power cuts while an update is pulled, deployed, waits for the reboot, is written: it boots, tells the truth, and completes"""
    v = start(world)
    truth, new = Witness(v), world.images.commit("2")
    world.backend.faults.add("treehub/objects/.*filez", "stall")
    correlation = world.assign(world.publish_commit("2"))
    wait_for(lambda: exists(v, "/ostree/repo/state/%s.commitpartial" % new), "half a pull", SECONDS)
    cut_and_boot(world)
    assert v.machine.came_up[-1] == v.factory_commit
    world.backend.faults.clear()

    wait_for(lambda: exists(v, "/ostree/deploy/test-os/deploy/%s.0" % new), "half a deployment", SECONDS)
    cut_and_boot(world)
    assert v.machine.came_up[-1] == v.factory_commit

    v.machine.run("systemd-run", "--unit=inhibit", "systemd-inhibit", "--what=shutdown", "--mode=block", "sleep", "infinity")
    wait_for(lambda: v.state() == "reboot-required", lambda: "state reboot-required, it is " + v.state(), SECONDS)
    assert "(staged)" in v.status()
    cut_and_boot(world)
    assert v.machine.came_up[-1] == v.factory_commit

    stops = v.machine.console().count(FINALIZING)
    wait_for(lambda: v.machine.console().count(FINALIZING) > stops, "the shutdown that writes it", SECONDS)
    time.sleep(FINALIZING_SECONDS)
    cut_and_boot(world)

    wait_for(world.director.reports, lambda: "the installation report; " + v.log()[-2000:], SECONDS)
    assert reports(world) == [(correlation, "OK", "")]
    assert not truth.lies and {v.factory_commit, new} == set(v.machine.came_up)
    look_after(world, new, GOOD)


SCENARIOS = {good_update: UBoot, good_update_with_extlinux: Extlinux, update_that_does_not_boot: UBoot, update_that_is_not_well: UBoot,
             power_cuts: UBoot}


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
