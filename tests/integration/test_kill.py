# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every single moment that matters: the daemon dies right before each of its writes becomes durable, in the life
that registers, checks, downloads and installs, and in the one that finishes the update behind the reboot. Whichever it is,
the update completes, once, no manifest is ever refused for a counter that went back, and none says that anything runs which
does not. T-60
"""
import itertools
import os
import time

import pytest
from conftest import World, skip_without_vehicle
from gi.repository import GLib
from vehicle import wait_for

SCRIPT = """#!/bin/sh
# Counts its lives in lives; one that finds the file kill dies at the write with that number.
echo >> "{0}/lives"
uptaned=/run/build/daemon/uptaned/uptaned
[ -e "{0}/kill" ] || exec $uptaned "$@"
n=$(cat "{0}/kill")
rm "{0}/kill"
exec strace -f -qq -o /dev/null -e trace=fsync,fdatasync -e inject=fsync,fdatasync:signal=KILL:when=$n $uptaned "$@"
"""
WRITES_MAX = 150  # in one life; more would mean that the loop below never ends


def write(path, text, mode=0o644):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as f:
        f.write(text)


def lives(vehicle):
    with open(vehicle.path("lives"), encoding="utf-8") as f:
        return len(f.readlines())


class Truth:
    """What the Director was told of the Primary, held against what ran when it was told."""

    def __init__(self, world):
        self.world, self.told = world, 0

    def check(self):
        """Of all manifests since the last time; in between, nothing was rebooted."""
        v, manifests = self.world.vehicle, self.world.director.manifests
        for manifest in manifests[self.told:]:
            image = manifest["signed"]["ecu_version_manifests"][v.serial]["signed"]["installed_image"]
            assert image["fileinfo"]["hashes"]["sha256"] == v.booted_commit, (self.told, image, v.booted_commit)
            self.told += 1


def is_over(world, commit, data):
    v = world.vehicle
    return (v.booted_commit == commit and v.secondaries[0].content() == data and v.state() == "idle"
            and world.director.installed(v.serial) == ("os-2", commit) and world.director.reports())


def drive(world, commit, data, before_second_boot):
    """Does what a vehicle's surroundings do until the update is over: boots after a reboot, asks for updates when idle."""
    v, truth = world.vehicle, Truth(world)
    deadline = time.monotonic() + 60
    while not is_over(world, commit, data):
        assert time.monotonic() < deadline, (v.state(), v.log("uptaned")[-2000:])
        if v.process.poll() is not None:
            v.wait_reboot()
            truth.check()
            before_second_boot()
            v.boot()
        try:
            if v.state() == "idle" and not is_over(world, commit, data):
                v.call("CheckForUpdates")
        except GLib.Error:
            pass  # dead, or busy: whichever it is, not for long
        time.sleep(0.03)
    truth.check()


def update_with_death_at(world, life, number):
    """Whether the daemon died at all: in the end there are fewer writes than number."""
    v = world.vehicle
    commit, data = world.images.commit("2"), b"killed at a write\n" * 3000
    write(v.path("uptaned.sh"), SCRIPT.format(v.folder), 0o755)
    v.wrap["uptaned"] = [v.path("uptaned.sh")]
    world.director.closes = True
    correlation = world.assign(world.publish_commit("2"), world.publish_firmware("killed.bin", data))

    def arm(now):
        if life == now:
            write(v.path("kill"), str(number))

    arm("first")
    v.boot()
    drive(world, commit, data, lambda: arm("second"))
    assert not world.director.refused
    assert {(r["correlation_id"], r["result"]["code"]) for r in world.director.reports()} == {(correlation, "OK")}
    return lives(v) > v.boots


# Uptane 5.4.4 (e)
@pytest.mark.parametrize("life", ["first", "second"])
def test_an_update_completes_whichever_write_the_daemon_dies_at(images, life):
    skip_without_vehicle()
    for number in itertools.count(1):
        assert number < WRITES_MAX
        world = World(images)
        try:
            died = update_with_death_at(world, life, number)
        except Exception as e:
            raise AssertionError("killed at write %d of the %s life" % (number, life)) from e
        finally:
            world.close()
        if not died:
            break
    assert number > {"first": 20, "second": 5}[life]  # otherwise nobody was killed


# Between installation and reboot: logind refuses it, has it asked of it and is slow, or the user was not asked yet.
@pytest.mark.parametrize("between", ["refused", "asked for", "without consent"])
@pytest.mark.parametrize("cut", [False, True])
def test_t60_a_death_between_installation_and_reboot_costs_nothing(images, between, cut):
    skip_without_vehicle()
    world = World(images, config="[update]\nconsent-reboot = ask\n" if between == "without consent" else "")
    v = world.vehicle
    try:
        v.boot()
        v.wait_state("idle")
        truth = Truth(world)
        commit, data = world.images.commit("2"), b"between\n" * 1000
        if between == "refused":
            write(v.path("reboot-refused"), "")
        elif between == "asked for":
            write(v.path("reboot-slow"), "")
        correlation = world.assign(world.publish_commit("2"), world.publish_firmware("between.bin", data))
        v.call("CheckForUpdates")
        v.wait_state("reboot-required")
        if between == "refused":
            wait_for(lambda: v.error()[0] == "RebootRefused", "the refusal")
        elif between == "asked for":
            wait_for(lambda: os.path.exists(v.path("reboot-slow.asked")), "the call")
        for _ in range(3):
            v.kill_daemon()
            v.wait_state("reboot-required")
        assert not world.director.reports() and v.secondaries[0].content() == data
        truth.check()
        for name in ("reboot-refused", "reboot-slow"):
            if os.path.exists(v.path(name)):
                os.unlink(v.path(name))
        if cut:
            v.power_cut()
        else:
            v.verb("Reboot")
            v.wait_reboot()
        v.boot()
        v.wait_state("idle")
        assert is_over(world, commit, data)
        assert [(r["correlation_id"], r["result"]["code"]) for r in world.director.reports()] == [(correlation, "OK")]
        assert not world.director.refused
        truth.check()
    finally:
        world.close()
