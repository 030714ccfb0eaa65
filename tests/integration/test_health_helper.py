# SPDX-License-Identifier: Apache-2.0
"""uptane-health as it runs: checks that are programs, and a service manager on a bus of its own."""
import json
import os
import pathlib
import subprocess
import time

import pytest
from gi.repository import GLib

from helpers_fixture import Activator, Client, RemoteError, program
from vehicle import BUS_CONF, wait_for

HERE = pathlib.Path(__file__).parent
TARGET = "boot-complete.target"


class HealthClient(Client):
    def __init__(self, path):
        super().__init__(path, "/org/uptane/Health1", "org.uptane.Health1")

    def run_checks(self, seconds=20):
        self.call("RunChecks", GLib.Variant("(u)", (seconds,)), "()")

    def wait_boot(self, seconds=20):
        self.call("WaitBoot", GLib.Variant("(u)", (seconds,)), "()")


class Checks:
    def __init__(self, folder):
        self.folders = [folder / "vendor", folder / "local"]
        self.trace = folder / "trace"
        for path in self.folders:
            path.mkdir()

    def put(self, name, script, folder=0, mode=0o755):
        path = self.folders[folder] / name
        path.write_text(f"#!/bin/sh\necho {name} {folder} >> {self.trace}\n{script}\n")
        path.chmod(mode)

    def ran(self):
        return self.trace.read_text().splitlines() if self.trace.exists() else []


@pytest.fixture
def checks(tmp_path):
    return Checks(tmp_path)


@pytest.fixture
def manager(tmp_path):
    """Says what a service manager on a bus of its own answers; .bus is its address."""
    folder = tmp_path
    address = f"unix:path={folder}/bus"
    (folder / "bus.conf").write_text(BUS_CONF % (folder / "bus"))
    bus = subprocess.Popen(["dbus-daemon", "--nofork", "--nopidfile", f"--config-file={folder}/bus.conf"])
    wait_for((folder / "bus").exists, "the bus")
    mock = subprocess.Popen(["/usr/bin/python3", HERE / "systemd1.py", folder / "systemd1.json"],
                            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address})

    def say(states, requires=()):
        (folder / "new").write_text(json.dumps({"states": states, "requires": list(requires)}))
        (folder / "new").rename(folder / "systemd1.json")

    say.bus = address
    wait_for(lambda: "systemd1" in subprocess.run(["busctl", "--address=" + address, "list"], capture_output=True, text=True,
                                                  check=False).stdout, "the service manager")
    yield say
    for process in (mock, bus):
        process.terminate()
        process.wait()


@pytest.fixture
def helper(tmp_path, checks):
    started = []

    def begin(**environment):
        folder = tmp_path / ("helper%d" % len(started))
        folder.mkdir()
        started.append(Activator(folder, [program("health", "uptane-health"), *["--folder=%s" % f for f in checks.folders]], **environment))
        return started[-1].socket

    yield begin
    for activator in started:
        activator.stop()


def fails(name, f, *args):
    with pytest.raises(RemoteError) as caught:
        f(*args)
    assert caught.value.name == name, str(caught.value)
    return caught.value.message


# ---- checks ----

def test_checks_run_in_the_order_of_their_names(helper, checks):
    checks.put("20-b", "exit 0")
    checks.put("10-a", "exit 0", folder=1)
    checks.put("30-c", "exit 0")
    checks.put(".hidden", "exit 1")
    with HealthClient(helper()) as c:
        c.run_checks()
    assert checks.ran() == ["10-a 1", "20-b 0", "30-c 0"]


def test_no_check_is_no_failure(helper, checks):
    for folder in checks.folders:
        folder.rmdir()
    with HealthClient(helper()) as c:
        c.run_checks()


def test_local_check_hides_its_namesake_and_one_that_cannot_run_switches_it_off(helper, checks):
    checks.put("a", "exit 1")
    checks.put("a", "exit 0", folder=1)
    checks.put("b", "exit 1")
    (checks.folders[1] / "b").symlink_to("/dev/null")
    checks.put("c", "exit 1", mode=0o644)
    with HealthClient(helper()) as c:
        c.run_checks()
    assert checks.ran() == ["a 1"]


