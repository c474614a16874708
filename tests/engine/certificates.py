"""Certificates for tests: an authority, and what it signs for loopback."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PRIVATE = serialization.PrivateFormat.PKCS8


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey

    @property
    def cert(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key(self) -> str:
        return self.private.private_bytes(serialization.Encoding.PEM, PRIVATE, serialization.NoEncryption()).decode()

    def locked(self, password: str) -> str:
        """The key, encrypted."""
        how = serialization.BestAvailableEncryption(password.encode())
        return self.private.private_bytes(serialization.Encoding.PEM, PRIVATE, how).decode()


def issue(name: str, by: Pair | None = None, host: str = "", valid_for: timedelta = timedelta(days=1)) -> Pair:
    """A certificate of this name, by an authority or as one; it is valid from yesterday on."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + valid_for)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    )
    if host:
        made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
    return Pair(made.sign(by.private if by else key, hashes.SHA256()), key)


def server_context(folder: Path, server: Pair, clients: Pair | None = None) -> ssl.SSLContext:
    """What a server is protected with; with `clients` it wants a certificate that this authority signed."""
    file = folder / "server.pem"
    file.write_text(server.cert + server.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if clients is not None:
        context.load_verify_locations(cadata=clients.cert)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
