# SPDX-License-Identifier: Apache-2.0
"""T-63: a state that cannot be read, written or understood stops the daemon, with words. No new one is begun in its place."""
import contextlib
import os
import shutil
import sqlite3
import subprocess

import pytest
from gi.repository import Gio, GLib
from state import trusted
from test_update import start
from vehicle import wait_for

SCRIPT = "/run/build/daemon/uptaned/uptaned \"$@\"; echo $? >> '%s'; sleep 0.3"


@pytest.fixture
def stopped(world):
    """A vehicle without power, behind a good update; its daemon's ends are counted with their status. A copy of its state is kept."""
    v = world.vehicle
    v.wrap["uptaned"] = ["sh", "-c", SCRIPT % v.path("ends"), "sh"]
    start(world)
    world.update_firmware()
    v.control("stop", "uptaned")
    world.trusted = trusted(v)
    v.power_cut()
    shutil.copytree(v.path("state"), v.path("copy"))
    world.backend.log.clear()
    return world


def ends(v):
    with open(v.path("ends"), encoding="utf-8") as f:
        return [int(line) for line in f]


def stops(world, status, *words):
    """The daemon starts and ends, again and again, and says why; nobody is told anything, and nothing of the state is new."""
    v = world.vehicle
    with open(v.path("ends"), "w", encoding="utf-8"):
        pass
    v.boot(wait=False)
    wait_for(lambda: len(ends(v)) >= 3, lambda: "three ends; " + v.log("uptaned")[-1500:])
    assert set(ends(v)) == {status}
    for word in words:
        assert word in v.log("uptaned"), v.log("uptaned")[-1500:]
        assert any(line.startswith("STATUS=") and word in line for line in v.notifications), v.notifications
    assert "READY=1" not in v.notifications and not world.backend.requests()
    v.power_cut()


def goes_on(world):
    """With the state put back, all is as it was: what was trusted then is what is trusted now."""
    v = world.vehicle
    shutil.rmtree(v.path("state"))
    shutil.copytree(v.path("copy"), v.path("state"))
    assert trusted(v) == world.trusted
    start(world)
    world.update_firmware()
    assert v.error() == ("", "") and not world.director.refused


def read(path):
    with open(path, "rb") as f:
        return f.read()


def checkpoint(path):
    """All of it is in one file."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize("how", ["bytes", "cut", "no database"])
def test_t63_a_damaged_database_stops_the_daemon_and_no_new_root_is_trusted(stopped, how):
    v = stopped.vehicle
    path = v.path("state", "uptaned.db")
    checkpoint(path)
    data = read(path)
    damaged = {"bytes": data[:4096] + os.urandom(len(data) - 4096), "cut": data[:len(data) // 2 - 100], "no database": b"x" * 10000}[how]
    with open(path, "wb") as f:
        f.write(damaged)
    stops(stopped, 62, "damaged")
    assert read(path + ".damaged-1") == damaged and not os.path.exists(path)
    stops(stopped, 62, "was found damaged and is kept as")  # nor later: somebody has to decide
    assert not os.path.exists(path)
    goes_on(stopped)


def test_t63_a_database_of_newer_software_is_left_as_it_is(stopped):
    v = stopped.vehicle
    path = v.path("state", "uptaned.db")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA user_version = 99")
        db.execute("UPDATE value SET value = '99' WHERE name = 'oldest-format'")
    checkpoint(path)
    stops(stopped, 61, "was written by a newer version of this software (format 99,")
    checkpoint(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert list(db.execute("SELECT value FROM value WHERE name = 'oldest-format'")) == [("99",)]
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
    assert trusted(v) == stopped.trusted
    goes_on(stopped)


def test_t63_a_database_that_is_gone_is_no_reason_to_take_a_root_from_the_network(stopped):
    v = stopped.vehicle
    for name in ("director", "image"):
        os.unlink(v.path("roots", name + ".root.json"))
    for name in os.listdir(v.path("state")):
        if name.startswith("uptaned.db"):
            os.unlink(v.path("state", name))
    stops(stopped, 31, "root.json")
    stopped.vehicle._ship_roots()
    goes_on(stopped)


def in_vehicle(v, *command):
    init = subprocess.run(["pgrep", "-P", str(v.process.pid)], capture_output=True, text=True, check=True).stdout.split()[0]
    subprocess.run(["nsenter", "--target=" + init, "--mount", "--root", "--wd=/", *command], check=True)


def test_t63_a_file_system_that_is_read_only_at_the_start_is_waited_for(world):
    v = world.vehicle
    start(world)
    world.update_firmware()
    before = trusted(v)
    v.control("stop", "uptaned")
    in_vehicle(v, "mount", "--bind", v.path("state"), v.path("state"))
    in_vehicle(v, "mount", "-o", "remount,ro,bind", v.path("state"))
    v.notifications.clear()
    world.backend.log.clear()
    v.control("start", "uptaned")
    wait_for(lambda: any(line.startswith("STATUS=") and "Read-only file system" in line for line in v.notifications), "the reason")
    assert not world.backend.requests() and trusted(v) == before
    in_vehicle(v, "umount", v.path("state"))
    v.wait_ready()
    world.update_firmware()
    assert v.error() == ("", "") and not world.director.refused


def test_t63_a_file_system_that_becomes_read_only_stops_what_would_have_to_be_written_down(world):
    v = start(world)
    world.update_firmware()
    before, content = trusted(v), v.secondaries[0].content()
    calls = "pwrite64,ftruncate,fsync,fdatasync,openat"
    strace = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls, "-e", "inject=%s:error=EROFS" % calls, "-p",
                               str(v.daemon_pid())], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: "TracerPid:\t%d\n" % strace.pid in read("/proc/%d/status" % v.daemon_pid()).decode(), "strace")
        world.assign(firmware=world.publish_firmware("unwritable.bin", b"unwritable"))
        v.call("CheckForUpdates")
        wait_for(lambda: v.error()[0] == "Storage", lambda: "the error; %s" % (v.error(),))
        assert "org.uptane.Error.Storage" in v.ctl("status").stdout
        with pytest.raises(GLib.Error) as caught:
            v.call("Pause")
        assert Gio.DBusError.get_remote_error(caught.value) == "org.uptane.Error.Storage"
        assert trusted(v) == before and v.secondaries[0].content() == content
    finally:
        strace.terminate()
        strace.wait()
    wait_for(lambda: v.state() == "idle" and v.secondaries[0].content() == b"unwritable", lambda: "the update; %s" % (v.error(),), 120)
    assert not world.director.refused
