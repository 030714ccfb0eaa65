# SPDX-License-Identifier: Apache-2.0
"""Behind the reboot: what is good is confirmed, what is bad is left behind, what does not come up is reported; whenever power
goes away or the daemon dies in between."""
import itertools
import json
import os

import images as ostree
import pytest
from conftest import World, skip_without_vehicle
from gi.repository import GLib
from test_kill import SCRIPT, WRITES_MAX, lives, write
from vehicle import wait_for

CHECKS = "[health]\nchecks = yes\n"
COUNTED = {"bootcount": "0", "upgrade_available": "1", "rollback": "0"}


def until_idle(world, boot):
    """Boots after every reboot until the vehicle has nothing to do any more."""
    v = world.vehicle

    def step():
        if v.process.poll() is not None:
            v.wait_reboot()
            boot()
        return v.state() == "idle"
    wait_for(step, lambda: "the end of the update; %s; %s" % (v.state(), v.log("uptaned")[-1500:]), 90, pause=0.05)


def update(world, version, boot=None):
    """Assigns a commit and drives the vehicle until it is idle. Returns the correlation id."""
    v = world.vehicle
    correlation = world.assign(world.publish_commit(version))
    v.call("CheckForUpdates")
    v.wait_reboot()
    (boot or v.boot)()
    until_idle(world, boot or v.boot)
    return correlation


def reports(world):
    """(correlation id, result code, description of the Primary's item) of every report."""
    return [(r["correlation_id"], r["result"]["code"], r["raw_report"]) for r in world.director.reports()]


def start(world):
    world.vehicle.boot()
    world.vehicle.wait_state("idle")
    return world.vehicle


def commits(v):
    return [commit for _, commit in ostree.deployments(v.sysroot)]


# ---- good ----

@pytest.mark.world(boot="uboot-masked", config="[health]\nboot-complete = yes\nchecks = yes\ndirector = yes\n")
def test_good_software_is_counted_until_every_check_has_passed_and_then_unpinned(world):
    v = start(world)
    v.add_check("10-seen", "fw=$(cat %s/env); echo $fw >> %s" % (v.uboot.folder, v.path("seen")))
    correlation = world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_reboot()
    assert v.uboot.values() == COUNTED
    assert ostree.pinned(v.sysroot) == [v.factory_commit]
    manifests = len(world.director.manifests)
    v.boot_by_uboot()
    v.wait_state("idle")
    with open(v.path("seen"), encoding="utf-8") as f:
        assert "bootcount=1" in f.read()  # it was on trial while it was checked
    assert v.uboot.values() == {"bootcount": "0", "upgrade_available": "0", "rollback": "0"}
    assert ostree.pinned(v.sysroot) == []
    assert reports(world) == [(correlation, "OK", "")]
    assert len(world.director.manifests) == manifests + 1  # the exchange on trial told nobody of it
    assert v.ecu("primary", "InstalledImage") == "os-2"
    # the next update needs no more than two deployments
    update(world, "3", v.boot_by_uboot)
    assert commits(v) == [world.images.commit("3"), world.images.commit("2")]


@pytest.mark.world(boot="uboot-generic")
def test_every_boot_that_generic_uboot_counts_is_reset(world):
    v = world.vehicle
    v.uboot.set(bootcount=2)
    start(world)
    assert v.uboot.values()["bootcount"] == "0"
    assert world.director.reports() == []


@pytest.mark.world(boot="uboot-masked")
def test_boots_that_are_not_counted_cost_no_write(world):
    v = world.vehicle
    v.uboot.set(bootcount=2)
    start(world)
    assert v.uboot.calls() == []


def test_nothing_is_checked_where_nothing_is_configured(world):
    v = start(world)
    v.add_check("broken", "exit 1")
    write(v.path("systemd1.json"), json.dumps({"states": {"a.service": "failed"}, "requires": ["a.service"]}))
    update(world, "2")
    assert [r[1] for r in reports(world)] == ["OK"]


# ---- bad ----

