"""What proves that a form was sent from one of our own pages: a token bound to the cookie, and where it came from."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.requests import Request

from engine.errors import NotAllowed

FIELD = "token"
"""The field of a form that holds the token."""
_AGAIN = "This form does not come from a page that is yours. Load the page again, then send it once more."


def token(key: bytes, cookie: str) -> str:
    """What a page puts into its forms; only the holder of this cookie is shown it."""
    return hmac.new(key, b"page form\0" + cookie.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def must_be_ours(request: Request, key: bytes, cookie: str, given: str, public_url: str | None) -> None:
    """Raise `NotAllowed` for a form that another site could have sent in the name of whoever has the cookie.

    A request with a bearer token needs no proof: a browser adds none by itself.
    """
    if "authorization" in request.headers:
        return
    if not hmac.compare_digest(token(key, cookie).encode(), given.encode("utf-8", "surrogatepass")):
        raise NotAllowed(_AGAIN)
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site == "same-origin"
    else:  # a form of a page without a referrer says "null"; the token has to do then
        ours = origin in (None, "null") or urlsplit(origin).netloc in _hosts(request, public_url)
    if not ours:
        raise NotAllowed(_AGAIN)


def _hosts(request: Request, public_url: str | None) -> set[str]:
    return {request.headers.get("host", ""), urlsplit(public_url or "").netloc} - {""}
