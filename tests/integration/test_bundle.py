# SPDX-License-Identifier: Apache-2.0
"""An update of a whole vehicle, as one: two IP Secondaries, two ECUs with handlers, a virtual one, and the Primary."""
import hashlib
import itertools
import os
import time

import images as ostree_images
import pytest
from conftest import World, skip_without_vehicle
from vehicle import wait_for

HANDLER = """#!/bin/sh
# Memory is a file; the one before is kept. Tells what it does in a log; fails where a file says so.
memory=$UPTANE_OPTION
echo "$(date +%s%N) begin $UPTANE_ECU_SERIAL $UPTANE_ACTION" >> "$memory.log"
say() { echo "$(date +%s%N) end $UPTANE_ECU_SERIAL $UPTANE_ACTION" >> "$memory.log"; echo "{\\"status\\": \\"$1\\"$2}"; exit 0; }
[ ! -e "$memory.fail-$UPTANE_ACTION" ] || say failed ", \\"message\\": \\"told to\\""
case $UPTANE_ACTION in
get-firmware-info)
        [ -e "$memory" ] || say unknown
        say ok ", \\"sha256\\": \\"$(sha256sum < "$memory" | cut -c -64)\\"" ;;
install)
        [ ! -e "$memory.slow" ] || sleep "$(cat "$memory.slow")"
        [ ! -e "$memory" ] || cp "$memory" "$memory.old"
        cat < "$UPTANE_IMAGE_PATH" > "$memory.new" && mv "$memory.new" "$memory"
        [ ! -e "$memory.fail-behind" ] || say failed ", \\"message\\": \\"behind\\""
        say ok ;;
rollback)
        [ ! -e "$memory.old" ] || cp "$memory.old" "$memory"
        say ok ;;
esac
exit 65
"""


def handler_section(label, order=0):
    return ("[secondary %s]\ndriver = exec\nhandler = @FOLDER@/handlers/handler\nhandler-option = @FOLDER@/%s\nhardware-id = test-mcu\n"
            "serial = ser-%s\norder = %d\n" % (label, label, label, order))


