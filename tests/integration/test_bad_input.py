# SPDX-License-Identifier: Apache-2.0
"""What must be refused: each time with the right typed error on D-Bus, in the journal and on the command line, with
nothing installed, the daemon alive and answering, and the next good cycle succeeding.
"""
import json
import os
import socket
import stat
import threading
import time

import pytest
from attack import assert_told
from vehicle import wait_for


class Poller(threading.Thread):
    """Asks somebody for something all the time and remembers the longest it took."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.longest, self.errors, self.stopped = ask, 0.0, [], threading.Event()

    def run(self):
        while not self.stopped.wait(0.05):
            begin = time.monotonic()
            try:
                self.ask()
            except Exception as e:  # pylint: disable=broad-except
                self.errors.append(repr(e))
            self.longest = max(self.longest, time.monotonic() - begin)


class Attention:
    """That the daemon answers all the time, within a second of what the bus itself needs on a machine that is busy."""

    def __init__(self, vehicle):
        self.daemon = Poller(lambda: vehicle.property("State"))
        self.bus = Poller(lambda: vehicle.call("GetId", path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
                                               name="org.freedesktop.DBus"))
        self.daemon.start()
        self.bus.start()

    def end(self):
        for poller in (self.daemon, self.bus):
            poller.stopped.set()
            poller.join()

    def check(self):
        self.end()
        assert not self.daemon.errors and not self.bus.errors, (self.daemon.errors, self.bus.errors)
        assert self.daemon.longest < 1.0 + 2 * self.bus.longest, (self.daemon.longest, self.bus.longest)


class Refusal:
    """with Refusal(world, "Rollback"): spoil something; then a check is made, and all the promises are looked at."""

    def __init__(self, world, name, text=""):
        self.world, self.name, self.text = world, name, text

    def __enter__(self):
        v = self.world.vehicle
        v.wait_state("idle")
        assert v.error() == ("", "")  # what is seen later is new
        self.manifests, self.world.refusal = len(self.world.director.manifests), self
        self.pid = v.control("pid", "uptaned")
        self.before = v.secondaries[0].content(), v.ecu("primary", "InstalledSha256"), v.ecu("secondary1", "InstalledSha256")
        self.attention = Attention(v)
        return self

    def __exit__(self, kind, value, traceback):
        try:
            if kind is None:
                self.look()
        finally:
            self.attention.end()

    def look(self):
        v = self.world.vehicle
        log = len(v.log("uptaned"))
        v.wait_state("idle")
        v.call("CheckForUpdates")
        wait_for(lambda: v.error()[0] and v.state() == "idle", lambda: "an error; state %s, %s" % (v.state(), v.log("uptaned")[-800:]))
        self.seen = name, message = v.error()
        assert name == self.name, (name, message)
        assert self.text in message
        assert "org.uptane.Error." + self.name in v.log("uptaned")[log:]
        shown = v.ctl("status").stdout
        assert message in shown and "org.uptane.Error." + self.name in shown
        assert self.before == (v.secondaries[0].content(), v.ecu("primary", "InstalledSha256"), v.ecu("secondary1", "InstalledSha256"))
        self.attention.check()
        assert v.control("pid", "uptaned") == self.pid


@pytest.fixture
def ready(world):
    """A vehicle that has done one good update, with another one published and assigned."""
    world.vehicle.boot()
    world.vehicle.wait_state("idle")
    world.update_firmware()
    world.bad = b"bad firmware\n" * 1000
    world.entry = world.publish_firmware("bad.bin", world.bad)
    return world


def assign(world):
    world.assign(firmware=world.entry)


def recover(world):
    """The next good cycle succeeds, and tells of the refusal if that was an attack."""
    world.backend.faults.clear()
    world.update_firmware()
    assert world.vehicle.error() == ("", "")
    if hasattr(world, "refusal"):
        assert_told(world, world.refusal.manifests, *world.refusal.seen)


# Uptane 5.4.4.2 (4b, 8b, c), Uptane 5.4 (g)
@pytest.mark.parametrize("repository", ["director", "repo"])
@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_one_flipped_bit_in_metadata_is_refused(ready, repository, role):
    assign(ready)
    # past the signatures, in the middle of what is signed; Snapshot and Targets then differ from what is listed
    with Refusal(ready, {"timestamp": "SignatureThreshold"}.get(role, "MixAndMatch"), role):
        data = (ready.director.repository if repository == "director" else ready.backend.image).files[role + ".json"]
        position = data.index(b'"version":') + len(b'"version":') if role == "timestamp" else len(data) // 2
        ready.backend.faults.add("^/%s/%s.json" % (repository, role), "tamper", position)
    recover(ready)


def test_targets_signed_by_a_wrong_key_are_refused(ready):
    from backend.keys import Key
    assign(ready)
    with Refusal(ready, "SignatureThreshold", "director targets"):
        ready.director.repository.edit("targets", lambda signed: None, keys=[Key()])
    recover(ready)


@pytest.mark.world(director={"keys_per_role": 2, "thresholds": {"targets": 2}})
def test_too_few_signatures_are_refused(ready):
    assign(ready)
    with Refusal(ready, "SignatureThreshold", "1 valid signatures"):
        ready.director.repository.edit("targets", lambda signed: None, keys=ready.director.repository.keys["targets"][:1])
    recover(ready)


# T-20, Uptane 5.4.4.2 (5, 9), Uptane 5.4.2.3 (b)
@pytest.mark.parametrize("repository", ["director", "image"])
@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_expired_metadata_is_refused(ready, repository, role):
    from backend.repository import after
    assign(ready)
    r = ready.director.repository if repository == "director" else ready.backend.image
    good = r.expires[role]
    with Refusal(ready, "MetadataExpired", "%s %s" % (repository, role)):
        r.expires[role] = after(seconds=-10)
        r.publish()
    r.expires[role] = good
    r.publish()
    recover(ready)


# T-13
@pytest.mark.parametrize("repository", ["director", "image"])
@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_an_older_version_of_each_role_is_refused(ready, repository, role):
    r = ready.director.repository if repository == "director" else ready.backend.image
    ready.update_firmware()
    trusted = r.versions[role]
    r.publish()
    assign(ready)
    # Snapshot and Targets are already found out by the file that lists them
    told_by = {"timestamp": "timestamp", "snapshot": "timestamp: it lists Snapshot", "targets": "snapshot"}[role]
    with Refusal(ready, "Rollback", "%s %s" % (repository, told_by)):
        # everything that lists it agrees with it: only the version itself goes back
        current = r.versions[role]
        r.versions[role] = trusted - 1
        r.publish(bump={"timestamp": [], "snapshot": ["timestamp"], "targets": ["snapshot", "timestamp"]}[role])
        r.versions[role] = current
    r.publish()
    recover(ready)


# Uptane 5.4.4.3 (2.4b)
def test_an_older_root_is_not_taken_for_the_next_one(ready):
    assign(ready)
    with Refusal(ready, "Rollback", "director root"):
        ready.director.repository.files["2.root.json"] = ready.director.repository.files["1.root.json"]
    del ready.director.repository.files["2.root.json"]
    recover(ready)


# T-23, Uptane 5.4.4.2 (a, 10), Uptane 5.4.4 (a)
@pytest.mark.parametrize("what,error", [("length", "TargetMismatch"), ("hashes", "TargetMismatch"), ("hardware", "HardwareMismatch")])
def test_repositories_that_disagree_are_refused(ready, what, error):
    assign(ready)
    with Refusal(ready, error, "bad.bin"):
        def change(signed):
            target = signed["targets"]["bad.bin"]
            if what == "length":
                target["length"] += 1
            elif what == "hashes":
                target["hashes"] = {"sha256": "00" * 32}
            else:
                target["custom"]["hardwareIds"] = ["other-mcu"]
        ready.backend.image.publish()
        ready.backend.image.edit("targets", change)
    assert not ready.backend.requests("targets/bad.bin")
    ready.backend.image.publish()
    recover(ready)


# T-23, Uptane 5.2.6 (e)
def test_an_image_the_image_repository_does_not_know_is_refused(ready):
    assign(ready)
    with Refusal(ready, "TargetMismatch", "unknown to the Image repository"):
        saved = ready.backend.image.targets.pop("bad.bin")
        ready.backend.image.publish()
    assert saved and not ready.backend.requests("targets/bad.bin")
    recover(ready)


# Uptane 5.4.4.2 (10a)
@pytest.mark.parametrize("unknown", ["os-2", "bad.bin"])
def test_one_image_of_two_that_the_image_repository_does_not_know_is_enough_to_refuse_both(ready, unknown):
    commit = ready.publish_commit("2")
    with Refusal(ready, "TargetMismatch", "'%s' is assigned by the Director, but unknown to the Image repository" % unknown):
        del ready.backend.image.targets[unknown]
        ready.backend.image.publish()
        ready.assign(primary=commit, firmware=ready.entry)
    assert not ready.backend.requests("targets/bad.bin|/treehub/")
    recover(ready)


# T-22
def test_an_ecu_that_is_not_in_this_vehicle_is_refused(ready):
    with Refusal(ready, "UnknownEcu", "somebody-else"):
        ready.director.assign([(*ready.entry, "somebody-else", "test-mcu", None)])
    recover(ready)


# T-22
def test_an_ecu_assigned_two_images_is_refused(ready):
    other = ready.publish_firmware("other.bin", b"other")
    serial = ready.vehicle.secondaries[0].serial
    with Refusal(ready, "UnknownEcu", "both"):
        ready.director.assign([(*ready.entry, serial, "test-mcu", None), (*other, serial, "test-mcu", None)])
    recover(ready)


# T-22, Uptane 5.4.3.4 (3)
def test_a_wrong_hardware_id_from_the_director_is_refused(ready):
    with Refusal(ready, "HardwareMismatch"):
        ready.director.assign([(*ready.entry, ready.vehicle.secondaries[0].serial, "other-mcu", None)])
    recover(ready)


# T-22
def test_delegations_of_the_director_are_refused(ready):
    assign(ready)
    director = ready.director.repository
    with Refusal(ready, "WrongRole", "delegations"):
        director.delegate("x", paths=["*"]).listed = False
        director.publish()
    director.delegations.roles.clear()
    director.delegated.clear()
    recover(ready)


# Uptane 5.4.3.4 (7), Uptane 5.4.2.4 (c): every listed hash of the image itself
def test_an_image_with_one_flipped_bit_is_refused(ready):
    assign(ready)
    with Refusal(ready, "ImageMismatch", "bad.bin"):
        ready.backend.faults.add("targets/bad.bin", "tamper", 100)
    recover(ready)


# Uptane 5.4.3.4 (b): the length, too
def test_an_image_that_is_shorter_than_listed_is_refused_although_its_hash_is_right(ready):
    name, entry = ready.publish_firmware("short.bin", b"short" * 1000)
    with Refusal(ready, "ImageMismatch", "'short.bin' has 5000 bytes, its metadata says 5001"):
        entry["length"] += 1
        ready.backend.image.publish()
        ready.assign(firmware=(name, entry))
    recover(ready)


# T-17, Uptane 5.4.3.3 (4c)
@pytest.mark.parametrize("path", ["/director/timestamp.json", "/repo/targets.json", "/repo/targets/bad.bin"])
def test_an_endless_body_is_cut_off_at_its_limit(ready, path):
    assign(ready)
    with Refusal(ready, "TooLarge"):
        ready.backend.faults.add(path, "endless")
    recover(ready)


@pytest.mark.parametrize("path", ["/director/targets.json", "/repo/snapshot.json"])
def test_a_truncated_body_is_refused(ready, path):
    assign(ready)
    with Refusal(ready, "Network"):
        ready.backend.faults.add(path, "cutoff", 50)
    recover(ready)


# T-39: wrong Content-Length; gzip bomb
@pytest.mark.parametrize("path,faults", [
    ("/director/timestamp.json", [("announce", -10, "Malformed"), ("announce", 10, "Network"), ("announce", 1 << 40, "TooLarge"),
                                  ("inflate", 20 << 20, "Malformed"), ("inflate", 200 << 20, "TooLarge")]),
    ("/repo/targets/bad.bin", [("announce", -10, "ImageMismatch"), ("announce", 10, "TooLarge"), ("announce", 1 << 40, "TooLarge"),
                               ("inflate", 5 << 20, "ImageMismatch"), ("inflate", 200 << 20, "TooLarge")])])
def test_a_body_that_is_longer_or_shorter_than_it_says_is_refused(ready, path, faults):
    for kind, value, error in faults:
        assign(ready)
        with Refusal(ready, error):
            if kind == "announce" and value < 100:
                value += len(ready.bad if "bin" in path else ready.director.repository.files["timestamp.json"])
            ready.backend.faults.add("^%s$" % path, kind, value)
        recover(ready)


# T-39: retry count bounded
def test_a_download_that_breaks_off_is_tried_once_and_then_again_after_a_pause(ready):
    v = ready.vehicle
    for path, kind in ("/repo/targets/bad.bin", "cutoff"), ("/director/timestamp.json", "drop"), ("/repo/targets.json", "drop"):
        assign(ready)
        ready.backend.image.publish()  # so that its Targets are asked for
        with Refusal(ready, "Network"):
            ready.backend.log.clear()
            ready.backend.faults.add("^%s$" % path, kind, 500)
        # a kept connection that is closed without a word may have been closed before: it is tried once more, on a new one
        requests = ready.backend.requests("^%s$" % path)
        assert len(requests) == 1 or (kind == "drop" and len({r["connection"] for r in requests}) == len(requests) == 2)
        assert v.property("NextCheck") > time.time() * 1e6 + 10e6
        recover(ready)


def test_json_with_duplicate_members_is_refused(ready):
    assign(ready)
    with Refusal(ready, "Malformed", "director timestamp"):
        data = ready.director.repository.files["timestamp.json"]
        ready.backend.faults.add("^/director/timestamp.json", "replace", data.replace(b'"version":', b'"version":1,"version":'))
    recover(ready)


def test_a_server_error_is_no_answer(ready):
    assign(ready)
    with Refusal(ready, "Http"):
        ready.backend.faults.add("^/director/2.root.json", "status", 500)
    recover(ready)


def test_a_back_end_that_is_down_is_waited_for(ready):
    assign(ready)
    with Refusal(ready, "Network"):
        ready.backend.stop()
    ready.backend.start()
    recover(ready)


def test_a_manifest_the_director_refuses_is_told_and_the_vehicle_can_still_be_repaired(ready):
    v = ready.vehicle
    ready.backend.faults.add("/director/manifest", "status", 400)
    v.call("CheckForUpdates")
    wait_for(lambda: v.error()[0] == "Rejected", "the refusal")
    recover(ready)


# T-49: whatever the Director says to a manifest, the loop goes on
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 429, 500, 503])
def test_t49_a_manifest_that_is_refused_in_any_way_stops_nothing(ready, status):
    v = ready.vehicle
    ready.backend.faults.add("/director/manifest", "refusal", (status, "signature_not_valid"), method="PUT")
    before = len(ready.backend.requests("director/timestamp"))
    v.call("CheckForUpdates")
    wait_for(lambda: v.error()[0] == "Rejected" and v.state() == "idle", lambda: "the refusal; %s" % (v.error(),))
    assert "status %d" % status in v.error()[1] and "signature_not_valid" in v.error()[1]
    assert len(ready.backend.requests("director/timestamp")) > before  # the rest of the check took place
    assert v.property("NextCheck") > time.time() * 1e6
    recover(ready)


# T-49
def test_t49_a_director_that_does_not_answer_a_manifest_is_asked_again_later(ready):
    v = ready.vehicle
    ready.backend.faults.add("/director/manifest", "stall", method="PUT")
    v.call("CheckForUpdates")
    wait_for(lambda: v.error()[0] == "Timeout" and v.state() == "idle", lambda: "the time-out; %s" % (v.error(),), 60)
    assert v.property("NextCheck") > time.time() * 1e6
    recover(ready)


CODES = ("ecu_already_registered", "device_already_registered", "ecu_not_primary", "signature_not_valid", "ecu_replacement_disabled",
         "ecu_reuse_not_allowed", "replace_ecu_assignment_exists", "primary_is_not_listed_for_device")


# T-49
def test_t49_a_registration_that_is_refused_is_told_in_the_directors_words_and_tried_again(world):
    v = world.vehicle
    world.backend.faults.add("/director/ecus", "refusal", (409, CODES[0]), method="POST")
    v.boot()
    for code in CODES:
        world.backend.faults.clear()
        world.backend.faults.add("/director/ecus", "refusal", (409, code), method="POST")
        v.verb("CheckForUpdates")
        wait_for(lambda: v.error()[0] == "Rejected" and code in v.error()[1], lambda: "the refusal; %s" % (v.error(),))
        assert v.state() == "unprovisioned" and v.property("Provisioned") is False
        assert "status 409" in v.error()[1] and v.property("NextCheck") > time.time() * 1e6
    assert not world.backend.requests("director/manifest")
    assert CODES[-1] in v.ctl("status").stdout
    world.backend.faults.clear()
    v.verb("CheckForUpdates")
    v.wait_state("idle")
    assert v.property("Provisioned") is True and v.error() == ("", "")
    world.update_firmware()


def test_a_secondary_that_answers_garbage_delays_nobody_and_is_named(ready):
    v = ready.vehicle
    v.control("stop", "secondary1")
    with socket.socket() as fake:
        fake.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        fake.bind(("127.0.0.1", v.secondaries[0].port))
        fake.listen(8)
        fake.settimeout(0.2)
        stop = threading.Event()

        def serve():
            while not stop.is_set():
                try:
                    connection, _ = fake.accept()
                except OSError:
                    continue
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        v.check()
        assert v.state() == "idle"
        assert v.ecu("secondary1", "Reachable") is False
        assert v.ecu("secondary1", "LastError")[0].startswith("org.uptane.Error.")
        assert v.serial in ready.director.manifests[-1]["signed"]["ecu_version_manifests"]
        assert "secondary1" in v.ctl("status").stdout
        assign(ready)
        v.call("CheckForUpdates")
        wait_for(lambda: v.error()[0] == "Secondary" and v.state() == "idle", lambda: "the error; it is %s" % (v.error(),))
        stop.set()
        thread.join()
    v.control("start", "secondary1")
    wait_for(lambda: "secondary1" in v.error()[1] or v.error() == ("", ""), "the error names it")
    recover(ready)


def test_a_helper_that_crashes_is_an_error_like_any_other(ready):
    assign(ready)
    v = ready.vehicle
    with Refusal(ready, "Helper", "uptane-fetch"):
        v.control("stop", "fetch")
        os.unlink(v.path("sockets", "fetch.sock"))
        crash = v.path("crash")
        with open(crash, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\nkill -SEGV $$\n")
        os.chmod(crash, os.stat(crash).st_mode | stat.S_IXUSR)
        import subprocess
        helper = subprocess.Popen(["systemd-socket-activate", "--accept", "-l", v.path("sockets", "fetch.sock"), crash],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(v.path("sockets", "fetch.sock")), "the socket")
    helper.terminate()
    helper.wait()
    os.unlink(v.path("sockets", "fetch.sock"))
    v.control("start", "fetch")
    recover(ready)


def test_a_helper_that_is_not_there_is_an_error_like_any_other(ready):
    assign(ready)
    v = ready.vehicle
    with Refusal(ready, "Helper", "uptane-fetch"):
        v.control("stop", "fetch")
        os.unlink(v.path("sockets", "fetch.sock"))
    v.control("start", "fetch")
    recover(ready)


def test_detected_attacks_reach_the_next_version_report(ready):
    ready.backend.faults.add("^/director/timestamp.json", "tamper", len(ready.director.repository.files["timestamp.json"]) - 30)
    v = ready.vehicle
    v.call("CheckForUpdates")
    wait_for(lambda: v.error()[0], "an error")
    ready.backend.faults.clear()
    v.check()
    report = ready.director.manifests[-1]["signed"]["ecu_version_manifests"][v.serial]["signed"]
    assert report["attacks_detected"] != ""
    assert json.dumps(report)
    v.check()
    report = ready.director.manifests[-1]["signed"]["ecu_version_manifests"][v.serial]["signed"]
    assert report["attacks_detected"] == ""
