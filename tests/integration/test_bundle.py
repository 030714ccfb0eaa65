# SPDX-License-Identifier: Apache-2.0
"""An update of a whole vehicle, as one: two IP Secondaries, two ECUs with handlers, a virtual one, and the Primary."""
import itertools
import os
import signal
import subprocess
import time

import images as ostree_images
import pytest
from fleet import MIXED, QUICK, Fleet, handler_section, sha256
from vehicle import wait_for


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


@pytest.mark.world(secondaries=1, config=MIXED)
def test_every_ecu_that_cannot_be_prepared_is_named_with_its_own_reason(fleet):
    fleet.start()
    fleet.update()
    for label in ("mcu", "last"):
        fleet.touch(label, "fail-get-firmware-info")
    fleet.assign(primary="2")
    report = fleet.wait_report()
    for serial in ("ser-mcu", "ser-last"):
        assert not report[serial]["success"] and "told to" in report[serial]["description"], report
        assert not report[serial]["description"].startswith("not installed: "), report
    assert report["ser-toy"]["description"].startswith("not installed: "), report


@pytest.mark.world(secondaries=1, config=MIXED)
def test_t53_a_way_back_that_fails_is_tried_again_and_by_a_daemon_that_died_meanwhile(fleet):
    fleet.start()
    old = fleet.update()
    fleet.touch("last", "fail-behind")
    fleet.touch("mcu", "fail-rollback")
    fleet.assign()
    wait_for(lambda: fleet.log("mcu", "rollback"), "the first attempt")
    fleet.vehicle.kill_daemon()
    os.unlink(fleet.vehicle.path("mcu") + ".fail-rollback")
    report = fleet.wait_report()
    check_failed(fleet, old, ["ser-mcu", "ser-toy"], fleet.ip)
    assert len(fleet.log("mcu", "rollback")) > 2, report


def goes_back(fleet):
    """There and back: what the vehicle reports when it runs the old again."""
    v = fleet.vehicle
    v.wait_reboot()
    v.boot()
    v.wait_reboot()
    assert fleet.report() is None  # to the Director, the new never was
    v.boot()
    return fleet.wait_report()


@pytest.mark.world(secondaries=1, config=MIXED + "[health]\nchecks = yes\n", boot="none")
def test_bad_software_of_the_primary_takes_the_handlers_ecus_back_with_it(fleet):
    fleet.start()
    old = fleet.update()
    v = fleet.vehicle
    v.add_check("new-is-bad", "exit 1")
    fleet.assign(primary="2")
    report = goes_back(fleet)
    assert "health check" in report[v.serial]["description"]
    check_failed(fleet, old, ["ser-mcu", "ser-last", "ser-toy"], fleet.ip)
    assert v.booted_commit == v.factory_commit


@pytest.mark.world(secondaries=1, config=MIXED)
def test_the_primary_is_confirmed_when_what_completes_behind_the_reboot_is_complete(fleet):
    fleet.start()
    fleet.update()
    fleet.touch("mcu", "late")
    data = fleet.assign(primary="2")
    v = fleet.vehicle
    v.wait_reboot()
    v.boot()
    report = fleet.wait_report()
    assert all(result["success"] for result in report.values()), report
    assert fleet.all_run(data) and v.booted_commit == fleet.world.images.commit("2")
    log = v.log("uptaned")
    assert log.rindex("<6>installing") < log.rindex("<6>finalizing")


@pytest.mark.world(secondaries=1, config=MIXED)
def test_t53_a_completion_that_fails_behind_the_reboot_takes_the_primary_back_and_then_the_others(fleet):
    fleet.start()
    old = fleet.update()
    v = fleet.vehicle
    for suffix in ("late", "fail-complete-install"):
        fleet.touch("mcu", suffix)
    fleet.assign(primary="2")
    report = goes_back(fleet)
    check_failed(fleet, old, ["ser-last", "ser-toy"], fleet.ip)
    assert "told to" in report["ser-mcu"]["description"] and fleet.memory("mcu") == old
    assert report[v.serial]["code"] == "INSTALL_FAILED" and report[v.serial]["description"].startswith("rolled back: "), report
    assert v.booted_commit == v.factory_commit
    assert fleet.director.installed(v.serial)[1] == v.factory_commit


# ---- side by side ----

SIX = QUICK + "".join(handler_section("mcu%d" % i) for i in range(6))


def most_at_once(fleet, action):
    marks = sorted((at, 1 if what == "begin" else -1) for label in fleet.handlers for at, what, _ in fleet.log(label, action))
    return max(itertools.accumulate(step for _, step in marks))


@pytest.mark.world(secondaries=0, config=SIX.replace("poll-interval = 1\n", "poll-interval = 3600\n") + "[update]\nparallel = 2\n")
def test_no_more_are_asked_for_their_version_at_the_same_time_than_are_allowed(fleet):
    for label in fleet.handlers:
        fleet.touch(label, "slow-info", "0.3")
    fleet.start()
    assert most_at_once(fleet, "get-firmware-info") == 2
    assert set(fleet.director.manifests[-1]["signed"]["ecu_version_manifests"]) == {fleet.vehicle.serial, *fleet.serials}


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
    fleet.vehicle.boot(wait=False)
    fleet.vehicle.wait_ready(240)
    fleet.vehicle.wait_state("idle", seconds=180)
    assert len(fleet.director.ecus) == 151
    data = fleet.assign(size=100_000)
    fleet.vehicle.verb("CheckForUpdates")
    report = fleet.wait_report(240)
    assert len(report) == 151 and all(result["success"] for result in report.values())
    assert fleet.all_run(data)
    assert not fleet.director.refused


# All reports, the Primary's own, and what a poll writes without any; it is two for each ECU otherwise.
@pytest.mark.world(secondaries=1, config="[update]\npoll-interval = 3600\n" + handler_section("mcu")
                   + "".join("[secondary toy%d]\ndriver = virtual\nhardware-id = test-mcu\nserial = ser-toy%d\n" % (i, i) for i in range(10)))
def test_the_reports_of_a_cycle_are_written_at_once(fleet):
    fleet.start()
    fleet.vehicle.check()
    trace = fleet.vehicle.path("trace")
    command = ["strace", "-f", "-p", str(fleet.vehicle.daemon_pid()), "-e", "trace=fsync,fdatasync", "-o", trace]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert "attached" in strace.stderr.readline()
        fleet.vehicle.check()
        strace.send_signal(signal.SIGINT)
        strace.wait(10)
    with open(trace, encoding="utf-8") as f:
        written = [line for line in f if "sync(" in line]
    assert 2 <= len(written) <= 4, written
    assert len(fleet.director.manifests[-1]["signed"]["ecu_version_manifests"]) == 13
