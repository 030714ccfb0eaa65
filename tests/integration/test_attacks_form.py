# SPDX-License-Identifier: Apache-2.0
"""Attacks T-34 to T-37 on the running daemon: documents that are no JSON or not what their role demands, though they are signed; what
was signed in another form than served; keys and signatures that are none."""
import copy
import json

import pytest
from attack import BOTH, Attack, check, good, ready, repository, url  # noqa: F401
from backend.keys import PSS, Key, canonical, canonical_ascii, canonical_olpc, envelope, envelope_of, pem, signatures
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def document(r, role):
    """The signed part of the next file of a role."""
    if role != "root":
        return r.document(role)
    return dict(json.loads(r.files["%d.root.json" % r.versions["root"]])["signed"], version=r.versions["root"] + 1)


def serve(r, role, data):
    if role == "root":
        r.files["%d.root.json" % (r.versions["root"] + 1)] = data
    else:
        r.serve(role, data)


def serve_text(r, role, text):
    """A signed part that is exactly these bytes."""
    serve(r, role, envelope_of(text, signatures(text, r.keys[role])))


# T-36: no JSON, or JSON that two readers could read differently
INSIDE = {
    "depth bomb of arrays": b'"x":' + b"[" * 20000 + b"]" * 20000, "depth bomb of objects": b'"x":' + b'{"":' * 8000 + b"1" + b"}" * 8000,
    "duplicate": b'"version":1', "escaped duplicate": b'"vers\\u0069on":1', "NUL": b'"x":"\\u0000"', "NUL in a name": b'"a\\u0000b":1',
    "raw NUL": b'"x":"\0"', "lone surrogate": b'"x":"\\ud800"', "surrogates in the wrong order": b'"x":"\\udc00\\ud800"',
    "surrogate in UTF-8": b'"x":"\xed\xa0\x80"', "no UTF-8": b'"x":"\xff"', "overlong UTF-8": b'"x":"\xc0\x80"', "1e999": b'"x":1e999',
    "NaN": b'"x":NaN', "2^64": b'"x":18446744073709551616', "comment": b'/**/"x":1', "single quotes": b"'x':1", "line feed": b'"x":"\n"',
}
OUTSIDE = {
    "nothing": lambda data: b"", "an array": lambda data: b"[" + data + b"]", "null": lambda data: b"null", "garbage": lambda data: b"\xde\xad" * 50,
    "trailing garbage": lambda data: data + b"x", "a second document": lambda data: data + data, "trailing NUL": lambda data: data + b"\0",
    "BOM": lambda data: b"\xef\xbb\xbf" + data, "UTF-16": lambda data: data.decode().encode("utf-16"), "cut short": lambda data: data[:-1],
}


@pytest.mark.parametrize("name,role", [("director", "timestamp"), ("image", "targets")])
def test_t36_what_is_no_json_is_refused(ready, name, role):
    r = repository(ready, name)
    for member in INSIDE.values():
        with Attack(ready, "Malformed", name, role, "not valid JSON", install=False):
            serve_text(r, role, b"{" + member + b"," + canonical(document(r, role))[1:])
    for change in OUTSIDE.values():
        with Attack(ready, "Malformed", name, role, install=False):
            serve(r, role, change(envelope(document(r, role), r.keys[role])))
    good(ready)


MISSING = object()
WRONG = {
    "version": (2 ** 64, 2 ** 63, -1, 0, 1.5, "1", None, [1], MISSING), "expires": (None, 5, [], "tomorrow", "2099-13-01T00:00:00Z", MISSING),
    "_type": (None, 1, ["Targets"], MISSING), "meta": (None, [], "x", MISSING), "targets": (None, [], "x", MISSING),
    "roles": (None, [], MISSING), "keys": (None, [], MISSING), "snapshot.json": (None, [], 1, MISSING), "targets.json": (None, [], 1),
    "length": (-1, 2 ** 64, "5", 1.5, [5]), "hashes": ([], 5, {"sha256": 5}, {"sha256": "0" * 63}, {"sha256": "g" * 64}),
    "signatures": (None, {}, "x", [5], [{}], [{"keyid": 5, "sig": "x", "method": "ed25519"}], MISSING), "signed": (None, [], "x", MISSING),
}