BAD = {
    "status": ("checks = yes", lambda v: v.add_check("20-can", "echo no CAN; exit 3"), "health check '20-can' failed with status 3: no CAN"),
    "hang": ("checks = yes\ncheck-timeout = 1", lambda v: v.add_check("hang", "sleep 1000"), "health check 'hang' failed"),
    "unit": ("boot-complete = yes",
             lambda v: write(v.path("systemd1.json"), json.dumps({"states": {"can.service": "failed"}, "requires": ["can.service"]})),
             "failed before boot-complete.target: can.service"),
    "no target": ("boot-complete = yes\ntimeout = 1",
                  lambda v: write(v.path("systemd1.json"), json.dumps({"states": {}, "requires": []})), "boot-complete.target was not reached"),
}


# T-61
@pytest.mark.parametrize("kind", BAD)
def test_bad_software_is_rolled_back_and_reported_once_by_the_name_of_the_check(images, kind):
    skip_without_vehicle()
    config, spoil, words = BAD[kind]
    world = World(images, boot="uboot-masked", config="[health]\n%s\n[update]\nconsent-reboot = ask\n" % config)
    try:
        roll_back(world, spoil, words)
    finally:
        world.close()


def roll_back(world, spoil, words):
    v = start(world)
    old = world.images.commit("1")
    update_id = world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_state("reboot-required")
    v.call("Reboot")
    v.wait_reboot()
    spoil(v)
    v.boot_by_uboot()
    v.wait_reboot()  # by itself: nobody is asked whether bad software may go
    assert commits(v) == [old, world.images.commit("2")]
    assert world.director.reports() == []  # the old one tells
    v.boot_by_uboot()
    v.wait_state("idle")
    assert v.booted_commit == old
    [(correlation, code, raw)] = reports(world)
    assert (correlation, code) == (update_id, v.HARDWARE_ID + ":INSTALL_FAILED")
    assert words in raw
    assert world.director.installed(v.serial)[1] == old
    assert v.error()[0] == "HealthCheck" and words in v.error()[1]
    assert ostree.pinned(v.sysroot) == []
    assert v.uboot.values() == {"bootcount": "0", "upgrade_available": "0", "rollback": "0"}
    history = v.call("GetHistory", "(u)", (10,))[0]
    assert [h["Result"] for h in history] == ["INSTALL_FAILED"] and words in history[0]["Description"]
    v.check()
    v.power_cut()
    v.boot_by_uboot()
    v.check()
    assert v.state() == "idle" and len(world.director.reports()) == 1 and commits(v)[0] == old


@pytest.mark.world(config=CHECKS)
def test_old_software_keeps_its_name_and_another_assignment_installs_again(world):
    v = start(world)
    update(world, "2")
    v.add_check("a", "exit 1")
    update(world, "3")
    assert v.booted_commit == world.images.commit("2")
    assert world.director.installed(v.serial) == ("os-2", world.images.commit("2"))
    v.add_check("a", None)
    update(world, "3")  # the same software under another correlation id
    assert world.director.installed(v.serial) == ("os-3", world.images.commit("3"))
    assert [r[1].split(":")[-1] for r in reports(world)] == ["OK", "INSTALL_FAILED", "OK"]


@pytest.mark.world(config="[health]\ndirector = yes\ntimeout = 1\n")
def test_software_that_cannot_speak_to_the_director_is_rolled_back(world):
    v = start(world)
    world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_reboot()
    world.backend.faults.add("director/", "status", 503)
    v.boot()
    v.wait_reboot(90)
    world.backend.faults.clear()
    v.boot()
    v.wait_state("idle")
    assert v.booted_commit == v.factory_commit
    assert [("director" in raw, "OK" in code) for _, code, raw in reports(world)] == [(True, False)]


@pytest.mark.world(config=CHECKS)
def test_bad_software_without_a_way_back_stays_and_says_so(world):
    v = start(world)
    world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_reboot()
    ostree.run("ostree", "admin", "--sysroot=" + v.sysroot, "undeploy", "1")
    v.add_check("a", "exit 1")
    v.boot()
    v.wait_state("idle")
    assert v.booted_commit == world.images.commit("2")
    assert world.director.installed(v.serial)[1] == world.images.commit("2")  # what runs is told, whatever it is worth
    assert ["INSTALL_FAILED" in code for _, code, _ in reports(world)] == [True]


# ---- software that does not boot ---- T-61

