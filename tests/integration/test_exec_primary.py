# SPDX-License-Identifier: Apache-2.0
"""A Primary without OSTree: a handler program installs for it. The one of docs/examples drives RAUC, which is played by rauc.py."""
import hashlib
import os
import shutil

import pytest
from helpers_fixture import ROOT
from vehicle import HERE, wait_for

CONFIG = "[primary]\ninstaller = exec\nhandler = @FOLDER@/handlers/rauc\n"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Car:
    def __init__(self, world):
        self.world, self.vehicle, self.director = world, world.vehicle, world.director
        v = self.vehicle
        os.makedirs(v.path("rauc"))
        shutil.copy(ROOT / "docs/examples/handlers/rauc", v.path("handlers", "rauc"))
        shutil.copy(os.path.join(HERE, "rauc.py"), v.path("rauc.py"))
        v.services["rauc"] = {"command": ["/usr/bin/python3", v.path("rauc.py"), v.path("rauc")], "log": v.path("log", "rauc"),
                              "wait_for": v.path("rauc", "ready")}
        self.release = 1

    def read(self, name):
        with open(self.vehicle.path("rauc", name), encoding="utf-8") as f:
            return f.read()

    def write(self, name, text):
        with open(self.vehicle.path("rauc", name), "w", encoding="utf-8") as f:
            f.write(text)

    def calls(self):
        return [" ".join(line.split()[:3]) if line.startswith("Mark") else line.split()[0] for line in self.read("calls").splitlines()]

    def assign(self, data):
        self.release += 1
        name = "system-%d.raucb" % self.release
        target = self.world.backend.add_image(name, data, [self.vehicle.HARDWARE_ID])
        self.director.assign([(name, target, self.vehicle.serial, self.vehicle.HARDWARE_ID, None)])
        return name

    def boot(self):
        if os.path.exists(self.vehicle.path("rauc", "ready")):
            os.unlink(self.vehicle.path("rauc", "ready"))
        self.vehicle.boot()
        self.vehicle.wait_state("idle")

    def installed(self):
        return self.director.installed(self.vehicle.serial)

    def update(self, data):
        """A whole good one, reboot and all."""
        name = self.assign(data)
        self.vehicle.verb("CheckForUpdates")
        self.vehicle.wait_reboot()
        self.boot()
        assert self.installed() == (name, sha256(data)), self.vehicle.log("uptaned")[-1500:]
        assert self.vehicle.error() == ("", "") and not self.director.refused
        assert self.director.reports()[-1]["result"]["success"]

    def failed(self, text):
        report = self.director.reports()[-1]
        assert not report["result"]["success"] and text in report["items"][0]["result"]["description"], report
        n = len(self.calls())
        self.vehicle.check()
        assert len(self.calls()) == n  # the same assignment is not tried again by itself


@pytest.fixture
def car(world):
    return Car(world)


@pytest.mark.world(secondaries=0, config=CONFIG)
def test_a_bundle_is_installed_by_rauc_and_marked_good_behind_the_reboot(car):
    car.boot()
    assert car.vehicle.ecu("primary", "Driver") == "exec"
    assert car.installed()[0] == "unknown"
    car.update(b"bundle one" * 1000)
    with open(car.vehicle.path("rauc", "slot-B"), "rb") as f:
        assert f.read() == b"bundle one" * 1000
    assert car.calls() == ["InstallBundle", "Mark good booted"]
    assert not os.path.exists(car.vehicle.path("exec-state", "rauc", "bundle.raucb"))
    car.update(b"bundle two" * 1000)
    assert car.read("primary") == "A"
    assert car.calls() == ["InstallBundle", "Mark good booted"] * 2


