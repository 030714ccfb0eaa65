# SPDX-License-Identifier: Apache-2.0
"""Attacks T-1 to T-26 and T-43 on the running daemon, where test_bad_input, test_update and the core's tests do not make them."""
import hashlib
import json
import os

import pytest
from backend.keys import Key, envelope
from backend.repository import after
from state import trusted
from vehicle import wait_for


@pytest.fixture
def ready(world):
    """A vehicle that has done one good update and has another assigned, which an attack shall keep it from."""
    world.vehicle.boot()
    world.vehicle.wait_state("idle")
    world.update_firmware()
    world.bad = world.publish_firmware("bad.bin", b"bad firmware\n" * 100)
    world.assign(firmware=world.bad)
    return world


def repository(world, name):
    return world.director.repository if name == "director" else world.backend.image


def url(name):
    return "^/director/" if name == "director" else "^/repo/"


class Attack:
    """with Attack(world, "Rollback"): make it. Then a check is made, and [R] is looked at: refused with this error, nothing new is
    trusted (but for what is allowed), nothing installed, and the daemon is the same one. Afterwards a good update succeeds."""

    def __init__(self, world, *errors, name="director", texts=(), allowed=lambda key: False, recover=True):
        self.world, self.errors, self.texts, self.recover = world, errors, texts, recover
        # what the Director says is good where the Image repository is attacked
        self.allowed = lambda key: allowed(key) or (name == "image" and key[1] == "director")

    def __enter__(self):
        v = self.world.vehicle
        self.pid, self.content, self.trusted = v.control("pid", "uptaned"), v.secondaries[0].content(), trusted(v)
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.look()

    def look(self):
        v = self.world.vehicle
        v.wait_state("idle")
        v.verb("CheckForUpdates")
        wait_for(lambda: v.error()[0] and v.state() == "idle", lambda: "an error; state %s, %s" % (v.state(), v.log("uptaned")[-800:]))
        name, message = v.error()
        assert name in self.errors, (name, message)
        for text in self.texts:
            assert text in message
        new = {key for key, data in trusted(v).items() if self.trusted.get(key) != data and not self.allowed(key)}
        assert not new, new
        assert v.secondaries[0].content() == self.content
        assert v.control("pid", "uptaned") == self.pid
        if self.recover:
            good(self.world)


def good(world):
    """The next good cycle."""
    world.backend.faults.clear()
    world.update_firmware()
    assert world.vehicle.error() == ("", "")


BOTH = pytest.mark.parametrize("name", ["director", "image"])


# Root


# Uptane 5.4.4.2 (2, 6b)
@BOTH
def test_t1_a_root_signed_only_by_old_or_only_by_new_keys_is_refused(ready, name):
    r = repository(ready, name)
    old, version = list(r.keys["root"]), r.versions["root"]
    file = "%d.root.json" % (version + 1)
    for signers in ("old", "new"):
        r.keys["root"] = [Key()]
        new = list(r.keys["root"])
        r.versions["root"] = version
        r.sign_root()
        signed = json.loads(r.files[file])["signed"]
        with Attack(ready, "SignatureThreshold", name=name, texts=["root version %d" % (version + 1)], recover=False):
            r.files[file] = envelope(signed, old if signers == "old" else new)
        del r.files[file]
        r.keys["root"], r.versions["root"] = old, version
    good(ready)


@BOTH
@pytest.mark.parametrize("offered", [0, 2, 2 ** 63 - 1, 2 ** 63])
def test_t2_a_root_whose_content_is_another_version_is_refused(ready, name, offered):
    r = repository(ready, name)
    version = r.versions["root"]
    file = "%d.root.json" % (version + 1)
    signed = json.loads(r.files["%d.root.json" % version])["signed"]
    signed["version"] = version + offered if offered in (0, 2) else offered
    with Attack(ready, "Rollback", "MixAndMatch", "Malformed", name=name, recover=False):
        r.files[file] = envelope(signed, r.keys["root"])
    del r.files[file]
    good(ready)


