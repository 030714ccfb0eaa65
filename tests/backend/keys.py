# SPDX-License-Identifier: Apache-2.0
"""Keys and signatures of metadata and manifests: Ed25519, RSA-PSS with SHA-256, ECDSA P-256 with SHA-256."""
import base64
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from . import canonical

KINDS = ('ed25519', 'rsa', 'ecdsa')
KEYTYPES = {'ed25519': 'ED25519', 'rsa': 'RSA', 'ecdsa': 'ECPRIME256V1'}
METHODS = {'ed25519': 'ed25519', 'rsa': 'rsassa-pss-sha256', 'ecdsa': 'ecdsa-sha2-nistp256'}
ACCEPTED_METHODS = {
    'ED25519': ('ed25519',),
    'RSA': ('rsassa-pss', 'rsassa-pss-sha256'),
    'ECPRIME256V1': ('ecdsa', 'ecdsa-sha2-nistp256'),
}


def _generate(kind):
    if kind == 'ed25519':
        return ed25519.Ed25519PrivateKey.generate()
    if kind == 'rsa':
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if kind == 'ecdsa':
        return ec.generate_private_key(ec.SECP256R1())
    raise ValueError(f'unknown kind of key: {kind}')


def _pss(salt):
    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)


class SigningKey:
    """A private key; `public` is its entry in metadata, `keyid` what names it there."""

    def __init__(self, kind='ed25519', private=None):
        self.kind = kind
        self.private = private or _generate(kind)
        public = self.private.public_key()
        if kind == 'ed25519':
            text = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
        else:
            text = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.public = {'keytype': KEYTYPES[kind], 'keyval': {'public': text}}
        self.keyid = hashlib.sha256(der).hexdigest()

    def sign_bytes(self, message):
        if self.kind == 'ed25519':
            return self.private.sign(message)
        if self.kind == 'rsa':
            return self.private.sign(message, _pss(32), hashes.SHA256())
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))

    def sign(self, message, keyid=None):
        """One entry for "signatures"."""
        return {'keyid': keyid or self.keyid, 'method': METHODS[self.kind],
                'sig': base64.b64encode(self.sign_bytes(message)).decode()}

    def pem(self):
        return self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption())


def load_public(key):
    """The public key object of a metadata or registration entry. ValueError if it is none that is accepted."""
    keytype, text = key['keytype'], key['keyval']['public']
    if keytype == 'ED25519':
        raw = bytes.fromhex(text)
        if len(raw) != 32:
            raise ValueError('an Ed25519 key has 32 bytes')
        return ed25519.Ed25519PublicKey.from_public_bytes(raw)
    public = serialization.load_pem_public_key(text.encode())
    if keytype == 'RSA' and isinstance(public, rsa.RSAPublicKey) and public.key_size >= 2048:
        return public
    if keytype == 'ECPRIME256V1' and isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        return public
    raise ValueError(f'not an acceptable key of type {keytype}')


def verify(key, method, message, signature):
    """Whether `signature` (base64) by `key` over `message` is valid and made with a method of that key's type."""
    try:
        public = load_public(key)
        if method.lower() not in ACCEPTED_METHODS[key['keytype']]:
            return False
        raw = base64.b64decode(signature, validate=True)
        if key['keytype'] == 'ED25519':
            public.verify(raw, message)
        elif key['keytype'] == 'RSA':
            public.verify(raw, message, _pss(padding.PSS.AUTO), hashes.SHA256())
        else:
            public.verify(raw, message, ec.ECDSA(hashes.SHA256()))
        return True
    except (InvalidSignature, ValueError, KeyError, TypeError, AttributeError):
        return False


def sign_document(signed, signers):
    """The envelope bytes of a document, signed by every one of `signers`."""
    message = canonical.encode(signed)
    return canonical.encode({'signatures': [key.sign(message) for key in signers], 'signed': signed})


def count_valid(envelope, public_keys):
    """How many distinct keys of {keyid: key} have a valid signature on the envelope."""
    message = canonical.encode(envelope['signed'])
    good = set()
    for signature in envelope['signatures']:
        key = public_keys.get(signature['keyid'])
        if key and verify(key, signature['method'], message, signature['sig']):
            good.add(key['keyval']['public'])
    return len(good)
