# SPDX-License-Identifier: Apache-2.0
"""Conditions that services of the vehicle tell, and inhibitors that peers on the bus hold: what begins only when they allow it."""
import os
import signal
import subprocess

import pytest
from gi.repository import Gio, GLib
from test_update import error_name, finish_reboot, start
from vehicle import wait_for

INVALID = "org.uptane.Error.InvalidArgument"


def tell(v, name, satisfied=True, milliseconds=0):
    v.verb("SetCondition", "(sbt)", (name, satisfied, milliseconds * 1000))


class Peer:
    """A service on the bus, for as long as it likes."""

    def __init__(self, v):
        self.connection = Gio.DBusConnection.new_for_address_sync(
            v.bus_address(), Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)

    def inhibit(self, what, why="because", who="test"):
        """The file descriptor that holds it."""
        reply, fds = self.connection.call_with_unix_fd_list_sync(
            "org.uptane.Primary1", "/org/uptane/Primary1", "org.uptane.Primary1", "Inhibit", GLib.Variant("(sss)", (what, who, why)),
            None, Gio.DBusCallFlags.NONE, 10000, None, None)
        return fds.get(reply.unpack()[0])

    def leave(self):
        self.connection.close_sync(None)


# Uptane 5.4.3.5 (b)
@pytest.mark.world(config="[update]\nconditions-download = network\nconditions-install = parked battery\nconditions-reboot = parked\n")
def test_each_stage_begins_when_its_conditions_hold_and_says_before_what_it_waits_for(world):
    v = start(world)
    assert v.property("Conditions") == {"network": False, "parked": False, "battery": False} and v.property("WaitingFor") == []
    commit = world.publish_commit("2")
    world.assign(commit, world.publish_firmware("fw-2.bin", b"firmware 2"))
    v.call("CheckForUpdates")
    v.wait_state("ready")
    assert v.property("WaitingFor") == ["network"]
    assert not world.backend.requests("targets/fw-2.bin")
    tell(v, "network")
    wait_for(lambda: v.property("WaitingFor") == ["parked", "battery"], "the download")
    assert v.state() == "ready"
    tell(v, "battery")
    assert v.property("WaitingFor") == ["parked"] and v.state() == "ready"
    assert v.secondaries[0].content() != b"firmware 2"
    status = v.ctl("status").stdout
    assert "waits for  parked\n" in status
    assert v.ctl("condition", "parked", "yes").returncode == 0
    wait_for(lambda: v.state() == "reboot-required" or v.process.poll() is not None, "the installation")
    finish_reboot(v)
    assert world.director.installed(v.serial)[1] == world.images.commit("2") and v.secondaries[0].content() == b"firmware 2"
    # nothing is remembered
    assert v.property("Conditions") == {"network": False, "parked": False, "battery": False}


@pytest.mark.world(config="[update]\nconditions-reboot = parked\n")
def test_a_reboot_that_was_asked_for_waits_for_its_condition(world):
    v = start(world)
    world.assign(world.publish_commit("2"), world.publish_firmware("fw-2.bin", b"firmware 2"))
    v.call("CheckForUpdates")
    v.wait_state("reboot-required")
    v.call("Reboot")  # consent, and no more
    assert v.state() == "reboot-required" and v.property("WaitingFor") == ["parked"]
    tell(v, "parked")
    finish_reboot(v)
    assert world.director.installed(v.serial)[1] == world.images.commit("2")


@pytest.mark.world(config="[update]\nconditions-install = parked\n")
def test_a_condition_can_be_told_for_a_time(world):
    v = start(world)
    tell(v, "parked", True, 300)
    assert v.property("Conditions") == {"parked": True}
    wait_for(lambda: v.property("Conditions") == {"parked": False}, "the end of it")
    tell(v, "parked", True, 60000)
    tell(v, "parked", False)
    assert v.property("Conditions") == {"parked": False}
    assert v.ctl("condition", "parked", "yes", "3600").returncode == 0
    assert v.property("Conditions") == {"parked": True}


