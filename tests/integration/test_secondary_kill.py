# SPDX-License-Identifier: Apache-2.0
"""A Secondary loses its power at every message of an update and at every write: whatever it was, it starts again, runs the old image
or the new one whole and says so, trusts what it trusted, never uses a report counter again, and the update can be made."""
import itertools
import json
import os
import subprocess
import time

import pytest

from der import collection, message, octets, parse
from helpers_fixture import program
from remote import wait_for
from test_secondary_exec import COMPLETE, GOOD, LATER, NEED_COMPLETION, ExecEcu
from test_secondary_ip import ALREADY, FIRMWARE, NOT_INSTALLED, OK, ROLES, Ecu, put_targets, with_roles

NEW = FIRMWARE[::-1] * 2
WRITES_MAX = 60  # more would mean that the loop below never ends


class Killed(Exception):
    pass


class Fragile(Ecu):
    """strace kills it at the write with that number; after a death, exchange() says so."""

    def dying_command(self, number):
        return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,rename",
                "-e", "inject=fsync,fdatasync,rename:signal=KILL:when=%d" % number,
                program("secondary", "uptane-secondary"), "--config", str(self.config)]

    def start_to_die(self, number):
        self.stop()
        (self.folder / "state" / "address").unlink(missing_ok=True)
        self.process = subprocess.Popen(self.dying_command(number), stderr=open(self.folder / "log", "ab"))
        while not (self.folder / "state" / "address").exists():
            if self.process.poll() is not None:
                raise Killed
        self.address = (self.folder / "state" / "address").read_text().strip()

    def exchange(self, data, connection=None):
        try:
            answer = super().exchange(data, connection)
        except ConnectionError as e:
            raise Killed from e
        if answer == b"":
            raise Killed
        return answer

    def stop(self):
        if self.process and "strace" in self.process.args:
            subprocess.run(["pkill", "-P", str(self.process.pid)], check=False)
            self.process.wait(10)
            self.process = None
        super().stop()


def messages(ecu):
    """All that a Primary says for one update of the ECU to NEW, in order."""
    yield message(17, b"\x02\x01\x02")
    yield message(2)
    for repository, files in ((0, ecu.director.files), (1, ecu.image.files)):
        yield message(19, b"\x0a\x01" + bytes([repository]))
        yield message(21, b"\x0a\x01" + bytes([repository]), octets(files["2.root.json"]))
    yield message(14, collection(ecu.image, with_roles("supplier")), collection(ecu.director, ROLES))
    for i in range(0, len(NEW), 1024):
        yield message(10, octets(NEW[i:i + 1024]))
    yield message(8, octets(b"new.bin"))
    yield message(2)


def prepare(folder, **settings):
    """It runs FIRMWARE; NEW is assigned, listed by a delegated role, and both Roots have rotated since."""
    folder.mkdir()
    ecu = Fragile(folder, **settings)
    ecu.start()
    assert ecu.update(counter=1) == (OK, "")
    ecu.director.rotate("timestamp")
    ecu.image.rotate("snapshot")
    ecu.assign(name="new.bin", data=NEW, counter=2)
    ecu.image.delegate("supplier", paths=["*"])
    ecu.image.delegated["supplier"].targets = {"new.bin": ecu.image.targets.pop("new.bin")}
    ecu.image.publish()
    ecu.highest = int(ecu.report()["report_counter"])
    return ecu


def look(ecu):
    """Starts it again: it is in order."""
    ecu.stop()
    ecu.start()
    report = ecu.report()
    assert ecu.firmware.read_bytes() in (FIRMWARE, NEW), "a mixture"
    name = {FIRMWARE: "brake.bin", NEW: "new.bin"}[ecu.firmware.read_bytes()]
    assert report["installed_image"]["filepath"] == name, "it says something else than it runs"
    assert report["attacks_detected"] == ""
    assert int(report["report_counter"]) > ecu.highest
    assert ecu.root_version(0) in (1, 2) and ecu.root_version(1) in (0, 1, 2)


