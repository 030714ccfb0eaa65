# SPDX-License-Identifier: Apache-2.0
"""uptane-secondary as it runs, over TCP with messages made here, and uptane-secondary-ip in front of it."""
import contextlib
import glob
import hashlib
import json
import os
import pathlib
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import types

import pytest
from gi.repository import GLib

from der import collection, enum, message, octets, parse, tlv, whole
from helpers_fixture import BUILD, ROOT, SECONDARY_WITH_LIBRARIES, Activator, Client, RemoteError, program, unused_port

sys.path.insert(0, str(ROOT / "tests"))
from backend.keys import verify  # noqa: E402
from backend.repository import Repository, after  # noqa: E402

INTEROP = pathlib.Path(os.environ.get("INTEROP_DIR", ROOT.parent / "shared" / "interop"))
SERIAL, HARDWARE = "brake-0001", "brake-hw"
FIRMWARE = bytes(range(256)) * 10 + b"end"
DIRECTOR, IMAGE = 0, 1
OK, ALREADY, INVALID, NOT_INSTALLED, BAD_DOWNLOAD, INTERNAL = 0, 1, 3, 4, 5, 18
ROLES = ("root", "timestamp", "snapshot", "targets")
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


# ---- the ECU ----

class Ecu:
    def __init__(self, folder, **settings):
        self.folder = folder
        self.director, self.image = Repository(), Repository()
        roots = folder / "roots"
        roots.mkdir()
        (roots / "director.root.json").write_bytes(self.director.files["root.json"])
        (roots / "image.root.json").write_bytes(self.image.files["root.json"])
        self.firmware = folder / "firmware.bin"
        values = {"serial": SERIAL, "hardware-id": HARDWARE, "listen": "127.0.0.1:0", "state-directory": folder / "state",
                  "root-directory": roots, "install": self.firmware, "image-max": 100000, "verification": "full", **settings}
        self.config = folder / "secondary.conf"
        self.config.write_text("[secondary]\n" + "".join(f"{k} = {v}\n" for k, v in values.items() if v is not None))
        self.process, self.environment = None, {}

    def set_clock(self, ahead):
        """So many seconds ahead of the real one, from the next start on."""
        (self.folder / "clock").write_text("%d\n" % ahead)
        self.environment = {"LD_PRELOAD": str(BUILD / "tests/integration/libtest-clock.so"), "TEST_CLOCK": str(self.folder / "clock"),
                            "ASAN_OPTIONS": "verify_asan_link_order=0:%s" % os.environ.get("ASAN_OPTIONS", "")}

    def command(self):
        return [program("secondary", SECONDARY_WITH_LIBRARIES if self.environment else "uptane-secondary"), "--config", str(self.config)]

    def start(self):
        address = self.folder / "state" / "address"
        address.unlink(missing_ok=True)
        self.process = subprocess.Popen(self.command(),
                                        env=dict(os.environ, **self.environment), stderr=open(self.folder / "log", "ab"))
        deadline = time.monotonic() + 10
        while not address.exists():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        if self.environment:
            with open("/proc/%d/maps" % self.process.pid, encoding="utf-8") as maps:
                assert "libtest-clock" in maps.read(), "its clock is the system's"
        self.address = address.read_text().strip()
        return self

    def log(self):
        return (self.folder / "log").read_text()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(10) == 0, self.log()

    def restart(self):
        self.stop()
        return self.start()

    def connect(self):
        host, port = self.address.rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=10)

    def exchange(self, data, connection=None):
        """The whole answer; b"" if it hung up."""
        s = connection or self.connect()
        s.sendall(data)
        answer = b""
        try:
            while not whole(answer):
                piece = s.recv(65536)
                if not piece:
                    break
                answer += piece
        except ConnectionResetError:
            pass
        if not connection:
            s.close()
        return answer

    def ask(self, kind, *fields):
        return parse(self.exchange(message(kind, *fields)))[1]

    # what a Primary does

    def result(self, kind, *fields):
        code, description = self.ask(kind, *fields)
        return int.from_bytes(code, "big", signed=True), description.decode()

    def report(self):
        document = json.loads(self.ask(2)[0])
        key_type, key = self.ask(0)[2:]
        assert verify(document, {"keytype": ("ED25519", "RSA")[min(key_type[0], 1)], "keyval": {"public": key.decode()}})
        return document["signed"]

    def root_version(self, repository):
        return int.from_bytes(self.ask(19, enum(repository))[0], "big", signed=True)

    def put_root(self, repository, data):
        return self.result(21, enum(repository), octets(data))

    def put_metadata(self, director_roles=("root", "targets"), image_roles=ROLES, time=None):
        """time: the Primary's, sent along."""
        files = {**self.director.files, **({"time.json": time.encode()} if time is not None else {})}
        director = types.SimpleNamespace(files=files)
        return self.result(14, collection(self.image, image_roles), collection(director, director_roles + (("time",) if time is not None else ())))

    def upload(self, data=FIRMWARE):
        return [self.result(10, octets(data[i:i + 1024])) for i in range(0, len(data), 1024)][-1]

    def install(self, name="brake.bin"):
        return self.result(8, octets(name.encode()))

    # what a back-end does

    def assign(self, name="brake.bin", data=FIRMWARE, counter=None, serial=SERIAL, hardware=HARDWARE):
        self.image.targets, self.director.targets = {}, {}
        self.image.target(name, data, hardwareIds=[hardware], releaseCounter=counter)
        self.director.target(name, data, ecuIdentifiers={serial: {"hardwareId": hardware}}, releaseCounter=counter)
        self.image.publish()
        self.director.publish()

    def update(self, **assignment):
        self.assign(**assignment)
        assert self.put_metadata() == (OK, "")
        assert self.upload(assignment.get("data", FIRMWARE)) == (OK, "")
        return self.install(assignment.get("name", "brake.bin"))


