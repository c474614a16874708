"""Keys made of SECRET_KEY, one for each purpose, so that none of them tells another."""

from __future__ import annotations


def derived_key(secret: bytes, purpose: bytes) -> bytes:
    """32 bytes by HKDF-SHA256 (RFC 5869) without a salt; another `purpose` gives a key that is independent of them."""
    # Loaded where a key is needed, not by every process at its start.
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(secret)