@pytest.mark.world(secondaries=0, config=CONFIG)
def test_a_slot_that_does_not_boot_is_reported_and_left_alone(car):
    car.boot()
    car.update(b"good" * 1000)
    car.assign(b"does not boot" * 1000)
    car.vehicle.verb("CheckForUpdates")
    car.vehicle.wait_reboot()
    car.write("falls-back", "")
    car.boot()
    car.failed("the vehicle has booted the old slot again")
    assert car.calls()[-2:] == ["InstallBundle", "Mark active booted"]
    assert car.installed()[1] == sha256(b"good" * 1000)
    os.unlink(car.vehicle.path("rauc", "falls-back"))
    car.update(b"better" * 1000)


@pytest.mark.world(secondaries=0, config=CONFIG)
def test_a_bundle_that_rauc_refuses_is_reported_in_its_words(car):
    car.boot()
    words = 'Compatible mismatch: Expected \'a;$(b)\' but bundle has "c"'
    car.write("last-error", words)
    car.assign(b"for another board")
    car.vehicle.verb("CheckForUpdates")
    wait_for(car.director.reports, lambda: "a report; " + car.vehicle.log("uptaned")[-1500:], 60)
    car.vehicle.wait_state("idle")
    assert car.vehicle.error()[0] == "InstallFailed" and words in car.vehicle.error()[1]
    car.failed(words)
    assert car.vehicle.boots == 1 and car.installed()[0] == "unknown"
    os.unlink(car.vehicle.path("rauc", "last-error"))
    car.update(b"for this board")


@pytest.mark.world(secondaries=0, config=CONFIG)
def test_whatever_slot_somebody_boots_is_reported_as_what_it_is(car):
    car.boot()
    car.update(b"one" * 1000)
    car.update(b"two" * 1000)
    car.director.assign([])
    car.vehicle.power_cut()
    car.write("primary", "B")
    car.boot()
    wait_for(lambda: car.installed() == ("unknown", sha256(b"one" * 1000)), lambda: "the report; it is %s" % (car.installed(),))


@pytest.mark.world(secondaries=0, config=CONFIG)
def test_a_rauc_that_is_not_there_is_an_error_and_the_vehicle_starts_all_the_same(car):
    del car.vehicle.services["rauc"]
    car.boot()
    assert "rauc get-firmware-info" in car.vehicle.log("uptaned")
    car.assign(b"bundle")
    car.vehicle.verb("CheckForUpdates")
    wait_for(car.director.reports, lambda: "a report; " + car.vehicle.log("uptaned")[-1500:], 60)
    report = car.director.reports()[-1]
    assert report["items"][0]["result"]["code"] == "INSTALL_FAILED"
    assert "RAUC does not say which slot is booted" in report["items"][0]["result"]["description"]


@pytest.mark.world(secondaries=0, config=CONFIG)
def test_a_slot_that_nobody_knows_is_not_taken_for_what_was_installed(car):
    car.boot()
    car.update(b"one" * 1000)
    car.director.assign([])
    car.vehicle.power_cut()
    car.write("primary", "A")  # from the factory
    rauc = car.vehicle.services.pop("rauc")
    car.boot()
    wait_for(lambda: car.vehicle.ecu("primary", "LastError")[0] == "org.uptane.Error.Handler", "the error")
    car.vehicle.power_cut()
    car.vehicle.services["rauc"] = rauc
    car.boot()
    wait_for(lambda: car.installed() == ("unknown", sha256(b"")), lambda: "the report; it is %s" % (car.installed(),))
    assert car.vehicle.ecu("primary", "LastError")[0] == ""


@pytest.mark.world(secondaries=0, config=CONFIG)
def test_an_ostree_image_is_refused_where_a_handler_installs(car):
    car.boot()
    name, target = car.world.publish_commit("2")
    car.director.assign([(name, target, car.vehicle.serial, car.vehicle.HARDWARE_ID, None)])
    car.vehicle.verb("CheckForUpdates")
    wait_for(lambda: car.vehicle.error()[0] == "NotSupported", lambda: "the error; %s" % (car.vehicle.error(),), 60)
    car.vehicle.wait_state("idle")
    assert not os.path.exists(car.vehicle.path("rauc", "calls"))
    car.update(b"bundle")