@pytest.fixture
def ecu(tmp_path):
    ecu = Ecu(tmp_path)
    ecu.start()
    yield ecu
    ecu.stop()


# Uptane 5.4.1 (3a)
# ---- tests ----

def test_first_start_makes_a_key_and_trusts_the_shipped_roots(ecu):
    serial, hardware, key_type, key = ecu.ask(0)
    assert (serial.decode(), hardware.decode(), key_type) == (SERIAL, HARDWARE, b"\0") and len(key) == 64
    assert (ecu.folder / "state" / "key.pem").stat().st_mode & 0o777 == 0o600
    assert ecu.ask(17, tlv(0x02, b"\x02")) == [b"\x02"]
    assert ecu.root_version(DIRECTOR) == ecu.root_version(IMAGE) == 1
    ecu.restart()
    assert ecu.ask(0)[3] == key


def test_the_state_may_lie_behind_a_link(tmp_path):
    """As below /var/lib/private, where a DynamicUser='s is."""
    (tmp_path / "private").mkdir()
    (tmp_path / "state").symlink_to("private")
    ecu = Ecu(tmp_path).start()
    assert ecu.update() == (OK, "")
    ecu.restart()
    assert ecu.report()["installed_image"]["filepath"] == "brake.bin"
    ecu.stop()


def test_an_rsa_key_on_wish_and_its_id_as_serial(tmp_path):
    ecu = Ecu(tmp_path, **{"key-type": "rsa", "serial": None}).start()
    serial, _, key_type, key = ecu.ask(0)
    assert len(serial) == 64 and key_type == b"\x01" and key.startswith(b"-----BEGIN PUBLIC KEY-----")
    assert ecu.report()["ecu_serial"] == serial.decode()
    ecu.stop()


# Uptane 5.4.2.1.2 (k), Uptane 5.4.3.6 (a)
def test_reports_are_signed_and_counted_even_across_a_restart(ecu):
    first = ecu.report()
    assert first["installed_image"]["filepath"] == "unknown"
    assert first["installed_image"]["fileinfo"] == {"length": 0, "hashes": {"sha256": EMPTY_SHA256}}
    assert first["attacks_detected"] == ""
    counter = int(first["report_counter"])
    ecu.restart()
    assert int(ecu.report()["report_counter"]) > counter > 0


# Uptane 5.4.3.5 (a)
def test_an_update_is_verified_installed_and_reported(ecu):
    assert ecu.update(counter=3) == (OK, "")
    assert ecu.firmware.read_bytes() == FIRMWARE
    assert not pathlib.Path(str(ecu.firmware) + ".part").exists()
    ecu.restart()
    image = ecu.report()["installed_image"]
    assert image["filepath"] == "brake.bin" and image["fileinfo"]["length"] == len(FIRMWARE)
    assert image["fileinfo"]["hashes"]["sha256"] == hashlib.sha256(FIRMWARE).hexdigest()


def test_the_same_image_again_is_already_processed(ecu):
    ecu.update()
    assert ecu.install()[0] == ALREADY
    ecu.restart()
    assert ecu.put_metadata() == (OK, "")
    assert ecu.upload() == (OK, "")
    assert ecu.install()[0] == ALREADY
    assert ecu.firmware.read_bytes() == FIRMWARE


def test_several_messages_go_over_one_connection(ecu):
    ecu.assign()
    with ecu.connect() as s:
        put = message(14, collection(ecu.image, ROLES), collection(ecu.director, ("root", "targets")))
        assert ecu.exchange(put, s)[0] == 0xaf
        for i in range(0, len(FIRMWARE), 1024):
            assert parse(ecu.exchange(message(10, octets(FIRMWARE[i:i + 1024])), s)) == (11, [b"\0", b""])
        assert parse(ecu.exchange(message(8, octets(b"brake.bin")), s)) == (16, [b"\0", b""])
    assert ecu.firmware.read_bytes() == FIRMWARE


# Uptane 5.4 (f), Uptane 5.4.3.3 (1)
def test_nothing_is_taken_without_accepted_metadata(ecu):
    code, description = ecu.upload(b"x")
    assert code == INTERNAL and "no image is expected" in description
    assert ecu.install()[0] == INTERNAL
    ecu.assign()
    assert ecu.put_metadata() == (OK, "")
    ecu.image.edit("targets", lambda signed: signed.update(version=1))
    assert ecu.put_metadata()[0] == INVALID
    assert ecu.upload()[0] == INTERNAL, "what refused metadata had assigned before is still taken"
    assert not ecu.firmware.exists()


# Uptane 5.4.3.3 (2)
def test_an_assignment_to_others_is_none(ecu):
    ecu.assign(serial="other-1", hardware="other-hw")
    assert ecu.put_metadata() == (OK, "")
    code, description = ecu.upload(b"x")
    assert code == INTERNAL and "no image is expected" in description


# Uptane 5.4.3.4 (2, 7, a, b), Uptane 5.4.3.3 (4c)
def test_a_wrong_image_is_refused_and_the_old_one_stays(ecu):
    ecu.update()
    ecu.assign(name="new.bin", data=FIRMWARE + b"2")
    for wrong, word in ((FIRMWARE + b"3", "hashes"), (FIRMWARE, "bytes")):
        assert ecu.put_metadata() == (OK, "")
        assert ecu.upload(wrong) == (OK, "")
        code, description = ecu.install("new.bin")
        assert code == INVALID and word in description
        assert ecu.report()["attacks_detected"] != ""
        assert ecu.upload(b"more")[0] == INTERNAL, "an upload that failed goes on"
    assert ecu.put_metadata() == (OK, "")
    assert ecu.upload(FIRMWARE + b"22")[0] == BAD_DOWNLOAD
    assert ecu.firmware.read_bytes() == FIRMWARE
    assert not pathlib.Path(str(ecu.firmware) + ".part").exists()
    assert ecu.report()["installed_image"]["filepath"] == "brake.bin"
    assert ecu.put_metadata() == (OK, "") and ecu.upload(FIRMWARE + b"2") == (OK, "")
    assert ecu.install("brake.bin")[0] == NOT_INSTALLED
    assert ecu.install("new.bin") == (OK, "")
    assert ecu.firmware.read_bytes() == FIRMWARE + b"2"
    assert ecu.report()["attacks_detected"] == ""


