# SPDX-License-Identifier: Apache-2.0
"""A Secondary, and the daemon, die at every single moment of an update of ECUs of all kinds: it completes all the same, once,
and everybody runs what it says.
"""
import os

import pytest
from conftest import World, skip_without_vehicle
from fleet import MIXED, Fleet
from gi.repository import GLib
from vehicle import wait_for

MORTAL = """#!/bin/sh
# Whoever finds a file at its configuration's side dies at the system call that it names, the one of that number.
kill="$2.kill"
[ -e "$kill" ] || exec {0} "$@"
read call number < "$kill"
rm "$kill"
echo >> "$2.armed"
exec strace -f -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$number {0} "$@"
"""


def make_mortal(fleet, program, folder):
    path = fleet.vehicle.path(program + ".sh")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755), "w", encoding="utf-8") as f:
        f.write(MORTAL.format("/run/build/daemon/%s/%s" % (folder, program)))
    fleet.vehicle.wrap[program] = [path]


def arm(fleet, config, name, call, number):
    """The program is started anew, to die at that call. Returns its process id."""
    with open(config + ".kill", "w", encoding="utf-8") as f:
        f.write("%s %d\n" % (call, number))
    before = fleet.vehicle.control("pid", name)
    fleet.vehicle.control("kill", name, 9)
    wait_for(lambda: not os.path.exists(config + ".kill"), "its start")
    return wait_for(lambda: pid_of(fleet, name, before), "its start")


def pid_of(fleet, name, before):
    try:
        pid = fleet.vehicle.control("pid", name)
    except AssertionError:
        return None
    return pid if pid != before else None


def die_everywhere(images, program, folder, call, what):
    """One update for each call of that kind, at which the program dies. what(vehicle): its configuration and its service."""
    skip_without_vehicle()
    world = World(images, secondaries=2, config=MIXED)
    fleet = Fleet(world)
    try:
        make_mortal(fleet, program, folder)
        fleet.start()
        config, name = what(fleet.vehicle)
        number, died = 0, True
        while died:
            number += 1
            assert number < 200
            pid = arm(fleet, config, name, call, number)
            try:
                fleet.update(size=1200)
            except Exception as e:
                raise AssertionError("killed at %s %d" % (call, number)) from e
            died = fleet.vehicle.control("pid", name) != pid
        return number
    finally:
        world.close()


# T-53
@pytest.mark.parametrize("call", ["sendto", "recvfrom"])
def test_t53_a_secondary_that_loses_power_at_any_message_is_updated_all_the_same(images, call):
    def first(vehicle):
        return vehicle.secondaries[0].config, vehicle.secondaries[0].label
    assert die_everywhere(images, "uptane-secondary", "secondary", call, first) > 8  # otherwise nobody was killed


# Uptane 5.4.4 (e)
def test_a_bundle_completes_whichever_write_the_daemon_dies_at(images):
    def daemon(vehicle):
        return vehicle.path("uptaned.conf"), "uptaned"
    assert die_everywhere(images, "uptaned", "uptaned", "fsync,fdatasync", daemon) > 15


# With the Primary, whose reboot comes last.
@pytest.mark.parametrize("number", range(1, 40, 3))
def test_a_bundle_with_the_primary_completes_whenever_the_daemon_dies(images, number):
    skip_without_vehicle()
    world = World(images, secondaries=1, config=MIXED)
    fleet = Fleet(world)
    try:
        v, commit = fleet.vehicle, images.commit("2")
        make_mortal(fleet, "uptaned", "uptaned")
        fleet.start()
        arm(fleet, v.path("uptaned.conf"), "uptaned", "fsync,fdatasync", number)
        data = fleet.assign(primary="2", size=1200)

        def over():
            if v.process.poll() is not None:
                v.wait_reboot()
                assert all(fleet.memory(label) == data for label in fleet.handlers) and v.secondaries[0].content() == data
                v.boot(wait=False)
            try:
                return fleet.report() and v.booted_commit == commit and fleet.all_run(data) and v.state() == "idle"
            except GLib.Error:
                return False
        wait_for(over, lambda: v.log("uptaned")[-3000:], 120, pause=0.1)
        assert all(result["success"] for result in fleet.report().values())
        assert not fleet.director.refused
    finally:
        world.close()
