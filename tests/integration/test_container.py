# SPDX-License-Identifier: Apache-2.0
"""A vehicle with systemd, the installed units in their sandboxes, logind and a booted OSTree deployment, seen from outside."""
import hashlib
import os
import shutil
import socket
import tempfile
import time

import pytest
from backend.server import in_network
from conftest import World
from container import machine
from container.images import SystemImages
from container.vehicle import ContainerVehicle
from gi.repository import GLib
from helpers_fixture import Client, RemoteError
from images import deployments, remove_tree
from remote import wait_for
from vehicle import BUILD

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not all(shutil.which(p) for p in (*machine.PROGRAMS, "mmdebstrap")),
                                reason="needs root, systemd-nspawn and mmdebstrap")


def thresholds():
    """Exposure by systemd-analyze security, as in tests/lint/units.py, but of what is really loaded."""
    with open(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "exposure.txt"), encoding="utf-8") as f:
        return {unit: float(most) for unit, most in (line.split() for line in f if line.strip() and not line.startswith("#"))}


@pytest.fixture(scope="session")
def system_images():
    folder = tempfile.mkdtemp(prefix="uptaned-system-images.", dir="/tmp")
    yield SystemImages(os.path.join(folder, "images"), BUILD)
    remove_tree(folder)


@pytest.fixture
def world(system_images, request):
    marker = request.node.get_closest_marker("world")
    w = World(system_images, kind=ContainerVehicle, **(marker.kwargs if marker else {}))
    try:
        yield w
        if os.environ.get("SHOW_LOGS"):
            print(w.vehicle.machine.journal_text()[-20000:])
    finally:
        w.close()


def start(world):
    v = world.vehicle
    v.boot()
    v.wait_state("idle")
    return v


def failed_units(v):
    return v.machine.run("systemctl", "list-units", "--failed", "--no-legend", "--plain").stdout.split("\n")[:-1]


def test_the_vehicle_boots_with_every_unit_running_in_its_sandbox(world):
    v = start(world)
    assert world.director.primary == v.serial
    assert set(world.director.ecus) == {v.serial, v.secondaries[0].serial}
    assert world.director.installed(v.serial) == ("os-factory", v.factory_commit)
    assert v.error() == ("", "")
    assert failed_units(v) == []
    assert "* test-os %s.0" % v.factory_commit in v.status()
    assert "uptaned.service" in world.images.units and len(world.images.units) >= 5
    exposed = {unit: v.exposure(unit) for unit in world.images.units}
    written = thresholds()
    assert {unit: level for unit, level in exposed.items() if level > written.get(unit, 0)} == {}
    assert v.machine.journal("SYSLOG_IDENTIFIER=uptaned", "--priority=warning") == []


def refused_calls(v):
    """What ended because of a system call its sandbox does not allow."""
    return [e["MESSAGE"] for e in v.machine.journal("_PID=1") if "status=31/SYS" in e["MESSAGE"] or "signal=SYS" in e["MESSAGE"]]


def look_after(world, v):
    """What must be so after anything good that happened on a vehicle."""
    assert failed_units(v) == []
    assert refused_calls(v) == []
    assert not world.director.refused
    wait_for(lambda: "uptane-ostree" not in v.processes(), "the end of the only program of ours that is root")
    assert all("root" not in users for users in v.processes().values())


def test_a_good_update_is_staged_applied_at_the_reboot_and_reported(world):
    v = start(world)
    firmware = os.urandom(200000)
    correlation = world.assign(world.publish_commit("2"), world.publish_firmware("mcu-2.bin", firmware))
    v.call("CheckForUpdates")
    v.machine.wait_reboot()
    assert v.secondaries[0].content() == firmware
    v.boot()
    assert v.booted_commit == world.images.commit("2")
    v.wait_state("idle")
    wait_for(world.director.reports, "the installation report")
    assert world.director.installed(v.serial) == ("os-2", world.images.commit("2"))
    assert world.director.installed(v.secondaries[0].serial) == ("mcu-2.bin", hashlib.sha256(firmware).hexdigest())
    assert [(r["correlation_id"], r["result"]["code"]) for r in world.director.reports()] == [(correlation, "OK")]
    assert "* test-os %s.0" % v.booted_commit in v.status() and v.factory_commit in v.status()
    assert 'VERSION_ID=2' in v.machine.run("cat", "/usr/lib/os-release").stdout
    assert any("Finalizing staged deployment" in e["MESSAGE"] for e in v.machine.journal("_SYSTEMD_UNIT=ostree-finalize-staged.service"))
    look_after(world, v)
    v.check()
    assert v.state() == "idle" and v.error() == ("", "")
    assert v.machine.journal("SYSLOG_IDENTIFIER=uptaned", "--priority=warning") == []


