"""How many files and connections this process may have open at once."""

from __future__ import annotations

import logging
import resource

log = logging.getLogger(__name__)

ENOUGH = 4096
"""With fewer, crowds of clients are refused sooner than the machine needs it."""
_MOST = 65_536
"""More is of no use here, and some systems refuse an unlimited number."""


def limit() -> int:
    """The descriptors that this process may have now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else soft


def allowed() -> int:
    """The descriptors that this process may allow itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if hard == resource.RLIM_INFINITY else hard


def raise_limit() -> int:
    """Allow this process as many as it may have; the number it has then. Never lowers it, never raises."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(allowed(), _MOST)
    if wanted > limit():
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (ValueError, OSError) as error:
            log.warning("the limit of open files stays at %d: %s", limit(), error)
    return limit()