# Uptane 5.4.4.3 (2.3d)
@BOTH
def test_t3_a_root_that_failed_is_not_trusted_after_a_restart(ready, name):
    r = repository(ready, name)
    file = "%d.root.json" % (r.versions["root"] + 1)
    signed = dict(json.loads(r.files["%d.root.json" % r.versions["root"]])["signed"], version=r.versions["root"] + 1)
    with Attack(ready, "SignatureThreshold", name=name, recover=False):
        r.files[file] = envelope(signed, [Key()])
    before = trusted(ready.vehicle)
    ready.vehicle.kill_daemon()
    ready.vehicle.wait_state("idle")
    assert trusted(ready.vehicle) == before
    assert r.files[file] not in before.values()
    del r.files[file]
    good(ready)


@BOTH
@pytest.mark.parametrize("kind,value", [("status", 403), ("status", 500), ("stall", None), ("endless", None), ("drop", None)])
@pytest.mark.world(config="[timeouts]\nmetadata = 2\n")
def test_t7_another_answer_than_404_is_not_the_end_of_the_chain_of_roots(ready, name, kind, value):
    r = repository(ready, name)
    r.rotate("root")
    with Attack(ready, "Http", "Timeout", "TooLarge", "Network", "TooSlow", name=name, recover=False):
        ready.backend.faults.add(url(name) + "%d.root.json" % r.versions["root"], kind, value)
    good(ready)


@BOTH
@pytest.mark.world(secondaries=0)
@pytest.mark.parametrize("what", ["wrong type", "expired", "no roles", "absent", "of the other repository"])
def test_t9_t10_t12_a_vehicle_starts_with_no_root_that_is_not_good(world, name, what):
    """T-9, T-10 and T-12."""
    v = world.vehicle
    r = repository(world, name)
    path = v.path("roots", name + ".root.json")
    signed = json.loads(r.files["1.root.json"])["signed"]
    if what == "wrong type":
        data = envelope(dict(signed, _type="Targets"), r.keys["root"])
    elif what == "expired":
        data = envelope(dict(signed, expires=after(days=-1)), r.keys["root"])
        r.files["1.root.json"] = data
    elif what == "no roles":
        data = envelope(dict(signed, roles={}), r.keys["root"])
    elif what == "of the other repository":
        data = repository(world, "image" if name == "director" else "director").files["1.root.json"]
    else:
        data = None
    os.unlink(path)
    if data:
        with open(path, "wb") as f:
            f.write(data)
    if what in ("expired", "of the other repository"):
        v.boot()
        world.backend.image.publish()
        wait_for(lambda: v.state() == "idle", "idle")
        world.assign(primary=world.publish_commit("2"))
        v.check()
        assert v.error()[0] == ("MetadataExpired" if what == "expired" else "SignatureThreshold"), v.error()
        assert ("image" if name == "image" else "director") in v.error()[1]
        assert not any(table == "metadata" and repository_name == name for table, repository_name, _ in trusted(v))
        return
    v.boot(wait=False)
    text = "must be shipped" if what == "absent" else name + ".root.json"
    wait_for(lambda: text in v.log("uptaned"), lambda: "a refusal; " + v.log("uptaned")[-800:])
    assert "READY=1" not in v.notifications
    if os.path.exists(v.path("state", "uptaned.db")):
        assert not any(key[1] == name for key in trusted(v))


# Timestamp, Snapshot, Targets


@pytest.mark.parametrize("moment", ["installed", "failed", "restarted", "rebooted"])
def test_t14_a_rollback_is_refused_whatever_happened_before(ready, moment):
    v = ready.vehicle
    saved = {name: repository(ready, name).save() for name in ("director", "image")}
    if moment == "failed":
        ready.assign(firmware=ready.publish_firmware("wrong.bin", b"signed", served=b"served"))
        v.check()
        assert v.error()[0] == "ImageMismatch"
        v.wait_state("idle")
    else:
        good(ready)
    if moment == "restarted":
        v.kill_daemon()
    elif moment == "rebooted":
        v.power_cut()
        v.boot()
    v.wait_state("idle")
    for name in ("director", "image"):
        r = repository(ready, name)
        current = r.save()
        with Attack(ready, "Rollback", name=name, recover=False):
            if name == "image":  # something new, so that the Image repository is asked
                ready.assign(firmware=ready.bad)
            r.replay(saved[name], "timestamp", "snapshot", "targets")
        r.files, r.versions = current[0], dict(r.versions, **{role: max(current[1][role], r.versions[role]) for role in r.versions})
    good(ready)