def paths(role, target):
    """Members of a role's document, by their way from its top."""
    yield from (("signatures",), ("signed",))
    yield from (("signed", member) for member in ("version", "expires", "_type"))
    yield from {"root": [("signed", "roles"), ("signed", "keys")],
                "timestamp": [("signed", "meta"), ("signed", "meta", "snapshot.json"), *(("signed", "meta", "snapshot.json", m) for m in
                                                                                        ("version", "length", "hashes"))],
                "snapshot": [("signed", "meta"), ("signed", "meta", "targets.json"), ("signed", "meta", "targets.json", "length")],
                "targets": [("signed", "targets"), *(("signed", "targets", target, m) for m in ("length", "hashes"))]}[role]


def change(value, path, to):
    for member in path[:-1]:
        value = value[member]
    if to is MISSING:
        del value[path[-1]]
    else:
        value[path[-1]] = to


# T-36: members that are missing, null, or of another kind
@pytest.mark.parametrize("name,role", [("director", "root"), ("director", "timestamp"), ("image", "snapshot"), ("image", "targets")])
def test_t36_a_signed_document_that_is_not_what_its_role_demands_is_refused(ready, name, role):
    r = repository(ready, name)
    for path in paths(role, "good-2.bin"):
        for to in WRONG[path[-1]]:
            with Attack(ready, "Malformed", name, role, install=False):
                whole = {"signatures": [], "signed": document(r, role)}
                change(whole, path, to)
                if path[0] == "signed" and len(path) > 1:
                    whole["signatures"] = signatures(canonical(whole["signed"]), r.keys[role])
                serve(r, role, canonical(whole))
    good(ready)


