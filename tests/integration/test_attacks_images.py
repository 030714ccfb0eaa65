# SPDX-License-Identifier: Apache-2.0
"""Attacks T-21 to T-26 and T-43 on the running daemon: what the Director says, alone and together with the Image repository, and names
of images. T-25 is in test_update.py, more of T-22 and T-23 in test_bad_input.py."""
import hashlib
import os

import pytest
from attack import Attack, check, good, ready  # noqa: F401
from backend.repository import after
from vehicle import wait_for


@pytest.mark.parametrize("role", ["timestamp", "snapshot"])
def test_t21_a_director_without_timestamp_or_snapshot_is_refused_unless_that_is_configured(ready, role):
    with Attack(ready, "NotFound", "director", role, "no such file"):
        del ready.director.repository.files[role + ".json"]
    assert ready.vehicle.property("DirectorTimestamp") is True
    assert "without Timestamp" not in ready.vehicle.ctl("status").stdout


@pytest.mark.world(config="[server]\nrequire-director-timestamp = no\n", secondaries=0)
def test_t21_a_director_without_timestamp_and_snapshot_is_accepted_where_that_is_configured_and_shown(world):
    v, r = world.vehicle, world.director.repository

    def publish():
        r.publish()
        for role in ("timestamp", "snapshot"):
            del r.files[role + ".json"]

    publish()
    v.boot()
    v.wait_state("idle")
    assert v.error() == ("", "")
    assert not world.backend.requests("director/(timestamp|snapshot).json")
    assert v.property("DirectorTimestamp") is False
    assert "without Timestamp and Snapshot (require-director-timestamp=no)" in v.ctl("status").stdout
    # what is left of the checks still holds
    old = r.versions["targets"]
    publish()
    check(world)
    assert v.error() == ("", "")
    r.versions["targets"] = old - 1
    publish()
    check(world)
    assert v.error()[0] == "Rollback" and v.error()[1].startswith("director targets"), v.error()
    r.versions["targets"], r.expires["targets"] = old + 1, after(days=-1)
    publish()
    check(world)
    assert v.error()[0] == "MetadataExpired" and v.error()[1].startswith("director targets"), v.error()


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


def change_target(r, name, change):
    """Changes what a repository says of an image, and publishes it."""
    change(r.targets[name])
    r.publish()


# T-22: target without ecuIdentifiers
def test_t22_an_image_of_the_director_for_no_ecu_is_refused(ready):
    def without(target):
        del target["custom"]["ecuIdentifiers"]

    for change in (without, lambda target: target.pop("custom"), lambda target: target["custom"].update(ecuIdentifiers={}),
                   lambda target: target["custom"].update(ecuIdentifiers=None)):
        with Attack(ready, "UnknownEcu", "director", None, "assigned to no ECU"):
            change_target(ready.director.repository, ready.bad[0], change)
    with Attack(ready, "UnknownEcu", "director", None, "assigned to no ECU"):
        # beside one that is for an ECU
        r = ready.director.repository
        r.targets["nobody.bin"] = dict(r.targets[ready.bad[0]], custom={})
        r.publish()


# T-23: each hash, and what else both say
def test_t23_repositories_that_disagree_are_refused_whatever_they_disagree_about(ready):
    def both(director, image):
        change_target(ready.director.repository, ready.bad[0], director)
        change_target(ready.backend.image, ready.bad[0], image)

    def hashes(**digests):
        return lambda target: target.update(hashes=dict(digests))

    def keep(*names):
        return lambda target: target.update(hashes={name: target["hashes"][name] for name in names})

    def custom(**members):
        return lambda target: target["custom"].update(members)

    def nothing(target):
        pass

    for director, image, error, text in (
            (keep("sha512"), hashes(sha512="00" * 64), "TargetMismatch", "other hashes"),
            (keep("sha256"), keep("sha512"), "TargetMismatch", "none in common"),
            (nothing, lambda target: target["hashes"].update(sha512="00" * 64), "TargetMismatch", "other hashes"),
            (nothing, lambda target: target["hashes"].update(sha256="00" * 32), "TargetMismatch", "other hashes"),
            (nothing, lambda target: target.update(length=target["length"] - 1), "TargetMismatch", "bytes"),
            (custom(releaseCounter=7), custom(releaseCounter=8), "TargetMismatch", "release counter"),
            (nothing, custom(hardwareIds=["other-mcu"]), "HardwareMismatch", "not made for"),
            (nothing, custom(hardwareIds=[]), "HardwareMismatch", "not made for")):
        with Attack(ready, error, "image", None, text):
            both(director, image)
    # one that both list and that is the same is enough
    data = b"one in common" * 100
    ready.assign(firmware=ready.publish_firmware("common.bin", data))
    change_target(ready.director.repository, "common.bin", keep("sha512"))
    check(ready)
    assert ready.vehicle.error() == ("", "") and ready.vehicle.secondaries[0].content() == data


# Uptane 5.4.3.4 (5)
def test_t24_a_release_counter_below_the_installed_one_is_refused(ready):
    v = ready.vehicle

    def install(counter):
        data = b"release %d" % counter * 100
        ready.assign(firmware=ready.publish_firmware("release-%d.bin" % counter, data, releaseCounter=counter))
        check(ready)
        assert v.error() == ("", "") and v.secondaries[0].content() == data

    def offer(counter):
        ready.assign(firmware=ready.publish_firmware("other-%s.bin" % counter, b"other" * 100, releaseCounter=counter))

    install(5)
    # a good update counts, too
    update_firmware, ready.update_firmware = ready.update_firmware, lambda: install(5 + len(ready.director.manifests))
    for counter in (4, None):
        with Attack(ready, "Rollback", "image", None, "release counter"):
            offer(counter)
    assert update_firmware


