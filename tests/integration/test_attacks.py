# SPDX-License-Identifier: Apache-2.0
"""Attacks T-14 to T-26 and T-43 on the running daemon: metadata below Root, what Director and Image repository say together, names.
T-13, T-39 and other T-17, T-20, T-22 and T-23 are in test_bad_input.py, T-25 in test_update.py."""
import hashlib
import json
import os

import pytest
from attack import BOTH, ROLES, Attack, check, good, ready, repository, roll_back, told_since, url  # noqa: F401
from backend.keys import envelope
from backend.repository import after
from clock import DAY, Clock
from state import trusted
from vehicle import wait_for

BELOW_ROOT = ROLES[1:]


# Timestamp, Snapshot, Targets


@pytest.mark.parametrize("moment", ["installed", "failed", "restarted", "rebooted"])
def test_t14_a_rollback_is_refused_whatever_happened_before(ready, moment):
    v = ready.vehicle
    if moment == "failed":
        with Attack(ready, "ImageMismatch", "image", None):
            ready.assign(firmware=ready.publish_firmware("wrong.bin", b"signed", served=b"served"))
    before = {name: dict(repository(ready, name).versions) for name in ("director", "image")}
    if moment == "failed":
        ready.assign(firmware=ready.publish_firmware("wrong.bin", b"signed once more", served=b"served"))
        check(ready)
        assert v.error()[0] == "ImageMismatch"
        ready.director.clear()
        check(ready)
        assert v.error() == ("", "")
    else:
        good(ready)
    if moment == "restarted":
        v.kill_daemon()
    elif moment == "rebooted":
        v.power_cut()
        v.boot()
    v.wait_state("idle")
    for name in ("director", "image"):
        for role, at in ("timestamp", "timestamp"), ("snapshot", "timestamp"), ("targets", "snapshot"):
            with Attack(ready, "Rollback", name, at):
                roll_back(repository(ready, name), role, before[name][role])


RSA = {"key_types": {"timestamp": "rsa", "snapshot": "rsa", "targets": "rsa"}}


@BOTH
def test_t15_other_content_under_a_version_that_is_trusted_is_refused(ready, name):
    r = repository(ready, name)
    for role in BELOW_ROOT:
        with Attack(ready, "MixAndMatch", name, role, "two different files"):
            signed = json.loads(trusted(ready.vehicle)["metadata", name, ROLES.index(role)])["signed"]
            r.versions[role] = signed["version"]
            r.serve(role, envelope(dict(signed, expires=after(days=300)), r.keys[role]))


@BOTH
@pytest.mark.world(director=RSA, image=RSA)
def test_t15_other_signatures_over_the_same_content_are_the_same_version(ready, name):
    r = repository(ready, name)
    images = [ready.publish_firmware("same-%d.bin" % i, b"same %d" % i) for i in range(4)]
    ready.assign(firmware=images[0])
    check(ready)
    for i, (role, listed_by) in enumerate((("timestamp", ()), ("snapshot", ("timestamp",)), ("targets", ("snapshot", "timestamp"))), 1):
        if name == "image":  # so that it is asked
            ready.assign(firmware=images[i])
        old = trusted(ready.vehicle)["metadata", name, ROLES.index(role)]
        again = envelope(json.loads(old)["signed"], r.keys[role])
        assert again != old
        for lister in listed_by:
            r.versions[lister] += 1
        r.serve(role, again)
        check(ready)
        assert ready.vehicle.error() == ("", "")
        assert trusted(ready.vehicle)["metadata", name, ROLES.index(role)] == again
    assert ready.vehicle.secondaries[0].content() == (b"same 3" if name == "image" else b"same 0")


@BOTH
def test_t16_a_refused_timestamp_is_not_kept(ready, name):
    r, v = repository(ready, name), ready.vehicle
    with Attack(ready, "MetadataExpired", name, "timestamp") as attack:
        r.expires["timestamp"] = after(days=-1)
        r.publish()
        attack.refused()
        ready.backend.stop()
        v.kill_daemon()
        wait_for(lambda: v.state() == "idle" and v.error()[0] == "Network", lambda: "offline; %s" % (v.error(),))
        attack.nothing_changed()
        assert r.files["timestamp.json"] not in trusted(v).values()
        ready.backend.start()