def test_an_image_larger_than_allowed_is_refused_with_its_metadata(ecu):
    ecu.assign(data=bytes(100001))
    assert ecu.put_metadata()[0] == NOT_INSTALLED


def expired(ecu):
    ecu.image.expires["timestamp"] = after(days=-1)
    ecu.image.publish()


def expired_director(ecu):
    ecu.director.expires["targets"] = after(days=-1)
    ecu.director.publish()


def foreign_keys(ecu):
    ecu.director.sign("targets", keys=Repository().keys["targets"])


def rolled_back(ecu):
    ecu.image.edit("timestamp", lambda signed: signed.update(version=1))


def mixed(ecu):
    ecu.image.edit("targets", lambda signed: signed.update(version=99), follow=False)


def other_hashes(ecu):
    ecu.director.target("brake.bin", FIRMWARE[::-1], ecuIdentifiers={SERIAL: {"hardwareId": HARDWARE}})
    ecu.director.publish()


def other_hardware(ecu):
    ecu.image.target("brake.bin", FIRMWARE, hardwareIds=["other-hw"])
    ecu.image.publish()


def not_in_image_repository(ecu):
    ecu.image.targets = {}
    ecu.image.publish()


# Uptane 5.4 (h), Uptane 5.4.4 (b), Uptane 5.4.4.2 (b, 10), Uptane 5.4.3.3 (4a): nothing of it is stored where one part is wrong
@pytest.mark.parametrize("spoil, attack", [
    (expired, "freeze"), (expired_director, "freeze"), (foreign_keys, "arbitrary"), (rolled_back, "rollback"), (mixed, "mix"),
    (other_hashes, "arbitrary"), (other_hardware, "arbitrary"), (not_in_image_repository, "arbitrary")])
def test_spoilt_metadata_is_refused_whole_and_told(ecu, spoil, attack):
    ecu.assign()
    assert ecu.put_metadata() == (OK, "")
    ecu.assign(data=FIRMWARE + b"2")
    good = ecu.director.save(), ecu.image.save()
    spoil(ecu)
    code, description = ecu.put_metadata()
    assert code == INVALID and description
    assert attack in ecu.report()["attacks_detected"]
    assert ecu.upload()[0] == INTERNAL
    ecu.restart()
    assert attack in ecu.report()["attacks_detected"]
    ecu.director.files, ecu.image.files = dict(good[0][0]), dict(good[1][0])
    assert ecu.put_metadata() == (OK, ""), "a part of what was refused had been stored"
    assert ecu.report()["attacks_detected"] == ""


# T-47; Uptane 5.4.1 (2b)
def test_a_clock_at_1970_counts_from_the_build(ecu):
    ecu.stop()
    ecu.set_clock(-int(time.time()))
    ecu.start()
    ecu.assign()
    ecu.image.expires["timestamp"] = after(days=-3650)
    ecu.image.publish()
    code, description = ecu.put_metadata()
    assert code == INVALID and "expired" in description
    ecu.image.expires["timestamp"] = after(days=1)
    ecu.image.publish()
    assert ecu.put_metadata() == (OK, "")


# its Primary's time is not signed
@pytest.mark.parametrize("verification", ["full", "partial"])
def test_the_primarys_time_lets_more_expire_in_what_it_came_with_and_nothing_else(tmp_path, verification):
    def put(**sent):
        return put_targets(ecu, **sent) if verification == "partial" else ecu.put_metadata(**sent)
    ecu = Ecu(tmp_path, verification=verification).start()
    ecu.director.expires["targets"] = after(days=4)
    ecu.assign()
    code, description = put(time=after(days=5))
    assert code == INVALID and "expired" in description and ecu.report()["attacks_detected"] == "freeze"
    assert put() == (OK, ""), "it was not remembered"
    assert put(time=after(days=3)) == (OK, "")
    ecu.director.expires["targets"] = after(days=2)
    ecu.assign()
    assert put() == (OK, ""), "a time at which other metadata was good is not remembered either"
    assert put(time="1970-01-01T00:00:00Z") == (OK, "")
    ecu.director.expires["targets"] = after(days=-1)
    ecu.assign()
    assert put(time=after(days=-2))[0] == INVALID, "an earlier one brings nothing back"
    ecu.stop()


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01T00:00:00Z", "2" * 20000, "2030-01-01T00:00:00Z\0"], ids=lambda t: repr(t)[:30])
def test_a_time_that_is_none_is_refused(ecu, text):
    ecu.assign()
    assert ecu.put_metadata(time=text)[0] != OK
    assert ecu.put_metadata() == (OK, "")


def test_the_time_comes_once_and_with_the_directors_metadata(ecu):
    ecu.assign()
    ecu.director.files["time.json"] = ecu.image.files["time.json"] = after(days=0).encode()
    assert ecu.put_metadata(director_roles=("root", "targets", "time", "time"))[0] != OK
    assert ecu.put_metadata(image_roles=ROLES + ("time",))[0] != OK
    assert ecu.put_metadata(director_roles=("root", "targets", "time")) == (OK, "")


def test_a_role_missing_or_twice_is_refused(ecu):
    ecu.assign()
    for roles in (("root", "timestamp", "targets"), ("timestamp", "snapshot", "targets"), ROLES + ("targets",), ()):
        assert ecu.put_metadata(image_roles=roles)[0] != OK
    assert ecu.put_metadata(director_roles=("root",))[0] != OK
    assert ecu.put_metadata() == (OK, "")