def finish(ecu):
    """The Primary tries it again, from the beginning."""
    for repository, files in ((0, ecu.director.files), (1, ecu.image.files)):
        if ecu.root_version(repository) == 1:
            assert ecu.put_root(repository, files["2.root.json"]) == (OK, "")
    assert ecu.put_metadata(ROLES, with_roles("supplier")) == (OK, "")
    if ecu.report()["installed_image"]["filepath"] != "new.bin":
        assert ecu.upload(NEW) == (OK, "")
    assert ecu.install("new.bin")[0] in (OK, ALREADY)
    assert ecu.firmware.read_bytes() == NEW
    ecu.restart()
    assert ecu.report()["installed_image"]["filepath"] == "new.bin"
    ecu.assign(name="old.bin", data=b"old", counter=1)
    assert ecu.put_metadata(ROLES)[0] != OK, "the release counter's baseline was lost"
    ecu.stop()


def note(ecu, request, answer):
    if parse(request)[0] == 2:
        ecu.highest = max(ecu.highest, int(json.loads(parse(answer)[1][0])["signed"]["report_counter"]))


@pytest.mark.parametrize("verification", ["full", "partial"])
def test_power_is_lost_at_every_write(tmp_path, verification):
    for number in itertools.count(1):
        assert number < WRITES_MAX
        ecu = prepare(tmp_path / str(number), verification=verification)
        try:
            ecu.start_to_die(number)
            for request in messages(ecu):
                note(ecu, request, ecu.exchange(request))
            died = False
        except Killed:
            died = True
        look(ecu)
        finish(ecu)
        if not died:
            break
    assert number > 6, "nobody was killed"


def die_at(ecu, requests, number, answered):
    """It loses its power at the request with that number: before its answer comes, or after."""
    for i, request in enumerate(requests):
        if i == number and not answered:
            with ecu.connect() as s:
                s.sendall(request)
                ecu.process.kill()
        else:
            note(ecu, request, ecu.exchange(request))
        if i == number:
            ecu.process.kill()
            break
    ecu.process.wait(10)
    ecu.process = None


# before its answer comes, and after; the message itself may have been done or not
@pytest.mark.parametrize("answered", [False, True])
def test_power_is_lost_at_every_message(tmp_path, answered):
    ecu = prepare(tmp_path / "all")
    count = len(list(messages(ecu)))
    ecu.stop()
    for number in range(count):
        ecu = prepare(tmp_path / str(number))
        die_at(ecu, messages(ecu), number, answered)
        look(ecu)
        finish(ecu)


# ---- where a handler installs ----

SAME = COMPLETE.replace("mv", "[ ! -e $M.new ] || mv", 1)  # once more is once
FAILS = """printf half > $M; echo '{"status":"failed","message":"told to"}'"""
WAYS = {"at once": (GOOD, SAME), "behind a boot": (LATER, SAME), "in vain": (FAILS, SAME), "in vain behind a boot": (LATER, FAILS)}


class FragileExec(Fragile, ExecEcu):
    """Its handler's memory is a file; its boots are the test's."""

    def dying_command(self, number):
        command = self.command()
        at = command.index(program("secondary", "uptane-secondary"))
        return command[:at] + super().dying_command(number)

    def close(self):
        self.stop()
        self.helper.stop()


def exec_messages(ecu):
    yield message(14, collection(ecu.image, ()), collection(ecu.director, ("targets",)))
    for i in range(0, len(NEW), 1024):
        yield message(10, octets(NEW[i:i + 1024]))
    yield message(8, octets(b"new.bin"))
    yield message(2)


def prepare_exec(folder, way):
    folder.mkdir()
    ecu = FragileExec(folder, verification="partial")
    (folder / "roots" / "image.root.json").unlink()
    ecu.put_handler(*WAYS[way])
    ecu.start()
    ecu.assign(name="new.bin", data=NEW, counter=2)
    ecu.highest = int(ecu.report()["report_counter"])
    return ecu


def settled(ecu):
    """What it reports, which is what it has: nobody else works on that any more."""
    report = ecu.report()
    assert int(report["report_counter"]) > ecu.highest, "a counter was used again"
    assert report["attacks_detected"] == ""
    ecu.highest = int(report["report_counter"])
    held = ecu.memory.read_bytes()
    assert held in (b"old", NEW), "neither the old nor the new: %r" % held[:20]
    assert report["installed_image"]["filepath"] == {b"old": "factory.bin", NEW: "new.bin"}[held], "it says something else than it runs"
    time.sleep(0.1)
    assert ecu.memory.read_bytes() == held, "somebody goes on behind its back"
    return held


