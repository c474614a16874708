"""What to do where a connection could not be made secure, from the words of OpenSSL or gRPC. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_ADVICE: Final[Mapping[re.Pattern[str], str]] = {
    re.compile(said, re.IGNORECASE): advice
    for said, advice in (
        ("certificate has expired", "its certificate has expired: have it renewed there"),
        ("not yet valid", "its certificate is not valid yet: look at the clocks of both machines"),
        (
            "hostname mismatch|ip address mismatch|hostname verification check failed|certificate is not valid for",
            "its certificate is for another name: call it by one that stands in it",
        ),
        (
            "unable to get (local )?issuer certificate|self[- ]signed certificate",
            "nobody who is trusted signed its certificate: give the authority that did as `tls.ca`",
        ),
        (
            "certificate[ _]required",
            "it wants a client certificate: give `tls.cert` and `tls.key`",
        ),
        (
            "alert[ _](unknown ca|bad certificate|certificate (unknown|expired|revoked))",
            "it does not accept the client certificate: look at who signed `tls.cert`, and until when it is valid",
        ),
    )
}


def advice(said: str) -> str:
    """What is wrong and what to do about it, without a full stop; "" where the words say nothing of certificates."""
    return next((told for pattern, told in _ADVICE.items() if pattern.search(said)), "")


def hung_up(said: str, *, shown: bool) -> str:
    """What may be the reason where gRPC tells only that the server ended the connection, as above; "" for other words.

    `shown` says that a client certificate was shown. gRPC does not hand on what the server said of it.
    """
    if "Socket closed" not in said and "Connection reset" not in said:
        return ""
    if shown:
        return "it may not accept the client certificate: look at who signed `tls.cert`, and until when it is valid"
    return "if it wants a client certificate, give `tls.cert` and `tls.key`"
