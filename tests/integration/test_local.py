# SPDX-License-Identifier: Apache-2.0
"""T-55 to T-58: what others on the vehicle may ask for, how much of it, and what they may read."""
import os
import shutil
import stat
import subprocess

import pytest
from gi.repository import Gio, GLib
from test_update import error_name, start, wait_question
from vehicle import HERE, wait_for

VERBS = {
    "CheckForUpdates": [], "Approve": ["ss", "an update", "download"], "Decline": ["ss", "an update", "no"],
    "Postpone": ["st", "an update", "4000000000000000"], "Cancel": [], "Pause": [], "Resume": [], "Reboot": [],
}
ASK = "[update]\nconsent-download = ask\n"


class Polkit:
    """Made before the vehicle boots."""

    def __init__(self, vehicle):
        self.folder = vehicle.path("polkit")
        os.makedirs(self.folder)
        shutil.copy(os.path.join(HERE, "polkit.py"), vehicle.path("polkit.py"))
        vehicle.services["polkit"] = {"command": ["/usr/bin/python3", vehicle.path("polkit.py"), self.folder],
                                      "log": vehicle.path("log", "polkit"), "wait_for": os.path.join(self.folder, "ready")}

    def asked(self):
        return {int(name.split(".")[0]): self._read(name) for name in os.listdir(self.folder) if name.endswith(".asked")}

    def _read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as f:
            return f.read()

    def answer(self, number, yes):
        new = os.path.join(self.folder, "answer.new")
        with open(new, "w", encoding="utf-8") as f:
            f.write("yes" if yes else "no")
        os.rename(new, os.path.join(self.folder, "%d.answer" % number))


def stranger(world, method, *arguments):
    """A caller that is neither root nor a member of the group; a process."""
    v = world.vehicle
    for folder in (world.folder, v.folder):
        os.chmod(folder, 0o711)
    return subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "busctl", "--address=unix:path=" + v.path("bus"),
                             "--timeout=100", "call", "org.uptane.Primary1", "/org/uptane/Primary1", "org.uptane.Primary1", method, *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def said(process):
    out = process.communicate(timeout=30)[0]
    return process.returncode, out


def test_t55_a_stranger_is_denied_every_verb(world):
    v = start(world)
    world.backend.log.clear()
    for method, arguments in VERBS.items():
        status, out = said(stranger(world, method, *arguments))
        assert status != 0 and "only root and members of group uptane" in out, (method, out)
    assert v.state() == "idle" and v.error() == ("", "") and not world.backend.requests()


def test_t55_polkit_is_asked_for_each_verb_by_its_own_name(world):
    polkit = Polkit(world.vehicle)
    v = start(world)
    for n, (method, arguments) in enumerate(VERBS.items(), 1):
        call = stranger(world, method, *arguments)
        wait_for(lambda: n in polkit.asked(), "the question")
        assert polkit.asked()[n] == "org.uptane.Primary1." + method.lower().replace("forupdates", "")
        polkit.answer(n, False)
        status, out = said(call)
        assert status != 0 and "polkit does not allow it" in out, (method, out)
    assert v.state() == "idle"


@pytest.mark.world(config=ASK)
def test_t55_a_yes_that_comes_late_is_held_against_what_is_so_by_then(world):
    polkit = Polkit(world.vehicle)
    v = start(world)
    first = world.assign(firmware=world.publish_firmware("first.bin", b"first"))
    v.check()
    wait_question(v, "download", first)
    call = stranger(world, "Approve", "ss", first, "download")
    wait_for(lambda: 1 in polkit.asked(), "the question")
    second = world.assign(firmware=world.publish_firmware("second.bin", b"second"))
    v.call("CheckForUpdates")
    wait_question(v, "download", second)
    polkit.answer(1, True)
    status, out = said(call)
    assert status != 0 and "no update '%s' is waiting" % first in out
    wait_question(v, "download", second)
    assert not world.backend.requests("targets/")


@pytest.mark.world(config=ASK)
def test_t55_what_a_caller_who_is_gone_has_asked_for_is_not_done(world):
    polkit = Polkit(world.vehicle)
    v = start(world)
    update = world.assign(firmware=world.publish_firmware("gone.bin", b"gone"))
    v.check()
    wait_question(v, "download", update)
    call = stranger(world, "Approve", "ss", update, "download")
    wait_for(lambda: 1 in polkit.asked(), "the question")
    call.kill()
    said(call)
    polkit.answer(1, True)
    # whoever asks behind it is answered behind it, and gets what was asked for
    call = stranger(world, "Approve", "ss", update, "no such stage")
    wait_for(lambda: 2 in polkit.asked(), "the question")
    polkit.answer(2, True)
    assert "is no stage" in said(call)[1]
    wait_question(v, "download", update)
    assert not world.backend.requests("targets/")
    call = stranger(world, "Approve", "ss", update, "download")
    wait_for(lambda: 3 in polkit.asked(), "the question")
    polkit.answer(3, True)
    assert said(call)[0] == 0
    wait_for(lambda: v.state() == "idle" and v.secondaries[0].content() == b"gone", "the update")