def test_t26_an_unknown_hash_beside_good_ones_is_passed_over_and_a_wrong_known_one_is_not(ready):
    def hashes(**digests):
        for r in (ready.director.repository, ready.backend.image):
            change_target(r, ready.bad[0], lambda target: target["hashes"].update(digests))

    with Attack(ready, "ImageMismatch", "image", None):
        hashes(sha512="11" * 64)
    with Attack(ready, "ImageMismatch", "image", None):
        hashes(sha256="11" * 32)
    with Attack(ready, "Malformed", "director", "targets", "sha256"):
        hashes(sha256="11" * 31)
    with Attack(ready, "Unsupported", "director", "targets", "neither sha256 nor sha512"):
        change_target(ready.director.repository, ready.bad[0], lambda target: target.update(hashes={"blake2b-256": "22" * 32}))
    data = b"hashes" * 100
    ready.bad = ready.publish_firmware("hashes.bin", data)
    ready.assign(firmware=ready.bad)
    hashes(**{"blake2b-256": "22" * 32, "sha3-256": 7})
    check(ready)
    assert ready.vehicle.error() == ("", "") and ready.vehicle.secondaries[0].content() == data


ESCAPES = ["../x", "/abs", "a/../../x", "..", "x" * 300, "a\x07b", "a\x00b", "\x00", "", "a\x7f", "a\x9bb"]


def test_t43_an_image_whose_name_is_a_way_out_is_refused(ready):
    image = ready.backend.image
    for name in ESCAPES:
        data = b"escape" * 100
        ready.backend.images[name] = data
        with Attack(ready, "Malformed", "director", "targets"):
            image.target(name, data, hardwareIds=["test-mcu"], targetFormat="BINARY")
            image.publish()
            ready.assign(firmware=(name, image.targets[name]))


# T-43: such a name that only the Image repository, or a role it delegates to, lists
def test_t43_a_name_that_is_a_way_out_is_refused_where_nobody_asks_for_it(ready):
    image = ready.backend.image
    for name in ESCAPES:
        with Attack(ready, "Malformed", "image", "targets"):
            image.target(name, b"escape", hardwareIds=["test-mcu"], targetFormat="BINARY")
            image.publish()
    image.delegate("supplier", paths=["bad-*"])
    image.publish()
    good(ready)
    for name in ("../x", "/abs", "a\x00b"):
        with Attack(ready, "Malformed", "image", None, "image role 'supplier'"):
            targets = image.delegated["supplier"].targets
            targets[ready.bad[0]] = targets[name] = image.targets.pop(ready.bad[0])
            image.publish()


def planted(world, data, *names):
    """An assigned image, and symbolic links of these names to a file where images are stored."""
    world.bad = world.publish_firmware("folder/linked.bin", data)
    world.assign(firmware=world.bad)
    victim, folder = world.vehicle.path("victim"), world.vehicle.path("state", "images")
    with open(victim, "wb") as f:
        f.write(b"untouched")
    os.makedirs(folder, exist_ok=True)
    for name in names:
        os.symlink(victim, os.path.join(folder, name))
    return victim, folder


@pytest.mark.world(config="[update]\nconsent-install = ask\n")
def test_t43_an_image_is_stored_under_its_hash_and_nowhere_else(world):
    v, data = world.vehicle, b"linked" * 100
    v.boot()
    v.wait_state("idle")
    sha256, sha512 = hashlib.sha256(data).hexdigest(), hashlib.sha512(data).hexdigest()
    others = ("linked.bin", "folder", sha512, sha512 + ".part")
    victim, folder = planted(world, data, *others)
    v.verb("CheckForUpdates")
    wait_for(lambda: v.state() == "awaiting-consent" and v.property("Update")["Stage"] == "install", lambda: "the download; %s" % (v.error(),))
    assert sorted(os.listdir(folder)) == sorted((sha256, *others))
    path = os.path.join(folder, sha256)
    assert not os.path.islink(path) and os.stat(path).st_mode & 0o777 == 0o600
    with open(path, "rb") as f, open(victim, "rb") as g:
        assert f.read() == data and g.read() == b"untouched"
    v.call("Approve", "(ss)", (v.property("Update")["Id"], "install"))
    wait_for(lambda: v.state() == "idle" and v.secondaries[0].content() == data, lambda: "the installation; %s" % (v.error(),))
    assert not os.listdir(folder)
    with open(victim, "rb") as f:
        assert f.read() == b"untouched"


@pytest.mark.parametrize("suffix", ["", ".part"])
def test_t43_an_image_is_written_and_read_through_no_symbolic_link(ready, suffix):
    v, data = ready.vehicle, b"linked" * 100
    before = v.secondaries[0].content()
    name = hashlib.sha256(data).hexdigest() + suffix
    victim, folder = planted(ready, data, name)
    if not suffix:  # even where it leads to the right bytes
        with open(victim, "wb") as f:
            f.write(data)
    with open(victim, "rb") as f:
        content = f.read()
    check(ready)
    assert v.error()[0] == "Storage" and "images/%s: Too many levels of symbolic links" % name in v.error()[1], v.error()
    with open(victim, "rb") as f:
        assert f.read() == content
    assert v.secondaries[0].content() == before and os.path.islink(os.path.join(folder, name))
    os.unlink(os.path.join(folder, name))
    check(ready)
    assert v.error() == ("", "") and v.secondaries[0].content() == data
