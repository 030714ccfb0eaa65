# SPDX-License-Identifier: Apache-2.0
"""A certificate authority for the back-end's server and the devices it knows."""
import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = datetime.timedelta(days=3650)
ELSEWHERE = "backend.test"  # the server's name where it is reached under another address than 127.0.0.1


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._build("test authority", self.key.public_key(), authority=True)
        self.ca = self._write("ca.pem", self.certificate.public_bytes(serialization.Encoding.PEM))

    def _build(self, name, public, authority=False, server=False, days=DAYS):
        now = datetime.datetime.utcnow() - datetime.timedelta(days=1)
        issuer = _name("test authority")
        builder = (
            x509.CertificateBuilder().subject_name(_name(name)).issuer_name(issuer).public_key(public)
            .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + days)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if authority:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            use = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if server:
            names = [x509.DNSName("localhost"), x509.DNSName(ELSEWHERE), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name, data):
        path = os.path.join(self.directory, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
            f.write(data)
        return path

    def _issue(self, stem, name, server):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._build(name, key.public_key(), server=server)
        crt = self._write(stem + ".crt", certificate.public_bytes(serialization.Encoding.PEM))
        pkcs8 = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return crt, self._write(stem + ".key", pkcs8)

    def link(self, name, server, directory, expired=False):
        """Puts secondary-ca.pem and secondary.crt, secondary.key (a server's) or primary.crt, primary.key into directory."""
        os.makedirs(directory, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        days = datetime.timedelta(hours=1) if expired else DAYS  # it began yesterday
        certificate = self._build(name, key.public_key(), server=server, days=days)
        pkcs8 = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        stem = "secondary" if server else "primary"
        for file, data in (("secondary-ca.pem", self.certificate.public_bytes(serialization.Encoding.PEM)),
                           (stem + ".crt", certificate.public_bytes(serialization.Encoding.PEM)), (stem + ".key", pkcs8)):
            with open(os.open(os.path.join(directory, file), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
                f.write(data)

    def server(self):
        return self._issue("server", "127.0.0.1", True)

    def device(self, device_id, directory):
        """Puts ca.pem, device.crt and device.key into directory, as a helper's credentials."""
        os.makedirs(directory, exist_ok=True)
        crt, key = self._issue(device_id, device_id, False)
        for source, name in ((self.ca, "ca.pem"), (crt, "device.crt"), (key, "device.key")):
            with open(source, "rb") as f, open(os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as g:
                g.write(f.read())