# Uptane 5.4.4.2 (10.2.3), Uptane 5.4.3.4 (5): the release counter never falls
def test_an_older_release_is_refused(ecu):
    assert ecu.update(counter=3) == (OK, "")
    ecu.assign(name="old.bin", data=b"old", counter=2)
    code, description = ecu.put_metadata()
    assert code == INVALID and "rollback" in ecu.report()["attacks_detected"], description
    ecu.firmware.write_bytes(b"not by us")
    ecu.restart()
    assert ecu.report()["installed_image"]["filepath"] == "unknown"
    assert ecu.put_metadata()[0] == INVALID, "a foreign file has lowered the release counter"


# Uptane 5.4.4.2 (10.2.2d)
def test_what_must_match_is_compared(tmp_path):
    ecu = Ecu(tmp_path, **{"must-match": "variant  board"}).start()
    for image, director, good in (({"variant": 1}, {"variant": 1}, True), ({"variant": 1}, {"variant": 2}, False), ({"board": "a"}, {}, False),
                                  ({"colour": 1}, {"colour": 2}, True)):
        ecu.image.targets, ecu.director.targets = {}, {}
        ecu.image.target("brake.bin", FIRMWARE, hardwareIds=[HARDWARE], **image)
        ecu.director.target("brake.bin", FIRMWARE, ecuIdentifiers={SERIAL: {"hardwareId": HARDWARE}}, **director)
        ecu.image.publish()
        ecu.director.publish()
        code, description = ecu.put_metadata()
        assert (code == OK) == good, (image, director, description)
        assert ("arbitrary" in ecu.report()["attacks_detected"]) != good
    assert ecu.upload() == (OK, "") and ecu.install() == (OK, "")
    ecu.stop()


# Uptane 5.4.2.6 (d), Uptane 5.4.4.2 (3b, 4c)
def test_a_director_that_had_a_timestamp_is_held_to_it(ecu):
    ecu.assign()
    assert ecu.put_metadata(director_roles=ROLES) == (OK, "")
    assert ecu.put_metadata(director_roles=("root", "targets"))[0] != OK
    assert ecu.put_metadata(director_roles=ROLES) == (OK, "")


def test_a_director_timestamp_can_be_demanded(tmp_path):
    ecu = Ecu(tmp_path, **{"require-director-timestamp": "yes"}).start()
    ecu.assign()
    assert ecu.put_metadata(director_roles=("root", "targets"))[0] != OK
    assert ecu.put_metadata(director_roles=ROLES) == (OK, "")
    ecu.stop()


# Uptane 5.4.4.3 (4): recovery from a fast-forward attack
def test_roots_come_one_by_one_and_rotation_forgets_versions(ecu):
    ecu.assign()
    ecu.image.versions["timestamp"] = 1000
    ecu.image.publish(bump=())
    assert ecu.put_metadata() == (OK, "")
    ecu.image.versions["timestamp"] = 5
    ecu.image.rotate("timestamp")
    ecu.image.rotate("root", "targets")
    assert ecu.put_root(IMAGE, ecu.image.files["3.root.json"])[0] == INVALID
    assert ecu.put_metadata()[0] == INVALID, "a Root was skipped"
    assert ecu.put_root(IMAGE, ecu.image.files["2.root.json"]) == (OK, "")
    assert ecu.put_root(IMAGE, ecu.image.files["2.root.json"]) == (OK, "")
    assert ecu.put_root(IMAGE, ecu.image.files["1.root.json"])[0] == INVALID
    assert ecu.root_version(IMAGE) == 2 and ecu.root_version(DIRECTOR) == 1
    assert ecu.put_metadata() == (OK, ""), "the next Root, with all other metadata"
    assert ecu.root_version(IMAGE) == 3
    assert ecu.put_root(DIRECTOR, ecu.image.files["3.root.json"])[0] == INVALID


@pytest.mark.parametrize("renamed", [False, True])
def test_a_power_cut_around_the_replacement_is_found_out(ecu, renamed):
    """As after one: announced in the database, not yet said to be installed there; the file is the old or the new one."""
    def rows(*restore):
        ecu.stop()
        with contextlib.closing(sqlite3.connect(ecu.folder / "state" / "secondary.db", isolation_level=None)) as database:
            for row in restore:
                database.execute("REPLACE INTO ecu VALUES (%s)" % ",".join("?" * len(row)), row)
            return database.execute("SELECT * FROM ecu WHERE label = 'installed'").fetchall()

    ecu.update()
    before = rows()
    ecu.start()
    assert ecu.update(name="new.bin", data=b"new") == (OK, "")
    rows(*before)
    if not renamed:
        ecu.firmware.write_bytes(FIRMWARE)
    ecu.start()
    assert ecu.report()["installed_image"]["filepath"] == ("new.bin" if renamed else "brake.bin")
    assert rows()[0][5] == ("new.bin" if renamed else "brake.bin"), "found out, but not written down"


# ---- delegated roles ----

def assign_delegated(ecu, *parents, name="brake.bin", data=FIRMWARE):
    """An image that only the last of these roles, each delegated to by the one before, lists. Returns that role."""
    ecu.assign(name=name, data=data)
    for parent, role in zip((None, *parents), parents):
        ecu.image.delegate(role, parent=parent, paths=["*"])
    last = ecu.image.delegated[parents[-1]]
    last.targets = {name: ecu.image.targets.pop(name)}
    ecu.image.publish()
    return last


def with_roles(*names):
    return ROLES + tuple("delegations/" + name for name in names)


