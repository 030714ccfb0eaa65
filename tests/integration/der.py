# SPDX-License-Identifier: Apache-2.0
"""Messages of the IP Secondary protocol, made and read independently of src/."""


def tlv(tag, content):
    size = len(content)
    length = bytes([size]) if size < 128 else (lambda b: bytes([128 + len(b)]) + b)(size.to_bytes((size.bit_length() + 7) // 8, "big"))
    return bytes([tag]) + length + content


def octets(data):
    return tlv(0x04, data)


def enum(value):
    return tlv(0x0a, bytes([value]))


def message(kind, *fields):
    return tlv(0xa0 + kind, tlv(0x30, b"".join(fields)))


def collection(repository, names):
    return tlv(0x30, b"".join(tlv(0x30, octets(r.encode()) + octets(repository.files[r + ".json"])) for r in names))


def files(content):
    """[(name, bytes)] of the content of a collection."""
    found = []
    while content:
        _, file, content = take(content)
        _, name, rest = take(file)
        found.append((name.decode(), take(rest)[1]))
    return found


def roles(content):
    """The names in the content of a collection."""
    return [name for name, _ in files(content)]


def take(data):
    """(tag, content, rest)"""
    size, at = data[1], 2
    if size >= 128:
        at, size = 2 + size - 128, int.from_bytes(data[2:2 + size - 128], "big")
    return data[0], data[at:at + size], data[at + size:]


def parse(data):
    """(kind, [contents])"""
    tag, sequence, rest = take(data)
    assert rest == b""
    fields, items = take(sequence)[1], []
    while fields:
        _, content, fields = take(fields)
        items.append(content)
    return tag - 0xa0, items


def whole(data):
    """Whether data holds a whole message."""
    if len(data) < 2 or (data[1] >= 128 and len(data) < 2 + data[1] - 128):
        return False
    content = data[1] if data[1] < 128 else int.from_bytes(data[2:2 + data[1] - 128], "big")
    return len(data) >= content + 2 + (data[1] - 128 if data[1] >= 128 else 0)


def split(data):
    """The messages that stand in a row in data."""
    messages = []
    while data:
        size = len(data) - len(take(data)[2])
        messages.append(data[:size])
        data = data[size:]
    return messages