# T-62
def test_an_old_entry_booted_by_hand_is_reported_as_it_is_and_nothing_loops(world):
    v = start(world)
    world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.machine.wait_reboot()
    v.boot(1)
    v.wait_state("idle")
    wait_for(world.director.reports, "the installation report")
    assert v.booted_commit == v.factory_commit == world.director.installed(v.serial)[1]
    assert [r["result"]["success"] for r in world.director.reports()] == [False]
    v.check()
    assert v.state() == "idle" and len(world.director.reports()) == 1
    assert [entry.commit for entry in v.machine.entries()] == [world.images.commit("2"), v.factory_commit]
    look_after(world, v)
    # the boot loader's own choice is the new software still: whatever runs is what the Director hears of
    v.machine.reboot()
    v.boot()
    v.wait_state("idle")
    v.check()
    assert v.booted_commit == world.images.commit("2") == world.director.installed(v.serial)[1]


# T-61
def test_software_that_does_not_boot_is_left_by_the_boot_loader_and_reported(world):
    v = start(world)
    broken = world.images.commit("broken", without_init=True)
    world.assign(world.publish_commit("broken"))
    v.call("CheckForUpdates")
    v.machine.wait_reboot()
    assert v.machine.entries()[0].commit == broken
    v.machine.boot_counted()
    assert v.machine.boots == 1 + 3 + 1
    v.wait_state("idle")
    wait_for(world.director.reports, "the installation report")
    assert v.booted_commit == v.factory_commit == world.director.installed(v.serial)[1]
    assert "INSTALL_FAILED" in world.director.reports()[-1]["result"]["code"]
    v.check()
    assert v.state() == "idle" and len(world.director.reports()) == 1
    look_after(world, v)


def reboots_into_the_new(world, v):
    """By itself; and that is all there is to it."""
    v.machine.wait_reboot()
    v.boot()
    v.wait_state("idle")
    assert v.booted_commit == world.images.commit("2") == world.director.installed(v.serial)[1]
    assert [r["result"]["success"] for r in world.director.reports()] == [True]
    look_after(world, v)


# Uptane 5.4.3.5 (b)
@pytest.mark.world(config="[update]\nconsent-reboot = ask\n", secondaries=0)
def test_a_reboot_without_consent_changes_nothing_and_the_one_after_consent_applies_the_update(world):
    v = start(world)
    update = world.assign(world.publish_commit("2"))
    staged = "%s.0 (staged)" % world.images.commit("2")
    v.call("CheckForUpdates")
    for _ in range(2):
        wait_for(lambda: staged in v.status(), "the staged deployment", 60)  # again; what is left of the one before is no other
        v.wait_state("reboot-required")
        assert v.property("Update")["Stage"] == "reboot"
        v.machine.reboot()
        assert [entry.commit for entry in v.machine.entries()] == [v.factory_commit]
        v.boot()
    assert not world.director.reports()
    wait_for(lambda: staged in v.status(), "the staged deployment", 60)
    v.wait_state("reboot-required")
    v.verb("Approve", "(ss)", (update, "reboot"))
    reboots_into_the_new(world, v)


@pytest.mark.world(secondaries=0)
def test_a_power_cut_between_deployment_and_reboot_costs_nothing_but_time(world):
    v = start(world)
    world.assign(world.publish_commit("2"))
    inhibit = ["systemd-run", "--unit=inhibit", "systemd-inhibit", "--what=shutdown", "--mode=block", "sleep", "infinity"]
    v.machine.run(*inhibit)  # logind refuses, and the vehicle stays where it is
    wait_for(lambda: "inhibit" in v.machine.run("systemd-inhibit", "--list", "--no-legend").stdout, "the inhibitor")
    v.call("CheckForUpdates")
    v.wait_state("reboot-required")
    wait_for(lambda: v.error()[0], "the refusal of logind")
    v.machine.power_cut()
    v.boot()
    assert v.booted_commit == v.factory_commit
    v.machine.wait_reboot()  # it is installed again, by itself
    assert not world.director.reports()
    assert world.director.installed(v.serial)[1] == v.factory_commit
    v.boot()
    v.wait_state("idle")
    assert v.booted_commit == world.images.commit("2") == world.director.installed(v.serial)[1]
    assert [r["result"]["success"] for r in world.director.reports()] == [True]
    look_after(world, v)