# Uptane 5.4.2.6 (e)
def test_an_image_of_a_delegated_role_is_installed_with_the_roles_that_lead_to_it(ecu):
    assign_delegated(ecu, "oem", "tier 1/\u00e9")
    assert ecu.put_metadata()[0] != OK
    assert ecu.put_metadata(image_roles=with_roles("oem"))[0] != OK
    assert ecu.upload()[0] == INTERNAL
    assert ecu.put_metadata(image_roles=with_roles("oem", "tier 1/\u00e9")) == (OK, "")
    assert ecu.upload() == (OK, "") and ecu.install() == (OK, "")
    assert ecu.firmware.read_bytes() == FIRMWARE
    ecu.restart()
    assert ecu.put_metadata() == (OK, ""), "those that it has are the latest"
    assert ecu.put_metadata(image_roles=with_roles("oem", "tier 1/\u00e9")) == (OK, "")


# Uptane 5.4.4.6 (4c)
def test_an_older_delegated_role_is_refused_even_where_rotated_keys_made_snapshot_void(ecu):
    assign_delegated(ecu, "oem")
    role = ecu.image.delegated["oem"]
    role.version += 5
    ecu.image.publish()
    assert ecu.put_metadata(image_roles=with_roles("oem")) == (OK, "")
    ecu.restart()
    ecu.image.rotate("snapshot", "timestamp")
    role.version -= 3
    ecu.image.publish()
    assert ecu.put_root(IMAGE, ecu.image.files["2.root.json"]) == (OK, "")
    code, description = ecu.put_metadata(image_roles=with_roles("oem"))
    assert code == INVALID and "oem" in description, description
    assert "rollback" in ecu.report()["attacks_detected"]
    role.version += 5
    ecu.image.publish()
    assert ecu.put_metadata(image_roles=with_roles("oem")) == (OK, "")


def expired_role(ecu, role):
    role.expires = after(days=-1)
    ecu.image.publish()


def role_by_foreign_keys(ecu, role):
    ecu.image.sign_delegated(role.name, keys=Repository().keys["targets"])
    ecu.image.publish(bump=("snapshot", "timestamp"))


def unlisted_role(ecu, role):
    role.version += 1  # the one that it has is not the one that is listed now
    ecu.image.publish()
    role.version += 1
    ecu.image.sign_delegated(role.name)


def older_role(ecu, role):
    role.version -= 2
    ecu.image.publish()


def other_content_in_role(ecu, role):
    role.targets["brake.bin"]["length"] += 1
    ecu.image.publish()


@pytest.mark.parametrize("spoil, attack", [(expired_role, "freeze"), (role_by_foreign_keys, "arbitrary"), (unlisted_role, "mix"),
                                           (older_role, "rollback"), (other_content_in_role, "arbitrary")])
def test_a_delegated_role_that_is_not_good_is_refused(ecu, spoil, attack):
    role = assign_delegated(ecu, "supplier")
    ecu.image.publish()
    assert ecu.put_metadata(image_roles=with_roles("supplier")) == (OK, "")
    spoil(ecu, role)
    code, description = ecu.put_metadata(image_roles=with_roles("supplier"))
    assert code == INVALID and attack in ecu.report()["attacks_detected"], description
    assert ecu.upload()[0] == INTERNAL


def test_a_delegated_role_twice_or_from_the_director_is_refused_and_one_too_many_does_no_harm(ecu):
    assign_delegated(ecu, "supplier")
    ecu.image.delegate("other", paths=["other/*"])
    ecu.image.publish()
    assert ecu.put_metadata(image_roles=with_roles("supplier", "supplier"))[0] != OK
    ecu.director.files["delegations/supplier.json"] = ecu.image.files["delegations/supplier.json"]
    assert ecu.put_metadata(("root", "targets", "delegations/supplier"), with_roles("supplier"))[0] != OK
    assert ecu.put_metadata(image_roles=with_roles("supplier", "other")) == (OK, "")


# ---- partial verification ----

@pytest.fixture
def small(tmp_path):
    """Verifies partially; has never heard of the Image repository."""
    ecu = Ecu(tmp_path, verification="partial")
    (tmp_path / "roots" / "image.root.json").unlink()
    ecu.start()
    yield ecu
    ecu.stop()


def put_targets(ecu, **sent):
    return ecu.put_metadata(director_roles=("targets",), image_roles=(), **sent)


def rows(ecu, query):
    ecu.stop()
    with contextlib.closing(sqlite3.connect(ecu.folder / "state" / "secondary.db")) as database:
        found = database.execute(query).fetchall()
    ecu.start()
    return found


# Uptane 5.4 (i), Uptane 5.4.4 (c), Uptane 5.4.3.4 (7)
def test_partial_verification_needs_the_directors_targets_and_nothing_else(small):
    small.assign(counter=3)
    assert put_targets(small) == (OK, "")
    assert small.upload(FIRMWARE[:-1] + b"x") == (OK, "")
    assert small.install()[0] == INVALID and small.report()["attacks_detected"] != ""
    assert put_targets(small) == (OK, "")
    assert small.upload() == (OK, "") and small.install() == (OK, "")
    assert small.firmware.read_bytes() == FIRMWARE
    small.restart()
    assert small.report()["installed_image"]["filepath"] == "brake.bin" and small.report()["attacks_detected"] == ""
    assert small.put_metadata() == (OK, ""), "a Primary that sends everything"
    assert rows(small, "SELECT DISTINCT repository, role FROM metadata") == [(DIRECTOR, ROLES.index("targets"))]
    assert rows(small, "SELECT DISTINCT repository FROM root") == [(DIRECTOR,)]


def older(ecu):
    ecu.director.versions["targets"] = 0
    ecu.director.publish()


def same_version_other_content(ecu):
    ecu.director.edit("targets", lambda signed: signed.update(version=signed["version"] - 1))


def one_signature_of_two(ecu):
    ecu.director.thresholds["targets"] = 2
    ecu.director.keys["targets"] = [Repository().keys["targets"][0], ecu.director.keys["targets"][0]]
    ecu.director.sign_root()
    assert ecu.put_root(DIRECTOR, ecu.director.files["root.json"]) == (OK, "")
    ecu.director.sign("targets", keys=ecu.director.keys["targets"][:1] * 2)


