# SPDX-License-Identifier: Apache-2.0
"""Images signed by delegated roles, on the running daemon: T-27 to T-33 of the attacks, and what is fetched for them.

A good search ends with an offer that waits for consent; nothing needs to be installed to see that it was believed.
"""
import urllib.parse

import pytest
from backend.keys import Key
from backend.repository import after
from state import delegated
from vehicle import wait_for

pytestmark = pytest.mark.world(config="[update]\nconsent-download=ask\n", secondaries=0)


@pytest.fixture
def ready(world):
    world.vehicle.boot()
    world.vehicle.wait_state("idle")
    return world


def commit(world, role=None, version="2"):
    """The Primary's next image, listed by a delegated role (or several), and assigned by the Director."""
    name = "os-" + version
    world.backend.image.target(name, length=0, digests={"sha256": world.images.commit(version)}, hardwareIds=[world.vehicle.HARDWARE_ID],
                               targetFormat="OSTREE")
    entry = world.backend.image.targets[name]
    if role:
        del world.backend.image.targets[name]
        for r in role if isinstance(role, (list, tuple)) else [role]:
            r.targets[name] = entry
    world.assign(primary=(name, entry))
    world.backend.image.publish()


def fetched(world):
    """Names of the delegated roles that were asked for, in order."""
    prefix = "/repo/delegations/"
    return [urllib.parse.unquote(r["path"][len(prefix):-len(".json")]) for r in world.backend.requests("^" + prefix)]


def offered(world):
    """The image is believed: an offer waits. It is declined, so that the next one can come."""
    v = world.vehicle
    v.call("CheckForUpdates")
    v.wait_state("awaiting-consent")
    assert v.error() == ("", "")
    v.call("Decline", "(ss)", (v.property("Update")["Id"], "test"))
    v.wait_state("idle")


def refused(world, name, *texts):
    """LastError is name, with these texts; the daemon lives; no delegated role that was not good is stored."""
    v = world.vehicle
    pid, before = v.control("pid", "uptaned"), delegated(world.vehicle)
    v.call("CheckForUpdates")
    wait_for(lambda: v.error()[0] and v.state() == "idle", lambda: "an error; state %s, %s" % (v.state(), v.log("uptaned")[-800:]))
    assert v.error()[0] == name, v.error()
    for text in texts:
        assert text in v.error()[1]
    assert v.control("pid", "uptaned") == pid
    return before

# Uptane 5.2.3.2 (a)

def test_an_image_three_delegations_deep_is_installed(ready):
    image = ready.backend.image
    image.delegate("oem", paths=["*"])
    image.delegate("tier1", parent="oem", paths=["os-*"], key_type="rsa")
    commit(ready, image.delegate("tier2", parent="tier1", paths=["os-2"], key_type="ecdsa"))
    v = ready.vehicle
    v.call("CheckForUpdates")
    v.wait_state("awaiting-consent")
    v.call("Approve", "(ss)", (v.property("Update")["Id"], "download"))
    v.wait_reboot()
    v.boot()
    assert v.booted_commit == ready.images.commit("2")
    v.wait_state("idle")
    assert ready.director.installed(v.serial) == ("os-2", ready.images.commit("2"))

# Uptane 5.4.2.3 (a)

def test_only_the_delegated_roles_that_the_image_needs_are_fetched_and_only_once(ready):
    image = ready.backend.image
    for number in range(20):
        image.delegate("other-%d" % number, paths=["other-%d/*" % number])
    commit(ready, image.delegate("supplier", paths=["os-*"]))
    offered(ready)
    assert fetched(ready) == ["supplier"]
    ready.director.clear()
    ready.vehicle.check()
    image.publish(bump=("timestamp",))
    commit_again = image.delegated["supplier"]
    commit_again.frozen = True  # the same file is listed by the next Snapshot
    ready.backend.log.clear()
    image.target("os-2b", length=0, digests={"sha256": ready.images.commit("2")}, hardwareIds=[ready.vehicle.HARDWARE_ID], targetFormat="OSTREE")
    del image.targets["os-2b"]
    ready.assign(primary=("os-2", commit_again.targets["os-2"]))
    offered(ready)
    assert fetched(ready) == []


def test_t27_a_terminating_delegation_hides_its_siblings_but_not_its_children(ready):
    image = ready.backend.image
    image.delegate("first", paths=["os-*"], terminating=True)
    second = image.delegate("second", paths=["os-*"])
    commit(ready, second)
    refused(ready, "TargetMismatch", "os-2")
    assert fetched(ready) == ["first"]
    second.targets.clear()
    commit(ready, image.delegate("child", parent="first", paths=["*"]))
    offered(ready)
    assert fetched(ready)[-2:] == ["first", "child"]

