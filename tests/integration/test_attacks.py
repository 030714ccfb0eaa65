# SPDX-License-Identifier: Apache-2.0
"""Attacks T-14 to T-20, on Timestamp, Snapshot and Targets, on the running daemon. T-13 and more of T-17 and T-20 are in
test_bad_input.py."""
import hashlib
import json

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
    with Attack(ready, "TooLarge", name, role, "bytes announced, at most"):
        listed(length=len(r.files[file]) - 1)
    with Attack(ready, "TooLarge", name, role) as attack:
        ready.backend.faults.add(url(name) + file, "replace", r.files[file] + b"\n")
        attack.texts = ("%d bytes announced, at most %d allowed" % (len(r.files[file]) + 1, len(r.files[file])),)
    with Attack(ready, "TooLarge", name, role) as attack:
        ready.backend.faults.add(url(name) + file, "endless")
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
        for wrong in [wrong.title() for wrong in ROLES if wrong != role] + (["snapshot", "SNAPSHOT", "sNAPSHOT", "timestamp "] if role == "timestamp" else []):
            with Attack(ready, "WrongRole", name, role, "'%s' where '%s' was expected" % (wrong, role)):
                r.edit(role, lambda signed: signed.update(_type=wrong))
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
    for role in ("targets", "snapshot"):
        with Attack(ready, ("MixAndMatch", "TooLarge"), name, role):
            old = r.save()
            r.publish()
            r.replay(old, role)
    old = r.versions["targets"]
    good(ready)
    with Attack(ready, "Rollback", name, "snapshot", "targets.json goes back"):
        roll_back(r, "targets", old)  # a new Snapshot lists it


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