def named_twice(ecu):
    ecu.director.target("other.bin", b"other", ecuIdentifiers={SERIAL: {"hardwareId": HARDWARE}})
    ecu.director.publish()


def on_other_hardware(ecu):
    ecu.director.target("brake.bin", FIRMWARE, ecuIdentifiers={SERIAL: {"hardwareId": "other-hw"}})
    ecu.director.publish()


def delegating(ecu):
    ecu.director.delegate("supplier", paths=["*"])
    ecu.director.publish()


def lower_counter(ecu):
    ecu.assign(name="old.bin", data=b"old", counter=2)


# Uptane 5.4.4.1 (1a, 1b, 2), Uptane 5.4.4.6 (3.1, 4a, 5, 6, 7)
@pytest.mark.parametrize("spoil, attack", [
    (expired_director, "freeze"), (foreign_keys, "arbitrary"), (one_signature_of_two, "arbitrary"), (older, "rollback"),
    (same_version_other_content, "mix"), (named_twice, "arbitrary"), (on_other_hardware, "arbitrary"), (delegating, "arbitrary"),
    (lower_counter, "rollback")])
def test_partial_verification_refuses_spoilt_targets_and_tells(small, spoil, attack):
    assert small.update(counter=3) == (OK, "")
    small.assign(name="new.bin", data=b"new", counter=4)
    good = small.director.files["targets.json"]
    before = rows(small, "SELECT * FROM metadata")
    spoil(small)
    code, description = put_targets(small)
    assert code == INVALID and description
    assert attack in small.report()["attacks_detected"]
    assert small.upload(b"new")[0] == INTERNAL
    assert rows(small, "SELECT * FROM metadata") == before
    assert small.firmware.read_bytes() == FIRMWARE
    if spoil != one_signature_of_two:
        small.director.files["targets.json"] = good
        assert put_targets(small) == (OK, "")


# Uptane 5.4.4.3 (2.4a)
def test_partial_verification_follows_the_directors_roots_and_passes_over_others(small):
    small.assign()
    old = small.director.files["targets.json"]
    small.director.rotate("targets")
    small.director.rotate("root", "targets")
    assert put_targets(small)[0] == INVALID, "signed by keys of a Root that it has not got"
    assert small.put_root(DIRECTOR, small.director.files["3.root.json"])[0] == INVALID
    for version in (2, 3):
        assert small.put_root(DIRECTOR, small.director.files["%d.root.json" % version]) == (OK, "")
    assert small.root_version(DIRECTOR) == 3
    assert put_targets(small) == (OK, "")
    small.director.files["targets.json"] = old
    assert put_targets(small)[0] == INVALID, "the keys were rotated away"
    assert small.root_version(IMAGE) == 0
    assert small.put_root(IMAGE, b"nobody looks at this") == (OK, "")
    assert small.root_version(IMAGE) == 0


def test_a_full_secondary_does_not_take_what_is_enough_for_a_partial_one(ecu):
    ecu.assign()
    assert put_targets(ecu)[0] != OK
    assert ecu.put_metadata(director_roles=("root", "targets"), image_roles=())[0] != OK
    assert ecu.upload()[0] == INTERNAL


def test_a_partial_secondary_can_become_a_full_one(small):
    assert small.update() == (OK, "")
    small.config.write_text(small.config.read_text().replace("= partial", "= full"))
    (small.folder / "roots" / "image.root.json").write_bytes(small.image.files["1.root.json"])
    small.restart()
    small.assign(name="new.bin", data=b"new")
    assert put_targets(small)[0] != OK
    assert small.put_metadata() == (OK, "") and small.upload(b"new") == (OK, "") and small.install("new.bin") == (OK, "")


@pytest.mark.parametrize("name", ["getInfoReq", "versionReq", "manifestReq", "rootVerReq", "uploadDataReq"])
def test_recorded_questions_are_answered(ecu, name):
    files = sorted(glob.glob(str(INTEROP / "22*" / "asn1-vectors" / f"*{name}.der")))
    if not files:
        pytest.skip(f"no recorded messages at {INTEROP}")
    for file in files:
        question = pathlib.Path(file).read_bytes()
        assert ecu.exchange(question)[0] == question[0] + 1


def test_a_recorded_order_to_install_is_answered_in_its_own_way(ecu):
    files = glob.glob(str(INTEROP / "22*" / "asn1-vectors" / "*installReq.der"))
    if not files:
        pytest.skip(f"no recorded messages at {INTEROP}")
    kind, (code, _) = parse(ecu.exchange(pathlib.Path(files[0]).read_bytes()))
    assert (kind, code) == (16, bytes([INTERNAL])), "nothing is assigned"


# Credentials of the Primary are not asked for, not kept, and not needed: this ECU installs files.
def test_the_order_to_fetch_an_ostree_revision_with_the_primarys_credentials_is_refused_and_nothing_of_it_kept(ecu):
    secret = b"BEGIN PRIVATE KEY of the vehicle"
    code, description = ecu.result(12, octets(secret))
    assert code not in (OK, ALREADY) and "OSTree" in description
    ecu.stop()
    for path in ecu.folder.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path
    ecu.start()
    assert ecu.update() == (OK, "")


def test_recorded_metadata_of_others_is_refused(ecu):
    files = glob.glob(str(INTEROP / "22*" / "asn1-vectors" / "*putMetaReq2.der"))
    if not files:
        pytest.skip(f"no recorded messages at {INTEROP}")
    kind, (code, _) = parse(ecu.exchange(pathlib.Path(files[0]).read_bytes()))
    assert (kind, code) == (15, bytes([INVALID]))