@BOTH
@pytest.mark.parametrize("lister,role", [("timestamp", "snapshot"), ("snapshot", "targets")])
def test_t17_a_file_that_is_not_the_listed_one_is_refused(ready, name, lister, role):
    r, file = repository(ready, name), role + ".json"

    def listed(**changes):
        def change(signed):
            signed["meta"][file].update(changes)
            signed["meta"][file] = {key: value for key, value in signed["meta"][file].items() if value is not None}
        r.edit(lister, change)

    def digests(**changes):
        data = r.files[file]
        return dict({"sha256": hashlib.sha256(data).hexdigest(), "sha512": hashlib.sha512(data).hexdigest()}, **changes)

    for make in (lambda: listed(length=len(r.files[file]) + 1), lambda: listed(hashes=digests(sha256="00" * 32)),
                 lambda: listed(hashes=digests(sha512="00" * 64)), lambda: listed(hashes={"sha512": "00" * 64}),
                 lambda: listed(version=r.versions[role] + 1)):
        with Attack(ready, "MixAndMatch", name, role):
            make()
    with Attack(ready, "MixAndMatch", name, role):
        listed(length=None)
        ready.backend.faults.add(url(name) + file, "replace", r.files[file] + b"{}")
    # where a length is listed, not one byte more is taken
    with Attack(ready, "TooLarge", name, role, "more than the allowed"):
        listed(length=len(r.files[file]) - 1)
    for kind, extra in ("replace", b"\n"), ("endless", None):
        with Attack(ready, "TooLarge", name, role) as attack:
            ready.backend.faults.add(url(name) + file, kind, r.files[file] + extra if extra else None)
            attack.texts = ("more than the allowed %d bytes" % len(r.files[file]),)
    if lister == "timestamp":
        with Attack(ready, "Malformed", name, "timestamp", "hashes"):
            listed(hashes=None)
    # one known hash is enough
    data = b"sha512 only" * 100
    ready.assign(firmware=ready.publish_firmware("sha512.bin", data))
    listed(hashes={"sha512": digests()["sha512"], "blake2b-256": "22" * 32})
    check(ready)
    assert ready.vehicle.error() == ("", "") and ready.vehicle.secondaries[0].content() == data


@BOTH
def test_t18_a_snapshot_that_drops_targets_or_takes_a_delegated_role_back_is_refused(ready, name):
    r = repository(ready, name)
    with Attack(ready, "Rollback", name, "snapshot", "targets.json is not listed any more"):
        r.edit("snapshot", lambda signed: signed["meta"].pop("targets.json"))
    if name == "director":
        return
    r.delegate("supplier", paths=["supplier/*"])
    r.publish()
    good(ready)
    with Attack(ready, "Rollback", name, "snapshot", "supplier.json is not listed any more"):
        r.edit("snapshot", lambda signed: signed["meta"].pop("supplier.json"))
    with Attack(ready, "Rollback", name, "snapshot", "supplier.json goes back"):
        version = json.loads(trusted(ready.vehicle)["metadata", name, ROLES.index("snapshot")])["signed"]["meta"]["supplier.json"]["version"]
        r.edit("snapshot", lambda signed: signed["meta"]["supplier.json"].update(version=version - 1))


@BOTH
def test_t19_files_of_the_other_repository_or_of_another_role_are_refused(ready, name):
    r, other = repository(ready, name), repository(ready, "image" if name == "director" else "director")
    for role in BELOW_ROOT:
        # what is not the listed file is refused before anybody asks what it is
        errors = "SignatureThreshold" if role == "timestamp" else ("MixAndMatch", "TooLarge")
        with Attack(ready, errors, name, role):
            r.files[role + ".json"] = other.files[role + ".json"]
        for wrong in set(BELOW_ROOT) - {role}:
            with Attack(ready, "WrongRole" if role == "timestamp" else ("MixAndMatch", "TooLarge"), name, role):
                r.files[role + ".json"] = r.files[wrong + ".json"]
        with Attack(ready, "SignatureThreshold", name, role):
            r.serve(role, other.files[role + ".json"])


