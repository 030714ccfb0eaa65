# SPDX-License-Identifier: Apache-2.0
"""What tests/vm/powercut runs: one whole update with every write recorded, then the disk of a power cut at many of them."""
import argparse
import collections
import os
import signal
import sys
import tempfile
import time

import images as small_images
from conftest import World
from container import rootfs
from images import remove_tree
from remote import wait_for

from vm import cut, writes
from vm.disk import BOOT_SIZE, BOOT_START, MIB, copy
from vm.images import VmImages
from vm.loaders import LOADERS
from vm.machine import Machine
from vm.scenarios import SECONDS, Witness, end
from vm.vehicle import VmVehicle

# one poll for each boot: it writes enough
CONFIG = "[update]\npoll-interval = 3600\n[health]\nboot-complete = yes\nchecks = yes\n"
OLDER, OLD, NEW = "0", "1", "2"
CUTS, BOOTS = 120, 6
# what somebody does who thinks libostree's own tool would do
BY_HAND = " && ".join((
    "ostree remote add --no-gpg-verify --set=tls-ca-path=/etc/uptane/ca.pem --set=tls-client-cert-path=/etc/uptane/device.crt"
    " --set=tls-client-key-path=/etc/uptane/device.key by-hand {url}/treehub",
    "ostree pull by-hand {commit}",
    "ostree admin deploy --os={os} {commit}",
    "sync"))


class UsedImages(VmImages):
    """For a vehicle that has been updated before: its next update takes something away."""

    CHECKED = False  # a boot that a cut ended is counted, too, and one may come behind the last that is

    def make_sysroot(self, path, version):
        super().make_sysroot(path, OLDER)
        commit = self.commit(version)
        rootfs.run("ostree", "--repo=" + path + "/ostree/repo", "pull-local", self.repo, commit)
        rootfs.run("ostree", "admin", "--sysroot=" + path, "deploy", "--os=" + small_images.OS_NAME, commit)
        return commit


def record(world, by_hand):
    """Returns the Writes of the update, and what has to be in the /etc/uptane of each deployment."""
    v, m = world.vehicle, world.vehicle.machine
    etc = {commit: cut.provisioned(v.sysroot, commit) for commit in (world.images.commit(OLDER), v.factory_commit)}
    etc[world.images.commit(NEW)] = etc[v.factory_commit]
    m.boot()
    wait_for(lambda: world.director.installed(v.serial), lambda: "the first manifest; " + v.log()[-2000:], SECONDS)
    wait_for(lambda: v.state() == "idle", "state idle", SECONDS)
    m.power_off()
    begin = copy(m.disk, os.path.join(world.folder, "begin.img"))
    m.recording = writes.prepare(os.path.join(world.folder, "writes"))
    if by_hand:
        m.boot()
        m.run("bash", "-c", BY_HAND.format(url=v.url, commit=world.images.commit(NEW), os=small_images.OS_NAME), timeout=SECONDS)
    else:
        world.assign(world.publish_commit(NEW))
        m.boot()
        m.wait_boot(3)
        wait_for(world.director.reports, lambda: "the installation report; " + v.log()[-2000:], SECONDS)
        assert world.director.reports()[0]["result"]["success"] and v.booted_commit == world.images.commit(NEW)
        wait_for(lambda: v.state() == "idle", "state idle", SECONDS)
        m.run("sync")
    m.power_cut()
    m.recording = None
    return writes.Writes(os.path.join(world.folder, "writes"), begin), etc