def test_failed_check_is_named_with_its_last_words_and_ends_the_round(helper, checks):
    checks.put("a", "exit 0")
    checks.put("b", "echo first; printf 'no \\033answer\\tfrom CAN\\n\\n'; exit 3")
    checks.put("c", "exit 0")
    with HealthClient(helper()) as c:
        assert fails("HealthCheck", c.run_checks) == "health check 'b' failed with status 3: no  answer from CAN"
    assert checks.ran() == ["a 0", "b 0"]


def test_check_that_hangs_is_killed_and_named(helper, checks):
    checks.put("slow", "sleep 1000")
    begin = time.monotonic()
    with HealthClient(helper()) as c:
        assert "'slow'" in fails("HealthCheck", c.run_checks, 1)
    assert time.monotonic() - begin < 20


def test_check_that_is_no_program_is_named(helper, checks):
    checks.put("x", "exit 0")
    (checks.folders[0] / "x").write_text("#!/nonexistent/interpreter\n")
    with HealthClient(helper()) as c:
        assert "'x'" in fails("HealthCheck", c.run_checks)


def test_check_that_a_signal_ended_failed(helper, checks):
    checks.put("x", "kill -SEGV $$")
    with HealthClient(helper()) as c:
        assert "status 139" in fails("HealthCheck", c.run_checks)


@pytest.mark.parametrize("seconds", [0, 30 * 86400 + 1])
def test_time_that_makes_no_sense_is_refused(helper, seconds):
    with HealthClient(helper()) as c:
        fails("InvalidArgument", c.run_checks, seconds)
        fails("InvalidArgument", c.wait_boot, seconds)


# ---- boot-complete.target ----

def test_a_complete_boot_is_seen_at_once_or_when_it_comes(helper, manager):
    with HealthClient(helper(DBUS_SYSTEM_BUS_ADDRESS=manager.bus)) as c:
        manager({TARGET: "active"})
        c.wait_boot()
        manager({TARGET: "inactive", "can.service": "activating"}, ["can.service"])
        process = subprocess.Popen(["/bin/sleep", "1"])
        c.connection.call(None, c.object_path, c.interface, "WaitBoot", GLib.Variant("(u)", (20,)), None, 0, -1, None)
        c.connection.flush_sync(None)
        process.wait()
        manager({TARGET: "active", "can.service": "active"}, ["can.service"])
        c.wait_boot()


def test_failed_unit_before_the_target_is_named_without_waiting(helper, manager):
    manager({TARGET: "inactive", "can.service": "failed", "audio.service": "failed", "radio.service": "activating"},
            ["radio.service", "can.service", "audio.service"])
    begin = time.monotonic()
    with HealthClient(helper(DBUS_SYSTEM_BUS_ADDRESS=manager.bus)) as c:
        assert fails("HealthCheck", c.wait_boot, 20) == "failed before boot-complete.target: can.service audio.service"
    assert time.monotonic() - begin < 10


def test_target_that_is_not_reached_in_time_names_what_failed(helper, manager):
    manager({TARGET: "inactive", "can.service": "inactive", "bus.service": "failed"}, ["can.service"])
    with HealthClient(helper(DBUS_SYSTEM_BUS_ADDRESS=manager.bus)) as c:
        assert fails("HealthCheck", c.wait_boot, 1) == "boot-complete.target was not reached within 1 s; failed units: bus.service"


def test_unit_that_failed_elsewhere_does_not_matter(helper, manager):
    manager({TARGET: "active", "printer.service": "failed"}, ["can.service"])
    with HealthClient(helper(DBUS_SYSTEM_BUS_ADDRESS=manager.bus)) as c:
        c.wait_boot()


def test_no_service_manager_is_no_verdict(helper, tmp_path):
    with HealthClient(helper(DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={tmp_path}/nobody")) as c:
        fails("System", c.wait_boot, 1)
