# SPDX-License-Identifier: Apache-2.0
"""Attacks T-1 to T-12, on the chain of Roots, on the running daemon."""
import json
import os

import pytest
from attack import BOTH, ROLES, Attack, check, good, ready, repository, restart, roll_back, url  # noqa: F401
from backend.keys import Key, envelope
from backend.repository import after
from state import trusted
from vehicle import wait_for


def root_file(r, ahead=1):
    return "%d.root.json" % (r.versions["root"] + ahead)


def signed_root(r, **changed):
    """The next Root's signed part."""
    signed = json.loads(r.files[root_file(r, 0)])["signed"]
    return dict(signed, version=r.versions["root"] + 1, **changed)


def trusted_roots(world, name):
    return sorted(key[2] for key in trusted(world.vehicle) if key[:2] == ("root", name))


# Uptane 5.4.4.2 (2, 6b)
@BOTH
def test_t1_a_root_signed_only_by_old_or_only_by_new_keys_is_refused(ready, name):
    r = repository(ready, name)
    for signers in ("old", "new"):
        with Attack(ready, "SignatureThreshold", name, "root", "version %d" % (r.versions["root"] + 1)):
            old, r.keys["root"] = r.keys["root"], [Key()]
            r.sign_root()
            file = root_file(r, 0)
            r.files[file] = envelope(json.loads(r.files[file])["signed"], old if signers == "old" else r.keys["root"])


@BOTH
def test_t2_a_root_whose_content_is_another_version_is_refused(ready, name):
    r = repository(ready, name)
    version = r.versions["root"]
    for offered, error in ((version, "Rollback"), (version + 2, "MixAndMatch"), (2 ** 63 - 1, "MixAndMatch"), (2 ** 63, "Malformed")):
        with Attack(ready, error, name, "root"):
            r.files[root_file(r)] = envelope(dict(signed_root(r), version=offered), r.keys["root"])


def on_disk(vehicle, data):
    """Whether anything of a signature of this file is below the vehicle's state directory."""
    text = json.loads(data)["signatures"][0]["sig"].encode()
    pieces = [text[i:i + 20] for i in range(0, 80, 20)]
    for folder, _, files in os.walk(vehicle.path("state")):
        for file in files:
            with open(os.path.join(folder, file), "rb") as f:
                content = f.read()
            if any(piece in content for piece in pieces):
                return True
    return False


# Uptane 5.4.4.3 (2.3d)
@BOTH
def test_t3_a_root_that_failed_is_neither_trusted_after_a_restart_nor_on_the_disk(ready, name):
    r = repository(ready, name)
    assert on_disk(ready.vehicle, r.files[root_file(r, 0)])
    with Attack(ready, "SignatureThreshold", name, "root") as attack:
        bad = r.files[root_file(r)] = envelope(signed_root(r), [Key()])
        attack.refused()
        before = trusted_roots(ready, name)
        restart(ready, ready.vehicle.kill_daemon)
        assert ready.vehicle.error() == attack.seen  # it is met again
        attack.met += 1
        attack.nothing_changed()
        assert trusted_roots(ready, name) == before == [r.versions["root"]]
        assert not on_disk(ready.vehicle, bad)


@BOTH
@pytest.mark.parametrize("role", ROLES)
def test_t4_a_threshold_that_is_none_or_out_of_reach_is_refused(ready, name, role):
    r = repository(ready, name)
    for threshold in (0, -1, 1.5, "1", None, 2, 2 ** 63 - 1) if role in ("root", "targets") else (0, 2):
        with Attack(ready, "Malformed", name, "root", "threshold"):
            signed = signed_root(r)
            signed["roles"][role]["threshold"] = threshold
            r.files[root_file(r)] = envelope(signed, r.keys["root"])


@BOTH
@pytest.mark.world(director={"keys_per_role": 2, "thresholds": {"targets": 2}, "key_types": {"targets": "rsa"}},
                   image={"keys_per_role": 2, "thresholds": {"targets": 2}, "key_types": {"targets": "rsa"}})
def test_t5_one_key_counts_once_however_often_it_signs_and_whatever_it_is_called(ready, name):
    r = repository(ready, name)
    one = r.keys["targets"][0]
    with Attack(ready, "SignatureThreshold", name, "targets", "signs twice"):
        once = json.loads(envelope(r.document("targets"), [one]))
        r.serve("targets", json.dumps(dict(once, signatures=once["signatures"] * 2)).encode())
    with Attack(ready, "SignatureThreshold", name, "targets", "signs twice"):
        r.edit("targets", lambda signed: None, keys=[one, one])  # with other salts
    with Attack(ready, "SignatureThreshold", name, "targets", "1 valid signatures"):
        r.edit("targets", lambda signed: None, keys=[one])
    with Attack(ready, "SignatureThreshold", name, "targets", "1 valid signatures", "2 were there", new_root=True):
        r.keys["targets"] = [one, one.alias()]
        r.sign_root()
        r.publish()


