# SPDX-License-Identifier: Apache-2.0
"""JSON as the back-ends sign it: compact, members sorted, standard escapes, non-ASCII as UTF-8. Integers only."""
import json


def _no_floats(value):
    if isinstance(value, float):
        raise ValueError('a number is not an integer')
    if isinstance(value, dict):
        for name, member in value.items():
            if not isinstance(name, str):
                raise ValueError('a member name is not a string')
            _no_floats(member)
    elif isinstance(value, (list, tuple)):
        for member in value:
            _no_floats(member)


def encode(value):
    """The canonical bytes of a JSON value."""
    _no_floats(value)
    return json.dumps(value, sort_keys=True, separators=(',', ':'), ensure_ascii=False).encode()


def _no_duplicates(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError('a member occurs twice')
    return members


def _refuse(text):
    raise ValueError(f'{text} is not an integer')


def decode(data):
    """Strict parsing: UTF-8, no duplicate members, no floats, no NaN. ValueError otherwise."""
    return json.loads(data.decode('utf-8', 'strict'), object_pairs_hook=_no_duplicates, parse_float=_refuse, parse_constant=_refuse)
