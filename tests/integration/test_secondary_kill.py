# SPDX-License-Identifier: Apache-2.0
"""A Secondary loses its power at every message of an update and at every write: whatever it was, it starts again, runs the old image
or the new one whole and says so, trusts what it trusted, never uses a report counter again, and the update can be made."""
import itertools
import json
import subprocess

import pytest

from der import collection, message, octets, parse
from helpers_fixture import program
from test_secondary_ip import ALREADY, FIRMWARE, OK, ROLES, Ecu, with_roles

NEW = FIRMWARE[::-1] * 2
WRITES_MAX = 60  # more would mean that the loop below never ends


class Killed(Exception):
    pass


class Fragile(Ecu):
    """strace kills it at the write with that number; after a death, exchange() says so."""

    def start_to_die(self, number):
        self.stop()
        (self.folder / "state" / "address").unlink(missing_ok=True)
        self.process = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,rename",
                                         "-e", "inject=fsync,fdatasync,rename:signal=KILL:when=%d" % number,
                                         program("secondary", "uptane-secondary"), "--config", str(self.config)],
                                        stderr=open(self.folder / "log", "ab"))
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
        if self.process and self.process.args[0] == "strace":
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


# before its answer comes, and after; the message itself may have been done or not
@pytest.mark.parametrize("answered", [False, True])
def test_power_is_lost_at_every_message(tmp_path, answered):
    ecu = prepare(tmp_path / "all")
    count = len(list(messages(ecu)))
    ecu.stop()
    for number in range(count):
        ecu = prepare(tmp_path / str(number))
        for i, request in enumerate(messages(ecu)):
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
        look(ecu)
        finish(ecu)