# Uptane 5.2.3.2 (b)

def test_t27_the_order_of_delegations_decides_not_the_order_of_names(ready):
    image = ready.backend.image
    z, a = image.delegate("z", paths=["os-*"]), image.delegate("a", paths=["os-*"])
    commit(ready, [z, a])
    a.targets["os-2"] = dict(a.targets["os-2"], hashes={"sha256": "11" * 32})
    image.publish()
    offered(ready)
    assert fetched(ready) == ["z"]
    image.delegations.roles.reverse()
    image.publish()
    ready.assign(primary=("os-2", z.targets["os-2"]))
    refused(ready, "TargetMismatch", "other hashes")


def test_t28_cycles_end_and_each_role_is_asked_for_once(ready):
    image = ready.backend.image
    a, b = image.delegate("a", paths=["*"]), image.delegate("b", parent="a", paths=["*"])
    b.delegations.add(a, paths=["*"])
    b.delegations.add(b, paths=["*"])
    image.delegate("c", paths=["*"])
    image.delegated["c"].delegations.add(b, paths=["*"])
    commit(ready)
    del image.targets["os-2"]
    image.publish()
    refused(ready, "TargetMismatch", "unknown to the Image repository")
    assert fetched(ready) == ["a", "b", "c"]
    commit(ready)
    offered(ready)


def test_t28_a_chain_that_never_ends_is_refused(ready):
    image = ready.backend.image
    for number in range(70):
        image.delegate("r%d" % number, parent="r%d" % (number - 1) if number else None, paths=["*"])
    commit(ready, image.delegated["r69"])
    refused(ready, "TooLarge", "no more are searched")
    commit(ready)
    offered(ready)


@pytest.mark.parametrize("name", ["../../etc/x", "/abs", "a/b", "%2e%2e", "..", "ä?#"])
def test_t29_the_name_of_a_role_is_encoded_and_never_a_path(ready, name):
    commit(ready, ready.backend.image.delegate(name, paths=["os-*"]))
    offered(ready)
    assert fetched(ready) == [name]
    path = ready.backend.requests("^/repo/delegations/")[0]["path"]
    assert path == "/repo/delegations/%s.json" % urllib.parse.quote(name, safe="")
    assert list(delegated(ready.vehicle)) == [name]


@pytest.mark.parametrize("name", ["", "root", "targets", "snapshot", "x" * 300, "a\nb"])
def test_t29_a_role_without_a_usable_name_is_refused(ready, name):
    image = ready.backend.image
    image.delegate(name, paths=["os-*"]).listed = False  # what Snapshot lists once it lists for ever
    commit(ready, image.delegated[name])
    refused(ready, "Malformed", "delegations")
    assert not fetched(ready)
    image.delegations.roles.clear()
    del image.delegated[name]
    commit(ready)
    offered(ready)

# Uptane 5.4.3.4 (4)

def test_t30_a_star_stays_in_its_folder_and_a_role_for_nothing_is_refused(ready):
    image = ready.backend.image
    role = image.delegate("supplier", paths=["*"])
    name = "folder/os"
    image.target(name, length=0, digests={"sha256": ready.images.commit("2")}, hardwareIds=[ready.vehicle.HARDWARE_ID], targetFormat="OSTREE")
    role.targets[name] = image.targets.pop(name)
    ready.assign(primary=(name, role.targets[name]))
    image.publish()
    refused(ready, "TargetMismatch", "unknown to the Image repository")
    assert not fetched(ready)
    del image.delegations.roles[0]["paths"]
    image.publish()
    refused(ready, "Malformed", "neither of 'paths' and 'path_hash_prefixes'")
    image.delegations.roles[0]["paths"] = ["folder/*"]
    image.publish()
    offered(ready)


def test_t30_path_hash_prefixes_lead_to_the_role(ready):
    import hashlib
    digest = hashlib.sha256(b"os-2").hexdigest()
    image = ready.backend.image
    image.delegate("other", path_hash_prefixes=["%x" % (int(digest[0], 16) ^ 1)])
    commit(ready, image.delegate("bin", path_hash_prefixes=["00", digest[:3]]))
    offered(ready)
    assert fetched(ready) == ["bin"]


