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
        self.files = {}
        self.sign_root()
        self.publish()

    # Root

    def sign_root(self, also=()):
        """A new version of Root, signed by its keys and by also (those of the version before)."""
        self.versions["root"] += 1
        known = {key.id: key.public() for role in ROLES for key in self.keys[role]}
        signed = {
            "_type": "Root", "consistent_snapshot": False, "version": self.versions["root"], "expires": self.expires["root"],
            "keys": known,
            "roles": {r: {"keyids": [k.id for k in self.keys[r]], "threshold": self.thresholds[r]} for r in ROLES},
        }
        signers = list(self.keys["root"]) + [key for key in also if key not in self.keys["root"]]
        self.files["%d.root.json" % self.versions["root"]] = envelope(signed, signers)
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
            return signed
        if role == "snapshot":
            meta = {"targets.json": file_meta(self.files["targets.json"], self.versions["targets"])}
            return dict(common, _type="Snapshot", meta=meta)
        return dict(common, _type="Timestamp", meta={"snapshot.json": file_meta(self.files["snapshot.json"], self.versions["snapshot"])})

    def sign(self, role, keys=None):
        self.files[role + ".json"] = envelope(self.document(role), self.keys[role] if keys is None else keys)

    def publish(self, bump=("targets", "snapshot", "timestamp")):
        for role in ("targets", "snapshot", "timestamp"):
            if role in bump:
                self.versions[role] += 1
            self.sign(role)

    def edit(self, role, change, keys=None, follow=True):
        """Signs role again after change(signed), without a new version; with follow, what lists it is signed again too."""
        signed = self.document(role)
        change(signed)
        self.files[role + ".json"] = envelope(signed, self.keys[role] if keys is None else keys)
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

    def target(self, name, data=None, length=None, digests=None, **custom):
        """Adds a target without publishing. custom without None values."""
        digests = digests or {"sha256": hashlib.sha256(data).hexdigest(), "sha512": hashlib.sha512(data).hexdigest()}
        self.targets[name] = {
            "length": len(data) if length is None else length, "hashes": digests,
            "custom": {key: value for key, value in custom.items() if value is not None},
        }


__all__ = ["Repository", "after", "canonical", "file_meta"]