def mask_polkit(v):
    """In its /etc, before it boots first: nobody lets the user uptane reboot."""
    os.symlink("/dev/null", os.path.join(deployments(v.sysroot)[0][0], "etc/systemd/system/polkit.service"))


@pytest.mark.world(secondaries=0)
def test_where_nobody_lets_the_daemon_reboot_it_says_so_and_any_reboot_does(world):
    v = world.vehicle
    mask_polkit(v)
    start(world)
    world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    wait_for(lambda: v.state() == "reboot-required" and v.error()[0], lambda: "the refusal; %s" % v.state(), 60)
    name, message = v.error()
    assert name == "RebootRefused" and message.startswith("logind does not reboot: org.freedesktop.")
    shown = v.ctl("status").stdout
    for words in (message, "a reboot: any reboot of the vehicle applies it", "let the user uptane do it (polkit"):
        assert words in shown, shown
    entries = v.machine.journal("SYSLOG_IDENTIFIER=uptaned", "--priority=err")
    assert message in [e["MESSAGE"] for e in entries] and {e["UPTANE_ERROR"] for e in entries} == {"org.uptane.Error.RebootRefused"}
    v.machine.reboot()
    v.boot()
    v.wait_state("idle")
    assert v.booted_commit == world.images.commit("2") == world.director.installed(v.serial)[1]
    assert [r["result"]["success"] for r in world.director.reports()] == [True]
    look_after(world, v)


def is_held(v):
    return v.machine.run("test", "-e", "/run/ostree/staged-deployment-locked", check=False).returncode == 0


def reboots_into_the_old(v):
    v.machine.reboot()
    assert [entry.commit for entry in v.machine.entries()] == [v.factory_commit]
    v.boot()


@pytest.mark.world(secondaries=0)
def test_a_reboot_that_the_user_puts_off_or_declines_is_none_of_that_update_whoever_reboots(world):
    v = world.vehicle
    mask_polkit(v)
    start(world)
    update = world.assign(world.publish_commit("2"))
    staged = "%s.0 (staged)" % world.images.commit("2")
    v.call("CheckForUpdates")
    wait_for(lambda: v.error()[0] == "RebootRefused" and staged in v.status(), "the refusal", 60)
    assert not is_held(v)
    v.verb("Postpone", "(st)", (update, int((time.time() + 3600) * 1e6)))
    wait_for(lambda: is_held(v), "that it is held")
    reboots_into_the_old(v)
    wait_for(lambda: staged in v.status() and is_held(v), "the staged deployment again", 60)
    v.wait_state("reboot-required")
    reboots_into_the_old(v)
    wait_for(lambda: staged in v.status() and v.state() == "reboot-required", "the staged deployment again", 60)
    assert not world.director.reports()
    v.verb("Decline", "(ss)", (update, "never"))
    v.wait_state("idle")
    assert "staged" not in v.status()
    reboots_into_the_old(v)
    v.wait_state("idle")
    v.check()
    assert v.state() == "idle" and [(r["correlation_id"], r["result"]["code"].split(":")[-1]) for r in world.director.reports()] == [
        (update, "OPERATION_CANCELLED")]
    assert world.director.installed(v.serial)[1] == v.factory_commit
    look_after(world, v)


# Uptane 5.4.3.5 (b)
@pytest.mark.world(config="[update]\nconditions-reboot = parked\n", secondaries=0)
def test_while_a_condition_of_the_reboot_does_not_hold_no_reboot_is_into_the_update(world):
    v = start(world)
    world.assign(world.publish_commit("2"))
    staged = "%s.0 (staged)" % world.images.commit("2")
    v.call("CheckForUpdates")
    wait_for(lambda: staged in v.status() and v.property("WaitingFor") == ["parked"], "the staged deployment", 60)
    reboots_into_the_old(v)
    wait_for(lambda: staged in v.status() and v.property("WaitingFor") == ["parked"], "the staged deployment, again", 60)
    v.verb("SetCondition", "(sbt)", ("parked", True, 0))
    reboots_into_the_new(world, v)


# Uptane 5.4.3.5 (b)
@pytest.mark.world(config="[update]\nconsent-reboot = ask\n", secondaries=0)
def test_who_is_asked_for_the_reboot_may_decline_it(world):
    v = start(world)
    update = world.assign(world.publish_commit("2"))
    v.call("CheckForUpdates")
    v.wait_state("reboot-required")
    v.verb("Decline", "(ss)", (update, "never"))
    v.wait_state("idle")
    assert "staged" not in v.status()
    reboots_into_the_old(v)
    v.wait_state("idle")
    assert [r["result"]["code"].split(":")[-1] for r in world.director.reports()] == ["OPERATION_CANCELLED"]