@pytest.mark.parametrize("garbage", [
    b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, message(4, octets(b"")), message(6, octets(b"x")), message(9), message(1), b"\xa0\x80\x30\x00\x00\x00",
    b"\xaa\x84\xff\xff\xff\xff", b"\xa0\x81\x02\x30\x00", message(19, enum(2)), message(31), b"\xa0\x02\x31\x00"])
def test_nonsense_is_hung_up_on_and_others_are_served(ecu, garbage):
    assert ecu.exchange(garbage) == b""
    assert ecu.root_version(DIRECTOR) == 1


def test_a_connection_that_ends_in_a_message_harms_nobody(ecu):
    with ecu.connect() as s:
        s.sendall(b"\xaa\x82\x04")
    assert ecu.root_version(DIRECTOR) == 1


def test_silence_is_hung_up_on(ecu):
    with ecu.connect() as silent:
        silent.settimeout(20)
        started = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - started < 15
    assert ecu.root_version(DIRECTOR) == 1


def test_a_connection_that_keeps_talking_does_not_keep_others_out(ecu):
    talkers = [ecu.connect() for _ in range(7)]
    for s in talkers:
        s.sendall(message(19, enum(1))[:-1])
    started = time.monotonic()
    assert ecu.update() == (OK, "")
    for s in talkers:
        assert ecu.exchange(b"\1", s)[0] == 0xb4, "a slow one is served, too"
        s.close()
    assert time.monotonic() - started < 5


def test_where_all_places_are_taken_the_slowest_goes(ecu):
    held = [ecu.connect() for _ in range(8)]
    for s in held:
        assert ecu.exchange(message(19, enum(1)), s)[0] == 0xb4
    for s in held[1:]:
        assert ecu.exchange(message(19, enum(1)), s)[0] == 0xb4
    assert ecu.root_version(DIRECTOR) == 1
    held[0].settimeout(5)
    assert held[0].recv(1) == b""
    for s in held[2:]:
        assert ecu.exchange(message(19, enum(1)), s)[0] == 0xb4
        s.close()


def test_only_one_message_may_be_large_at_a_time(ecu):
    ecu.assign()
    large = tlv(0xae, tlv(0x30, bytes(3 << 20)))
    with ecu.connect() as first, ecu.connect() as second:
        first.sendall(large[:10])
        first.sendall(large[10:100])
        assert ecu.root_version(DIRECTOR) == 1  # first has been looked at
        assert ecu.exchange(large[:100], second) == b""
        assert ecu.put_metadata() == (OK, ""), "small ones go on"
        assert ecu.exchange(large[100:], first) == b"", "it was nonsense all the same"
    assert "another large one" in ecu.log()


# A small ECU takes no more than it needs
def test_partial_verification_takes_no_large_message(small):
    assert small.exchange(tlv(0xae, tlv(0x30, bytes(1 << 20)))[:100]) == b""
    assert "at most 1048576" in small.log()
    small.assign()
    assert small.put_metadata() == (OK, "")


def test_messages_byte_by_byte_are_understood(ecu):
    with ecu.connect() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in message(19, enum(1))[:-1]:
            s.sendall(bytes([byte]))
            time.sleep(0.01)
        assert ecu.exchange(b"\x01", s)[0] == 0xb4


def test_without_a_shipped_root_it_does_not_start(tmp_path):
    ecu = Ecu(tmp_path)
    (tmp_path / "roots" / "image.root.json").unlink()
    r = subprocess.run([program("secondary", "uptane-secondary"), "--config", str(ecu.config)], capture_output=True, text=True, timeout=10)
    assert r.returncode == 31 and "image.root.json" in r.stderr


@pytest.mark.parametrize("line", ["colour = red", "serial = again", "image-max = many", "key-type = dsa", "verification = none",
                                  "install = relative", "[other]\nx = 1"])
def test_a_wrong_configuration_names_file_line_and_key(tmp_path, line):
    ecu = Ecu(tmp_path, **({} if line.startswith("serial") else {line.split(" ")[0]: None}))
    with ecu.config.open("a") as f:
        f.write(line + "\n")
    r = subprocess.run([program("secondary", "uptane-secondary"), "--config", str(ecu.config)], capture_output=True, text=True, timeout=10)
    assert r.returncode == 64 and str(ecu.config) in r.stderr and "line" in r.stderr
    assert line.split()[0] in r.stderr


# ---- through the helper ----

class Helper(Client):
    def __init__(self, path, address):
        super().__init__(path, "/org/uptane/Secondary1", "org.uptane.Secondary1")
        self.address = address

    def ask(self, member, types="", arguments=(), reply="()", fds=()):
        return self.call(member, GLib.Variant(f"(s{types})", (self.address, *arguments)), reply, fds)


@pytest.fixture(scope="module")
def helper_socket(tmp_path_factory):
    activator = Activator(tmp_path_factory.mktemp("helper"), [program("secondary-ip", "uptane-secondary-ip"),
                          "--connect-timeout=2", "--silence-timeout=2", "--exchange-timeout=4", "--install-timeout=5"])
    yield activator.socket
    activator.stop()


@pytest.fixture
def helper(helper_socket, ecu):
    with Helper(helper_socket, ecu.address) as h:
        yield h


def put_image(helper, folder, data, name="brake.bin", chunk=1024):
    (folder / "image").write_bytes(b"skip" + data)
    fd = os.open(folder / "image", os.O_RDONLY)
    os.lseek(fd, 4, os.SEEK_SET)
    helper.ask("PutImage", "stuh", (name, len(data), chunk, 0), fds=[fd])  # closes it


def files_of(ecu):
    return [("image", role, ecu.image.files[role + ".json"]) for role in ROLES] + \
           [("director", role, ecu.director.files[role + ".json"]) for role in ("root", "targets")]