@BOTH
def test_t19_a_wrong_type_is_refused_whoever_signed_it_and_however_it_is_spelt(ready, name):
    r = repository(ready, name)
    for role in BELOW_ROOT:
        for wrong in set(ROLES) - {role}:
            for spelt in {wrong.title()} if role != "timestamp" else {wrong.title(), wrong, wrong.upper(), wrong.swapcase()}:
                with Attack(ready, "WrongRole", name, role, "'%s' where '%s' was expected" % (spelt, role)):
                    r.edit(role, lambda signed: signed.update(_type=spelt))
        with Attack(ready, "WrongRole", name, role):
            r.edit(role, lambda signed: signed.update(_type=role + " "))
    # as the TUF specification writes it
    data = b"lower case" * 100
    ready.assign(firmware=ready.publish_firmware("lower.bin", data))
    for role in reversed(BELOW_ROOT):
        r.serve(role, envelope(dict(r.document(role), _type=role), r.keys[role]), follow=False)
        if role != "timestamp":
            lister = {"targets": "snapshot", "snapshot": "timestamp"}[role]
            r.sign(lister)
    check(ready)
    assert ready.vehicle.error() == ("", "") and ready.vehicle.secondaries[0].content() == data


@BOTH
def test_t19_old_and_new_files_do_not_go_together(ready, name):
    r = repository(ready, name)
    for role, error, at in ("targets", ("MixAndMatch", "TooLarge"), "targets"), ("snapshot", ("MixAndMatch", "TooLarge"), "snapshot"):
        with Attack(ready, error, name, at):
            old = r.save()
            r.publish()
            r.replay(old, role)
    with Attack(ready, "Rollback", name, "snapshot", "targets.json goes back"):
        # a new Snapshot that lists the old Targets
        old = r.versions["targets"] - 1
        r.publish()
        good(ready)
        roll_back(r, "targets", old)


@BOTH
@pytest.mark.world(config="[update]\nconsent-install = ask\n")
def test_t20_metadata_that_expires_between_check_and_installation_stops_it(world, name):
    """T-20: also where only one file of one repository expires."""
    v, clock, r = world.vehicle, Clock(world.vehicle), repository(world, name)
    v.boot()
    v.wait_state("idle")
    r.delegate("supplier", paths=["late-*"]) if name == "image" else None
    for role in (*ROLES, "supplier") if name == "image" else ROLES:
        expires = r.delegated[role] if role == "supplier" else r

        def expire(days):
            if role == "supplier":
                expires.expires = after(days=days)
            else:
                expires.expires[role] = after(days=days)
            if role == "root":
                r.sign_root()
            r.publish()

        expire(10)
        update = world.assign(firmware=world.publish_firmware("late-%s.bin" % role, b"late" * 100, role=r.delegated.get(role)))
        v.verb("CheckForUpdates")
        wait_for(lambda: v.state() == "awaiting-consent" and v.property("Update")["Stage"] == "install", lambda: "the question; %s" % (v.error(),))
        assert v.error() == ("", "")
        manifests = len(world.director.manifests)
        clock.set(20 * DAY)
        v.call("Approve", "(ss)", (update, "install"))
        wait_for(lambda: v.state() == "idle" and v.error()[0] == "MetadataExpired", lambda: "MetadataExpired; %s, %s" % (v.state(), v.error()))
        assert "%s %s" % (name, "role 'supplier'" if role == "supplier" else role) in v.error()[1]
        message = v.error()[1]
        assert v.secondaries[0].content() is None
        clock.set(0)
        expire(365)
        world.director.clear()
        check(world)
        assert v.error() == ("", "")
        assert [t for t in told_since(world, manifests) if t.startswith("freeze: %s (" % message.replace(";", ","))]


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
    for name in ESCAPES:
        with Attack(ready, "Malformed", "image", None, "image role 'supplier'"):
            role = image.delegate("supplier", paths=["bad-*"])
            role.targets[ready.bad[0]] = image.targets.pop(ready.bad[0])
            role.targets[name] = dict(role.targets[ready.bad[0]])
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