@pytest.mark.world(config=ASK)
def test_t55_a_yes_is_to_the_call_that_was_asked_about_and_to_no_other(world):
    polkit = Polkit(world.vehicle)
    v = start(world)
    update = world.assign(firmware=world.publish_firmware("one.bin", b"one"))
    v.check()
    wait_question(v, "download", update)
    postpone = stranger(world, "Postpone", "st", update, str((int(v.property("LastCheck") / 1e6) + 3600) * 1000000))
    wait_for(lambda: 1 in polkit.asked(), "the question")
    approve = stranger(world, "Approve", "ss", update, "download")
    wait_for(lambda: 2 in polkit.asked(), "the other question")
    polkit.answer(1, True)
    assert said(postpone)[0] == 0
    polkit.answer(2, False)
    assert said(approve)[0] != 0
    assert v.state() == "awaiting-consent" and not world.backend.requests("targets/")


@pytest.mark.world(config=ASK)
def test_t56_consent_is_to_one_offer_once_and_to_nothing_that_is_not_offered(world):
    v = start(world)
    assert error_name(v.call, "Approve", "(ss)", ("none", "download")) == "org.uptane.Error.NoSuchUpdate"
    update = world.assign(firmware=world.publish_firmware("offer.bin", b"offer"))
    v.check()
    wait_question(v, "download", update)
    for wrong in ("", update + "x", update[:-1], "targets-1"):
        assert error_name(v.call, "Approve", "(ss)", (wrong, "download")) == "org.uptane.Error.NoSuchUpdate"
        wait_question(v, "download", update)
    assert not world.backend.requests("targets/")
    world.backend.faults.add("targets/offer.bin", "stall")
    v.call("Approve", "(ss)", (update, "download"))
    v.call("Approve", "(ss)", (update, "download"))  # twice is once
    v.wait_state("downloading")
    world.backend.faults.clear()
    wait_for(lambda: v.state() == "idle" and v.secondaries[0].content() == b"offer", "the update")
    assert len(world.director.reports()) == 1
    assert error_name(v.call, "Approve", "(ss)", (update, "download")) == "org.uptane.Error.NoSuchUpdate"


def memory(pid):
    """Peak, in KiB."""
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        return int(next(line for line in f if line.startswith("VmHWM")).split()[1])


def connect(v):
    return Gio.DBusConnection.new_for_address_sync(
        v.bus_address(), Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)


def test_t57_floods_and_huge_arguments_cost_little_and_stop_nothing(world):
    v = start(world)
    pid, before = v.daemon_pid(), memory(v.daemon_pid())
    connection = connect(v)
    name = ("org.uptane.Primary1", "/org/uptane/Primary1", "org.uptane.Primary1")
    answers = []
    for _ in range(3000):
        connection.call(*name, "Approve", GLib.Variant("(ss)", ("x", "install")), None, Gio.DBusCallFlags.NONE, 30000, None,
                        lambda c, result: answers.append(c.call_finish))
    for i in range(10000):
        connection.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch",
                        GLib.Variant("(s)", ("type='signal',sender='org.uptane.Primary1',arg0='%d'" % i,)), None, Gio.DBusCallFlags.NONE, -1, None)
    loop = GLib.MainContext.default()
    wait_for(lambda: loop.iteration(False) is None or len(answers) == 3000, "the answers", 60, pause=0)
    huge = "x" * (4 << 20)
    for method, signature, arguments in (("Approve", "(ss)", (huge, "install")), ("Approve", "(ss)", ("x", huge)),
                                         ("Decline", "(ss)", ("x", huge)), ("Postpone", "(st)", (huge, 1))):
        assert error_name(v.call, method, signature, arguments) == "org.uptane.Error.InvalidArgument"
    assert v.call("GetHistory", "(u)", (0xffffffff,)) == ([],)
    world.update_firmware()
    connection.close_sync(None)
    assert v.daemon_pid() == pid and memory(pid) - before < 48 * 1024


def test_t57_questions_that_wait_for_polkit_are_few(world):
    Polkit(world.vehicle)
    v = start(world)
    calls = [stranger(world, "Pause") for _ in range(40)]
    wait_for(lambda: sum(call.poll() is not None for call in calls) == 8, "the answers to those that are too many", 60)
    assert all("32 questions wait for polkit already" in said(call)[1] for call in calls if call.poll() is not None)
    v.call("Pause")
    v.call("Resume")
    for call in calls:
        if call.poll() is None:
            call.kill()
            said(call)
    v.wait_state("idle")


def open_to_others(folder):
    return [os.path.join(path, name) for path, folders, files in os.walk(folder) for name in [*folders, *files]
            if not stat.S_ISSOCK(os.lstat(os.path.join(path, name)).st_mode) and os.lstat(os.path.join(path, name)).st_mode & 0o077]


def test_t58_nothing_of_the_state_is_open_to_others_whatever_the_umask_and_what_was_is_repaired(world):
    v = world.vehicle
    v.wrap["uptaned"] = ["sh", "-c", "umask 0; exec /run/build/daemon/uptaned/uptaned \"$@\"", "sh"]
    os.chmod(v.path("state"), 0o777)
    start(world)
    world.update_firmware()
    assert {"uptaned.db", "primary.key", "images"} <= set(os.listdir(v.path("state")))
    assert open_to_others(v.path("state")) == [] and os.stat(v.path("state")).st_mode & 0o777 == 0o700
    v.power_cut()
    os.chmod(v.path("state"), 0o755)
    for name in ("uptaned.db", "primary.key"):
        os.chmod(v.path("state", name), 0o666)
    start(world)
    assert [name for name in open_to_others(v.path("state")) if not name.endswith("-wal")] == []
    assert os.stat(v.path("state")).st_mode & 0o777 == 0o700
    world.update_firmware()
