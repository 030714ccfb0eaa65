# SPDX-License-Identifier: Apache-2.0
"""A Primary without OSTree: a handler program installs for it. The one of docs/examples drives RAUC, which is played by rauc.py."""
import hashlib
import os
import shutil

import pytest
from fleet import Fleet, handler_section
from helpers_fixture import ROOT
from vehicle import HERE, wait_for

CONFIG = "[primary]\ninstaller = exec\nhandler = @FOLDER@/handlers/rauc\n"
ASK = CONFIG + "[update]\nconsent-reboot = ask\n"
UPDATED = ["InstallBundle", "Mark active other", "Mark active other", "Mark good booted"]  # by install, by release, by complete-install


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
        self.release, self.id = 1, None

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
        self.id = self.director.assign([(name, target, self.vehicle.serial, self.vehicle.HARDWARE_ID, None)])
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
    car.vehicle.control("stop", "ostree")  # nothing needs it here
    car.update(b"bundle one" * 1000)
    with open(car.vehicle.path("rauc", "slot-B"), "rb") as f:
        assert f.read() == b"bundle one" * 1000
    assert car.calls() == UPDATED
    assert not os.path.exists(car.vehicle.path("exec-state", "rauc", "bundle.raucb"))
    car.update(b"bundle two" * 1000)
    assert car.read("primary") == "A"
    assert car.calls() == UPDATED * 2


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
    assert car.calls()[-2:] == ["Mark active other", "Mark active booted"]
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


# ---- a reboot that somebody has to agree to ----

def offered(car, name):
    car.vehicle.verb("CheckForUpdates")
    car.vehicle.wait_state("reboot-required")
    wait_for(lambda: car.read("primary") == "A", "the old slot to be kept")
    assert car.vehicle.error() == ("", ""), car.vehicle.log("uptaned")[-1500:]
    return name


def boot_again(car, state):
    """Until it has looked at what was booted, and gone into this state anew."""
    car.vehicle.power_cut()
    os.unlink(car.vehicle.path("rauc", "ready"))
    before = car.vehicle.log("uptaned").count(">" + state)
    car.vehicle.boot()
    wait_for(lambda: car.vehicle.log("uptaned").count(">" + state) > before, lambda: state + "; " + car.vehicle.log("uptaned")[-1500:], 60)


@pytest.mark.world(secondaries=0, config=ASK)
def test_nothing_is_the_next_to_boot_before_somebody_agrees(car):
    car.boot()
    name = offered(car, car.assign(b"held" * 1000))
    for _ in range(2):  # as often as somebody likes to switch the vehicle off and on
        boot_again(car, "reboot-required")
        assert car.read("primary") == "A" and car.calls().count("InstallBundle") == 1
        assert car.installed()[0] == "unknown" and not car.director.reports()
    car.vehicle.verb("Approve", "(ss)", (car.id, "reboot"))
    car.vehicle.wait_reboot()
    assert car.read("primary") == "B"
    car.boot()
    assert car.installed() == (name, sha256(b"held" * 1000)), car.vehicle.log("uptaned")[-1500:]
    assert car.director.reports()[-1]["result"]["success"] and car.calls()[-1] == "Mark good booted"


@pytest.mark.world(secondaries=0, config=ASK)
def test_what_is_declined_while_it_waits_is_taken_back(car):
    car.boot()
    offered(car, car.assign(b"not wanted" * 1000))
    car.vehicle.verb("Decline", "(ss)", (car.id, "not today"))
    wait_for(car.director.reports, "the report", 60)
    car.vehicle.wait_state("idle")
    assert car.calls()[-1] == "Mark active booted" and car.read("primary") == "A"
    car.failed("not today")


@pytest.mark.world(secondaries=0, config=ASK)
def test_a_handler_that_cannot_hold_back_is_told_to_the_user_and_the_update_goes_on(car):
    path = car.vehicle.path("handlers", "rauc")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("hold) hold ;;\n", "").replace("release) release ;;\n", ""))
    car.boot()
    name = car.assign(b"not held" * 1000)
    car.vehicle.verb("CheckForUpdates")
    car.vehicle.wait_state("reboot-required")
    wait_for(lambda: car.vehicle.ecu("primary", "LastError")[0] == "org.uptane.Error.NotSupported", "the error")
    assert "holds nothing back" in car.vehicle.ecu("primary", "LastError")[1]
    car.write("primary", "B")
    boot_again(car, "idle")
    assert car.installed() == (name, sha256(b"not held" * 1000)) and car.director.reports()[-1]["result"]["success"]


# ---- whether it is good ----

HEALTH = CONFIG + "[health]\nchecks = yes\n"


@pytest.mark.world(secondaries=0, config=HEALTH)
def test_software_that_fails_its_check_is_not_marked_good_and_the_old_slot_boots_again(car):
    car.boot()
    car.update(b"good" * 1000)
    car.vehicle.add_check("sound", "exit 1")
    name = car.assign(b"bad" * 1000)
    car.vehicle.verb("CheckForUpdates")
    car.vehicle.wait_reboot()
    os.unlink(car.vehicle.path("rauc", "ready"))
    car.vehicle.boot()
    car.vehicle.wait_reboot()  # back
    assert car.read("primary") == "B" and car.calls()[-2:] == ["Mark bad booted", "Mark active other"]
    car.vehicle.add_check("sound", "exit 0")
    car.boot()
    assert car.installed()[1] == sha256(b"good" * 1000), name
    car.failed("sound")
    assert car.director.reports()[-1]["items"][0]["result"]["code"] == "INSTALL_FAILED"
    car.update(b"better" * 1000)


@pytest.mark.world(secondaries=0, config=CONFIG + handler_section("mcu"))
def test_t53_where_another_ecu_cannot_complete_behind_the_reboot_the_old_slot_boots_again(car):
    fleet = Fleet(car.world)
    car.boot()

    def assign(data):
        name = "both-%d" % len(car.director.reports())
        bundle = car.world.backend.add_image(name + ".raucb", data, [car.vehicle.HARDWARE_ID])
        car.director.assign([(name + ".raucb", bundle, car.vehicle.serial, car.vehicle.HARDWARE_ID, None),
                             (*car.world.publish_firmware(name + ".bin", data), "ser-mcu", "test-mcu", None)])
        car.vehicle.verb("CheckForUpdates")
        car.vehicle.wait_reboot()
        os.unlink(car.vehicle.path("rauc", "ready"))
        car.vehicle.boot()
    old = b"works" * 1000
    assign(old)
    car.vehicle.wait_state("idle")
    assert car.installed()[1] == sha256(old) == sha256(fleet.memory("mcu")), car.vehicle.log("uptaned")[-1500:]
    for suffix in ("late", "fail-complete-install"):
        fleet.touch("mcu", suffix)
    assign(b"does not" * 1000)
    car.vehicle.wait_reboot()  # back
    assert car.read("primary") == "B" and car.calls()[-2:] == ["Mark bad booted", "Mark active other"]
    car.boot()
    results = {item["ecu"]: item["result"] for item in car.director.reports()[-1]["items"]}
    assert "told to" in results["ser-mcu"]["description"] and fleet.memory("mcu") == old
    assert results[car.vehicle.serial]["description"].startswith("rolled back: "), results
    assert car.installed()[1] == sha256(old)