def finish_exec(ecu, way):
    """Behind the death: the ECU is started, perhaps booted, and a Primary that has heard nothing begins again; till the end."""
    late, fails = "behind" in way, "in vain" in way
    ecu.stop()
    ecu.start()
    if settled(ecu) != NEW:
        done = ecu.actions().count("install")
        waits = (ecu.folder / "state" / "reboot-required").exists()
        assert put_targets(ecu) == (OK, "") and (waits or ecu.upload(NEW) == (OK, ""))
        code, words = ecu.install("new.bin")
        assert code == (NEED_COMPLETION if late else NOT_INSTALLED if fails else OK), (code, words)
        assert ecu.actions().count("install") == done + (not waits), "it waits for its boot: the handler is not asked again"
        assert ("told to" in words) == (fails and not late), words
    if late:
        ecu.reboot(2)
    assert settled(ecu) == (b"old" if fails else NEW)
    actions = ecu.actions()
    ecu.restart()
    assert settled(ecu) == (b"old" if fails else NEW)
    assert [a for a in ecu.actions()[len(actions):] if a != "get-firmware-info"] == [], "what is over is not begun again"
    ecu.put_handler()
    if fails:
        assert ecu.update(data=NEW) == (OK, "")
    assert ecu.install("new.bin")[0] in (ALREADY, OK) if fails else put_targets(ecu) == (OK, "") and ecu.install("new.bin")[0] == ALREADY
    ecu.close()


needs_boots = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the boot id is another one")


@needs_boots
@pytest.mark.parametrize("way", WAYS)
def test_power_is_lost_at_every_write_where_a_handler_installs(tmp_path, way):
    for number in itertools.count(1):
        assert number < WRITES_MAX
        ecu = prepare_exec(tmp_path / str(number), way)
        try:
            ecu.start_to_die(number)
            for request in exec_messages(ecu):
                note(ecu, request, ecu.exchange(request))
            died = False
        except Killed:
            died = True
        finish_exec(ecu, way)
        if not died:
            break
    assert number > 4, "nobody was killed"


@needs_boots
@pytest.mark.parametrize("way", [way for way in WAYS if "behind" in way])
def test_power_is_lost_at_every_write_of_a_completion(tmp_path, way):
    for number in itertools.count(1):
        assert number < WRITES_MAX
        ecu = prepare_exec(tmp_path / str(number), way)
        assert ecu.update(data=NEW)[0] == NEED_COMPLETION
        ecu.stop()
        ecu.set_boot(2)
        try:
            ecu.start_to_die(number)
            note(ecu, message(2), ecu.exchange(message(2)))
            died = False
        except Killed:
            died = True
        ecu.stop()
        ecu.start()
        assert settled(ecu) == (b"old" if "in vain" in way else NEW)
        assert not (ecu.folder / "state" / "reboot-required").exists(), "it does not wait any more"
        assert ecu.actions().count("install") == 1
        ecu.close()
        if not died:
            break
    assert number > 2, "nobody was killed"


@needs_boots
@pytest.mark.parametrize("way", ["at once", "behind a boot"])
@pytest.mark.parametrize("answered", [False, True])
def test_power_is_lost_at_every_message_where_a_handler_installs(tmp_path, answered, way):
    count = len(NEW) // 1024 + (len(NEW) % 1024 > 0) + 3
    for number in range(count):
        ecu = prepare_exec(tmp_path / str(number), way)
        die_at(ecu, exec_messages(ecu), number, answered)
        finish_exec(ecu, way)


# its handler is at work behind the boot, and has done nothing yet, or all of it
@needs_boots
@pytest.mark.parametrize("done", [False, True])
def test_power_is_lost_while_the_handler_completes(tmp_path, done):
    ecu = prepare_exec(tmp_path / "ecu", "behind a boot")
    assert ecu.update(data=NEW)[0] == NEED_COMPLETION
    there = tmp_path / "there"
    ecu.put_handler(LATER, "%s: > %s; sleep 1000" % (SAME.replace("echo", "true") + "; " if done else "", there))
    ecu.stop()
    ecu.set_boot(2)
    ecu.start()
    wait_for(there.exists, "the handler")
    ecu.process.kill()
    ecu.process.wait(10)
    ecu.process = None
    ecu.put_handler(LATER, SAME)
    ecu.start()
    assert settled(ecu) == NEW
    assert ecu.actions().count("install") == 1 and "rollback" not in ecu.actions()
    ecu.close()