@pytest.mark.parametrize("chunk", [0, 1023, 65537, 2**32 - 1])
def test_the_helper_sends_no_chunks_of_another_size(helper, ecu, chunk):
    with pytest.raises(RemoteError) as caught:
        put_image(helper, ecu.folder, FIRMWARE, chunk=chunk)
    assert caught.value.name == "InvalidArgument" and "image 'brake.bin': chunks of %d bytes" % chunk in caught.value.message


@pytest.mark.parametrize("partial", [False, True])
def test_a_secondary_takes_chunks_of_64_kib_from_the_helper(helper_socket, tmp_path, partial):
    data = random.Random(7).randbytes(150000)
    ecu = Ecu(tmp_path, **{"image-max": 200000, "verification": "partial" if partial else "full"})
    ecu.start()
    ecu.assign(data=data)
    with Helper(helper_socket, ecu.address) as helper:
        helper.ask("PutMetadata", "a(ssay)", (files_of(ecu),))
        put_image(helper, ecu.folder, data, chunk=65536)
        assert helper.ask("Install", "s", ("brake.bin",), "(ss)") == ("OK", "")
    assert ecu.firmware.read_bytes() == data
    ecu.stop()


def test_the_helper_updates_a_secondary(helper, ecu):
    serial, hardware, key_type, key = helper.ask("GetInfo", reply="(ssss)")
    assert (serial, hardware, key_type, len(key)) == (SERIAL, HARDWARE, "ED25519", 64)
    ecu.image.rotate("snapshot")
    ecu.assign()
    assert helper.ask("GetRootVersion", "s", ("image",), "(x)") == (1,)
    helper.ask("PutRoot", "say", ("image", ecu.image.files["2.root.json"]))
    assert helper.ask("GetRootVersion", "s", ("image",), "(x)") == (2,)
    helper.ask("PutMetadata", "a(ssay)", (files_of(ecu),))
    put_image(helper, ecu.folder, FIRMWARE)
    assert helper.ask("Install", "s", ("brake.bin",), "(ss)") == ("OK", "")
    assert helper.ask("Install", "s", ("brake.bin",), "(ss)")[0] == "ALREADY_PROCESSED"
    assert ecu.firmware.read_bytes() == FIRMWARE
    document = json.loads(bytes(helper.ask("GetManifest", reply="(ay)")[0]))
    assert verify(document, {"keytype": key_type, "keyval": {"public": key}})
    assert document["signed"]["installed_image"]["filepath"] == "brake.bin"


def asked_in_vain(port):
    """Whether somebody listens there."""
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("listening", [True, False])
def test_a_secondary_announces_itself_at_its_start_and_listens_in_any_case(tmp_path, listening):
    own, waiting = unused_port(), unused_port()
    ecu = Ecu(tmp_path, listen=f"127.0.0.1:{own}", primary=f"127.0.0.1:{waiting}")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", waiting))
        if listening:
            listener.listen()
        ecu.start()
        if listening:
            listener.settimeout(10)
            connection, peer = listener.accept()
            assert peer == ("127.0.0.1", own)
            for _ in range(2):
                assert parse(ecu.exchange(message(0), connection))[1][0].decode() == SERIAL
            connection.close()
    assert ecu.update() == (OK, "")
    ecu.stop()


def test_the_helper_waits_for_a_secondary_that_starts_later(helper_socket, tmp_path):
    own, waiting = unused_port(), unused_port()
    ecu = Ecu(tmp_path, listen=f"127.0.0.1:{own}", primary=f"127.0.0.1:{waiting}")
    said = []
    with Helper(helper_socket, f"127.0.0.1:{own}") as helper:
        arguments = (f"127.0.0.1:{waiting}", 20)
        thread = threading.Thread(target=lambda: said.append(helper.ask("AwaitInfo", "su", arguments, "(ssss)")))
        thread.start()
        deadline = time.monotonic() + 10
        while asked_in_vain(waiting):  # these connections come from another port
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with socket.create_connection(("127.0.0.1", waiting)) as stranger:
            stranger.settimeout(10)
            assert stranger.recv(1) == b"", "a stranger is hung up on, and not asked"
        ecu.start()
        thread.join(20)
        assert said and said[0][:2] == (SERIAL, HARDWARE)
        assert helper.ask("GetInfo", reply="(ssss)") == said[0]
        with pytest.raises(RemoteError) as caught:
            helper.ask("AwaitInfo", "su", (arguments[0], 1), "(ssss)")
        assert caught.value.name == "Unreachable" and "announce" in caught.value.message
    ecu.stop()


def test_the_helper_names_what_went_wrong(helper, ecu):
    ecu.assign()
    expired(ecu)
    with pytest.raises(RemoteError) as caught:
        helper.ask("PutMetadata", "a(ssay)", (files_of(ecu),))
    assert caught.value.name == "Secondary" and ecu.address in caught.value.message and "expired" in caught.value.message
    with pytest.raises(RemoteError) as caught:
        put_image(helper, ecu.folder, FIRMWARE)
    assert caught.value.name == "Secondary" and "byte 0" in caught.value.message
    with pytest.raises(RemoteError) as caught:
        helper.ask("PutRoot", "say", ("treasure", b"{}"))
    assert caught.value.name == "InvalidArgument"
    helper.address = "nowhere"
    with pytest.raises(RemoteError) as caught:
        helper.ask("GetInfo", reply="(ssss)")
    assert caught.value.name == "InvalidArgument"
    helper.address = f"127.0.0.1:{unused_port()}"
    with pytest.raises(RemoteError) as caught:
        helper.ask("GetInfo", reply="(ssss)")
    assert caught.value.name == "Unreachable"


def test_the_helper_does_not_wait_for_the_silent(helper):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        helper.address = "127.0.0.1:%d" % silent.getsockname()[1]
        with pytest.raises(RemoteError) as caught:
            helper.ask("GetInfo", reply="(ssss)")
    assert caught.value.name == "Timeout"
