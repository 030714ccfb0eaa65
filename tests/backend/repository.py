# SPDX-License-Identifier: Apache-2.0
"""Roles, Root chains and publications of one repository (Uptane 5.2), for the Director and the Image repository alike."""
import copy
import datetime
import hashlib

from . import canonical
from .keys import SigningKey, sign_document

ROLES = ('root', 'timestamp', 'snapshot', 'targets')
LIFETIME = {'root': 365, 'targets': 90, 'snapshot': 30, 'timestamp': 7}


def timestamp_text(moment):
    return moment.strftime('%Y-%m-%dT%H:%M:%SZ')


def in_days(days):
    """A moment `days` from now (negative: in the past), as metadata writes it."""
    return timestamp_text(datetime.datetime.utcnow() + datetime.timedelta(days=days))


def describe(data, version, full=True):
    """How a file is described in Timestamp and Snapshot."""
    meta = {'version': version}
    if full:
        meta.update(length=len(data), hashes={'sha256': hashlib.sha256(data).hexdigest(), 'sha512': hashlib.sha512(data).hexdigest()})
    return meta


class Tweak:
    """Departures from a right publication, each a dictionary from role to value.

    expires: text; signers: list of keys that sign instead; version: number; edit: called with the document before it is
    signed; after: called with the signed bytes, returns other bytes (what refers to the file describes those).
    """

    def __init__(self, expires=None, signers=None, version=None, edit=None, after=None):
        self.expires, self.signers, self.version = expires or {}, signers or {}, version or {}
        self.edit, self.after = edit or {}, after or {}


class RootChain:
    """The keys of a repository's roles and every Root published so far."""

    def __init__(self, kinds='ed25519', keys_per_role=1, threshold=1, roles=ROLES):
        self.role_names = roles
        self.keys = {role: [SigningKey(kinds) for _ in range(keys_per_role)] for role in roles}
        self.threshold = {role: threshold for role in roles}
        self.versions = {}
        self.extra = {}
        self.publish()

    @property
    def version(self):
        return max(self.versions, default=0)

    @property
    def latest(self):
        return self.versions[self.version]

    def _document(self, version, expires):
        keys = {key.keyid: key.public for role in self.role_names for key in self.keys[role]}
        roles = {role: {'keyids': [key.keyid for key in self.keys[role]], 'threshold': self.threshold[role]}
                 for role in self.role_names}
        return {'_type': 'Root', 'consistent_snapshot': False, 'version': version, 'expires': expires, 'keys': keys,
                'roles': roles, **self.extra}

    def publish(self, old_keys=(), tweak=None):
        """A new Root version, signed by the present Root keys and by old_keys (those of the version before)."""
        tweak = tweak or Tweak()
        version = tweak.version.get('root', self.version + 1)
        document = self._document(version, tweak.expires.get('root', in_days(LIFETIME['root'])))
        if 'root' in tweak.edit:
            tweak.edit['root'](document)
        signers = {key.keyid: key for key in [*old_keys, *self.keys['root']]}.values()
        data = sign_document(document, tweak.signers.get('root', signers))
        if 'root' in tweak.after:
            data = tweak.after['root'](data)
        self.versions[self.version + 1] = data
        return data

    def rotate(self, role, keys=None, threshold=None, tweak=None):
        """Gives a role new keys (default: one new key of the same kind) with a new Root."""
        old = list(self.keys['root'])
        self.keys[role] = keys or [SigningKey(self.keys[role][0].kind)]
        self.threshold[role] = threshold or min(self.threshold[role], len(self.keys[role]))
        return self.publish(old if role == 'root' else (), tweak)


class Publication:
    """Timestamp, Snapshot and Targets as one client sees them, with everything published earlier."""

    def __init__(self, chain):
        self.chain = chain
        self.targets = {}
        self.custom = None
        self.delegations = None
        self.version = {role: 0 for role in ROLES}
        self.files = {}
        self.history = []
        self.publish()

    def _make(self, role, body, tweak):
        version = tweak.version.get(role, self.version[role] + 1)
        self.version[role] = version
        document = {'_type': role.capitalize(), 'version': version,
                    'expires': tweak.expires.get(role, in_days(LIFETIME[role])), **body}
        if role in tweak.edit:
            tweak.edit[role](document)
        data = sign_document(document, tweak.signers.get(role, self.chain.keys[role]))
        if role in tweak.after:
            data = tweak.after[role](data)
        self.files[f'{role}.json'] = data
        return data

    def _targets_body(self):
        body = {'targets': copy.deepcopy(self.targets)}
        if self.custom:
            body['custom'] = self.custom
        if self.delegations:
            body['delegations'] = self.delegations
        return body

    def publish(self, tweak=None, only=None):
        """New Targets, Snapshot and Timestamp that fit each other. only='timestamp': just a fresh Timestamp."""
        tweak = tweak or Tweak()
        self.files = dict(self.files)
        if only is None:
            targets = self._make('targets', self._targets_body(), tweak)
            if 'snapshot' in self.chain.role_names:
                meta = {'root.json': describe(self.chain.latest, self.chain.version, full=False),
                        'targets.json': describe(targets, self.version['targets'])}
                self._make('snapshot', {'meta': meta}, tweak)
        if 'timestamp' in self.chain.role_names:
            meta = {'snapshot.json': describe(self.files['snapshot.json'], self.version['snapshot'])}
            self._make('timestamp', {'meta': meta}, tweak)
        self.history.append(self.files)

    def get(self, name):
        """The bytes of NAME.json or N.root.json; None if there is no such file."""
        number, _, rest = name.partition('.')
        if rest == 'root.json' and number.isdigit():
            return self.chain.versions.get(int(number))
        if name == 'root.json':
            return self.chain.latest
        return self.files.get(name)

    def find_version(self, name, version):
        """The newest bytes ever published as NAME.json with this version; None if there never were such."""
        for files in reversed(self.history):
            if name in files and canonical.decode(files[name])['signed']['version'] == version:
                return files[name]
        return None


class ImageRepository:
    """What images exist, said by those who made them; the same for every vehicle."""

    def __init__(self, **chain_options):
        self.chain = RootChain(**chain_options)
        self.publication = Publication(self.chain)
        self.images = {}

    def add_image(self, name, hardware_ids, data=None, commit=None, version=None, uri=None, release_counter=None, publish=True):
        """Adds a file (`data`) or an OSTree commit (its hash). Returns the target's entry."""
        if commit:
            entry = {'length': 0, 'hashes': {'sha256': commit}}
        else:
            entry = {'length': len(data), 'hashes': {'sha256': hashlib.sha256(data).hexdigest(), 'sha512': hashlib.sha512(data).hexdigest()}}
            self.images[name] = data
        entry['custom'] = {'name': name, 'version': version or '1', 'hardwareIds': list(hardware_ids),
                           'targetFormat': 'OSTREE' if commit else 'BINARY', 'uri': uri}
        if release_counter is not None:
            entry['custom']['releaseCounter'] = release_counter
        self.publication.targets[name] = entry
        if publish:
            self.publication.publish()
        return entry

    def publish(self, tweak=None, only=None):
        self.publication.publish(tweak, only)
