# SPDX-License-Identifier: Apache-2.0
"""Images signed by delegated roles, on the running daemon: T-27 to T-33 of the attacks, and what is fetched for them.

A good search ends with an offer that waits for consent; nothing needs to be installed to see that it was believed.
"""
import urllib.parse

import pytest
from attack import CLASSES, check, told_since
from backend.keys import Key, canonical, envelope_of, signatures
from backend.repository import ROLES as TOP_LEVEL
from backend.repository import after
from der import parse, roles, split
from state import delegated
from tap import Tap

pytestmark = pytest.mark.world(config="[update]\nconsent-download=ask\n", secondaries=0)


@pytest.fixture
def ready(world):
    world.vehicle.boot()
    world.vehicle.wait_state("idle")
    world.refusals = []
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
    """
    The image is believed: an offer waits. It is declined, so that the next one can come. What was refused since the last one was
    told to the Director, where it is an attack.
    """
    v = world.vehicle
    v.call("CheckForUpdates")
    v.wait_state("awaiting-consent")
    assert v.error() == ("", "")
    for manifests, error, message in world.refusals:
        expected = [CLASSES[error] + ": " + message.replace(";", ",")] if error in CLASSES else []
        told = told_since(world, manifests)
        assert all(any(text.startswith(e) for text in told) for e in expected) and bool(told) == bool(expected), (told, expected)
    world.refusals.clear()
    v.call("Decline", "(ss)", (v.property("Update")["Id"], "test"))
    v.wait_state("idle")


def refused(world, name, *texts):
    """A check ends with the error name, with these texts; the daemon lives. Returns the delegated roles that were stored before."""
    v = world.vehicle
    pid, before, manifests = v.control("pid", "uptaned"), delegated(world.vehicle), len(world.director.manifests)
    check(world)
    assert v.error()[0] == name, v.error()
    for text in texts:
        assert text in v.error()[1]
    assert v.control("pid", "uptaned") == pid
    world.refusals.append((manifests + 1, *v.error()))
    return before


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


def test_t27_the_roles_of_a_tree_are_asked_in_pre_order(ready):
    image = ready.backend.image
    for name, parent in ("b", None), ("b2", "b"), ("b1", "b"), ("b21", "b2"), ("b20", "b2"), ("b10", "b1"), ("a", None), ("a1", "a"):
        image.delegate(name, parent=parent, paths=["*"])
    commit(ready)
    del image.targets["os-2"]
    image.publish()
    refused(ready, "TargetMismatch", "unknown to the Image repository")
    assert fetched(ready) == ["b", "b2", "b21", "b20", "b1", "b10", "a", "a1"]
    # the first one in this order decides
    commit(ready, [image.delegated[name] for name in ("b20", "b1", "a")])
    for name in ("b1", "a"):
        targets = image.delegated[name].targets
        targets["os-2"] = dict(targets["os-2"], hashes={"sha256": "11" * 32})
    image.publish()
    offered(ready)
    image.delegated["b20"].targets.clear()
    image.publish()
    ready.assign(primary=("os-2", dict(image.delegated["a"].targets["os-2"], hashes={"sha256": ready.images.commit("2")})))
    refused(ready, "TargetMismatch", "other hashes")


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


def test_t28_ten_thousand_delegations_cost_one_visit_and_no_more_roles_than_the_limit_are_asked(ready):
    image = ready.backend.image
    role = image.delegate("supplier", paths=["os-*"])
    entry = image.delegations.roles.pop()
    for number in range(10000):
        image.delegations.roles.append(dict(entry, name="other-%d" % number, paths=["other-%d/*" % number]))
    image.delegations.roles.append(entry)
    commit(ready, role)
    offered(ready)
    assert fetched(ready) == ["supplier"]
    image.delegations.roles.clear()
    for number in range(300):
        image.delegate("wide-%d" % number, paths=["*"])
    image.delegated["wide-299"].targets["os-2"] = role.targets.pop("os-2")
    image.publish()
    ready.assign(primary=("os-2", image.delegated["wide-299"].targets["os-2"]))
    ready.backend.log.clear()
    refused(ready, "TooLarge", "no more are searched")
    assert fetched(ready) == ["wide-%d" % number for number in range(256)]
    commit(ready)
    offered(ready)


# Uptane 5.2.7 (3)
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


@pytest.mark.parametrize("name", [b"a\xff", b"\xc0\xae\xc0\xae", b"a\\u0000b", b"a\\ud800"])
def test_t29_a_name_that_is_no_text_is_refused(ready, name):
    image = ready.backend.image
    image.delegate("NAME", paths=["os-*"]).listed = False
    commit(ready, image.delegated["NAME"])
    text = canonical(image.document("targets")).replace(b'"NAME"', b'"' + name + b'"')
    image.serve("targets", envelope_of(text, signatures(text, image.keys["targets"])))
    refused(ready, "Malformed", "image targets")
    assert not fetched(ready)
    image.delegations.roles.clear()
    del image.delegated["NAME"]
    commit(ready)
    offered(ready)


# T-4 in a delegation
def test_t4_a_delegation_whose_threshold_is_none_or_out_of_reach_is_refused(ready):
    image = ready.backend.image
    role = image.delegate("supplier", paths=["os-*"])
    for threshold in (0, -1, 1.5, "1", None, 2):
        image.delegations.roles[0]["threshold"] = threshold
        commit(ready, role)
        refused(ready, "Malformed", "threshold")
        assert not fetched(ready)
    image.delegations.roles[0]["threshold"] = 1
    commit(ready, role)
    offered(ready)


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


# Uptane 5.4.2.6: the roles that the image needs, and no others
@pytest.mark.world(config="", secondaries=2)
def test_secondaries_are_sent_exactly_the_delegated_roles_that_their_images_need(world):
    v, image = world.vehicle, world.backend.image
    taps = [Tap(s.port) for s in v.secondaries]
    for secondary, tap in zip(v.secondaries, taps):
        secondary.primary_settings["address"] = tap.address
    v.write_config()
    v.boot()
    v.wait_state("idle")
    image.delegate("oem", paths=["mcu/*"])
    suppliers = [image.delegate("supplier-%d" % i, parent="oem", paths=["mcu/%d-*" % i]) for i in range(2)]
    for release in range(2):
        assignments, data = [], b"firmware %d\n" % release * 500
        for i, (secondary, role) in enumerate(zip(v.secondaries, suppliers)):
            name = "mcu/%d-%d" % (i, release)
            entry = world.backend.add_image(name, data, ["test-mcu"])
            if release == 0:
                role.targets = {name: image.targets.pop(name)}
            assignments.append((name, entry, secondary.serial, "test-mcu", None))
        image.publish()
        world.director.assign(assignments)
        v.check()
        v.wait_state("idle")
        assert v.error() == ("", "")
        assert [s.content() for s in v.secondaries] == [data] * 2
    for i, tap in enumerate(taps):
        tap.close()
        metadata = [fields for kind, fields in (parse(m) for said in tap.said for m in split(bytes(said))) if kind == 14]
        delegated_roles = ["delegations/oem", "delegations/supplier-%d" % i]
        assert [roles(files) for files, _ in metadata] == [[*TOP_LEVEL, *delegated_roles], list(TOP_LEVEL)]
        assert [roles(files) for _, files in metadata] == [list(TOP_LEVEL)] * 2


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