@pytest.mark.world(boot="uboot-masked", config=CHECKS)
def test_fallback_of_uboot_is_reported_once_and_not_installed_again(world):
    v = start(world)
    update_id = world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_reboot()
    v.uboot.set(bootcount=3)  # three boots that came to nothing
    v.boot_by_uboot()
    assert v.booted_commit == v.factory_commit
    v.wait_state("idle")
    [(correlation, code, raw)] = reports(world)
    assert correlation == update_id and "INSTALL_FAILED" in code and "the boot loader gave it up" in raw
    assert v.error()[0] == "BootFallback"
    assert v.uboot.values() == {"bootcount": "0", "upgrade_available": "0", "rollback": "1"}
    assert ostree.pinned(v.sysroot) == []
    v.check()
    v.power_cut()
    v.boot_by_uboot()
    assert v.booted_commit == v.factory_commit  # still: nobody took the fallback back
    v.check()
    assert v.state() == "idle" and len(world.director.reports()) == 1
    # another assignment of the same software is tried, and may succeed
    update(world, "2", v.boot_by_uboot)
    assert v.booted_commit == world.images.commit("2") and reports(world)[-1][1] == "OK"


# ---- power cuts, deaths ----

@pytest.mark.world(boot="uboot-masked")
def test_deployment_that_a_power_cut_took_away_is_made_again(world):
    v = start(world)
    write(v.path("reboot-refused"), "")
    correlation = world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_state("reboot-required")
    v.power_cut()
    # as if it had waited for the shutdown that did not come: the commit is there, its deployment is not
    ostree.run("ostree", "--repo=" + v.sysroot + "/ostree/repo", "refs", "--create=uptane/pulled", world.images.commit("2"))
    ostree.run("ostree", "admin", "--sysroot=" + v.sysroot, "undeploy", "0")
    os.unlink(v.path("reboot-refused"))
    v.boot_by_uboot()
    assert v.booted_commit == v.factory_commit
    v.wait_reboot()
    assert v.uboot.values() == COUNTED
    v.boot_by_uboot()
    v.wait_state("idle")
    assert reports(world) == [(correlation, "OK", "")] and v.booted_commit == world.images.commit("2")


@pytest.mark.parametrize("good,state", [(True, "trial"), (False, "trial"), (False, "rolled back")])
def test_power_cut_on_trial_changes_nothing(images, good, state):
    skip_without_vehicle()
    world = World(images, boot="uboot-masked", config=CHECKS)
    v = world.vehicle
    try:
        start(world)
        world.assign(world.publish_commit("2"))
        v.call("CheckForUpdates")
        v.wait_reboot()
        v.add_check("a", "echo >> %s; [ -e %s ] || sleep 50; exit %d" % (v.path("checking"), v.path("go"), 0 if good else 1))
        if state == "trial":
            v.boot_by_uboot()
            wait_for(lambda: os.path.exists(v.path("checking")), "the check")
            v.kill_daemon()  # and the daemon's death neither
            v.power_cut()
            write(v.path("go"), "")
        else:
            write(v.path("go"), "")
            v.boot_by_uboot()
            v.wait_reboot()
        v.boot_by_uboot()
        if state == "rolled back":
            v.power_cut()
            v.boot_by_uboot()
        until_idle(world, v.boot_by_uboot)
        assert [code.split(":")[-1] for _, code, _ in reports(world)] == ["OK" if good else "INSTALL_FAILED"]
        assert v.booted_commit == world.images.commit("2" if good else "1")
        assert v.uboot.values()["upgrade_available"] == "0" and ostree.pinned(v.sysroot) == []
    finally:
        world.close()


