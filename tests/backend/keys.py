# SPDX-License-Identifier: Apache-2.0
"""Signing keys as the field uses them, the canonical form, and checking what others signed."""
import base64
import copy
import hashlib
import json
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

METHODS = {"ED25519": ("ed25519",), "RSA": ("rsassa-pss", "rsassa-pss-sha256")}
PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


def canonical(value):
    """Compact, sorted, raw UTF-8: what the open-source back-ends sign."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def canonical_ascii(value):
    """The same with everything else than ASCII escaped."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def canonical_olpc(value):
    """OLPC's: in a string only the quote and the backslash are escaped."""
    if isinstance(value, dict):
        return b"{" + b",".join(canonical_olpc(key) + b":" + canonical_olpc(value[key]) for key in sorted(value)) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(canonical_olpc(entry) for entry in value) + b"]"
    if isinstance(value, str):
        return b'"' + value.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
    return canonical(value)


def pem(public):
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode().strip()


class Key:
    """A private key; type is ed25519, rsa or ecdsa."""

    def __init__(self, type="ed25519"):
        self.type = type
        if type == "ed25519":
            self.private = ed25519.Ed25519PrivateKey.generate()
            self.keytype, self.method = "ED25519", "ed25519"
        elif type == "rsa":
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            self.keytype, self.method = "RSA", "rsassa-pss-sha256"
        elif type == "ecdsa":
            self.private = ec.generate_private_key(ec.SECP256R1())
            self.keytype, self.method = "ECPRIME256V1", "ecdsa-sha2-nistp256"
        else:
            raise ValueError(type)
        public = self.private.public_key()
        if type == "ed25519":
            self.text = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
        else:
            self.text = pem(public)
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.id = hashlib.sha256(der).hexdigest()

    def __deepcopy__(self, memo):
        return self  # it does not change

    def alias(self):
        """The same key under another id."""
        other = copy.copy(self)
        other.id = hashlib.sha256(self.id.encode()).hexdigest()
        return other

    def sign(self, message):
        if self.type == "ed25519":
            return self.private.sign(message)
        if self.type == "rsa":
            return self.private.sign(message, PSS, hashes.SHA256())
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))

    def public(self):
        return {"keytype": self.keytype, "keyval": {"public": self.text}}


def signatures(message, keys):
    return [{"keyid": key.id, "method": key.method, "sig": base64.b64encode(key.sign(message)).decode()} for key in keys]


def envelope(signed, keys, form=canonical, served=canonical):
    """The signed document, as bytes: signed in one form, served in the same or in another one."""
    return envelope_of(served(signed), signatures(form(signed), keys))


def envelope_of(text, signs):
    """A document whose signed part is exactly these bytes."""
    return b'{"signatures":' + canonical(signs) + b',"signed":' + text + b"}"


def is_public_key(client_key):
    """Whether {keytype, keyval} is a key that a Director registers: its type says the truth, and RSA has 2048 bits or more."""
    keytype, text = client_key["keytype"].upper(), client_key["keyval"]["public"]
    try:
        if keytype == "ED25519":
            ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
            return True
        public = serialization.load_pem_public_key(text.encode())
    except ValueError:
        return False
    if keytype == "RSA":
        return isinstance(public, rsa.RSAPublicKey) and public.key_size >= 2048
    return keytype == "ECPRIME256V1" and isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1)


def verify(document, client_key):
    """Whether document carries a good signature by client_key ({keytype, keyval}), as a Director checks a manifest."""
    keytype, text = client_key["keytype"].upper(), client_key["keyval"]["public"]
    # with and without non-ASCII characters escaped: both are signed in the field
    forms = {canonical(document["signed"]), canonical_ascii(document["signed"])}
    for signature in document.get("signatures", []):
        if not re.fullmatch("[0-9a-f]{64}", signature["keyid"]) or signature["method"] not in METHODS.get(keytype, ()):
            return False
        raw = base64.b64decode(signature["sig"], validate=True)
        for message in forms:
            try:
                if keytype == "ED25519":
                    ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(text)).verify(raw, message)
                elif keytype == "RSA":
                    serialization.load_pem_public_key(text.encode()).verify(raw, message, PSS, hashes.SHA256())
                else:
                    return False  # real Directors cannot check others either
                return True
            except InvalidSignature:
                continue
    return False
