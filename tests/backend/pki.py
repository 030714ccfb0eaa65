# SPDX-License-Identifier: Apache-2.0
"""The certificates of the transport: one CA, the server's certificate, and one per device whose CN is the device id."""
import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _cert_pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def write_private(path, data):
    """Writes a file that only its owner may read."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, 'wb') as file:
        file.write(data)


class Authority:
    """A certification authority that lives as long as the object."""

    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        builder = self._builder(self.name, self.key.public_key(), days=3650)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.pem = _cert_pem(self.certificate)

    def _builder(self, subject, public_key, days, not_before=None):
        start = not_before or datetime.datetime.utcnow() - datetime.timedelta(days=1)
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
                .serial_number(x509.random_serial_number()).not_valid_before(start)
                .not_valid_after(start + datetime.timedelta(days=days)))

    def issue(self, common_name, server=False, days=365, not_before=None):
        """(certificate PEM, private key PEM); a server's certificate is for this host's loopback names."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(_name(common_name), key.public_key(), days, not_before)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if server:
            names = [x509.DNSName('localhost'), x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _cert_pem(builder.sign(self.key, hashes.SHA256())), _key_pem(key)


class Pki:
    """Server CA, device CA, and the files made from them below `directory`."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.server_ca = Authority('test server CA')
        self.device_ca = Authority('test device CA')
        self.server_ca_path = self._write('server-ca.pem', self.server_ca.pem)
        self.device_ca_path = self._write('device-ca.pem', self.device_ca.pem)
        certificate, key = self.server_ca.issue('localhost', server=True)
        self.server_chain_path = self._write('server.pem', certificate + key)

    def _write(self, name, data):
        path = os.path.join(self.directory, name)
        write_private(path, data)
        return path

    def device_credentials(self, device_id, directory, ca=None):
        """Writes ca.pem, device.crt and device.key, as the helpers look for them, into `directory`."""
        os.makedirs(directory, mode=0o700, exist_ok=True)
        certificate, key = (ca or self.device_ca).issue(device_id)
        for name, data in (('ca.pem', self.server_ca.pem), ('device.crt', certificate), ('device.key', key)):
            write_private(os.path.join(directory, name), data)
        return directory
