"""How a call's connection is protected where a step says so: its own certificate, and whom it trusts.

OpenSSL reads a certificate's chain and key from files only. They are written to an anonymous file in memory, which has
no name on any disk and is gone once it is closed; where the kernel has none, to a temporary file that is unlinked
before anything is written to it.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tls:
    """A client certificate with its chain and its key, and the authorities to trust, each as PEM; "" for none.

    Without `ca` the usual authorities are trusted, with it these alone.
    """

    cert: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)


class BadTls(ValueError):
    """What a step gives cannot be used; the message says what, and nothing of what it holds."""


def context_for(tls: Tls, trusted: ssl.SSLContext) -> ssl.SSLContext:
    """A new context that trusts what `tls` names, or where it names nothing what `trusted` does. Raises `BadTls`."""
    context = _context_of(tls)
    if not tls.ca:
        context.load_verify_locations(cadata=b"".join(trusted.get_ca_certs(binary_form=True)))
    return context


def must_be_usable(tls: Tls) -> None:
    """Raise `BadTls` where a client that connects by itself could not use what is given."""
    _context_of(tls)


def _context_of(tls: Tls) -> ssl.SSLContext:
    """A new context with what `tls` names, and nothing else. Raises `BadTls`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if tls.ca:
            context.load_verify_locations(cadata=tls.ca)
    except (ssl.SSLError, ValueError, TypeError):
        raise BadTls("`tls.ca` is no certificate in PEM") from None
    if tls.cert or tls.key:
        _load_certificate(context, tls)
    return context


def _load_certificate(context: ssl.SSLContext, tls: Tls) -> None:
    if not (tls.cert and tls.key):
        raise BadTls("`tls.cert` and `tls.key` go together")
    try:
        with _nameless(f"{tls.cert}\n{tls.key}\n".encode()) as path:
            context.load_cert_chain(path, password=_no_password)
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise BadTls("`tls.key` does not belong to `tls.cert`") from None
        raise BadTls("`tls.cert` and `tls.key` are no certificate and unencrypted key in PEM") from None


def _no_password() -> str:
    """OpenSSL would ask at the terminal for the password of an encrypted key: there is none."""
    return ""


@contextmanager
def _nameless(content: bytes) -> Iterator[str]:
    """A path that only this process can open, for as long as the block."""
    file = os.memfd_create("tls") if hasattr(os, "memfd_create") else _unlinked()
    try:
        os.write(file, content)
        os.lseek(file, 0, os.SEEK_SET)
        yield f"/dev/fd/{file}"
    finally:
        os.close(file)


def _unlinked() -> int:
    file, path = tempfile.mkstemp()
    os.unlink(path)
    return file