def test_t31_a_role_that_snapshot_does_not_list_is_not_used(ready):
    image = ready.backend.image
    role = image.delegate("supplier", paths=["os-*"])
    role.listed = False
    commit(ready, role)
    refused(ready, "MixAndMatch", "image role 'supplier'", "does not list it")
    assert not fetched(ready)
    role.listed = True
    image.publish()
    offered(ready)


def test_t31_a_stored_role_is_verified_again_when_its_delegator_has_changed_its_keys(ready):
    image = ready.backend.image
    role = image.delegate("supplier", paths=["os-*"])
    commit(ready, role)
    offered(ready)
    role.frozen = True
    thief, role.keys = role.keys, [Key()]
    image.delegations.roles.clear()
    image.delegations.keys.clear()
    image.delegations.add(role, paths=["os-*"])  # the new keys; the file is still the one by the old key
    image.publish()
    ready.director.clear()
    ready.vehicle.check()
    ready.assign(primary=("os-2", role.targets["os-2"]))
    refused(ready, "SignatureThreshold", "image role 'supplier'")
    assert thief and role.keys
    role.frozen = False
    image.publish()
    offered(ready)


@pytest.mark.parametrize("what", ["expired", "unsigned", "missing", "wrong version", "wrong role"])
def test_t32_a_matching_role_that_is_not_good_is_refused_and_the_next_sibling_is_not_tried(ready, what):
    image = ready.backend.image
    first, second = image.delegate("first", paths=["os-*"]), image.delegate("second", paths=["os-*"])
    commit(ready, [first, second])
    error = {"expired": "MetadataExpired", "unsigned": "SignatureThreshold", "missing": "NotFound", "wrong version": "MixAndMatch",
             "wrong role": "WrongRole"}[what]
    if what == "expired":
        first.expires = after(days=-1)
        image.publish()
    elif what == "unsigned":
        image.sign_delegated("first", keys=[Key()])
    elif what == "missing":
        del image.files["delegations/first.json"]
    elif what == "wrong version":
        old = first.data
        image.publish()
        image.files["delegations/first.json"] = old
    else:
        from backend.keys import envelope
        first.data = envelope(dict(first.document(), _type="Snapshot"), first.keys)
        image.files["delegations/first.json"] = first.data
    if what in ("unsigned", "wrong role"):  # listed as they are, so that it is the role's own fault
        image.sign("snapshot")
        image.sign("timestamp")
    before = refused(ready, error, "first")
    assert "second" not in fetched(ready)
    assert delegated(ready.vehicle) == before
    first.expires = after(days=1)
    image.publish()
    offered(ready)


def test_t33_a_role_that_signs_for_other_hardware_than_it_may_is_not_asked(ready):
    image = ready.backend.image
    role = image.delegate("supplier", paths=["os-*"], hardware_ids=["other-board"])
    commit(ready, role)
    refused(ready, "TargetMismatch", "unknown to the Image repository")
    assert not fetched(ready)
    image.delegations.roles[0]["hardwareIds"] = ["other-board", ready.vehicle.HARDWARE_ID]
    image.publish()
    offered(ready)


def test_a_succinct_delegation_leads_to_one_bin_of_many(ready):
    image = ready.backend.image
    image.delegate_bins("bin", 6)
    role = image.bin_of("bin", 6, "os-2")
    commit(ready, role)
    offered(ready)
    assert fetched(ready) == [role.name]


@pytest.mark.parametrize("tap3", [False, True])
def test_a_multi_role_delegation_needs_enough_roles_that_agree(ready, tap3):
    image = ready.backend.image
    roles = [image.delegate(name, paths=["never/*"]) for name in ("release", "quality", "safety")]
    image.delegations.roles.clear()
    image.delegations.tap3 = tap3
    image.delegations.add_multi(roles, 2, ["os-*"], terminating=True)
    commit(ready, roles[:2])
    offered(ready)
    assert fetched(ready) == ["release", "quality", "safety"]
    roles[1].targets["os-2"] = dict(roles[1].targets["os-2"], hashes={"sha256": "11" * 32})
    image.publish()
    ready.assign(primary=("os-2", roles[0].targets["os-2"]))
    refused(ready, "TargetMismatch", "unknown to the Image repository")
    # the two that agree outvote the one that does not
    roles[2].targets["os-2"] = roles[0].targets["os-2"]
    image.publish()
    offered(ready)
    roles[2].keys = [Key()]
    image.publish()
    ready.assign(primary=("os-2", roles[0].targets["os-2"]))
    refused(ready, "SignatureThreshold", "safety")