# Uptane 5.4.4.2 (3a, 7)
@BOTH
def test_t16_a_refused_timestamp_is_not_kept(ready, name):
    r = repository(ready, name)
    good_expiry, r.expires["timestamp"] = r.expires["timestamp"], after(days=-1)
    r.publish()
    with Attack(ready, "MetadataExpired", name=name, recover=False):
        pass
    bad = r.files["timestamp.json"]
    ready.vehicle.kill_daemon()
    ready.vehicle.wait_state("idle")
    assert bad not in trusted(ready.vehicle).values()
    r.expires["timestamp"] = good_expiry
    r.publish()
    good(ready)


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
@BOTH
def test_t19_files_of_the_other_repository_or_of_another_role_are_refused(ready, name, role):
    r, other = repository(ready, name), repository(ready, "image" if name == "director" else "director")
    errors = "SignatureThreshold", "MixAndMatch", "WrongRole", "Malformed", "TooLarge"
    before = ("timestamp", "snapshot", "targets").index(role) + 1  # files in front of the bad one are good

    def allowed(key):
        return key[0] == "metadata" and key[2] < before
    with Attack(ready, *errors, name=name, recover=False, allowed=allowed):
        kept = dict(r.files)
        r.files[role + ".json"] = other.files[role + ".json"]
    r.files = kept
    for wrong in {"timestamp", "snapshot", "targets"} - {role}:
        with Attack(ready, *errors, name=name, recover=False, allowed=allowed):
            r.files[role + ".json"] = kept[wrong + ".json"]
        r.files = dict(kept)
    good(ready)


def test_t20_an_installed_update_is_finished_although_all_metadata_has_expired_since(world):
    v = world.vehicle
    v.boot()
    v.wait_state("idle")
    correlation = world.assign(primary=world.publish_commit("2"))
    v.verb("CheckForUpdates")
    v.wait_reboot()
    for name in ("director", "image"):
        r = repository(world, name)
        r.expires = {role: after(days=-1) for role in r.expires}
        r.publish()
    v.boot()
    wait_for(lambda: world.director.reports(), lambda: "a report; " + v.log("uptaned")[-800:])
    report = world.director.reports()[-1]
    assert report["correlation_id"] == correlation and report["result"]["success"]
    assert world.director.installed(v.serial) == ("os-2", world.images.commit("2"))
    v.wait_state("idle")
    v.check()
    assert v.error()[0] == "MetadataExpired"


@pytest.mark.parametrize("role", ["timestamp", "snapshot"])
def test_t21_a_director_without_timestamp_or_snapshot_is_refused_unless_that_is_configured(ready, role):
    saved = ready.director.repository.files.pop(role + ".json")
    with Attack(ready, "NotFound", texts=["director " + role], recover=False, allowed=lambda key: key[2] == 1):
        pass
    ready.director.repository.files[role + ".json"] = saved
    good(ready)


@pytest.mark.world(config="[server]\nrequire-director-timestamp = no\n", secondaries=0)
def test_t21_a_director_without_timestamp_and_snapshot_is_accepted_where_that_is_configured(world):
    for role in ("timestamp", "snapshot"):
        del world.director.repository.files[role + ".json"]
    world.vehicle.boot()
    world.vehicle.wait_state("idle")
    assert world.vehicle.error() == ("", "")
    assert not world.backend.requests("director/timestamp.json")


@pytest.mark.world(config="[primary]\nvin = VIN-1\n[server]\nrequire-vehicle-id = yes\n", secondaries=0)
def test_t22_empty_targets_of_another_vehicle_are_refused(world):
    v = world.vehicle
    world.director.repository.custom = {"vin": "VIN-1"}
    world.director.repository.publish()
    v.boot()
    v.wait_state("idle")
    assert v.error() == ("", "")
    for custom in ({"vin": "VIN-2"}, {"vin": "VIN-1", "deviceId": "vehicle-2"}, None):
        world.director.repository.custom = custom
        world.director.repository.publish()
        v.check()
        assert v.error()[0] == "WrongVehicle", v.error()
        world.director.repository.custom = {"deviceId": "vehicle-1"}
        world.director.repository.publish()
        v.check()
        assert v.error() == ("", "")


