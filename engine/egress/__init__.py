"""Outgoing calls: the one guarded HTTP client that every step uses.

`Egress` sends; `Policy` says where to; `CallFailed` says what went wrong and whether anything was sent.
"""

from __future__ import annotations

from engine.egress.allowed_addresses import Allowed, Policy, parse_allow
from engine.egress.client import DEFAULT_MAX_BYTES, Egress, Response
from engine.egress.failure import CallFailed
from engine.egress.resolver import Resolver

__all__ = ["DEFAULT_MAX_BYTES", "Allowed", "CallFailed", "Egress", "Policy", "Resolver", "Response", "parse_allow"]