# The writes of a boot loader's variables in an update behind an earlier fallback: three to begin the trial, two to end it.
@pytest.mark.parametrize("number", range(1, 6))
def test_power_cut_at_each_write_of_a_variable_ends_in_the_new_software(images, number):
    skip_without_vehicle()
    world = World(images, boot="uboot-masked")
    v = world.vehicle
    try:
        v.uboot.set(bootcount=3, rollback=1)
        start(world)
        v.uboot.die_at(number)
        world.assign(world.publish_commit("2"))
        v.call("CheckForUpdates")
        done = ("os-2", world.images.commit("2"))
        cuts = 0

        def step():
            nonlocal cuts
            if v.process.poll() is not None:
                v.wait_reboot()
                v.boot_by_uboot()
            elif v.uboot.is_dying():
                cuts += 1
                v.power_cut()
                v.uboot.live()
                v.boot_by_uboot()
            return v.state() == "idle" and world.director.installed(v.serial) == done and world.director.reports()
        wait_for(step, lambda: v.state() + v.log("uptaned")[-1500:], 90, pause=0.05)
        assert cuts == 1
        assert [code for _, code, _ in reports(world)] == ["OK"]
        assert v.uboot.values() == {"bootcount": "0", "upgrade_available": "0", "rollback": "0"}
    finally:
        world.close()


def poll(world):
    """A whole poll of a daemon that may die in it, and is asked again then."""
    v, count = world.vehicle, len(world.backend.requests("director/timestamp"))

    def is_done():
        if v.state() == "idle" and len(world.backend.requests("director/timestamp")) > count:
            return True
        try:
            v.call("CheckForUpdates")
        except GLib.Error:
            pass  # dead, still starting, or at it
        return False
    wait_for(is_done, lambda: "a poll; " + v.log("uptaned")[-1500:], 60, pause=0.3)


def bad_update_with_death_at(world, life, number):
    """Whether the daemon died at all: in the end there are fewer writes than number."""
    v = world.vehicle
    write(v.path("uptaned.sh"), SCRIPT.format(v.folder), 0o755)
    v.wrap["uptaned"] = [v.path("uptaned.sh")]
    start(world)
    correlation = world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_reboot()
    v.add_check("a", "exit 1")
    if life == "trial":
        write(v.path("kill"), str(number))
    v.boot(wait=False)
    wait_for(lambda: v.process.poll() is not None, lambda: "reboot; " + v.log("uptaned")[-1500:], 60)
    v.wait_reboot()
    if life == "old":
        write(v.path("kill"), str(number))
    v.boot(wait=False)

    wait_for(lambda: v.state() == "idle" and world.director.reports(), lambda: v.log("uptaned")[-1500:], 60)
    poll(world)
    assert v.booted_commit == world.images.commit("1")
    assert [r[0] for r in reports(world)] == [correlation] and "INSTALL_FAILED" in reports(world)[0][1]
    assert not world.director.refused
    assert len(world.director.reports()) == 1 and commits(v)[0] == world.images.commit("1")
    return lives(v) > v.boots


@pytest.mark.parametrize("life", ["trial", "old"])
def test_bad_software_is_rolled_back_whichever_write_the_daemon_dies_at(images, life):
    skip_without_vehicle()
    for number in itertools.count(1):
        assert number < WRITES_MAX
        world = World(images, config=CHECKS)
        try:
            died = bad_update_with_death_at(world, life, number)
        except Exception as e:
            raise AssertionError("killed at write %d of the %s life" % (number, life)) from e
        finally:
            world.close()
        if not died:
            break
    assert number > {"trial": 2, "old": 5}[life]  # otherwise nobody was killed


# ---- what the user does not want ----

@pytest.mark.world(boot="uboot-masked")
def test_a_written_deployment_that_is_declined_before_the_reboot_is_booted_by_none(world):
    v = start(world)
    write(v.path("reboot-refused"), "")
    update_id = world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_state("reboot-required")
    wait_for(lambda: v.error()[0] == "RebootRefused", "the refusal")
    v.call("Decline", "(ss)", (update_id, "not on a Friday"))
    v.wait_state("idle")
    assert commits(v) == [v.factory_commit, world.images.commit("2")]
    [(correlation, code, raw)] = reports(world)
    assert correlation == update_id and "OPERATION_CANCELLED" in code and "not on a Friday" in raw
    os.unlink(v.path("reboot-refused"))
    for _ in range(2):
        v.power_cut()
        v.boot_by_uboot()
        v.wait_state("idle")
        v.check()
        assert v.state() == "idle" and v.booted_commit == v.factory_commit == world.director.installed(v.serial)[1]
    assert len(world.director.reports()) == 1
    assert v.uboot.values()["upgrade_available"] == "0" and ostree.pinned(v.sysroot) == []
    update(world, "2", v.boot_by_uboot)  # another assignment of it is another question
    assert v.booted_commit == world.images.commit("2")