@BOTH
def test_t5_several_signatures_of_one_new_root_key_count_once(ready, name):
    r = repository(ready, name)
    with Attack(ready, "SignatureThreshold", name, "root", "by its own keys", "1 valid signatures"):
        old, new = r.keys["root"], Key()
        r.keys["root"], r.thresholds["root"] = [new, new.alias()], 2
        r.sign_root(also=old)


@BOTH
def test_t6_an_expired_root_on_the_way_is_taken_and_an_expired_last_one_is_refused(ready, name):
    r = repository(ready, name)
    with Attack(ready, "MetadataExpired", name, "root", "expired", new_root=True):
        r.expires["root"] = after(days=-1)
        r.sign_root()
    assert trusted_roots(ready, name) == [1, 2, 3]  # the attack, and the good one behind it
    lasting, r.expires["root"] = r.expires["root"], after(days=-1)
    for _ in range(3):
        r.sign_root()
    r.expires["root"] = lasting
    r.sign_root()
    good(ready)
    assert trusted_roots(ready, name) == [1, 2, 3, 4, 5, 6, 7]


@BOTH
@pytest.mark.world(config="[timeouts]\nmetadata = 4\n")
def test_t7_another_answer_than_404_is_not_the_end_of_the_chain_of_roots(ready, name):
    r = repository(ready, name)
    for kind, value, error in (("status", 403, "Http"), ("status", 410, "Http"), ("status", 500, "Http"), ("stall", None, "Timeout"),
                               ("endless", None, "TooLarge"), ("replace", b" " * 300000, "TooLarge"), ("drop", None, "Network"),
                               ("replace", b"", "Malformed")):
        with Attack(ready, error, name, "root"):
            ready.backend.faults.add(url(name) + root_file(r), kind, value)


@BOTH
def test_t8_endless_roots_stop_at_a_limit_and_go_on_in_the_next_cycle(ready, name):
    limit, r, v = 64, repository(ready, name), ready.vehicle
    chain = "%s\\d+.root.json" % url(name)
    for _ in range(10000):
        r.sign_root()
    for cycle in (1, 2):
        if name == "image":
            ready.assign(firmware=ready.publish_firmware("new-%d.bin" % cycle, b"new"))
        ready.backend.log.clear()
        check(ready)
        assert v.error()[0] == "TooLarge" and v.error()[1].startswith(name + " root"), v.error()
        assert trusted_roots(ready, name) == list(range(1, 2 + cycle * limit))
        assert len(ready.backend.requests(chain)) == limit
    last = 2 * limit + 10
    for version in range(last + 1, 10002):
        del r.files["%d.root.json" % version]
    r.versions["root"] = last
    good(ready)
    assert trusted_roots(ready, name) == list(range(1, last + 1))


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


# T-12: and later on
@BOTH
def test_t12_a_later_root_of_the_other_repository_is_refused(ready, name):
    r, other = repository(ready, name), repository(ready, "image" if name == "director" else "director")
    with Attack(ready, "Rollback", name, "root"):
        r.files[root_file(r)] = other.files["1.root.json"]
    with Attack(ready, "SignatureThreshold", name, "root", "by the keys of the Root before"):
        other.sign_root()
        r.files[root_file(r)] = other.files.pop(root_file(other, 0))
    with Attack(ready, "SignatureThreshold", name, "root", "by the keys of the Root before"):
        # all of it, from there on
        other.rotate("root", "timestamp", "snapshot", "targets")
        r.files = dict(other.files)


# T-11: fast-forward recovery
@BOTH
def test_t11_new_keys_of_timestamp_or_snapshot_end_a_fast_forward_and_new_keys_of_root_do_not(ready, name):
    r = repository(ready, name)
    for role in ("timestamp", "snapshot"):
        low = r.versions[role] + 10
        r.versions[role] = 2 ** 62
        good(ready)
        with Attack(ready, "Rollback", name, "timestamp"):
            roll_back(r, role, low)
        with Attack(ready, "Rollback", name, "timestamp", new_root=True):
            r.rotate("root")
            roll_back(r, role, low)
        r.versions[role] = low
        r.rotate(role)
        good(ready)
        assert json.loads(trusted(ready.vehicle)["metadata", name, ROLES.index(role)])["signed"]["version"] == r.versions[role] < low + 10


# T-11: Targets baseline is kept
@BOTH
def test_t11_no_new_keys_make_targets_forgotten(ready, name):
    r = repository(ready, name)
    low = r.versions["targets"] + 10
    r.versions["targets"] = 2 ** 62
    good(ready)
    # where Snapshot's baseline is left it tells already
    for rotated, at in (("timestamp", "snapshot"), "targets"), (("targets",), "snapshot"), (ROLES, "targets"):
        with Attack(ready, "Rollback", name, at, new_root=True):
            r.rotate(*rotated)
            roll_back(r, "targets", low)
