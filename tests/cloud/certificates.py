# SPDX-License-Identifier: Apache-2.0

"""A certificate authority of our own, for servers that use TLS."""

import datetime
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cloud import processes

_DAY = datetime.timedelta(days=1)


class Authority:
    """It vouches for servers; nobody knows it who does not have its file."""

    def __init__(self, directory: pathlib.Path) -> None:
        """Make it.

        :param directory: where its files are; it has to be there
        """
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name('A CA of the tests')
        self.file = directory / 'ca.pem'
        certificate = self._signed(
            self._name, self._key.public_key(),
            x509.BasicConstraints(ca=True, path_length=0))
        self.file.write_bytes(_text(certificate))

    def issue(self, host: str = processes.HOST, *, days: int = 2,
              ) -> pathlib.Path:
        """A new certificate, in a file with its key.

        :param host: the name or address that it is for
        :param days: when it ends; in the past if negative
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(
            _name(host), key.public_key(),
            x509.SubjectAlternativeName([_general_name(host)]), days)
        path = self._directory / f'{certificate.serial_number}.pem'
        path.touch(mode=0o600)
        path.write_bytes(_text(certificate) + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        return path

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey,
                extension: x509.ExtensionType, days: int = 2,
                ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(self._name)
            .public_key(key).serial_number(x509.random_serial_number())
            .not_valid_before(now - 9 * _DAY)
            .not_valid_after(now + days * _DAY)
            .add_extension(extension, critical=True)
            .sign(self._key, hashes.SHA256()))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _text(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