# ---- what somebody does by hand ---- T-62

@pytest.mark.world(config="[update]\nconsent-reboot = ask\n")
def test_t62_a_deployment_that_somebody_takes_away_before_the_reboot_is_made_again_and_nothing_false_is_told(world):
    v = start(world)
    correlation = world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_state("reboot-required")
    ostree.run("ostree", "--repo=" + v.sysroot + "/ostree/repo", "refs", "--create=uptane/pulled", world.images.commit("2"))
    ostree.run("ostree", "admin", "--sysroot=" + v.sysroot, "undeploy", "0")
    v.power_cut()
    v.boot()
    wait_for(lambda: len(commits(v)) > 1, "the deployment again", 60)
    v.wait_state("reboot-required")
    assert v.booted_commit == v.factory_commit and not world.director.reports()
    assert world.director.installed(v.serial)[1] == v.factory_commit
    v.verb("Reboot")
    v.wait_reboot()
    v.boot()
    v.wait_state("idle")
    assert v.booted_commit == world.images.commit("2") and reports(world) == [(correlation, "OK", "")]


def test_t62_a_deployment_that_is_taken_away_every_time_is_given_up_and_reported_once(world):
    v = start(world)
    world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    for _ in range(30):
        v.wait_reboot()
        if len(commits(v)) > 1:
            ostree.run("ostree", "--repo=" + v.sysroot + "/ostree/repo", "refs", "--force", "--create=uptane/pulled", world.images.commit("2"))
            ostree.run("ostree", "admin", "--sysroot=" + v.sysroot, "undeploy", "0")
        v.boot()
        if wait_for(lambda: v.process.poll() is not None or world.director.reports(), lambda: "what follows; " + v.state(), 60) is True:
            continue
        break
    v.wait_state("idle")
    assert v.booted_commit == v.factory_commit == world.director.installed(v.serial)[1]
    assert ["INSTALL_FAILED" in code for _, code, _ in reports(world)] == [True]
    v.check()
    assert v.state() == "idle" and len(world.director.reports()) == 1


def test_t62_software_that_nobody_assigned_is_told_by_its_hash_and_left_alone(world):
    v = start(world)
    update(world, "2")
    v.power_cut()
    repo = v.sysroot + "/ostree/repo"
    ostree.run("ostree", "--repo=" + repo, "pull-local", world.images.repo, world.images.commit("by-hand"))
    ostree.run("ostree", "admin", "--sysroot=" + v.sysroot, "deploy", "--os=" + ostree.OS_NAME, world.images.commit("by-hand"))
    world.director.clear()
    v.boot()
    v.wait_state("idle")
    v.check()
    assert v.booted_commit == world.images.commit("by-hand") == world.director.installed(v.serial)[1]
    assert world.director.installed(v.serial)[0] != "os-2" and v.ecu("primary", "InstalledSha256") == v.booted_commit
    assert len(world.director.reports()) == 1 and v.boots == 3 and v.state() == "idle"
    update(world, "4")  # and it is an update like any other from there
    assert world.director.installed(v.serial) == ("os-4", world.images.commit("4"))


def test_t62_where_nobody_can_say_what_has_booted_nothing_is_told_and_nothing_done(world):
    v = start(world)
    correlation = world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_reboot()
    manifests = len(world.director.manifests)
    v.wrap["uptane-ostree"] = ["sh", "-c", "[ -e '%s' ] || exit 1; exec /run/build/daemon/ostree/uptane-ostree \"$@\"" % v.path("known"), "sh"]
    v.boot()
    wait_for(lambda: v.log("uptaned").count("uptane-ostree") >= 2, "that it is asked again", 60)
    assert v.state() == "reboot-required" and not world.director.reports() and len(world.director.manifests) == manifests
    with pytest.raises(GLib.Error, match="still starting"):
        v.call("Reboot")
    write(v.path("known"), "")
    v.wait_state("idle", seconds=90)
    assert reports(world) == [(correlation, "OK", "")] and v.boots == 2
