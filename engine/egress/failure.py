"""How an outgoing call can fail."""

from __future__ import annotations

from typing import Literal

Code = Literal[
    "egress_refused",  # policy: the address may not be called
    "bad_request",  # the call as written cannot be sent at all
    "dns",
    "connect",
    "tls",
    "timeout",
    "connection_lost",
    "protocol",  # what came back is not HTTP
    "secret_destination",  # policy: a secret of the call may not go there
    "abandoned",  # the caller no longer wants the answer
]


class CallFailed(Exception):
    """No answer came. `str(error)` is a sentence for people, not yet redacted.

    `sent` is False only when it is certain that no byte of the request left this machine; then the call had no effect.
    """

    def __init__(self, code: Code, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.sent = sent