@pytest.mark.world(secondaries=0)
def test_who_talks_to_secondaries_reaches_nobody_outside_the_vehicle(world):
    v = start(world)
    outside = "198.51.100.7"
    world.network.add_address(outside)
    with in_network(world.network.path, lambda: socket.create_server((outside, 9050))) as listener:
        listener.settimeout(10)
        with Client(v.machine.root("/run/uptane/secondary-ip.sock"), "/org/uptane/Secondary1", "org.uptane.Secondary1") as helper:
            with pytest.raises(RemoteError) as caught:
                helper.call("GetInfo", GLib.Variant("(s)", (outside + ":9050",)), "(ssss)")
        assert caught.value.name == "Unreachable"
        v.machine.run("bash", "-c", "echo from the vehicle > /dev/tcp/%s/9050" % outside)
        with listener.accept()[0] as connection:
            assert connection.recv(100) == b"from the vehicle\n"  # and nobody was there before


@pytest.mark.world(secondaries=0, config="[health]\nboot-complete = yes\nchecks = yes\n")
def test_health_checks_pass_in_their_sandbox(world):
    v = start(world)
    world.images.commit("checked", files={"usr/lib/uptane/health.d/20-files":
                                          "#!/bin/sh\ntr '\\0' '\\n' < /usr/lib/os-release | grep -a -q VERSION_ID=checked\n"})
    world.assign(world.publish_commit("checked"))
    v.call("CheckForUpdates")
    v.machine.wait_reboot()
    v.boot()
    v.wait_state("idle", seconds=120)
    wait_for(world.director.reports, "the installation report")
    assert [r["result"]["code"].split(":")[-1] for r in world.director.reports()] == ["OK"], world.director.reports()[0]["raw_report"]
    look_after(world, v)


FLASH = """#!/bin/sh
M=$STATE_DIRECTORY/memory
[ -e $M ] || printf factory > $M
case "$1" in
get-firmware-info) echo '{"status":"ok","name":"factory.bin","sha256":"'$(sha256sum < $M | cut -d' ' -f1)'"}' ;;
install) cat "$UPTANE_IMAGE_PATH" > $M; echo '{"status":"ok"}' ;;
*) exit 65 ;;
esac
"""


def test_a_secondary_installs_by_a_handler_in_its_sandboxes_and_sleeps_in_between(world):
    v = world.vehicle
    secondary, = v.secondaries
    etc = os.path.join(deployments(v.sysroot)[0][0], "etc")
    with open(os.path.join(etc, "uptane/secondary.conf"), "w", encoding="utf-8") as f:
        f.write(secondary.config().replace("install = /var/lib/uptane-secondary/firmware.bin",
                                           "install = exec\nhandler = /etc/uptane/handlers/flash\nsleep-after = 2"))
    os.makedirs(os.path.join(etc, "uptane/handlers"))
    with open(os.open(os.path.join(etc, "uptane/handlers/flash"), os.O_WRONLY | os.O_CREAT, 0o755), "w", encoding="utf-8") as f:
        f.write(FLASH)
    wants = os.path.join(etc, "systemd/system/sockets.target.wants")
    os.makedirs(wants, exist_ok=True)
    os.symlink("/lib/systemd/system/uptane-secondary-exec.socket", os.path.join(wants, "uptane-secondary-exec.socket"))
    start(world)
    assert world.director.installed(secondary.serial) == ("factory.bin", hashlib.sha256(b"factory").hexdigest())
    wait_for(lambda: "uptane-secondary-idle" in v.machine.run("sh", "-c", "readlink /proc/*/exe").stdout, "its sleep")
    firmware = os.urandom(200000)
    world.assign(firmware=world.publish_firmware("mcu-2.bin", firmware))
    v.call("CheckForUpdates")
    wait_for(lambda: world.director.installed(secondary.serial) == ("mcu-2.bin", hashlib.sha256(firmware).hexdigest()),
             lambda: "the update; " + v.machine.journal_text()[-3000:], 60)
    v.wait_state("idle")
    assert v.error() == ("", "")
    assert failed_units(v) == [] and refused_calls(v) == []
    wait_for(lambda: "uptane-secondary-idle" in v.machine.run("sh", "-c", "readlink /proc/*/exe").stdout, "its sleep")