TOY = "[secondary toy]\ndriver = virtual\nhardware-id = test-mcu\nserial = ser-toy\n"
QUICK = "[update]\npoll-interval = 2\n"
MIXED = QUICK + handler_section("mcu") + handler_section("last", 9) + TOY


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Fleet:
    """A world whose vehicle has ECUs of all kinds."""

    def __init__(self, world):
        self.world, self.vehicle, self.director = world, world.vehicle, world.director
        path = self.vehicle.path("handlers", "handler")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o755), "w", encoding="utf-8") as f:
            f.write(HANDLER)
        self.ip = [s.serial for s in self.vehicle.secondaries]
        self.handlers = [s[len("serial = ser-"):] for s in self.vehicle.extra_config.split("\n") if s.startswith("serial = ser-")]
        self.virtual = [label for label in self.handlers if "toy" in label]
        self.handlers = [label for label in self.handlers if label not in self.virtual]
        self.serials = self.ip + ["ser-" + label for label in self.handlers + self.virtual]
        self.release = 0

    def assign(self, primary=None, size=3000):
        """New firmware for every Secondary, and perhaps the Primary. Returns its content."""
        self.release += 1
        name, data = "all-%d.bin" % self.release, (b"release %d\n" % self.release) * (size // 10)
        entry = self.world.publish_firmware(name, data)
        list_ = [(*entry, serial, "test-mcu", None) for serial in self.serials]
        if primary:
            list_.insert(0, (*self.world.publish_commit(primary), self.vehicle.serial, self.vehicle.HARDWARE_ID, None))
        self.director.closes = True
        self.correlation = self.director.assign(list_)
        return data

    def memory(self, label):
        try:
            with open(self.vehicle.path(label), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def touch(self, label, suffix, text=""):
        with open(self.vehicle.path(label) + "." + suffix, "w", encoding="utf-8") as f:
            f.write(text)

    def log(self, label, action=None):
        """[(time, begin or end, action)]"""
        try:
            with open(self.vehicle.path(label) + ".log", encoding="utf-8") as f:
                lines = [line.split() for line in f]
        except FileNotFoundError:
            return []
        return [(int(time_), what, did) for time_, what, _, did in lines if action in (None, did)]

    def all_run(self, data):
        return (all(s.content() == data for s in self.vehicle.secondaries) and all(self.memory(label) == data for label in self.handlers)
                and all(self.director.installed(serial)[1] == sha256(data) for serial in self.serials))

    def report(self):
        """The one report of this update, by serial; the vehicle's result under None."""
        reports = [r for r in self.director.reports() if r["correlation_id"] == self.correlation]
        if not reports:
            return None
        assert len({str(r) for r in reports}) == 1
        found = {item["ecu"]: item["result"] for item in reports[0]["items"]}
        found[None] = reports[0]["result"]
        return found

    def wait_report(self, seconds=60):
        report = wait_for(self.report, lambda: "a report; %s %s" % (self.vehicle.state(), self.vehicle.log("uptaned")[-3000:]), seconds)
        self.vehicle.wait_state("idle")
        return report

    def start(self):
        self.vehicle.boot()
        self.vehicle.wait_state("idle")

    def update(self, seconds=60, **options):
        """A whole good update, without the Primary."""
        data = self.assign(**options)
        report = self.wait_report(seconds)
        assert all(result["success"] for result in report.values()), report
        wait_for(lambda: self.all_run(data), lambda: "what all report; " + self.vehicle.log("uptaned")[-2000:])  # one may have died at that very question
        self.vehicle.wait_state("idle")
        assert not self.director.refused
        return data


@pytest.fixture
def fleet(world):
    return Fleet(world)


# ---- one outcome ----

@pytest.mark.world(secondaries=2, config=MIXED)
def test_ecus_of_all_kinds_and_the_primary_are_updated_as_one(fleet):
    fleet.start()
    v = fleet.vehicle
    assert v.ecu("toy", "Driver") == "virtual" and v.ecu("toy", "Reachable")
    commit, data = fleet.world.images.commit("2"), fleet.assign(primary="2")
    v.wait_reboot()
    assert fleet.report() is None
    assert len(fleet.log("last", "install")) == 2
    v.boot()
    report = fleet.wait_report()
    assert set(report) == {None, v.serial, *fleet.serials}
    assert all(result["success"] for result in report.values()), report
    assert fleet.all_run(data) and v.booted_commit == commit
    assert fleet.log("mcu", "install")[1][0] < fleet.log("last", "install")[0][0]  # order: 0 before 9
    assert v.ecu("toy", "InstalledSha256") == sha256(data)
    v.kill_daemon()
    v.wait_state("idle")
    assert v.ecu("toy", "InstalledSha256") == sha256(data)


def check_failed(fleet, old, rolled_back, kept):
    """Everybody's item, and what everybody runs."""
    report = fleet.report()
    assert not report[None]["success"] and "test-mcu:INSTALL_FAILED" in report[None]["code"]
    for serial in rolled_back:
        assert report[serial]["code"] == "INSTALL_FAILED" and report[serial]["description"].startswith("rolled back: "), report
    for serial in kept:
        assert report[serial]["code"] == "OK", report
    for serial in rolled_back:
        if serial != "ser-toy":
            assert fleet.memory(serial[len("ser-"):]) == old
        wait_for(lambda s=serial: fleet.director.installed(s)[1] == sha256(old), "what was there before")


# T-53
@pytest.mark.world(secondaries=2, config=MIXED)
def test_t53_where_one_fails_those_that_can_go_back_and_the_primary_is_not_rebooted(fleet):
    fleet.start()
    old = fleet.update()
    fleet.touch("last", "fail-behind")
    new = fleet.assign(primary="2")
    report = fleet.wait_report()
    check_failed(fleet, old, ["ser-mcu", "ser-toy"], fleet.ip)
    assert "behind" in report["ser-last"]["description"] and fleet.memory("last") == old
    assert report[fleet.vehicle.serial]["description"].startswith("not installed: ")
    v = fleet.vehicle
    assert all(s.content() == new and fleet.director.installed(s.serial)[1] == sha256(new) for s in v.secondaries)
    assert len(ostree_images.deployments(v.sysroot)) == 1 and v.process.poll() is None
    assert v.error()[0] == "InstallFailed"
    assert not fleet.director.refused
    os.unlink(v.path("last") + ".fail-behind")
    fleet.update()


@pytest.mark.world(secondaries=1, config=MIXED + "[update]\non-failure = keep\n")
def test_t53_where_the_policy_is_to_keep_nobody_goes_back(fleet):
    fleet.start()
    old = fleet.update()
    fleet.touch("last", "fail-install")
    new = fleet.assign()
    fleet.wait_report()
    check_failed(fleet, old, [], [*fleet.ip, "ser-mcu", "ser-toy"])
    assert fleet.memory("mcu") == new and fleet.memory("last") == old
    assert not fleet.log("mcu", "rollback")


@pytest.mark.world(secondaries=2, config=MIXED)
def test_what_cannot_be_prepared_is_installed_nowhere(fleet):
    fleet.start()
    old = fleet.update()
    fleet.touch("last", "fail-get-firmware-info")
    before = len(fleet.log("mcu", "install"))
    fleet.assign(primary="2")
    report = fleet.wait_report()
    assert "told to" in report["ser-last"]["description"]
    for serial in (fleet.vehicle.serial, "ser-mcu", "ser-toy", *fleet.ip):
        assert not report[serial]["success"] and report[serial]["description"].startswith("not installed: "), report
    assert len(fleet.log("mcu", "install")) == before
    assert all(s.content() == old for s in fleet.vehicle.secondaries) and fleet.memory("mcu") == old
    assert len(ostree_images.deployments(fleet.vehicle.sysroot)) == 1


@pytest.mark.world(secondaries=1, config=MIXED + "[health]\nchecks = yes\n", boot="none")
def test_bad_software_of_the_primary_takes_the_handlers_ecus_back_with_it(fleet):
    fleet.start()
    old = fleet.update()
    v = fleet.vehicle
    v.add_check("new-is-bad", "exit 1")
    fleet.assign(primary="2")
    v.wait_reboot()
    v.boot()
    v.wait_reboot()
    assert fleet.report() is None  # to the Director, the new never was
    v.boot()
    report = fleet.wait_report()
    assert "health check" in report[v.serial]["description"]
    check_failed(fleet, old, ["ser-mcu", "ser-last", "ser-toy"], fleet.ip)
    assert v.booted_commit == v.factory_commit


# ---- side by side ----

SIX = QUICK + "".join(handler_section("mcu%d" % i) for i in range(6))


def most_at_once(fleet, action):
    marks = sorted((at, 1 if what == "begin" else -1) for label in fleet.handlers for at, what, _ in fleet.log(label, action))
    return max(itertools.accumulate(step for _, step in marks))


@pytest.mark.world(secondaries=0, config=SIX + "[update]\nparallel = 6\n")
def test_a_slow_ecu_delays_no_other(fleet):
    fleet.start()
    for label in fleet.handlers:
        fleet.touch(label, "slow", "2" if label != "mcu3" else "5")
    fleet.update()
    assert most_at_once(fleet, "install") == 6
    ends = {label: fleet.log(label, "install")[1][0] for label in fleet.handlers}
    assert all(ends[label] < ends["mcu3"] - 1e9 for label in fleet.handlers if label != "mcu3")


@pytest.mark.world(secondaries=0, config=SIX + "[update]\nparallel = 2\n")
def test_no_more_install_at_the_same_time_than_are_allowed(fleet):
    fleet.start()
    for label in fleet.handlers:
        fleet.touch(label, "slow", "0.5")
    fleet.update()
    assert most_at_once(fleet, "install") == 2


@pytest.mark.world(secondaries=3, config=QUICK + "[limits]\nsecondaries = 200K\n")
def test_all_images_together_are_sent_no_faster_than_allowed(fleet):
    fleet.start()
    size, began = 400_000, time.monotonic()
    fleet.update(size=size)
    seconds = time.monotonic() - began
    assert 3 * size / (200 * 1024) - 1 < seconds < 3 * size / (200 * 1024) + 15


@pytest.mark.world(secondaries=150, config="[update]\nparallel = 24\n[timeouts]\nsecondary = 20\n")
def test_150_secondaries_are_updated_as_one(fleet):
    fleet.vehicle.boot()
    fleet.vehicle.wait_state("idle", seconds=180)
    assert len(fleet.director.ecus) == 151
    data = fleet.assign(size=100_000)
    fleet.vehicle.verb("CheckForUpdates")
    report = fleet.wait_report(240)
    assert len(report) == 151 and all(result["success"] for result in report.values())
    assert fleet.all_run(data)
    assert not fleet.director.refused


# ---- power goes away ----

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


# T-53
@pytest.mark.parametrize("call", ["sendto", "recvfrom"])
def test_t53_a_secondary_that_loses_power_at_any_message_is_updated_all_the_same(images, call):
    skip_without_vehicle()
    world = World(images, secondaries=2, config=MIXED)
    fleet = Fleet(world)
    try:
        make_mortal(fleet, "uptane-secondary", "secondary")
        fleet.start()
        secondary, number = fleet.vehicle.secondaries[0], 0
        died = True
        while died:
            number += 1
            assert number < 200
            pid = arm(fleet, secondary.config, secondary.label, call, number)
            try:
                fleet.update()
            except Exception as e:
                raise AssertionError("killed at %s %d" % (call, number)) from e
            died = fleet.vehicle.control("pid", secondary.label) != pid
        assert number > 8  # otherwise nobody was killed
    finally:
        world.close()


# Uptane 5.4.4 (e)
def test_a_bundle_completes_whichever_write_the_daemon_dies_at(images):
    skip_without_vehicle()
    world = World(images, secondaries=2, config=MIXED)
    fleet = Fleet(world)
    try:
        make_mortal(fleet, "uptaned", "uptaned")
        fleet.start()
        config, number = fleet.vehicle.path("uptaned.conf"), 0
        died = True
        while died:
            number += 1
            assert number < 200
            pid = arm(fleet, config, "uptaned", "fsync,fdatasync", number)
            try:
                fleet.update()
            except Exception as e:
                raise AssertionError("killed at write %d" % number) from e
            died = fleet.vehicle.control("pid", "uptaned") != pid
        assert number > 15
    finally:
        world.close()