def peak_memory(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


# T-36: 100 MiB string; and without end, T-17
@pytest.mark.parametrize("name,role", [("director", "timestamp"), ("image", "snapshot"), ("image", "targets")])
def test_t36_a_document_of_a_hundred_mebibytes_is_cut_off_in_bounded_memory(ready, name, role):
    pid = ready.vehicle.daemon_pid()
    before = peak_memory(pid)
    for kind, value in ("replace", b'{"signed":{"x":"' + b"a" * (100 << 20) + b'"}}'), ("endless", None):
        with Attack(ready, "TooLarge", name, role) as attack:
            ready.backend.faults.add(url(name) + role + ".json", kind, value)
            attack.refused()
            assert peak_memory(pid) < before + (4 << 20)


# T-37


def pretty(value):
    return json.dumps(value, indent=3, ensure_ascii=True).encode()


ODD = "%d \"quoted\" \\ back \u00e9 \u20ac \U0001f697.bin"
# without DEL: Python escapes it where only ASCII is wanted, the field does not
CUSTOM = {"\U0001f697": 1, "\ufb33": 2, "B": 3, "a": 4, "aa": 5, "": [], "\u00e9": "\n\t\r\b\f\u0001\u001f \" \\ / </x>", "n": [0, -1, 2 ** 62]}


def test_t37_what_was_signed_in_any_form_of_the_field_verifies_however_it_is_served(ready):
    v = ready.vehicle
    for i, (form, served) in enumerate([(form, served) for form in (canonical, canonical_ascii, canonical_olpc)
                                        for served in (canonical, canonical_ascii, pretty)] + [(pretty, pretty)]):
        for name in ("director", "image"):
            r = repository(ready, name)
            r.form, r.served = form, served
            r.sign_root()
        data = b"odd %d" % i * 100
        ready.assign(firmware=ready.publish_firmware(ODD % i, data, **CUSTOM))
        check(ready)
        assert (v.error(), v.secondaries[0].content()) == (("", ""), data), (form, served)
        assert v.ecu("secondary1", "InstalledImage") == ODD % i and ready.director.installed(v.secondaries[0].serial)[0] == ODD % i
    assert not ready.director.refused


def by_utf16(value):
    """As canonical, but names ordered by UTF-16 code unit."""
    if isinstance(value, dict):
        return b"{" + b",".join(canonical(k) + b":" + by_utf16(value[k]) for k in sorted(value, key=lambda k: k.encode("utf-16-be"))) + b"}"
    return canonical(value)


OTHER_FORMS = {
    "order by UTF-16": by_utf16, "spaces": lambda value: json.dumps(value, sort_keys=True, ensure_ascii=False).encode(),
    "escaped slashes": lambda value: canonical(value).replace(b"/", b"\\/"),
    "escapes in upper case": lambda value: canonical_ascii(value).replace(b"\\u00e9", b"\\u00E9"),
    "no order": lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(), "a line feed behind": lambda v: canonical(v) + b"\n",
}


# T-37: and in no other
@BOTH
def test_t37_a_signature_over_another_form_than_those_is_none(ready, name):
    r = repository(ready, name)
    for form in OTHER_FORMS.values():
        with Attack(ready, "SignatureThreshold", name, "targets"):
            signed = dict(document(r, "targets"), custom=CUSTOM)
            assert form(signed) not in (canonical(signed), canonical_ascii(signed), canonical_olpc(signed))
            r.serve("targets", envelope(signed, r.keys["targets"], form))


# T-34, T-35


def odd(key, public=None, **members):
    """A key that says something else of itself."""
    other = copy.copy(key)
    vars(other).update(members)
    if public is not None:
        other.public = lambda: public
    return other


TWO = {"keys_per_role": 2}


@BOTH
@pytest.mark.world(director=TWO, image=TWO)
def test_t34_keys_and_methods_nobody_knows_do_no_harm_and_count_for_nothing(ready, name):
    r = repository(ready, name)
    one, two = r.keys["targets"]
    strange = odd(Key(), {"keytype": "QUANTUM", "keyval": {"public": "?"}}, method="quantum")
    unknown = odd(one, method="quantum")
    r.keys["targets"].append(strange)
    r.sign_root()
    for signers in ([strange, one], [one, strange], [unknown, two], [two, odd(strange, method="ed25519")]):
        data = b"known enough %d" % len(ready.director.manifests) * 50
        ready.assign(firmware=ready.publish_firmware("known-%d.bin" % len(ready.director.manifests), data))
        r.edit("targets", lambda signed: None, keys=signers)
        check(ready)
        assert ready.vehicle.error() == ("", "") and ready.vehicle.secondaries[0].content() == data
    for signers in ([strange], [unknown], [unknown, strange], [Key(), unknown], []):
        with Attack(ready, "SignatureThreshold", name, "targets", "0 valid signatures"):
            r.edit("targets", lambda signed: None, keys=signers)


def pkcs1(key):
    return odd(key, sign=lambda message: key.private.sign(message, padding.PKCS1v15(), hashes.SHA256()))


@BOTH
@pytest.mark.world(director={"key_types": {"targets": "rsa"}}, image={"key_types": {"targets": "rsa"}})
def test_t35_keys_and_signatures_that_are_too_weak_or_of_another_kind_are_refused(ready, name):
    r = repository(ready, name)
    key, other, curve = r.keys["targets"][0], Key(), Key("ecdsa")
    with Attack(ready, "SignatureThreshold", name, "targets", "0 valid signatures"):
        r.edit("targets", lambda signed: None, keys=[pkcs1(key)])
    with Attack(ready, "SignatureThreshold", name, "targets", "0 valid signatures"):
        r.edit("targets", lambda signed: None, keys=[odd(pkcs1(key), method="rsassa-pkcs1v15-sha256")])

    weak = odd(key, private=rsa.generate_private_key(public_exponent=65537, key_size=1024))
    weak.text = pem(weak.private.public_key())
    assert len(weak.private.sign(b"", PSS, hashes.SHA256())) == 128
    text = other.text

    def public(keytype, text, **more):
        return dict({"keytype": keytype, "keyval": {"public": text}}, **more)

    for bad in (weak, odd(other, public("ED25519", text[:-2])), odd(other, public("ED25519", text + "00")), odd(other, public("ED25519", "zz" * 32)),
                odd(other, public("ED25519", "")), odd(other, public("RSA", text)), odd(key, public("ED25519", key.text)),
                odd(curve, public("RSA", curve.text)), odd(key, public("ECPRIME256V1", key.text)),
                odd(other, public("ED25519", text, scheme="ecdsa-sha2-nistp256")), odd(key, public("RSA", key.text, scheme="ed25519"))):
        # refused in Root, or useless there: then what it signs is not enough
        with Attack(ready, ("Malformed", "SignatureThreshold"), name, None, new_root=True) as attack:
            r.keys["targets"] = [bad]
            r.sign_root()
            r.publish()
            attack.refused()
            assert attack.seen[1].startswith((name + " root", name + " targets")), attack.seen