@pytest.mark.world(config="[update]\nconditions-install = parked\n")
def test_what_nobody_waits_for_and_what_is_too_much_is_refused(world):
    v = start(world)
    for arguments in (("moving", True, 0), ("", True, 0), ("parked", True, 2 ** 63)):
        assert error_name(v.call, "SetCondition", "(sbt)", arguments) == INVALID
    peer = Peer(v)
    for arguments in (("", "why"), ("drive", "why"), ("install:drive", "why"), ("install", ""), ("install", "x" * 129)):
        assert error_name(peer.inhibit, *arguments) == INVALID, arguments
    assert v.property("Inhibitors") == []
    held = [peer.inhibit("install") for _ in range(32)]
    assert error_name(peer.inhibit, "install") == INVALID
    os.close(held.pop())
    wait_for(lambda: len(v.property("Inhibitors")) == 31, "one to be gone")
    held.append(peer.inhibit("reboot:download"))
    assert ("download:reboot", "test", "because") in v.property("Inhibitors")
    peer.leave()
    wait_for(lambda: v.property("Inhibitors") == [], "all to be gone with their peer")
    for fd in held:
        os.close(fd)


@pytest.mark.parametrize("how", ["closes", "leaves"])
def test_an_inhibitor_holds_until_its_peer_closes_it_or_leaves_the_bus(world, how):
    v = start(world)
    peer = Peer(v)
    fd = peer.inhibit("install", "being driven")
    world.assign(firmware=world.publish_firmware("fw-2.bin", b"firmware 2"))
    v.call("CheckForUpdates")
    v.wait_state("ready")
    wait_for(lambda: v.property("WaitingFor") == ["test: being driven"], "what is waited for")
    assert v.property("Inhibitors") == [("install", "test", "being driven")]
    if how == "closes":
        os.close(fd)
    else:
        peer.leave()
    wait_for(lambda: v.secondaries[0].content() == b"firmware 2", "the installation")
    v.wait_state("idle")
    assert v.property("Inhibitors") == [] and v.error() == ("", "")
    if how == "leaves":
        os.close(fd)


def test_uptanectl_holds_back_until_it_ends(world):
    v = start(world)
    environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=v.bus_address())
    program = os.path.join(v.build, "daemon/uptanectl/uptanectl")
    with subprocess.Popen([program, "inhibit", "install:reboot", "workshop"], env=environment, stdout=subprocess.PIPE, text=True) as held:
        assert "held back" in held.stdout.readline()
        assert v.property("Inhibitors") == [("install:reboot", "uptanectl", "workshop")]
        held.send_signal(signal.SIGTERM)
    wait_for(lambda: v.property("Inhibitors") == [], "the inhibitor to be gone")


@pytest.mark.world(config="[update]\nconditions-install = parked\n")
def test_a_condition_that_held_before_a_crash_has_to_be_told_again(world):
    v = start(world)
    tell(v, "parked")
    world.assign(firmware=world.publish_firmware("fw-2.bin", b"firmware 2"))
    v.call("CheckForUpdates")
    wait_for(lambda: v.state() == "idle" and v.secondaries[0].content() == b"firmware 2", "the installation")
    tell(v, "parked", False)
    world.assign(firmware=world.publish_firmware("fw-3.bin", b"firmware 3"))
    v.call("CheckForUpdates")
    v.wait_state("ready")
    v.kill_daemon()
    wait_for(lambda: v.property("WaitingFor") == ["parked"], "what is waited for")
    assert v.secondaries[0].content() == b"firmware 2"
    tell(v, "parked")
    wait_for(lambda: v.state() == "idle" and v.secondaries[0].content() == b"firmware 3", "the installation")
    assert v.error() == ("", "")


def test_a_stranger_neither_tells_nor_holds_back(world):
    v = start(world)
    os.chmod(world.folder, 0o711)
    os.chmod(v.folder, 0o711)
    program = v.path("uptanectl")
    subprocess.run(["install", "-m", "755", os.path.join(v.build, "daemon/uptanectl/uptanectl"), program], check=True)
    for verb in (["condition", "parked", "yes"], ["inhibit", "install", "why"]):
        result = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, *verb],
                                env=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS="unix:path=" + v.path("bus")), capture_output=True, text=True,
                                timeout=30, check=False)
        assert result.returncode == 77, result  # AccessDenied
    assert v.property("Inhibitors") == []