def choose(recorded, number):
    """[(place, lossy)]: both kinds behind each write to /boot, as far as number allows; the others evenly over all."""
    boot = recorded.near(BOOT_START * MIB, (BOOT_START + BOOT_SIZE) * MIB)
    wanted = [(place, lossy) for place in boot for lossy in (False, True)]
    if len(wanted) > number * 2 // 3:
        wanted = spread(wanted, number * 2 // 3)
    rest = spread(range(len(recorded) + 1), number - len(wanted))
    return sorted(set(wanted) | {(place, i % 2 == 1) for i, place in enumerate(rest)})


def spread(things, number):
    """So many of them, the first and the last included."""
    if number < 2 or number >= len(things):
        return list(things)[:max(number, 0)] if number < 2 else list(things)
    return [things[i * (len(things) - 1) // (number - 1)] for i in range(number)]


def replay(world, recorded, etc, number, scratch):
    """{(place, lossy): Cut}, and a line for everything that is wrong."""
    commits = [world.images.commit(version) for version in (OLDER, OLD, NEW)]
    reference = cut.Reference(world.images, commits, scratch)
    found, names = {}, dict(zip(commits, ("older", "old", "new")))
    for place, lossy, disk in recorded.rebuild(choose(recorded, number), os.path.join(scratch, "cut.img")):
        found[place, lossy] = c = cut.Cut(disk, world.images.loader, reference, etc, scratch)
        for problem in c.problems:
            print("  cut at write %d%s: %s" % (place, ", unflushed ones lost" if lossy else "", problem), flush=True)
    boots = collections.Counter(names.get(c.boots, "nothing") for c in found.values())
    print("%d writes, %d flushes; of %d cuts boot: %s; %d with problems" % (
        len(recorded), len(recorded.flushes), len(found), ", ".join("%s %d" % pair for pair in boots.items()),
        sum(bool(c.problems) for c in found.values())), flush=True)
    return found


def boot(world, disk, expected, scratch):
    """A vehicle with this disk: it boots what was foreseen, says what it runs, and its update is completed."""
    v = world.vehicle
    folder = tempfile.mkdtemp(dir=scratch)
    v.machine = Machine(disk, world.backend.port, folder, world.images.loader.FIRMWARE)
    # the Director is as it was before: it has not heard of what came behind the cut
    world.director.counters.clear()
    world.director.refused.clear()
    truth, new = Witness(v), world.images.commit(NEW)
    try:
        v.machine.boot()
        assert v.machine.came_up == [expected] == [v.booted_commit], v.machine.came_up
        wait_for(lambda: world.director.installed(v.serial) and world.director.installed(v.serial)[1] == new and v.machine.came_up[-1] == new,
                 lambda: "the end of the update; state %s; %s" % (v.state(), v.log()[-3000:]), SECONDS)
        assert not truth.lies, truth.lies
        assert not world.director.refused, world.director.refused
        assert all(report["result"]["success"] for report in world.director.reports()), "%s; %s" % (world.director.reports(), v.log())
    finally:
        v.machine.close()


def boot_some(world, recorded, found, number, scratch):
    """As many as are wanted, evenly over all. How many of them were wrong."""
    wrong = 0
    for place, lossy, disk in recorded.rebuild(spread(sorted(found), number), os.path.join(scratch, "boot.img")):
        began = time.monotonic()
        try:
            boot(world, disk, found[place, lossy].boots, scratch)
        except AssertionError as e:
            wrong += 1
            print("FAIL cut at write %d%s, which boots %.12s: %s" % (place, ", unflushed ones lost" if lossy else "", found[place, lossy].boots, e),
                  flush=True)
        else:
            print("PASS cut at write %d%s, booted (%.0f s)" % (place, ", unflushed ones lost" if lossy else "", time.monotonic() - began), flush=True)
    return wrong


def run(options, world, scratch):
    """Exit status."""
    recorded, etc = record(world, options.self_test)
    found = replay(world, recorded, etc, options.cuts, scratch)
    if options.self_test:
        caught = sum(c.boots is None for c in found.values())
        print("%s self-test: the replay of `ostree admin deploy` has %d cuts that nothing boots behind" % ("PASS" if caught else "FAIL", caught))
        return 0 if caught else 1
    bad = sum(bool(c.problems) for c in found.values())
    ends = {found[key].boots for key in (min(found), max(found))} == {world.images.commit(OLD), world.images.commit(NEW)}
    wrong = boot_some(world, recorded, found, options.boots, scratch) if not bad else 0
    print("%s powercut with %s" % ("PASS" if ends and not bad and not wrong else "FAIL", options.loader))
    return 0 if ends and not bad and not wrong else 1


def parse_options():
    parser = argparse.ArgumentParser(prog="tests/vm/powercut")
    parser.add_argument("cuts", nargs="?", type=int, default=CUTS, help="how many (%(default)s)")
    parser.add_argument("--boots", type=int, default=BOOTS, help="so many of them are booted (%(default)s)")
    parser.add_argument("--loader", choices=sorted(LOADERS), default="extlinux")
    parser.add_argument("--self-test", action="store_true", help="passes if it finds what `ostree admin deploy` leaves unbootable")
    return parser.parse_args()


def main():
    options = parse_options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    scratch = tempfile.mkdtemp(prefix="uptaned-powercut.", dir="/tmp")
    try:
        images = UsedImages(os.path.join(scratch, "images"), os.environ["BUILD_DIR"], LOADERS[options.loader])
        world = World(images, kind=VmVehicle, secondaries=0, config=CONFIG)
        try:
            return run(options, world, scratch)
        except AssertionError:
            print(world.vehicle.machine.console()[-6000:])
            raise
        finally:
            world.close()
    except KeyboardInterrupt:
        return 130
    finally:
        remove_tree(scratch)


if __name__ == "__main__":
    sys.exit(main())
