# SPDX-License-Identifier: Apache-2.0
"""One TUF repository that signs what it serves: keys and thresholds per role, rotation, expiry, versions."""
import copy
import datetime
import hashlib

from .keys import Key, canonical, envelope

ROLES = ("root", "timestamp", "snapshot", "targets")


def after(**delta):
    return (datetime.datetime.utcnow() + datetime.timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


def file_meta(data, version):
    digests = {"sha256": hashlib.sha256(data).hexdigest(), "sha512": hashlib.sha512(data).hexdigest()}
    return {"version": version, "length": len(data), "hashes": digests}


class Delegations:
    """What one Targets file delegates: entries in order of priority, or the bins of TAP 15."""

    def __init__(self):
        self.keys, self.roles, self.bins = {}, [], None
        self.tap3 = False  # as TAP 3 itself spells multi-role delegations: a list, its keys beside it

    def add(self, role, threshold=1, paths=None, path_hash_prefixes=None, terminating=False, hardware_ids=None, signers=None):
        """signers: other keys than the role's own; hardware_ids: None is all hardware."""
        keys = role.keys if signers is None else signers
        self.keys.update({key.id: key.public() for key in keys})
        entry = {"name": role.name, "keyids": [key.id for key in keys], "threshold": threshold, "terminating": terminating}
        entry.update({"paths": paths} if paths is not None else {})
        entry.update({"path_hash_prefixes": path_hash_prefixes} if path_hash_prefixes is not None else {})
        entry.update({"hardwareIds": hardware_ids} if hardware_ids is not None else {})
        self.roles.append(entry)
        return entry

    def add_multi(self, roles, agreeing, paths, terminating=False):
        """TAP 3: so many of these roles must say the same."""
        for role in roles:
            self.keys.update({key.id: key.public() for key in role.keys})
        self.roles.append({
            "name": "+".join(role.name for role in roles), "paths": paths, "terminating": terminating, "min_roles_in_agreement": agreeing,
            "roleinfo": [{"rolename": role.name, "keyids": [key.id for key in role.keys], "threshold": 1} for role in roles]})

    def succinct(self, key, prefix, bit_length):
        self.keys[key.id] = key.public()
        self.bins = {"keyids": [key.id], "threshold": 1, "bit_length": bit_length, "name_prefix": prefix}

    def members(self):
        """The members of "signed" that say so; none where nothing is delegated."""
        if self.bins:
            return {"delegations": {"keys": self.keys, "succinct_roles": self.bins}}
        if not self.roles:
            return {}
        if self.tap3:
            return {"keys_for_delegations": self.keys, "delegations": self.roles}
        return {"delegations": {"keys": self.keys, "roles": self.roles}}


class Delegated:
    """One delegated role. listed: by Snapshot; frozen: publish() leaves its file as it is."""

    def __init__(self, name, keys):
        self.name, self.keys = name, keys
        self.version, self.expires, self.targets = 0, after(days=365), {}
        self.delegations = Delegations()
        self.listed, self.frozen, self.data = True, False, None

    def document(self):
        return dict({"_type": "Targets", "version": self.version, "expires": self.expires, "targets": copy.deepcopy(self.targets)},
                    **self.delegations.members())


class Repository:
    """files maps a name below the repository's URL to bytes; publish() makes them anew."""

    def __init__(self, key_types=None, keys_per_role=1, thresholds=None):
        types = key_types or {}
        self.keys = {role: [Key(types.get(role, "ed25519")) for _ in range(keys_per_role)] for role in ROLES}
        self.thresholds = dict({role: 1 for role in ROLES}, **(thresholds or {}))
        self.versions = {role: 0 for role in ROLES}
        self.expires = {role: after(days=365) for role in ROLES}
        self.targets = {}
        self.custom = None  # of Targets itself
        self.extra = {}  # more members of Targets, e.g. delegations
        self.delegated = {}  # name -> Delegated
        self.delegations = Delegations()  # of Targets itself
        self.consistent = False
        self.form = self.served = canonical  # in which the documents are signed, and served
        self.files = {}
        self.sign_root()
        self.publish()

    # Root

    def sign_root(self, also=()):
        """A new version of Root, signed by its keys and by also (those of the version before)."""
        self.versions["root"] += 1
        known = {key.id: key.public() for role in ROLES for key in self.keys[role]}
        signed = {
            "_type": "Root", "consistent_snapshot": self.consistent, "version": self.versions["root"], "expires": self.expires["root"],
            "keys": known,
            "roles": {r: {"keyids": [k.id for k in self.keys[r]], "threshold": self.thresholds[r]} for r in ROLES},
        }
        signers = list(self.keys["root"]) + [key for key in also if key not in self.keys["root"]]
        self.files["%d.root.json" % self.versions["root"]] = envelope(signed, signers, self.form, self.served)
        self.files["root.json"] = self.files["%d.root.json" % self.versions["root"]]

    def rotate(self, *roles, type="ed25519"):
        """New keys for these roles, in a new Root; then everything is published again."""
        old_root = list(self.keys["root"])
        for role in roles:
            self.keys[role] = [Key(type) for _ in self.keys[role]]
        self.sign_root(also=old_root)
        self.publish()

    # the others

    def document(self, role):
        common = {"version": self.versions[role], "expires": self.expires[role]}
        if role == "targets":
            signed = dict(common, _type="Targets", targets=copy.deepcopy(self.targets), **self.extra)
            if self.custom is not None:
                signed["custom"] = self.custom
            signed.update(self.delegations.members())
            return signed
        if role == "snapshot":
            meta = {"targets.json": file_meta(self.files["targets.json"], self.versions["targets"])}
            for delegated in self.delegated.values():
                if delegated.listed:
                    meta[delegated.name + ".json"] = file_meta(delegated.data, delegated.version)
            return dict(common, _type="Snapshot", meta=meta)
        return dict(common, _type="Timestamp", meta={"snapshot.json": file_meta(self.files["snapshot.json"], self.versions["snapshot"])})

    def sign(self, role, keys=None):
        self.files[role + ".json"] = envelope(self.document(role), self.keys[role] if keys is None else keys, self.form, self.served)

    # delegated roles

    def delegate(self, name, parent=None, keys=None, threshold=1, key_type="ed25519", **scope):
        """A role that parent (None: Targets) trusts for scope (Delegations.add). One that exists already keeps its keys."""
        if name not in self.delegated:
            self.delegated[name] = Delegated(name, keys or [Key(key_type)])
        role = self.delegated[name]
        (self.delegated[parent].delegations if parent else self.delegations).add(role, threshold, **scope)
        return role

    def delegate_bins(self, prefix, bit_length, parent=None):
        """TAP 15: every bin with the same key."""
        key = Key("ed25519")
        for i in range(1 << bit_length):
            name = "%s-%0*x" % (prefix, (bit_length + 3) // 4, i)
            self.delegated[name] = Delegated(name, [key])
        (self.delegated[parent].delegations if parent else self.delegations).succinct(key, prefix, bit_length)

    def bin_of(self, prefix, bit_length, path):
        """The bin that TAP 15 puts this path into."""
        number = int(hashlib.sha256(path.encode()).hexdigest()[:8], 16) >> (32 - bit_length)
        return self.delegated["%s-%0*x" % (prefix, (bit_length + 3) // 4, number)]

    def sign_delegated(self, name, keys=None):
        role = self.delegated[name]
        role.data = envelope(role.document(), role.keys if keys is None else keys)
        self.files["delegations/%s.json" % name] = role.data

    def publish(self, bump=("targets", "snapshot", "timestamp")):
        for name, role in self.delegated.items():
            if "targets" in bump and not role.frozen:
                role.version += 1
                self.sign_delegated(name)
        for role in ("targets", "snapshot", "timestamp"):
            if role in bump:
                self.versions[role] += 1
            self.sign(role)

    def edit(self, role, change, keys=None, follow=True):
        """Signs role again after change(signed), without a new version; with follow, what lists it is signed again too."""
        signed = self.document(role)
        change(signed)
        self.serve(role, envelope(signed, self.keys[role] if keys is None else keys), follow)

    def serve(self, role, data, follow=True):
        """Serves these bytes as role's file; with follow, what lists it is signed again."""
        self.files[role + ".json"] = data
        if follow and role == "targets":
            self.sign("snapshot")
        if follow and role in ("targets", "snapshot"):
            self.sign("timestamp")

    def save(self):
        """What is served and known now, for a later replay()."""
        return dict(self.files), dict(self.versions)

    def replay(self, saved, *roles):
        """Serves an earlier version of these roles again."""
        for role in roles:
            self.files[role + ".json"] = saved[0][role + ".json"]

    def keep(self):
        """All there is, for a later take_back()."""
        return copy.deepcopy(vars(self))

    def take_back(self, kept, root):
        """
        As it was then, published with versions higher than any since; root: the version of Root that clients have by now. Delegated
        roles are other objects than before.
        """
        versions, root_keys = self.versions, self.keys["root"]
        vars(self).update(copy.deepcopy(kept))
        for role in ("timestamp", "snapshot", "targets"):
            self.versions[role] = max(self.versions[role], versions[role])
        if root > self.versions["root"]:
            self.versions["root"] = root
            self.sign_root(also=root_keys)
        self.publish()

    def target(self, name, data=None, length=None, digests=None, **custom):
        """Adds a target without publishing. custom without None values."""
        digests = digests or {"sha256": hashlib.sha256(data).hexdigest(), "sha512": hashlib.sha512(data).hexdigest()}
        self.targets[name] = {
            "length": len(data) if length is None else length, "hashes": digests,
            "custom": {key: value for key, value in custom.items() if value is not None},
        }


__all__ = ["Repository", "after", "canonical", "file_meta"]
