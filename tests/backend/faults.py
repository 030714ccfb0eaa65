# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong between a repository and a vehicle, on demand.

Kinds that change the bytes of an answer:
  tamper     flips one bit (`offset`, default the middle), or `edit`: called with the parsed document, which keeps its old signatures
  body       `data` instead
  wrong_key  the same document signed by keys nobody knows, under the right key ids
  too_few    one signature less than the role's threshold
  expired    the same document, past its expiry, rightly signed
  replay     `version`: an older file, as it was published then
  duplicate  a JSON object with one member twice
Kinds that change how it is sent:
  status     `code`: an error status
  drop       the connection is closed without an answer
  stall      `seconds` of silence behind `after` bytes (default 0: before the head)
  cutoff     the right Content-Length, but only `after` bytes (default half)
  endless    a body without end
  slow       `rate` bytes per second
"""
import base64
import re
import threading

from . import canonical
from .keys import SigningKey, sign_document
from .repository import in_days

CONTENT_KINDS = ('tamper', 'body', 'wrong_key', 'too_few', 'expired', 'replay', 'duplicate')
TRANSPORT_KINDS = ('status', 'drop', 'stall', 'cutoff', 'endless', 'slow')


class Fault:
    def __init__(self, faults, pattern, kind, times, arguments):
        self.faults, self.pattern, self.kind, self.times, self.arguments = faults, re.compile(pattern), kind, times, arguments
        self.hits = 0

    def remove(self):
        self.faults.discard(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


class Faults:
    def __init__(self):
        self._lock = threading.Lock()
        self._list = []

    def add(self, pattern, kind, times=None, **arguments):
        """From now on (`times` times) requests whose path matches `pattern` suffer this. Returns the Fault."""
        if kind not in CONTENT_KINDS + TRANSPORT_KINDS:
            raise ValueError(f'unknown kind of fault: {kind}')
        fault = Fault(self, pattern, kind, times, arguments)
        with self._lock:
            self._list.append(fault)
        return fault

    def discard(self, fault):
        with self._lock:
            self._list = [other for other in self._list if other is not fault]

    def clear(self):
        with self._lock:
            self._list = []

    def take(self, path):
        """The faults that a request for this path suffers; counts them as used."""
        with self._lock:
            hit = [fault for fault in self._list
                   if fault.pattern.search(path) and (fault.times is None or fault.hits < fault.times)]
            for fault in hit:
                fault.hits += 1
            return hit


def _role_of(document):
    return document['signed']['_type'].lower()


def _tamper(data, arguments, _publication, _name):
    if 'edit' in arguments:
        document = canonical.decode(data)
        arguments['edit'](document)
        return canonical.encode(document)
    offset = arguments.get('offset', len(data) // 2)
    changed = bytearray(data)
    changed[offset] ^= 1
    return bytes(changed)


def _wrong_key(data, _arguments, _publication, _name):
    document = canonical.decode(data)
    message = canonical.encode(document['signed'])
    document['signatures'] = [SigningKey().sign(message, keyid=signature['keyid']) for signature in document['signatures']]
    for signature in document['signatures']:
        assert len(base64.b64decode(signature['sig'])) == 64
    return canonical.encode(document)


def _too_few(data, _arguments, publication, _name):
    document = canonical.decode(data)
    threshold = publication.chain.threshold[_role_of(document)]
    document['signatures'] = document['signatures'][:threshold - 1]
    return canonical.encode(document)


def _expired(data, _arguments, publication, _name):
    document = canonical.decode(data)
    document['signed']['expires'] = in_days(-1)
    return sign_document(document['signed'], publication.chain.keys[_role_of(document)])


def _replay(data, arguments, publication, name):
    old = publication.find_version(name, arguments['version'])
    if old is None:
        raise ValueError(f'{name} version {arguments["version"]} was never published')
    return old


def _duplicate(data, _arguments, _publication, _name):
    """The first member of "signed" once more in front of it, with another value."""
    needle = b'"signed":{'
    return data.replace(needle, needle + b'"version":1,', 1)


_CHANGES = {'tamper': _tamper, 'wrong_key': _wrong_key, 'too_few': _too_few, 'expired': _expired, 'replay': _replay,
            'duplicate': _duplicate, 'body': lambda data, arguments, *_: arguments['data']}


def change(fault, data, publication, name):
    """The bytes that are served instead of `data`. publication is that of the file asked for, or None."""
    return _CHANGES[fault.kind](data, fault.arguments, publication, name)