# Uptane 5.4.3.4 (5)
def test_t24_a_release_counter_below_the_installed_one_is_refused(ready):
    ready.assign(firmware=ready.publish_firmware("five.bin", b"five" * 100, releaseCounter=5))
    ready.vehicle.check()
    ready.vehicle.wait_state("idle")
    assert ready.vehicle.error() == ("", "") and ready.vehicle.secondaries[0].content() == b"five" * 100
    for counter in (4, None):
        entry = ready.publish_firmware("other-%s.bin" % counter, b"other" * 100, releaseCounter=counter)
        with Attack(ready, "Rollback", texts=["release counter"], recover=False, allowed=lambda key: True):
            ready.assign(firmware=entry)
    ready.assign(firmware=ready.publish_firmware("six.bin", b"six" * 100, releaseCounter=6))
    ready.vehicle.check()
    ready.vehicle.wait_state("idle")
    assert ready.vehicle.error() == ("", "") and ready.vehicle.secondaries[0].content() == b"six" * 100

# Uptane 5.4.2.4 (d), Uptane 5.4.3.4 (7)

def test_t26_an_unknown_hash_beside_good_ones_is_passed_over_and_a_wrong_known_one_is_not(ready):
    data = b"hashes" * 100
    entry = ready.backend.add_image("hashes.bin", data, ["test-mcu"])
    wrong = dict(entry["hashes"], sha512="11" * 64)
    with Attack(ready, "ImageMismatch", "TargetMismatch", texts=["hashes.bin"], recover=False, allowed=lambda key: True):
        ready.backend.image.targets["hashes.bin"]["hashes"] = wrong
        ready.backend.image.publish()
        ready.assign(firmware=("hashes.bin", dict(entry, hashes=wrong)))
    right = {"sha256": hashlib.sha256(data).hexdigest(), "blake2b-256": "22" * 32}
    ready.backend.images["more.bin"] = data
    ready.backend.image.targets["more.bin"] = dict(entry, hashes=right)
    ready.backend.image.publish()
    ready.assign(firmware=("more.bin", dict(entry, hashes=right)))
    ready.vehicle.check()
    ready.vehicle.wait_state("idle")
    assert ready.vehicle.secondaries[0].content() == data


@pytest.mark.parametrize("image", ["../x", "/abs", "a/../../x", "x" * 300, "a\x07b"])
def test_t43_an_image_whose_name_is_a_way_out_is_refused(ready, image):
    data = b"escape" * 100
    entry = ready.backend.image.targets.pop("bad.bin")
    ready.backend.images[image] = data
    ready.backend.image.target(image, data, hardwareIds=["test-mcu"], targetFormat="BINARY")
    ready.backend.image.publish()
    with Attack(ready, "Malformed", texts=["director targets"], recover=False, allowed=lambda key: key[1] == "director" and key[2] in (1, 2)):
        ready.assign(firmware=(image, ready.backend.image.targets[image]))
    del ready.backend.image.targets[image]
    assert entry
    good(ready)


def test_t43_an_image_is_stored_under_its_hash_and_through_no_symbolic_link(ready):
    data = b"linked" * 100
    name, entry = ready.publish_firmware("folder/linked.bin", data)
    victim = ready.vehicle.path("victim")
    with open(victim, "w", encoding="utf-8") as f:
        f.write("untouched")
    folder = ready.vehicle.path("state", "images")
    os.makedirs(folder, exist_ok=True)
    for planted in ("linked.bin", entry["hashes"]["sha256"], entry["hashes"]["sha256"] + ".part", entry["hashes"]["sha512"]):
        os.symlink(victim, os.path.join(folder, planted))
    ready.assign(firmware=(name, entry))
    ready.vehicle.call("CheckForUpdates")
    wait_for(lambda: ready.vehicle.state() == "idle" and (ready.vehicle.error()[0] or ready.vehicle.secondaries[0].content() == data),
             lambda: "an end; " + ready.vehicle.log("uptaned")[-800:])
    with open(victim, encoding="utf-8") as f:
        assert f.read() == "untouched"
